# SPDX-License-Identifier: Apache-2.0
"""What counts as an image and as several: the one place that decides it, for every call that takes images."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pybit.data.collection import Report, joined, read_collection
from pybit.data.folders import is_list, labelled_list
from pybit.data.sources import Source, printable
from pybit.errors import ConfigError, FormatError, ShapeError

ACCEPTED = (
    "an image as a path, a file opened for reading, encoded bytes, a dict with 'bytes' or 'path', a PIL image, or an "
    "array or tensor (H,W), (H,W,1), (H,W,3) or (H,W,4) of uint8 or of floats in [0,1]; or several as a folder, an "
    "array (N,H,W,C), a list, a table's column or any iterable of these"
)


class Inputs(Iterable[Source]):
    """The images that a call was given, in their order."""

    total: int | None
    """The number of images; None for a stream, whose images are made while they are asked for."""

    def __init__(self, images: list[Source] | Iterator[Source], reports: list[Report]) -> None:
        self._images = images
        self._reports = reports
        self.total = len(images) if isinstance(images, list) else None

    def __iter__(self) -> Iterator[Source]:
        """The images; a stream can be walked once."""
        return iter(self._images)

    @property
    def only_files(self) -> bool:
        """Whether there are images and all are files; False for a stream, of which it is not known before its end."""
        images = self._images
        return isinstance(images, list) and bool(images) and all(is_path(image.value) for image in images)

    @property
    def report(self) -> Report | None:
        """What was taken from the folders among the inputs so far and what was left out; None without folders."""
        return joined(self._reports)


def collect(inputs: Any) -> Inputs:
    """The images that `inputs` stands for, in order; files are listed, none is opened.

    `inputs`: an image or several, as `pybit.data` says. Paths, arrays and lists are checked here. Other iterables are
    streams: their items are asked for and checked one by one when their turn comes, and arrays among them are copied,
    since a stream may fill the same buffer again.

    Raises ConfigError for other types, ShapeError for arrays of another shape, dtype or range, FormatError for a folder
    without images.
    """
    if isinstance(inputs, Inputs):
        return inputs
    reports: list[Report] = []
    found = _sources(inputs, reports)
    return Inputs(found if _is_stream(inputs) else list(found), reports)


def is_path(value: Any) -> bool:
    """Whether a value names a file."""
    return isinstance(value, (str, os.PathLike))


def _sources(inputs: Any, reports: list[Report]) -> Iterator[Source]:
    stream = _is_stream(inputs)
    for i, (name, value) in enumerate(_images(inputs, reports, stream)):
        yield Source(os.fspath(value) if is_path(value) else name or f"image {i}", value)


def _images(value: Any, reports: list[Report], copy: bool) -> Iterator[tuple[str, Any]]:
    """Each image in `value` with what messages call it, "" for its number."""
    if is_path(value):
        if os.path.isdir(value):
            yield from _of_folder(value, reports)
        elif is_list(value):
            yield from (("", path) for path in labelled_list(value).paths)
        else:
            _check_no_pattern(value)
            yield "", value
    elif isinstance(value, (bytes, bytearray, memoryview)):
        yield "", bytes(value) if copy else value
    elif _is_pil(value):
        yield "", value
    elif isinstance(value, Mapping):
        yield _of_mapping(value)
    elif hasattr(value, "read"):
        yield _name_of(value), value
    elif hasattr(value, "columns") or hasattr(value, "column_names"):
        raise ConfigError(f"[image] expected a column of a {type(value).__name__}, got all: pass table['name']")
    elif hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        array = np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
        if array.ndim == 1 and array.dtype.kind in "UOT":  # an array or a table's column of paths, bytes or images
            yield from _images(array.tolist(), reports, copy)
        else:
            yield from (("", image) for image in _from_array(array, copy))
    elif _is_iterable(value):
        # Indexing is the older way of iterating: data sets of other libraries have no other.
        for item in iter(value):
            yield from _images(item, reports, copy)
    else:
        raise ConfigError(f"[image] expected {ACCEPTED}; got {type(value).__name__}")


def _check_no_pattern(path: str | os.PathLike[str]) -> None:
    text = os.fspath(path)
    if isinstance(text, str) and (text == "-" or set("*?") & set(text)) and not os.path.lexists(text):
        cure = "open standard input" if text == "-" else "patterns are not expanded here, pass sorted(glob.glob(...))"
        raise ConfigError(f"[image] expected a file or a folder, there is no {printable(text)!r}: {cure}")


def _is_stream(value: Any) -> bool:
    """Whether the images of `value` come into being while it is walked."""
    if is_path(value) or isinstance(value, (bytes, bytearray, memoryview, Mapping)) or _is_pil(value):
        return False
    if any(hasattr(value, name) for name in ("read", "__array__", "__dlpack__")):
        return False
    if isinstance(value, (list, tuple)):
        return any(map(_is_stream, value))
    return _is_iterable(value)


def _is_iterable(value: Any) -> bool:
    return isinstance(value, Iterable) or (hasattr(value, "__getitem__") and hasattr(value, "__len__"))


def _of_folder(folder: str | os.PathLike[str], reports: list[Report]) -> Iterator[tuple[str, Any]]:
    found = read_collection(folder)
    reports.append(found.report)
    if not found.paths:
        seen = f" ({found.report.summary})" if found.report.summary else ""
        raise FormatError(f"[image] expected image files in folder {os.fspath(folder)}, found none{seen}")
    yield from (("", found.paths[i]) for i in found.by_path)


def _of_mapping(value: Mapping[Any, Any]) -> tuple[str, Any]:
    """The image of a dict as Hugging Face's data sets have: its bytes, or for want of them the file at its path."""
    data: Any = value.get("bytes")
    path: Any = value.get("path")
    if isinstance(data, (bytes, bytearray, memoryview)):
        return (printable(os.fspath(path)) if is_path(path) else "", bytes(data))
    if data is None and is_path(path) and not os.path.isdir(path):
        return "", path
    keys = ", ".join(repr(key) for key in list(value)[:5])
    raise ConfigError(
        f"[image] expected a dict with an image's 'bytes' or 'path', got one with {keys or 'nothing'}: of a row of a "
        "data set pass the image, e.g. row['image']"
    )


