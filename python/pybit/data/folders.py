# SPDX-License-Identifier: Apache-2.0
"""Classes of images from the folders that they lie in, or from a list."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pybit import _core
from pybit.data.collection import Collection, Report, joined, read_collection

LISTS = (".csv", ".tsv", ".txt")
"""The suffixes of files that list images, in lower case."""


class Labelled(NamedTuple):
    """Files with the numbers of their classes."""

    paths: list[Path]
    labels: list[int]
    class_names: list[str]
    report: Report | None
    """What was taken from the folders and what was left out; None for a list."""


def labelled_files(inputs: Any) -> Labelled | None:
    """The files of a folder whose images have classes, or of several such folders, whose classes are joined by name.

    Which folders are classes, which are splits and what is left out is told by `read_collection`, as for training.
    Several folders of images without classes are one class each, by their own names. None for anything else: a single
    folder without classes, files, images in memory, or a mixture. A list of files with labels (.csv, .tsv) tells their
    classes, too. Raises OSError for a folder that cannot be listed.
    """
    if isinstance(inputs, Labelled):
        return inputs
    if is_list(inputs):
        return labelled_list(inputs)
    if isinstance(inputs, (str, os.PathLike)):
        return _labelled(read_collection(inputs)) if _is_folder(inputs) else None
    if not isinstance(inputs, Sequence) or not inputs or not all(_is_folder(v) for v in inputs):
        return None
    found = [read_collection(folder) for folder in inputs]
    report = joined(part.report for part in found)
    assert report is not None  # there is a folder
    parts = [_labelled(part) for part in found]
    labelled = [part for part in parts if part is not None]
    if len(labelled) == len(parts):
        return labelled[0] if len(parts) == 1 else _joined(labelled, report)
    if labelled or len(inputs) == 1:
        return None
    files = [
        (part.paths[i], Path(os.path.abspath(folder)).name)
        for folder, part in zip(inputs, found, strict=True)
        for i in part.by_path
    ]
    return _numbered(files, {name for _, name in files}, report)


def labelled_list(path: str | os.PathLike[str], **reading: str) -> Labelled:
    """The files and labels of a list; `reading` are its options as :func:`pybit.datasets.open` has them.

    Raises OSError if the list cannot be read, FormatError, with the line's number, for one that is malformed.
    """
    usual = {"path_column": "", "label_column": "", "separator": "", "encoding": "utf-8"}
    found = _core.open_csv(path, [], **usual | reading, fallback=None, max_pixels=None)
    paths = [Path(found.name(i)) for i in range(len(found))]
    return Labelled(paths, found.labels.tolist(), found.class_names, None)


def is_list(value: Any) -> bool:
    """Whether a value names a file that lists images."""
    return isinstance(value, (str, os.PathLike)) and os.fspath(value).lower().endswith(LISTS) and os.path.isfile(value)


def _is_folder(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and os.path.isdir(value)


def _labelled(found: Collection) -> Labelled | None:
    """The images of one folder, all splits together; None if there are none or they have no classes."""
    known = [label for label in found.labels if label is not None]
    if not found.paths or len(known) < len(found.paths):
        return None
    return Labelled(found.paths, known, found.class_names, found.report)


def _joined(parts: list[Labelled], report: Report) -> Labelled:
    files = [
        (path, part.class_names[label]) for part in parts for path, label in zip(part.paths, part.labels, strict=True)
    ]
    return _numbered(files, {name for part in parts for name in part.class_names}, report)


def _numbered(files: list[tuple[Path, str]], names: set[str], report: Report) -> Labelled:
    """Numbers the classes in natural order, "2" before "10"."""
    # Text and numbers alternate in the split, so that only like is compared with like.
    ordered = sorted(names, key=lambda name: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", name)])
    number = {name: i for i, name in enumerate(ordered)}
    return Labelled([path for path, _ in files], [number[name] for _, name in files], ordered, report)
