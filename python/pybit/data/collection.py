# SPDX-License-Identifier: Apache-2.0
"""Folders of images as one reader understands them, for training, evaluation, embedding and prediction alike."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pybit import _core
from pybit.data.pillow import missing_extras, register_plugins
from pybit.data.sources import printable

ClassOrder = Literal["natural", "lexical"]

# Pillow opens these, but they are data, videos or drawings, or need a program that is rarely there.
_NO_PHOTOS = {".bufr", ".emf", ".eps", ".grib", ".h5", ".hdf", ".mpeg", ".mpg", ".ps", ".wmf", ".fit", ".fits", ".iim"}

# What the extension module says of image files that neither it nor Pillow reads.
_NOT_READ = "in image formats that are not read here"


class LeftOut(NamedTuple):
    """A file or a folder, with all below it, that is not in a collection."""

    path: str
    """Where it is."""
    reason: str
    """Why, in a few words that the summary uses as well."""


@dataclass(frozen=True)
class Report:
    """What was taken from folders, and what was left out and why."""

    taken: int
    """The number of images."""
    splits: dict[str, int]
    """The number of images of each split that is there: "train", "validation", "test"; "whole" where none is named."""
    classes: dict[str, int]
    """The number of images of each class, by its name; empty without classes."""
    left_out: tuple[LeftOut, ...]
    """Every entry that was left out, hidden ones too."""
    notes: tuple[str, ...]
    """Sentences about how the folders were understood, where that was a decision."""
    summary: str
    """One line about what was left out and the notes; empty if there are none and nothing but hidden entries was."""

    def as_dict(self) -> dict[str, Any]:
        """The report as values that JSON has."""
        left_out = [{"path": printable(entry.path), "reason": entry.reason} for entry in self.left_out]
        return {
            "taken": self.taken,
            "splits": self.splits,
            "classes": self.classes,
            "left_out": left_out,
            "notes": list(self.notes),
            "summary": self.summary,
        }

    def warn(self) -> None:
        """Show the summary as a UserWarning, if there is one."""
        if self.summary:
            warnings.warn(self.summary, UserWarning, stacklevel=3)


@dataclass(frozen=True)
class Collection:
    """The images of a folder, by split, class and natural order of their paths; made by :func:`read_collection`."""

    paths: list[Path]
    """The image files."""
    splits: list[str]
    """The split of each image: "train", "validation", "test", or "whole" where no folder names one."""
    labels: list[int | None]
    """The class of each image, into `class_names`; None in a folder without classes."""
    class_names: list[str]
    """The names of the classes; bytes that are not UTF-8 are escaped."""
    by_path: list[int]
    """Positions of the images in natural order of their paths, whatever their classes."""
    report: Report
    """What was taken and what was left out."""


def report_of(found: tuple[Any, ...]) -> Report:
    """The report that a tuple of the extension module stands for, with a note on what would read formats left out."""
    taken, splits, classes, left_out, notes, summary = found
    entries = tuple(LeftOut(*entry) for entry in left_out)
    extras = extras_for(entries)
    if extras:
        notes, summary = [*notes, extras], f"{summary}; {extras}"
    return Report(taken, splits, classes, entries, tuple(notes), summary)


def extras_for(left_out: Iterable[LeftOut]) -> str:
    """What to install to read the images among these entries that nothing reads here; empty for nothing."""
    return missing_extras({os.path.splitext(e.path)[1].lower() for e in left_out if e.reason == _NOT_READ})


def read_collection(folder: str | os.PathLike[str], order: ClassOrder = "natural") -> Collection:
    """Read a folder: which files are images, which class and split each belongs to, and what was left out.

    Files count by their suffix, or by their first bytes where the suffix is unknown; formats that only Pillow reads
    count where Pillow is installed. Hidden entries, what systems leave behind (`@eaDir`, `__MACOSX`, `Thumbs.db`),
    links that repeat a file and broken links do not. Folders named train, val, test and the like, in any case and
    spelling, are splits, the folders in them classes. `order` numbers the classes: "natural" ("2" before "10") or
    "lexical". Nothing depends on the order in which the file system lists its entries.

    Raises OSError for a folder that cannot be listed, ConfigError for another order.
    """
    paths, splits, labels, by_path, class_names, report = _core.read_collection(folder, order, other_suffixes())
    return Collection(paths, splits, labels, class_names, by_path, report_of(report))


def other_suffixes() -> list[str]:
    """Suffixes of the image formats that Pillow adds, empty without Pillow."""
    try:
        register_plugins()
    except ImportError:
        return []
    from PIL import Image

    readable = Image.registered_extensions().items()
    return sorted(suffix for suffix, name in readable if name in Image.OPEN and suffix not in _NO_PHOTOS)


def joined(reports: Iterable[Report]) -> Report | None:
    """One report for several folders; None for none."""
    parts = list(reports)
    if len(parts) < 2:
        return parts[0] if parts else None
    splits: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for part in parts:
        splits.update(part.splits)
        classes.update(part.classes)
    return Report(
        sum(part.taken for part in parts),
        dict(splits),
        dict(classes),
        tuple(entry for part in parts for entry in part.left_out),
        tuple(note for part in parts for note in part.notes),
        "; ".join(part.summary for part in parts if part.summary),
    )
