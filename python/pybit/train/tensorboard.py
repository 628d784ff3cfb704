# SPDX-License-Identifier: Apache-2.0
"""TensorBoard events of a run: the scalars of metrics.jsonl, written by the library of the extra `tensorboard`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pybit.evaluation.accuracy import Evaluation


def writer_class() -> Any:
    """The class tensorboardX.SummaryWriter. Raises ImportError naming the extra if it is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as e:
        raise ImportError(
            "TensorBoard events need tensorboardX: pip install tensorboardX (the extra `tensorboard`)"
        ) from e
    return SummaryWriter


class EventLog:
    """Callbacks that write an event file into `folder`, one for each start of a run.

    The file begins with the step that the run goes on from: what a killed run wrote of later steps, TensorBoard hides.
    """

    def __init__(self, folder: Path) -> None:
        self._class, self._folder = writer_class(), folder
        self._writer: Any = None

    def _add(self, values: dict[str, float], step: int, first: int) -> None:
        if self._writer is None:
            # The library's file names count seconds: a start within the same one would overwrite the file.
            suffix = f".{time.time_ns()}"
            self._writer = self._class(str(self._folder), purge_step=first, filename_suffix=suffix)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def on_step(
        self, step: int, loss: float, rate: float, images: int, load: float, gradients: float, update: float
    ) -> None:
        """Write train/loss, train/lr, train/images, and the seconds of each phase."""
        values = {"train/loss": loss, "train/lr": rate, "train/images": images}
        seconds = {"seconds/load": load, "seconds/gradient": gradients, "seconds/update": update}
        self._add(values | seconds, step, step)

    def on_evaluation(self, step: int, found: Evaluation) -> None:
        """Write validation/loss, top1 and top5 to disk at once."""
        values = {f"validation/{name}": getattr(found, name) for name in ("loss", "top1", "top5")}
        self._add(values, step, step + 1)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
