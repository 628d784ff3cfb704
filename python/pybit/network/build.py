# SPDX-License-Identifier: Apache-2.0
"""Networks from checkpoints and from arrays, and configurations with some numbers changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pybit import _core
from pybit.base.arrays import Array
from pybit.errors import FormatError
from pybit.network.options import ComputeOptions

SHAPE_FIELDS = ("units", "stem_channels", "in_channels", "num_classes")  #: of a configuration, what fixes the tensors


def changed(config: _core.Config, **changes: Any) -> _core.Config:
    """A copy of `config` with some fields changed; None keeps a field."""
    return config.replace(**{name: value for name, value in changes.items() if value is not None})


def network_from_checkpoint(
    checkpoint: _core.Checkpoint, options: ComputeOptions, config: _core.Config
) -> _core.Network:
    """A network with a checkpoint's parameters and the eps values and output stride of `config`.

    `config` must have the checkpoint's shapes. Raises ConfigError or FormatError where they do not fit.
    """
    return _core.Network.from_checkpoint(checkpoint, options.dtype, config=config, algorithm=options.algorithm)


def network_from_arrays(
    arrays: list[tuple[str, Array]], config: _core.Config, options: ComputeOptions
) -> _core.Network:
    """A network of architecture `config` from arrays under any naming, each with its name.

    Raises FormatError if they are those of another architecture or of none.
    """
    checkpoint = _core.recognise(arrays, "state dict")
    require_same(checkpoint.config, config, "the state dict", "the model", SHAPE_FIELDS)
    return network_from_checkpoint(checkpoint, options, config)


def require_same(found: _core.Config, wanted: _core.Config, finder: str, wanter: str, fields: Sequence[str]) -> None:
    """Raise FormatError if `found`, of `finder`, and `wanted`, of `wanter`, differ in one of `fields`."""
    if any(getattr(found, f) != getattr(wanted, f) for f in fields):
        facts = [f"{c.architecture}, {c.in_channels} input channels, {c.num_classes} classes" for c in (found, wanted)]
        raise FormatError(f"{finder} holds {facts[0]}; {wanter} is {facts[1]}")
