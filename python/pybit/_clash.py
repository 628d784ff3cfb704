"""The other project called pybit: an exchange connector that owns the name `pybit` on the package index.

Both projects install a package `pybit`; in one environment the later installation overwrites files of the earlier.
"""

from __future__ import annotations

import warnings
from importlib import metadata


def other_version() -> str | None:
    """Version of the installed distribution `pybit`, which is not ours (ours is `big-transfer`); None without one."""
    for distribution in metadata.distributions(name="pybit"):
        return distribution.version
    return None


def warn() -> None:
    """Warn if both are installed."""
    version = other_version()
    if version is not None:
        warnings.warn(
            f"another project called pybit ({version}, an exchange connector) is installed beside big-transfer; both "
            "own the package `pybit` and their files mix: use separate environments, or pip uninstall pybit "
            "big-transfer and then pip install big-transfer",
            UserWarning,
            stacklevel=3,
        )
