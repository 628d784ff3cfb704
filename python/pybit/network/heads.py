# SPDX-License-Identifier: Apache-2.0
"""Heads: fitted to the classes that are asked for, or replaced."""

from __future__ import annotations

import warnings
from typing import Literal

from pybit import _core
from pybit.errors import ConfigError
from pybit.network.build import changed, network_from_checkpoint
from pybit.network.options import ComputeOptions

HeadKind = Literal["zero", "new", "drop"]


def replace_head(network: _core.Network, num_classes: int, kind: HeadKind, seed: int) -> _core.Network:
    """The same network with a head for `num_classes` classes: kind "zero", "new" (random by the seed) or "drop" (none).

    The network that is given stays as it is.
    """
    checkpoint = network.checkpoint().adapt_head(kind, num_classes, seed)
    config = changed(network.config, num_classes=0 if kind == "drop" else num_classes)
    return network_from_checkpoint(checkpoint, ComputeOptions.of(network), config)


def adapt_head(
    checkpoint: _core.Checkpoint, num_classes: int | None, head: str | None, seed: int
) -> tuple[_core.Checkpoint, str]:
    """The checkpoint with the head that was asked for, and what was done to it in words ("" if nothing).

    `head`: "keep" (an error if the class counts differ), "zero", "new" (seeded random), "drop", or None: keep it if
    the class count fits, otherwise zeros, with a warning that says so.
    """
    held = checkpoint.config.num_classes
    if head not in (None, "keep", "zero", "new", "drop"):
        raise ConfigError(f'expected head to be "keep", "zero", "new" or "drop", got {head!r}')
    if head == "drop" or num_classes == 0:
        if head == "drop" and num_classes:
            raise ConfigError(f'head="drop" leaves no classes, but num_classes={num_classes} was asked for')
        if head in ("zero", "new", "keep") and num_classes == 0 and held:
            raise ConfigError(f'num_classes=0 removes the head, but head="{head}" was asked for')
        return (checkpoint.adapt_head("drop"), "head dropped") if held else (checkpoint, "")
    classes = held if num_classes is None else num_classes
    if classes == held and head in (None, "keep"):
        return checkpoint, ""
    if head == "keep":
        raise ConfigError(
            f"{checkpoint.source} has a head of {held} classes, but num_classes={classes} was asked for; "
            'pass head="zero" or head="new" to replace it'
        )
    if classes == 0:
        raise ConfigError(f"{checkpoint.source} has no head: expected num_classes with head={head!r}")
    if head is None:
        has = f"a head of {held} classes" if held else "no head"
        warnings.warn(
            f"{checkpoint.source} has {has}: the head for {classes} classes starts as zeros and every logit "
            'is 0 until it is trained; pass head="zero" or head="new" to say what you want',
            UserWarning,
            stacklevel=4,
        )
    kind: HeadKind = "new" if head == "new" else "zero"
    adapted = checkpoint.adapt_head(kind, classes, seed)
    return adapted, "head of zeros" if kind == "zero" else f"random head, seed {seed}"
