# SPDX-License-Identifier: Apache-2.0
"""Writes checkpoints of the foreign formats by their specifications, for the tests of pybit.formats.

Each writer can produce the variants and the damage that the tests need; none of them uses the reader's code.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

Tensors = dict[str, np.ndarray]


def tiny_network(classes: int = 10, stem: int = 32, units: tuple[int, ...] = (1, 1, 1, 1), seed: int = 0) -> Tensors:
    """A complete network under official names, in the order in which Keras creates the variables of bit_tf2."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}

    def add(name: str, *shape: int) -> None:
        tensors[f"resnet/{name}"] = rng.standard_normal(shape).astype(np.float32)

    add("root_block/standardized_conv2d/kernel", 7, 7, 3, stem)
    channels = stem
    for block, count in enumerate(units, 1):
        out = stem * 2 << block
        middle = out // 4
        for unit in range(1, count + 1):
            place = f"block{block}/unit{unit:02d}"
            for part, inside, kernel in (
                ("a", channels, (1, 1, channels, middle)),
                ("b", middle, (3, 3, middle, middle)),
                ("c", middle, (1, 1, middle, out)),
            ):
                add(f"{place}/{part}/group_norm/gamma", inside)
                add(f"{place}/{part}/group_norm/beta", inside)
                add(f"{place}/{part}/standardized_conv2d/kernel", *kernel)
            if unit == 1:
                add(f"{place}/a/proj/standardized_conv2d/kernel", 1, 1, channels, out)
            channels = out
    add("group_norm/gamma", channels)
    add("group_norm/beta", channels)
    if classes:
        add("head/conv2d/kernel", 1, 1, channels, classes)
        add("head/conv2d/bias", classes)
    return tensors


# --- Keras HDF5


def keras_variables(tensors: Tensors) -> list[tuple[str, str, np.ndarray]]:
    """Layer, variable and values, named as Keras names the layers of bit_tf2/models.py."""
    result = []
    for name, array in tensors.items():
        path = name.removeprefix("resnet/")
        if path.startswith("head/"):
            values = array.reshape(array.shape[-2:]) if array.ndim == 4 else array
            result.append(("head/dense", f"head/dense/{path.rsplit('/')[-1]}:0", values))
        elif path.startswith("root_block"):
            result.append(("root_block", "standardized_conv2d/kernel:0", array))
        elif path.startswith("block"):
            result.append((path.split("/")[0], f"{path}:0", array))
        else:
            result.append(("group_norm", f"{path}:0", array))
    return result


def write_h5(
    path: Path,
    variables: list[tuple[str, str, np.ndarray]],
    group: str | None = None,
    chunked_names: bool = False,
    **dataset_options: Any,
) -> None:
    """A Keras weight file; `group` puts it below "model_weights" as models do, `chunked_names` cuts the lists."""
    import h5py

    with h5py.File(path, "w") as file:
        root = file if group is None else file.create_group(group)
        layers: dict[str, list[tuple[str, np.ndarray]]] = {"root_block": []}
        for layer, name, array in variables:
            layers.setdefault(layer, []).append((name, array))
        layers["re_lu"] = []  # Keras lists layers without variables too
        _write_names(root, "layer_names", list(layers), chunked_names)
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.4.0"
        for layer, members in layers.items():
            place = root.create_group(layer)
            _write_names(place, "weight_names", [name for name, _ in members], chunked_names)
            for name, array in members:
                place.create_dataset(name, data=array, **dataset_options)


def _write_names(place: Any, key: str, names: list[str], chunked: bool) -> None:
    encoded = [name.encode() for name in names]
    if not chunked or not encoded:
        place.attrs[key] = encoded
        return
    for number, start in enumerate(range(0, len(encoded), 2)):
        place.attrs[f"{key}{number}"] = encoded[start : start + 2]


# --- TensorFlow tensor bundle


def slow_crc32c(data: bytes) -> int:
    """Bit by bit from the definition (RFC 3720)."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def _quick_crc32c(data: bytes) -> int:
    if len(data) <= 4096:
        return slow_crc32c(data)
    from pybit.formats.keras.crc32c import (
        crc32c,
    )  # the bitwise one takes seconds per megabyte; test_formats_crc32c compares the two

    return crc32c(data)


def masked(crc: int) -> bytes:
    """As LevelDB stores a CRC."""
    return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def varint(value: int) -> bytes:
    """Base-128, two's complement of 64 bits for negative numbers."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    """A protocol-buffer field: varint or length-delimited."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


_TYPES = {"f4": 1, "f8": 2, "i4": 3, "i8": 9, "f2": 19}


