# SPDX-License-Identifier: Apache-2.0
"""The model of an estimator: found by its name or path, loaded when it is first needed, never pickled."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np

from pybit.errors import ConfigError
from pybit.model.create import create_model, load
from pybit.model.model import Model
from pybit.registry import find_card


class ModelHolder:
    """Loads an estimator's model once and keeps it; copies and pickles of a holder are empty."""

    def __init__(self) -> None:
        self._key: Any = None
        self._model: Model | None = None
        self._digest: tuple[Any, str] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ModelHolder, ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelHolder)  # what it keeps follows from the estimator's parameters

    __hash__ = None  # type: ignore[assignment]

    def get(self, source: Any, dtype: str) -> Model:
        """The model that `source` means: a model itself, a checkpoint's path, or the name of a released model.

        A path is loaded anew when the file has changed. Raises ConfigError for anything else and for an unknown name,
        OSError and FormatError as `pybit.load`.
        """
        if isinstance(source, Model):
            return source
        if not isinstance(source, (str, os.PathLike)):
            raise ConfigError(
                f"[sklearn] expected model to be a path, the name of a released model or a pybit.Model, got {source!r}"
            )
        path = os.fspath(source)
        released = not os.path.exists(path) and find_card(path) is not None
        state = None if released else os.stat(path)
        key = (path, dtype, state and (state.st_size, state.st_mtime_ns, state.st_ino))
        if self._model is None or self._key != key:
            self._model = create_model(path, pretrained=True, dtype=dtype) if released else load(path, dtype=dtype)
            self._key = key
        return self._model

    def digest(self, model: Model) -> str:
        """SHA-256 of the model's architecture and weights, the same for every file format that holds them."""
        network = model.loaded.network
        if self._digest is None or self._digest[0] is not network:
            config = network.config
            numbers = (config.architecture, config.output_stride, config.groups, config.group_norm_eps)
            found = hashlib.sha256(repr((*numbers, config.weight_eps)).encode())
            for name, values in network.tensors():
                if name.startswith("resnet/head/"):  # which features do not depend on
                    continue
                found.update(f"{name} {values.dtype} {values.shape}".encode())
                found.update(np.ascontiguousarray(values).data)
            self._digest = network, found.hexdigest()
        return self._digest[1]
