# SPDX-License-Identifier: Apache-2.0
"""Reads an ONNX file by the wire format and computes it with NumPy: an interpreter of the operators that pybit writes.

Written against onnx.proto and the operators' specification, apart from the writer; floats are computed in double.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pybit.formats.keras import wire

DTYPES = {1: np.float32, 2: np.uint8, 7: np.int64, 11: np.float64}


def all_of(message: bytes, number: int) -> list[Any]:
    """The values of a repeated field."""
    return [value for n, value in wire.fields(message) if n == number]


def one(message: bytes, number: int, default: Any = None) -> Any:
    """The value of a field that stands at most once."""
    values = all_of(message, number)
    assert len(values) <= 1
    return values[0] if values else default


def numbers(packed: bytes) -> list[int]:
    """A packed field of whole numbers."""
    found, at = [], 0
    while at < len(packed):
        value, at = wire.varint(packed, at)
        found.append(value)
    return found


def attribute(message: bytes) -> tuple[str, Any]:
    """The name and value of an AttributeProto."""
    name, kind = one(message, 1).decode(), one(message, 20)
    if kind == 1:
        return name, struct.unpack("<f", struct.pack("<I", one(message, 2)))[0]
    if kind == 7:
        return name, [wire.signed(value) for value in all_of(message, 8)]
    return name, wire.signed(one(message, 3)) if kind == 2 else one(message, 4).decode()


def tensor(message: bytes, folder: Path) -> tuple[str, np.ndarray]:
    """The name and values of a TensorProto, which may lie in a file of their own."""
    shape, dtype = numbers(one(message, 1, b"")), np.dtype(DTYPES[one(message, 2)])
    data = one(message, 9)
    if one(message, 14) == 1:
        where = {one(entry, 1).decode(): one(entry, 2).decode() for entry in all_of(message, 13)}
        offset, length = int(where["offset"]), int(where["length"])
        assert offset % 4096 == 0
        data = (folder / where["location"]).read_bytes()[offset : offset + length]
    return one(message, 8).decode(), np.frombuffer(data, dtype).reshape(shape)


class OnnxFile:
    """A model that was read: what it says of itself, its constants and nodes."""

    def __init__(self, path: Path) -> None:
        model = path.read_bytes()
        graph = one(model, 7)
        self.ir_version = one(model, 1)
        self.opset = one(one(model, 8), 2)
        self.metadata = {one(m, 1).decode(): one(m, 2).decode() for m in all_of(model, 14)}
        self.constants = dict(tensor(message, path.parent) for message in all_of(graph, 5))
        self.nodes = all_of(graph, 1)
        self.inputs = dict(map(self._value_info, all_of(graph, 11)))
        self.outputs = dict(map(self._value_info, all_of(graph, 12)))

    @staticmethod
    def _value_info(message: bytes) -> tuple[str, tuple[Any, ...]]:
        kind = one(one(message, 2), 1)
        dims = [one(d, 1, one(d, 2, b"")) for d in all_of(one(kind, 2), 1)]
        shape = [d.decode() if isinstance(d, bytes) else d for d in dims]
        return one(message, 1).decode(), (DTYPES[one(kind, 1)], *shape)

    @property
    def operators(self) -> list[str]:
        """The kind of each node, in order."""
        return [one(node, 4).decode() for node in self.nodes]

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs, in double precision."""
        values: dict[str, np.ndarray] = {
            name: value.astype(np.float64) if value.dtype == np.float32 else value
            for name, value in (self.constants | inputs).items()
        }
        compute(self.nodes, values)
        return {name: values[name] for name in self.outputs}


def compute(nodes: list[bytes], values: dict[str, np.ndarray]) -> None:
    """Add the results of nodes to the values."""
    for node in nodes:
        arguments = [values[name.decode()] for name in all_of(node, 1)]
        options = dict(map(attribute, all_of(node, 5)))
        kind, (result,) = one(node, 4).decode(), all_of(node, 2)
        assert result.decode() not in values  # each name is given once
        values[result.decode()] = OPERATORS[kind](*arguments, **options)


def windows(x: np.ndarray, size: list[int], strides: list[int], dilations: list[int]) -> np.ndarray:
    """The pixels under each position of a window: (n,c,oh,ow,kh,kw)."""
    reach = [(k - 1) * d + 1 for k, d in zip(size, dilations, strict=True)]
    found = sliding_window_view(x, reach, (2, 3))[:, :, :: strides[0], :: strides[1]]
    return found[..., :: dilations[0], :: dilations[1]]


def conv(
    x: np.ndarray, w: np.ndarray, *, kernel_shape: list[int], strides: list[int], pads: list[int], dilations: list[int]
) -> np.ndarray:
    assert list(w.shape[2:]) == kernel_shape
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    taps = windows(padded, kernel_shape, strides, dilations)
    return np.moveaxis(np.tensordot(taps, w, axes=((1, 4, 5), (1, 2, 3))), 3, 1)


def instance_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, epsilon: float) -> np.ndarray:
    axes = tuple(range(2, x.ndim))
    normal = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    shape = (1, -1, *[1] * (x.ndim - 2))
    return normal * scale.reshape(shape) + bias.reshape(shape)


def reshape(x: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return x.reshape([x.shape[i] if side == 0 else side for i, side in enumerate(shape)])


def slices(x: np.ndarray, starts: Any, ends: Any, axes: Any = (0,)) -> np.ndarray:
    index = [slice(None)] * x.ndim
    for start, end, axis in zip(starts, ends, axes, strict=True):
        index[axis] = slice(start, end)
    return x[tuple(index)]


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a // b if a.dtype.kind == "i" else a / b  # whole numbers here are positive


OPERATORS: dict[str, Callable[..., np.ndarray]] = {
    "Abs": np.abs,
    "Add": np.add,
    "Cast": lambda x, to: x.astype(np.int64 if to == 7 else np.float64),
    "Clip": np.clip,
    "Conv": conv,
    "Div": divide,
    "Flatten": lambda x: x.reshape(len(x), -1),
    "Floor": np.floor,
    "Greater": np.greater,
    "Gemm": lambda a, b, c: a @ b + c,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdims=True),
    "Identity": lambda x: x,
    "InstanceNormalization": instance_norm,
    "Less": np.less,
    "MatMul": np.matmul,
    "Max": np.maximum,
    "MaxPool": lambda x, kernel_shape, strides: windows(x, kernel_shape, strides, [1, 1]).max((4, 5)),
    "Mul": np.multiply,
    "Pad": lambda x, pads, value: np.pad(x, list(zip(pads[:4], pads[4:], strict=True)), constant_values=value),
    "Range": lambda start, limit, step: np.arange(start, limit, step),
    "ReduceMin": lambda x, keepdims: x.min(keepdims=bool(keepdims)),
    "ReduceSum": lambda x, axes, keepdims: x.sum(tuple(axes), keepdims=bool(keepdims)),
    "Relu": lambda x: np.maximum(x, 0),
    "Reshape": reshape,
    "Round": np.rint,
    "Shape": lambda x: np.array(x.shape, np.int64),
    "Sign": np.sign,
    "Slice": slices,
    "Sub": np.subtract,
    "Transpose": lambda x, perm: x.transpose(perm),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(axes)),
    "Where": np.where,
}
