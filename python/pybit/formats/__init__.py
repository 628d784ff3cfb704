# SPDX-License-Identifier: Apache-2.0
"""Every checkpoint format that BiT weights come in: h5, TFHub, torch here; npz, safetensors in the C++ library.

`open_any` is the one door: it looks at the content, never at the file's name, and returns the recognised checkpoint
that `pybit.load` builds a network from. `read_tensors` gives the tensors of the first three before they are recognised.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np

from pybit import _core
from pybit.formats.keras.bundle import find_prefix
from pybit.formats.raw import HDF5_SIGNATURE, RawCheckpoint, fail

__all__ = ["RawCheckpoint", "byte_count", "detect", "is_bundle", "open_any", "read_tensors"]

_NETWORK_FILES = ("model.safetensors", "pytorch_model.bin")  # what a folder from the Hugging Face hub holds


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Whether this is a TFHub or SavedModel folder, or a file of its variables."""
    return find_prefix(Path(path)) is not None


def detect(path: str | os.PathLike[str]) -> str:
    """The format by content: "h5", "tfhub", "torch", or "native" for what the C++ library reads or explains.

    Raises OSError if the path cannot be read, FormatError for pickles that are no torch files and for folders
    without a bundle.
    """
    place = Path(path)
    if place.is_dir():
        if find_prefix(place) is None:
            fail(place, "expected a file, or a TFHub folder with variables/variables.index in it")
        return "tfhub"
    if find_prefix(place) is not None:  # first, since a bundle's data file may begin with any bytes
        return "tfhub"
    with place.open("rb") as file:
        head = file.read(512)
        # HDF5 allows a user block of 512, 1024, 2048 ... bytes in front.
        offset = 512
        while offset < min(os.fstat(file.fileno()).st_size, 1 << 20) and not head.startswith(HDF5_SIGNATURE):
            file.seek(offset)
            if file.read(8) == HDF5_SIGNATURE:
                return "h5"
            offset *= 2
    if head.startswith(HDF5_SIGNATURE):
        return "h5"
    # NumPy's archives begin with an array; reading the directory of any other costs 10 ms.
    if head.startswith(b"PK") and not _first_member(head).endswith(b".npy") and _has_pickle(place):
        return "torch"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch"
    if head[257:262] == b"ustar":
        fail(
            place,
            "a tar archive; torch files of before 2017 are tars and must be saved again with a newer torch, "
            "other archives must be unpacked first",
        )
    return "native"


def byte_count(path: str | os.PathLike[str]) -> int:
    """Size of a file, or of all files below a folder."""
    place = Path(path)
    files = [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files)


def _first_member(head: bytes) -> bytes:
    """Name of a zip file's first member."""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")]


def _has_pickle(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return any(name == "data.pkl" or name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError, RuntimeError):
        # A truncated archive has lost its directory; the first member's name still tells npz from torch.
        with path.open("rb") as file:
            return b"/data.pkl" in file.read(512)


def read_tensors(path: str | os.PathLike[str]) -> RawCheckpoint:
    """Tensors of an h5, TFHub or torch checkpoint: the first two under the release's names, torch's under its own.

    Raises FormatError for damaged files, for content of another kind and for torch files that ask to execute something;
    OSError if the path cannot be read; ImportError if h5py is needed and missing.
    """
    kind = detect(path)
    if kind == "h5":
        from pybit.formats.keras.h5 import read_h5

        return read_h5(path)
    if kind == "tfhub":
        from pybit.formats.keras.tfhub import read_tfhub

        return read_tfhub(path)
    if kind == "torch":
        from pybit.formats.torch.state import read_torch

        return read_torch(path)
    fail(path, "not an h5, TFHub or torch checkpoint; npz and safetensors are read by pybit.formats.open_any")


def open_any(
    path: str | os.PathLike[str],
    *,
    mode: Literal["map", "copy"] = "map",
    allow_extra_tensors: bool = False,
    allow_name_mismatch: bool = False,
    check_values: bool = False,
) -> _core.Checkpoint:
    """Opens a checkpoint of any supported format and recognises architecture, width, classes and head from its tensors.

    A folder may be a TFHub module or hold one `model.safetensors` or `pytorch_model.bin`. With mode "map" values are
    read from the mapped file when they are used, so the file must not shrink meanwhile; "copy" maps nothing: h5, TFHub
    and torch files are read into memory at once, npz and safetensors when their values are used. `allow_extra_tensors`
    and `allow_name_mismatch` turn an error into an entry of the checkpoint's `problems`: tensors that are no BiT
    parameter, a file name that contradicts the content. `check_values` reads everything and refuses NaN and infinite
    values. Raises as `read_tensors` does, and FormatError if the tensors are not those of one BiT network.
    """
    place = Path(path)
    if place.is_dir() and find_prefix(place) is None:
        inside = [place / name for name in _NETWORK_FILES if (place / name).is_file()]
        if inside:
            place = inside[0]
    if detect(place) == "native":
        return _core.open_checkpoint(
            place,
            mode=mode,
            allow_extra_tensors=allow_extra_tensors,
            allow_name_mismatch=allow_name_mismatch,
            check_values=check_values,
        )
    raw = read_tensors(place)
    tensors = [(name, np.array(array)) for name, array in raw.tensors] if mode == "copy" else raw.tensors
    return _core.recognise(
        tensors,
        raw.path,
        format=raw.format,
        file_size=byte_count(place),
        allow_extra_tensors=allow_extra_tensors,
        allow_name_mismatch=allow_name_mismatch,
        check_values=check_values,
    )
