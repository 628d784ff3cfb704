# SPDX-License-Identifier: Apache-2.0
"""The architectures that were released, by name: a depth and a width factor, as in "R50x1"."""

from __future__ import annotations

import re
from collections.abc import Sequence

Units = tuple[int, int, int, int]  #: residual units of the four blocks

STEM_CHANNELS = 64  #: of width factor 1
UNITS: dict[int, Units] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  #: by depth


def parse_architecture(text: str) -> tuple[Units, int] | None:
    """The units and the stem's channels of "R50x1" and its kin (depth 50, 101 or 152, width 1 to 99).

    None for any other text.
    """
    match = re.fullmatch(r"R(50|101|152)x([1-9]\d?)", text)
    return (UNITS[int(match[1])], STEM_CHANNELS * int(match[2])) if match else None


def architecture_name(units: Sequence[int], stem_channels: int) -> str | None:
    """The name, e.g. "R50x1", of an architecture that has one; None for others."""
    for depth, known in UNITS.items():
        if tuple(units) == known and stem_channels % STEM_CHANNELS == 0:
            return f"R{depth}x{stem_channels // STEM_CHANNELS}"
    return None
