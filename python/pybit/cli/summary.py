# SPDX-License-Identifier: Apache-2.0
"""pybit summary"""

from __future__ import annotations

import argparse
from typing import Any

from pybit import _core
from pybit.base.sizes import byte_text
from pybit.cli import _common
from pybit.formats import open_any
from pybit.model.released import config_of
from pybit.model.source import looks_like_file, run_checkpoint
from pybit.report.describe import parameter_count

NAME = "summary"
HELP = "list a network's steps with shapes, parameters, multiply-adds and float32 memory"
_EPILOG = """Weights do not matter here: a name is enough, nothing is downloaded.

examples:
  pybit summary BiT-M-R50x1
  pybit summary r152x4.npz --size 480

`pybit profile --plan` tells the same for other dtypes, with algorithms."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    _common.add_network_options(parser)


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return (
            "x".join(map(_cell, value))
            if value and not isinstance(value[0], (list, tuple))
            else " + ".join(map(_cell, value))
        )
    return f"{value:,}" if isinstance(value, int) else str(value)


def run(args: argparse.Namespace) -> int:
    """Print the steps and the totals."""
    config = open_any(run_checkpoint(args.model)).config if looks_like_file(args.model) else config_of(args.model)
    plan = _core.estimate(config, args.batch_size, *args.size)
    steps, name = plan["steps"], config.architecture
    if args.json:
        _common.print_json({"model": args.model, "architecture": name, **plan})
        return 0
    columns = list(steps[0])
    rows = [columns, *([_cell(step[c]) for c in columns] for step in steps)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    numeric = [isinstance(steps[0][c], (int, float)) for c in columns]
    for row in rows:
        print("  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)).rstrip())
    height, width = args.size
    print(
        f"\n{args.model}: {name}, {config.num_classes} classes, {parameter_count(config):,} parameters\n"
        f"{args.batch_size} x {height} x {width} pixels: "
        f"{sum(s['macs'] for s in steps) / 1e9:.2f} G multiply-adds, "
        f"working memory {byte_text(plan['arena_bytes'])}, weights {byte_text(plan['weights_bytes'])}"
    )
    return 0
