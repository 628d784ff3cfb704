# SPDX-License-Identifier: Apache-2.0
"""The floor of coverage: reports of both tools are read, and a share below the floor fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import check_coverage  # noqa: E402

PYTHON = {
    "files": {
        "a.py": {"summary": {"num_statements": 90, "covered_lines": 90}},
        "b.py": {"summary": {"num_statements": 10, "covered_lines": 5}},
    }
}
CPP = {
    "data": [
        {
            "files": [
                {"filename": str(Path.cwd() / "include/bit/a.hpp"), "summary": {"lines": {"count": 20, "covered": 19}}},
                {"filename": str(Path.cwd() / "tests/cpp/a.cpp"), "summary": {"lines": {"count": 80, "covered": 0}}},
            ]
        }
    ]
}


@pytest.mark.parametrize(("what", "report"), [("python", PYTHON), ("cpp", CPP)])
@pytest.mark.parametrize(("floor", "status"), [(95, 0), (95.1, 1)])
def test_the_floor_holds_or_fails(
    what: str, report: Any, floor: float, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "floors.json").write_text(json.dumps({what: {"floor": floor}}))
    words = [what, str(tmp_path / "report.json"), str(tmp_path / "floors.json")]
    assert check_coverage.main(words) == status
    shown = capsys.readouterr().out
    assert "95.00 %" in shown and "lines not run" in shown


def test_files_are_listed_from_the_worst_and_only_with_something_to_do() -> None:
    text, _ = check_coverage.judge("python", check_coverage.of_python(PYTHON), 90)
    assert "5 of    10 lines not run  b.py" in text and "a.py" not in text


def test_a_report_without_lines_is_refused() -> None:
    with pytest.raises(SystemExit, match="did the tests run"):
        check_coverage.share([])


def test_each_floor_has_its_reason() -> None:
    floors = json.loads((ROOT / "tools/coverage.json").read_text())
    assert set(floors) == {"python", "cpp"}
    assert all(50 < one["floor"] <= 100 and len(one["reason"]) > 20 for one in floors.values())
