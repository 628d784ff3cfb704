# SPDX-License-Identifier: Apache-2.0
"""The model that users hold, and the two ways to one: `create_model` and `load`."""

from pybit.model.create import create_model, load
from pybit.model.model import Model

__all__ = ["Model", "create_model", "load"]
