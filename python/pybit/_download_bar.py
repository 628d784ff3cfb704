"""The progress of a download on stderr: bytes, speed and time left, drawn only where somebody looks at it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_INTERVAL = 0.1  # seconds between redraws
_INTERVAL_IN_LOGS = 10.0  # off a terminal each redraw is a line


def human_bytes(count: float) -> str:
    """A size as "97.5 MB" (decimal units)."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


@contextmanager
def reporter(
    name: str, progress: Callable[[str, int, int | None], None] | bool | None
) -> Iterator[Callable[[int, int | None], None]]:
    """A function of (bytes, bytes in all) that calls `progress`, draws a bar (True; None on a terminal) or nothing."""
    if callable(progress):
        call = progress
        yield lambda done, total: call(name, done, total)
    elif progress or (progress is None and sys.stderr.isatty()):
        bar = _Bar(name)
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield lambda done, total: None


class _Bar:
    def __init__(self, name: str) -> None:
        self._name, self._start, self._last, self._first = name, time.monotonic(), 0.0, -1
        self._state: tuple[int, int | None] = (0, None)
        self._interval = _INTERVAL if sys.stderr.isatty() else _INTERVAL_IN_LOGS

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if self._first < 0:
            self._first = done  # what an earlier run had fetched says nothing about the speed of this one
        if now - self._last >= self._interval:
            self._last = now
            self._draw(done, total)
        self._state = (done, total)

    def _draw(self, done: int, total: int | None) -> None:
        speed = (done - self._first) / max(time.monotonic() - self._start, 1e-3)
        text = f"{self._name}  {human_bytes(done)}"
        if total:
            filled = min(24, 24 * done // total)
            text = (
                f"{self._name}  [{'#' * filled}{'.' * (24 - filled)}] {100 * done // total:3d}%  {human_bytes(done)}"
                f" of {human_bytes(total)}"
            )
        text += f"  {human_bytes(speed)}/s"
        if total and speed > 0:
            text += f"  {(total - done) / speed:.0f} s left"
        sys.stderr.write(f"\r{text}\x1b[K" if sys.stderr.isatty() else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        if self._first >= 0:
            self._draw(*self._state)
            if sys.stderr.isatty():
                sys.stderr.write("\n")
