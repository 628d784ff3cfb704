# SPDX-License-Identifier: Apache-2.0
"""Models out of pickles. Pickles name these functions, so their names and arguments must stay."""

from __future__ import annotations

import os
from typing import Any

from pybit import _core
from pybit.base.arrays import Array
from pybit.errors import FormatError
from pybit.network.build import SHAPE_FIELDS, network_from_arrays, network_from_checkpoint, require_same
from pybit.network.options import ComputeOptions
from pybit.network.source import FixedNetwork


def unpickle_bytes(
    kind: type, tensors: list[tuple[str, Array]], config: _core.Config, options: ComputeOptions, state: dict[str, Any]
) -> Any:
    """Rebuild a pickled model, of class `kind`, from its weights.

    `tensors`: parameters under official names. `state`: the model's other attributes. Raises FormatError if the
    tensors are not those of `config`.
    """
    model: Any = object.__new__(kind)
    model.__dict__.update(state, _source=FixedNetwork(network_from_arrays(tensors, config, options)), _file=None)
    return model


def unpickle_path(
    kind: type, path: str, size: int, config: _core.Config, options: ComputeOptions, state: dict[str, Any]
) -> Any:
    """Rebuild a pickled model, of class `kind`, from the checkpoint file that it names.

    `size`: the file's in bytes when the model was pickled. Raises OSError if the file cannot be read and FormatError
    if it is not what it was.
    """
    from pybit.formats import open_any

    if os.path.getsize(path) != size:
        raise FormatError(
            f"{path}: the file has changed since the model was pickled ({os.path.getsize(path)} bytes, then {size})"
        )
    checkpoint = open_any(path)
    require_same(checkpoint.config, config, path, "the pickled model", SHAPE_FIELDS)
    model: Any = object.__new__(kind)
    model.__dict__.update(state, _source=FixedNetwork(network_from_checkpoint(checkpoint, options, config)), _file=path)
    return model
