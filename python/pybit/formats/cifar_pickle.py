# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 and CIFAR-100 in their Python layout (pickles of arrays), read without executing pickles.

`cifar-10-python.tar.gz` holds cifar-10-batches-py/ with data_batch_1 .. 5, test_batch and batches.meta;
`cifar-100-python.tar.gz` holds cifar-100-python/ with train, test and meta. Archives are read in place.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pybit.formats.pickle_machine import Call, Machine, Symbol
from pybit.formats.raw import fail

_TEN = [f"data_batch_{i}" for i in range(1, 6)]
_FOLDERS = ("cifar-10-batches-py", "cifar-100-python")
_ARCHIVES = ("cifar-10-python.tar.gz", "cifar-100-python.tar.gz")
# What NumPy's arrays and Python 3's bytes are made with in pickles.
_ALLOWED = {
    Symbol("numpy.core.multiarray", "_reconstruct"),
    Symbol("numpy._core.multiarray", "_reconstruct"),
    Symbol("numpy", "ndarray"),
    Symbol("numpy", "dtype"),
    Symbol("_codecs", "encode"),
}
_LARGEST = 1 << 30  # bytes of a member; CIFAR's largest has 155 MB


class CifarPart(NamedTuple):
    """Images (n,32,32,3), labels (n,) and class names of the training or the test set."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: list[str]


def find(path: Path) -> Path | None:
    """The archive or folder in the Python layout at `path` or directly in it; None if there is none."""
    if path.is_file():
        return path if path.name.startswith("cifar-") and "python" in path.name else None
    for folder in (path, *(path / name for name in _FOLDERS)):
        if (folder / _TEN[0]).is_file() or ((folder / "train").is_file() and (folder / "meta").is_file()):
            return folder
    return next((path / name for name in _ARCHIVES if (path / name).is_file()), None)


def read(path: Path, coarse: bool = False) -> tuple[CifarPart, CifarPart]:
    """Training and test set of an archive or folder that find() found.

    Raises:
        FormatError: a file is missing, truncated or damaged, holds other things than arrays and lists, or a label is
            out of range.
        OSError: a file cannot be read.
    """
    files = _members(path) if path.is_file() else _files(path)
    ten = _TEN[0] in files or "test_batch" in files
    wanted = [*_TEN, "test_batch", "batches.meta"] if ten else ["train", "test", "meta"]
    for name in wanted:
        if name not in files:
            fail(path, f"expected the file {name}, it is missing; fetch the archive again")
    kind = "label_names" if ten else "coarse_label_names" if coarse else "fine_label_names"
    classes = [_text(path, name) for name in _entry(path, "the class names", _unpickle(path, files[wanted[-1]]), kind)]
    labels = "labels" if ten else "coarse_labels" if coarse else "fine_labels"
    batches = {name: _batch(path, name, files[name], labels, len(classes)) for name in wanted[:-1]}
    train = [batches[name] for name in (_TEN if ten else ["train"])]
    test = batches["test_batch" if ten else "test"]
    return (
        CifarPart(np.concatenate([b[0] for b in train]), np.concatenate([b[1] for b in train]), classes),
        CifarPart(*test, classes),
    )


def _is_wanted(name: str) -> bool:
    return name in _TEN or name in ("test_batch", "batches.meta", "train", "test", "meta")


def _files(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file() and _is_wanted(f.name)}


def _members(path: Path) -> dict[str, bytes]:
    """The wanted files of an archive; names are compared, never used as paths."""
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if not member.isfile() or not _is_wanted(name):
                    continue
                if member.size > _LARGEST:
                    fail(path, f"expected members of at most 1 GiB, got {member.size} bytes for {name}")
                content = archive.extractfile(member)
                assert content is not None
                found[name] = content.read()
                if len(found[name]) < member.size:
                    fail(path, f"the archive ends within {name}; fetch it again")
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass  # gzip's check of all content stands behind the padding
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        fail(path, f"damaged or truncated archive ({error}); fetch it again")
    return found


def _unpickle(path: Path, data: bytes) -> dict[Any, Any]:
    allowed: Callable[[Symbol], bool] = _ALLOWED.__contains__
    content = Machine(data, path, allowed).run()
    if not isinstance(content, dict):
        fail(path, f"expected a pickled dictionary, got {type(content).__name__}")
    return {_text(path, key): value for key, value in content.items()}


def _text(path: Path, value: Any) -> str:
    """Text that Python 2 (bytes), Python 3 (str) or Python 3 under protocol 2 (an encoded str) wrote."""
    if isinstance(value, Call) and value.symbol.module == "_codecs":
        value = value.arguments[0]
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        fail(path, f"expected text, got {type(value).__name__}")
    return value


def _entry(path: Path, where: str, content: dict[Any, Any], key: str) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list) or not value:
        fail(path, f"expected a list '{key}' in {where}, got {type(value).__name__}")
    return value


def _batch(path: Path, name: str, data: bytes, key: str, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    content = _unpickle(path, data)
    numbers = _entry(path, name, content, key)
    for i, label in enumerate(numbers):
        if type(label) is not int or not 0 <= label < classes:
            fail(path, f"expected labels below {classes} in {name}, got {label!r} at position {i}")
    pixels = _array(path, name, content.get("data"))
    if pixels.shape != (len(numbers), 3072):
        fail(path, f"expected data of shape ({len(numbers)}, 3072) in {name}, as its labels say, got {pixels.shape}")
    planes = pixels.reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.array(numbers, np.int64)


def _array(path: Path, name: str, call: Any) -> NDArray[np.uint8]:
    """The array of bytes that a pickled numpy.ndarray describes: state (version, shape, dtype, fortran, bytes)."""
    if not isinstance(call, Call) or call.symbol.name != "_reconstruct":
        fail(path, f"expected an array 'data' in {name}, got {type(call).__name__}")
    state = call.state
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[1], tuple):
        fail(path, f"damaged array 'data' in {name}")
    _, shape, dtype, fortran, raw = state
    if isinstance(raw, Call):
        raw = _text(path, raw).encode("latin-1")
    named = dtype.arguments[:1] if isinstance(dtype, Call) else ()
    if (
        named not in (("u1",), (b"u1",))
        or not isinstance(raw, bytes)
        or not all(type(n) is int and n >= 0 for n in shape)
    ):
        fail(path, f"expected an array of bytes 'data' in {name}, got another kind")
    if len(shape) != 2 or shape[0] * shape[1] != len(raw):
        fail(path, f"expected an array (images, 3072) 'data' in {name}, got shape {shape} and {len(raw)} bytes")
    pixels: NDArray[np.uint8] = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
    return pixels
