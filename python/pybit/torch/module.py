# SPDX-License-Identifier: Apache-2.0
"""BitModule: a BiT network where a module of timm or torchvision stood."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from pybit import _core
from pybit.errors import ConfigError, ShapeError
from pybit.model import create
from pybit.model.model import Model
from pybit.network.build import network_from_arrays
from pybit.network.heads import replace_head
from pybit.network.levels import LEVELS, levels_info, levels_of
from pybit.network.options import ComputeOptions
from pybit.torch.autograd import NetworkPass, as_tensor
from pybit.torch.engine import Engine
from pybit.torch.parameters import ParameterTable, TrackedParameter, values_of


class _Branch(nn.Module):
    """A name in the tree of parameters."""


class BitModule(nn.Module):
    """A BiT network as a module: images (N, 3, H, W) in [-1, 1] to logits, differentiable in parameters and images.

    Parameters are torch's, under timm's names and in its layouts, so that state dicts go both ways; any optimizer,
    gradient accumulation, frozen parts and `inference_mode` work as usual. The engine keeps copies, which it takes anew
    at the next call after a change. Images in channels_last are read where they lie, and feature maps come back in it.

    Products are float32, or float64 where parameters are (`module.double()`: the reference backend, slow and exact), or
    bfloat16 with compute_dtype="bfloat16", under `torch.autocast("cpu")` and where parameters are bfloat16; sums, norms
    and outputs stay float32. Second derivatives are not there. One thread at a time may use a module.

    Args:
        model: A `pybit.Model`, or what `pybit.load` takes.
        features_only: Return a list of feature maps instead of logits, as timm's models of that name.
        out_indices: Which levels, see `Model.forward_intermediates`; all five by default.
        compute_dtype: "float32" or "bfloat16".

    Raises ConfigError for levels and dtypes that there are not, and what `pybit.load` raises.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        *,
        features_only: bool = False,
        out_indices: Sequence[int | str] | None = None,
        compute_dtype: str = "float32",
    ) -> None:
        super().__init__()
        if isinstance(model, (str, os.PathLike)):
            model = create.load(model)
        self.bit_name = model.name
        self.pretrained_cfg = _timm_config(model)
        self.default_cfg = self.pretrained_cfg
        self.compute_dtype = ComputeOptions(compute_dtype).dtype
        if out_indices is not None and not features_only:
            raise ConfigError("expected out_indices only with features_only=True")
        self._levels = levels_of(out_indices) if features_only else None
        self._recompute = "none"
        self._preprocessing = model.preprocessing if model.preprocessing_is_known else None
        self._labels = model.labels
        self._take(model.loaded.network)

    def _take(self, network: _core.Network) -> None:
        """Own the parameters of a network, in the place of those before."""
        for name in [name for name, _ in self.named_children()]:
            delattr(self, name)
        self._config = network.config
        tensors = network.tensors()
        self._table = ParameterTable([(name, value.shape) for name, value in tensors])
        for index, (_, value) in enumerate(tensors):
            *path, last = self._table.timm[index].split(".")
            branch: nn.Module = self
            for step in path:
                if step not in branch._modules:
                    branch.add_module(step, _Branch())
                branch = branch._modules[step]
            room = torch.empty(self._table.timm_shape(index), dtype=torch.from_numpy(value[:0]).dtype)
            self._table.official_view(index, room.numpy())[...] = value
            branch.register_parameter(last, TrackedParameter(room))
        self._engines: dict[str, Engine] = {}

    # ---- passes
    def forward(self, x: torch.Tensor) -> Any:
        """Logits (N, classes), pooled features (N, C) without a head, or with features_only=True a list of maps."""
        if self._levels is not None:
            return list(self._run(x, [LEVELS[i] for i in self._levels]))
        return self._run(x, ["logits" if self.num_classes else "pooled"])[0]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """The last feature map, after the final norm and ReLU: (N, num_features, H/32, W/32), rounded up."""
        return self._run(x, ["features"])[0]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Logits of what `forward_features` gave, or its mean over rows and columns, (N, num_features)."""
        pooled = x.mean((2, 3))
        if pre_logits or not self.num_classes:
            return pooled
        kernel = self.get_parameter("head.fc.weight").flatten(1)
        return nn.functional.linear(pooled, kernel, self.get_parameter("head.fc.bias"))

    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | Sequence[int | str] | None = None,
        norm: bool = False,
        intermediates_only: bool = False,
    ) -> Any:
        """The last feature map and a list of intermediate ones; see `pybit.Model.forward_intermediates`."""
        wanted = [LEVELS[i] for i in levels_of(indices)]
        if norm:
            wanted = ["features" if name == LEVELS[-1] else name for name in wanted]
        names = list(dict.fromkeys(wanted if intermediates_only else ["features", *wanted]))
        found = dict(zip(names, self._run(x, names), strict=True))
        maps = [found[name] for name in wanted]
        return maps if intermediates_only else (found["features"], maps)

    def _run(self, x: torch.Tensor, outputs: list[str]) -> tuple[torch.Tensor, ...]:
        if torch.compiler.is_compiling():
            return _run_outside_graphs(self, x, outputs)
        return self._run_here(x, outputs)

    def _run_here(self, x: torch.Tensor, outputs: list[str]) -> tuple[torch.Tensor, ...]:
        if x.ndim != 4 or x.shape[1] != self._config.in_channels or not x.is_floating_point():
            raise ShapeError(
                f"expected a batch of float images (N, {self._config.in_channels}, H, W) in [-1, 1], got {x.dtype} of "
                f"shape {tuple(x.shape)}"
            )
        if x.device.type != "cpu":
            raise ConfigError(f"expected images on the CPU, got {x.device}: x.cpu()")
        parameters = [self.get_parameter(name) for name in self._table.timm]
        engine = self._engine(parameters[0].dtype)
        x = x.to(torch.float64 if engine.array_dtype == np.float64 else torch.float32)
        layout = "nhwc" if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous() else "nchw"
        learns = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters))
        if learns and x.shape[0]:
            names = list(dict.fromkeys(outputs))
            found = NetworkPass.apply(engine, self._table, names, layout, self._recompute, x, *parameters)
            by_name = dict(zip(names, found, strict=True))
            return tuple(by_name[name] for name in outputs)
        images = x.detach().numpy()
        if layout == "nhwc":
            images = images.transpose(0, 2, 3, 1)
        arrays = engine.run(self._table, parameters, images, outputs, layout)
        return tuple(as_tensor(arrays[name], layout) for name in outputs)

    def _engine(self, dtype: torch.dtype) -> Engine:
        compute = "float64" if dtype == torch.float64 else self.compute_dtype
        if compute == "float32" and (dtype == torch.bfloat16 or _autocasts_to_bfloat16()):
            compute = "bfloat16"
        if compute not in self._engines:
            self._engines[compute] = Engine(self._config, ComputeOptions(compute))
        return self._engines[compute]

    # ---- what timm's models know
    @property
    def num_classes(self) -> int:
        """Classes of the head; 0 if there is none."""
        return self._config.num_classes

    @property
    def num_features(self) -> int:
        """Length of the pooled feature vector."""
        return self._config.num_features

    @property
    def head_hidden_size(self) -> int:
        """As num_features."""
        return self._config.num_features

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """Channels, stride and module of each level that forward returns, or of all five."""
        info = levels_info(self._config)
        return info if self._levels is None else [info[i] for i in self._levels]

    def get_classifier(self) -> nn.Module:
        """The head's parameters; `nn.Identity` without a head."""
        return self.get_submodule("head.fc") if self.num_classes else nn.Identity()

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new head of zeros, as the release fine-tunes; 0 removes it. Parameters stay, the head's are new.

        Raises ConfigError for another pool than the mean.
        """
        if global_pool not in (None, "avg"):
            raise ConfigError(
                f'expected global_pool "avg", the only one that BiT was trained with, got {global_pool!r}'
            )
        old = dict(self.named_parameters())
        network = self.to_model().loaded.network
        self._labels = None
        self._take(replace_head(network, num_classes, "zero" if num_classes else "drop", 0))
        for name, parameter in old.items():
            if not name.startswith("head."):
                *path, last = name.split(".")
                self.get_submodule(".".join(path))._parameters[last] = parameter

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the feature maps within residual units in the backward pass: less memory, a fifth more time."""
        self._recompute = "units" if enable else "none"

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's groups of parameters for layer-wise rates."""
        return {
            "stem": r"^stem",
            "blocks": r"^stages\.(\d+)" if coarse else [(r"^stages\.(\d+)\.blocks\.(\d+)", None), (r"^norm", (99999,))],
        }

    def to_model(self) -> Model:
        """A `pybit.Model` with the present values, for `predict`, `embed` and `save`.

        It has the labels and the preprocessing of the model that this was made of; a new head has no labels.
        """
        arrays = [(name, values_of(p)) for name, p in self.named_parameters()]
        return Model(
            network_from_arrays(arrays, self._config, ComputeOptions(self.compute_dtype)),
            name=self.bit_name,
            origin="a module of torch",
            preprocessing=self._preprocessing,
            labels=self._labels,
        )

    def extra_repr(self) -> str:
        """The architecture in words."""
        c = self._config
        return f"{c.architecture}, {c.num_classes} classes, {c.num_features} features, {self.compute_dtype}"


