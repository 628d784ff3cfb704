# SPDX-License-Identifier: Apache-2.0
"""How good a model is on labelled images."""

from __future__ import annotations

import dataclasses
import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.data.dataset import Dataset
from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError
from pybit.model.create import load
from pybit.model.model import Model


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


def evaluate(
    model: Model | str | os.PathLike[str],
    data: Dataset,
    *,
    size: int | None = None,
    preprocessing: PreprocessSpec | None = None,
    per_class: bool = False,
    batch: int = 32,
    workers: int = 0,
    skip_corrupt: bool = False,
    threads: int = 0,
) -> Evaluation:
    """Loss, top-1 and top-5 of a model on labelled images.

    Args:
        model: a model, or a checkpoint file of any supported format.
        data: a part of what :func:`pybit.datasets.open` returns, with the model's classes or some of them. They are
            matched by name; a UserWarning names classes without images.
        size: side of the input instead of the model's own.
        preprocessing: instead of `model.preprocessing`, which for a fine-tuned model is its run's: squashed.
        per_class: also count what each class was taken for: `.classes.accuracy`, `.classes.confusion`.
        batch: images at a time; the last, smaller batch counts by its images.
        workers: threads that decode; 0: one per processor, at most 8.
        skip_corrupt: leave out images that cannot be read, which do not count then.
        threads: that compute; 0: all allowed.

    With fewer than five classes top-5 counts them all. Raises ConfigError if the set has classes that the model lacks
    and for an input that is not square, FormatError for damaged images, OSError for images that cannot be read.
    """
    if isinstance(model, (str, os.PathLike)):
        model = load(model)
    if model.labels is not None and tuple(model.labels) != tuple(data.class_names):
        if not {name for name, images in data.counts.items() if images} <= set(model.labels):
            raise ConfigError(
                f"[evaluate] the model's classes are not the data set's: {_some(model.labels)} and "
                f"{_some(data.class_names)}"
            )
        data = data.with_classes(model.labels)
        absent = [name for name, images in data.counts.items() if not images]
        if absent:
            text = f"{len(absent)} of the model's {len(model.labels)} classes have no images here: {_some(absent)}"
            warnings.warn(text, UserWarning, stacklevel=2)
    spec = model.preprocessing if preprocessing is None else preprocessing
    if size is not None:
        spec = dataclasses.replace(spec, size=size)
    network = model.loaded.network
    checkpoint = network.checkpoint()
    found = _core.evaluate(
        checkpoint,
        network.config,
        data.core,
        dataclasses.replace(spec, layout="nchw").core(),
        batch=batch,
        workers=workers,
        skip_corrupt=skip_corrupt,
        threads=threads,
        keep_pairs=per_class,
    )
    pairs = found.pop("pairs", None)
    if pairs is None:
        return Evaluation(**found)
    names = tuple(data.class_names)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (pairs[:, 0], pairs[:, 1]), 1)
    return Evaluation(**found, classes=PerClass(names, confusion))


def _some(names: Any) -> str:
    return ", ".join(list(names)[:3]) + (", ..." if len(names) > 3 else "")
