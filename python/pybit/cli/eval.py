# SPDX-License-Identifier: Apache-2.0
"""pybit eval"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pybit.cli import _common, _inputs, _options
from pybit.cli import _eval_report as eval_report
from pybit.data import PreprocessSpec, datasets
from pybit.data.dataset import Dataset
from pybit.data.folders import LISTS
from pybit.errors import ConfigError
from pybit.evaluation import confusion, held_out
from pybit.evaluation.accuracy import evaluate
from pybit.formats import open_any
from pybit.model import Model, load

NAME = "eval"
HELP = "loss, top-1, top-5 and other metrics of a checkpoint on labelled images"
_EPILOG = """CHECKPOINT is a file of any supported format or a run's folder, of which best.safetensors is taken. DATA is
a folder of images, a CSV list, or a CIFAR archive. Measured is its part for validation (val/) if it has one; otherwise,
if the data are those of the run that wrote the checkpoint, the images that the run left out; otherwise all. A line says
which. Images are prepared as the model's own preprocessing says, which for a fine-tuned model is to squash them to the
size it was trained at. Folders are matched with the model's classes by name, WordNet id, number or lemma, or by
--label-map.

examples:
  pybit eval runs/photos photos/ --per-class
  pybit eval runs/photos photos/ --predictions wrong.csv --confusion confusion.png
  pybit eval BiT-M-R50x1-CIFAR10.npz cifar-10-python.tar.gz --size 128 --json
  pybit eval BiT-M-R50x1-ILSVRC2012.npz imagenet/ --resize 256 --crop 224
  pybit eval BiT-M-R50x1-ILSVRC2012.npz imagenet-r/ --classes present --label-map imagenet/val"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.set_defaults(untrained=False)
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a checkpoint file, a run's folder, or a name from `pybit list`"
    )
    parser.add_argument("data", metavar="DATA", help="labelled images")
    refusal = "eval takes the model as its first argument: pybit eval CHECKPOINT DATA"
    parser.add_argument("--model", "-m", action=_options.refusing(refusal), help=argparse.SUPPRESS)
    parser.add_argument("--split", choices=("validation", "train", "all"), help="which part of DATA")
    order = parser.add_argument("--class-order", choices=("natural", "lexical"), help="of a folder's classes")
    _options.alias(parser, order, "--class_order", "--order")
    parser.add_argument("--per-class", action="store_true", help="also each class's accuracy and the confusion matrix")
    parser.add_argument("--threads", type=_common.positive, default=0, metavar="N", help="threads that compute")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _metric_options(parser)
    _inputs.add_list_options(parser)
    images = parser.add_argument_group("images")
    images.add_argument("--size", type=_common.image_size, metavar="N", help="input size instead of the model's own")
    images.add_argument(
        "--resize", type=_common.positive, metavar="N", help="shortest edge to N, then the centre of --crop x --crop"
    )
    images.add_argument("--crop", type=_common.positive, metavar="N", help="with --resize; alone: squash to N x N")
    images.add_argument("--mode", choices=("squash", "center_crop"), help="instead of the model's own way")
    images.add_argument("--interpolation", choices=("bilinear", "bicubic"), help="instead of the model's own")
    images.add_argument("--crop-pct", type=_common.fraction, metavar="P", help="of center_crop, e.g. 0.875")
    batch = images.add_argument("--batch-size", type=_common.positive, default=32, metavar="N", help="(default: 32)")
    _options.alias(images, batch, "--batch")
    images.add_argument("--workers", type=_common.positive, default=8, metavar="N", help="threads that decode")
    images.add_argument("--skip-corrupt", action="store_true", help="leave out images that cannot be read")


