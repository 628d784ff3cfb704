# SPDX-License-Identifier: Apache-2.0
"""What computes behind a module: a recorder for passes with gradients, a frozen network for those without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pybit import _core
from pybit.base.arrays import Array
from pybit.base.threads import check_threads
from pybit.network.build import network_from_arrays
from pybit.network.options import ComputeOptions
from pybit.torch.parameters import ParameterTable, values_of


class Engine:
    """One network in one dtype. It holds copies of the module's parameters, which it takes anew when they have changed.

    Copies and pickles of it are empty and fill at their first use. One thread at a time may use it.
    """

    def __init__(self, config: _core.Config, options: ComputeOptions) -> None:
        self._config, self._options = config, options
        self._recorder: _core.Recorder | None = None
        self._network: _core.Network | None = None
        self._recorded: list[tuple[Any, ...]] = []  # the parameters' states that the recorder has
        self._frozen_states: list[tuple[Any, ...]] = []  # and the frozen network
        self._training: tuple[str, frozenset[str]] | None = None
        self.version = 0  # grows whenever the recorder takes other values

    def __reduce__(self) -> tuple[Any, ...]:
        return Engine, (self._config, self._options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        return Engine(self._config, self._options)

    @property
    def array_dtype(self) -> np.dtype[Any]:
        """The dtype of images, outputs and gradients at the engine's door."""
        return np.dtype("float64" if self._options.dtype == "float64" else "float32")

    def record(
        self,
        table: ParameterTable,
        parameters: Sequence[torch.Tensor],
        images: Array,
        outputs: list[str],
        layout: str,
        *,
        recompute: str,
        image_gradient: bool,
    ) -> tuple[_core.Recording, list[Array]]:
        """A forward pass that may go back, and its outputs."""
        states = table.states(parameters)
        if self._recorder is None:
            checkpoint = _core.recognise(self._arrays(table, parameters), "parameters")
            self._recorder = _core.Recorder(checkpoint, self._config, self._options.dtype)
            self._recorded = states
        changed = [i for i, (old, new) in enumerate(zip(self._recorded, states, strict=True)) if old != new]
        if changed:
            views = [
                table.official_view(i, values_of(parameters[i]).astype(self.array_dtype, copy=False)) for i in changed
            ]
            self._recorder.write(changed, views, check_threads(0))
            self._recorded = states
            self.version += 1
        frozen = frozenset(n for n, p in zip(table.official, parameters, strict=True) if not p.requires_grad)
        if self._training != (recompute, frozen):
            self._recorder.set_training(recompute, frozen)
            self._training = (recompute, frozen)
        return self._recorder.record(images, outputs, layout, image_gradient, check_threads(0))

    def gradients(self, table: ParameterTable, wanted: Sequence[int], dtype: torch.dtype) -> list[torch.Tensor]:
        """Copies of the gradients that the last backward pass has made, in timm's layout."""
        assert self._recorder is not None
        made = [torch.empty(table.timm_shape(i), dtype=dtype) for i in wanted]
        self._recorder.read_gradients(
            list(wanted), [table.official_view(i, t.numpy()) for i, t in zip(wanted, made, strict=True)]
        )
        return made

    def run(
        self, table: ParameterTable, parameters: Sequence[torch.Tensor], images: Array, outputs: list[str], layout: str
    ) -> dict[str, Array]:
        """Outputs by name, without gradients."""
        states = table.states(parameters)
        if self._network is None or states != self._frozen_states:
            self._network = None  # before the new one, not beside it
            self._network = network_from_arrays(self._arrays(table, parameters), self._config, self._options)
            self._frozen_states = states
        return self._network.run(images, layout, outputs, check_threads(0))

    def _arrays(self, table: ParameterTable, parameters: Sequence[torch.Tensor]) -> list[tuple[str, Array]]:
        views = (table.official_view(i, values_of(p)) for i, p in enumerate(parameters))
        return [(name, np.array(view, self.array_dtype)) for name, view in zip(table.official, views, strict=True)]
