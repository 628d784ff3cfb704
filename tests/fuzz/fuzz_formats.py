# SPDX-License-Identifier: Apache-2.0
"""Fuzzes the Python readers of foreign checkpoints: TensorFlow's bundle, Snappy, torch's files, h5.

    PYTHONPATH=python:tests/python python tests/fuzz/fuzz_formats.py --seconds 600 [--target entry] [--out FOLDER]

Each case is a valid file with a few bytes changed, repeated, cut or replaced by hostile numbers; checksums are made
right again by most targets, so that the changes reach what lies behind them. Allowed outcomes: FormatError,
FileNotFoundError for a shard that the index invents, or the tensors. Anything else, two seconds for a case, or memory
beyond 64 MiB plus 400 times the input is a finding: it is saved and the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import format_writers as w
import numpy as np
from pybit import formats
from pybit.errors import FormatError
from pybit.formats import pickle_machine
from pybit.formats.keras import h5, table, tfhub
from pybit.formats.keras.crc32c import crc32c
from pybit.formats.torch import state as torch_pickle

_HOSTILE = [
    b"\xff",
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\xff\xff\xff\xff\x0f",
    b"\xff" * 9 + b"\x01",
    b"\x00" * 8,
]
_SECONDS_PER_CASE = 2.0
_FLOOR = 64 << 20
_MEMORY_PER_BYTE = 400  # an empty list takes 56 bytes and one byte of pickle; a table's entry about 300 and three bytes

_TENSORS: w.Tensors = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/bias": np.ones(3, np.float64),
    "n": np.array(7),
}


def mutate(rng: random.Random, data: bytes) -> bytes:
    """`data` after one to six random edits."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            hostile = rng.choice(_HOSTILE)
            out[at : at + len(hostile)] = hostile
        elif kind == 2:
            del out[at : at + rng.randint(1, 16)]
        elif kind == 3:
            out[at:at] = out[at : at + rng.randint(1, 64)] * rng.randint(1, 3)
        elif kind == 4:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
        elif at < len(out):
            out[at] = rng.randrange(256)
    return bytes(out)


def _seed_bundle(snappy: bool = False) -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        place = w.write_bundle(Path(folder) / "m", _TENSORS, snappy=snappy, graph={"a/bias": "b"}) / "variables"
        return (place / "variables.index").read_bytes(), (place / "variables.data-00000-of-00001").read_bytes()


def _read_bundle(index: bytes, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "variables.index").write_bytes(index)
        (Path(folder) / "variables.data-00000-of-00001").write_bytes(data)
        for verify in (True, False):
            for _, array in tfhub.read_bundle(folder, verify).tensors:
                array.sum()


