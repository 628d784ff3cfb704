# SPDX-License-Identifier: Apache-2.0
"""Finds the files of a TensorFlow bundle, which tfhub.py reads."""

from __future__ import annotations

import re
from pathlib import Path


def find_prefix(path: Path) -> Path | None:
    """The bundle's path without `.index`, for a module folder, its `variables` folder or any file of the bundle."""
    for folder in (path / "variables", path):
        if (folder / "variables.index").is_file():
            return folder / "variables"
    if path.is_file():
        stem = re.sub(r"\.(index|data(@\d+|-\d{5}-of-\d{5}))$", "", path.name)
        if stem != path.name and path.with_name(stem + ".index").is_file():
            return path.with_name(stem)
    return None
