# SPDX-License-Identifier: Apache-2.0
"""What a run shows: log lines as the reference writes them, a live line, a curve at the end."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from pybit.base.progress import watched
from pybit.evaluation.accuracy import Evaluation
from pybit.train.curve import save_curve
from pybit.train.result import FineTuned, score_text

# big_transfer's bit_common.py
_FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"


_INTERVAL = 0.2  # seconds between redraws of the live line
_INTERVAL_IN_LOGS = 10.0  # the same where standard error is not watched: each redraw stays


class _Stream(logging.StreamHandler[Any]):
    """Standard error, where the live line is taken away before a message is written."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._width = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.clear()
        super().emit(record)

    def clear(self) -> None:
        """Take the live line away, by blanks: notebooks have no other way."""
        if self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self.stream.flush()
            self._width = 0

    def show(self, text: str) -> None:
        """Draw the live line in the place of the last one."""
        self.stream.write("\r" + text.ljust(self._width))
        self.stream.flush()
        self._width = len(text)


class _Forward(logging.Handler):
    """Gives messages to the logger "pybit.train" of the program, whose levels and handlers decide."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = logging.getLogger("pybit.train")
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)


class TrainLog:
    """train.log in a run's folder with every line, if there is a folder, and what people see meanwhile.

    With `stderr`, as the command has it, standard error shows all lines, or a live line and the others on a terminal.
    Otherwise lines go to the logger "pybit.train", and a live line is drawn as `progress` says: True always, None on a
    terminal or in a notebook, False never. Its methods are callbacks of FineTuning.start.

    Raises OSError if the folder cannot be written.
    """

    def __init__(
        self, folder: Path | None, *, quiet: bool = False, stderr: bool = True, progress: bool | None = None
    ) -> None:
        self._folder = folder
        self._logger = logging.Logger("pybit.train", logging.DEBUG)
        self._stream = _Stream()
        self._file = None if folder is None else _log_file(folder, "--" if stderr else "")
        self._again = "the same command" if stderr else "the same call"
        if stderr:
            self._live = watched() and not quiet
            self._stream.setLevel(logging.WARNING if quiet else logging.INFO)
        else:
            self._live = watched() if progress is None else progress
            self._stream.setLevel(logging.CRITICAL + 1)
            self._logger.addHandler(_Forward())
        for handler in (self._file, self._stream):
            if handler is not None:
                handler.setFormatter(logging.Formatter(_FORMAT))
                self._logger.addHandler(handler)
        self._steps, self._classes, self._told, self._best_by = 0, 0, 0, "top1"
        self._recent: list[tuple[float, int]] = []
        self._interval = _INTERVAL if watched() else _INTERVAL_IN_LOGS
        self._next = 0.0  # when the live line is drawn again

    def begin(self, recipe: str, steps: int, done: int, classes: int, best_by: str) -> None:
        """Write the recipe and where the run, of which `done` of its steps are done, begins, which is now."""
        self._steps, self._classes, self._best_by = steps, classes, best_by
        self.info(recipe)
        if done >= steps:
            self.info(f"the run in {self._folder} is complete, {done} steps: it is evaluated only")
        elif done and self._folder is not None:
            self.info(f"continuing at step {done} of {steps} from {self._folder / 'last.safetensors'}")
        self._recent = [(time.monotonic(), 0)]

    def info(self, text: str) -> None:
        """Write each line of `text` as a message."""
        for line in text.splitlines():
            self._write(logging.INFO, line)

    def warning(self, text: str) -> None:
        """Write a message that is shown also when quiet."""
        self._write(logging.WARNING, text)

    def _write(self, level: int, text: str, *values: Any) -> None:
        if level >= logging.INFO:  # the program's handlers may write to standard error, too
            self._stream.clear()
        self._logger.log(level, text, *values)

    def on_part(self, step: int, part: int, parts: int, loss: float, rate: float) -> None:
        """Write bit_pytorch's line for a micro-batch: its loss and the learning rate."""
        place = f" ({part + 1}/{parts})" if parts > 1 else ""
        level = logging.DEBUG if self._live else logging.INFO
        self._write(level, "[step %d%s]: loss=%.5f (lr=%.1e)", step, place, loss, rate)

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
            self._write(logging.INFO, "about %s left at %.1f images/s, evaluations apart", left, speed)
        if self._live and (step == self._steps or time.monotonic() >= self._next):
            self._next = time.monotonic() + self._interval
            self._stream.show(
                f"step {step}/{self._steps}  loss {loss:.4f}  lr {rate:.1e}  {speed:.1f} images/s  {left} left"
            )

    def on_evaluation(self, step: int, found: Evaluation, more: dict[str, float | None]) -> None:
        """Write bit_pytorch's line for an evaluation, and the number of `more` that the best is chosen by.

        Top-5 is left out where it says next to nothing: with five classes or fewer it is 100 %.
        """
        text = f"Validation@{step} loss {found.loss:.5f}, top1 {100 * found.top1:.2f}%"
        if self._classes > 5:
            text += f", top5 {100 * found.top5:.2f}%"
        if (score := more.get(self._best_by)) is not None:
            text += f", {score_text(self._best_by, score)}"
        self._write(logging.INFO, text)
        self._recent = self._recent[-1:] and [(time.monotonic(), 0)]  # an evaluation is no part of a step's time

    def on_skipped(self, name: str, reason: str) -> None:
        """Write that an image was left out, and why."""
        self._write(logging.WARNING, "left out %s: %s", name, reason)

    def end(self, done: FineTuned) -> None:
        """Write how the run ended, and curve.png beside what the run wrote."""
        self.info("Timings: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in done.seconds.items()))
        if done.interrupted and done.folder is not None:
            rest = f"{self._again} continues from {done.folder / 'last.safetensors'}"
            self.warning(f"stopped after step {done.steps}; {rest}")
        elif done.interrupted:
            self.warning(f"stopped after step {done.steps}; nothing was saved, since the run has no folder to save in")
        elif done.ended == "patience":
            self.info(f"ended after step {done.steps} of {self._steps}: evaluations bring nothing better")
        elif done.ended == "time":
            rest = "" if done.folder is None else f"; {self._again} goes on"
            self.warning(f"ended after step {done.steps} of {self._steps}: its time is up{rest}")
        if done.best is not None:
            self.info(f"best {score_text(done.best_by, done.best)} at step {done.best_step}")
        if done.folder is None:
            return
        try:
            save_curve(done.folder / "metrics.jsonl", done.folder / "curve.png")
        except ImportError:
            self.info("no curve.png: it needs matplotlib (pip install matplotlib)")

    def close(self) -> None:
        """Take the live line away and close train.log."""
        self._stream.clear()
        if self._file is not None:
            self._file.close()


def _log_file(folder: Path, dashes: str) -> logging.FileHandler:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(folder / "train.log", encoding="utf-8")
    except OSError as e:
        text = f"cannot write a run here: {e.strerror}; choose a {dashes}logdir and a {dashes}name that can be written"
        raise OSError(e.errno, text, str(folder)) from None
    file.setLevel(logging.DEBUG)
    # A full disk must end the run by the library's error, not by a traceback for each line.
    file.handleError = lambda record: None  # type: ignore[method-assign]
    return file
