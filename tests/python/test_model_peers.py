# SPDX-License-Identifier: Apache-2.0
"""Drops in where timm and transformers stood: files that they load, the same numbers, levels and feature_info."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pybit


def error(found: Any, expected: Any) -> float:
    """Largest difference relative to the largest value."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


# Both sides compute in double precision: 50 layers of sums in another order leave about 1e-13.
BOUND = 1e-10


def read(folder: Path) -> tuple[pybit.Model, Any, dict[str, Any]]:
    """Our model, the images, and what the peer made of both."""
    with np.load(folder / "theirs.npz") as stored:
        theirs = {name: stored[name] for name in stored.files}
    return pybit.load(folder / "ours.safetensors", dtype="float64"), np.load(folder / "x.npy"), theirs


def test_timm_reads_our_file_and_computes_the_same(peer_folder: Callable[[str], Path]) -> None:
    folder = peer_folder("timm")
    model, x, theirs = read(folder)
    assert error(model(x), theirs["logits"]) < BOUND
    features, maps = model.forward_intermediates(x)
    assert error(features, theirs["features"]) < BOUND
    assert error(model.forward_head(features, pre_logits=True), theirs["pooled"]) < BOUND
    for i, found in enumerate(maps):
        assert error(found, theirs[f"level{i}"]) < BOUND
    assert json.loads((folder / "info.json").read_text()) == model.feature_info
    other_eps = pybit.load(folder / "ours.safetensors", dtype="float64", eps=1e-10)  # negative control
    assert error(other_eps(x), theirs["logits"]) > BOUND


def test_transformers_reads_our_file_and_computes_the_same(peer_folder: Callable[[str], Path]) -> None:
    folder = peer_folder("transformers")
    model, x, theirs = read(folder)
    assert error(model(x), theirs["logits"]) < BOUND
    other_eps = pybit.load(folder / "ours.safetensors", dtype="float64", eps=1e-10)  # negative control
    assert error(other_eps(x), theirs["logits"]) > BOUND
