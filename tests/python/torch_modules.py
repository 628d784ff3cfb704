# SPDX-License-Identifier: Apache-2.0
"""A small module of pybit.torch, and images for it. Importing this skips where torch is missing."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from pybit.torch import create_model  # noqa: E402

SMALL: dict[str, Any] = {"units": (1, 2, 1, 1), "stem_channels": 32, "num_classes": 5, "seed": 1}


def small(**options: Any) -> Any:
    return create_model("small", **{**SMALL, **options})


def images(n: int = 2, size: int = 40, seed: int = 0, dtype: Any = None) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, size, size, generator=generator, dtype=dtype or torch.float32) * 2 - 1
