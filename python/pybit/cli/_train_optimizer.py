# SPDX-License-Identifier: Apache-2.0
"""The flags of `pybit train` that choose the optimizer and what it changes; no command itself."""

from __future__ import annotations

import argparse
from typing import Any

from pybit.errors import ConfigError


def _betas(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected two numbers like 0.9,0.999, got {text!r}") from None
    return first, second


def _group(text: str) -> tuple[str, float, float | None]:
    """An argparse type: "PATTERN=SCALE" or "PATTERN=SCALE,WEIGHT_DECAY"."""
    pattern, _, numbers = text.rpartition("=")
    try:
        scale, *decay = (float(part) for part in numbers.split(","))
    except ValueError:
        decay = [0.0, 0.0]
    if not pattern or len(decay) > 1:
        raise argparse.ArgumentTypeError(
            f"expected PATTERN=SCALE or PATTERN=SCALE,WEIGHT_DECAY like 'resnet/head/*=10', got {text!r}"
        )
    return pattern, scale, decay[0] if decay else None


def add(group: Any, name: str, **how: Any) -> None:
    """An option under the reference's spelling, which has underscores, and under the other commands'."""
    group.add_argument(*dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")), **how)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the optimizer's options."""
    group = parser.add_argument_group("optimizer")
    group.add_argument(
        *("--optimizer", "--optimiser"),
        dest="optimizer",
        choices=("sgd", "adam", "adamw"),
        default="sgd",
        help="(default: sgd; the others want a --base_lr of their own, e.g. 0.0003)",
    )
    group.add_argument("--momentum", type=float, metavar="M", help="of sgd (default: 0.9)")
    group.add_argument("--nesterov", action="store_true", help="Nesterov's momentum, of sgd")
    group.add_argument("--betas", type=_betas, metavar="A,B", help="of adam and adamw (default: 0.9,0.999)")
    group.add_argument("--eps", type=float, metavar="E", help="of adam and adamw (default: 1e-8)")
    add(group, "weight_decay", type=float, default=0.0, metavar="W", help="(default: 0)")
    add(group, "clip_norm", type=float, default=0.0, metavar="N", help="of all gradients (default: 0, none)")
    group.add_argument(
        "--train", action="append", default=[], metavar="PATTERN", help='only these learn, e.g. "resnet/head/*"'
    )
    group.add_argument("--freeze", action="append", default=[], metavar="PATTERN", help="these do not learn")
    add(group, "layer_decay", type=float, default=1.0, metavar="D", help="rate of a layer by that of the one above "
         "(default: 1)")  # fmt: skip
    add(group, "lr_group", type=_group, action="append", default=[], metavar="PATTERN=SCALE[,WEIGHT_DECAY]",
         help="these learn at SCALE times the rate; may be repeated, the first that fits counts")  # fmt: skip


def options(args: argparse.Namespace) -> dict[str, Any]:
    """The optimizer's options; a number that it does not have is a mistake."""
    given = {"momentum": args.momentum, "nesterov": args.nesterov or None, "betas": args.betas, "eps": args.eps}
    given = {name: value for name, value in given.items() if value is not None}
    foreign = set(given) - ({"momentum", "nesterov"} if args.optimizer == "sgd" else {"betas", "eps"})
    if foreign:
        raise ConfigError(f"--{min(foreign)} is none of {args.optimizer}'s numbers; see --optimizer")
    return {
        "optimizer": args.optimizer,
        **given,
        "weight_decay": args.weight_decay,
        "clip_norm": args.clip_norm,
        "layer_decay": args.layer_decay,
        "train": args.train,
        "freeze": args.freeze,
        "groups": args.lr_group,
    }
