# SPDX-License-Identifier: Apache-2.0
"""Small noisy images, in memory and as files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pybit
from numpy.typing import NDArray
from PIL import Image

SPEC = pybit.PreprocessSpec(16)


def noise(seed: int, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(seed: int) -> bytes:
    to = io.BytesIO()
    Image.fromarray(noise(seed)).save(to, "PNG")
    return to.getvalue()


class Column:
    """A table's column as other libraries have it: what NumPy makes an array of objects of."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        array = np.empty(len(self._values), object)
        array[:] = self._values
        return array
