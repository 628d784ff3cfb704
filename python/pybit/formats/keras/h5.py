# SPDX-License-Identifier: Apache-2.0
"""Reads weights that Keras saved in HDF5 (the release's .h5 files for TensorFlow 2); needs h5py.

Keras lists the layers in the attribute `layer_names` of the root (or of the group `model_weights` in a whole saved
model) and each layer's variables in `weight_names`; attributes above 64 KiB are cut into `layer_names0`,
`layer_names1`, ... (keras/saving/legacy/hdf5_format.py).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pybit.errors import FormatError
from pybit.formats.keras.names import official_tensors
from pybit.formats.raw import Array, RawCheckpoint, fail

_MAX_WEIGHTS = 100_000


def read_h5(path: str | os.PathLike[str]) -> RawCheckpoint:
    """Reads a Keras weight file and names its variables as the release's npz files do.

    Plain uncompressed variables stay in the mapped file. Raises ImportError without h5py, FormatError if the file is
    damaged, refers to other files or is no BiT network, OSError if it cannot be read.
    """
    try:
        import h5py  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise ImportError("reading .h5 files needs h5py: pip install h5py (the extra `formats`)") from error
    place = os.fspath(path)
    size = os.stat(place).st_size
    try:
        file = h5py.File(place, "r")
    except OSError as error:
        with open(place, "rb"):  # tells an unreadable file from a damaged one
            pass
        fail(place, f"damaged HDF5 file, download it again ({error})")
    with file:
        try:
            raw = _variables(h5py, file, place, size)
            metadata = {name: _text(file.attrs[name]) for name in ("backend", "keras_version") if name in file.attrs}
        except FormatError:
            raise
        except (KeyError, RuntimeError, OSError, TypeError, AttributeError, ValueError) as error:
            # h5py reports broken structures by many types; none of them says which file.
            fail(place, f"damaged HDF5 file, download it again ({type(error).__name__}: {error})")
    return RawCheckpoint(place, "h5", official_tensors(place, raw), metadata)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _names(attributes: Any, key: str) -> list[str] | None:
    if key in attributes:
        values = attributes[key]
    elif key + "0" in attributes:
        parts: list[Any] = []
        while f"{key}{len(parts)}" in attributes:
            parts.append(attributes[f"{key}{len(parts)}"])
        values = np.concatenate(parts)
    else:
        return None
    return [_text(value) for value in np.atleast_1d(values)]


def _child(h5py: Any, group: Any, name: str, path: str) -> Any:
    """The member `name`, walked part by part so that no link leads out of the file."""
    for part in name.strip("/").split("/"):
        if not isinstance(group, h5py.Group) or part in ("", ".", ".."):
            fail(path, f"variable '{name}' is listed but not in the file")
        link = group.get(part, getlink=True)
        if link is None:
            fail(path, f"variable '{name}' is listed but not in the file")
        if not isinstance(link, h5py.HardLink):
            fail(path, f"'{name}' is a link to elsewhere; only variables stored in this file are read")
        group = group[part]
    return group


def _variables(h5py: Any, file: Any, path: str, size: int) -> list[tuple[str, Array]]:
    root = file["model_weights"] if "model_weights" in file and "layer_names" not in file.attrs else file
    layers = _names(root.attrs, "layer_names")
    if layers is None:
        fail(path, f"not a Keras weight file: expected the attribute layer_names, found groups {sorted(file)[:8]}")
    budget = max(64 << 20, 64 * size)  # what compressed variables may unpack to
    found: list[tuple[str, Array]] = []
    for layer in layers:
        group = _child(h5py, root, layer, path)
        for name in _names(group.attrs, "weight_names") or []:
            array = _read(h5py, _child(h5py, group, name, path), name, path, size, budget)
            budget -= array.nbytes
            found.append((f"{layer}/{name.removesuffix(':0')}", array))
            if len(found) > _MAX_WEIGHTS:
                fail(path, f"expected the variables of one network, got more than {_MAX_WEIGHTS}")
    return found


def _read(h5py: Any, dataset: Any, name: str, path: str, size: int, budget: int) -> Array:
    if not isinstance(dataset, h5py.Dataset):
        fail(path, f"variable '{name}' is a group, expected a dataset")
    if dataset.external or dataset.is_virtual:
        fail(path, f"variable '{name}' keeps its values in another file; only variables stored in this file are read")
    if dataset.dtype.kind not in "fiub" or dataset.shape is None:
        fail(path, f"variable '{name}' has type {dataset.dtype}, expected numbers")
    if dataset.nbytes > budget:
        fail(
            path,
            f"variable '{name}' of shape {dataset.shape} takes {dataset.nbytes} bytes, more than a file of {size} "
            "can hold",
        )
    offset = dataset.id.get_offset()
    if offset is None or dataset.nbytes == 0:  # chunked or compressed; nothing to map
        return np.asarray(dataset[()])
    if offset + dataset.nbytes > size:
        fail(
            path, f"variable '{name}' ends at byte {offset + dataset.nbytes}, but the file has {size}; it is truncated"
        )
    return np.memmap(path, dataset.dtype, "r", offset, dataset.shape)
