# SPDX-License-Identifier: Apache-2.0
"""Parameters under other frameworks' names and layouts; the tables live in include/bit/io/names.hpp."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from pybit import _core
from pybit.base.arrays import Array
from pybit.errors import ConfigError

Naming = Literal["official", "timm", "transformers"]
NAMINGS: tuple[Naming, ...] = get_args(Naming)


def check(names: str) -> Naming:
    """`names` itself. Raises ConfigError unless it is a known naming."""
    for naming in NAMINGS:
        if names == naming:
            return naming
    raise ConfigError(f"expected names to be one of {', '.join(NAMINGS)}, got {names!r}")


def rename(official: str, value: Array, names: Naming) -> tuple[str, Array]:
    """An official tensor's name and values under another naming.

    Kernels (H,W,I,O) become (O,I,H,W) there, and axes of size 1 that the naming does not have are dropped.
    """
    if names == "official":
        return official, value
    kept = _core.axes_in(official, value.ndim, names)
    dropped = tuple(axis for axis in range(value.ndim) if axis not in kept)  # of size 1
    moved = value.transpose(*kept, *dropped)
    return _core.name_in(official, names), np.ascontiguousarray(moved.reshape(moved.shape[: len(kept)]))
