# SPDX-License-Identifier: Apache-2.0
"""The other project called pybit: an exchange connector that owns the name `pybit` on the package index.

Both projects install a package `pybit`; in one environment the later installation overwrites files of the earlier.
"""

from __future__ import annotations

import os
import re
import sys
import warnings


def other_version() -> str | None:
    """The version of the installed distribution `pybit`, which is not ours (ours is `big-transfer`); None without one.

    Looks at the names of the metadata folders: importlib.metadata takes 20 ms to import, an eighth of `import pybit`.
    """
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:  # not there, or a zip file
            continue
        for name in names:
            if found := re.fullmatch(r"pybit-([^-]+)(-py[^-]*)?\.(dist-info|egg-info)", name, re.IGNORECASE):
                return found[1]
    return None


def warn() -> None:
    """Warn if both projects called pybit are installed in this environment."""
    version = other_version()
    if version is not None:
        warnings.warn(
            f"another project called pybit ({version}, an exchange connector) is installed beside big-transfer; both "
            "own the package `pybit` and their files mix: use separate environments, or pip uninstall pybit "
            "big-transfer and then pip install big-transfer",
            UserWarning,
            stacklevel=3,
        )
