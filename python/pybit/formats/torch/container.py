# SPDX-License-Identifier: Apache-2.0
"""The containers of torch.save: the object that a file describes, as inert values, and the bytes of its storages.

Zip files (torch >= 1.6): `<folder>/data.pkl` describes the object, `<folder>/data/<key>` holds each storage
uncompressed; `byteorder` says "little" or "big". Legacy files: four pickles (magic number, protocol 1001, system
information, the object), a pickled list of storage keys, then per storage its count of elements (int64) and the
elements (torch/serialization.py).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from pybit.formats.pickle_machine import Call, Machine, PersistentId, Symbol
from pybit.formats.raw import Array, fail

Storage = Callable[[str], Array]  #: bytes of the storage with this key

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_PICKLE = 16 << 20
BFLOAT16 = "bfloat16"
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "UntypedStorage": "u1",
}
DTYPES = {
    "float32": "f4",
    "float": "f4",
    "float64": "f8",
    "double": "f8",
    "float16": "f2",
    "half": "f2",
    "bfloat16": BFLOAT16,
    "int64": "i8",
    "long": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "?",
}
_REBUILD = {
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
}
# Kept as inert values beside the network: bookkeeping that trainers (bit_pytorch, timm) put into the same file.
_BOOKKEEPING = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("builtins", "dict"),
    ("argparse", "Namespace"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.serialization", "_get_layout"),
    ("_codecs", "encode"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "dtype"),
}


def _allowed(symbol: Symbol) -> bool:
    if (symbol.module, symbol.name) in _BOOKKEEPING:
        return True
    if symbol.module == "torch._utils":
        return symbol.name in _REBUILD
    if symbol.module in ("torch", "torch.cuda", "torch.storage"):
        return symbol.name in STORAGES or symbol.name in DTYPES
    return False


def read_zip(path: str, data: Array) -> tuple[Any, Storage]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError, RuntimeError) as error:
        fail(path, f"damaged torch file, probably truncated: {error}")
    members = {info.filename: info for info in entries}
    if len(members) != len(entries):
        fail(path, "damaged torch file: a member of the zip archive is there twice")
    folders = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl") or name == "data.pkl"]
    if len(folders) != 1:
        fail(path, f"expected one data.pkl in a torch file, got {len(folders)}")
    if folders[0] + "constants.pkl" in members:
        fail(path, "this is a TorchScript program; save model.state_dict() with torch.save instead")

    def member(name: str) -> Array:
        if name not in members:
            fail(path, f"damaged torch file: member '{name}' is missing")
        return _member(path, data, members[name])

    byteorder = folders[0] + "byteorder"
    if byteorder in members and member(byteorder).tobytes().strip() != b"little":
        fail(path, "the file was saved by a big-endian machine; expected little-endian")
    pickled = member(folders[0] + "data.pkl")
    if pickled.size > _MAX_PICKLE:
        fail(path, f"data.pkl has {pickled.size} bytes; expected the description of one network")
    content = Machine(pickled.tobytes(), path, _allowed).run()
    return content, lambda key: member(f"{folders[0]}data/{key}")


def _member(path: str, data: Array, info: zipfile.ZipInfo) -> Array:
    """Bytes of a stored member in the mapped file, its local header and CRC-32 checked."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
        fail(
            path, f"damaged torch file: member '{info.filename}' is compressed or encrypted; torch.save stores plainly"
        )
    local = data[info.header_offset : info.header_offset + 30].tobytes()
    if len(local) != 30 or local[:4] != b"PK\x03\x04":
        fail(path, f"damaged torch file: no member starts at byte {info.header_offset}, where '{info.filename}' should")
    start = info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    if start + info.file_size > data.size:
        fail(path, f"damaged torch file: member '{info.filename}' ends at byte {start + info.file_size} of {data.size}")
    content = data[start : start + info.file_size]
    if zlib.crc32(content.data) != info.CRC:
        fail(path, f"damaged torch file: the CRC-32 of member '{info.filename}' does not match; download it again")
    return content


def read_legacy(path: str, data: Array) -> tuple[Any, Storage]:
    # Pickles of a state dict take kilobytes; the storages that follow may take gigabytes and stay mapped.
    head = data[:_MAX_PICKLE].tobytes()
    at = 0
    objects = []
    for _ in range(5):
        machine = Machine(head, path, _allowed, at)
        objects.append(machine.run())
        at = machine.end
        if objects[0] != LEGACY_MAGIC:
            fail(path, "this pickle was not written by torch.save; pickles can run programs, so it is not opened")
    if objects[1] != _LEGACY_PROTOCOL:
        fail(path, f"expected legacy torch protocol {_LEGACY_PROTOCOL} after the magic number, got another")
    system = objects[2]
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        fail(path, "the file was saved by a big-endian machine; expected little-endian")
    keys = objects[4]
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        fail(path, "damaged torch file: expected a list of storage keys after the object")
    sizes = _element_sizes(objects[3])
    storages: dict[str, Array] = {}
    for key in keys:
        count = int.from_bytes(data[at : at + 8].tobytes(), "little", signed=True)
        end = at + 8 + count * sizes.get(key, 1)
        if count < 0 or at + 8 > data.size or end > data.size:
            fail(
                path,
                f"damaged torch file: storage '{key}' of {count} elements ends at byte {end}, the file has {data.size}",
            )
        storages[key] = data[at + 8 : end]
        at = end

    def storage(key: str) -> Array:
        if key not in storages:
            fail(path, f"damaged torch file: storage '{key}' is missing")
        return storages[key]

    return objects[3], storage


def _element_sizes(content: Any) -> dict[str, int]:
    """Bytes per element of every storage that the object refers to."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    pending = [content]
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, (str, bytes, int, float, type(None))):
            continue
        seen.add(id(item))
        if isinstance(item, PersistentId):
            value = item.value
            if (
                isinstance(value, tuple)
                and len(value) >= 3
                and isinstance(value[1], Symbol)
                and isinstance(value[2], str)
            ):
                kind = STORAGES.get(value[1].name, "u1")
                sizes[value[2]] = 2 if kind == BFLOAT16 else np.dtype(kind).itemsize
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, (list, tuple, set)):
            pending.extend(item)
        elif isinstance(item, Call):
            pending.extend((item.arguments, item.state, item.items, item.elements))
    return sizes
