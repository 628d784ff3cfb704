# SPDX-License-Identifier: Apache-2.0
"""Holds the share of lines that the tests run against the floor in tools/coverage.json.

Usage: check_coverage.py python|cpp REPORT [FLOORS]. REPORT is what `coverage json` writes, or `llvm-cov export
-summary-only`. Prints the share and the files with the most lines that no test runs; exit status 1 if the share is
below the floor. A floor lies a point below the figure that was measured last: moving a few lines is no failure, a new
file without tests is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FLOORS = Path(__file__).with_name("coverage.json")
SHOWN = 12


class Lines(NamedTuple):
    """The lines of one file: how many can run, and how many did."""

    name: str
    total: int
    run: int


def of_python(report: Mapping[str, Any]) -> list[Lines]:
    """Returns the files of a report of coverage.py."""
    sums = {name: facts["summary"] for name, facts in report["files"].items()}
    return [Lines(name, s["num_statements"], s["covered_lines"]) for name, s in sums.items()]


def of_cpp(report: Mapping[str, Any]) -> list[Lines]:
    """Returns the library's files of a report of llvm-cov, which also has the tests' own.

    A line of a template counts as run if it ran in any instantiation.
    """
    sums = {os.path.relpath(file["filename"]): file["summary"]["lines"] for file in report["data"][0]["files"]}
    ours = {name: s for name, s in sums.items() if name.startswith(("include/", "src/"))}
    return [Lines(name, s["count"], s["covered"]) for name, s in ours.items()]


def share(files: Sequence[Lines]) -> float:
    """Returns the per cent of all lines that ran. Exits if there are none."""
    total = sum(file.total for file in files)
    if not total:
        raise SystemExit("expected a report with lines, got one without: did the tests run?")
    return 100 * sum(file.run for file in files) / total


def judge(what: str, files: Sequence[Lines], floor: float) -> tuple[str, bool]:
    """Returns (the text to print, whether the floor holds)."""
    worst = sorted(files, key=lambda file: file.run - file.total)[:SHOWN]
    lines = [f"{f.total - f.run:5} of {f.total:5} lines not run  {f.name}" for f in worst if f.run < f.total]
    found = share(files)
    verdict = f"{what}: {found:.2f} % of {sum(f.total for f in files)} lines run, at least {floor:g} % are wanted"
    return "\n".join([*lines, verdict]), found >= floor


def main(words: Sequence[str]) -> int:
    """Entry point."""
    what, path = words[0], Path(words[1])
    floors = json.loads(Path(words[2] if len(words) > 2 else FLOORS).read_text())
    files = {"python": of_python, "cpp": of_cpp}[what](json.loads(path.read_text()))
    text, holds = judge(what, files, floors[what]["floor"])
    print(text)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
