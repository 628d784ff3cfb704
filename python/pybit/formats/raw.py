# SPDX-License-Identifier: Apache-2.0
"""What every reader of this package returns, and how it reports damage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from pybit.errors import FormatError

Array = npt.NDArray[Any]
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class RawCheckpoint:
    """Tensors as a file stores them, before anything is known about the network.

    `tensors` keeps the file's names and layout. An array may be a read-only view of the mapped file: it stays valid as
    long as the array lives, and the file must not shrink meanwhile.
    """

    path: str
    format: str  #: "h5", "tfhub" or "torch"
    tensors: list[tuple[str, Array]]
    metadata: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def fail(path: object, message: str) -> NoReturn:
    """Raises FormatError with the file's name in front."""
    raise FormatError(f"{path}: {message}")


def checked_count(path: object, name: str, shape: tuple[int, ...], limit: int) -> int:
    """Product of `shape`; FormatError if a dimension is negative, there are more than 8, or it exceeds `limit`."""
    if len(shape) > 8:
        fail(path, f"tensor '{name}': expected at most 8 dimensions, got {len(shape)}")
    count = 1
    for size in shape:
        if size < 0:
            fail(path, f"tensor '{name}': expected dimensions >= 0, got {shape}")
        count *= size
    if count > limit:
        fail(path, f"tensor '{name}': shape {shape} needs {count} values, but the file holds at most {limit}")
    return count


def bfloat16_to_float32(bits: Array) -> Array:
    """Widens bfloat16 (the upper half of a float32) exactly; NumPy has no such type of its own."""
    widened: Array = (bits.astype(np.uint32, order="C") << np.uint32(16)).view(np.float32)
    return widened
