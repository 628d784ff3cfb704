# SPDX-License-Identifier: Apache-2.0
"""Checks that each source file tells its licence in its first lines, so that a file that was copied out still tells it.

Usage: check_spdx.py [ROOT]. Prints one line per file without; exit status 1 if there is any.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("benchmarks", "examples", "include", "python", "src", "tests", "tools")
LINE = "SPDX-License-Identifier: Apache-2.0"
COMMENTS = {
    **dict.fromkeys((".hpp", ".ipp", ".inl", ".cuh", ".cu", ".cpp"), "// "),
    **dict.fromkeys((".py", ".pyi", ".sh"), "# "),
}


def expected(path: Path) -> str | None:
    """Returns the line that a file must begin with, or None if it is no source file."""
    comment = COMMENTS.get(path.suffix)
    return comment + LINE if comment else None


def lacks(path: Path) -> bool:
    """Returns whether a source file lacks the line, which stands first, or second after `#!`."""
    line = expected(path)
    if line is None:
        return False
    head = path.read_text().split("\n", 2)[:2]
    return head[0] != line and not (head[0].startswith("#!") and head[1:] == [line])


def check(root: Path) -> Iterator[str]:
    """Yields a line for each file under the checked folders that lacks it."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and lacks(path):
                yield f"{path.relative_to(root)}: expected to begin with `{expected(path)}`"


if __name__ == "__main__":
    missing = list(check(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    print("\n".join(missing) or "each source file tells its licence")
    sys.exit(bool(missing))
