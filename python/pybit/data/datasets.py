# SPDX-License-Identifier: Apache-2.0
"""Labelled images for training and evaluation: folders, CIFAR archives, CSV lists, NumPy arrays.

    train, validation = pybit.datasets.open("photos/")
    for batch in train.batches(32, resize=160, crop=128, seed=1):
        batch.images, batch.labels

Everything random is a function of a seed and of positions, never of what was drawn before: a loader that starts at step
1000 hands out what one that has run from step 0 hands out there, with any number of threads.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.data.collection import ClassOrder, Report, extras_for, other_suffixes, read_collection, report_of
from pybit.data.dataset import BatchLoader, Dataset, LabelledBatch, SkippedExample, Splits, splits_of
from pybit.data.folders import LISTS
from pybit.data.foreign import foreign, numbers_of, parts_of
from pybit.data.inputs import collect, is_path
from pybit.data.numbering import numbered
from pybit.data.options import check_max_pixels
from pybit.data.sources import FileReader, ImageReader, prepare, printable
from pybit.errors import ConfigError, FormatError, ShapeError

__all__ = ["BatchLoader", "Dataset", "LabelledBatch", "SkippedExample", "Splits", "open"]

_ARCHIVES = (".tar", ".tar.gz", ".tgz")


def open(
    source: Any,
    *,
    validation: Any = None,
    class_names: Sequence[str] | None = None,
    validation_fraction: float = 0.2,
    seed: int = 0,
    order: ClassOrder = "natural",
    cifar_labels: Literal["fine", "coarse"] = "fine",
    path_column: str = "",
    label_column: str = "",
    separator: str = "",
    encoding: str = "utf-8",
    needs_train: bool = True,
    max_pixels: int | None = None,
) -> Splits:
    """The training and validation set in `source`.

    Args:
        source: one of

            - a folder with train/ and val/ (or another spelling, or test/), each with one folder of images per class;
            - a folder with one folder of images per class, which is split; :func:`pybit.data.read_collection` says how
              folders are understood, `.train.report` what was taken and left out, and a UserWarning sums it up;
            - CIFAR-10 or CIFAR-100: the archive (cifar-10-python.tar.gz, cifar-100-binary.tar.gz, ...), the folder that
              it unpacks to, or a folder that holds either; pickles are read without executing them;
            - a list (.csv, .tsv) with a path and a label per line, paths relative to the list, which is split;
            - a pair (images, labels): uint8 images (n,H,W,3), (n,H,W,4), (n,H,W,1) or (n,H,W), or several of what
              `pybit.data` calls an image, of any sizes: paths and bytes are decoded when they are asked for. Labels are
              names, whole numbers, booleans or one-hot rows, one per image, as a list, an array or a table's column.
            - pairs [(image, label), ...], a table with columns of paths and labels (pandas, polars), a data set of
              torch or torchvision without transforms, or of Hugging Face, or a dict of these with "train" and perhaps
              "validation" or "test".
        validation: a second one of these to validate on, with the same classes; then nothing is split off.
        class_names: of lists and pairs, by label; None: the labels themselves in natural order ("2" before "10").
        validation_fraction, seed: part of each class that is split off where the source has no validation set.
        order: how the classes of folders are numbered: "natural", or "lexical" as torchvision and bit_pytorch.
        cifar_labels: "fine" (100 classes) or "coarse" (20) for CIFAR-100.
        path_column, label_column: names of a list's columns; "": usual ones (path, file_name, image, ...; label, class,
            target, ...) if the first line is a header, otherwise the first two columns.
        separator: between a list's fields; "": comma, semicolon, tab or bar, the commonest in its first line.
        encoding: of a list: "utf-8", "latin-1" or "cp1252"; UTF-16 is known by its first bytes.
        needs_train: False: to measure only; a folder with val/ or test/ alone will do, and its training set is empty.
        max_pixels: larger images are refused when they are asked for; None: BIT_MAX_PIXELS of the environment, or
            178,956,970.

    Raises:
        ConfigError, ShapeError: options, labels or arrays that are none, a folder without images or classes.
        FormatError: files of another kind, damaged archives or lists, with their names.
        OSError: files that cannot be read.

    Example:
        >>> train, validation = open((np.zeros((10, 8, 8, 3), np.uint8), ["cat", "dog"] * 5))
        >>> train
        <Dataset: 8 images of 2 classes from arrays>
    """
    check_max_pixels(max_pixels)
    reading = {
        "path_column": path_column,
        "label_column": label_column,
        "separator": separator,
        "encoding": encoding,
    }
    if validation is None and (parts := parts_of(source)) is not None:
        source, validation = parts
    if validation is not None:
        validation_fraction = 0.0
    if is_path(source) and not os.fspath(source).lower().endswith(LISTS):
        if class_names is not None or (validation is None and (path_column or label_column or separator)):
            raise ConfigError(
                "[data] expected class_names=, path_column=, label_column= and separator= "
                "with a CSV list or a pair only"
            )
        found = _of_path(Path(source), order, validation_fraction, seed, cifar_labels, needs_train, max_pixels)
        if validation is None:
            return found
        if len(found.validation):
            raise ConfigError(f"[data] {source} has a part for validation: expected no validation= beside it")
        train = found.train
    else:
        train = _listed(source, class_names, reading, max_pixels)
        if validation is None:
            return train.split(validation_fraction, seed)
    if not is_path(validation) or os.fspath(validation).lower().endswith(LISTS):
        return Splits(train, _listed(validation, train.class_names, reading, max_pixels))
    parts = _of_path(Path(validation), order, 0.0, seed, cifar_labels, False, max_pixels)
    held_out = parts.validation if len(parts.validation) else parts.train
    return Splits(train, held_out.with_classes(train.class_names))


def _of_path(
    path: Path,
    order: str,
    fraction: float,
    seed: int,
    cifar_labels: str,
    needs_train: bool,
    max_pixels: int | None,
) -> Splits:
    if cifar_labels not in ("fine", "coarse"):
        raise ConfigError(f"[data] expected cifar_labels 'fine' or 'coarse', got '{cifar_labels}'")
    if not path.exists():
        raise FileNotFoundError(f"[data] expected a folder, a CSV list or a CIFAR archive at {path}, nothing is there")
    if path.is_file() and not path.name.lower().endswith(_ARCHIVES):
        raise FormatError(
            f"[data] expected a folder with one folder of images per class, a list ({', '.join(LISTS)}) or a CIFAR "
            f"archive ({', '.join(_ARCHIVES)}), got the file {path}"
        )
    from pybit.formats import cifar_pickle

    pickled = cifar_pickle.find(path)
    if pickled is not None:
        parts = cifar_pickle.read(pickled, coarse=cifar_labels == "coarse")
        names = (f"{pickled}, training set", f"{pickled}, test set")
        return Splits(
            *(
                Dataset(_core.Dataset.from_array(p.pixels, p.labels, p.class_names, name), str(pickled))
                for p, name in zip(parts, names, strict=True)
            )
        )
    if path.is_file() or _core.is_cifar_binary(path):
        return splits_of(_core.open_cifar_binary(path, cifar_labels), str(path))
    reader = FileReader(max_pixels)
    try:
        train, validation, found = _core.open_image_folder(
            path, order, fraction, seed, other_suffixes(), reader, needs_train, max_pixels
        )
    except ConfigError as error:
        extras = extras_for(read_collection(path).report.left_out)
        if not extras:
            raise
        raise ConfigError(f"{error}; {extras}") from None
    report = _with_unused(report_of(found))
    report.warn()
    return splits_of((train, validation), str(path), report)


def _with_unused(report: Report) -> Report:
    """The report with a note on a test set that is neither trained nor measured on."""
    unused = report.splits.get("test", 0) if report.splits.get("validation") else 0
    if not unused:
        return report
    note = f"the {unused} images of the test set are not used, since there is a validation set"
    summary = f"{report.summary}; {note}" if report.summary else note
    return dataclasses.replace(report, notes=(*report.notes, note), summary=summary)


def _listed(source: Any, class_names: Sequence[str] | None, reading: dict[str, Any], max_pixels: int | None) -> Dataset:
    """A CSV list or a pair (images, labels)."""
    if is_path(source):
        found = _core.open_csv(
            source, list(class_names or []), **reading, fallback=FileReader(max_pixels), max_pixels=max_pixels
        )
        return Dataset(found, os.fspath(source))
    other = foreign(source, reading["path_column"], reading["label_column"], max_pixels)
    if other is not None:
        numbers, names = numbers_of(other, class_names)
        if other.reader is not None:
            titles = [f"image {i}" for i in range(len(numbers))]
            return Dataset(_core.open_images(other.reader, numbers, names, titles), type(source).__name__)
        source, class_names = (other.images, numbers), names
    if not isinstance(source, (tuple, list)) or len(source) != 2:
        raise ConfigError(
            "[data] expected a path, a pair (images, labels), pairs [(image, label), ...], a table, or a data set of "
            f"torch or Hugging Face, got {type(source).__name__}; see pybit.datasets.open"
        )
    labels, classes = numbered(source[1], class_names)
    pixels = _one_array(source[0])
    if pixels is not None:
        _check_count(len(pixels), len(labels))
        return Dataset(_core.Dataset.from_array(pixels, labels, classes, "arrays"), "arrays")
    images = list(map(prepare, collect(source[0])))
    _check_count(len(images), len(labels))
    if images and all(is_path(image.value) for image in images):
        paths = [image.value for image in images]
        return Dataset(_core.open_files(paths, labels, classes, FileReader(max_pixels), max_pixels), "files")
    for image in images:
        _check_kind(image.value)
    names = [printable(image.name) for image in images]
    return Dataset(_core.open_images(ImageReader(images, max_pixels), labels, classes, names), "images")


def _check_count(images: int, labels: int) -> None:
    if images != labels:
        raise ShapeError(f"[data] expected a label for each image, got {images} images and {labels} labels")


def _check_kind(value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype != np.uint8:
        raise ShapeError(
            f"[data] expected uint8 images, got {value.dtype}: pass np.rint(255 * images).astype(np.uint8) for "
            "values in [0,1]"
        )


def _one_array(images: Any) -> NDArray[np.uint8] | None:
    """Images of one size as (n,H,W,3) if they are an array or arrays; None for anything else."""
    if hasattr(images, "__dlpack__") and not hasattr(images, "__array__"):
        images = np.from_dlpack(images)
    if isinstance(images, (list, tuple)):
        if not images or not all(isinstance(image, np.ndarray) and image.shape == images[0].shape for image in images):
            return None
        images = np.stack(images)
    elif not hasattr(images, "__array__"):
        return None
    pixels = np.asarray(images)
    if pixels.ndim < 2:  # a column of paths or images
        return None
    if pixels.dtype != np.uint8:
        _check_kind(pixels)
    if pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3, 4)) or 0 in pixels.shape[1:]:
        raise ShapeError(
            "[data] expected uint8 images (n,H,W,3), (n,H,W,4), (n,H,W,1) or (n,H,W), or a list of images, got "
            f"{pixels.dtype} {pixels.shape}"
        )
    if pixels.ndim == 3 or pixels.shape[3] == 1:
        pixels = np.broadcast_to(pixels.reshape((*pixels.shape[:3], 1)), (*pixels.shape[:3], 3))
    return np.ascontiguousarray(pixels[..., :3])
