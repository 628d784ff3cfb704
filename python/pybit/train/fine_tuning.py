# SPDX-License-Identifier: Apache-2.0
"""fine_tune: the library's run with Python's words for models, data and results."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybit import _core
from pybit.base.renamed import with_new_keywords
from pybit.data import datasets
from pybit.data.dataset import Dataset
from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError
from pybit.evaluation import held_out
from pybit.evaluation.accuracy import Evaluation
from pybit.model.files import read_metadata
from pybit.model.model import Model
from pybit.model.released import card_of_file
from pybit.network.build import changed, network_from_arrays
from pybit.network.options import ComputeOptions


@dataclass(frozen=True)
class FineTuned:
    """What a run ended with."""

    model: Model
    """The model with the weights of the last step."""
    steps: int
    """The number of steps done in total, with those before a resume."""
    first_step: int
    """The number of steps that were done before this call: above 0 if the run was resumed."""
    interrupted: bool
    """Whether the run was stopped before its end."""
    loss: float | None
    """The loss of this call's last step; None if it took none."""
    evaluation: Evaluation | None
    """The last evaluation, if there is a validation set."""
    best: float | None
    """The best top-1 in [0,1]; None if nothing was evaluated."""
    best_step: int
    """The step that reached the best top-1 first."""
    folder: Path | None
    """The run's folder with last.safetensors, best.safetensors and metrics.jsonl; None if nothing was written."""
    seconds: dict[str, float]
    """The seconds that each phase took, by its name."""


class FineTuning:
    """A run that was resolved and has not begun: print(run.recipe), then run.start().

    The arguments and what they raise are those of `pybit.fine_tune`. One thread at a time may use it.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        data: Any,
        *,
        logdir: str | os.PathLike[str] | None = None,
        name: str | None = None,
        examples_per_class: int | None = None,
        examples_per_class_seed: int = 0,
        compat: str = "none",
        flags: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        options = with_new_keywords("FineTuning", options)
        checkpoint, label = _checkpoint_of(model)
        train, validation = _sets_of(data)
        if compat not in ("none", "pytorch", "jax", "tf2"):
            raise ConfigError(f"[fine_tune] expected compat 'none', 'pytorch', 'jax' or 'tf2', got '{compat}'")
        flags = {**(flags or {}), "model": label}
        self._examples = len(train)  # with those that few-shot training passes over
        if examples_per_class is not None:
            rule: Any = "exact" if compat == "none" else compat
            train = train.few_shot(examples_per_class, examples_per_class_seed, rule)
            flags["few_shot"] = f"{examples_per_class} per class, seed {examples_per_class_seed}"
        if (logdir is None) != (name is None):
            raise ConfigError("[fine_tune] expected both logdir and name, or neither")
        self.folder = None if logdir is None or name is None else Path(logdir) / name
        self.name = name or label
        self.train, self.validation = train, validation
        if self.folder is not None:
            options["folder"] = self.folder
        self._core = _core.FineTuning(
            checkpoint,
            train.core,
            validation.core if validation is not None and len(validation) else None,
            compat=compat,
            flags=flags,
            model_name=self.name,
            **options,
        )
        self._activation = "sigmoid" if options.get("loss") == "sigmoid" else "softmax"
        self._resampling: Any = options.get("resampling") or ("tf" if compat in ("jax", "tf2") else "pillow")

    @property
    def recipe(self) -> str:
        """The recipe in several lines: resolution, mixup, steps, rate, batch, memory, what is not BiT-HyperRule's."""
        return self._core.recipe

    @property
    def departures(self) -> list[str]:
        """Sentences on what is not BiT-HyperRule's."""
        return self._core.departures

    def estimate(self) -> dict[str, float]:
        """Seconds of a step, of an evaluation, and in total, from a measurement of this machine that takes a quarter of
        a second; `recipe` tells them from then on. Within about a factor of 1.5 on an idle machine."""
        return self._core.estimate()

    @property
    def steps(self) -> int:
        """The number of updates in the whole run."""
        return self._core.steps

    @property
    def batch(self) -> int:
        """The number of images per update."""
        return self._core.batch

    @property
    def batch_split(self) -> int:
        """The number of micro-batches that an update's images are taken in."""
        return self._core.batch_split

    @property
    def recompute(self) -> str:
        """What the backward pass recomputes: "units", the feature maps within residual units, or "none"."""
        return self._core.recompute

    def start(self, *, tensorboard: bool = False, **callbacks: Any) -> FineTuned:
        """Run to the end, or until should_stop() is true; the arguments are those of :func:`fine_tune`."""
        if not tensorboard:
            return self._run(callbacks)
        from pybit.train.tensorboard import EventLog

        if self.folder is None:
            raise ConfigError("[fine_tune] expected logdir and name with tensorboard=True: events go into that folder")
        events = EventLog(self.folder)
        both = {name: _both(callbacks.get(name), getattr(events, name)) for name in ("on_step", "on_evaluation")}
        try:
            return self._run(callbacks | both)
        finally:
            events.close()

    def _run(self, callbacks: dict[str, Any]) -> FineTuned:
        unknown = set(callbacks) - {"on_part", "on_step", "on_evaluation", "on_checkpoint", "on_skipped", "should_stop"}
        if unknown:
            raise ConfigError(f"[fine_tune] there is no callback {', '.join(sorted(unknown))}")
        if (told := callbacks.get("on_evaluation")) is not None:
            callbacks["on_evaluation"] = lambda step, found: told(step, Evaluation(**found))
        callbacks["on_checkpoint"] = _both(callbacks.get("on_checkpoint"), self._keep_held_out)
        done = self._core.run(**callbacks)
        network = network_from_arrays(self._core.tensors(), self._core.config, ComputeOptions())
        model = Model(
            network,
            name=self.name,
            origin=f"fine-tuned, step {done['step']}",
            preprocessing=PreprocessSpec(self._core.crop, mode="squash", resampling=self._resampling),
            labels=tuple(self.train.class_names),
            activation=self._activation,
        )
        evaluation = done["evaluation"]
        return FineTuned(
            model,
            steps=done["step"],
            first_step=done["first_step"],
            interrupted=done["interrupted"],
            loss=done["loss"],
            evaluation=None if evaluation is None else Evaluation(**evaluation),
            best=done["best"],
            best_step=done["best_step"],
            folder=self.folder,
            seconds=done["seconds"],
        )

    def _keep_held_out(self, *_: Any) -> None:
        """Write which images are held out beside the first checkpoint, when the folder is this run's for certain."""
        if self.folder is not None and self.validation is not None and not (self.folder / held_out.NAME).exists():
            held_out.write(self.folder, self._examples + len(self.validation), self.validation)


