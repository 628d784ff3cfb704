# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and images of the benchmarks: random values, functions of their names, in the release's format.

Trained values would change no time: every contender multiplies zeros as fast as other numbers. Scales and shifts of
the norms differ from one and zero, so that no graph optimizer removes them.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from figures import architecture
from numpy.typing import NDArray

Array = NDArray[np.float32]
CLASSES = 1000


def shapes(model: str, classes: int = CLASSES) -> dict[str, tuple[int, ...]]:
    """The release's tensor names and shapes (kernels HWIO) of, say, "R50x1"."""
    units, stem = architecture(model)
    found: dict[str, tuple[int, ...]] = {"resnet/root_block/standardized_conv2d/kernel": (7, 7, 3, stem)}
    inputs = stem
    for block, count in enumerate(units, start=1):
        middle = stem * 2 ** (block - 1)
        for unit in range(1, count + 1):
            name = f"resnet/block{block}/unit{unit:02d}/"
            for letter, i, o, k in (("a", inputs, middle, 1), ("b", middle, middle, 3), ("c", middle, 4 * middle, 1)):
                found |= {name + letter + "/group_norm/gamma": (i,), name + letter + "/group_norm/beta": (i,)}
                found[name + letter + "/standardized_conv2d/kernel"] = (k, k, i, o)
            if unit == 1:
                found[name + "a/proj/standardized_conv2d/kernel"] = (1, 1, inputs, 4 * middle)
            inputs = 4 * middle
    found |= {"resnet/group_norm/gamma": (inputs,), "resnet/group_norm/beta": (inputs,)}
    return found | {"resnet/head/conv2d/kernel": (1, 1, inputs, classes), "resnet/head/conv2d/bias": (classes,)}


def value(name: str, shape: tuple[int, ...]) -> Array:
    """One tensor; kernels have a mean, so that a contender that forgets to standardise is found out."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
    scale, shift = (0.05, 0.02) if name.endswith("standardized_conv2d/kernel") else (0.1, float(name.endswith("gamma")))
    x *= np.float32(scale)
    x += np.float32(shift)
    return x


def write_checkpoint(model: str, path: Path) -> None:
    """An npz like the released ones: members stored, not deflated; complete or not there."""
    part = path.with_name(path.name + ".part.npz")
    tensors: dict[str, Any] = {name: value(name, shape) for name, shape in shapes(model).items()}
    np.savez(part, **tensors)
    part.rename(path)


def image(index: int, height: int, width: int) -> Array:
    """(3, height, width) in [-1, 1]."""
    x = np.random.default_rng([index, height, width]).random((3, height, width), np.float32)
    x *= 2
    x -= 1
    return x


def images(shape: tuple[int, int, int, int]) -> Array:
    """(n, 3, h, w): the first n images of this size, whatever n is."""
    batch = np.empty(shape, np.float32)
    for index in range(shape[0]):
        batch[index] = image(index, shape[2], shape[3])
    return batch
