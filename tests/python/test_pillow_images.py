# SPDX-License-Identifier: Apache-2.0
"""All test images of Pillow 10.4.0 (`make pillow-images`): what Pillow reads is equal, or of a known kind."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pybit.data import read_image

FOLDER = Path(__file__).parents[2] / "build" / "pillow" / "Tests"


def deep_grey(image: Image.Image) -> bool:
    """Grey of more than 8 bits, which Pillow clips at 255 and docs/images.md says to keep the highest 8 bits of."""
    return image.mode.startswith("I")


def odd_floats(image: Image.Image) -> bool:
    """Floats of another range than 0..1 or 0..255, which Pillow clips."""
    values = np.asarray(image)
    return image.mode == "F" and not (values.min() >= 0 and values.max() <= 255)


def compare(path: Path) -> str | None:
    """What became of a file: "equal", the known kind that differs, or what is wrong; None: Pillow refuses it."""
    try:
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            kind = next((k.__name__ for k in (deep_grey, odd_floats) if k(image)), None)
    except Exception:  # Pillow's plugins raise errors of many kinds
        return None
    try:
        found = read_image(path)
    except ValueError as error:
        return "odd_floats" if kind == "odd_floats" else f"refused: {path.name}: {error}"
    if np.array_equal(found, expected):
        return "equal"
    if found.shape != expected.shape:
        return f"another shape: {path.name}: {found.shape}, {expected.shape}"
    return kind or f"other pixels: {path.name}"


@pytest.mark.filterwarnings("ignore")
def test_what_pillow_reads_is_equal_or_of_a_documented_kind():
    if not (FOLDER / "images").is_dir():
        pytest.skip("make test-oracle fetches Pillow's test images")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # most of these files are there because something is odd about them
        files = sorted(path for path in FOLDER.rglob("*") if path.is_file())
        counts = Counter(result for result in map(compare, files) if result is not None)
    print(dict(counts))
    read = sum(counts.values())
    assert read >= 800
    assert set(counts) <= {"equal", "deep_grey", "odd_floats"}
    assert counts["equal"] >= 0.97 * read
    assert counts["deep_grey"]  # the comparison sees a difference where there is one


def test_the_comparison_notices_other_pixels(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("RGB", (3, 2), "red").save(path)
    assert compare(path) == "equal"
    monkeypatch.setattr("test_pillow_images.read_image", lambda path: np.zeros((2, 3, 3), np.uint8))
    assert compare(path) == "other pixels: a.png"
    monkeypatch.setattr("test_pillow_images.read_image", lambda path: np.zeros((3, 2, 3), np.uint8))
    assert compare(path).startswith("another shape")
    path.write_text("no image")
    assert compare(path) is None
