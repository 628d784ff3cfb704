# SPDX-License-Identifier: Apache-2.0
"""This library's training step, from the release's npz. Variants: float32, bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contend_pybit import Pybit
from contender import serve
from training import MOMENTUM, RATE, labels, losses_of
from weights import Array


class PybitTraining(Pybit):
    def load(self, files: Path, model: str) -> None:
        import pybit

        self.trainer = pybit.Trainer(pybit.load(files / f"{model}.npz", dtype=self.variant), momentum=MOMENTUM)
        self.losses: list[float] = []

    def run(self) -> Any:
        self.losses.append(self.trainer.step(self.batch, labels(len(self.batch)), RATE))
        return self.losses

    def logits(self, result: Any) -> Array:
        return losses_of(self.run, self.losses)


if __name__ == "__main__":
    serve(PybitTraining)
