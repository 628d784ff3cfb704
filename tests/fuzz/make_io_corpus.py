# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_npy, fuzz_npz and fuzz_safetensors: python make_io_corpus.py (needs NumPy and pybit)."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from pybit import _core

CORPUS = Path(__file__).parent / "corpus"
RAMP = np.arange(6, dtype=np.float32).reshape(2, 3)


def save(name: str, data: bytes) -> None:
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=version)
    return out.getvalue()


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def make_npy() -> None:
    for major in (1, 2, 3):
        save(f"npy/version{major}", npy(RAMP, (major, 0)))
    save("npy/fortran", npy(np.asfortranarray(RAMP)))
    save("npy/big_endian", npy(RAMP.astype(">f8")))
    save("npy/scalar", npy(np.float16(1)))
    save("npy/bfloat16", npy(RAMP.astype(np.uint16).view("V2")))
    save("npy/record", npy(np.zeros(2, [("a", "<f4"), ("b", "<i8")])))


def make_npz() -> None:
    save("npz/stored", npz(a=RAMP, b=RAMP[0]))
    save("npz/deflated", npz(True, a=RAMP, b=np.zeros(3000, np.float32)))
    save("npz/parameters", npz(**{"resnet/group_norm/gamma": RAMP[0], "resnet/group_norm/beta": RAMP[1]}))
    limit = zipfile.ZIP64_LIMIT
    try:
        zipfile.ZIP64_LIMIT = 10
        save("npz/zip64", npz(a=RAMP, b=RAMP[0]))
    finally:
        zipfile.ZIP64_LIMIT = limit
    save("npz/empty", npz())


def make_safetensors() -> None:
    config = _core.Config(units=(1, 1, 1, 1), stem_channels=1, in_channels=1, num_classes=2, groups=1)
    rng = np.random.default_rng(0)
    tensors = [(name, rng.standard_normal(shape, dtype=np.float32)) for name, shape in config.tensor_specs()]
    for names in ("official", "timm"):
        path = CORPUS / "safetensors" / names
        path.parent.mkdir(parents=True, exist_ok=True)
        _core.write_safetensors(path, tensors, names, _core.config_metadata(config))  # type: ignore[arg-type]
    header = b'{"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},'
    header += b'"\\u0062":{"dtype":"F8_E5M2","shape":[0],"data_offsets":[4,4]}} '
    save("safetensors/plain", len(header).to_bytes(8, "little") + header + b"abcd")
    save("safetensors/none", (2).to_bytes(8, "little") + b"{}")


if __name__ == "__main__":
    make_npy()
    make_npz()
    make_safetensors()
