# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found: numbers, classes that were taken for others, and each image's prediction."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pybit.base.files import complete_file
from pybit.data.batches import Skipped
from pybit.evaluation.metrics import Metrics
from pybit.inference.tables import write_parquet

MANY_CLASSES = 100
"""Tables of predictions have a column per class up to this many; beyond, they would be larger than the images."""


@dataclass(frozen=True, eq=False)
class PerClass:
    """Which class was taken for which."""

    names: tuple[str, ...]
    confusion: NDArray[np.int64]
    """The number of images of the row's class that were taken for the column's, (classes, classes)."""

    @property
    def examples(self) -> NDArray[np.int64]:
        """The number of images of each class, (classes)."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """The part of each class that was found, (classes); NaN for classes without images."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.confusion.diagonal() / self.examples)

    def most_confused(self, count: int = 5) -> list[tuple[str, str, int]]:
        """The `count` commonest mistakes as (class, what it was taken for, how often), the commonest first."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = [(int(i) // len(self.names), int(i) % len(self.names)) for i in order]
        return [(self.names[a], self.names[b], int(wrong[a, b])) for a, b in pairs if wrong[a, b]]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the confusion matrix as a table (.csv), with a row per class and a column per prediction, or a picture
        (.png).

        Raises ConfigError for another ending, OSError if the file cannot be written, ImportError for a picture without
        matplotlib.
        """
        from pybit.evaluation.confusion import save

        save(self.confusion, self.names, os.fspath(path))


@dataclass(frozen=True, eq=False, repr=False)
class ImagePredictions:
    """What each measured image shows and what it was taken for, in the order of the data set."""

    paths: tuple[str, ...]
    """The path of each image, or what messages call it, (n)."""
    names: tuple[str, ...]
    """The classes that were told apart, (classes)."""
    truth: NDArray[np.int64]
    """The class of each image, into `names`, (n)."""
    predicted: NDArray[np.int64]
    """What it was taken for, (n)."""
    probabilities: NDArray[np.float64]
    """The probability of each class, (n, classes)."""

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<ImagePredictions: {len(self)} images, {len(self.names)} classes>"

    def columns(self) -> dict[str, Any]:
        """The columns of a table: path, truth, prediction, probability, probability_of_truth, and p_NAME for each class
        where there are at most 100."""
        rows = np.arange(len(self))
        table: dict[str, Any] = {
            "path": list(self.paths),
            "truth": [self.names[i] for i in self.truth],
            "prediction": [self.names[i] for i in self.predicted],
            "probability": self.probabilities[rows, self.predicted],
            "probability_of_truth": self.probabilities[rows, self.truth],
        }
        if len(self.names) <= MANY_CLASSES:
            table |= {f"p_{name}": self.probabilities[:, i] for i, name in enumerate(self.names)}
        return table

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table of `columns` as .csv or .parquet, which needs pyarrow.

        The file is complete or not there. Raises ConfigError for another ending, OSError, and ImportError without
        pyarrow.
        """
        text, table = os.fspath(path), self.columns()
        if text.lower().endswith(".parquet"):
            write_parquet(text, [table])
            return
        with complete_file(text, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            columns = [c.tolist() if isinstance(c, np.ndarray) else c for c in table.values()]
            writer.writerows(zip(*columns, strict=True))


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on a number of examples."""

    examples: int
    """The number of images that were measured."""
    loss: float
    """The mean softmax cross-entropy."""
    top1: float
    """The part, in [0,1], of images whose class is the likeliest."""
    top5: float
    """The part, in [0,1], of images whose class is among the five likeliest."""
    classes: PerClass | None = None
    """What each class was taken for; None without per_class=True."""
    metrics: Metrics | None = field(default=None, repr=False)
    """Precision, recall, F1, balanced accuracy, AUROC and more; None where they were not asked for."""
    predictions: ImagePredictions | None = field(default=None, repr=False, compare=False)
    """What each image was taken for; None without predictions=True."""
    measured: tuple[str, ...] | None = field(default=None, repr=False, compare=False)
    """The classes that were told apart with classes="present"; None for all of the model's."""
    matched_by: str = field(default="", repr=False, compare=False)
    """How the data set's classes were found among the model's, in words."""
    skipped: tuple[Skipped, ...] = field(default=(), repr=False, compare=False)
    """The images that could not be read and were left out."""
