"""Every checkpoint format that BiT weights come in: h5, TFHub and torch files here, npz and safetensors in the C++ library.

`open_any` is the one door: it looks at the content, never at the file's name, and returns the recognised checkpoint that
`pybit.load` builds a network from. `read_tensors` gives the tensors of the first three as the file names them.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from pybit import _core
from pybit.formats.h5 import SIGNATURE, read_h5
from pybit.formats.raw import RawCheckpoint, fail
from pybit.formats.tfhub import find_prefix, read_tfhub
from pybit.formats.torch_pickle import read_torch

__all__ = ["RawCheckpoint", "detect", "open_any", "read_tensors"]

_NETWORK_FILES = ("model.safetensors", "pytorch_model.bin")  # what a folder from the Hugging Face hub holds


def detect(path: str | os.PathLike[str]) -> str:
    """"h5", "tfhub" or "torch" by content; "native" for all that the C++ library reads or explains (npz, safetensors, others).

    Throws OSError if the path cannot be read, FormatError for pickles that are no torch files and for folders without a bundle.
    """
    place = Path(path)
    if place.is_dir():
        if find_prefix(place) is None:
            fail(place, "expected a file, or a TFHub folder with variables/variables.index in it")
        return "tfhub"
    with place.open("rb") as file:
        head = file.read(512)
        # HDF5 allows a user block of 512, 1024, 2048 ... bytes in front.
        offset = 512
        while offset < min(os.fstat(file.fileno()).st_size, 1 << 20) and not head.startswith(SIGNATURE):
            file.seek(offset)
            if file.read(8) == SIGNATURE:
                return "h5"
            offset *= 2
    if head.startswith(SIGNATURE):
        return "h5"
    if head.startswith(b"PK") and _has_pickle(place):
        return "torch"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch"
    if head[257:262] == b"ustar":
        fail(place, "a tar archive; torch files of before 2017 are tars and must be saved again with a newer torch, "
                    "other archives must be unpacked first")
    if find_prefix(place) is not None:
        return "tfhub"
    return "native"


def _has_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name == "data.pkl" or name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError, RuntimeError):
        # A truncated archive has lost its directory; the first member's name still tells npz from torch.
        with path.open("rb") as file:
            return b"/data.pkl" in file.read(512)


def read_tensors(path: str | os.PathLike[str]) -> RawCheckpoint:
    """Tensors of an h5, TFHub or torch checkpoint under the file's own names (h5: the release's names, since Keras has none).

    Throws FormatError for damaged files, for content of another kind and for torch files that ask to execute something;
    OSError if the path cannot be read; ImportError if h5py is needed and missing.
    """
    kind = detect(path)
    if kind == "h5":
        return read_h5(path)
    if kind == "tfhub":
        return read_tfhub(path)
    if kind == "torch":
        return read_torch(path)
    fail(path, "not an h5, TFHub or torch checkpoint; npz and safetensors are read by pybit.formats.open_any")


def open_any(path: str | os.PathLike[str]) -> _core.Checkpoint:
    """Opens a checkpoint of any supported format and recognises its architecture, width, classes and head from the tensors.

    A folder may be a TFHub module or hold one `model.safetensors` or `pytorch_model.bin`. Throws as `read_tensors` does, and
    FormatError if the tensors are not those of a BiT network or contradict the file's name.
    """
    place = Path(path)
    if place.is_dir() and find_prefix(place) is None:
        inside = [place / name for name in _NETWORK_FILES if (place / name).is_file()]
        if inside:
            place = inside[0]
    if detect(place) == "native":
        return _core.open_checkpoint(place)
    raw = read_tensors(place)
    return _core.recognise(raw.tensors, raw.path)
