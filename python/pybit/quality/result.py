# SPDX-License-Identifier: Apache-2.0
"""CheckResult: what was found, and its page."""

from __future__ import annotations

import os
from pathlib import Path

from pybit.quality.findings import Findings
from pybit.quality.page import body, page


class CheckResult(Findings):
    """What `pybit.check` returns; prints as a table, and a notebook shows it as a page."""

    def save_html(self, path: str | os.PathLike[str], title: str | None = None) -> None:
        """Write one page with thumbnails and nothing outside it. Raises OSError if it cannot be written."""
        Path(path).write_text(page(self, title), encoding="utf-8")

    def _repr_html_(self) -> str:
        return body(self)
