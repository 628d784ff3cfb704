# SPDX-License-Identifier: Apache-2.0
"""Keywords that have another name today: the old one works for one release and says so."""

from __future__ import annotations

import warnings
from typing import Any

from pybit.errors import ConfigError

# What an argument was called before -> what it is called.
KEYWORDS = {"optimiser": "optimizer"}
_OF_EVALUATE = {"batch": "batch_size"}


def with_new_keywords(function: str, options: dict[str, Any], *, stacklevel: int = 3) -> dict[str, Any]:
    """`options` of a call of `function` with old keywords replaced by new ones, and a DeprecationWarning for each.

    `stacklevel` is that of `warnings.warn`, counted from here: 3 blames the caller of the function that calls this.
    Raises ConfigError if both the old and the new keyword are there.
    """
    found = dict(options)
    for old, new in (_OF_EVALUATE if function == "evaluate" else KEYWORDS).items():
        if old not in found:
            continue
        if new in found:
            raise ConfigError(f"{function}: expected {new}= only, got {old}= as well")
        warnings.warn(
            f"{function}: {old}= is called {new}=; the old name goes with the next release",
            DeprecationWarning,
            stacklevel=stacklevel,
        )
        found[new] = found.pop(old)
    return found
