# SPDX-License-Identifier: Apache-2.0
"""The check that headers compile alone sees a header that does not, and one that warns."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_headers import compile_alone


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("#pragma once\n#include <string>\ninline std::string f() { return {}; }", ""),
        ("#pragma once\nstd::string f();", "does not name a type"),
        ("#pragma once\ninline int f(long a) { return a; }", "conversion"),
        ("inline int f() { return 1; }", "redefinition"),
        ("#pragma once\n#ifdef BIT_COMPILED\nstd::string f();\n#endif", ""),
    ],
)
def test_a_header_that_needs_help_or_warns_is_reported(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "header.hpp").write_text(text)
    found = compile_alone("header.hpp", "g++", "header-only", [f"-I{tmp_path}"])
    assert complaint in found
    assert bool(found) == bool(complaint)


def test_compiled_mode_is_compiled_too(tmp_path: Path) -> None:
    (tmp_path / "header.hpp").write_text("#pragma once\n#ifdef BIT_COMPILED\nstd::string f();\n#endif")
    assert "does not name a type" in compile_alone("header.hpp", "g++", "compiled", [f"-I{tmp_path}"])
