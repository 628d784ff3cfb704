# SPDX-License-Identifier: Apache-2.0
"""What the tests of torch files share: both ways in which torch.save writes, and exact comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import format_writers as w
import numpy as np
import pytest

Writer = Callable[[Path, Any], None]
BOTH = pytest.mark.parametrize("write", [w.write_torch_zip, w.write_torch_legacy], ids=["zip", "legacy"])


def same(found: list[tuple[str, np.ndarray]], expected: w.Tensors) -> bool:
    """Whether names, order, types, shapes and every value agree exactly."""
    return [name for name, _ in found] == list(expected) and all(
        array.dtype == expected[name].dtype
        and array.shape == expected[name].shape
        and np.array_equal(array, expected[name])
        for name, array in found
    )
