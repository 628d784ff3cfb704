# SPDX-License-Identifier: Apache-2.0
"""What data sets take: arrays, encoded bytes, labels of any shape, lists in any dialect."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from input_images import Column, noise, png
from PIL import Image
from pybit import datasets
from pybit.errors import ConfigError, FormatError, ShapeError


# ---- data sets of what is no file
def test_ragged_lists_train_as_files_do(tmp_path: Path) -> None:
    images = [noise(i, 10 + i, 20) for i in range(6)]
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    labels = [0, 1, 0, 1, 0, 1]
    files = datasets.open(([tmp_path / f"{i}.png" for i in range(6)], labels), validation_fraction=0).train
    expected = [b.images for b in files.batches(4, resize=12, crop=8, seed=3)]
    encoded = [(tmp_path / f"{i}.png").read_bytes() for i in range(6)]
    for same in (
        images,
        tuple(images),
        [Image.fromarray(image) for image in images],
        encoded,
        [{"bytes": b, "path": None} for b in encoded],
        [io.BytesIO(b) for b in encoded],
        Column([{"bytes": b, "path": None} for b in encoded]),
        iter(images),
        [images[0], encoded[1], tmp_path / "2.png", *images[3:]],
    ):
        train = datasets.open((same, labels), validation_fraction=0).train
        assert len(train) == 6 and train.image_size == files.image_size
        for batch, other in zip(train.batches(4, resize=12, crop=8, seed=3, threads=3), expected, strict=True):
            np.testing.assert_array_equal(batch.images, other)
    moved = datasets.open((images[::-1], labels), validation_fraction=0).train  # the control: other images differ
    assert not np.array_equal(next(moved.batches(4, resize=12, crop=8, seed=3)).images, expected[0])


def test_damaged_bytes_stop_by_name_or_are_skipped() -> None:
    images = [png(1), png(2)[:100], {"bytes": png(3)[:100], "path": "third.png"}, png(4)]
    train = datasets.open((images, [0, 1, 0, 1]), validation_fraction=0).train
    with pytest.raises(FormatError, match=r"image 1.*truncated|third\.png.*truncated"):
        list(train.batches(4, resize=8, crop=8))
    loader = train.batches(4, resize=8, crop=8, skip_corrupt=True)
    assert sorted(np.concatenate([b.indices for b in loader])) == [0, 3]
    assert sorted(s.name for s in loader.skipped) == ["image 1", "third.png"]


# ---- labels
IMAGES = np.zeros((4, 5, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "numbers", "names"),
    [
        ([1, 0, 2, 1], [1, 0, 2, 1], ["0", "1", "2"]),
        (np.array([[1], [0], [2], [1]], np.uint8), [1, 0, 2, 1], ["0", "1", "2"]),
        ([1.0, 0.0, 2.0, 1.0], [1, 0, 2, 1], ["0", "1", "2"]),
        (np.array([1, 0, 2, 1], object), [1, 0, 2, 1], ["0", "1", "2"]),
        (Column([np.int32(1), 0, 2, 1]), [1, 0, 2, 1], ["0", "1", "2"]),
        ([True, False, False, True], [1, 0, 0, 1], ["False", "True"]),
        (Column([True, False, False, True]), [1, 0, 0, 1], ["False", "True"]),
        (np.eye(5)[[1, 0, 2, 1]], [1, 0, 2, 1], ["0", "1", "2", "3", "4"]),
        (np.eye(3, dtype=bool)[[1, 0, 2, 1]], [1, 0, 2, 1], ["0", "1", "2"]),
        (["b10", "a", "b2", "b10"], [2, 0, 1, 2], ["a", "b2", "b10"]),
        ([["b10"], ["a"], ["b2"], ["b10"]], [2, 0, 1, 2], ["a", "b2", "b10"]),
        (np.array([b"y", b"x", b"x", b"y"]), [1, 0, 0, 1], ["x", "y"]),
        (Column(["y", "x", "x", "y"]), [1, 0, 0, 1], ["x", "y"]),
    ],
)
def test_labels_with_one_meaning_are_taken(given: Any, numbers: list[int], names: list[str]) -> None:
    train = datasets.open((IMAGES, given), validation_fraction=0).train
    assert train.labels.tolist() == numbers
    assert train.class_names == names


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (np.array([[0.2, 0.8]] * 4), r"pass the likeliest class, labels\.argmax\(1\)"),
        (np.array([[1, 1], [0, 1], [1, 0], [1, 0]]), r"labels\.argmax\(1\)"),
        ([0.5, 1, 0, 1], "got 0.5 at position 0"),
        ([0, 1, float("nan"), 1], "got nan at position 2"),
        (["a", "b", None, "a"], "got None at position 2: leave out images without a label"),
        (Column(["a", "b", float("nan"), "a"]), "got nan at position 2: leave out images without a label"),
        (Column(["a", "b", type("NAType", (), {})(), "a"]), "at position 2: leave out images without a label"),
        (Column([1, "b", 2, "a"]), "got int, str"),
        ([[1], [0, 1], [2], [1]], "lists of different lengths"),
        (np.zeros((4, 1, 1)), r"shape \(n,\) or \(n,1\), got \(4, 1, 1\)"),
        ([1j, 0, 1, 0], "whole numbers or names, got complex128"),
    ],
)
def test_other_labels_name_the_cure(given: Any, text: str) -> None:
    with pytest.raises((ShapeError, ConfigError), match=text):
        datasets.open((IMAGES, given))


# ---- lists
@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"a.png, cat\nb.png ,dog\n", {}),
        (b"\n\na.png,cat\n,\n  \nb.png,dog\n\n", {}),
        (b"file_name,label\na.png,cat\nb.png,dog\n", {}),
        (b"Path,Target\r\na.png,cat\r\nb.png,dog\r\n", {}),
        (b"id;Filename;class\n1;a.png;cat\n2;b.png;dog\n", {}),
        (b"a.png\tcat\nb.png\tdog\n", {}),
        (b"a.png|cat\nb.png|dog\n", {}),
        (b'"a.png","cat"\n"b.png","dog"\n', {}),
        (b"\xef\xbb\xbfimage,label\na.png,cat\nb.png,dog\n", {}),
        ("image,label\na.png,cat\nb.png,dog\n".encode("utf-16"), {}),
        (b"no,kind,photo\n1,cat,a.png\n2,dog,b.png\n", {"path_column": "photo", "label_column": "kind"}),
        (b"a.png:cat\nb.png:dog\n", {"separator": ":"}),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".TXT"])
def test_lists_with_blanks_headers_separators_and_encodings(
    tmp_path: Path, content: bytes, options: dict[str, str], suffix: str
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(1))
    (tmp_path / f"list{suffix}").write_bytes(content)
    train = datasets.open(tmp_path / f"list{suffix}", validation_fraction=0, **options).train
    assert train.class_names == ["cat", "dog"] and train.labels.tolist() == [0, 1]
    assert [Path(train.name(i)).name for i in range(2)] == ["a.png", "b.png"]


def test_lists_in_other_encodings_name_the_file_the_line_and_the_option(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "list.csv").write_bytes("a.png,cat\na.png,caf\u00e9\n".encode("cp1252"))
    with pytest.raises(FormatError, match=r"list\.csv:2: expected UTF-8.*encoding"):
        datasets.open(tmp_path / "list.csv")
    train = datasets.open(tmp_path / "list.csv", encoding="cp1252", validation_fraction=0).train
    assert train.class_names == ["caf\u00e9", "cat"]
    with pytest.raises(ConfigError, match="separator of one character"):
        datasets.open(tmp_path / "list.csv", separator="::")
    with pytest.raises(ConfigError, match="with a CSV list or a pair only"):
        datasets.open(tmp_path, path_column="a")
    assert os.listdir(tmp_path)
