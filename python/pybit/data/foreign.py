# SPDX-License-Identifier: Apache-2.0
"""Data sets of other libraries as images and labels: pairs, tables, torch's and Hugging Face's data sets.

Nothing of those libraries is imported: an object is known by what it has.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pybit.data.numbering import numbered
from pybit.data.sources import Source, load_rgb, prepare
from pybit.errors import ConfigError, ShapeError

PATH_COLUMNS = ("path", "file_path", "filepath", "file_name", "filename", "file", "image_path", "image", "img")
LABEL_COLUMNS = ("label", "class", "target", "class_name", "category", "fine_label", "labels")


class Foreign(NamedTuple):
    """A data set of another library: images or paths, or what reads one, with numbers of classes."""

    images: Any
    """What a pair's images are, or None where `reader` gives them."""
    labels: Any
    """As `pybit.data.numbering.numbered` takes them."""
    class_names: list[str] | None
    """By label, if the data set tells them."""
    reader: ForeignReader | None
    """Pixels by position."""


class ForeignReader:
    """Pixels (H,W,3) of another library's data set by position; threads may call it at the same time if it may."""

    def __init__(self, data: Any, image: str | int, max_pixels: int | None) -> None:
        self._data, self._image, self._max_pixels = data, image, max_pixels

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """One image. Raises ShapeError for what is no image of bytes, e.g. a tensor that was normalised."""
        value = prepare(Source(f"image {index}", self._data[index][self._image])).value
        if isinstance(value, Mapping):  # an image that was not decoded: {"bytes": ..., "path": ...}
            value = value["bytes"] if value.get("bytes") is not None else value["path"]
        if isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview)):
            return load_rgb(value, True, self._max_pixels, f"image {index}")
        pixels = np.asarray(value)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
            raise ShapeError(
                f"[data] expected the data set's images as PIL images or uint8 (H,W,3), image {index} is "
                f"{pixels.dtype} {pixels.shape}: make the data set without transform=, pybit prepares images itself"
            )
        return np.ascontiguousarray(pixels[..., :3])


def parts_of(source: Any) -> tuple[Any, Any] | None:
    """The training and the validation set of a dict of data sets, as Hugging Face has it; None for anything else.

    Raises ConfigError for a dict without a training set.
    """
    if not isinstance(source, Mapping):
        return None
    if "train" not in source:
        raise ConfigError(f"[data] expected a data set named 'train' among {', '.join(map(str, source))}")
    held_out = next((name for name in ("validation", "valid", "val", "dev", "test") if name in source), None)
    return source["train"], None if held_out is None else source[held_out]


def foreign(source: Any, path_column: str, label_column: str, max_pixels: int | None) -> Foreign | None:
    """What another library's data set holds; None for what is none. Raises ConfigError where a column is missing."""
    if hasattr(source, "columns") and hasattr(source, "__getitem__"):
        names = [str(name) for name in source.columns]
        images = source[_column(names, path_column, PATH_COLUMNS, "path_column")]
        return Foreign(list(images), source[_column(names, label_column, LABEL_COLUMNS, "label_column")], None, None)
    if hasattr(source, "features") and hasattr(source, "column_names"):
        return _hugging_face(source, path_column, label_column, max_pixels)
    if _are_pairs(source):
        images, labels = zip(*source, strict=True)
        return Foreign(list(images), list(labels), None, None)
    if isinstance(source, (str, bytes, tuple, list, np.ndarray, os.PathLike)):
        return None
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return _torch(source, max_pixels)
    return None


def _hugging_face(data: Any, image_column: str, label_column: str, max_pixels: int | None) -> Foreign:
    names = [str(name) for name in data.column_names]
    image = _column(names, image_column, ("image", "img", *PATH_COLUMNS), "path_column")
    label = _column(names, label_column, LABEL_COLUMNS, "label_column")
    classes = getattr(data.features[label], "names", None)
    return Foreign(None, data[label], classes, ForeignReader(data, image, max_pixels))


def _torch(data: Any, max_pixels: int | None) -> Foreign | None:
    """A map-style data set whose items are (image, label), as torchvision's."""
    samples, classes = getattr(data, "samples", None), getattr(data, "classes", None)
    if samples is not None and classes is not None and _are_pairs(samples):  # ImageFolder: no need of its loader
        paths, numbers = zip(*samples, strict=True)
        return Foreign(list(paths), list(numbers), [str(name) for name in classes], None)
    try:
        item = data[0]
        _, _ = item
    except (TypeError, ValueError, KeyError, IndexError):
        return None
    known = getattr(data, "targets", None)
    labels = [data[i][1] for i in range(len(data))] if known is None or len(known) != len(data) else known
    return Foreign(
        None, _plain(labels), classes and [str(name) for name in classes], ForeignReader(data, 0, max_pixels)
    )


def _plain(labels: Any) -> Any:
    """Labels of tensors without dimensions as numbers."""
    if isinstance(labels, list):
        return [value.item() if hasattr(value, "item") else value for value in labels]
    return labels


def _are_pairs(source: Any) -> bool:
    """Whether a list holds (image, label) tuples. Of a list of two tuples that could be (images, labels), too, the
    first items must be files."""
    if not isinstance(source, list) or not source:
        return False
    if not all(isinstance(item, tuple) and len(item) == 2 for item in source):
        return False
    if len(source) == 2:
        return all(isinstance(item[0], (str, os.PathLike)) and os.path.isfile(item[0]) for item in source)
    return all(isinstance(item[1], (str, int, np.integer, np.bool_)) for item in source)


def _column(names: Sequence[str], asked: str, usual: Sequence[str], option: str) -> str:
    for name in [asked] if asked else usual:
        if name in names:
            return name
    wanted = f"a column {asked!r}" if asked else f"a column {', '.join(usual[:4])}, ..."
    raise ConfigError(f"[data] expected {wanted} in the table, it has {', '.join(names)}: say which by {option}=")


def numbers_of(found: Foreign, class_names: Sequence[str] | None) -> tuple[NDArray[np.int64], list[str]]:
    """The labels as numbers and the names of their classes. Raises what `numbered` raises."""
    return numbered(found.labels, class_names or found.class_names)
