# SPDX-License-Identifier: Apache-2.0
"""Runs of `pybit train` on a folder of digits: what the tests of the command share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from data_folders import digit_folder
from pybit import cli

# A network of two million parameters on digits of 24 x 24: a step takes some 50 ms.
SMALL = ["--batch", "16", "--resize", "36", "--crop", "32", "--batch_split", "2", "--base_lr", "0.01"]


def make_place(root: Path) -> Path:
    """tiny.npz and digits/, 8 of each class."""
    digit_folder(root / "digits", 8)
    pybit.create_model("tiny", 7, units=(1, 1, 1, 1), stem_channels=32, seed=3).save(root / "tiny.npz")
    return root


def command(place: Path, logdir: Path, *more: str, name: str = "run") -> list[str]:
    return [
        *("--name", name, "--logdir", str(logdir), "--model", str(place / "tiny.npz")),
        *("--data", str(place / "digits"), *SMALL, *more),
    ]


def start(arguments: list[str], **how: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pybit.train", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and standard error."""
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def tensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor of a checkpoint, the optimizer's included, as the file has them."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__")
    return {
        name: np.frombuffer(raw[8 + size :][slice(*entry["data_offsets"])], np.float32)
        for name, entry in header.items()
    }


def same(a: Path, b: Path) -> bool:
    one, other = tensors(a), tensors(b)
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and standard error: nothing, or one line that begins as every error does."""
    code = cli.main(["train", *arguments, "--quiet"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "" if code == 0 else err.startswith("pybit: error: ") and err.count("\n") == 1, err
    return code, err
