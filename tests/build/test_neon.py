# SPDX-License-Identifier: Apache-2.0
"""The check of the NEON tiles sees loops that spill or do not fuse."""

from __future__ import annotations

import pytest
from check_neon import check

HEADER = (
    "0000000000000000 <void bit::v0::detail::neon::tile<float, float, 1>(bit::v0::detail::segment<float> const*)>:\n"
)
FUSED = "fmla\tv{}.4s, v5.4s, v7.s[0]"


def listing(*body: str) -> str:
    """A function whose loop has `body`, as objdump prints it."""
    loop = "".join(f"  {16 + 4 * i:x}:\t{code}\n" for i, code in enumerate(body))
    return f"{HEADER}   8:\tmov\tx0, x5\n{loop}  {16 + 4 * len(body):x}:\tb.ne\t10 <void bit::tile+0x10>  // b.any\n\n"


def test_a_loop_of_fused_instructions_passes() -> None:
    assert check(listing(*(FUSED.format(i) for i in range(4)))) == {1: ""}


def test_a_loop_with_separate_products_is_reported() -> None:
    code = [FUSED.format(i) for i in range(4)] + ["fmul\tv1.4s, v2.4s, v3.s[0]"]
    assert "apart" in check(listing(*code))[1]


def test_a_loop_that_uses_the_stack_is_reported() -> None:
    code = [FUSED.format(i) for i in range(4)] + ["ldr\tq16, [sp, #320]"]
    assert "stack" in check(listing(*code))[1]


def test_a_tile_without_its_loop_is_reported() -> None:
    assert "expected 4" in check(listing("fadd\tv1.4s, v2.4s, v3.4s"))[1]
    assert "expected 4" in check(HEADER + "   8:\tret\n")[1]


def test_a_file_of_another_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="aarch64"):
        check("0000 <main>:\n   8:\tretq\n")
