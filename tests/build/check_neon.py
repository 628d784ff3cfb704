# SPDX-License-Identifier: Apache-2.0
"""Checks what the compiler made of the NEON tiles (isa/neon.hpp): for each number of rows, one loop that multiplies and
adds by fused instructions only, four per row, and touches no stack. No ARM machine is needed to see that.

Usage: check_neon.py FILE [OBJDUMP]. Prints a line per tile; exit status 1 if any breaks the rule.
"""

from __future__ import annotations

import re
import subprocess
import sys

TILE = re.compile(r"^[0-9a-f]+ <void bit::.*neon::tile<float, float, (\d+)>\(.*>:$")
VECTORS_PER_ROW = 4  # 16 columns


def functions(disassembly: str) -> dict[int, list[str]]:
    """Rows of a tile -> its lines, from the output of objdump -d -C --no-show-raw-insn."""
    found: dict[int, list[str]] = {}
    lines: list[str] = []
    for line in disassembly.splitlines():
        if header := TILE.match(line):
            lines = found.setdefault(int(header[1]), [])
        elif not line.strip() or line.endswith(">:"):
            lines = []
        else:
            lines.append(line)
    return found


def multiplies(loop: list[str]) -> int:
    """Fused multiply-adds in a stretch of code."""
    return sum("\tfmla\t" in line for line in loop)


def inner_loops(lines: list[str]) -> list[list[str]]:
    """The loops of a function that multiply and hold no other loop that does."""
    at = {int(m[1], 16): i for i, line in enumerate(lines) if (m := re.match(r"\s*([0-9a-f]+):\t", line))}
    loops: list[tuple[int, int]] = []
    for end, line in enumerate(lines):
        branch = re.search(r"\t(?:b\.\w+|cbn?z|tbn?z)\t(?:.*?, )?([0-9a-f]+) <", line)
        start = at.get(int(branch[1], 16)) if branch else None
        if start is not None and start <= end and multiplies(lines[start : end + 1]):
            loops.append((start, end))
    inner = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    return [lines[start : end + 1] for start, end in inner]


def problem(rows: int, lines: list[str]) -> str:
    """What is wrong with a tile; empty if nothing."""
    # Only the loop over k multiplies by one element of a vector; statistics multiply vectors.
    busiest = max(inner_loops(lines), key=lambda loop: sum(".s[" in line for line in loop), default=[])
    step = rows * VECTORS_PER_ROW
    fused = multiplies(busiest)
    if fused == 0 or fused % step != 0:
        return f"expected {step} fused multiply-adds per step of its loop, got {fused}"
    if apart := [line.split("\t", 1)[1] for line in busiest if "\tfmul\t" in line]:
        return f"multiplies and adds apart: {apart[0]}"
    # A small tile's loop over k may be unrolled; the loop around it keeps totals on the stack on purpose.
    spilled = [line.split("\t", 1)[1] for line in busiest if re.search(r"\[sp[,\]]", line)]
    if spilled and fused == step:
        return f"keeps sums on the stack: {spilled[0]}"
    return ""


def check(disassembly: str) -> dict[int, str]:
    """Rows of each tile -> what is wrong with it. Throws ValueError if there is no tile."""
    tiles = functions(disassembly)
    if not tiles:
        raise ValueError(
            "expected functions named neon::tile<float, float, ...>, got none; check an aarch64 file with symbols"
        )
    return {rows: problem(rows, lines) for rows, lines in sorted(tiles.items())}


if __name__ == "__main__":
    objdump = sys.argv[2] if len(sys.argv) > 2 else "objdump"
    command = [objdump, "-d", "-C", "--no-show-raw-insn", sys.argv[1]]
    result = check(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for tile, what in result.items():
        print(f"NEON tile of {tile} rows: {what or 'fused, in registers'}")
    sys.exit(any(result.values()))
