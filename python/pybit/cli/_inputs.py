# SPDX-License-Identifier: Apache-2.0
"""Folders and lists of images as several commands take them, and the report of what was left out; no command itself."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from pybit.cli import _common
from pybit.cli._train_optimizer import add
from pybit.data.collection import Report
from pybit.data.folders import LISTS, Labelled, labelled_list
from pybit.errors import ConfigError, FormatError

STDIN = "-"
"""The path that stands for an image on standard input."""


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """How lists are read, --path_column, --label_column, --separator, --encoding, --report and --max_pixels."""
    group = parser.add_argument_group("folders and lists")
    add(group, "path_column", default="", metavar="NAME", help="of a list (default: path, file_name, image, ...)")
    add(group, "label_column", default="", metavar="NAME", help="of a list (default: label, class, target, ...)")
    group.add_argument("--separator", default="", metavar="C", help="of a list (default: told by its first line)")
    group.add_argument(
        "--encoding", default="utf-8", choices=("utf-8", "latin-1", "cp1252"), help="of a list (default: utf-8)"
    )
    group.add_argument(
        "--report", metavar="FILE", help="write what was taken from folders and what was left out, and why, as JSON"
    )
    help_ = "refuse larger images (default: BIT_MAX_PIXELS of the environment, or 178956970)"
    add(group, "max_pixels", type=_common.positive, metavar="N", help=help_)


def list_options(args: argparse.Namespace) -> dict[str, str]:
    """The options of lists, as `pybit.datasets.open` has them. Raises ConfigError for a separator that is none."""
    separator = args.separator.replace("\\t", "\t")
    if len(separator.encode()) > 1:
        raise ConfigError(f"expected --separator of one character or \\t, got {args.separator!r}")
    return {
        "path_column": args.path_column,
        "label_column": args.label_column,
        "separator": separator,
        "encoding": args.encoding,
    }


def inputs_of(
    paths: Sequence[str], args: argparse.Namespace, *, stdin: bool = False
) -> str | list[Any] | Labelled | io.BytesIO:
    """What a command was given, with lists read: one folder or file, one list with its classes, or several.

    With `stdin` the path "-" is an image on standard input. Raises ConfigError for it without.
    """
    if args.report:
        _common.check_output(args.report)
    if STDIN in paths and not stdin:
        raise ConfigError(f"expected files and folders, got {STDIN}: predict alone reads standard input")
    read = [_input(path, args) for path in paths]
    if len(read) == 1:
        return read[0]
    return [item for part in read for item in (part.paths if isinstance(part, Labelled) else [part])]


def _input(path: str, args: argparse.Namespace) -> str | Labelled | io.BytesIO:
    if path == STDIN:
        data = sys.stdin.buffer.read() if sys.stdin is not None else b""
        if not data:
            raise FormatError("expected an image on standard input, got nothing")
        return io.BytesIO(data)
    return labelled_list(path, **list_options(args)) if path.lower().endswith(LISTS) else path


def write_report(args: argparse.Namespace, report: Report | None) -> None:
    """Write the file that --report asks for. Raises OSError if it cannot be written."""
    if args.report is None:
        return
    document = {} if report is None else report.as_dict()
    temporary = f"{args.report}.{os.getpid()}.part"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
        os.replace(temporary, args.report)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
