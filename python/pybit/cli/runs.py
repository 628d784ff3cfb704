# SPDX-License-Identifier: Apache-2.0
"""pybit runs"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pybit.cli import _common
from pybit.errors import ConfigError, FormatError
from pybit.train.result import score_text
from pybit.train.run_files import BEST, LAST, Run, read_run

NAME = "runs"
HELP = "compare training runs: what each was asked for and what it reached"
_EPILOG = """FOLDER is a run's folder or one that holds some. The best run comes first; below the table stand the
options in which the runs differ.

examples:
  pybit runs runs/
  pybit runs runs/a runs/b --json"""

# Flags that tell nothing about how runs differ in what they were asked for.
_NOT_COMPARED = {"batch_split", "labels_crc32"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("folders", metavar="FOLDER", nargs="+", help="runs, or folders that hold runs")
    parser.add_argument("--json", action="store_true", help="print JSON: an object per run")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    folders = [run for folder in args.folders for run in _runs_in(Path(folder))]
    runs = sorted(map(read_run, folders), key=_rank)
    if args.json:
        _common.print_json([_as_dict(run) for run in runs])
        return 0
    rows = [("run", "steps", "best", "at step", "last loss", "model")]
    for found in runs:
        loss = found.steps[-1]["loss"] if found.steps else None
        rows.append(
            (
                str(found.folder),
                f"{found.step}/{found.planned}",
                "-" if found.best is None else score_text(found.best_by, found.best),
                str(found.best_step) if found.best is not None else "-",
                "-" if loss is None else f"{loss:.4f}",
                found.flags.get("model", "-"),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    _show_differences(runs)
    return 0


def _runs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"expected a folder, got {folder}")
    if any((folder / name).is_file() for name in (LAST, BEST)):
        return [folder]
    found = sorted({path.parent for name in (LAST, BEST) for path in folder.glob(f"*/{name}")})
    if not found:
        raise FormatError(f"{folder} is no run's folder and holds none")
    return found


def _rank(run: Run) -> tuple[Any, ...]:
    """The best first, those by one number together, those without any last."""
    if run.best is None:
        return (1, "", 0.0, str(run.folder))
    return (0, run.best_by, run.best if run.best_by == "loss" else -run.best, str(run.folder))


def _show_differences(runs: list[Run]) -> None:
    names = sorted({name for run in runs for name in run.flags} - _NOT_COMPARED)
    differing = [name for name in names if len({run.flags.get(name) for run in runs}) > 1]
    if differing:
        print("\nthey differ in")
    for name in differing:
        print(f"  {name}: " + ", ".join(f"{run.flags.get(name, '-').strip()} ({run.folder.name})" for run in runs))


def _as_dict(run: Run) -> dict[str, Any]:
    last = run.evaluations[-1] if run.evaluations else None
    return {
        "folder": str(run.folder),
        "step": run.step,
        "steps": run.planned,
        "best": run.best,
        "best_by": run.best_by,
        "best_step": run.best_step,
        "evaluation": last,
        "flags": run.flags,
    }
