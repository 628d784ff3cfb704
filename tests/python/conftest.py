"""Fixtures that several files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_support import Pauses


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
