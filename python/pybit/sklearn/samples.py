# SPDX-License-Identifier: Apache-2.0
"""What scikit-learn's X is here: one image per sample, the first axis of arrays counts samples."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pybit.data.inputs import Inputs, collect
from pybit.errors import ConfigError, ShapeError

_EXPECTED = (
    "one image per sample: a list, an array or a table's column of paths, bytes or images, or an array (N,H,W,C) or "
    "(N,H,W) of pixels"
)


def as_samples(x: Any) -> list[Any]:
    """The images of `x`, one per sample: what `pybit.data` calls an image, of any sizes; none is opened.

    Raises ConfigError or ShapeError for anything that is not one image per sample.
    """
    if isinstance(x, (str, os.PathLike)):
        raise ConfigError(
            f"[sklearn] expected {_EXPECTED}; got the path {os.fspath(x)!r}: of a folder pass the `paths` of "
            "pybit.data.read_collection, of one image a list"
        )
    if isinstance(x, (bytes, bytearray, memoryview)) or not hasattr(x, "__len__"):
        raise ConfigError(f"[sklearn] expected {_EXPECTED}; got {type(x).__name__}")
    if isinstance(x, (list, tuple)) and not (x and isinstance(x[0], (int, float))):
        return list(x)
    array = np.asarray(x)
    if array.dtype.kind in "OSUT":
        if array.ndim == 2 and array.shape[1] == 1:  # a table of one column, as ColumnTransformer hands it on
            array = array[:, 0]
        if array.ndim != 1:
            raise ShapeError(f"[sklearn] expected {_EXPECTED}; got an array of shape {array.shape} of {array.dtype}")
        return list(array.tolist())
    if array.ndim == 2:
        raise ShapeError(
            f"[sklearn] expected {_EXPECTED}; got a table {array.shape} of numbers: of rows of pixels make images with "
            "x.reshape(len(x), height, width)"
        )
    if array.ndim == 3 and array.shape[2] in (1, 3, 4):
        raise ShapeError(
            f"[sklearn] expected {_EXPECTED}; got {array.shape}, which is one colour image or narrow grey ones: pass "
            "image[None] or images[..., None]"
        )
    if array.ndim not in (3, 4):
        raise ShapeError(f"[sklearn] expected {_EXPECTED}; got an array of shape {array.shape}")
    return list(array)


def images_of(samples: list[Any]) -> Inputs:
    """The samples as images that can be read. Raises ConfigError for a sample that is no image, or several."""
    for i, sample in enumerate(samples):
        if isinstance(sample, (str, os.PathLike)) and os.path.isdir(sample):
            raise ConfigError(f"[sklearn] expected {_EXPECTED}; sample {i} is the folder {os.fspath(sample)!r}")
    found = collect(samples)
    if found.total is not None and found.total != len(samples):
        raise ConfigError(f"[sklearn] expected {_EXPECTED}; {len(samples)} samples hold {found.total} images")
    return found
