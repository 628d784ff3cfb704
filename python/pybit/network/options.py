# SPDX-License-Identifier: Apache-2.0
"""How a network computes: its dtype and the algorithm of its 3x3 convolutions."""

from __future__ import annotations

from dataclasses import dataclass

from pybit import _core
from pybit.errors import ConfigError

# The extension module checks the same words but does not list them.
DTYPES = ("float32", "bfloat16", "float64")
ALGORITHMS = ("auto", "direct", "winograd", "winograd_2x2", "winograd_4x4")


@dataclass(frozen=True)
class ComputeOptions:
    """How a network computes.

    Args:
        dtype: "float32", "bfloat16" or "float64" (the reference backend).
        algorithm: of 3x3 convolutions: "auto", "direct", "winograd", "winograd_2x2" or "winograd_4x4".

    Raises:
        ConfigError: a word that is none of these.
    """

    dtype: str = "float32"
    algorithm: str = "auto"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f"expected dtype {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.algorithm not in ALGORITHMS:
            raise ConfigError(f"expected algorithm {', '.join(ALGORITHMS)}, got {self.algorithm!r}")

    @classmethod
    def of(cls, network: _core.Network) -> ComputeOptions:
        """How an existing network computes."""
        return cls(network.dtype, network.algorithm)