def _name_of(file: Any) -> str:
    """What a file is called: a file on disk or in an archive, or an upload."""
    for name in (getattr(file, "name", None), getattr(file, "filename", None)):
        if isinstance(name, str) and name:
            return printable(name)
    return ""


def _is_pil(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def _from_array(array: NDArray[Any], copy: bool) -> list[NDArray[Any]]:
    """Checks an image (H,W[,C]) or a batch (N,H,W,C) and brings it to contiguous uint8 or float32 (H,W,3)."""
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        hint = "; 16-bit samples: pass (a >> 8).astype(np.uint8)" if array.dtype == np.uint16 else ""
        raise ShapeError(f"[image] expected dtype uint8 (0..255) or float ([0,1]), got {array.dtype}{hint}")
    shape = array.shape
    if array.ndim not in (2, 3, 4) or (array.ndim > 2 and shape[-1] not in (1, 3, 4)):
        hint = "; move the channels to the last axis" if array.ndim > 2 and shape[-3] in (1, 3, 4) else ""
        raise ShapeError(
            f"[image] expected shape (H,W), (H,W,C) or (N,H,W,C) with 1, 3 or 4 channels C, got {shape}{hint}"
        )
    batch = array if array.ndim == 4 else array[None] if array.ndim == 3 else array[None, :, :, None]
    if 0 in batch.shape[1:]:
        raise ShapeError(f"[image] expected images of at least 1 x 1 pixels, got shape {shape}")
    if batch.shape[-1] == 1:
        batch = np.broadcast_to(batch, (*batch.shape[:3], 3))
    if array.dtype == np.uint8:
        return [np.array(i[..., :3], order="C") if copy else np.ascontiguousarray(i[..., :3]) for i in batch]
    return [_checked_float(image[..., :3]) for image in batch]


def _checked_float(image: NDArray[Any]) -> NDArray[np.float32]:
    low, high = float(image.min()), float(image.max())
    # Half a step of bfloat16 at 1 is rounding, not another range; NaN fails the comparison.
    if not (low >= -0.002 and high <= 1.002):
        raise ShapeError(
            f"[image] expected float pixels in [0,1], got {low:g}..{high:g}: divide by 255 or pass uint8; "
            "images that are already normalised go to the model itself"
        )
    return image.astype(np.float32, order="C")  # always a copy
