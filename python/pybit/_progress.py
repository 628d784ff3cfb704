"""A progress bar for long work: tqdm if it is installed, otherwise one rewritten line on a terminal."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any, Protocol

_DELAY = 1.0  # seconds before the first output: short work stays quiet


class Bar(Protocol):
    """What callers use of a bar."""

    def update(self, n: int) -> Any:
        """Adds `n` finished items."""

    def close(self) -> Any:
        """Removes the bar; may be called twice."""


class _Silent:
    def update(self, n: int) -> None:
        pass

    def close(self) -> None:
        pass


class _Line:
    def __init__(self, total: int, description: str) -> None:
        self._total = total
        self._description = description
        self._done = 0
        self._shown = False
        self._next = time.monotonic() + _DELAY

    def update(self, n: int) -> None:
        self._done += n
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.2
            self._shown = True
            print(f"\r{self._description}: {self._done}/{self._total}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._shown:
            self._shown = False
            print(file=sys.stderr, flush=True)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def progress_bar(total: int, show: bool | None, description: str) -> Bar:
    """A bar over `total` items; `show` None: only on a terminal or in a notebook."""
    if show is None:
        show = total > 1 and (_in_notebook() or (sys.stderr is not None and sys.stderr.isatty()))
    if not show:
        return _Silent()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm.auto warns where notebook widgets are missing and uses text
            from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return _Line(total, description)
    bar: Bar = tqdm(total=total, desc=description, unit="img", delay=_DELAY)
    return bar
