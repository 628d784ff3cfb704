# SPDX-License-Identifier: Apache-2.0
"""pybit profile"""

from __future__ import annotations

import argparse
import sys

from pybit.cli import _common
from pybit.model import create_model, load
from pybit.report import chart
from pybit.report.plan import Plan

NAME = "profile"
HELP = "time every step of a network and hold it against what this machine can do"
_EPILOG = """Values do not matter here: a name is enough, the weights are then random and nothing is downloaded.
Run it on an idle machine. BIT_ISA=avx2 (or scalar, avx512) pins the instruction set.

examples:
  pybit profile BiT-M-R50x1
  pybit profile r152x4.npz --size 480 --batch-size 2 --threads 4 --png r152x4.png
  pybit profile R50x1 --algorithm direct --json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    _common.add_network_options(parser)
    parser.add_argument("--runs", type=_common.positive, default=20, metavar="N", help="timed runs (default: 20)")
    _common.add_compute_options(parser)
    parser.add_argument("--plan", action="store_true", help="tell the algorithms and bytes only, run nothing")
    parser.add_argument("--png", metavar="FILE", help="write a chart: rates of the layers and the roofline")


def run(args: argparse.Namespace) -> int:
    """Print the table; write the chart."""
    if args.png:
        _common.require(not args.plan, "--png draws times: leave out --plan")
        _common.check_output(args.png)
    options = {"dtype": args.dtype, "algorithm": args.algorithm}
    make = load if _common.looks_like_file(args.model) else create_model
    model = make(args.model, **options)
    height, width = args.size
    found: Plan
    if args.plan:
        found = model.plan(height, width, args.batch_size, threads=args.threads)
    else:
        found = profile = model.profile(height, width, args.batch_size, args.runs, threads=args.threads)
        if args.png:
            chart.save(profile, args.png)
            print(f"pybit: wrote {args.png}", file=sys.stderr)
    if args.json:
        _common.print_json(found.as_dict())
    else:
        print(found)
    return 0
