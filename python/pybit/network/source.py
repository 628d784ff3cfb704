# SPDX-License-Identifier: Apache-2.0
"""Where a model's network comes from, and what others read of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pybit import _core
from pybit.data.options import PreprocessSpec


class NetworkSource(Protocol):
    """What gives a model its network. A model holds one; a trainer puts one of its own in its place."""

    def network(self) -> _core.Network:
        """The network with the present weights, the same one until they change; it may be built when asked for."""


@dataclass(frozen=True)
class FixedNetwork:
    """The source of a network that does not change; threads may share it."""

    held: _core.Network

    def network(self) -> _core.Network:
        """The network that is held."""
        return self.held


@dataclass(frozen=True)
class Loaded:
    """What predictions, reports and training read of a model, as it is at one moment."""

    network: _core.Network
    name: str
    """What the model was created or loaded as."""
    origin: str
    """Where the weights come from, in words."""
    labels: tuple[str, ...] | None
    """Names of the classes by number; None where they are not known."""
    preprocessing: PreprocessSpec
    """How images are prepared for this network."""
    preprocessing_is_known: bool
    """Whether `preprocessing` is more than a guess."""
    activation: str = "softmax"
    """What makes probabilities of its logits: "softmax", or "sigmoid" for a model trained by sigmoid cross-entropy."""

    @property
    def config(self) -> _core.Config:
        """The numbers of the architecture."""
        return self.network.config

    @property
    def num_classes(self) -> int:
        """Classes of the head; 0 if there is none."""
        return self.network.config.num_classes
