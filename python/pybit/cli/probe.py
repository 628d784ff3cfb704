# SPDX-License-Identifier: Apache-2.0
"""pybit probe"""

from __future__ import annotations

import argparse
import os
import sys

from pybit.cli import _common, _inputs
from pybit.data.collection import joined
from pybit.data.folders import LISTS
from pybit.errors import FormatError
from pybit.evaluation import probe
from pybit.inference.results import load_embeddings

NAME = "probe"
HELP = "few-shot evaluation of features by linear probe and nearest neighbours"
_EPILOG = """Features come from `pybit embed`, or are computed from a folder with one folder per class. The linear
probe is ridge regression, its strength chosen by leave-one-out on the training examples. Without --test a fifth of
each class is held out.

examples:
  pybit probe features.npz
  pybit probe train.npz --test test.npz --shots 1,5,full --seeds 10 --json
  pybit probe photos/ --model r50x1.npz"""


def _shots(text: str) -> list[int | str]:
    values: list[int | str] = []
    for part in text.split(","):
        if part.strip() != "full" and not (part.strip().isdecimal() and int(part) > 0):
            raise argparse.ArgumentTypeError(f'expected numbers and "full", like 1,5,full, got {text!r}')
        values.append("full" if part.strip() == "full" else int(part))
    return values


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("features", metavar="FEATURES.npz|FOLDER|LIST", help="labelled features, or images")
    parser.add_argument("--test", metavar="FEATURES.npz|FOLDER", help="test examples instead of a held-out part")
    parser.add_argument(
        "--shots",
        type=_shots,
        metavar="LIST",
        help="training examples per class (default: 1,2,5,10, as far as every class has them, and full)",
    )
    parser.add_argument("--seeds", type=_common.positive, default=5, metavar="N", help="random draws (default: 5)")
    parser.add_argument(
        "--neighbours",
        "-k",
        type=_common.positive,
        default=5,
        metavar="K",
        help="neighbours that vote; at most as many as shots (default: 5)",
    )
    parser.add_argument("--ridge", type=float, metavar="LAMBDA", help="a fixed strength instead of leave-one-out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _common.add_model_options(parser)
    _common.add_image_options(parser)
    _inputs.add_list_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print accuracy against examples per class."""
    sources = [s for s in (args.features, args.test) if s is not None]
    _common.check_images([s for s in sources if os.path.isdir(s)])
    images = {s: _inputs.inputs_of([s], args) for s in sources if os.path.isdir(s) or s.lower().endswith(LISTS)}
    model = _common.open_model(args) if images else None
    tables = []
    for source in sources:
        if source in images and model is not None:
            found = _common.embed_files(model, images[source], args)
        else:
            found = load_embeddings(source)
        if found.classes is None:
            raise FormatError(
                f"{source}: expected labels: a folder with one folder per class, or `classes` in the file"
            )
        tables.append(found)
    if len(tables) == 2 and tables[0].class_names != tables[1].class_names:
        raise FormatError(
            f"expected the same classes in both, got {', '.join(tables[0].class_names or ())} in {sources[0]} and "
            f"{', '.join(tables[1].class_names or ())} in {sources[1]}"
        )
    test = tables[1] if len(tables) == 2 else None
    report = probe.few_shot(
        tables[0].features,
        tables[0].classes,
        shots=args.shots,
        seeds=args.seeds,
        test_features=None if test is None else test.features,
        test_labels=None if test is None else test.classes,
        k=args.neighbours,
        ridge=args.ridge,
    )
    data = joined(t.report for t in tables if t.report is not None)
    _inputs.write_report(args, data)
    if args.json:
        _common.print_json(report.as_dict() | ({} if data is None else {"data": data.as_dict()}))
    else:
        print(report)
    skipped = sum(len(t.skipped) for t in tables)
    if skipped:
        print(f"pybit: {skipped} files were left out", file=sys.stderr)
    return 1 if skipped else 0
