# SPDX-License-Identifier: Apache-2.0
"""Real handwritten digits (scikit-learn's) as image folders, and CIFAR archives in the official layouts."""

from __future__ import annotations

import functools
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


@functools.cache
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """1,797 real digits (n,8,8), 0..255, and what they show."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn brings the digits")
    loaded = datasets.load_digits()
    return (loaded.images * 15.9375).astype(np.uint8), loaded.target.astype(np.int64)


def digit_folder(root: Path, each: int, suffix: str = ".png", side: int = 24, first: int = 0) -> Path:
    """Digits first..first+each-1 of each class as image files, one folder per class."""
    image_module = pytest.importorskip("PIL.Image")
    images, labels = digits()
    for c in range(10):
        (root / str(c)).mkdir(parents=True)
        for i in np.flatnonzero(labels == c)[first : first + each]:
            image = image_module.fromarray(images[i]).resize((side, side)).convert("RGB")
            image.save(root / str(c) / f"{i}{suffix}")
    return root


def cifar_records(n: int, classes: int, seed: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Noise as rows of 3 x 32 x 32 planes, and labels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 3072), dtype=np.uint8), rng.integers(0, classes, n).tolist()


def python2_pickle(entries: dict[bytes, Any]) -> bytes:
    """A pickle as Python 2's cPickle wrote the official files: protocol 2, byte strings for all text."""
    out = io.BytesIO()
    memo = iter(range(1 << 20))

    def keep() -> None:
        index = next(memo)
        out.write(b"q" + bytes([index]) if index < 256 else b"r" + struct.pack("<I", index))

    def put(value: Any) -> None:
        if isinstance(value, bytes):
            short = len(value) < 256
            out.write((b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<I", len(value))) + value)
            keep()
        elif isinstance(value, int):
            out.write(b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value))
        elif isinstance(value, list):
            out.write(b"]")
            keep()
            out.write(b"(")
            for item in value:
                put(item)
            out.write(b"e")
        else:
            put_array(value)

    def put_array(array: NDArray[np.uint8]) -> None:
        out.write(b"cnumpy.core.multiarray\n_reconstruct\n")
        keep()
        out.write(b"cnumpy\nndarray\n")
        keep()
        out.write(b"K\0\x85U\1b\x87R(K\1")
        put(array.shape[0])
        put(array.shape[1])
        out.write(b"\x86cnumpy\ndtype\nU\2u1K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89")
        put(array.tobytes())
        out.write(b"tb")

    out.write(b"\x80\2}")
    keep()
    out.write(b"(")
    for key, value in entries.items():
        put(key)
        put(value)
    out.write(b"u.")
    return out.getvalue()


def cifar10_python(seed: int = 0, writer: Any = python2_pickle) -> dict[str, bytes]:
    """The files of cifar-10-batches-py with few images; `writer` pickles a dict with bytes as keys."""
    files = {}
    for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        pixels, labels = cifar_records(3 + i, 10, seed + i)
        files[name] = writer({b"batch_label": b"some", b"labels": labels, b"data": pixels, b"filenames": [b"a.png"]})
    names = b"airplane automobile bird cat deer dog frog horse ship truck".split()
    files["batches.meta"] = writer({b"num_cases_per_batch": 3, b"label_names": names, b"num_vis": 3072})
    return files


def cifar100_python(seed: int = 0) -> dict[str, bytes]:
    """The files of cifar-100-python with few images."""
    files = {}
    for i, name in enumerate(["train", "test"]):
        pixels, fine = cifar_records(6 + i, 100, seed + i)
        coarse = [label % 20 for label in fine]
        files[name] = python2_pickle({b"fine_labels": fine, b"coarse_labels": coarse, b"data": pixels})
    files["meta"] = python2_pickle(
        {
            b"fine_label_names": [b"fine%d" % c for c in range(100)],
            b"coarse_label_names": [b"coarse%d" % c for c in range(20)],
        }
    )
    return files


def cifar10_binary(seed: int = 0) -> dict[str, bytes]:
    """The files of cifar-10-batches-bin with the images of cifar10_python()."""
    files = {}
    for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        pixels, labels = cifar_records(3 + i, 10, seed + i)
        files[f"{name}.bin"] = b"".join(
            bytes([label]) + row.tobytes() for label, row in zip(labels, pixels, strict=True)
        )
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files["batches.meta.txt"] = "".join(f"{name}\n" for name in names).encode()
    return files


def python3_pickle(entries: dict[bytes, Any]) -> bytes:
    """As a script under Python 3 that loaded them with encoding="latin1" writes the same again."""

    def text(value: Any) -> Any:
        if isinstance(value, list):
            return [text(v) for v in value]
        return value.decode() if isinstance(value, bytes) else value

    return pickle.dumps({text(key): text(value) for key, value in entries.items()}, protocol=2)


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    """The files in a folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> Path:
    """The files in a folder in a gzipped tar archive."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
