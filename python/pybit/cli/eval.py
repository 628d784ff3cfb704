# SPDX-License-Identifier: Apache-2.0
"""pybit eval"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pybit.cli import _common, _inputs
from pybit.data import PreprocessSpec, datasets
from pybit.data.folders import LISTS
from pybit.errors import ConfigError
from pybit.evaluation.accuracy import Evaluation, PerClass, evaluate
from pybit.formats import open_any
from pybit.model import Model, load

NAME = "eval"
HELP = "loss, top-1 and top-5 of a checkpoint on labelled images"
_EPILOG = """CHECKPOINT is a file of any supported format or a run's folder, of which best.safetensors is taken. DATA is
a folder of images, a CSV list, or a CIFAR archive. Measured is its part for validation (val/) if it has one; otherwise
the images that the run held out, if the checkpoint comes from `pybit train`; otherwise all. Images are prepared as the
model's own preprocessing says, which for a fine-tuned model is to squash them to the size it was trained at.

examples:
  pybit eval runs/photos photos/ --per-class
  pybit eval BiT-M-R50x1-CIFAR10.npz cifar-10-python.tar.gz --size 128 --json
  pybit eval BiT-M-R50x1-ILSVRC2012.npz imagenet/ --resize 256 --crop 224"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.set_defaults(untrained=False)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint file, or a run's folder")
    parser.add_argument("data", metavar="DATA", help="labelled images")
    parser.add_argument("--split", choices=("validation", "train", "all"), help="which part of DATA")
    parser.add_argument("--order", choices=("natural", "lexical"), default="natural", help="of a folder's classes")
    parser.add_argument("--per-class", action="store_true", help="also each class's accuracy and the confusion matrix")
    parser.add_argument("--threads", type=_common.positive, default=0, metavar="N", help="threads that compute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _inputs.add_list_options(parser)
    images = parser.add_argument_group("images")
    images.add_argument("--size", type=_common.positive, metavar="N", help="input size instead of the model's own")
    images.add_argument(
        "--resize", type=_common.positive, metavar="N", help="shortest edge to N, then the centre of --crop x --crop"
    )
    images.add_argument("--crop", type=_common.positive, metavar="N", help="with --resize; alone: squash to N x N")
    images.add_argument("--mode", choices=("squash", "center_crop"), help="instead of the model's own way")
    images.add_argument("--interpolation", choices=("bilinear", "bicubic"), help="instead of the model's own")
    images.add_argument("--crop-pct", type=_common.fraction, metavar="P", help="of center_crop, e.g. 0.875")
    images.add_argument("--batch", "--batch-size", type=_common.positive, default=32, metavar="N", help="(default: 32)")
    images.add_argument("--workers", type=_common.positive, default=8, metavar="N", help="threads that decode")
    images.add_argument("--skip-corrupt", action="store_true", help="leave out images that cannot be read")


def run(args: argparse.Namespace) -> int:
    """Print loss, top-1 and top-5."""
    checkpoint = _common.run_checkpoint(args.checkpoint)
    split = {} if args.split == "all" else _held_out(checkpoint)
    reading: dict[str, Any] = {"order": args.order, "validation_fraction": 0.0, "needs_train": False}
    reading["max_pixels"] = args.max_pixels
    if args.report:
        _common.check_output(args.report)
    if args.data.lower().endswith(LISTS):
        reading |= _inputs.list_options(args)
    parts = datasets.open(args.data, **reading | split)
    _inputs.write_report(args, parts.train.report)
    if args.split == "all" and len(parts.validation):
        raise ConfigError(f"{args.data} has a part for validation: expected --split validation or train")
    if args.split == "validation" and not len(parts.validation):
        raise ConfigError(f"{args.data} has no part for validation, and {checkpoint} names none")
    held_out = len(parts.validation) and args.split != "train"
    data = parts.validation if held_out else parts.train
    if held_out and split:
        print(f"pybit: note: measured on the {len(data)} images that training left out", file=sys.stderr)
    model = load(checkpoint)
    found = evaluate(
        model,
        data,
        preprocessing=_preprocessing(model, args),
        per_class=args.per_class,
        batch=args.batch,
        workers=args.workers,
        skip_corrupt=args.skip_corrupt,
        threads=args.threads,
    )
    if args.json:
        _common.print_json(_as_dict(found) | ({} if data.report is None else {"data": data.report.as_dict()}))
    else:
        _show(found)
    left_out = len(data) - found.examples
    if left_out:
        print(f"pybit: {left_out} images were left out", file=sys.stderr)
    return 1 if left_out else 0


def _preprocessing(model: Model, args: argparse.Namespace) -> PreprocessSpec:
    """The model's own, with what the options change."""
    if args.resize is not None or args.crop is not None:
        if args.crop is None or args.size is not None or args.mode is not None or args.crop_pct is not None:
            raise ConfigError("expected --resize N --crop N, or --crop N alone, without --size, --mode and --crop-pct")
        if args.resize is not None and args.resize < args.crop:
            raise ConfigError(f"expected --crop of at most --resize, got {args.crop} and {args.resize}")
        args.size, args.mode = args.crop, "squash"
        if args.resize is not None:
            # floor(size / crop_pct) is the edge that is resized to: half a pixel more keeps it clear of rounding.
            args.mode, args.crop_pct = "center_crop", min(1.0, args.crop / (args.resize + 0.5))
            if args.resize == args.crop:
                args.crop_pct = 1.0
    return _common.preprocessing_of(model, args)


def _as_dict(found: Evaluation) -> dict[str, Any]:
    all_: dict[str, Any] = {name: getattr(found, name) for name in ("examples", "loss", "top1", "top5")}
    if found.classes is not None:
        rows = zip(found.classes.names, found.classes.examples, found.classes.accuracy, strict=True)
        all_["classes"] = [
            {"name": name, "examples": int(n), "accuracy": float(part) if n else None} for name, n, part in rows
        ]
        all_["confusion"] = found.classes.confusion.tolist()
    return all_


def _show(found: Evaluation) -> None:
    print(f"{found.examples} images: loss {found.loss:.5f}, top1 {100 * found.top1:.2f}%, top5 {100 * found.top5:.2f}%")
    if found.classes is not None:
        _show_classes(found.classes)


def _show_classes(classes: PerClass) -> None:
    """A line per class, the commonest mistakes, and the matrix if it fits a line."""
    width = min(max(map(len, classes.names)), 40)
    print(f"\n{'class':{width}}  images  accuracy")
    for name, n, part in zip(classes.names, classes.examples, classes.accuracy, strict=True):
        print(f"{name:{width}}  {n:6}  " + (f"{100 * part:7.2f}%" if n else "       -"))
    mistakes = classes.most_confused()
    if mistakes:
        print("\ncommonest mistakes")
        for truth, taken_for, n in mistakes:
            print(f"  {n} of {truth} taken for {taken_for}")
    cell = max(len(str(classes.confusion.max(initial=0))), len(str(len(classes.names)))) + 1
    if width + cell * len(classes.names) > 120:
        print("\nThe confusion matrix has too many columns for a terminal: --json prints it.")
        return
    print("\nconfusion: rows are the classes, columns what was predicted, in the same order")
    for name, row in zip(classes.names, classes.confusion, strict=True):
        print(f"{name:{width}} " + "".join(f"{n:{cell}}" if n else f"{'.':>{cell}}" for n in row))


def _held_out(checkpoint: str) -> dict[str, Any]:
    """How the run that wrote a checkpoint split its data, if it did."""
    flags = json.loads(open_any(checkpoint).metadata.get("bit.training.flags", "{}"))
    if "validation_fraction" not in flags:
        return {}
    return {
        "validation_fraction": float(flags["validation_fraction"]),
        "seed": int(flags["split_seed"]),
        "order": flags["class_order"],
    }
