"""Drops in where timm and transformers stood: files that they load, the same numbers, levels and feature_info."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from small_models import batch

# The peers' own code on weights that pybit wrote, in a process of its own (see peer_models.py).
SCRIPT = """
import json, sys
import numpy as np, torch
from safetensors.torch import load_file
import peer_models

peer, folder = sys.argv[1:]
net = (peer_models.timm_models() if peer == "timm" else peer_models.transformers_models())["whole"]
net.load_state_dict(load_file(f"{folder}/ours.safetensors"), strict=True)
net.eval().double()
x = torch.from_numpy(np.load(f"{folder}/x.npy")).double()
with torch.no_grad():
    if peer == "timm":
        features, maps = net.forward_intermediates(x)
        out = {"logits": net(x), "features": features, "pooled": net.forward_head(features, pre_logits=True)}
        out |= {f"level{i}": m for i, m in enumerate(maps)}
        json.dump(net.feature_info, open(f"{folder}/info.json", "w"))
    else:
        out = {"logits": net(x).logits}
np.savez(f"{folder}/theirs.npz", **{k: v.numpy() for k, v in out.items()})
"""


def error(found: Any, expected: Any) -> float:
    """Largest difference relative to the largest value."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


# Both sides compute in double precision: 50 layers of sums in another order leave about 1e-13.
BOUND = 1e-10


def _installed(name: str) -> None:
    """Skips without importing: timm wants torchvision, which peer_models.py stands in for."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")


def peer_outputs(peer: str, model: pybit.Model, x: Any, folder: Path) -> dict[str, Any]:
    model.save(folder / "ours.safetensors", names=peer)
    np.save(folder / "x.npy", x)
    subprocess.run([sys.executable, "-c", SCRIPT, peer, str(folder)], check=True, cwd=Path(__file__).parent)
    with np.load(folder / "theirs.npz") as stored:
        return {name: stored[name] for name in stored.files}


def test_timm_reads_our_file_and_computes_the_same(tmp_path: Path) -> None:
    for name in ("torch", "timm", "safetensors"):
        _installed(name)
    model = pybit.create_model("half", 5, units=(3, 4, 6, 3), stem_channels=32, eps=1e-8, dtype="float64")
    x = batch(2, 64)
    theirs = peer_outputs("timm", model, x, tmp_path)
    assert error(model(x), theirs["logits"]) < BOUND
    features, maps = model.forward_intermediates(x)
    assert error(features, theirs["features"]) < BOUND
    assert error(model.forward_head(features, pre_logits=True), theirs["pooled"]) < BOUND
    for i, found in enumerate(maps):
        assert error(found, theirs[f"level{i}"]) < BOUND
    assert json.loads((tmp_path / "info.json").read_text()) == model.feature_info
    other_eps = pybit.load(tmp_path / "ours.safetensors", dtype="float64", eps=1e-10)  # negative control
    assert error(other_eps(x), theirs["logits"]) > BOUND


def test_transformers_reads_our_file_and_computes_the_same(tmp_path: Path) -> None:
    for name in ("torch", "transformers", "safetensors"):
        _installed(name)
    model = pybit.create_model("half", 5, units=(1, 2, 1, 1), stem_channels=32, eps=1e-8, dtype="float64")
    x = batch(2, 64)
    theirs = peer_outputs("transformers", model, x, tmp_path)
    assert error(model(x), theirs["logits"]) < BOUND
    other_eps = pybit.load(tmp_path / "ours.safetensors", dtype="float64", eps=1e-10)  # negative control
    assert error(other_eps(x), theirs["logits"]) > BOUND
