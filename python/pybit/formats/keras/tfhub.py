# SPDX-License-Identifier: Apache-2.0
"""Reads TensorFlow's tensor bundles (TFHub modules, SavedModel folders, checkpoints) without TensorFlow.

Format (tensorflow/core/util/tensor_bundle/tensor_bundle.{h,cc}, tensorflow/core/protobuf/tensor_bundle.proto): a table
`<prefix>.index` maps the empty key to a BundleHeaderProto {1: num_shards, 2: endianness (0 little, 1 big)} and each
tensor's name to a BundleEntryProto {1: dtype, 2: shape, 3: shard_id, 4: offset, 5: size, 6: crc32c (fixed32,
masked), 7: slices}. The bytes lie in `<prefix>.data-SSSSS-of-NNNNN`; the BiT release calls the only shard of its
fine-tuned modules `variables.data@1`. Strings are stored as all lengths (varints), a masked CRC-32C of the lengths,
then the characters. Keras models are saved as object graphs: keys end in `/.ATTRIBUTES/VARIABLE_VALUE`, and the
string tensor `_CHECKPOINTABLE_OBJECT_GRAPH` (trackable_object_graph.proto) gives each variable's own name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pybit.formats.keras.bundle import find_prefix
from pybit.formats.keras.crc32c import crc32c, unmask
from pybit.formats.keras.names import official_tensors
from pybit.formats.keras.table import read_table
from pybit.formats.keras.wire import WireError, fields, integer, message, signed, varint
from pybit.formats.raw import Array, RawCheckpoint, bfloat16_to_float32, checked_count, fail

_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_STRING = 7
# tensorflow/core/framework/types.proto; None: bfloat16, which NumPy lacks.
_DTYPES = {
    1: "f4",
    2: "f8",
    3: "i4",
    4: "u1",
    5: "i2",
    6: "i1",
    9: "i8",
    10: "?",
    14: None,
    17: "u2",
    19: "f2",
    22: "u4",
    23: "u8",
}
_MAX_INDEX = 16 << 20
_MAX_STRINGS = 16 << 20


@dataclass(frozen=True)
class _Entry:
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    sliced: bool


def read_tfhub(path: str | os.PathLike[str], verify: bool = True) -> RawCheckpoint:
    """The BiT network of a bundle under the release's names; `read_bundle` says how it is read and what it throws."""
    raw = read_bundle(path, verify)
    return replace(raw, tensors=official_tensors(raw.path, raw.tensors))


def read_bundle(path: str | os.PathLike[str], verify: bool = True) -> RawCheckpoint:
    """Reads all numeric tensors of a bundle, of any model; float32 data stay in the mapped file, in their stored
    layout.

    Object-graph keys are replaced by the variables' own names where the file tells them. With `verify` the CRC-32C
    of every tensor is checked. Raises FormatError if a rule of the format does not hold, OSError if a file cannot be
    read.
    """
    place = Path(path)
    prefix = find_prefix(place)
    if prefix is None:
        fail(place, "expected a TFHub or SavedModel folder with variables/variables.index in it")
    index = prefix.with_name(prefix.name + ".index")
    if index.stat().st_size > _MAX_INDEX:
        fail(index, f"expected an index of at most {_MAX_INDEX} bytes, got {index.stat().st_size}")
    try:
        shards, entries = _parse_index(index.read_bytes(), index)
        bundle = _Bundle(prefix, shards, verify)
        graph = entries.pop(_GRAPH_KEY, None)
        names = bundle.variable_names(graph) if graph else {}
        tensors = []
        for key, entry in sorted(entries.items(), key=lambda item: _natural(item[0])):
            if entry.dtype != _STRING:
                tensors.append((names.get(key, key.removesuffix(_VALUE)), bundle.tensor(key, entry)))
    except WireError as error:
        fail(index, f"damaged protocol buffer: {error}")
    return RawCheckpoint(str(place), "tfhub", tensors, {"shards": str(shards)})


def _natural(key: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key)]


def _parse_index(data: bytes, path: Path) -> tuple[int, dict[str, _Entry]]:
    table = read_table(data, path)
    header = table.pop(b"", None)
    if header is None:
        fail(path, "expected a bundle header under the empty key; this table is not the index of a tensor bundle")
    numbers = {number: integer(value) for number, value in fields(header) if number in (1, 2)}
    if numbers.get(2, 0) != 0:
        fail(path, "the bundle was written by a big-endian machine; expected little-endian")
    shards = numbers.get(1, 0)
    if not 1 <= shards <= 99999:
        fail(path, f"expected 1 to 99999 shards, got {shards}")
    entries = {}
    for key, value in table.items():
        try:
            name = key.decode()
        except UnicodeDecodeError:
            fail(path, f"key {key!r} is not UTF-8")
        entries[name] = _parse_entry(value)
    return shards, entries


