# SPDX-License-Identifier: Apache-2.0
"""Images in, answers out: how a network is run over batches of images."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pybit.base.arrays import Array
from pybit.base.sizes import whole_number
from pybit.data.batches import Batch, Skipped, batches_of
from pybit.data.folders import labelled_files
from pybit.data.inputs import Inputs, collect
from pybit.data.options import ImageOptions, PreprocessSpec
from pybit.errors import ConfigError
from pybit.inference.results import Embeddings, Prediction
from pybit.network.source import Loaded


def softmax(logits: Array) -> Array:
    """Probabilities of each row, in double precision."""
    e = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def sigmoid(logits: Array) -> Array:
    """Independent probabilities, in double precision."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64))))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"softmax": softmax, "sigmoid": sigmoid}


def activation_of(what: Loaded | str) -> Callable[[Array], Array]:
    """What makes probabilities of logits, by its name or as the model was trained. Raises ConfigError for no name."""
    name = what if isinstance(what, str) else what.activation
    if name not in ACTIVATIONS:
        raise ConfigError(f"expected activation {' or '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]


def balanced_batch(model: Loaded, spec: PreprocessSpec, count: int | None) -> int:
    """Images per batch where the caller does not say: the cost model's choice, `count` images shared out evenly."""
    best: int = model.network.throughput_batch(*spec.sizes())
    if count is None:
        return best
    batches = -(-count // best)
    return max(1, -(-count // max(batches, 1)))


def _batches(
    model: Loaded, inputs: Inputs, options: ImageOptions, skipped: list[Skipped], what: str
) -> Iterator[tuple[Batch, list[str | None]]]:
    """Preprocessed batches and their paths; `skipped` is filled and a warning names the first files left out.

    The next images are decoded by as many threads as compute. That costs little against the best that two cores could
    do, the sum of both times: 18.2 ms an image where decoding alone takes 1.6 and computing alone 16.1.
    """
    if model.config.in_channels != 3:
        raise ConfigError(f"images have 3 channels, the model takes {model.config.in_channels}: call it with arrays")
    if options.batch_size is None:
        options = dataclasses.replace(options, batch_size=balanced_batch(model, options.preprocessing, inputs.total))
    seen = 0
    with batches_of(inputs, options, what) as batches:
        for batch in batches:
            seen += len(batch.indices)
            skipped.extend(batches.skipped[len(skipped) :])
            yield batch, batches.paths
        skipped.extend(batches.skipped[len(skipped) :])
    if skipped:
        named = "; ".join(s.reason for s in skipped[:3]) + (
            f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        )
        text = f"{len(skipped)} of {seen + len(skipped)} images were left out: {named}"
        warnings.warn(text, UserWarning, stacklevel=5)


def outputs_of_batches(
    model: Loaded, inputs: Inputs, options: ImageOptions, output: str, skipped: list[Skipped], what: str
) -> Iterator[tuple[list[int], list[str | None], Array]]:
    """For each batch the positions of its images among `inputs`, their paths, and the network's `output` of each."""
    layout, reference = options.preprocessing.layout, model.network.array_dtype == "float64"
    for batch, paths in _batches(model, inputs, options, skipped, what):
        images = batch.images.astype(np.float64) if reference else batch.images
        yield batch.indices, paths, model.network.run(images, layout, [output], options.threads)[output]


def iter_predict(
    model: Loaded,
    inputs: Any,
    options: ImageOptions,
    *,
    topk: int = 5,
    activation: str | None = None,
    skipped: list[Skipped] | None = None,
) -> Iterator[Prediction]:
    """The `topk` likeliest classes of each image as soon as its batch is done, see `pybit.Model.iter_predict`.

    `activation` None is what the model was trained by; `skipped`, an empty list, receives what was left out. Raises
    ConfigError, at once, for a model without a head and for options that are none; then what the images raise.
    """
    if not model.num_classes:
        raise ConfigError("the model has no head to predict with: use embed, or reset_classifier and train it")
    topk = whole_number(topk, "topk", 1)
    squash = activation_of(model if activation is None else activation)
    images = collect(inputs)
    if images.report is not None:
        images.report.warn()
    return _predictions(model, images, options, topk, squash, [] if skipped is None else skipped)


def _predictions(
    model: Loaded,
    images: Inputs,
    options: ImageOptions,
    topk: int,
    squash: Callable[[Array], Array],
    skipped: list[Skipped],
) -> Iterator[Prediction]:
    names = model.labels or tuple(f"class {i}" for i in range(model.num_classes))
    for indices, paths, logits in outputs_of_batches(model, images, options, "logits", skipped, "predict"):
        for index, path, row in zip(indices, paths, squash(logits), strict=True):
            order = np.argsort(-row, kind="stable")[: min(topk, len(row))]
            yield Prediction(
                index,
                path,
                tuple(map(int, order)),
                tuple(names[i] for i in order),
                tuple(float(row[i]) for i in order),
            )


def embed(model: Loaded, inputs: Any, options: ImageOptions, *, pool: bool = True) -> Array | Embeddings:
    """Pooled features of each image, or its last feature map, see `pybit.Model.embed`."""
    labelled = labelled_files(inputs)
    images = collect(inputs if labelled is None else labelled.paths)
    report = images.report if labelled is None else labelled.report
    if report is not None:
        report.warn()
    rows: list[Array] = []
    kept: list[int] = []
    files: list[str | None] = []
    skipped: list[Skipped] = []
    for indices, names, features in outputs_of_batches(
        model, images, options, "pooled" if pool else "features", skipped, "embed"
    ):
        rows.append(features)
        kept.extend(indices)
        files.extend(names)
    table = np.concatenate(rows) if rows else np.empty((0, model.config.num_features), np.float32)
    paths = tuple(path for path in files if path is not None)
    if not images.only_files and (images.total is not None or not files or len(paths) < len(files)):
        return table
    if labelled is None:
        return Embeddings(table, paths, skipped=tuple(skipped), report=report)
    classes = np.array([labelled.labels[i] for i in kept], dtype=np.int64)
    return Embeddings(table, paths, classes, tuple(labelled.class_names), tuple(skipped), report)
