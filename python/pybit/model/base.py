# SPDX-License-Identifier: Apache-2.0
"""What a model is and what it knows of itself; `Model` adds what it does with images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from pybit import _core
from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError
from pybit.model import pickles
from pybit.network.levels import levels_info
from pybit.network.options import ComputeOptions
from pybit.network.source import FixedNetwork, Loaded, NetworkSource
from pybit.report import describe

_Self = TypeVar("_Self", bound="ModelBase")


# What programs for torch models call, and what to do here.
_ADVICE = {
    "eval": "this model is always in evaluation mode, leave the call out",
    "train": "fine-tune with pybit.fine_tune, or step by step with pybit.Trainer",
    "to": "it computes on the processor; leave the call out, or choose dtype= in pybit.load",
    "cpu": "it computes on the processor, leave the call out",
    "cuda": "it computes on the processor only",
    "half": 'load it with dtype="bfloat16" to halve its memory',
    "bfloat16": 'load it with dtype="bfloat16"',
    "float": 'load it with dtype="float32"',
    "get_classifier": "state_dict() holds resnet/head/conv2d/kernel and bias, num_classes says how many classes",
    "parameters": "state_dict() holds the parameters, pybit.Trainer changes them",
    "requires_grad_": "nothing records gradients here; gradients(x, y) computes them",
    "predict_proba": "predict(images, topk=model.num_classes) has all probabilities",
}


def checked_labels(names: Any, count: int) -> tuple[str, ...]:
    """Names of `count` classes as text. Raises ConfigError, with what was expected, for anything else."""
    if isinstance(names, (str, bytes)) or not hasattr(names, "__iter__"):
        raise ConfigError(f"expected a list of {count} class names, got {type(names).__name__} {names!r:.40}")
    given = list(names)
    if len(given) != count:
        hint = ""
        if len(given) == count + 1:
            hint = "; lists of 1,001 names begin with a background class, which is not the model's: leave it out"
        raise ConfigError(f"expected {count} class names, one for each class of the head, got {len(given)}{hint}")
    for i, name in enumerate(given):
        if isinstance(name, bool) or not isinstance(name, (str, int, np.integer)):
            raise ConfigError(f"expected class names as text or whole numbers, got {name!r:.40} for class {i}")
    return tuple(map(str, given))


class ModelBase:
    """A network with its name, its labels and its preprocessing; see `pybit.Model`."""

    def __init__(
        self,
        network: _core.Network,
        *,
        name: str,
        origin: str,
        preprocessing: PreprocessSpec | None,
        labels: Sequence[str] | None = None,
        file: str | None = None,
        trained: bool = True,
        activation: str = "softmax",
    ) -> None:
        self._source: NetworkSource = FixedNetwork(network)
        self.name = name  # what it was created or loaded as
        self.origin = origin  # where the weights come from, in words
        self._preprocessing = preprocessing  # None: neither the file nor a card tells
        self.labels = labels
        self.activation = activation  # "sigmoid" if it was trained by sigmoid cross-entropy: what predict goes by
        self.pickle_by = "bytes"  # "path": pickles name the file instead of holding the weights
        self._file = file  # the checkpoint that holds exactly these weights, if there is one
        self._range_warned = False
        self._preprocessing_warned = not trained  # random weights fit no preprocessing better than another

    # ---- the network
    @property
    def _network(self) -> _core.Network:
        return self._source.network()

    @property
    def source(self) -> NetworkSource:
        """Where the network comes from: fixed, or a trainer's whose weights change with its steps."""
        return self._source

    def take_from(self, source: NetworkSource, origin: str | None = None) -> None:
        """Take the network from `source` from here on, as `pybit.Trainer` has it.

        `origin` says in words where the weights come from, if they are others than before; the model then does
        not count as what its file holds. One thread at a time may use the model meanwhile.
        """
        self._source = source
        if origin is not None:
            self.origin, self._file = origin, None

    @property
    def loaded(self) -> Loaded:
        """The network and what is known of it as one record, which stays as it is when the model changes."""
        return Loaded(
            self._network,
            self.name,
            self.origin,
            self.labels,
            self.preprocessing,
            self.preprocessing_is_known,
            self.activation,
        )

    # ---- what it is
    @property
    def preprocessing(self) -> PreprocessSpec:
        """How `predict` and `embed` prepare images: as the file, the released model's card or you say, or a guess.

        Set it to a `pybit.PreprocessSpec` to say it; anything else raises ConfigError.
        """
        return self._preprocessing or PreprocessSpec()

    @preprocessing.setter
    def preprocessing(self, spec: PreprocessSpec) -> None:
        if not isinstance(spec, PreprocessSpec):
            raise ConfigError(f"expected preprocessing to be a pybit.PreprocessSpec, got {type(spec).__name__}")
        self._preprocessing = spec

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes by number; None where they are not known.

        Set it to as many names as the head has classes, or to None. Numbers become their text; anything else, and a
        single text, raises ConfigError.
        """
        return self._labels

    @labels.setter
    def labels(self, names: Sequence[Any] | None) -> None:
        self._labels = None if names is None else checked_labels(names, self.num_classes)

    @property
    def preprocessing_is_known(self) -> bool:
        """Whether `preprocessing` is more than a guess."""
        return self._preprocessing is not None

    @property
    def config(self) -> _core.Config:
        """The numbers of the architecture."""
        return self._network.config

    @property
    def dtype(self) -> str:
        """What the network computes in: "float32", "bfloat16" or "float64"."""
        return self._network.dtype

    @property
    def algorithm(self) -> str:
        """How 3x3 convolutions are computed, as `create_model` was told; `plan` tells what "auto" means per layer."""
        return self._network.algorithm

    @property
    def num_classes(self) -> int:
        """Classes of the head; 0 if there is none and the model returns pooled features."""
        return self.config.num_classes

    @property
    def num_features(self) -> int:
        """Length of the pooled feature vector."""
        return self.config.num_features

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """For each level of `forward_intermediates`: channels, stride and the module that makes it, in timm's words."""
        return levels_info(self.config)

    def __getattr__(self, name: str) -> Any:
        """Tells what to do instead of what models of torch have and this one needs not."""
        kind = type(self).__name__
        advice = f": {_ADVICE[name]}" if name in _ADVICE else ""
        raise AttributeError(f"{kind!r} object has no attribute {name!r}{advice}")

    def __repr__(self) -> str:
        return describe.text(self.loaded)

    def _repr_html_(self) -> str:
        return describe.html(self.loaded)

    # ---- copies
    def __copy__(self: _Self) -> _Self:
        other: _Self = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _source=FixedNetwork(self._network))
        return other

    def __deepcopy__(self: _Self, memo: dict[int, Any]) -> _Self:
        return self.__copy__()  # the network is immutable, so copies may share it

    def __reduce__(self) -> tuple[Any, ...]:
        if self.pickle_by not in ("bytes", "path"):
            raise ConfigError(f'expected pickle_by "bytes" or "path", got {self.pickle_by!r}')
        network = self._network
        state = {**self.__dict__, "_source": None, "_file": None}  # which unpickling sets
        rest = (network.config, ComputeOptions.of(network), state)
        if self.pickle_by == "bytes":
            return pickles.unpickle_bytes, (type(self), network.tensors(), *rest)
        if self._file is None:
            raise ConfigError('pickle_by = "path" needs a model that is as its file holds it; save and load it first')
        return pickles.unpickle_path, (type(self), self._file, os.path.getsize(self._file), *rest)
