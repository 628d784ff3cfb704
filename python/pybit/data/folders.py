# SPDX-License-Identifier: Apache-2.0
"""Classes of images from the folders that they lie in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pybit import _core
from pybit.data.images import list_images


class Labelled(NamedTuple):
    """Files with the numbers of their classes."""

    paths: list[Path]
    labels: list[int]
    class_names: list[str]


def labelled_files(inputs: Any) -> Labelled | None:
    """The files of a folder whose images have classes, or of several such folders, whose classes are joined by name.

    Which folders are classes, which are splits and what is left out is told by `read_collection`, as for training.
    Several folders of images without classes are one class each, by their own names. None for anything else: a single
    folder without classes, files, images in memory, or a mixture. Raises OSError for a folder that cannot be listed.
    """
    if isinstance(inputs, (str, os.PathLike)):
        return _of_folder(inputs) if _is_folder(inputs) else None
    if not isinstance(inputs, Sequence) or not inputs or not all(_is_folder(v) for v in inputs):
        return None
    parts = [_of_folder(folder) for folder in inputs]
    labelled = [part for part in parts if part is not None]
    if len(labelled) == len(parts):
        return labelled[0] if len(parts) == 1 else _joined(labelled)
    if labelled or len(inputs) == 1:
        return None
    files = [(path, Path(os.path.abspath(folder)).name) for folder in inputs for path in list_images(folder)]
    return _numbered(files, {name for _, name in files})


def _is_folder(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and os.path.isdir(value)


def _of_folder(folder: str | os.PathLike[str]) -> Labelled | None:
    """The images of one folder, all splits together; None if they have no classes."""
    paths, _, labels, classes, *_ = _core.read_collection(folder, "natural", [])
    known = [label for label in labels if label is not None]
    return Labelled(paths, known, classes) if classes and len(known) == len(paths) else None


def _joined(parts: list[Labelled]) -> Labelled:
    files = [
        (path, part.class_names[label]) for part in parts for path, label in zip(part.paths, part.labels, strict=True)
    ]
    return _numbered(files, {name for part in parts for name in part.class_names})


def _numbered(files: list[tuple[Path, str]], names: set[str]) -> Labelled:
    """Numbers the classes in natural order, "2" before "10"."""
    # Text and numbers alternate in the split, so that only like is compared with like.
    ordered = sorted(names, key=lambda name: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", name)])
    number = {name: i for i, name in enumerate(ordered)}
    return Labelled([path for path, _ in files], [number[name] for _, name in files], ordered)
