# SPDX-License-Identifier: Apache-2.0
"""Labelled images for training and evaluation: folders, CIFAR archives, CSV lists, NumPy arrays.

    train, validation = pybit.datasets.open("photos/")
    for batch in train.batches(32, resize=160, crop=128, seed=1):
        batch.images, batch.labels

Everything random is a function of a seed and of positions, never of what was drawn before: a loader that starts at step
1000 hands out what one that has run from step 0 hands out there, with any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.data.dataset import BatchLoader, Dataset, LabelledBatch, SkippedExample, Splits, splits_of
from pybit.errors import ConfigError, FormatError, ShapeError

__all__ = ["BatchLoader", "Dataset", "LabelledBatch", "SkippedExample", "Splits", "open"]

ClassOrder = Literal["natural", "lexical"]
# More classes than any data set has: a label that large is a mistake, and its names would fill the memory.
_MOST_CLASSES = 1 << 20
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
) -> Splits:
    """The training and validation set in `source`.

    Args:
        source: one of

            - a folder with train/ and val/ (or valid/, validation/, test/), each with one folder of images per class;
            - a folder with one folder of images per class, which is split;
            - CIFAR-10 or CIFAR-100: the archive (cifar-10-python.tar.gz, cifar-100-binary.tar.gz, ...), the folder that
              it unpacks to, or a folder that holds either; pickles are read without executing them;
            - a CSV list with a path and a label per line, paths relative to the list, which is split;
            - a pair (images, labels): uint8 images (n,H,W,3), (n,H,W,1) or (n,H,W), or paths; labels are whole numbers
              or names.
        validation: a second list or pair to validate on, with the same classes; then nothing is split off.
        class_names: of lists and pairs, by label; None: the labels themselves in natural order ("2" before "10").
        validation_fraction, seed: part of each class that is split off where the source has no validation set.
        order: how the classes of folders are numbered: "natural", or "lexical" as torchvision and bit_pytorch.
        cifar_labels: "fine" (100 classes) or "coarse" (20) for CIFAR-100.

    Raises:
        ConfigError, ShapeError: options, labels or arrays that are none, a folder without images or classes.
        FormatError: files of another kind, damaged archives or lists, with their names.
        OSError: files that cannot be read.

    Example:
        >>> train, validation = open((np.zeros((10, 8, 8, 3), np.uint8), ["cat", "dog"] * 5))
        >>> train
        <Dataset: 8 images of 2 classes from arrays>
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix.lower() != ".csv":
            if validation is not None or class_names is not None:
                raise ConfigError("[data] expected validation= and class_names= with a CSV list or a pair only")
            return _of_path(path, order, validation_fraction, seed, cifar_labels)
    train = _listed(source, class_names)
    if validation is None:
        return train.split(validation_fraction, seed)
    return Splits(train, _listed(validation, train.class_names))


def _of_path(path: Path, order: str, fraction: float, seed: int, cifar_labels: str) -> Splits:
    if cifar_labels not in ("fine", "coarse"):
        raise ConfigError(f"[data] expected cifar_labels 'fine' or 'coarse', got '{cifar_labels}'")
    if not path.exists():
        raise FileNotFoundError(f"[data] expected a folder, a CSV list or a CIFAR archive at {path}, nothing is there")
    if path.is_file() and not path.name.lower().endswith(_ARCHIVES):
        raise FormatError(
            f"[data] expected a folder with one folder of images per class, a CSV list (.csv) or a CIFAR archive "
            f"({', '.join(_ARCHIVES)}), got the file {path}"
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
    return splits_of(_core.open_image_folder(path, order, fraction, seed), str(path))


def _listed(source: Any, class_names: Sequence[str] | None) -> Dataset:
    """A CSV list or a pair (images, labels)."""
    if isinstance(source, (str, os.PathLike)):
        return Dataset(_core.open_csv(source, list(class_names or [])), os.fspath(source))
    if not isinstance(source, (tuple, list)) or len(source) != 2:
        raise ConfigError(
            f"[data] expected a path or a pair (images, labels), got {type(source).__name__}; see pybit.datasets.open"
        )
    images, given = source
    labels, classes = _numbered(np.asarray(given), class_names)
    if isinstance(images, (list, tuple)) and images and all(isinstance(v, (str, os.PathLike)) for v in images):
        return Dataset(_core.Dataset.from_files(images, labels, classes), "files")
    pixels = np.asarray(images)
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3)):
        raise ShapeError(
            "[data] expected uint8 images (n,H,W,3), (n,H,W,1) or (n,H,W), or a list of paths, "
            f"got {pixels.dtype} {pixels.shape}"
        )
    if pixels.ndim == 3 or pixels.shape[3] == 1:
        pixels = np.broadcast_to(pixels.reshape((*pixels.shape[:3], 1)), (*pixels.shape[:3], 3))
    return Dataset(_core.Dataset.from_array(np.ascontiguousarray(pixels), labels, classes, "arrays"), "arrays")


def _numbered(labels: NDArray[Any], class_names: Sequence[str] | None) -> tuple[NDArray[np.int64], list[str]]:
    """Labels as numbers, and the names of the classes."""
    if labels.ndim != 1:
        raise ShapeError(f"[data] expected one label per image, shape (n,), got {labels.shape}")
    if labels.dtype.kind in "iu":
        top = int(labels.max(initial=-1))
        if top >= _MOST_CLASSES:
            raise ShapeError(f"[data] expected labels below {_MOST_CLASSES}, got {top}")
        return labels.astype(np.int64), list(class_names or map(str, range(top + 1)))
    if labels.dtype.kind not in "UO" or not all(isinstance(v, str) for v in labels):
        raise ShapeError(f"[data] expected labels as whole numbers or names, got {labels.dtype}")
    classes = list(class_names) if class_names else _core.natural_sorted(sorted(set(labels.tolist())))
    number = {name: i for i, name in enumerate(classes)}
    unknown = [name for name in labels.tolist() if name not in number]
    if unknown:
        raise ConfigError(f"[data] expected labels among the {len(classes)} class names, got '{unknown[0]}'")
    return np.array([number[name] for name in labels.tolist()], np.int64), classes
