"""BIT_REQUIRE_ORACLES=1 makes a missing oracle a failure, in a test and in a whole file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

IN_A_TEST = """
import pytest

def test_compares():
    pytest.importorskip("a_package_that_no_index_has")

def test_needs_the_machine():
    pytest.skip("this CPU has no avx1024")
"""
IN_A_FILE = "import pytest\npytest.importorskip('a_package_that_no_index_has')\n"


@pytest.mark.parametrize(
    ("text", "required", "status", "summary"),
    [
        (IN_A_TEST, "0", 0, "2 skipped"),
        (IN_A_TEST, "1", 1, "1 failed, 1 skipped"),
        (IN_A_FILE, "0", 5, "1 skipped"),
        (IN_A_FILE, "1", 2, "1 error"),
    ],
)
def test_a_missing_oracle_fails_where_it_is_required(
    tmp_path: Path, text: str, required: str, status: int, summary: str
) -> None:
    here = Path(__file__).parent
    shutil.copy(here / "oracle_rule.py", tmp_path)
    hooks = (here / "conftest.py").read_text()
    hooks = hooks[hooks.index("@pytest.hookimpl") : hooks.index("@pytest.fixture")]
    imports = "import pytest\nfrom collections.abc import Generator\nfrom oracle_rule import fail_if_skipped\n"
    (tmp_path / "conftest.py").write_text(imports + hooks)
    (tmp_path / "test_some.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    environment = {**os.environ, "BIT_REQUIRE_ORACLES": required}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout
    assert summary in done.stdout
    told = "BIT_REQUIRE_ORACLES=1, but this was skipped: could not import 'a_package_that_no_index_has'"
    assert (told in done.stdout) == (required == "1")