def fine_tune(
    model: Model | str | os.PathLike[str],
    data: Any,
    *,
    logdir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    on_step: Callable[..., Any] | None = None,
    on_evaluation: Callable[[int, Evaluation], Any] | None = None,
    should_stop: Callable[[], bool] | None = None,
    tensorboard: bool = False,
    **options: Any,
) -> FineTuned:
    """Fine-tune a model on a data set by BiT-HyperRule, with a new head of zeros.

        done = pybit.fine_tune("BiT-M-R50x1.npz", "photos/", logdir="runs", name="photos")
        done.model.predict(["new.jpg"])

    Args:
        model: a model, which stays as it is, or a checkpoint file of any supported format.
        data: what :func:`pybit.datasets.open` takes, or the pair that it returns, or a training set alone.
        logdir, name: the run's folder is logdir/name. If it holds this run already, the run goes on, to the same bits
            as without the interruption. Without them nothing is written.
        on_step: called with (step, loss, rate, images, load_seconds, gradient_seconds, update_seconds).
        on_evaluation: called with (step, Evaluation).
        should_stop: asked before each step; True saves and returns.
        tensorboard: also write TensorBoard events into the run's folder; needs the extra `tensorboard`.
        options: examples_per_class, examples_per_class_seed, batch, batch_split, recompute ("none", "units" or "auto"),
            memory_limit (bytes), keep_features, base_lr, steps, schedule, resolution (resize, crop), mixup_alpha,
            image_size (height, width), examples, flip, resampling, compat ("none", "pytorch", "jax", "tf2"), seed,
            dtype ("float32", or "bfloat16": products and feature maps in bfloat16, weights and sums in float32),
            loss ("softmax", "sigmoid"), optimizer ("sgd" with momentum and nesterov, "adam" or "adamw" with betas and
            eps), clip_norm, weight_decay, decay_vectors, layer_decay, train, freeze (lists of patterns over
            parameters' names), groups (list of (pattern, factor of the rate, weight decay or None)),
            label_smoothing, eval_every, eval_batch, save_every, save_seconds, workers,
            skip_corrupt, threads. Unset: BiT-HyperRule's.

    Raises:
        ConfigError: options that cannot be, or a folder with another run; the message lists the differences.
        FormatError, ShapeError: data or a checkpoint that cannot be used.
        OSError: a folder that cannot be written, images that cannot be read.
        ImportError: tensorboard=True without the library that writes events.
        pybit.DivergedError: the loss is not finite; the last checkpoint stays.

    KeyboardInterrupt (Ctrl-C) ends a run between two steps, after it was saved.
    """
    options = with_new_keywords("fine_tune", options)
    run = FineTuning(model, data, logdir=logdir, name=name, **options)
    return run.start(tensorboard=tensorboard, on_step=on_step, on_evaluation=on_evaluation, should_stop=should_stop)


def _both(first: Callable[..., Any] | None, second: Callable[..., Any]) -> Callable[..., None]:
    """A callback that calls two."""

    def call(*arguments: Any) -> None:
        if first is not None:
            first(*arguments)
        second(*arguments)

    return call


def _checkpoint_of(model: Model | str | os.PathLike[str]) -> tuple[_core.Checkpoint, str]:
    """Weights to start from, and what the run calls them."""
    if isinstance(model, (str, os.PathLike)):
        from pybit.formats import open_any

        path = os.fspath(model)
        checkpoint = open_any(path)
        name = read_metadata(checkpoint)[0]
        card = card_of_file(path, checkpoint.config)
        if card is not None and "pybit" not in checkpoint.metadata:
            checkpoint = checkpoint.with_config(changed(checkpoint.config, weight_eps=card.weight_eps))
        return checkpoint, name or (card.name if card else Path(path).name)
    return model.loaded.network.checkpoint(), model.name


def _sets_of(data: Any) -> tuple[Dataset, Dataset | None]:
    if isinstance(data, Dataset):
        return data, None
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Dataset) for part in data):
        return data[0], data[1]
    return tuple(datasets.open(data))  # type: ignore[return-value]
