#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Record what the library computes as hashes, and compare two records: shows that a change altered no bit.

    PYTHONPATH=<old tree>/python python tools/hash_results.py --out old.json
    PYTHONPATH=<new tree>/python python tools/hash_results.py --out new.json
    python tools/hash_results.py --compare old.json new.json

A record maps names to SHA-256 sums (their first 32 digits) of raw bytes: forward passes, gradients, training traces,
checkpoint files, preprocessing. All that depends on the instruction set is recorded for each that the CPU has, in a
process with BIT_ISA set, and for 1, 2 and 3 threads, so names begin with for instance "avx2/threads 3/". It uses the
package's public interface alone. The synthetic weights come from tests/golden/make_checkpoint.py of the tree that
pybit is imported from, or of the one this script lies in. --only avx2,data records or compares just these parts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from hash_parts import BY_ISA, FIXED, golden_values


class Record:
    """Hashes by name; names may not repeat."""

    def __init__(self) -> None:
        self.hashes: dict[str, str] = {}

    def add(self, name: str, content: bytes) -> None:
        assert name not in self.hashes, name
        self.hashes[name] = hashlib.sha256(content).hexdigest()[:32]

    def array(self, name: str, value: Any) -> None:
        """Dtype and shape count as well as values."""
        a = np.ascontiguousarray(value)
        self.add(name, f"{a.dtype} {a.shape} ".encode() + a.tobytes())

    def arrays(self, name: str, values: dict[str, Any]) -> None:
        for key, value in values.items():
            self.array(f"{name}/{key}", value)

    def state(self, name: str, model: Any) -> None:
        """All parameters in one hash."""
        parts = [key.encode() + np.ascontiguousarray(v).tobytes() for key, v in model.state_dict().items()]
        self.add(name, b"".join(parts))

    def numbers(self, name: str, *values: float) -> None:
        self.add(name, json.dumps([float(v).hex() for v in values]).encode())

    def checkpoint(self, name: str, path: Path) -> None:
        """The file's bytes: none depends on time or place. For safetensors also each metadata entry and the tensors, so
        that a comparison says where a difference lies."""
        content = path.read_bytes()
        self.add(f"{name}/file", content)
        if path.suffix != ".safetensors":
            return
        size = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:size])
        metadata = header.pop("__metadata__", {})
        for key, value in metadata.items():
            self.add(f"{name}/metadata {key}", value.encode())
        self.add(f"{name}/tensors", json.dumps(header, sort_keys=True).encode() + content[size:])


def record_part(part: str) -> dict[str, str]:
    warnings.simplefilter("ignore")
    values = golden_values()
    found: dict[str, str] = {}
    for function in [FIXED[part]] if part in FIXED else BY_ISA:
        with tempfile.TemporaryDirectory() as folder:
            record = Record()
            function(record, values, Path(folder))
            found |= {f"{part}/{name}": value for name, value in record.hashes.items()}
    return found


def record_all(out: Path, only: list[str]) -> None:
    import pybit

    info = pybit.build_info()
    hashes: dict[str, str] = {}
    for part in only or [*FIXED, *info["isas"]]:
        environment = {**os.environ, "BIT_ISA": part}
        if part in FIXED:
            environment["BIT_ISA"] = "scalar"  # what data/ records does not depend on the machine then
        command = [sys.executable, __file__, "--part", part]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"{part}: {len(found)} results", file=sys.stderr)
        hashes |= found
    out.write_text(json.dumps({"pybit": str(Path(pybit.__file__).parent), "hashes": hashes}, indent=0) + "\n")


def compare(old: Path, new: Path, only: list[str]) -> int:
    """1 if a result differs or is missing in `new`; what only `new` has is counted and is no difference."""
    before, after = (
        {name: value for name, value in json.loads(path.read_text())["hashes"].items() if wanted(name, only)}
        for path in (old, new)
    )
    different = [name for name, value in before.items() if after.get(name) != value]
    for name in different:
        print(f"{'differs' if name in after else 'missing'}: {name}")
    print(f"{len(different)} of {len(before)} differ; {len(after.keys() - before.keys())} are new")
    return 1 if different or not before else 0


def wanted(name: str, only: list[str]) -> bool:
    return not only or name.split("/")[0] in only


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--only", default="", metavar="PARTS")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("OLD", "NEW"))
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    only = [part for part in arguments.only.split(",") if part]
    if arguments.compare:
        old, new = arguments.compare
        sys.exit(compare(old, new, only))
    elif arguments.part:
        print(json.dumps(record_part(arguments.part)))
    elif arguments.out:
        record_all(arguments.out, only)
    else:
        parser.error("expected --out or --compare")
