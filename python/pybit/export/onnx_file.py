# SPDX-License-Identifier: Apache-2.0
"""Writes ONNX files: the few messages of onnx.proto that a graph of ours needs (field numbers of onnx 1.17).

The package onnx would be 20 MB and protobuf to write eight kinds of messages; the encoding (protobuf.dev, "Encoding")
is tags and lengths.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from pybit.base.arrays import Array

TYPES = {"float32": 1, "uint8": 2, "int64": 7, "float64": 11}  #: TensorProto.DataType
_ALIGNMENT = 4096  # of tensors in a file of their own, so that they can be mapped


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers are stored in two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def _bytes(tag: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(tag << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: Any) -> bytes:
    """An AttributeProto of a whole number, a float, a text or a list of whole numbers."""
    head = _bytes(1, name)
    if isinstance(value, float):
        return head + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    if isinstance(value, str):
        return head + _bytes(4, value) + _number(20, 3)
    return head + b"".join(_number(8, item) for item in value) + _number(20, 7)


@dataclass
class Graph:
    """Nodes and constants of a graph in the making; methods that add one return its output's name."""

    nodes: list[bytes] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def constant(self, name: str, value: Any, dtype: str = "float32") -> str:
        """Add a constant under `name`, once."""
        if name not in self.constants:
            self.constants[name] = np.asarray(value, np.dtype(dtype).newbyteorder("<"), "C")
        return name

    def integers(self, *values: int) -> str:
        """Add a vector of whole numbers."""
        return self.constant("int64_" + "_".join(map(str, values)), values, "int64")

    def node(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add an operator; `output` is the name of its result, "" for one that is made up."""
        output = output or f"{op.lower()}_{len(self.nodes)}"
        parts = [*(_bytes(1, name) for name in inputs), _bytes(2, output), _bytes(3, output), _bytes(4, op)]
        self.nodes.append(b"".join([*parts, *(_bytes(5, _attribute(*item)) for item in attributes.items())]))
        return output


def value_info(name: str, dtype: str, dims: Iterable[int | str]) -> bytes:
    """A ValueInfoProto: an input or output with its shape; a dimension is a number, a name, or "" for any."""
    shape = b"".join(
        _bytes(1, _number(1, dim) if isinstance(dim, int) else _bytes(2, dim) if dim else b"") for dim in dims
    )
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, TYPES[dtype]) + _bytes(2, shape)))


def _tensor(name: str, value: Array, where: tuple[str, int] | None) -> bytes:
    """A TensorProto with its values, or with the file and offset where they lie."""
    dims = b"".join(_varint(dim) for dim in value.shape)
    head = (_bytes(1, dims) if dims else b"") + _number(2, TYPES[value.dtype.name]) + _bytes(8, name)
    if where is None:
        return head + _bytes(9, value.tobytes())
    entries = {"location": where[0], "offset": str(where[1]), "length": str(value.nbytes)}
    return head + b"".join(_bytes(13, _bytes(1, k) + _bytes(2, v)) for k, v in entries.items()) + _number(14, 1)


def write_tensors(file: BinaryIO, constants: dict[str, Array], location: str) -> dict[str, tuple[str, int]]:
    """Write the values of all but small constants into a file of their own, called `location` in the model."""
    found = {}
    for name, value in constants.items():
        if value.nbytes < 1024:  # shapes and the like, which readers want in the model itself
            continue
        file.seek(-file.tell() % _ALIGNMENT, os.SEEK_CUR)
        found[name] = location, file.tell()
        file.write(value.data)
    return found


def write_model(
    file: BinaryIO,
    graph: Graph,
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
    *,
    opset: int,
    ir_version: int,
    producer: tuple[str, str],
    metadata: dict[str, str],
    where: dict[str, tuple[str, int]],
) -> None:
    """Write a ModelProto; `where`: the constants whose values lie in a file of their own."""
    head = [_number(1, ir_version), _bytes(2, producer[0]), _bytes(3, producer[1])]
    head += [_bytes(8, _bytes(1, "") + _number(2, opset))]
    head += [_bytes(14, _bytes(1, key) + _bytes(2, value)) for key, value in metadata.items()]
    small = [*(_bytes(1, node) for node in graph.nodes), _bytes(2, "bit")]
    small += [*(_bytes(11, value) for value in inputs), *(_bytes(12, value) for value in outputs)]

    # Lengths come first, so each tensor is made twice rather than all kept at once.
    def tensors() -> Iterable[bytes]:
        return (_bytes(5, _tensor(name, value, where.get(name))) for name, value in graph.constants.items())

    length = sum(map(len, small)) + sum(map(len, tensors()))
    file.write(b"".join(head) + _varint(7 << 3 | 2) + _varint(length))
    file.writelines(small)
    file.writelines(tensors())
