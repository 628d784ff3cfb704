# SPDX-License-Identifier: Apache-2.0
"""The progress bar of all long work: tqdm if it is installed, otherwise one rewritten line on standard error."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any, Literal, Protocol

from pybit.base.sizes import byte_text

Unit = Literal["img", "B"]

_DELAY = 1.0  # seconds before the first output where the caller did not ask for a bar: short work stays quiet
_INTERVAL = 0.2  # seconds between redraws on a terminal
_INTERVAL_IN_LOGS = 10.0  # elsewhere, where each redraw stays


class Bar(Protocol):
    """What callers use of a bar. One thread at a time may use it."""

    def update(self, n: int) -> Any:
        """Add `n` finished items."""

    def close(self) -> Any:
        """Draw the last state and leave the line; may be called twice."""


class _Silent:
    def update(self, n: int) -> None:
        pass

    def close(self) -> None:
        pass


class _Line:
    def __init__(self, total: int | None, description: str, unit: Unit, initial: int, delay: float) -> None:
        self._total, self._description, self._done = total, description, initial
        self._text = str if unit == "img" else byte_text
        self._shown = False
        self._interval = _INTERVAL if _on_terminal() else _INTERVAL_IN_LOGS
        self._next = time.monotonic() + delay

    def update(self, n: int) -> None:
        self._done += n
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            self._draw()

    def _draw(self) -> None:
        self._shown = True
        whole = "" if self._total is None else f"/{self._text(self._total)}"
        part = f" {100 * self._done // self._total}%" if self._total else ""
        print(f"\r{self._description}: {self._text(self._done)}{whole}{part}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._shown:
            self._draw()
            self._shown = False
            print(file=sys.stderr, flush=True)


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def watched() -> bool:
    """Whether someone watches standard error: on a terminal, or in a notebook."""
    return _in_notebook() or _on_terminal()


def progress_bar(
    total: int | None, show: bool | None, description: str, *, unit: Unit = "img", initial: int = 0
) -> Bar:
    """A bar on standard error over `total` items, of which `initial` were done before and say nothing about the speed.

    `show`: True draws from the first item on; None only on a terminal or in a notebook, for more than one item and
    once the work has taken a second; False never. `total` is None where it is not known; bytes (unit "B") are shown
    in binary units.
    """
    delay = 0.0 if show else _DELAY
    if show is None:
        show = (total is None or total > 1) and watched()
    if not show:
        return _Silent()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm.auto warns where notebook widgets are missing and uses text
            from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return _Line(total, description, unit, initial, delay)
    interval = _INTERVAL if _on_terminal() or _in_notebook() else _INTERVAL_IN_LOGS
    scale = {"unit_scale": True, "unit_divisor": 1024} if unit == "B" else {}
    bar: Bar = tqdm(
        total=total, desc=description, unit=unit, initial=initial, delay=delay, mininterval=interval, **scale
    )
    return bar
