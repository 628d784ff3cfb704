# SPDX-License-Identifier: Apache-2.0
"""pybit.datasets.open on what other libraries call a data set: pairs, tables, torch's and Hugging Face's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit import datasets
from pybit.errors import ConfigError, FormatError, ShapeError
from small_models import class_folder, small_model

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three photos of cats and three of dogs."""
    return sorted(class_folder(tmp_path / "pets").rglob("*.png"))


class Table:
    """A data frame as far as `open` looks at one."""

    def __init__(self, **columns: list[Any]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]


class TorchSet:
    """A map-style data set of PIL images, as torchvision's without transforms."""

    classes = ("cat", "dog")

    def __init__(self, files: list[Path], image: Any = lambda file: Image.open(file).convert("RGB")) -> None:
        self.files, self.image = files, image

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.image(self.files[index]), self.classes.index(self.files[index].parent.name)


class ImageFolder(TorchSet):
    """torchvision's, whose items are not needed: `samples` has the paths."""

    def __init__(self, files: list[Path]) -> None:
        super().__init__(files)
        self.samples = [(str(file), self.classes.index(file.parent.name)) for file in files]

    def __getitem__(self, index: int) -> tuple[Any, int]:
        raise AssertionError("the loader of another library was used")


class ClassLabel:
    names = ("cat", "dog")


class HuggingFaceSet:
    """datasets.Dataset with an image and a class label."""

    column_names = ("image", "label")

    def __init__(self, files: list[Path], decode: bool = True) -> None:
        self.files, self.decode = files, decode
        self.features = {"image": object(), "label": ClassLabel()}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Any) -> Any:
        if key == "label":
            return [ClassLabel.names.index(file.parent.name) for file in self.files]
        file = self.files[key]
        image = Image.open(file).convert("RGB") if self.decode else {"bytes": file.read_bytes(), "path": None}
        return {"image": image, "label": self["label"][key]}


def same_as_files(found: datasets.Dataset, files: list[Path]) -> None:
    assert len(found) == len(files) and found.class_names == ["cat", "dog"]
    for i, file in enumerate(files):
        pixels, label = found[i]
        np.testing.assert_array_equal(pixels, pybit.data.read_image(file))
        assert found.class_names[label] == file.parent.name


@pytest.mark.parametrize("kind", ["pairs", "table", "torch", "image folder", "hugging face", "hugging face, raw"])
def test_images_and_labels_are_those_of_the_files(files: list[Path], kind: str) -> None:
    names = [file.parent.name for file in files]
    source: Any = {
        "pairs": list(zip(files, names, strict=True)),
        "table": Table(id=list(range(6)), file_name=[str(file) for file in files], label=names),
        "torch": TorchSet(files),
        "image folder": ImageFolder(files),
        "hugging face": HuggingFaceSet(files),
        "hugging face, raw": HuggingFaceSet(files, decode=False),
    }[kind]
    same_as_files(datasets.open(source, validation_fraction=0).train, files)
    train, validation = datasets.open(source, validation=(files[:2], names[:2]))
    assert len(train) == 6 and validation.labels.tolist() == [0, 0]


def test_two_pairs_of_files_are_pairs_and_two_tuples_of_arrays_are_images_and_labels(files: list[Path]) -> None:
    two = datasets.open([(files[0], "cat"), (files[5], "dog")], validation_fraction=0).train
    assert [two.class_names[label] for label in two.labels] == ["cat", "dog"]
    images = tuple(np.full((8, 8, 3), value, np.uint8) for value in (1, 2))
    assert datasets.open([images, ("cat", "dog")], validation_fraction=0).train[1][0][0, 0, 0] == 2


def test_a_dict_of_sets_brings_its_own_validation(files: list[Path]) -> None:
    parts = {"train": HuggingFaceSet(files), "test": HuggingFaceSet(files[:1])}
    train, validation = datasets.open(parts)
    assert (len(train), len(validation)) == (6, 1)
    with pytest.raises(ConfigError, match="expected a data set named 'train' among all"):
        datasets.open({"all": HuggingFaceSet(files)})


def test_a_run_trains_on_a_torch_set_with_several_workers(files: list[Path]) -> None:
    how: dict[str, Any] = {"batch": 3, "steps": 2, "resolution": (36, 32), "workers": 4}
    names = [file.parent.name for file in files]
    ours = pybit.fine_tune(small_model(), (files, names), **how).model.state_dict()
    theirs = pybit.fine_tune(small_model(), TorchSet(files), **how).model.state_dict()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (3, ConfigError, "expected a path, a pair .* got int"),
        (
            Table(a=[1], b=[2]),
            ConfigError,
            r"expected a column path, file_path, .* it has a, b: say which by path_column=",
        ),
        ((np.zeros((10, 8, 8, 3), np.uint8), [0] * 9), ShapeError, "got 10 images and 9 labels"),
    ],
)
def test_what_is_none_is_refused_with_what_is_taken(source: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        datasets.open(source)


def test_tensors_that_were_normalised_are_refused_with_the_cure(files: list[Path]) -> None:
    source = TorchSet(files, lambda _: np.zeros((3, 8, 8), np.float32))
    train = datasets.open(source, validation_fraction=0).train
    with pytest.raises(FormatError, match=r"image 0 is float32 \(3, 8, 8\): make the data set without transform="):
        train[0]


def test_a_folder_is_measured_on_another_folder_by_name(files: list[Path], tmp_path: Path) -> None:
    class_folder(tmp_path / "other", ("dog",), 2)
    train, validation = datasets.open(tmp_path / "pets", validation=tmp_path / "other")
    assert len(train) == 6 and validation.labels.tolist() == [1, 1]
    class_folder(tmp_path / "third", ("bird",), 2)
    with pytest.raises(ConfigError, match="got also 'bird'"):
        datasets.open(tmp_path / "pets", validation=tmp_path / "third")
    class_folder(tmp_path / "split/train")
    class_folder(tmp_path / "split/val")
    with pytest.raises(ConfigError, match="has a part for validation: expected no validation= beside it"):
        datasets.open(tmp_path / "split", validation=tmp_path / "other")
