# SPDX-License-Identifier: Apache-2.0
"""BiT's ResNetV2 as a PyTorch module: the text that the PyTorch contenders run and that the others' graphs come from.

Kernels are standardised at every call, as the release does, or once (`fold`).
Source: arXiv:1912.11370 section 3 and the released TF2 code's order of operations (pre-activation, projection of the
normalised input, zero padding before the first pooling).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHT_EPS = 1e-10


def standardise(kernel: Tensor) -> Tensor:
    """(out, in, h, w) with mean 0 and variance 1 over all but the first axis."""
    variance, mean = torch.var_mean(kernel, dim=(1, 2, 3), keepdim=True, correction=0)
    return (kernel - mean) / torch.sqrt(variance + WEIGHT_EPS)


class StandardisedConv(nn.Conv2d):
    """A convolution without bias, padded by half of its kernel."""

    folded = False

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.folded else standardise(self.weight)
        return functional.conv2d(x, weight, None, self.stride, self.padding)


class Unit(nn.Module):
    """Pre-activation bottleneck."""

    def __init__(self, inputs: int, middle: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * middle
        self.norm1, self.conv1 = nn.GroupNorm(32, inputs), StandardisedConv(inputs, middle, 1)
        self.norm2, self.conv2 = nn.GroupNorm(32, middle), StandardisedConv(middle, middle, 3, stride)
        self.norm3, self.conv3 = nn.GroupNorm(32, middle), StandardisedConv(middle, outputs, 1)
        self.project = StandardisedConv(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(x))
        if self.project is not None:
            x = self.project(y)
        y = self.conv1(y)
        y = self.conv2(functional.relu(self.norm2(y)))
        y = self.conv3(functional.relu(self.norm3(y)))
        return x + y


class Network(nn.Module):
    """(n, 3, h, w) in [-1, 1] -> (n, classes) logits."""

    def __init__(self, units: tuple[int, ...], stem: int, classes: int) -> None:
        super().__init__()
        self.stem = StandardisedConv(3, stem, 7, 2)
        self.blocks = nn.ModuleList()
        inputs = stem
        for block, count in enumerate(units):
            middle = stem * 2**block
            for unit in range(count):
                self.blocks.append(Unit(inputs, middle, 2 if block and not unit else 1))
                inputs = 4 * middle
        self.norm, self.head = nn.GroupNorm(32, inputs), nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.pad(self.stem(x), (1, 1, 1, 1)), 3, 2)
        for block in self.blocks:
            x = block(x)
        return self.head(functional.relu(self.norm(x)).mean((2, 3)))


def official_names(units: tuple[int, ...]) -> dict[str, str]:
    """Each of the module's parameters and its name in the release's files."""
    names = {"stem.weight": "resnet/root_block/standardized_conv2d/kernel"}

    def norm(own: str, theirs: str) -> None:
        names[own + ".weight"], names[own + ".bias"] = theirs + "/group_norm/gamma", theirs + "/group_norm/beta"

    index = 0
    for block, count in enumerate(units, start=1):
        for unit in range(1, count + 1):
            own, theirs = f"blocks.{index}.", f"resnet/block{block}/unit{unit:02d}/"
            for number, letter in enumerate("abc", start=1):
                norm(own + f"norm{number}", theirs + letter)
                names[own + f"conv{number}.weight"] = theirs + letter + "/standardized_conv2d/kernel"
            if unit == 1:
                names[own + "project.weight"] = theirs + "a/proj/standardized_conv2d/kernel"
            index += 1
    norm("norm", "resnet")
    names["head.weight"], names["head.bias"] = "resnet/head/conv2d/kernel", "resnet/head/conv2d/bias"
    return names


def units_of(tensors: Mapping[str, np.ndarray] | list[str]) -> tuple[int, ...]:
    """Residual units of the four blocks, counted from the names."""
    blocks = ({name.split("/")[2] for name in tensors if name.startswith(f"resnet/block{b}/")} for b in (1, 2, 3, 4))
    return tuple(len(block) for block in blocks)


def state_of(tensors: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The release's tensors (HWIO kernels) under the module's names (OIHW)."""
    state = {}
    for own, official in official_names(units_of(list(tensors))).items():
        value = tensors[official]
        if value.ndim == 4:
            value = np.ascontiguousarray(value.transpose(3, 2, 0, 1))
        state[own] = torch.from_numpy(value.reshape(value.shape[:2]) if own == "head.weight" else value)
    return state


def fold(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same with kernels standardised, in double precision, and laid out channels last."""
    folded = dict(state)
    for name, value in state.items():
        if value.ndim == 4:
            folded[name] = standardise(value.double()).float().contiguous(memory_format=torch.channels_last)
    return folded


def from_state(state: Mapping[str, Tensor], folded: bool) -> Network:
    """The network on these tensors, which it shares; `folded`: kernels are standardised already."""
    middles = [value.shape[0] for name, value in state.items() if name.endswith(".conv1.weight")]
    stem = state["stem.weight"].shape[0]
    with torch.device("meta"):
        network = Network(
            tuple(middles.count(stem * 2**block) for block in range(4)), stem, state["head.bias"].shape[0]
        )
    network.load_state_dict(state, assign=True)
    for module in network.modules():
        if isinstance(module, StandardisedConv):
            module.folded = folded
    network.eval()
    network.requires_grad_(False)
    return network