def bundle_entry(dtype: int, shape: tuple[int, ...], shard: int, offset: int, size: int, crc: int) -> bytes:
    """A BundleEntryProto; fields with default values are left out, as protocol buffers do."""
    dims = b"".join(field(2, field(1, size) if size else b"") for size in shape)
    parts = [field(1, dtype), field(2, dims)]
    parts += [field(number, value) for number, value in ((3, shard), (4, offset), (5, size)) if value]
    return b"".join(parts) + varint(6 << 3 | 5) + masked(crc)


def table_block(entries: list[tuple[bytes, bytes]], restart_interval: int = 16) -> bytes:
    """Entries with shared key prefixes and restart points."""
    out, restarts, last = bytearray(), [], b""
    for number, (key, value) in enumerate(entries):
        if number % restart_interval == 0:
            restarts.append(len(out))
            last = b""
        shared = 0
        while shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return bytes(out) + b"".join(struct.pack("<I", at) for at in restarts) + struct.pack("<I", len(restarts))


def snappy_compress(data: bytes) -> bytes:
    """Valid raw Snappy with copies wherever the last 60 kilobytes repeat at least eight bytes; greedy and slow."""
    out, at, literal = bytearray(varint(len(data))), 0, bytearray()

    def flush() -> None:
        for start in range(0, len(literal), 60):
            piece = literal[start : start + 60]
            out.append((len(piece) - 1) << 2)
            out.extend(piece)
        literal.clear()

    while at < len(data):
        found = data.rfind(data[at : at + 8], max(0, at - 60000), at + 7) if at + 8 <= len(data) else -1
        if found < 0 or found >= at:
            literal.append(data[at])
            at += 1
            continue
        flush()
        length = 8
        while at + length < len(data) and length < 64 and data[found + length] == data[at + length]:
            length += 1
        distance = at - found
        if length <= 11 and distance < 2048:
            out.extend([1 | (length - 4) << 2 | distance >> 8 << 5, distance & 0xFF])
        else:
            out.extend(bytes([2 | (length - 1) << 2]) + struct.pack("<H", distance))
        at += length
    flush()
    return bytes(out)


def write_table(entries: list[tuple[bytes, bytes]], per_block: int = 20, snappy: bool = False) -> bytes:
    """A whole table file with several data blocks."""
    out, index = bytearray(), []

    def append(block: bytes, compress: bool) -> bytes:
        content = snappy_compress(block) if compress else block
        handle = varint(len(out)) + varint(len(content))
        kind = b"\x01" if compress else b"\x00"
        out.extend(content + kind + masked(_quick_crc32c(content + kind)))
        return handle

    for start in range(0, len(entries), per_block):
        part = entries[start : start + per_block]
        index.append((part[-1][0] + b"\0", append(table_block(part), snappy)))
    meta = append(table_block([]), False)
    footer = meta + append(table_block(index, 1), False)
    return bytes(out) + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


def write_bundle(
    folder: Path,
    tensors: Tensors,
    shards: int = 1,
    release_name: bool = False,
    snappy: bool = False,
    graph: dict[str, str] | None = None,
    per_block: int = 20,
) -> Path:
    """A SavedModel folder's variables; `graph` maps keys to variable names in an object graph. Returns the folder."""
    place = folder / "variables"
    place.mkdir(parents=True)
    data = [bytearray() for _ in range(shards)]
    entries = {b"": field(1, shards) + field(3, field(1, 1))}
    for number, (name, array) in enumerate(tensors.items()):
        shard = number % shards
        content = array.tobytes()
        entries[name.encode()] = bundle_entry(
            _TYPES[array.dtype.str[1:]], array.shape, shard, len(data[shard]), len(content), _quick_crc32c(content)
        )
        data[shard] += content
    if graph is not None:
        nodes = b"".join(
            field(1, field(2, field(1, b"VARIABLE_VALUE") + field(2, name.encode()) + field(3, key.encode())))
            for key, name in graph.items()
        )
        lengths_crc = masked(slow_crc32c(struct.pack("<I", len(nodes))))
        content = varint(len(nodes)) + lengths_crc + nodes
        crc = _quick_crc32c(struct.pack("<I", len(nodes)) + lengths_crc + nodes)
        entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = bundle_entry(7, (), 0, len(data[0]), len(content), crc)
        data[0] += content
    (place / "variables.index").write_bytes(write_table(sorted(entries.items()), per_block, snappy))
    for number, shard_data in enumerate(data):
        name = "variables.data@1" if release_name else f"variables.data-{number:05d}-of-{shards:05d}"
        (place / name).write_bytes(shard_data)
    return folder


# --- torch


