"""pybit eval"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import Any

from pybit.cli import _common

NAME = "eval"
HELP = "loss, top-1 and top-5 of a checkpoint on labelled images"
_EPILOG = """DATA is a folder of images, a CSV list, or a CIFAR archive. Measured is its part for validation (val/)
if it has one; otherwise the images that the run held out, if the checkpoint comes from `pybit train`; otherwise all.
Images are squashed to the model's input size, as the reference evaluates.

examples:
  pybit eval runs/photos/best.safetensors photos/
  pybit eval BiT-M-R50x1-CIFAR10.npz cifar-10-python.tar.gz --size 128 --json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint file of any supported format")
    parser.add_argument("data", metavar="DATA", help="labelled images")
    parser.add_argument("--split", choices=("validation", "train", "all"), help="which part of DATA")
    parser.add_argument("--order", choices=("natural", "lexical"), default="natural", help="of a folder's classes")
    parser.add_argument("--size", type=_common.positive, metavar="N", help="input size instead of the model's own")
    parser.add_argument("--batch", "--batch-size", type=_common.positive, default=32, metavar="N", help="(default: 32)")
    parser.add_argument("--workers", type=_common.positive, default=8, metavar="N", help="threads that decode")
    parser.add_argument("--threads", type=_common.positive, default=0, metavar="N", help="threads that compute")
    parser.add_argument("--skip-corrupt", action="store_true", help="leave out images that cannot be read")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print loss, top-1 and top-5."""
    import pybit
    from pybit import datasets

    split = {} if args.split == "all" else _held_out(args.checkpoint)
    parts = datasets.open(args.data, **({"order": args.order, "validation_fraction": 0.0} | split))
    if args.split == "all" and len(parts.validation):
        raise pybit.ConfigError(f"{args.data} has a part for validation: expected --split validation or train")
    if args.split == "validation" and not len(parts.validation):
        raise pybit.ConfigError(f"{args.data} has no part for validation, and {args.checkpoint} names none")
    held_out = len(parts.validation) and args.split != "train"
    data = parts.validation if held_out else parts.train
    if held_out and split:
        print(f"pybit: note: measured on the {len(data)} images that training left out", file=sys.stderr)
    found = pybit.evaluate(
        pybit.load(args.checkpoint),
        data,
        size=args.size,
        batch=args.batch,
        workers=args.workers,
        skip_corrupt=args.skip_corrupt,
        threads=args.threads,
    )
    if args.json:
        _common.print_json(dataclasses.asdict(found))
    else:
        print(
            f"{found.examples} images: loss {found.loss:.5f}, top1 {100 * found.top1:.2f}%, "
            f"top5 {100 * found.top5:.2f}%"
        )
    left_out = len(data) - found.examples
    if left_out:
        print(f"pybit: {left_out} images were left out", file=sys.stderr)
    return 1 if left_out else 0


def _held_out(checkpoint: str) -> dict[str, Any]:
    """How the run that wrote a checkpoint split its data, if it did."""
    from pybit.formats import open_any

    flags = json.loads(open_any(checkpoint).metadata.get("bit.training.flags", "{}"))
    if "validation_fraction" not in flags:
        return {}
    return {
        "validation_fraction": float(flags["validation_fraction"]),
        "seed": int(flags["split_seed"]),
        "order": flags["class_order"],
    }
