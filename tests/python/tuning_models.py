# SPDX-License-Identifier: Apache-2.0
"""A small model and data set, and what a run wrote into its checkpoint, for the tests of fine-tuning's options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pybit
from data_folders import digits

HOW: dict[str, Any] = {"batch": 16, "resolution": (36, 32), "steps": 4, "base_lr": 0.01}
HEAD = "resnet/head/conv2d/kernel"


def small(classes: int = 7) -> pybit.Model:
    return pybit.create_model("tiny", classes, units=(1, 1, 1, 1), stem_channels=32, seed=3)


def arrays(n: int = 60) -> tuple[Any, Any]:
    images, labels = digits()
    return np.repeat(images[:n, :, :, None], 3, axis=3), labels[:n]


def metadata(path: Path) -> dict[str, str]:
    raw = path.read_bytes()
    found: dict[str, str] = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    return found
