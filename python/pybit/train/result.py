# SPDX-License-Identifier: Apache-2.0
"""What a run ended with."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pybit import _core
from pybit.data.options import PreprocessSpec
from pybit.evaluation.accuracy import Evaluation
from pybit.model.create import load
from pybit.model.model import Model
from pybit.network.build import network_from_arrays
from pybit.network.options import ComputeOptions


@dataclass(frozen=True)
class TunedWeights:
    """Weights of one step of a run, from which a model is made when it is asked for."""

    tensors: list[tuple[str, Any]] = field(repr=False)
    config: _core.Config
    name: str
    step: int
    preprocessing: PreprocessSpec
    labels: tuple[str, ...]
    activation: str = "softmax"

    def model(self) -> Model:
        """A model of these weights."""
        return Model(
            network_from_arrays(self.tensors, self.config, ComputeOptions()),
            name=self.name,
            origin=f"fine-tuned, step {self.step}",
            preprocessing=self.preprocessing,
            labels=self.labels,
            activation=self.activation,
        )


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
    """The best value of `best_by`, by default of the top-1 in [0,1]; None if nothing was evaluated."""
    best_step: int
    """The step that reached the best value first."""
    folder: Path | None
    """The run's folder with last.safetensors, best.safetensors, metrics.jsonl and train.log; None without logdir."""
    seconds: dict[str, float]
    """The seconds that each phase took, by its name."""
    best_by: str = "top1"
    """The number of an evaluation that `best` is."""
    ended: Literal["none", "patience", "time"] = "none"
    """Why the run ended before its schedule: evaluations brought nothing better, or its time was up; or "none"."""
    best_weights: TunedWeights | None = field(default=None, repr=False, compare=False)
    """The weights of the best step where no folder holds them, which take as much memory as the model's file."""

    @functools.cached_property
    def best_model(self) -> Model | None:
        """The model with the weights of the best evaluation; None if nothing was evaluated.

        It is made when first asked for: of best.safetensors in the run's folder, otherwise of weights that were kept
        in memory. Raises OSError if that file is not there any more.
        """
        if self.best is None:
            return None
        if self.best_step == self.steps:
            return self.model
        if self.best_weights is not None:
            return self.best_weights.model()
        assert self.folder is not None  # one of the two holds them
        return load(self.folder / "best.safetensors")

    def __repr__(self) -> str:
        done = f"{self.steps} steps"
        if self.interrupted:
            done += ", interrupted"
        elif self.ended != "none":
            done += ", ended by " + {"patience": "patience", "time": "max_minutes"}[self.ended]
        loss = "" if self.loss is None else f", loss {self.loss:.4f}"
        best = "" if self.best is None else f", best {score_text(self.best_by, self.best)} at step {self.best_step}"
        folder = "" if self.folder is None else f", in {self.folder}"
        return f"<FineTuned {self.model.name}: {done}{loss}{best}{folder}>"


def score_text(by: str, value: float) -> str:
    """ "top1 71.20%", "macro_f1 71.20%" or "loss 0.71234"."""
    return f"loss {value:.5f}" if by == "loss" else f"{by} {100 * value:.2f}%"
