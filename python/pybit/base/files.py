# SPDX-License-Identifier: Apache-2.0
"""Files that are complete or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def complete_file(path: str, mode: str, **how: Any) -> Iterator[Any]:
    """A file opened for writing beside `path`, renamed to it at the end, and removed if an exception ends the block.

    `mode` and `how` are those of `open`. Raises OSError if it cannot be written.
    """
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, mode, **how) as file:
            yield file
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
