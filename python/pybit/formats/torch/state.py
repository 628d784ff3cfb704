# SPDX-License-Identifier: Apache-2.0
"""Reads what torch.save writes (.pth, .pth.tar, .pt, .bin), without torch and without executing anything.

torch_container.py reads the two containers; here is what the object means (torch/_utils.py): the state dict in it,
and the view of a storage that each tensor is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from pybit.formats.pickle_machine import Call, PersistentId, Symbol
from pybit.formats.raw import Array, RawCheckpoint, bfloat16_to_float32, fail
from pybit.formats.torch.container import BFLOAT16, DTYPES, STORAGES, Storage, read_legacy, read_zip

# Where trainers put the state dict; the first that is there is taken.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "module", "net")


@dataclass(frozen=True)
class _Tensor:
    """A view into a storage; offset and strides count elements."""

    key: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(path: str | os.PathLike[str]) -> RawCheckpoint:
    """Reads the tensors of a state dict, which may be wrapped as {"model": ...}, {"state_dict": ...} or a trainer's
    dict.

    Float32, float16 and float64 stay in the mapped file where the tensor is contiguous; bfloat16 comes as float32.
    Checksums of zip members are verified. Raises FormatError if the file is damaged or asks for anything but
    tensors, OSError if it cannot be read.
    """
    place = os.fspath(path)
    size = os.stat(place).st_size
    data = np.memmap(place, np.uint8, "r") if size else np.zeros(0, np.uint8)
    reader = read_zip(place, data) if data[:4].tobytes() == b"PK\x03\x04" else read_legacy(place, data)
    content, storage = reader
    names, where = _state_dict(place, content)
    tensors = []
    for name, call in names.items():
        tensor = _describe(place, name, call)
        if tensor is not None:
            tensors.append((name, _materialise(place, name, tensor, storage)))
    return RawCheckpoint(place, "torch", tensors, {"state_dict": where} if where else {})


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
            fail(
                path,
                f"no state dict: expected tensors by name, got a dictionary with keys {sorted(map(str, found))[:8]}",
            )
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
    if (
        not isinstance(reference, tuple)
        or len(reference) < 5
        or reference[0] != "storage"
        or not isinstance(reference[1], Symbol)
        or not isinstance(reference[2], str)
    ):
        fail(path, f"damaged torch file: tensor '{name}' refers to something else than a storage")
    if len(reference) > 5 and reference[5] is not None:
        fail(
            path, f"tensor '{name}' lies in a view of a storage, as torch < 0.4 wrote; save it again with a newer torch"
        )
    dtype = STORAGES.get(reference[1].name)
    if kind == "_rebuild_tensor_v3":
        wanted = arguments[6] if len(arguments) > 6 else None
        dtype = DTYPES.get(wanted.name) if isinstance(wanted, Symbol) else None
    if dtype is None:
        fail(path, f"tensor '{name}' has type {reference[1]}, which no network here needs")
    offset, shape, strides = arguments[1:4]
    if isinstance(shape, Call) and str(shape.symbol) == "torch.Size" and len(shape.arguments) == 1:
        shape = shape.arguments[0]
    if (
        not isinstance(shape, tuple)
        or not isinstance(strides, tuple)
        or len(shape) != len(strides)
        or len(shape) > 8
        or not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides))
    ):
        fail(
            path,
            f"damaged torch file: offset, shape or strides of tensor '{name}' are not whole numbers >= 0 of one length",
        )
    return _Tensor(reference[2], dtype, offset, shape, strides)


def _materialise(path: str, name: str, tensor: _Tensor, storage: Storage) -> Array:
    content = storage(tensor.key)
    stored = np.dtype("u2" if tensor.dtype == BFLOAT16 else tensor.dtype).newbyteorder("<")
    count = content.size // stored.itemsize
    empty = 0 in tensor.shape
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if not empty and last >= count:
        fail(
            path,
            f"damaged torch file: tensor '{name}' (offset {tensor.offset}, shape {tensor.shape}, strides "
            f"{tensor.strides}) reaches element {last} of a storage of {count}",
        )
    # Strides may repeat elements, so the shape alone could still ask for more memory than the file justifies.
    elements = 1
    for size in tensor.shape:
        elements *= size
    if elements > count:
        fail(
            path,
            f"tensor '{name}' of shape {tensor.shape} repeats the {count} elements of its storage; save it contiguous",
        )
    if empty:
        return np.zeros(tensor.shape, "f4" if tensor.dtype == BFLOAT16 else stored)
    usable = content[: count * stored.itemsize]
    values = (
        usable.view(stored) if usable.ctypes.data % stored.itemsize == 0 else np.frombuffer(usable.tobytes(), stored)
    )
    strides = [stride * stored.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
    if tensor.dtype == BFLOAT16:
        return bfloat16_to_float32(view)
    return view if view.flags.c_contiguous else view.copy()