def _metric_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("classes and metrics")
    group.add_argument(
        "--metrics",
        action=argparse.BooleanOptionalAction,
        help="precision, recall, F1, balanced accuracy, AUROC, average precision and calibration error (default: where "
        "images x classes are at most 2^26)",
    )
    group.add_argument("--predictions", metavar="FILE", help="write what each image was taken for (.csv, .parquet)")
    group.add_argument(
        "--confusion", metavar="FILE", action="append", default=[], help="write the confusion matrix (.csv, .png)"
    )
    group.add_argument(
        "--classes",
        choices=("all", "present"),
        default="all",
        help="present: leave classes without images out of the comparison, as for ImageNet-A and -R (default: all)",
    )
    group.add_argument(
        "--label-map",
        metavar="FILE",
        help="which class each folder is: a table of names and classes, a list in the classes' order, or a folder with "
        "all classes",
    )
    _options.add_activation(group)


def run(args: argparse.Namespace) -> int:
    """Print loss, top-1, top-5 and the other metrics."""
    checkpoint = _common.checkpoint_file(args.checkpoint)
    _check_outputs(args)
    data, part, note = _data_of(args, checkpoint)
    if note:
        print(f"pybit: note: {note}", file=sys.stderr)
    model = load(checkpoint)
    found = evaluate(
        model,
        data,
        preprocessing=_preprocessing(model, args),
        per_class=args.per_class or bool(args.confusion),
        metrics=args.metrics,
        predictions=args.predictions is not None,
        activation=args.activation,
        classes=args.classes,
        label_map=args.label_map,
        batch_size=args.batch_size,
        workers=args.workers,
        skip_corrupt=args.skip_corrupt,
        threads=args.threads,
        progress=False if args.quiet else None,
    )
    if found.matched_by not in ("their names", "the label map"):
        print(f"pybit: note: classes were matched by {found.matched_by}", file=sys.stderr)
    if found.predictions is not None:
        found.predictions.save(args.predictions)
    for path in args.confusion:
        assert found.classes is not None  # it was asked for
        found.classes.save(path)
    if args.json:
        document = eval_report.as_dict(found, args.per_class) | {"measured_on": part, "note": note}
        _common.print_json(document | ({} if data.report is None else {"data": data.report.as_dict()}))
    else:
        eval_report.show(found, args.per_class)
    if found.skipped:
        named = "; ".join(entry.reason for entry in found.skipped[:3])
        more = f"; and {len(found.skipped) - 3} more" if len(found.skipped) > 3 else ""
        print(f"pybit: {len(found.skipped)} images were left out: {named}{more}", file=sys.stderr)
    return 1 if found.skipped else 0


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise for files that could not be written, before the work is done."""
    for path in filter(None, (args.report, args.predictions, *args.confusion)):
        _common.check_output(path)
    for path in args.confusion:
        confusion.check_path(path)
    if args.predictions is not None:
        _common.check_table(args.predictions, (".csv", ".parquet"))


def _data_of(args: argparse.Namespace, checkpoint: str) -> tuple[Dataset, str, str]:
    """What is measured, which part of DATA it is, and a sentence about that."""
    flags = json.loads(open_any(checkpoint).metadata.get("bit.training.flags", "{}"))
    reading: dict[str, Any] = {"order": args.class_order or flags.get("class_order", "natural")}
    if args.data.lower().endswith(LISTS):
        reading |= _inputs.list_options(args)
    parts = datasets.open(args.data, validation_fraction=0.0, needs_train=False, max_pixels=args.max_pixels, **reading)
    _inputs.write_report(args, parts.train.report)
    if len(parts.validation):
        if args.split == "all":
            raise ConfigError(f"{args.data} has a part for validation: expected --split validation or train")
        part = args.split or "validation"
        return (parts.train if part == "train" else parts.validation), part, ""
    if args.split == "all":
        return parts.train, "all", ""
    division = held_out.divide(parts.train, checkpoint, flags)
    if division.held_out is None:
        if args.split is None:
            return parts.train, "all", division.note
        if args.split == "train":
            return parts.train, "all", division.note
        reason = f": {division.note.split(':')[0]}" if division.note else f", and {checkpoint} names none"
        raise ConfigError(f"{args.data} has no part for validation{reason}")
    if args.split == "train":
        return division.train, "train", ""
    return division.held_out, "held out", division.note


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
