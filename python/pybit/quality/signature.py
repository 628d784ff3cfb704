# SPDX-License-Identifier: Apache-2.0
"""What is kept of each image: checksums, size, how it is stored, and a thumbnail."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.data.images import read_image
from pybit.data.sources import load_info
from pybit.errors import ConfigError, FormatError
from pybit.quality.stored import stored_as

# 64 x 64 grey values are what near duplicates are told by (docs/check.md has the measurements); 4 KB an image.
SIDE = 64
COLOUR_SIDE = 8


@dataclass(frozen=True, eq=False)
class Signature:
    """One image that could be decoded."""

    index: int
    """Its place in the collection."""
    height: int
    width: int
    """The size of the upright image."""
    file_hash: bytes
    """SHA-256 of the file."""
    pixel_hash: bytes
    """SHA-256 of the size and the upright RGB pixels."""
    traits: tuple[str, ...]
    """What is unusual about how it is stored or what it shows: see `TRAITS`."""
    grey: NDArray[np.uint8]
    """The picture squashed to (SIDE, SIDE) in grey."""
    colour: NDArray[np.uint8]
    """The picture squashed to (COLOUR_SIDE, COLOUR_SIDE, 3)."""


@dataclass(frozen=True)
class Damage:
    """One image that could not be decoded."""

    index: int
    text: str
    missing: bool
    """Whether the file could not be read at all, as opposed to its content."""


def signature_of(index: int, path: Path, max_pixels: int | None) -> Signature | Damage:
    """Read and decode one file."""
    try:
        content = path.read_bytes()
        pixels = read_image(path, max_pixels=max_pixels)
        orientation = load_info(path, max_pixels)[3]
    except OSError as error:
        return Damage(index, str(error), True)
    except (FormatError, ConfigError, ValueError) as error:
        return Damage(index, str(error), False)
    traits = list(stored_as(content))
    if orientation != 1:
        traits.append("turned")
    if (pixels == pixels[:1, :1]).all():
        traits.append("plain")
    if np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 1], pixels[..., 2]):
        traits.append("grey")
    shape = f"{pixels.shape}".encode()
    squashed = _core.resize_image(np.ascontiguousarray(pixels), SIDE, SIDE, "bilinear", "pillow")
    colour = _core.resize_image(squashed, COLOUR_SIDE, COLOUR_SIDE, "bilinear", "pillow")
    # ITU-R BT.601, as Pillow's convert("L").
    grey = (squashed.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32) + 0x8000) >> 16
    return Signature(
        index,
        pixels.shape[0],
        pixels.shape[1],
        hashlib.sha256(content).digest(),
        hashlib.sha256(shape + pixels.tobytes()).digest(),
        tuple(dict.fromkeys(traits)),
        grey.astype(np.uint8),
        colour,
    )


def signatures(paths: Sequence[Path], threads: int, max_pixels: int | None) -> Iterator[Signature | Damage]:
    """The signatures of all files in their order, made by `threads` threads; few images are in memory at once."""
    threads = threads or min(len(os.sched_getaffinity(0)), 16)
    with ThreadPoolExecutor(threads) as pool:
        coming = iter(enumerate(paths))
        waiting: list[Future[Signature | Damage]] = []
        try:
            while True:
                for index, path in islice(coming, 2 * threads - len(waiting)):
                    waiting.append(pool.submit(signature_of, index, path, max_pixels))
                if not waiting:
                    return
                yield waiting.pop(0).result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
