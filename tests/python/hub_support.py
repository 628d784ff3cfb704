# SPDX-License-Identifier: Apache-2.0
"""What the tests of downloads share: content, pauses that do not wait, one download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pybit import hub
from pybit.hub.transfer import Transfer

# Starts like a zip archive; long enough for several pieces.
CONTENT = b"PK\x03\x04" + bytes(range(256)) * 400
OTHER = b"PK\x03\x04" + bytes(reversed(range(256))) * 400


class Pauses(list[float]):
    """Records pauses instead of waiting."""

    def settings(self, **values: Any) -> Transfer:
        return Transfer(**{"timeout": 5.0, "retries": 3, "sleep": self.append, **values})


def get(url: str, pauses: Pauses, **values: Any) -> Path:
    """Downloads one address without a progress bar."""
    return hub.download(
        url, progress=values.pop("progress", False), transfer=pauses.settings(**values.pop("settings", {})), **values
    )


def leftovers(folder: Path) -> set[str]:
    """Endings of the files in the cache that are neither results nor records nor locks."""
    return {path.name for path in folder.rglob("*") if path.is_file() and ".part" in path.name}
