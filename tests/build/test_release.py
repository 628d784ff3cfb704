# SPDX-License-Identifier: Apache-2.0
"""A release whose version differs somewhere, or that the changelog does not tell, is not ready."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from check_release import problems  # noqa: E402

CONFIG, CHANGELOG, CITATION = (
    '#define BIT_VERSION "1.2.3"\n',
    "# Changes\n## 1.2.3 (2027-01-31)\n- x\n",
    "version: 1.2.3\n",
)


def test_a_release_with_one_version_everywhere_is_ready() -> None:
    assert problems(CONFIG, CHANGELOG, CITATION, "v1.2.3") == problems(CONFIG, CHANGELOG, CITATION) == []


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ((CONFIG, CHANGELOG, CITATION, "v1.2.4"), "expected the tag v1.2.3"),
        ((CONFIG, CHANGELOG, "version: 1.2\n"), "CITATION.cff: expected `version: 1.2.3`"),
        ((CONFIG, "## Unreleased (1.2.3)\n## 1.2.3 (2027-01-31)\n", CITATION), "got `## Unreleased (1.2.3)`"),
        ((CONFIG, "", CITATION), "CHANGELOG.md: expected the first section"),
        (("", CHANGELOG, CITATION), "expected a line"),
    ],
)
def test_what_is_missing_is_told(texts: tuple[str, ...], problem: str) -> None:
    found = problems(*texts)
    assert len(found) == 1 and problem in found[0]
