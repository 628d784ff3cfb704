# SPDX-License-Identifier: Apache-2.0
"""The check of instruction sets sees code that would not run on every x86-64 CPU."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest
from check_isa import check, offenders

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86-64 instructions")

# Enough functions for the script to see that the binary is not stripped; `sum` and `sum_avx2` do the same.
SOURCE = (
    "".join(f"int filler{i}(int a) {{ return a * {i + 3}; }}\n" for i in range(25))
    + """
float sum(const float* x, int n) { float s = 0; for (int i = 0; i < n; ++i) s += x[i]; return s; }
float sum_avx2(const float* x, int n) { float s = 0; for (int i = 0; i < n; ++i) s += x[i]; return s; }
"""
)


def build(folder: Path, *flags: str) -> str:
    source, binary = folder / "sum.c", folder / "sum.so"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", *flags, str(source), "-o", str(binary)], check=True)
    return str(binary)


def test_baseline_code_passes(tmp_path: Path) -> None:
    assert check(build(tmp_path)) == {}


def test_avx_code_is_reported_unless_its_function_says_so(tmp_path: Path) -> None:
    found = check(build(tmp_path, "-mavx2", "-mfma"))
    assert "sum" in found
    assert "sum_avx2" not in found


def test_integer_code_of_newer_cpus_is_reported() -> None:
    assert offenders("0000 <f>:\n    1f:\tshlx   %ecx,%edi,%eax\n") == {"f": "shlx   %ecx,%edi,%eax"}


def test_instructions_of_virtual_machines_are_no_vectors() -> None:
    assert offenders("0000 <f>:\n    1f:\tvmcall\n    22:\tverr   %ax\n") == {}


def test_a_stripped_binary_is_refused_instead_of_passing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stripped"):
        check(build(tmp_path, "-s", "-fvisibility=hidden"))
