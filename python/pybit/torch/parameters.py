# SPDX-License-Identifier: Apache-2.0
"""Parameters of a module under timm's names, and what tells whether one has changed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pybit import _core
from pybit.base.arrays import Array


class TrackedParameter(torch.nn.Parameter):
    """A parameter that remembers whether its `.data` was ever taken.

    Torch counts changes of a tensor in `_version`, but not those that are made through `.data`. Once it was taken, the
    values themselves are compared.
    """

    taken = False

    @property
    def data(self) -> torch.Tensor:
        """As of any tensor: the values without their history."""
        self.taken = True
        values: torch.Tensor = torch.Tensor.data.__get__(self)
        return values

    @data.setter
    def data(self, values: torch.Tensor) -> None:
        torch.Tensor.data.__set__(self, values)


class ParameterTable:
    """The parameters of one module: official names in the engine's order, timm's, and what tells whether they changed.

    Fused optimizers change parameters without torch's counting it; but they need gradients, so each backward pass
    counts as a change of everything that learns.
    """

    def __init__(self, specs: list[tuple[str, tuple[int, ...]]]) -> None:
        self.official = [name for name, _ in specs]
        self.timm = [_core.name_in(name, "timm") for name in self.official]
        self._shapes = [shape for _, shape in specs]
        self._orders = []
        self.went_back = 0  # backward passes through the module
        for name, shape in specs:
            kept = _core.axes_in(name, len(shape), "timm")
            self._orders.append((*kept, *(axis for axis in range(len(shape)) if axis not in kept)))

    def official_view(self, index: int, values: Array) -> Array:
        """Values in timm's layout as a view in the official one."""
        shape, order = self._shapes[index], self._orders[index]
        whole = values.reshape([shape[axis] for axis in order])  # with the axes of size 1 that timm leaves out
        return np.transpose(whole, np.argsort(order))

    def timm_shape(self, index: int) -> tuple[int, ...]:
        """The shape of a parameter in timm's layout."""
        shape = self._shapes[index]
        kept = _core.axes_in(self.official[index], len(shape), "timm")
        return tuple(shape[axis] for axis in kept)

    def states(self, parameters: Sequence[torch.Tensor]) -> list[tuple[Any, ...]]:
        """For each parameter what differs if its values have changed: its memory, torch's count, backward passes if it
        learns, and where that misses changes the values' checksum."""
        return [self._state(p) for p in parameters]

    def _state(self, parameter: torch.Tensor) -> tuple[Any, ...]:
        went_back = self.went_back if parameter.requires_grad else -1
        state = (parameter.data_ptr(), parameter._version, parameter.dtype, went_back)
        if isinstance(parameter, TrackedParameter) and not parameter.taken:
            return state
        return (*state, zlib.crc32(values_of(parameter).reshape(-1).view(np.uint8).data))


def values_of(parameter: torch.Tensor) -> Array:
    """The values as an array, in place where they are float32 or float64 in the CPU's memory."""
    values = parameter.detach()
    if values.device.type != "cpu":
        values = values.cpu()
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    return np.ascontiguousarray(values.numpy())