def _seed_h5() -> tuple[bytes, list[int]]:
    """A small Keras file and the positions in it that hold no values of variables."""
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        # Four values of each variable keep the file small: the reader is fuzzed, not the recogniser.
        network = {name: array.reshape(-1)[:4] for name, array in w.tiny_network().items()}
        w.write_h5(path, w.keras_variables(network))
        values: set[int] = set()

        def note(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                values.update(range(item.id.get_offset(), item.id.get_offset() + item.nbytes))

        with h5py.File(path) as file:
            file.visititems(note)
        data = path.read_bytes()
        return data, [at for at in range(len(data)) if at not in values]


class Targets:
    """One method per target: makes a case from a random generator, returns its bytes and what reads it."""

    def __init__(self) -> None:
        self.index, self.data = _seed_bundle()
        self.entries = table.read_table(self.index, "seed")
        state = {"step": 3, "model": w.torch_state(_TENSORS), "optim": {"lr": 0.1}}
        with tempfile.TemporaryDirectory() as folder:
            w.write_torch_zip(Path(folder) / "a", state)
            w.write_torch_legacy(Path(folder) / "b", state)
            self.zip, self.legacy = (Path(folder) / "a").read_bytes(), (Path(folder) / "b").read_bytes()
        self.pickle = w.dump(state)
        self.h5, self.h5_structure = _seed_h5()

    def index_bytes(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """The index file as it is, checksums mostly wrong."""
        return mutate(rng, self.index), lambda case: _read_bundle(case, self.data)

    def entry(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """Protocol buffers behind right checksums."""
        entries = dict(self.entries)
        key = rng.choice(list(entries))
        entries[key] = mutate(rng, entries[key])
        return w.write_table(sorted(entries.items()), rng.randint(1, 4)), lambda case: _read_bundle(case, self.data)

    def block(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """A data block behind a right checksum, plain or as Snappy."""
        content = mutate(rng, w.table_block(sorted(self.entries.items()), rng.randint(1, 4)))
        kind = b"\0"
        if rng.random() < 0.3:
            content, kind = mutate(rng, w.snappy_compress(content)), b"\x01"

        def sealed(block: bytes, kind: bytes = b"\0") -> bytes:
            return block + kind + w.masked(crc32c(block + kind))

        index = w.table_block([(b"zz", w.varint(0) + w.varint(len(content)))], 1)
        meta = w.table_block([])
        body = sealed(content, kind) + sealed(meta)
        footer = w.varint(len(content) + 5) + w.varint(len(meta)) + w.varint(len(body)) + w.varint(len(index))
        return body + sealed(index) + footer.ljust(40, b"\0") + table.MAGIC, lambda case: _read_bundle(case, self.data)

    def snappy(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """Raw Snappy."""
        return mutate(rng, w.snappy_compress(self.index * 3)), lambda case: table.snappy(case, "case")

    def pickled(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """A torch zip whose pickle was changed and whose checksum is right."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as target, zipfile.ZipFile(io.BytesIO(self.zip)) as source:
            for name in source.namelist():
                target.writestr(name, mutate(rng, self.pickle) if name.endswith(".pkl") else source.read(name))
        return out.getvalue(), _read_file

    def zip_bytes(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """The zip file as it is."""
        return mutate(rng, self.zip), _read_file

    def legacy_bytes(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """The legacy file, which has no checksums."""
        return mutate(rng, self.legacy), _read_file

    def machine(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """Random instructions."""
        codes = b"().0NKMJXU]}aeus\x85\x86\x87qrhjcQR\x81b\x88\x89\x8a\x8f\x90\x93\x94\x95\x80tGB"
        case = (
            bytes(rng.choice(codes) if rng.random() < 0.8 else rng.randrange(256) for _ in range(rng.randint(1, 200)))
            + b"."
        )
        return case, lambda data: pickle_machine.Machine(data, "case", lambda symbol: True).run()

    def h5_bytes(self, rng: random.Random) -> tuple[bytes, Callable[[bytes], object]]:
        """The structure of a Keras file (its values are left alone: HDF5 keeps no checksums of them)."""
        out = bytearray(self.h5)
        for _ in range(rng.randint(1, 4)):
            out[rng.choice(self.h5_structure)] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        return bytes(out), _read_h5


NAMES = ("index_bytes", "entry", "block", "snappy", "pickled", "zip_bytes", "legacy_bytes", "machine", "h5_bytes")


def _read_file(case: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        file.write(case)
        file.flush()
        if formats.detect(file.name) == "torch":
            for _, array in torch_pickle.read_torch(file.name).tensors:
                array.sum()


def _read_h5(case: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".h5") as file:
        file.write(case)
        file.flush()
        if formats.detect(file.name) == "h5":
            h5.read_h5(file.name)


def check(case: bytes, read: Callable[[bytes], object], measure: bool = False) -> str | None:
    """What went wrong with one case, or None."""
    start = time.process_time()
    if measure:
        tracemalloc.start()
    try:
        with np.errstate(all="ignore"):
            read(case)
    except (FormatError, FileNotFoundError):  # an index may name shards that are not there
        pass
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        peak = tracemalloc.get_traced_memory()[1] if measure else 0
        if measure:
            tracemalloc.stop()
    if peak > _FLOOR + _MEMORY_PER_BYTE * len(case):
        return f"took {peak} bytes for {len(case)}"
    seconds = time.process_time() - start
    return f"took {seconds:.1f} s" if seconds > _SECONDS_PER_CASE * (20 if measure else 1) else None


def main() -> int:
    """Runs until the time is up; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--target", choices=NAMES, action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz/found/formats"))
    args = parser.parse_args()
    targets, rng = Targets(), random.Random(args.seed)
    names = args.target or list(NAMES)
    deadline, count, found = time.monotonic() + args.seconds, 0, 0
    while time.monotonic() < deadline:
        name = names[count % len(names)]
        case, read = getattr(targets, name)(rng)
        problem = check(case, read, measure=count % 16 < len(names))
        count += 1
        if problem is not None:
            found += 1
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / f"{name}-{count}").write_bytes(case)
            print(f"{name} {count}: {problem}", file=sys.stderr)
    print(f"{count} cases, {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
