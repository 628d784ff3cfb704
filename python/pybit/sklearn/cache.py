# SPDX-License-Identifier: Apache-2.0
"""Features on disk by the content of images: one small file per image, which processes may share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.base.version import __version__
from pybit.data.inputs import Inputs, is_path
from pybit.data.options import PreprocessSpec
from pybit.data.sources import Source, prepare
from pybit.model.model import Model

_CHECKSUM = 4  # bytes of the CRC-32 behind the values


class FeatureCache:
    """Rows of features of one model under one preprocessing, found by the SHA-256 of encoded images or of pixels.

    A row is a file `folder/<model>/<two digits>/<image>` of float32 values and their CRC-32: it is complete or not
    there, and one that is damaged counts as missing. Threads and processes may use one folder at the same time.
    """

    def __init__(self, folder: str | os.PathLike[str], model: Model, digest: str, spec: PreprocessSpec) -> None:
        # Instruction sets and versions differ in the last digits, so they do not share rows.
        about = [1, __version__, _core.build_info()["isa"], digest, model.dtype, model.algorithm]
        key = json.dumps([*about, dataclasses.asdict(spec)], sort_keys=True)
        self._folder = Path(folder).expanduser() / hashlib.sha256(key.encode()).hexdigest()[:32]
        self._columns = model.num_features
        self._warned = False

    def read(self, image: str) -> NDArray[np.float32] | None:
        """The row of the image of that SHA-256; None where there is none."""
        try:
            data = self._path(image).read_bytes()
        except OSError:
            return None
        values, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
        if len(values) != 4 * self._columns or zlib.crc32(values) != int.from_bytes(checksum, "little"):
            return None
        return np.frombuffer(values, "<f4")

    def write(self, image: str, row: NDArray[np.float32]) -> None:
        """Keep a row; where the folder cannot be written, a UserWarning says so once and nothing is kept."""
        values = np.ascontiguousarray(row, "<f4").tobytes()
        path = self._path(image)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(values + zlib.crc32(values).to_bytes(_CHECKSUM, "little"))
            os.replace(temporary, path)
        except OSError as error:
            if not self._warned:
                warnings.warn(f"features are not kept: {error}", UserWarning, stacklevel=2)
            self._warned = True

    def _path(self, image: str) -> Path:
        return self._folder / image[:2] / image[2:]


class Missing:
    """The images of a call whose features a cache does not hold; the others' rows go into `table`."""

    def __init__(self, inputs: Inputs, cache: FeatureCache, table: NDArray[np.float32]) -> None:
        self._inputs, self._cache, self._table = inputs, cache, table
        self.rows: list[tuple[int, str]] = []
        """The position among all images, and the SHA-256, of each image that was handed out."""

    def __iter__(self) -> Iterator[Source]:
        for row, source in enumerate(self._inputs):
            ready = prepare(source)
            if is_path(ready.value):  # read once, so that the features are those of the bytes that were hashed
                ready = Source(ready.name, Path(ready.value).read_bytes())
            digest = _digest(ready)
            found = self._cache.read(digest)
            if found is None:
                self.rows.append((row, digest))
                yield ready
            else:
                self._table[row] = found


def _digest(source: Source) -> str:
    value = source.value
    if isinstance(value, np.ndarray):
        found = hashlib.sha256(f"{value.dtype} {value.shape} ".encode())
        found.update(np.ascontiguousarray(value).data)
        return found.hexdigest()
    return hashlib.sha256(b"encoded " + bytes(value)).hexdigest()
