# SPDX-License-Identifier: Apache-2.0
"""Folders as the world leaves them: embed, predict and data sets agree about what is an image and what is a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pybit
import pytest
from PIL import Image
from pybit.errors import ConfigError


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    made = pybit.create_model("small", units=(1, 1, 1, 1), stem_channels=32, num_classes=2)
    made.preprocessing = pybit.PreprocessSpec(size=32)
    return made


def put(root: Path, *names: str) -> None:
    """Makes small images of noise, each another one."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = sum(map(ord, name))
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        with path.open("wb") as file:
            Image.fromarray(pixels).save(file, "JPEG")


def seen(model: pybit.Model, folder: Path) -> tuple[list[str], list[str] | None]:
    """What embed takes: paths inside the folder, and the class of each; predict must take the same images."""
    found = model.embed(folder)
    paths = [Path(p).relative_to(folder).as_posix() for p in found.paths]
    predicted = [Path(p.path).relative_to(folder).as_posix() for p in model.predict(folder) if p.path is not None]
    assert sorted(predicted) == sorted(paths)
    if found.classes is None:
        return paths, None
    return paths, [found.class_names[c] for c in found.classes]


def test_splits_are_no_classes(model: pybit.Model, tmp_path: Path) -> None:
    put(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg", "val/dog/2.jpg")
    _, classes = seen(model, tmp_path)
    assert sorted(classes or []) == ["cat", "cat", "dog", "dog"]
    assert [len(part) for part in pybit.datasets.open(tmp_path)] == [2, 2]


def test_images_beside_a_folder_of_images_are_all_taken(model: pybit.Model, tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg", "edited/1.jpg")
    assert seen(model, tmp_path) == (["1.jpg", "2.jpg", "3.jpg", "edited/1.jpg"], None)
    with pytest.raises(ConfigError, match="4 images without classes"):
        pybit.datasets.open(tmp_path)


def test_hidden_and_left_behind_folders_do_not_count(model: pybit.Model, tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg", "@eaDir/1.jpg/THUMB.jpg")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    assert seen(model, tmp_path) == (["1.jpg", "2.jpg"], None)
    put(tmp_path / "ds", "cat/1.jpg", "cat/@eaDir/1.jpg", "dog/1.jpg", "__MACOSX/cat/1.jpg")
    assert seen(model, tmp_path / "ds") == (["cat/1.jpg", "dog/1.jpg"], ["cat", "dog"])


def test_names_that_are_not_utf8_are_escaped_classes(model: pybit.Model, tmp_path: Path) -> None:
    put(tmp_path, "caf\udce9/1.jpg", "dog/1.jpg")
    assert seen(model, tmp_path)[1] == ["caf\\xe9", "dog"]
    assert pybit.datasets.open(tmp_path).train.class_names == ["caf\\xe9", "dog"]
