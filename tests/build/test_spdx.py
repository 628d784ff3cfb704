# SPDX-License-Identifier: Apache-2.0
"""A source file that does not tell its licence is reported, and others are left alone."""

from __future__ import annotations

from pathlib import Path

import check_spdx
import pytest

LINE = "SPDX-License-Identifier: Apache-2.0\n"


def test_the_files_of_this_checkout_tell_their_licence() -> None:
    assert list(check_spdx.check(Path(__file__).parents[2])) == []


@pytest.mark.parametrize(
    ("name", "text", "missing"),
    [
        ("a.hpp", "// " + LINE + "#pragma once\n", False),
        ("a.py", "# " + LINE, False),
        ("a.sh", "#!/bin/sh\n# " + LINE, False),
        ("a.md", "text", False),
        ("a.cpp", "int a;\n// " + LINE, True),
        ("a.hpp", "# " + LINE, True),
        ("a.py", "", True),
        ("a.sh", "#!/bin/sh\n", True),
    ],
)
def test_a_file_without_the_line_is_reported(
    name: str, text: str, missing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_spdx, "FOLDERS", ("include",))
    (tmp_path / "include/bit").mkdir(parents=True)
    (tmp_path / "include/bit" / name).write_text(text)
    found = list(check_spdx.check(tmp_path))
    assert [one.split(":")[0] for one in found] == ([f"include/bit/{name}"] if missing else [])
