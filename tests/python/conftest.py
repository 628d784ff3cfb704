# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several files share, and the hypothesis profile of all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pybit
import pytest
from hub_support import Pauses
from hypothesis import settings
from small_models import batch

# "fixed" draws the same examples in every run, so that a failure comes back anywhere. It has no deadline, as a machine
# may be busy. `make pytest-explore` (nightly) draws new ones; the blob that it prints repeats a failure.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=1000, deadline=None, database=None, print_blob=True)
settings.load_profile("fixed")


@pytest.fixture
def clean_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache of downloads, no mirror, no proxy."""
    for name in ("PYBIT_MIRROR", "PYBIT_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def pauses() -> Pauses:
    """Pauses between attempts, recorded instead of waited for."""
    return Pauses()


@pytest.fixture(scope="session")
def peer_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """For "timm" or "transformers" a folder with models that it wrote (whole, body), one that pybit wrote under its
    names (ours), and what its own code computes with ours (theirs.npz); skips where it is not installed.

    One process makes all: importing torch and a peer takes seconds. Looked up without importing, since timm wants
    torchvision, which peer_models.py stands in for.
    """
    made: dict[str, Path] = {}

    def make(peer: str) -> Path:
        for package in ("torch", peer, "safetensors"):
            if find_spec(package) is None:
                pytest.skip(f"{package} is not installed")
        if peer not in made:
            folder = made[peer] = tmp_path_factory.mktemp(peer)
            units = (3, 4, 6, 3) if peer == "timm" else (1, 2, 1, 1)
            model = pybit.create_model("half", 5, units=units, stem_channels=32, eps=1e-8, dtype="float64")
            model.save(folder / "ours.safetensors", names=peer)
            np.save(folder / "x.npy", batch(2, 64))
            script = Path(__file__).with_name("peer_models.py")
            done = subprocess.run([sys.executable, script, peer, folder], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return made[peer]

    return make
