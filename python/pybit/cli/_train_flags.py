# SPDX-License-Identifier: Apache-2.0
"""The flags of `pybit train` but for the optimizer's; no command itself."""

from __future__ import annotations

import argparse
from typing import Any

from pybit.base.sizes import parse_bytes
from pybit.cli import _common, _inputs, _train_optimizer
from pybit.cli._train_optimizer import add
from pybit.errors import ConfigError
from pybit.train.options import PRESETS

# Classes of the reference's data sets, and the part that its TensorFlow pipelines train on (DATASET_SPLITS).
KNOWN = {
    "cifar10": (10, 0.98),
    "cifar100": (100, 0.98),
    "oxford_iiit_pet": (37, 1.0),
    "oxford_flowers102": (102, 1.0),
    "imagenet2012": (1000, 0.99),
}


# What users may try that has another name here.
OTHER_NAMES = {
    "--batch-size": "--batch",
    "--val": "--validation",
    "--size": "--resize N --crop N",
    "--output": "--logdir FOLDER --name NAME",
    "--early-stopping": "--patience",
    "--num-workers": "--workers",
}


def _bytes(text: str) -> int:
    """An argparse type: "8GiB", "512M", or a number of bytes."""
    try:
        return parse_bytes(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_BEST_BY = ("top1", "balanced_accuracy", "macro_f1", "auroc", "loss")


def _class_weights(text: str) -> Any:
    """An argparse type: "balanced", or "NAME=WEIGHT,NAME=WEIGHT"."""
    if text == "balanced":
        return text
    found = {}
    for part in text.split(","):
        name, equals, weight = part.rpartition("=")
        try:
            found[name] = float(weight)
        except ValueError:
            equals = ""
        if not equals:
            raise argparse.ArgumentTypeError(f"expected balanced, or weights like cat=1,dog=2.5, got {text!r}")
    return found


def _schedule(text: str) -> list[int]:
    parts = text.split(",")
    if not all(p.strip().isdecimal() for p in parts):
        raise argparse.ArgumentTypeError(f"expected steps like 100,200,300, got {text!r}")
    return [int(p) for p in parts]


def _add_reference_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the reference's flags")
    positive = _common.positive
    group.add_argument("--name", required=True, help="of the run")
    group.add_argument("--logdir", required=True, metavar="FOLDER", help="the run's folder is FOLDER/NAME")
    group.add_argument(
        "--model", default="BiT-M-R50x1", metavar="NAME_OR_FILE", help="to start from (default: BiT-M-R50x1)"
    )
    add(group, "bit_pretrained_dir", default=".", metavar="FOLDER", help="where NAME.npz lies (default: .)")
    group.add_argument("--dataset", choices=list(KNOWN), help="in --datadir, with the reference's image size")
    group.add_argument("--datadir", metavar="FOLDER", help="where the data set lies")
    add(group, "tfds_manual_dir", metavar="FOLDER", help="the same, as bit_jax and bit_tf2 call it")
    add(group, "examples_per_class", type=positive, metavar="K", help="train on K images of each class")
    add(group, "examples_per_class_seed", type=int, default=0, metavar="N", help="chooses them (default: 0)")
    group.add_argument("--batch", type=positive, metavar="N", help="images per step (default: 512)")
    add(group, "batch_split", type=positive, metavar="N", help="parts of a step (default: as few as fit the memory)")
    add(group, "base_lr", type=float, metavar="RATE", help="after the warm-up (default: 0.003)")
    group.add_argument("--lr", dest="base_lr", type=float, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add(group, "eval_every", type=positive, metavar="N", help="steps between evaluations (default: at the end only)")
    add(group, "batch_eval", type=positive, default=32, metavar="N", help="images per evaluation batch (default: 32)")
    group.add_argument("--workers", type=positive, default=8, metavar="N", help="threads that decode (default: 8)")
    group.add_argument(
        "--no-save", dest="save", action="store_false", help="write no checkpoints; nothing can be continued"
    )


def _add_data_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data", metavar="PATH", help="a folder of images, a CSV list, or a CIFAR archive")
    group.add_argument("--validation", metavar="PATH", help="labelled images to validate on: then nothing is held out")
    add(group, "validation_fraction", type=float, default=0.2, metavar="P", help="held out of each class where the "
         "data has no validation part (default: 0.2)")  # fmt: skip
    add(group, "split_seed", type=int, default=0, metavar="N", help="chooses what is held out (default: 0)")
    add(group, "class_order", choices=("natural", "lexical"), help="numbers a folder's classes (default: natural)")
    add(group, "skip_corrupt", action="store_true", help="leave out images that cannot be read and name them")
    group.add_argument("--check", action="store_true", help="decode every image before the first step, and name those "
                       "that cannot be read; with --skip_corrupt the run begins all the same")  # fmt: skip


def _add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("recipe")
    positive = _common.positive
    group.add_argument("--compat", choices=("none", "pytorch", "jax", "tf2"), default="none", help="whose behaviour")
    help_ = "cpu: for a few thousand images without a GPU: " + " ".join(
        f"--{name} {value}" for name, value in (PRESETS["cpu"] | {"resolution": "160,128"}).items()
    )
    group.add_argument("--preset", choices=list(PRESETS), help=help_)
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    group.add_argument("--steps", type=positive, metavar="N", help="the rule's schedule scaled to N steps")
    group.add_argument("--schedule", type=_schedule, metavar="A,B,..", help="instead of the rule's")
    group.add_argument("--resize", type=positive, metavar="N", help="instead of the rule's; with --crop")
    group.add_argument("--crop", type=positive, metavar="N", help="instead of the rule's; with --resize")
    group.add_argument("--mixup", type=float, metavar="ALPHA", help="instead of the rule's; 0: none")
    group.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="what to compute in; weights are float32",
    )
    group.add_argument("--flip", choices=("random", "always", "never"), help="mirroring (default: random)")
    group.add_argument(
        "--head",
        choices=("auto", "keep", "zero"),
        help="keep the model's, or begin with zeros (default: auto, kept if its classes are the data's)",
    )
    add(group, "class_weights", type=_class_weights, metavar="balanced|NAME=W,..", help="of the loss, by class")
    group.add_argument("--sampling", choices=("shuffled", "balanced"), help="balanced: each class equally often")
    group.add_argument("--loss", choices=("softmax", "sigmoid"), default="softmax", help="(default: softmax)")
    add(group, "label_smoothing", type=float, default=0.0, metavar="P", help="(default: 0)")
    add(group, "keep_features", action="store_true", default=None, help="compute a frozen trunk's features once")


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    add(group, "memory_limit", type=_bytes, metavar="BYTES", help="e.g. 8GiB (default: what is free now)")
    group.add_argument(
        "--recompute", choices=("auto", "none", "units"), default="auto", help="save memory (default: auto, if it must)"
    )
    group.add_argument("--threads", type=_common.positive, default=0, metavar="N", help="threads that compute")
    add(group, "best_by", choices=_BEST_BY, help="what best.safetensors is chosen by (default: top1)")
    help_ = "end after N evaluations without a better one; with --eval_every"
    group.add_argument("--patience", type=_common.positive, metavar="N", help=help_)
    add(group, "max_minutes", type=float, metavar="M", help="end then, evaluated and saved; the same command goes on")
    add(group, "save_every", type=_common.positive, metavar="N", help="steps between checkpoints")
    add(group, "save_seconds", type=float, default=600.0, metavar="S", help="saves at least so often (default: 600)")
    group.add_argument("--tensorboard", action="store_true", help="also write TensorBoard events into the run's folder")
    add(group, "dry_run", action="store_true", help="print the recipe and stop")
    group.add_argument("--quiet", "-q", action="store_true", help="warnings and errors only; train.log has the rest")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add all flags of the command, the optimizer's among them."""
    parser.set_defaults(other_names=OTHER_NAMES)
    _add_reference_flags(parser)
    _add_data_flags(parser)
    _inputs.add_list_options(parser)
    _add_recipe_flags(parser)
    _train_optimizer.configure(parser)
    _add_run_flags(parser)