def create_model(
    name: str,
    *args: Any,
    features_only: bool = False,
    out_indices: Sequence[int | str] | None = None,
    compute_dtype: str = "float32",
    **kwargs: Any,
) -> BitModule:
    """`pybit.create_model` as a module: the same names and arguments, and those of `BitModule`."""
    model = create.create_model(name, *args, **kwargs)
    return BitModule(model, features_only=features_only, out_indices=out_indices, compute_dtype=compute_dtype)


def _run_outside_graphs(module: BitModule, x: torch.Tensor, outputs: list[str]) -> tuple[torch.Tensor, ...]:
    """A pass while torch.compile traces: the graph ends before it and goes on behind it."""
    found: tuple[torch.Tensor, ...] = sys.modules["torch._dynamo"].disable(BitModule._run_here)(module, x, outputs)
    return found


# What `torch.compiler.disable` leaves on a function. To call it here would import the compiler for everybody: 2.3 s.
_run_outside_graphs._torchdynamo_disable = True  # type: ignore[attr-defined]


def _autocasts_to_bfloat16() -> bool:
    return bool(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16)


def _timm_config(model: Model) -> dict[str, Any]:
    """What `timm.data.resolve_data_config` reads."""
    spec = model.preprocessing
    size = spec.size if isinstance(spec.size, tuple) else (spec.size, spec.size)
    return {
        "architecture": model.name,
        "num_classes": model.num_classes,
        "input_size": (model.config.in_channels, *size),
        "interpolation": spec.interpolation,
        "crop_pct": spec.crop_pct if spec.mode == "center_crop" else 1.0,
        "crop_mode": "center" if spec.mode == "center_crop" else "squash",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "first_conv": "stem.conv",
        "classifier": "head.fc",
    }
