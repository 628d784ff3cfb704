# SPDX-License-Identifier: Apache-2.0
"""How good a model is on labelled images."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from pybit import _core, registry
from pybit.base.arrays import Array
from pybit.base.progress import progress_bar
from pybit.base.renamed import with_new_keywords
from pybit.base.sizes import whole_number
from pybit.base.threads import check_threads
from pybit.data.batches import Skipped
from pybit.data.dataset import Dataset
from pybit.data.options import PreprocessSpec
from pybit.data.sources import printable
from pybit.errors import ConfigError
from pybit.evaluation.logits import LogitsKeeper, scores
from pybit.evaluation.metrics import confusion_matrix, metrics
from pybit.evaluation.results import Evaluation as Evaluation
from pybit.evaluation.results import ImagePredictions
from pybit.evaluation.results import PerClass as PerClass
from pybit.inference.run import activation_of
from pybit.model.create import load
from pybit.model.model import Model

_ROWS = 4096
MOST_PROBABILITIES = 1 << 26
"""Metrics that need probabilities are computed by themselves for up to this many of them, 512 MiB: ImageNet's fit."""


def evaluate(
    model: Model | str | os.PathLike[str],
    data: Dataset,
    *,
    size: int | None = None,
    preprocessing: PreprocessSpec | None = None,
    per_class: bool = False,
    metrics: bool | None = None,
    predictions: bool = False,
    activation: str | None = None,
    classes: Literal["all", "present"] = "all",
    label_map: str | os.PathLike[str] | Mapping[str, int] | None = None,
    batch_size: int = 32,
    workers: int = 0,
    skip_corrupt: bool = False,
    threads: int = 0,
    progress: bool | None = None,
    **renamed: Any,
) -> Evaluation:
    """Loss, top-1, top-5 and other metrics of a model on labelled images.

    Args:
        model: a model, or a checkpoint file of any supported format.
        data: a part of what :func:`pybit.datasets.open` returns, with the model's classes or some of them. They are
            matched by name, WordNet id, number or lemma (:func:`pybit.hub.label_map.match_classes`); a UserWarning
            names classes without images.
        size: side of the input instead of the model's own.
        preprocessing: instead of `model.preprocessing`, which for a fine-tuned model is its run's: squashed.
        per_class: also count what each class was taken for: `.classes.accuracy`, `.classes.confusion`.
        metrics: also compute `.metrics`, which keeps the logits of all images; None: for up to 2^26 of them.
        predictions: also keep what each image was taken for, with all probabilities: `.predictions`.
        activation: what makes probabilities of logits: "softmax", "sigmoid", or None for what the model was trained by.
        classes: "present" leaves classes without images out of the comparison, as ImageNet-A and -R are measured, which
            have 200 of the 1000: logits of the others are dropped before anything is computed.
        label_map: a file or folder that says which class each of the data's is, or numbers by name, see
            :func:`pybit.labels.load_map`.
        batch_size: images at a time; the last, smaller batch counts by its images.
        workers: threads that decode; 0: one per processor, at most 8.
        skip_corrupt: leave out images that cannot be read, which do not count then: `.skipped`.
        threads: that compute; 0: all allowed.
        progress: show a progress bar; None: on a terminal or in a notebook, if it takes over a second.

    With fewer than five classes top-5 counts them all. Raises ConfigError if the set has classes that the model lacks
    and for an input that is not square, FormatError for damaged images, OSError for images that cannot be read.
    """
    options = with_new_keywords("evaluate", renamed)
    batch_size = options.pop("batch_size", batch_size)
    if options:
        raise TypeError(f"evaluate() got an unexpected keyword argument '{next(iter(options))}'")
    if not isinstance(data, Dataset):
        raise ConfigError(
            f"[evaluate] expected a data set, got {type(data).__name__}: pass pybit.datasets.open(path).validation, or "
            ".train with validation_fraction=0 for all images"
        )
    batch_size, workers = whole_number(batch_size, "batch_size", 1), whole_number(workers, "workers", 0)
    threads = check_threads(threads)
    if classes not in ("all", "present"):
        raise ConfigError(f"[evaluate] expected classes 'all' or 'present', got {classes!r}")
    if isinstance(model, (str, os.PathLike)):
        model = load(model)
    squash = activation_of(model.loaded if activation is None else activation)
    data, matched_by = _matched(model, data, label_map)
    counts = data.core.counts
    present = np.flatnonzero(counts) if classes == "present" and (counts == 0).any() else None
    told = len(counts) if present is None else len(present)
    _warn_of_absent(data, model, classes)
    if metrics is None:
        metrics = len(data) * told <= MOST_PROBABILITIES
    keep = metrics or predictions or present is not None
    bar = progress_bar(len(data), progress, "evaluate")
    keeper = LogitsKeeper(bar, None if present is None else present.tolist(), keep)
    spec = model.preprocessing if preprocessing is None else preprocessing
    if size is not None:
        spec = dataclasses.replace(spec, size=size)
    network = model.loaded.network
    try:
        found = _core.evaluate(
            network.checkpoint(),
            network.config,
            data.core,
            dataclasses.replace(spec, layout="nchw").core(),
            batch=batch_size,
            workers=workers,
            skip_corrupt=skip_corrupt,
            threads=threads,
            keep_pairs=per_class or keep,
            on_batch=keeper.on_batch,
            on_skipped=keeper.on_skipped,
        )
    finally:
        bar.close()
    logits = keeper.logits() if keep else np.empty((0, told), np.float32)
    truth = data.labels[keeper.indices]
    if present is not None:
        truth = np.searchsorted(present, truth)
        found = scores(logits, truth)
    pairs = found.pop("pairs", None)
    names = tuple(data.class_names if present is None else [data.class_names[i] for i in present])
    results: dict[str, Any] = {}
    if per_class:
        results["classes"] = PerClass(names, confusion_matrix(truth, pairs[:, 1], told))
    if keep:
        results |= _of_probabilities(
            _in_parts(squash, logits), truth, pairs[:, 1], names, data, keeper, metrics, predictions
        )
    skipped = tuple(Skipped(name, reason, index) for index, name, reason in keeper.skipped)
    measured = None if present is None else names
    return Evaluation(**found, **results, measured=measured, matched_by=matched_by, skipped=skipped)


