# SPDX-License-Identifier: Apache-2.0
"""Exceptions of pybit; each message names what was expected, what came and what to do.

Files that the system refuses to open, read or write raise plain OSError subclasses (FileNotFoundError, ...).
"""

from pybit._core import BitError, ConfigError, DeviceError, DivergedError, FormatError, ShapeError

__all__ = ["BitError", "ConfigError", "DeviceError", "DivergedError", "FormatError", "ShapeError"]
