# SPDX-License-Identifier: Apache-2.0
"""pybit check"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from pybit.cli import _common, _inputs
from pybit.data.folders import LISTS

NAME = "check"
HELP = "look for damaged images, duplicates, leakage and wrong labels before training"
_EPILOG = """Exits with 0 if nothing but notes was found, 1 if something was, 2 for arguments that cannot be.

examples:
  pybit check photos/
  pybit check photos/ --html photos.html --model BiT-M-R50x1-ILSVRC2012.npz
  pybit check train.csv --json | jq .counts"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("source", metavar="DIR|LIST", help="a folder of images, or a list (.csv, .tsv, .txt)")
    parser.add_argument(
        "--model", metavar="MODEL", help="judge labels by the features of this model, not by thumbnails"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with thumbnails")
    parser.add_argument("--csv", metavar="FILE", help="write a row for each file of each finding")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--no-near", action="store_true", help="do not look for near duplicates")
    parser.add_argument("--no-labels", action="store_true", help="do not judge labels")
    parser.add_argument("--most", type=_common.positive, default=5, metavar="N", help="findings of a kind (default: 5)")
    parser.add_argument("--threads", type=_common.positive, default=0, metavar="N", help="threads that decode")
    _inputs.add_list_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found."""
    from pybit.quality.run import check

    for path in (args.html, args.csv, args.report):
        if path is not None:
            _common.check_output(path)
    reading: dict[str, Any] = _inputs.list_options(args) if args.source.lower().endswith(LISTS) else {}
    found = check(
        args.source,
        model=None if args.model is None else _common.run_checkpoint(args.model),
        near=not args.no_near,
        labels=not args.no_labels,
        threads=args.threads,
        max_pixels=args.max_pixels,
        **reading,
    )
    _inputs.write_report(args, found.report)
    if args.csv is not None:
        found.save_csv(args.csv)
    if args.html is not None:
        found.save_html(args.html)
        print(f"pybit: wrote {args.html}", file=sys.stderr)
    if args.json:
        _common.print_json(found.as_dict())
    else:
        print(found.text(args.most))
    return 0 if found.ok else 1
