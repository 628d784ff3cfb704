"""Parameters under other frameworks' names and layouts; the tables live in include/bit/io/names.hpp."""

from __future__ import annotations

import numpy as np

from pybit import _core
from pybit._arrays import Array
from pybit.errors import ConfigError

NAMINGS = ("official", "timm", "transformers")


def check(names: str) -> str:
    """`names` itself; raises ValueError unless it is a known naming."""
    if names not in NAMINGS:
        raise ConfigError(f"expected names to be one of {', '.join(NAMINGS)}, got {names!r}")
    return names


def rename(official: str, value: Array, names: str) -> tuple[str, Array]:
    """An official tensor's name and values under another naming; convolution kernels become OIHW there."""
    if names == "official":
        return official, value
    kept = _core.axes_in(official, value.ndim, names)
    dropped = tuple(axis for axis in range(value.ndim) if axis not in kept)  # of size 1
    moved = value.transpose(*kept, *dropped)
    return _core.name_in(official, names), np.ascontiguousarray(moved.reshape(moved.shape[: len(kept)]))
