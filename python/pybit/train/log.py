# SPDX-License-Identifier: Apache-2.0
"""What a training command shows: log lines as the reference writes them, a live line, a chart at the end."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from pybit.evaluation.accuracy import Evaluation

# big_transfer's bit_common.py
_FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"


class _Stream(logging.StreamHandler[Any]):
    """Standard error, where the live line is taken away before a message is written."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.shown = False

    def emit(self, record: logging.LogRecord) -> None:
        self.clear()
        super().emit(record)

    def clear(self) -> None:
        if self.shown:
            self.stream.write("\r\033[K")
            self.shown = False

    def show(self, text: str) -> None:
        self.stream.write("\r" + text + "\033[K")
        self.stream.flush()
        self.shown = True


class TrainLog:
    """train.log in a run's folder with every line; standard error with all of them, or with a live line on a terminal.

    Its methods are callbacks of FineTuning.start.
    """

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = logging.FileHandler(folder / "train.log", encoding="utf-8")
        except OSError as e:
            text = f"cannot write a run here: {e.strerror}; choose a --logdir and a --name that can be written"
            raise OSError(e.errno, text, str(folder)) from None
        self._file.setLevel(logging.DEBUG)
        self._stream = _Stream()
        self._live = sys.stderr.isatty() and not quiet
        self._stream.setLevel(logging.WARNING if quiet else logging.INFO)
        self._logger = logging.Logger("pybit.train", logging.DEBUG)
        for handler in (self._file, self._stream):
            handler.setFormatter(logging.Formatter(_FORMAT))
            self._logger.addHandler(handler)
        # A full disk must end the run by the library's error, not by a traceback for each line.
        self._file.handleError = lambda record: None  # type: ignore[method-assign]
        self._steps, self._told = 0, 0
        self._recent: list[tuple[float, int]] = []

    def begin(self, steps: int) -> None:
        """Note that the run begins now and has `steps` steps."""
        self._steps = steps
        self._recent = [(time.monotonic(), 0)]

    def info(self, text: str) -> None:
        """Write each line of `text` as a message."""
        for line in text.splitlines():
            self._logger.info(line)

    def warning(self, text: str) -> None:
        """Write a message that is shown also when quiet."""
        self._logger.warning(text)

    def on_part(self, step: int, part: int, parts: int, loss: float, rate: float) -> None:
        """Write bit_pytorch's line for a micro-batch: its loss and the learning rate."""
        place = f" ({part + 1}/{parts})" if parts > 1 else ""
        level = logging.DEBUG if self._live else logging.INFO
        self._logger.log(level, "[step %d%s]: loss=%.5f (lr=%.1e)", step, place, loss, rate)

    def on_step(
        self, step: int, loss: float, rate: float, images: int, load: float, gradients: float, update: float
    ) -> None:
        """Draw the live line, and write once, after the second step, the time that the run will take."""
        self._told += 1
        self._recent = [*self._recent[-20:], (time.monotonic(), images)]
        if not self._live and self._told != 2:
            return
        seconds = max(self._recent[-1][0] - self._recent[0][0], 1e-9)
        done = len(self._recent) - 1
        rest = (self._steps - step) * seconds / done
        speed = sum(n for _, n in self._recent[1:]) / seconds
        left = f"{int(rest // 3600)}:{int(rest // 60 % 60):02}:{int(rest % 60):02}"
        if self._told == 2:
            self._logger.info("about %s left at %.1f images/s, evaluations apart", left, speed)
        if self._live:
            self._stream.show(
                f"step {step}/{self._steps}  loss {loss:.4f}  lr {rate:.1e}  {speed:.1f} images/s  {left} left"
            )

    def on_evaluation(self, step: int, found: Evaluation) -> None:
        """Write bit_pytorch's line for an evaluation."""
        self._logger.info(
            "Validation@%d loss %.5f, top1 %.2f%%, top5 %.2f%%", step, found.loss, 100 * found.top1, 100 * found.top5
        )
        self._recent = self._recent[-1:] and [(time.monotonic(), 0)]  # an evaluation is no part of a step's time

    def on_skipped(self, name: str, reason: str) -> None:
        """Write that an image was left out, and why."""
        self._logger.warning("left out %s: %s", name, reason)

    def close(self) -> None:
        """Take the live line away and close train.log."""
        self._stream.clear()
        self._stream.flush()
        self._file.close()


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Steps and evaluations of a metrics.jsonl in order; of a step that was done twice the later line counts."""
    found: dict[str, dict[int, dict[str, Any]]] = {"step": {}, "evaluation": {}}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # the last line of a killed run
            continue
        if isinstance(event, dict) and event.get("event") in found:
            found[event["event"]][event["step"]] = event
    steps, evaluations = ([rows[k] for k in sorted(rows)] for rows in (found["step"], found["evaluation"]))
    return steps, evaluations


def save_curve(metrics: Path, picture: Path) -> None:
    """Draw loss, rate and accuracy over the steps of a metrics.jsonl as an image.

    Raises ImportError without matplotlib, OSError if a file cannot be read or written.
    """
    from matplotlib.figure import Figure

    steps, evaluations = read_metrics(metrics)
    figure = Figure(figsize=(8, 7), dpi=110, layout="constrained")
    losses, accuracies, rates = figure.subplots(3, 1, sharex=True)
    at = [row["step"] for row in steps]
    losses.plot(at, [row["loss"] for row in steps], linewidth=1, label="training")
    losses.set_ylabel("loss")
    rates.step(at, [row["lr"] for row in steps], color="black", linewidth=1)
    rates.set_ylabel("learning rate")
    rates.set_xlabel("step")
    at = [row["step"] for row in evaluations]
    losses.plot(at, [row["loss"] for row in evaluations], "o-", markersize=3, label="validation")
    losses.legend()
    for name, label in (("top1", "top-1"), ("top5", "top-5")):
        accuracies.plot(at, [100 * row[name] for row in evaluations], "o-", markersize=3, label=label)
    accuracies.set_ylabel("validation, %")
    accuracies.legend()
    figure.savefig(picture)
