# SPDX-License-Identifier: Apache-2.0
"""The five feature levels that `Model.forward_intermediates` gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pybit import _core
from pybit.errors import ConfigError

LEVELS = ("stem", "block1", "block2", "block3", "block4")


def levels_info(config: _core.Config) -> list[dict[str, Any]]:
    """Channels, stride and module of each level, in timm's words."""
    stem, limit = config.stem_channels, config.output_stride
    info = [{"num_chs": stem, "reduction": 2, "module": "stem.conv"}]
    for i in range(4):
        info.append({"num_chs": stem * 4 * 2**i, "reduction": min(4 * 2**i, limit), "module": f"stages.{i}"})
    return info


def levels_of(indices: int | Sequence[int | str] | None) -> list[int]:
    """Numbers of the levels that are meant, see `Model.forward_intermediates`. Raises ConfigError for unknown ones."""
    count = len(LEVELS)
    valid = "valid levels are " + ", ".join(f'{i} or "{n}"' for i, n in enumerate(LEVELS)) + ", or -1 to -5"
    if indices is None:
        return list(range(count))
    if isinstance(indices, (int, np.integer)):
        if not 1 <= indices <= count:
            raise ConfigError(f"expected the number of last levels in [1, {count}], got {indices}; {valid}")
        return list(range(count - int(indices), count))
    found = []
    for index in indices:
        if isinstance(index, str) and index in LEVELS:
            found.append(LEVELS.index(index))
        elif isinstance(index, (int, np.integer)) and -count <= index < count:
            found.append(int(index) % count)
        else:
            raise ConfigError(f"unknown feature level {index!r}; {valid}")
    return found
