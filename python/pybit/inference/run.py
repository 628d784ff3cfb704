# SPDX-License-Identifier: Apache-2.0
"""Images in, answers out: how a network is run over batches of images."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pybit.base.arrays import Array
from pybit.data.batches import Batch, Skipped, batches_of
from pybit.data.folders import labelled_files
from pybit.data.options import ImageOptions, PreprocessSpec
from pybit.data.sources import Source, collect
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


def _is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike))


def balanced_batch(model: Loaded, spec: PreprocessSpec, count: int) -> int:
    """Images per batch where the caller does not say: the cost model's choice, `count` images shared out evenly."""
    best = model.network.throughput_batch(*spec.sizes())
    batches = -(-count // best)
    return max(1, -(-count // max(batches, 1)))


def _batches(
    model: Loaded, sources: list[Source], options: ImageOptions, skipped: list[Skipped], what: str
) -> Iterator[Batch]:
    """Preprocessed batches; `skipped` is filled and a warning names the first files left out.

    The next images are decoded by as many threads as compute. That costs little against the best that two cores could
    do, the sum of both times: 18.2 ms an image where decoding alone takes 1.6 and computing alone 16.1.
    """
    if model.config.in_channels != 3:
        raise ConfigError(f"images have 3 channels, the model takes {model.config.in_channels}: call it with arrays")
    if options.batch_size is None:
        options = dataclasses.replace(options, batch_size=balanced_batch(model, options.preprocessing, len(sources)))
    with batches_of(sources, options, what) as batches:
        yield from batches
        skipped.extend(batches.skipped)
    if skipped:
        named = "; ".join(s.reason for s in skipped[:3]) + (
            f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        )
        warnings.warn(f"{len(skipped)} of {len(sources)} images were left out: {named}", UserWarning, stacklevel=5)


def outputs_of_batches(
    model: Loaded, sources: list[Source], options: ImageOptions, output: str, skipped: list[Skipped], what: str
) -> Iterator[tuple[list[int], Array]]:
    """For each batch the positions of its images among `sources`, and the network's `output`, a row for each."""
    layout, reference = options.preprocessing.layout, model.network.array_dtype == "float64"
    for batch in _batches(model, sources, options, skipped, what):
        images = batch.images.astype(np.float64) if reference else batch.images
        yield batch.indices, model.network.run(images, layout, [output], options.threads)[output]


def predict(
    model: Loaded,
    inputs: Any,
    options: ImageOptions,
    *,
    topk: int = 5,
    activation: str = "softmax",
    skipped: list[Skipped] | None = None,
) -> list[Prediction]:
    """The `topk` likeliest classes of each image, see `pybit.Model.predict`; `skipped` receives what was left out.

    Raises ConfigError for a model without a head and for options that are none, and what the images raise.
    """
    if not model.num_classes:
        raise ConfigError("the model has no head to predict with: use embed, or reset_classifier and train it")
    if topk < 1 or activation not in ACTIVATIONS:
        raise ConfigError(
            f"expected topk of at least 1 and activation {' or '.join(ACTIVATIONS)}, got {topk} and {activation!r}"
        )
    sources, found = collect(inputs), []
    names = model.labels or tuple(f"class {i}" for i in range(model.num_classes))
    left: list[Skipped] = [] if skipped is None else skipped
    for indices, logits in outputs_of_batches(model, sources, options, "logits", left, "predict"):
        for index, row in zip(indices, ACTIVATIONS[activation](logits), strict=True):
            order = np.argsort(-row, kind="stable")[: min(topk, len(row))]
            value = sources[index].value
            found.append(
                Prediction(
                    index,
                    os.fspath(value) if _is_path(value) else None,
                    tuple(map(int, order)),
                    tuple(names[i] for i in order),
                    tuple(float(row[i]) for i in order),
                )
            )
    return found


def embed(model: Loaded, inputs: Any, options: ImageOptions, *, pool: bool = True) -> Array | Embeddings:
    """Pooled features of each image, or its last feature map, see `pybit.Model.embed`."""
    labelled = labelled_files(inputs)
    sources = collect(inputs if labelled is None else labelled.paths)
    rows: list[Array] = []
    kept: list[int] = []
    skipped: list[Skipped] = []
    for indices, features in outputs_of_batches(
        model, sources, options, "pooled" if pool else "features", skipped, "embed"
    ):
        rows.append(features)
        kept.extend(indices)
    table = np.concatenate(rows) if rows else np.empty((0, model.config.num_features), np.float32)
    if not sources or not all(_is_path(s.value) for s in sources):
        return table
    paths = tuple(os.fspath(sources[i].value) for i in kept)
    if labelled is None:
        return Embeddings(table, paths, skipped=tuple(skipped))
    classes = np.array([labelled.labels[i] for i in kept], dtype=np.int64)
    return Embeddings(table, paths, classes, tuple(labelled.class_names), tuple(skipped))
