# SPDX-License-Identifier: Apache-2.0
"""Classes of images from the folders that they lie in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pybit.data.images import list_images, list_labelled_images


class Labelled(NamedTuple):
    """Files with the numbers of their classes."""

    paths: list[Path]
    labels: list[int]
    class_names: list[str]


def labelled_files(inputs: Any) -> Labelled | None:
    """The files of a folder with one folder per class, or of several such folders, whose classes are joined by name.

    Several folders of images alone are one class each, by their own names. None for anything else: a single folder
    without subfolders, files, images in memory, or a mixture.
    """
    if isinstance(inputs, (str, os.PathLike)):
        return _of_subfolders([Path(inputs)]) if _is_nested(inputs) else None
    if not isinstance(inputs, Sequence) or not inputs or not all(_is_folder(v) for v in inputs):
        return None
    nested = [_is_nested(folder) for folder in inputs]
    if all(nested):
        return _of_subfolders([Path(folder) for folder in inputs])
    if any(nested) or len(inputs) == 1:
        return None
    files = [(path, Path(os.path.abspath(folder)).name) for folder in inputs for path in list_images(folder)]
    return _numbered(files, {name for _, name in files})


def _is_folder(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and os.path.isdir(value)


def _is_nested(folder: str | os.PathLike[str]) -> bool:
    return os.path.isdir(folder) and any(entry.is_dir() for entry in Path(folder).iterdir())


def _of_subfolders(folders: list[Path]) -> Labelled:
    found = [Labelled(*list_labelled_images(folder)) for folder in folders]
    if len(found) == 1:
        return found[0]
    files = [
        (path, part.class_names[label]) for part in found for path, label in zip(part.paths, part.labels, strict=True)
    ]
    return _numbered(files, {name for part in found for name in part.class_names})


def _numbered(files: list[tuple[Path, str]], names: set[str]) -> Labelled:
    """Numbers the classes in natural order, "2" before "10"."""
    # Text and numbers alternate in the split, so that only like is compared with like.
    ordered = sorted(names, key=lambda name: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", name)])
    number = {name: i for i, name in enumerate(ordered)}
    return Labelled([path for path, _ in files], [number[name] for _, name in files], ordered)
