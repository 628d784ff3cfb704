# SPDX-License-Identifier: Apache-2.0
"""BiT as an ONNX graph with kernels standardised beforehand: what ONNX Runtime and OpenVINO are given.

Built by hand instead of exported, so that each peer's graph has the operators it runs fastest: the choice is how
group norm is written. R50x1, 224², batch 1, 2 cores of Zen 5, 2026-11: ONNX Runtime takes 26 ms with
InstanceNormalization on a reshaped map and 50 with GroupNormalization; OpenVINO takes the same time with both and with
PyTorch's own graph.
Batch, height and width are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch_network import WEIGHT_EPS, units_of

GROUPS, EPS = 32, 1e-5


class Graph:
    """Nodes and initialisers of a graph in the making; each method adds one operation and returns its output's name."""

    def __init__(self, norm: str) -> None:
        self.norm = norm
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x: str, name: str, kernel: np.ndarray, stride: int = 1) -> str:
        wide = kernel.astype(np.float64)
        wide = (wide - wide.mean((0, 1, 2))) / np.sqrt(wide.var((0, 1, 2)) + WEIGHT_EPS)
        weight = self.constant(name, wide.astype(np.float32).transpose(3, 2, 0, 1))
        pad = kernel.shape[0] // 2
        return self.node("Conv", [x, weight], kernel_shape=list(kernel.shape[:2]), strides=[stride] * 2, pads=[pad] * 4)

    def norm_relu(self, x: str, name: str, gamma: np.ndarray, beta: np.ndarray) -> str:
        if self.norm == "group":
            parts = [x, self.constant(name + "/gamma", gamma), self.constant(name + "/beta", beta)]
            return self.node("Relu", [self.node("GroupNormalization", parts, num_groups=GROUPS, epsilon=EPS)])
        grouped = self.node("Reshape", [x, self.constant("grouped", np.array([0, GROUPS, -1], np.int64))])
        one, zero = np.ones(GROUPS, np.float32), np.zeros(GROUPS, np.float32)
        parts = [grouped, self.constant("ones", one), self.constant("zeros", zero)]
        normed = self.node("InstanceNormalization", parts, epsilon=EPS)
        normed = self.node("Reshape", [normed, self.node("Shape", [x])])
        scaled = self.node("Mul", [normed, self.constant(name + "/gamma", gamma.reshape(1, -1, 1, 1))])
        return self.node("Relu", [self.node("Add", [scaled, self.constant(name + "/beta", beta.reshape(1, -1, 1, 1))])])


def build(tensors: Mapping[str, np.ndarray], norm: str) -> onnx.ModelProto:
    """The network of the release's tensors (HWIO kernels); `norm`: "group" or "instance", see the head."""
    g = Graph(norm)

    def conv(x: str, name: str, stride: int = 1) -> str:
        return g.conv(x, name, tensors[name + "/standardized_conv2d/kernel"], stride)

    def norm_relu(x: str, name: str) -> str:
        return g.norm_relu(x, name, tensors[name + "/group_norm/gamma"], tensors[name + "/group_norm/beta"])

    x = conv("image", "resnet/root_block", 2)
    pads = g.constant("pool_pads", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    zero = g.constant("zero", np.zeros((), np.float32))
    x = g.node("MaxPool", [g.node("Pad", [x, pads, zero])], kernel_shape=[3, 3], strides=[2, 2])
    for block, count in enumerate(units_of(list(tensors)), start=1):
        for unit in range(1, count + 1):
            name, stride = f"resnet/block{block}/unit{unit:02d}/", 2 if block > 1 and unit == 1 else 1
            y = norm_relu(x, name + "a")
            if unit == 1:
                x = conv(y, name + "a/proj", stride)
            y = conv(y, name + "a")
            y = conv(norm_relu(y, name + "b"), name + "b", stride)
            y = conv(norm_relu(y, name + "c"), name + "c")
            x = g.node("Add", [x, y])
    x = g.node("GlobalAveragePool", [norm_relu(x, "resnet")])
    x = g.node("Flatten", [x])
    head = tensors["resnet/head/conv2d/kernel"]
    weight = g.constant("head", head.reshape(head.shape[-2:]))
    bias = g.constant("bias", tensors["resnet/head/conv2d/bias"])
    g.nodes.append(helper.make_node("Gemm", [x, weight, bias], ["logits"], name="logits"))
    graph = helper.make_graph(
        g.nodes,
        "bit",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", head.shape[-1]])],
        list(g.weights.values()),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def write(path: Path, model: onnx.ModelProto) -> None:
    """Weights of more than 1.5 GB go to a file of their own, since a protobuf message ends at 2 GB."""
    large = sum(len(w.raw_data) for w in model.graph.initializer) > 1_500_000_000
    onnx.save(model, path, save_as_external_data=large, location=path.name + ".data")
