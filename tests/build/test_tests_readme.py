# SPDX-License-Identifier: Apache-2.0
"""tests/README.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def unknown(text: str) -> list[str]:
    """Quoted tests that their file does not hold: `test_x.cpp`: "a name", "another"."""
    sources: dict[str, str] = {}
    for path in [*TESTS.rglob("test_*.cpp"), *TESTS.rglob("test_*.py")]:
        sources[path.name] = sources.get(path.name, "") + path.read_text()
    found = []
    for file, names in re.findall(r'`(test_\w+\.(?:cpp|py))`: ((?:"[^"]+"(?:, )?)+)', text):
        for name in re.findall(r'"([^"]+)"', names):
            source = sources.get(file, "")
            title = f"def test_{name}(" if file.endswith(".py") else name + '"'
            if title not in source:
                found.append(f"{file}: {name}")
    return found


def test_every_test_that_the_table_quotes_exists() -> None:
    text = (TESTS / "README.md").read_text()
    assert text.count('`: "') >= 50  # the pattern finds the table at all
    assert unknown(text) == []


def test_a_test_that_is_gone_is_named() -> None:
    assert unknown('| x | y | `test_zip.cpp`: "an npz cut at every byte is refused", "a test that never was" |') == [
        "test_zip.cpp: a test that never was"
    ]
    assert unknown('`test_gone.py`: "any"') == ["test_gone.py: any"]
