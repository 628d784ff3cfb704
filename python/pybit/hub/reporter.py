# SPDX-License-Identifier: Apache-2.0
"""The progress of a download: to the caller's function or to a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pybit.base.progress import Bar, progress_bar

Progress = Callable[[str, int, "int | None"], None]  #: file name, bytes so far, bytes in all if known
Report = Callable[[int, "int | None"], None]  #: bytes so far, bytes in all if known


@contextmanager
def reporter(name: str, progress: Progress | bool | None) -> Iterator[Report]:
    """A function to tell the progress of file `name` to: it calls `progress`, or draws a bar as `progress_bar` does."""
    if callable(progress):
        call = progress
        yield lambda done, total: call(name, done, total)
        return
    bar = _DownloadBar(name, progress)
    try:
        yield bar
    finally:
        bar.close()


class _DownloadBar:
    """A bar that begins with the first report: what an earlier run had fetched says nothing about this one's speed."""

    def __init__(self, name: str, show: bool | None) -> None:
        self._name, self._show, self._done = name, show, 0
        self._bar: Bar | None = None

    def __call__(self, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = progress_bar(total, self._show, self._name, unit="B", initial=done)
        else:
            self._bar.update(done - self._done)
        self._done = done

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