def _of_probabilities(
    probabilities: Any,
    truth: Any,
    predicted: Any,
    names: tuple[str, ...],
    data: Dataset,
    keeper: LogitsKeeper,
    wants_metrics: bool,
    wants_predictions: bool,
) -> dict[str, Any]:
    results: dict[str, Any] = {}
    if wants_metrics and np.isfinite(probabilities).all():  # a diverged model has a loss, which is NaN, and no more
        results["metrics"] = metrics(truth, probabilities, predicted)
    if wants_predictions:
        paths = tuple(data.name(i) for i in keeper.indices.tolist())
        results["predictions"] = ImagePredictions(paths, names, truth, predicted, probabilities)
    return results


def _in_parts(squash: Callable[[Array], Array], logits: Array) -> Array:
    """Probabilities of logits (n, classes), some rows at a time: what lies between them takes as much again as both."""
    found = np.empty(logits.shape, np.float64)
    for first in range(0, len(logits), _ROWS):
        found[first : first + _ROWS] = squash(logits[first : first + _ROWS])
    return found


def _matched(
    model: Model, data: Dataset, label_map: str | os.PathLike[str] | Mapping[str, int] | None
) -> tuple[Dataset, str]:
    """The images under the model's class numbers, and by what kind of name they were matched."""
    from pybit.hub.label_map import load_map, match_classes  # which pulls in the network libraries

    labels, count = model.labels, model.num_classes
    if not count:
        raise ConfigError("[evaluate] the model has no head: fine-tune it on the set first")
    if label_map is None and labels is not None and tuple(labels) == tuple(data.class_names):
        return data, "their names"
    table = load_map(label_map, labels, count) if isinstance(label_map, (str, os.PathLike)) else label_map
    if table is not None and not all(0 <= number < count for number in table.values()):
        raise ConfigError(f"[evaluate] expected a label map with classes from 0 to {count - 1}")
    card = registry.find_card(model.name)
    label_set = card.labels if card is not None and card.num_classes == count else None
    counts = data.counts
    if labels is None and table is None and len(counts) == count:
        used = list(counts)  # in their order, the empty ones, too
    else:
        used = [name for name, images in counts.items() if images]
    numbers, matched_by = match_classes(used, labels, count, label_set=label_set, table=table)
    names = [f"class {i}" for i in range(count)] if labels is None else list(labels)
    if labels is None and len(counts) == count and numbers == list(range(count)):
        return data, matched_by
    number = dict(zip(used, numbers, strict=True))
    every = np.array([number.get(name, 0) for name in counts], np.int64)
    return Dataset(data.core.relabelled(every, names), data.source, data.report), matched_by


def _warn_of_absent(data: Dataset, model: Model, classes: str) -> None:
    absent = [name for name, images in zip(data.class_names, data.core.counts, strict=True) if not images]
    if absent:
        cure = (
            "they are left out of the comparison"
            if classes == "present"
            else 'classes="present" (--classes present) leaves them out of the comparison'
        )
        text = f"{len(absent)} of the model's {model.num_classes} classes have no images here: {_some(absent)}; {cure}"
        warnings.warn(text, UserWarning, stacklevel=3)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(printable, list(names)[:3])) + (", ..." if len(names) > 3 else "")
