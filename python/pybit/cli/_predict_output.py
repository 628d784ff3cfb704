# SPDX-License-Identifier: Apache-2.0
"""Predictions written as they come: text, JSON, JSON lines, CSV, Parquet; no command itself."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from pybit.cli import _common
from pybit.data.batches import Skipped
from pybit.data.collection import Report
from pybit.data.sources import printable
from pybit.inference.results import Prediction
from pybit.inference.tables import write_parquet


class Output(Protocol):
    """What the command tells of each prediction, and at the end."""

    def add(self, prediction: Prediction) -> None:
        """Write one prediction."""

    def end(self, report: Report | None, skipped: Sequence[Skipped]) -> None:
        """Write what is left, also after an error."""


class Text:
    """A line with the path and one per class, on standard output."""

    def add(self, prediction: Prediction) -> None:
        """Print the prediction."""
        lines = [f"{prediction.path}"]
        for label, probability in zip(prediction.labels, prediction.probabilities, strict=True):
            lines.append(f"  {probability:8.4f}  {label}")
        print("\n".join(lines), flush=True)

    def end(self, report: Report | None, skipped: Sequence[Skipped]) -> None:
        """Nothing is left."""


class Json:
    """A JSON list, or an object with the list and what was left out; complete JSON also after an error."""

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        self._count = 0
        print('{"predictions": [' if whole else "[", end="")

    def add(self, prediction: Prediction) -> None:
        """Print an item of the list."""
        print("," if self._count else "", end="\n")
        print("  " + _common.json_text(prediction.as_dict(), 2).replace("\n", "\n  "), end="", flush=True)
        self._count += 1

    def end(self, report: Report | None, skipped: Sequence[Skipped]) -> None:
        """Close the list, and tell what was left out."""
        print("\n]" if self._count else "]", end="")
        if self._whole:
            print(f', "skipped": {_common.json_text(_left_out(skipped), 2)}', end="")
            print(f', "data": {_common.json_text(None if report is None else report.as_dict(), 2)}}}', end="")
        print(flush=True)


class JsonLines:
    """A JSON object per line for each prediction, and one for each image that was left out."""

    def add(self, prediction: Prediction) -> None:
        """Print a line."""
        print(_common.json_text(prediction.as_dict(), None), flush=True)

    def end(self, report: Report | None, skipped: Sequence[Skipped]) -> None:
        """Print a line for each image that was left out."""
        for entry in skipped:
            line = {"index": entry.position, "path": printable(entry.path), "error": printable(entry.reason)}
            print(_common.json_text(line, None), flush=True)


class Csv:
    """A line per image with its path and each of the likeliest classes and probabilities."""

    def __init__(self, path: str, topk: int) -> None:
        self._file: TextIO = Path(path).open(  # noqa: SIM115 -- end() closes it
            "w", newline="", encoding="utf-8", errors="surrogateescape"
        )
        self._writer = csv.writer(self._file)
        self._writer.writerow(_columns(topk))

    def add(self, prediction: Prediction) -> None:
        """Write a line."""
        self._writer.writerow(_row(prediction))
        self._file.flush()

    def end(self, report: Report | None, skipped: Sequence[Skipped]) -> None:
        """Close the file."""
        self._file.close()


class Parquet:
    """The table of `Csv` as Parquet, which is written at the end."""

    def __init__(self, path: str, topk: int) -> None:
        self._path, self._names = path, _columns(topk)
        self._rows: list[list[Any]] = []

    def add(self, prediction: Prediction) -> None:
        """Keep a row."""
        self._rows.append(_row(prediction))

    def end(self, report: Report | None, skipped: Sequence[Skipped]) -> None:
        """Write the file."""
        import numpy as np

        columns = list(zip(*self._rows, strict=True)) or [() for _ in self._names]
        table = {
            name: np.array(values, np.float64) if name.startswith("probability") else list(values)
            for name, values in zip(self._names, columns, strict=True)
        }
        write_parquet(self._path, [table])


def _columns(topk: int) -> list[str]:
    return ["path", "label", "probability"] + [f"{n}_{i}" for i in range(2, topk + 1) for n in ("label", "probability")]


def _row(prediction: Prediction) -> list[Any]:
    pairs = zip(prediction.labels, prediction.probabilities, strict=True)
    return [prediction.path, *(value for pair in pairs for value in pair)]


def _left_out(skipped: Sequence[Skipped]) -> list[dict[str, Any]]:
    return [{"index": s.position, "path": printable(s.path), "reason": printable(s.reason)} for s in skipped]


def add_options(parser: argparse.ArgumentParser) -> None:
    """--json and the other ways of writing predictions."""
    group = parser.add_argument_group("output")
    kinds = group.add_mutually_exclusive_group()
    kinds.add_argument("--json", action="store_true", help="print a JSON list")
    kinds.add_argument(
        "--json-report",
        action="store_true",
        help="print a JSON object: predictions (the list of --json), skipped (images that could not be read, with "
        "--skip-corrupt) and data (what --report writes)",
    )
    kinds.add_argument("--json-lines", action="store_true", help="print a JSON object per line")
    group.add_argument("--csv", metavar="FILE", help="write a table: path, label, probability, label_2, ...")
    group.add_argument("--parquet", metavar="FILE", help="write the table as Parquet (needs pyarrow)")


def check(args: argparse.Namespace) -> None:
    """Raise for files that cannot be written, before the work is done."""
    for path in filter(None, (args.csv, args.parquet)):
        _common.check_output(path)
    if args.parquet:
        _common.check_table(args.parquet, (".parquet",))


@contextmanager
def outputs(args: argparse.Namespace, topk: int, images: Any, skipped: list[Skipped]) -> Iterator[list[Output]]:
    """What the options ask for; without any, text. All are ended in good order also after an error."""
    found: list[Output] = []
    if args.csv:
        found.append(Csv(args.csv, topk))
    if args.parquet:
        found.append(Parquet(args.parquet, topk))
    if args.json or args.json_report:
        found.append(Json(args.json_report))
    elif args.json_lines:
        found.append(JsonLines())
    elif not found:
        found.append(Text())
    try:
        yield found
    finally:
        for output in found:
            output.end(images.report, skipped)
        if sys.stdout is not None:
            sys.stdout.flush()
