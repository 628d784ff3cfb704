# SPDX-License-Identifier: Apache-2.0
"""pybit info"""

from __future__ import annotations

import argparse
from typing import Any

from pybit.base.threads import build_info
from pybit.cli import _common

NAME = "info"
HELP = "show versions, threads, instruction sets and OpenMP runtimes, for bug reports"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_words(v)}" for k, v in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value)) or "none"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def run(args: argparse.Namespace) -> int:
    """Print one fact per line."""
    info = build_info()
    if args.json:
        _common.print_json(info)
    else:
        width = max(map(len, info))
        for key, value in info.items():
            print(f"{key:<{width}}  {_words(value)}")
    return 0
