# SPDX-License-Identifier: Apache-2.0
"""The version; the same as BIT_VERSION in include/bit/config.hpp."""

__version__ = "0.1.0"
