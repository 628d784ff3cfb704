# SPDX-License-Identifier: Apache-2.0
"""With the plugin require_oracles a comparison that was skipped for want of torch is a failure, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SKIPS = {
    "a module without torch": 'import pytest\ntorch = pytest.importorskip("torch.nothing")\ndef test(): pass\n',
    "a test without timm": 'import pytest\ndef test(): pytest.skip("timm is not installed")\n',
    "a test that points to make test-oracle": (
        'import pytest\ndef test(): pytest.importorskip("not_there", reason="make test-oracle installs it")\n'
    ),
}


def status(folder: Path, text: str, *options: str) -> int:
    """The exit status of pytest on a file with this content."""
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(folder), "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    return subprocess.run([*command, str(folder)], env=environment, capture_output=True).returncode


@pytest.mark.parametrize("case", SKIPS)
def test_a_missing_oracle_fails(case: str, tmp_path: Path) -> None:
    assert status(tmp_path, SKIPS[case]) in (0, 5)  # 5: all of it was skipped
    assert status(tmp_path, SKIPS[case], "-p", "require_oracles") in (1, 2)  # 2: a file could not be collected


def test_other_skips_and_passes_stay_what_they_are(tmp_path: Path) -> None:
    text = 'import pytest\ndef test_a(): pytest.skip("this CPU has no avx512")\ndef test_b(): pass\n'
    assert status(tmp_path, text, "-p", "require_oracles") == 0
    failing = "def test(): assert False\n"
    assert status(tmp_path, failing, "-p", "require_oracles") == 1
