# SPDX-License-Identifier: Apache-2.0
"""Pictures as files of all kinds, for the tests of reading them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def picture(height: int = 40, width: int = 57, seed: int = 1) -> Image.Image:
    """Smooth noise, so that lossy formats have something to keep."""
    steps = np.random.default_rng(seed).integers(-3, 4, (height, width, 3))
    return Image.fromarray((128 + np.cumsum(steps, 1)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def patched(data: bytes, at: int, *values: int) -> bytes:
    return data[:at] + bytes(values) + data[at + len(values) :]