class Global:
    """Stands for a function or class by name in pickles that `dump` writes."""

    def __init__(self, path: str) -> None:
        self.module, _, self.name = path.rpartition(".")


class Reduce:
    """Stands for a call `function(*arguments)` in a pickle, with OrderedDict-like items."""

    def __init__(
        self, function: Global, *arguments: Any, items: dict[Any, Any] | None = None, state: Any = None
    ) -> None:
        self.function, self.arguments, self.items, self.state = function, arguments, items, state


class Storage:
    """Stands for a torch storage: what persistent ids of torch.save refer to."""

    def __init__(self, kind: str, key: str, data: bytes, count: int) -> None:
        self.kind, self.key, self.data, self.count = kind, key, data, count


def dump(value: Any) -> bytes:
    """A protocol 2 pickle, written instruction by instruction."""
    return b"\x80\x02" + _dump(value) + b"."


def _dump(value: Any) -> bytes:
    if isinstance(value, Global):
        return b"c" + f"{value.module}\n{value.name}\n".encode()
    if isinstance(value, Reduce):
        out = _dump(value.function) + _dump(value.arguments) + b"R"
        if value.items:
            out += b"(" + b"".join(_dump(part) for pair in value.items.items() for part in pair) + b"u"
        return out + (_dump(value.state) + b"b" if value.state is not None else b"")
    if isinstance(value, Storage):
        identity = ("storage", Global(f"torch.{value.kind}"), value.key, "cpu", value.count)
        return _dump(identity) + b"Q"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_dump, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_dump, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_dump(part) for pair in value.items() for part in pair) + b"u"
    return pickle.dumps(value, 2)[2:-1]  # numbers and texts


_KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}


def torch_tensor(array: np.ndarray, key: str) -> Reduce:
    """`torch._utils._rebuild_tensor_v2` of one contiguous array in its own storage."""
    storage = Storage(_KINDS[array.dtype.str[1:]], key, array.tobytes(), array.size)
    strides = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
    hooks = Reduce(Global("collections.OrderedDict"))
    return Reduce(Global("torch._utils._rebuild_tensor_v2"), storage, 0, array.shape, strides, False, hooks)


def torch_state(tensors: Tensors) -> Reduce:
    """An OrderedDict of tensors with the `_metadata` attribute that Module.state_dict() adds."""
    items = {name: torch_tensor(array, str(number)) for number, (name, array) in enumerate(tensors.items())}
    return Reduce(Global("collections.OrderedDict"), items=items, state={"_metadata": {"": {"version": 1}}})


def storages(value: Any) -> list[Storage]:
    """All storages below a value, in order."""
    if isinstance(value, Storage):
        return [value]
    if isinstance(value, Reduce):
        return storages(value.arguments) + storages(value.items)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [storage for part in parts for storage in storages(part)]


def write_torch_zip(
    path: Path, value: Any, pickled: bytes | None = None, extra: dict[str, bytes] | None = None
) -> None:
    """A file in the format of torch >= 1.6."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", dump(value) if pickled is None else pickled)
        archive.writestr("archive/byteorder", b"little")
        for storage in storages(value):
            archive.writestr(f"archive/data/{storage.key}", storage.data)
        archive.writestr("archive/version", b"3\n")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)


def write_torch_legacy(path: Path, value: Any) -> None:
    """A file in the format of torch < 1.6."""
    found = storages(value)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps(system, 2)
    body = b"".join(struct.pack("<q", storage.count) + storage.data for storage in found)
    path.write_bytes(head + dump(value) + pickle.dumps([storage.key for storage in found], 2) + body)


# --- names of torch-like frameworks


def reference_torch_names(tensors: Tensors, prefix: str = "") -> Tensors:
    """The same network as bit_pytorch names and lays it out (OIHW)."""
    parts = {"a": ("gn1", "conv1"), "b": ("gn2", "conv2"), "c": ("gn3", "conv3")}
    result: Tensors = {}
    for name, array in tensors.items():
        words = name.removeprefix("resnet/").split("/")
        last = {"gamma": "weight", "beta": "bias", "kernel": "weight", "bias": "bias"}[words[-1]]
        if words[0] == "root_block":
            new = "root.conv"
        elif words[0] == "group_norm":
            new = "head.gn"
        elif words[0] == "head":
            new = "head.conv"
        elif "proj" in words:
            new = f"body.{words[0]}.{words[1]}.downsample"
        else:
            new = f"body.{words[0]}.{words[1]}.{parts[words[2]][words[3] == 'standardized_conv2d']}"
        values = np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array
        result[f"{prefix}{new}.{last}"] = values
    return result
