# SPDX-License-Identifier: Apache-2.0
"""tools/hash_results.py: one changed bit, dtype or missing result is reported; new results alone are no difference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import hash_results  # noqa: E402


def record_of(values: dict[str, np.ndarray]) -> hash_results.Record:
    record = hash_results.Record()
    record.arrays("net", values)
    return record


def write(path: Path, hashes: dict[str, str]) -> Path:
    path.write_text(json.dumps({"pybit": "somewhere", "hashes": hashes}))
    return path


def test_a_planted_difference_is_named_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.linspace(0, 1, 7, dtype=np.float32)
    changed = values.copy()
    changed.view(np.uint32)[3] ^= 1  # the last bit of one value
    old = write(tmp_path / "old.json", record_of({"logits": values, "pooled": values}).hashes)
    new = write(tmp_path / "new.json", record_of({"logits": changed, "pooled": values}).hashes)
    assert hash_results.compare(old, old, []) == 0
    assert capsys.readouterr().out == "0 of 2 differ; 0 are new\n"
    command = [sys.executable, *map(str, (TOOLS / "hash_results.py", "--compare", old, new))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "differs: net/logits\n1 of 2 differ; 0 are new\n")


def test_what_is_missing_fails_and_what_is_new_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    less = write(tmp_path / "less.json", {"a": "1"})
    more = write(tmp_path / "more.json", {"a": "1", "b": "2"})
    assert hash_results.compare(more, less, []) == 1
    assert capsys.readouterr().out == "missing: b\n1 of 2 differ; 0 are new\n"
    assert hash_results.compare(less, more, []) == 0
    assert capsys.readouterr().out == "0 of 1 differ; 1 are new\n"
    assert hash_results.compare(write(tmp_path / "none.json", {}), more, []) == 1  # nothing compared is no proof
    assert hash_results.compare(more, less, ["a"]) == 0


def test_dtype_and_shape_count_as_well_as_bytes() -> None:
    zeros = np.zeros(8, np.float32)
    found = [record_of({"x": x}).hashes for x in (zeros, zeros.reshape(2, 4), zeros.view(np.int32))]
    assert len({h["net/x"] for h in found}) == 3


def test_a_checkpoint_says_whether_a_tensor_or_a_metadata_entry_differs(tmp_path: Path) -> None:
    def hashes(value: float, note: str) -> dict[str, str]:
        header = {
            "__metadata__": {"note": note, "kept": "1"},
            "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        }
        text = json.dumps(header).encode()
        path = tmp_path / "x.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + np.float32(value).tobytes())
        record = hash_results.Record()
        record.checkpoint("x", path)
        return record.hashes

    def different(one: dict[str, str], other: dict[str, str]) -> set[str]:
        return {name for name in one if one[name] != other[name]}

    assert different(hashes(1, "a"), hashes(1, "b")) == {"x/file", "x/metadata note"}
    assert different(hashes(1, "a"), hashes(2, "a")) == {"x/file", "x/tensors"}
