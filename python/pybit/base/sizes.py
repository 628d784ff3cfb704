# SPDX-License-Identifier: Apache-2.0
"""Sizes as people write and read them: bytes, and the height and width of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from pybit.errors import ConfigError

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def whole_number(value: Any, what: str, at_least: int) -> int:
    """`value` as an int. Raises ConfigError, which calls it `what`, unless it is a whole number of at least that."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ConfigError(f"expected {what} as a whole number, got {type(value).__name__} {value!r:.40}")
    if value < at_least:
        raise ConfigError(f"expected {what} of at least {at_least}, got {value}")
    return int(value)


def byte_text(number: float) -> str:
    """A number of bytes as people read it, in binary units, e.g. "97.5 MiB"."""
    unit = 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number /= 1024
        unit += 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{number:.0f} B"


def parse_bytes(text: str) -> int:
    """The number of bytes that "8GiB", "512M" or "1000" means; units are binary, case does not matter.

    Raises ConfigError for anything else, and for less than one byte.
    """
    plain = text.strip().lower().removesuffix("ib").removesuffix("b")
    exponent = "kmgt".find(plain[-1:]) + 1 if plain else 0
    try:
        value = int(float(plain[:-1] if exponent else plain) * 1024**exponent)
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise ConfigError(f"expected an amount like 8GiB or 512M, got {text!r}")
    return value


def height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    """An input size, one number for both or (height, width), as (height, width) in pixels.

    Raises ConfigError unless both are positive whole numbers.
    """
    try:
        pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
        wrong = len(pair) != 2 or any(int(v) != v or v < 1 for v in pair)
    except (TypeError, ValueError):  # no numbers, or not a pair
        wrong = True
    if wrong:
        raise ConfigError(f"expected a size in pixels or (height, width), got {size!r}")
    return int(pair[0]), int(pair[1])
