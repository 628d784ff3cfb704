# SPDX-License-Identifier: Apache-2.0
"""A network small enough for tests, and inputs for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pybit

SMALL: dict[str, Any] = {"units": (1, 1, 1, 1), "stem_channels": 32}


def small_model(num_classes: int = 5, seed: int = 0, **options: Any) -> pybit.Model:
    """Two million random parameters; 1024 features."""
    return pybit.create_model("small", num_classes=num_classes, seed=seed, **(SMALL | options))


def batch(n: int = 2, size: int = 40, seed: int = 1, channels: int = 3) -> npt.NDArray[np.float32]:
    """Images (n, channels, size, size + 8) in [-1, 1] that no range rule objects to."""
    rng = np.random.default_rng(seed)
    return np.clip(0.5 * rng.standard_normal((n, channels, size, size + 8)), -1, 1).astype(np.float32)


def write_png(path: Path, seed: int) -> Path:
    """A small real PNG file, written with the standard library alone."""
    import struct
    import zlib

    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30, 20, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def class_folder(root: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 3) -> Path:
    """A folder with one folder of images per class."""
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(each):
            write_png(root / name / f"{i}.png", 100 * c + i)
    return root
