# SPDX-License-Identifier: Apache-2.0
"""The network as an ONNX graph, with kernels standardised beforehand.

Group norm is written as InstanceNormalization of a map that was reshaped to its groups, then scale and shift: exact,
known to every opset, and the faster form (R50x1, 224², batch 1, 2 cores of Zen 5, 2026-11: ONNX Runtime takes 26 ms
with it and 50 with GroupNormalization, which exists from opset 21 on; OpenVINO takes the same time with both).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from pybit import _core
from pybit.base.arrays import Array
from pybit.export.onnx_file import Graph


def standardised(kernel: Array, eps: float) -> Array:
    """A kernel HWIO with mean 0 and variance 1 of each output channel, in double precision, as OIHW."""
    wide = kernel.astype(np.float64)
    wide = (wide - wide.mean((0, 1, 2))) / np.sqrt(wide.var((0, 1, 2)) + eps)
    return np.ascontiguousarray(wide.astype(np.float32).transpose(3, 2, 0, 1))


def block_paces(output_stride: int) -> list[tuple[int, int, int]]:
    """Stride, dilation of the first unit and of the others, of each block: what would have been stride becomes
    dilation once the output stride is reached, which the first unit applies one block late (include/bit/model)."""
    paces, reached, dilation = [], 4, 1
    for block in range(4):
        stride = 1 if block == 0 else 2
        if reached >= output_stride:
            stride, dilation = 1, dilation * stride
        reached *= stride
        paces.append((stride, 1 if dilation <= 2 else 2, dilation))
    return paces


class NetworkGraph:
    """Adds the network of `config` to a graph, up to what `outputs` need.

    `tensors`: its parameters under official names, kernels HWIO. `outputs`: names that `Network.output_names` has.
    """

    def __init__(
        self, graph: Graph, config: _core.Config, tensors: Mapping[str, Array], outputs: Collection[str]
    ) -> None:
        self._graph, self._config, self._tensors = graph, config, tensors
        self._outputs = set(outputs)

    def add(self, image: str) -> None:
        """Add all nodes, from `image`, float32 (n,c,h,w) in [-1,1], to outputs under their own names."""
        g = self._graph
        x = self._result("stem", self._conv(image, "resnet/root_block", 2, 3))
        # BiT pads with zeros, which take part in the maximum; MaxPool's own padding would not.
        padded = g.node("Pad", [x, g.integers(0, 0, 1, 1, 0, 0, 1, 1), g.constant("zero", 0.0)])
        x = self._result("root", g.node("MaxPool", [padded], kernel_shape=[3, 3], strides=[2, 2]))
        for block, count in enumerate(self._config.units, start=1):
            for unit in range(1, count + 1):
                if not self._outputs:
                    return
                x = self._result(f"block{block}/unit{unit:02d}", self._unit(x, block, unit))
            x = self._result(f"block{block}", x)
        if not self._outputs:
            return
        x = self._result("features", self._norm_relu(x, "resnet"))
        x = self._result("pooled", g.node("Flatten", [g.node("GlobalAveragePool", [x])]))
        if self._outputs:
            kernel, bias = (self._tensors[f"resnet/head/conv2d/{part}"] for part in ("kernel", "bias"))
            weights = [g.constant("head/kernel", kernel.reshape(kernel.shape[-2:])), g.constant("head/bias", bias)]
            self._result("logits", g.node("Gemm", [x, *weights]))

    def _result(self, name: str, value: str) -> str:
        """Gives a value the name of an output, if it is one."""
        if name in self._outputs:
            self._outputs.remove(name)
            self._graph.node("Identity", [value], name)
        return value

    def _unit(self, x: str, block: int, unit: int) -> str:
        name = f"resnet/block{block}/unit{unit:02d}/"
        stride, first_dilation, dilation = block_paces(self._config.output_stride)[block - 1]
        if unit > 1:
            stride = 1
        else:
            dilation = first_dilation
        y = self._norm_relu(x, name + "a")
        shortcut = self._conv(y, name + "a/proj", stride) if unit == 1 else x
        y = self._conv(y, name + "a")
        y = self._conv(self._norm_relu(y, name + "b"), name + "b", stride, dilation, dilation)
        y = self._conv(self._norm_relu(y, name + "c"), name + "c")
        return self._graph.node("Add", [y, shortcut])

    def _conv(self, x: str, name: str, stride: int = 1, padding: int = 0, dilation: int = 1) -> str:
        kernel = self._tensors[f"{name}/standardized_conv2d/kernel"]
        weight = self._graph.constant(f"{name}/kernel", standardised(kernel, self._config.weight_eps))
        return self._graph.node(
            "Conv",
            [x, weight],
            kernel_shape=list(kernel.shape[:2]),
            strides=[stride] * 2,
            pads=[padding] * 4,
            dilations=[dilation] * 2,
        )

    def _norm_relu(self, x: str, name: str) -> str:
        g, groups = self._graph, self._config.groups
        gamma, beta = (
            g.constant(f"{name}/{part}", self._tensors[f"{name}/group_norm/{part}"].reshape(1, -1, 1, 1))
            for part in ("gamma", "beta")
        )
        ones, zeros = g.constant("ones", np.ones(groups)), g.constant("zeros", np.zeros(groups))
        grouped = g.node("Reshape", [x, g.integers(0, groups, -1)])
        epsilon = float(self._config.group_norm_eps)
        normal = g.node("InstanceNormalization", [grouped, ones, zeros], epsilon=epsilon)
        normal = g.node("Reshape", [normal, g.node("Shape", [x])])
        return g.node("Relu", [g.node("Add", [g.node("Mul", [normal, gamma]), beta])])