def _parse_entry(data: bytes) -> _Entry:
    values = {"dtype": 0, "shard": 0, "offset": 0, "size": 0, "crc": 0}
    shape: list[int] = []
    sliced = False
    for number, value in fields(data):
        if number == 2:
            shape = [_dimension(message(part)) for tag, part in fields(message(value)) if tag == 2]
        elif number == 7:
            sliced = True
        elif number in (1, 3, 4, 5, 6):
            values[("dtype", "", "shard", "offset", "size", "crc")[number - 1]] = signed(integer(value))
    return _Entry(
        values["dtype"], tuple(shape), values["shard"], values["offset"], values["size"], values["crc"], sliced
    )


def _dimension(data: bytes) -> int:
    return next((signed(integer(value)) for number, value in fields(data) if number == 1), 0)


class _Bundle:
    """The data files of one bundle, mapped when first needed."""

    def __init__(self, prefix: Path, shards: int, verify: bool) -> None:
        self._prefix, self._shards, self._verify = prefix, shards, verify
        self._maps: dict[int, Array] = {}

    def _shard(self, number: int) -> Array:
        if number not in self._maps:
            standard = self._prefix.with_name(f"{self._prefix.name}.data-{number:05d}-of-{self._shards:05d}")
            released = self._prefix.with_name(f"{self._prefix.name}.data@{self._shards}")
            path = released if self._shards == 1 and not standard.exists() and released.exists() else standard
            empty = path.stat().st_size == 0  # which cannot be mapped
            self._maps[number] = np.zeros(0, np.uint8) if empty else np.memmap(path, np.uint8, "r")
        return self._maps[number]

    def _bytes(self, name: str, entry: _Entry) -> Array:
        index = f"{self._prefix}.index"
        if entry.sliced:
            fail(index, f"tensor '{name}' is stored in slices (a partitioned variable); save it whole")
        if not 0 <= entry.shard < self._shards:
            fail(index, f"tensor '{name}' lies in shard {entry.shard}, but there are {self._shards}")
        data = self._shard(entry.shard)
        if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > data.size:
            fail(
                index,
                f"tensor '{name}' takes bytes {entry.offset} to {entry.offset + entry.size}, but its data file has "
                f"{data.size}; the data file is truncated or belongs to another index",
            )
        return data[entry.offset : entry.offset + entry.size]

    def _check(self, name: str, found: int, entry: _Entry) -> None:
        stored = unmask(entry.crc & 0xFFFFFFFF)
        if found != stored:
            fail(
                f"{self._prefix}.index",
                f"tensor '{name}': CRC-32C of its data is {found:#010x}, the index says "
                f"{stored:#010x}; the data file is damaged, download it again",
            )

    def tensor(self, name: str, entry: _Entry) -> Array:
        """The values of one numeric tensor; bfloat16 comes as float32."""
        if entry.dtype not in _DTYPES:
            fail(
                f"{self._prefix}.index",
                f"tensor '{name}' has TensorFlow type {entry.dtype}, which no network here needs",
            )
        stored = np.dtype(_DTYPES[entry.dtype] or "u2").newbyteorder("<")
        data = self._bytes(name, entry)
        count = checked_count(f"{self._prefix}.index", name, entry.shape, data.size // stored.itemsize)
        if count * stored.itemsize != entry.size:
            fail(
                f"{self._prefix}.index",
                f"tensor '{name}': shape {entry.shape} of {stored} needs "
                f"{count * stored.itemsize} bytes, the index gives it {entry.size}",
            )
        if self._verify:
            self._check(name, crc32c(data), entry)
        values = data.view(stored) if data.ctypes.data % stored.itemsize == 0 else np.frombuffer(data.tobytes(), stored)
        if _DTYPES[entry.dtype] is None:
            values = bfloat16_to_float32(values)
        return values.reshape(entry.shape)

    def variable_names(self, entry: _Entry) -> dict[str, str]:
        """Checkpoint keys and the variables' own names, from the object graph."""
        names = {}
        for number, node in fields(self._string(_GRAPH_KEY, entry)):
            if number != 1:
                continue
            for tag, attribute in fields(message(node)):
                if tag == 2:
                    texts = {
                        n: message(v).decode(errors="replace") for n, v in fields(message(attribute)) if n in (1, 2, 3)
                    }
                    if texts.get(2) and texts.get(3):
                        names[texts[3]] = texts[2]
        # A name that several variables share says nothing; their keys do.
        unique = {name for name in names.values() if list(names.values()).count(name) == 1}
        return {key: name for key, name in names.items() if name in unique}

    def _string(self, name: str, entry: _Entry) -> bytes:
        if entry.dtype != _STRING or entry.shape or entry.size > _MAX_STRINGS:
            fail(f"{self._prefix}.index", f"'{name}': expected one string of at most {_MAX_STRINGS} bytes")
        data = self._bytes(name, entry).tobytes()
        length, at = varint(data, 0)
        if at + 4 + length != len(data):
            fail(
                f"{self._prefix}.index",
                f"'{name}': expected a string of {len(data) - at - 4} bytes, got length {length}",
            )
        # The writer's CRC runs over the length as a fixed-width number, not over its varint.
        width = 4 if length < 1 << 32 else 8
        found = crc32c(data[at:], crc32c(length.to_bytes(width, "little")))
        self._check(name, found, entry)
        return data[at + 4 :]
