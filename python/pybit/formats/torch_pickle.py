"""Reads what torch.save writes (.pth, .pth.tar, .pt, .bin), without torch and without executing anything.

Zip files (torch >= 1.6): `<folder>/data.pkl` describes the object, `<folder>/data/<key>` holds each storage uncompressed;
`byteorder` says "little" or "big". Legacy files: four pickles (magic number, protocol 1001, system information, the object),
a pickled list of storage keys, then per storage its count of elements (int64) and the elements
(torch/serialization.py, torch/_utils.py).
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pybit.formats.pickle_machine import Call, Machine, PersistentId, Symbol
from pybit.formats.raw import Array, RawCheckpoint, bfloat16_to_float32, fail

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_PICKLE = 16 << 20
_BFLOAT16 = "bfloat16"
_STORAGES = {"FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": _BFLOAT16, "LongStorage": "i8",
             "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
             "UntypedStorage": "u1"}
_DTYPES = {"float32": "f4", "float": "f4", "float64": "f8", "double": "f8", "float16": "f2", "half": "f2", "bfloat16": _BFLOAT16,
           "int64": "i8", "long": "i8", "int32": "i4", "int16": "i2", "int8": "i1", "uint8": "u1", "bool": "?"}
_REBUILD = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter", "_rebuild_parameter_with_state"}
# Kept as inert values beside the network: bookkeeping that trainers (bit_pytorch, timm) put into the same file.
_BOOKKEEPING = {("collections", "OrderedDict"), ("collections", "defaultdict"), ("builtins", "dict"), ("argparse", "Namespace"),
                ("torch", "Size"), ("torch", "device"), ("torch.serialization", "_get_layout"), ("_codecs", "encode"),
                ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"), ("numpy", "dtype")}
# Where trainers put the state dict; the first that is there is taken.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "module", "net")


def _allowed(symbol: Symbol) -> bool:
    if (symbol.module, symbol.name) in _BOOKKEEPING:
        return True
    if symbol.module == "torch._utils":
        return symbol.name in _REBUILD
    if symbol.module in ("torch", "torch.cuda", "torch.storage"):
        return symbol.name in _STORAGES or symbol.name in _DTYPES
    return False


@dataclass(frozen=True)
class _Tensor:
    """A view into a storage; offset and strides count elements."""

    key: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(path: str | os.PathLike[str]) -> RawCheckpoint:
    """Reads the tensors of a state dict, which may be wrapped as {"model": ...}, {"state_dict": ...} or a trainer's dict.

    Float32, float16 and float64 stay in the mapped file where the tensor is contiguous; bfloat16 comes as float32. Checksums of
    zip members are verified. Throws FormatError if the file is damaged or asks for anything but tensors, OSError if it cannot
    be read.
    """
    place = os.fspath(path)
    size = os.stat(place).st_size
    data = np.memmap(place, np.uint8, "r") if size else np.zeros(0, np.uint8)
    reader = _read_zip(place, data) if data[:4].tobytes() == b"PK\x03\x04" else _read_legacy(place, data)
    content, storage = reader
    names, where = _state_dict(place, content)
    tensors = []
    for name, call in names.items():
        tensor = _describe(place, name, call)
        if tensor is not None:
            tensors.append((name, _materialise(place, name, tensor, storage)))
    return RawCheckpoint(place, "torch", tensors, {"state_dict": where} if where else {})


_Storage = Callable[[str], Array]  # bytes of the storage with this key


def _read_zip(path: str, data: Array) -> tuple[Any, _Storage]:
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
        fail(path, f"damaged torch file: member '{info.filename}' is compressed or encrypted; torch.save stores plainly")
    local = data[info.header_offset : info.header_offset + 30].tobytes()
    if len(local) != 30 or local[:4] != b"PK\x03\x04":
        fail(path, f"damaged torch file: no member starts at byte {info.header_offset}, where '{info.filename}' should")
    start = info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    if start + info.file_size > data.size:
        fail(path, f"damaged torch file: member '{info.filename}' ends at byte {start + info.file_size} of {data.size}")
    content = data[start : start + info.file_size]
    if zlib.crc32(content) != info.CRC:
        fail(path, f"damaged torch file: the CRC-32 of member '{info.filename}' does not match; download it again")
    return content


def _read_legacy(path: str, data: Array) -> tuple[Any, _Storage]:
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
            fail(path, f"damaged torch file: storage '{key}' of {count} elements ends at byte {end}, the file has {data.size}")
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
            if isinstance(value, tuple) and len(value) >= 3 and isinstance(value[1], Symbol) and isinstance(value[2], str):
                kind = _STORAGES.get(value[1].name, "u1")
                sizes[value[2]] = 2 if kind == _BFLOAT16 else np.dtype(kind).itemsize
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, (list, tuple, set)):
            pending.extend(item)
        elif isinstance(item, Call):
            pending.extend((item.arguments, item.state, item.items, item.elements))
    return sizes


def _mapping(item: Any) -> dict[Any, Any] | None:
    if isinstance(item, dict):
        return item
    if isinstance(item, Call) and str(item.symbol) in ("collections.OrderedDict", "builtins.dict"):
        return item.items
    return None


def _is_tensor(item: Any) -> bool:
    return isinstance(item, Call) and item.symbol.module == "torch._utils"


def _state_dict(path: str, content: Any) -> tuple[dict[str, Call], str]:
    """The tensors by name and the way that led to them ("" if they were on top)."""
    where = ""
    for _ in range(4):
        found = _mapping(content)
        if found is None:
            break
        tensors = {str(name): item for name, item in found.items() if _is_tensor(item)}
        inner = next((key for key in _WRAPPERS if _mapping(found.get(key)) is not None), None)
        if inner is None and tensors:
            return _without_prefix(tensors), where
        if inner is None:
            fail(path, f"no state dict: expected tensors by name, got a dictionary with keys {sorted(map(str, found))[:8]}")
        where, content = f"{where}.{inner}".lstrip("."), found[inner]
    kind = str(content.symbol) if isinstance(content, Call) else type(content).__name__
    fail(path, f"no state dict: expected a dictionary of tensors, got {kind}; save model.state_dict()")


def _without_prefix(tensors: dict[str, Call]) -> dict[str, Call]:
    # torch.compile wraps a module under this name; DataParallel's "module." is known to the library's recogniser.
    prefix = "_orig_mod."
    if all(name.startswith(prefix) for name in tensors):
        return {name[len(prefix) :]: item for name, item in tensors.items()}
    return tensors


def _describe(path: str, name: str, call: Call) -> _Tensor | None:
    """What `torch._utils._rebuild_*` was asked to build."""
    kind, arguments = call.symbol.name, call.arguments
    if kind.startswith("_rebuild_parameter"):
        inner = arguments[0] if arguments else None
        if not isinstance(inner, Call) or not _is_tensor(inner) or inner.symbol.name.startswith("_rebuild_parameter"):
            fail(path, f"damaged torch file: parameter '{name}' holds no tensor")
        return _describe(path, name, inner)
    if len(arguments) < 4 or not isinstance(arguments[0], PersistentId):
        fail(path, f"damaged torch file: tensor '{name}' has no storage")
    reference = arguments[0].value
    if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage" \
            or not isinstance(reference[1], Symbol) or not isinstance(reference[2], str):
        fail(path, f"damaged torch file: tensor '{name}' refers to something else than a storage")
    if len(reference) > 5 and reference[5] is not None:
        fail(path, f"tensor '{name}' lies in a view of a storage, as torch < 0.4 wrote; save it again with a newer torch")
    dtype = _STORAGES.get(reference[1].name)
    if kind == "_rebuild_tensor_v3":
        wanted = arguments[6] if len(arguments) > 6 else None
        dtype = _DTYPES.get(wanted.name) if isinstance(wanted, Symbol) else None
    if dtype is None:
        fail(path, f"tensor '{name}' has type {reference[1]}, which no network here needs")
    offset, shape, strides = arguments[1:4]
    if isinstance(shape, Call) and str(shape.symbol) == "torch.Size" and len(shape.arguments) == 1:
        shape = shape.arguments[0]
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or len(shape) != len(strides) or len(shape) > 8 \
            or not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        fail(path, f"damaged torch file: offset, shape or strides of tensor '{name}' are not whole numbers >= 0 of one length")
    return _Tensor(reference[2], dtype, offset, shape, strides)


def _materialise(path: str, name: str, tensor: _Tensor, storage: _Storage) -> Array:
    content = storage(tensor.key)
    stored = np.dtype("u2" if tensor.dtype == _BFLOAT16 else tensor.dtype).newbyteorder("<")
    count = content.size // stored.itemsize
    empty = 0 in tensor.shape
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if not empty and last >= count:
        fail(path, f"damaged torch file: tensor '{name}' (offset {tensor.offset}, shape {tensor.shape}, strides {tensor.strides}) "
                   f"reaches element {last} of a storage of {count}")
    # Strides may repeat elements, so the shape alone could still ask for more memory than the file justifies.
    elements = 1
    for size in tensor.shape:
        elements *= size
    if elements > count:
        fail(path, f"tensor '{name}' of shape {tensor.shape} repeats the {count} elements of its storage; save it contiguous")
    if empty:
        return np.zeros(tensor.shape, "f4" if tensor.dtype == _BFLOAT16 else stored)
    usable = content[: count * stored.itemsize]
    values = usable.view(stored) if usable.ctypes.data % stored.itemsize == 0 else np.frombuffer(usable.tobytes(), stored)
    strides = [stride * stored.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
    if tensor.dtype == _BFLOAT16:
        return bfloat16_to_float32(view)
    return view if view.flags.c_contiguous else view.copy()
