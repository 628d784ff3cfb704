# SPDX-License-Identifier: Apache-2.0
"""A lock between processes and threads that dies with its holder."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FileLock:
    """`with FileLock(path, timeout):` waits until no other process or thread holds it.

    Raises TimeoutError after `timeout` seconds of waiting. Waiting polls, so that Ctrl-C works. The system frees the
    lock when a process ends, however it ends; the empty file stays.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path, self._timeout, self._descriptor = path, timeout, -1

    def __enter__(self) -> FileLock:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = time.monotonic() + self._timeout
        try:
            while not _try_lock(self._descriptor):
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{self._path}: another process has been downloading this file for {self._timeout:.0f} s"
                    )
                time.sleep(0.05)
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
