# SPDX-License-Identifier: Apache-2.0
"""Training step by step: one optimizer over one model."""

from __future__ import annotations

from typing import Any

import numpy as np

from pybit import _core
from pybit.base.arrays import as_batch, to_numpy
from pybit.base.renamed import with_new_keywords
from pybit.base.threads import check_threads
from pybit.errors import ConfigError, ShapeError
from pybit.model.model import Model
from pybit.network.build import network_from_arrays
from pybit.network.options import ComputeOptions
from pybit.network.source import NetworkSource


class TrainedNetwork:
    """The source of a network whose weights change: it is built when it is asked for and dropped before each step."""

    def __init__(self, core: _core.Trainer, config: _core.Config, options: ComputeOptions) -> None:
        self._core, self._config, self._options = core, config, options
        self._built: _core.Network | None = None

    def network(self) -> _core.Network:
        """A network with the present weights, the same one until the next step."""
        if self._built is None:
            self._built = network_from_arrays(self._core.tensors(), self._config, self._options)
        return self._built

    def drop(self) -> bool:
        """Let go of the network, whose weights are about to change; whether there was one."""
        built, self._built = self._built is not None, None
        return built


class Trainer:
    """Changes a model's weights, one batch at a time.

        trainer = pybit.Trainer(model, momentum=0.9)
        for step, (x, y) in enumerate(batches):
            loss = trainer.step(x, y, lr=rule.lr(step))

    `optimizer`: "sgd" (options momentum=0.9, nesterov=False), "adam" or "adamw" (betas, eps), as torch.optim computes
    them. For all: weight_decay=0, decay_vectors=True (False spares norms and biases), clip_norm=0 (none),
    layer_decay=1, and patterns over official names, as in `fnmatch`: freeze=["resnet/root_block/*"],
    train=["resnet/head/*"],
    groups=[("resnet/head/*", 10.0, None)] (pattern, factor of the rate, weight decay or None).

    Memory: `recompute="units"` recomputes the feature maps within residual units in the backward pass, which takes less
    memory and a fifth more time; "none" keeps them; "auto" does what fits `memory_limit` (bytes; None: what is free
    now) at the least cost. Gradients are the same to the bit. `model.memory_plan(..., training=True)` says how much it
    takes. Frozen parameters have no gradients, and nothing is computed below the first that learns.

    The model shows the trained weights from each step on. It is trained in its own dtype: "float32"; "bfloat16", in
    which products and feature maps are bfloat16, weights, gradients and sums float32; or "float64" (slow and exact).
    One thread at a time may use trainer and model. Raises ConfigError for a model without a head and for options that
    do not fit.
    """

    def __init__(
        self,
        model: Model,
        optimizer: str = "sgd",
        *,
        recompute: str = "auto",
        memory_limit: int | None = None,
        **options: Any,
    ) -> None:
        if model.num_classes == 0:
            raise ConfigError("expected a model with a head; give it one with model.reset_classifier(classes)")
        options = with_new_keywords("Trainer", options)
        optimizer = options.pop("optimizer", optimizer)
        network = model.loaded.network
        self._core = _core.Trainer(
            network.checkpoint(), network.config, network.dtype, optimizer, recompute, memory_limit or 0, **options
        )
        self._model, self._config = model, network.config
        self._array_dtype = network.array_dtype
        self._source = TrainedNetwork(self._core, network.config, ComputeOptions.of(network))
        # What the model showed when this was made; None from the first step on, since it would keep that network.
        self._start: tuple[NetworkSource, _core.Network] | None = (model.source, network)

    @property
    def updates(self) -> int:
        """The number of steps taken."""
        return self._core.updates

    def step(
        self,
        x: Any,
        y: Any,
        lr: float,
        *,
        label_smoothing: float = 0.0,
        batch_split: int | None = None,
        layout: str = "nchw",
        threads: int = 0,
    ) -> float:
        """One update by the mean softmax cross-entropy of a batch; returns the loss before it.

        `x`: images as for the model's call. `y`: class numbers (N,), or probabilities (N, classes). `lr`: the learning
        rate of this step. `batch_split`: micro-batches that the batch is taken in; None: as few as fit the memory
        limit. Raises ShapeError for arrays that do not fit, ConfigError for options and for a model whose weights were
        replaced, and `pybit.DivergedError` (an ArithmeticError), with the weights as they were, if the loss is not
        finite.
        """
        if not self._shown_by_model():
            raise ConfigError("the model's weights were replaced since this trainer was made: make a new one")
        check_threads(threads)
        a, _ = as_batch(x, channels=self._config.in_channels, layout=layout, dtype=self._array_dtype, what="images")
        target, _ = to_numpy(y)
        labels, probabilities = None, None
        if target.ndim == 1 and target.dtype.kind in "iu":
            labels = target.astype(np.int64)
        elif target.ndim == 2 and target.shape[1] == self._config.num_classes and target.dtype.kind == "f":
            probabilities = target.astype(np.float64)
        else:
            raise ShapeError(
                f"y: expected class numbers (N,) or probabilities (N, {self._config.num_classes}), "
                f"got {target.dtype} of shape {target.shape}"
            )
        dropped = self._source.drop() or self._start is not None
        self._start = None
        self._model.take_from(self._source)
        if dropped:
            _core.give_back_memory()  # which the heap would keep: 68 MB for R50x1
        loss = self._core.step(a, layout, labels, probabilities, lr, label_smoothing, batch_split, threads)
        self._model.take_from(self._source, "training")
        return loss

    def _shown_by_model(self) -> bool:
        """Whether the model's weights are those that this trainer would change."""
        if self._start is None:
            return self._model.source is self._source
        source, network = self._start
        return self._model.source is source and source.network() is network
