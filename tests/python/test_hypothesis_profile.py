# SPDX-License-Identifier: Apache-2.0
"""Property tests draw the same examples in every run, unless a run asks for new ones (--hypothesis-profile=explore)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def drawn(**changes: bool) -> list[int]:
    """What a property test with the loaded profile, changed in some settings, is given."""
    found: list[int] = []

    @settings(**changes)
    @given(st.integers(0, 2**64))
    def prop(number: int) -> None:
        found.append(number)

    prop()
    return found


@pytest.mark.skipif(not settings.default.derandomize, reason="this run asks for new examples")
def test_examples_are_the_same_in_every_run() -> None:
    assert drawn() == drawn() and len(drawn()) > 50
    assert drawn(derandomize=False) != drawn(derandomize=False)  # what the profile is there for


def test_the_profile_has_no_deadline_and_keeps_no_examples() -> None:
    assert settings.default.deadline is None and settings.default.database is None


def test_no_test_file_sets_for_itself_what_the_profile_sets() -> None:
    own = re.compile(r"settings\([^)]*(derandomize|deadline|database)=")
    files = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    assert [path.name for path in files if own.search(path.read_text())] == []
    assert own.search("@settings(max_examples=3, deadline=None)")
