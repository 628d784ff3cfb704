# SPDX-License-Identifier: Apache-2.0
"""Checks that a binary runs on the oldest CPU it is meant for: instructions beyond the x86-64 baseline (SSE2) stand
only in functions whose name says avx2 or avx512, which the library calls after asking the CPU.

Usage: check_isa.py FILE (not stripped). Prints each function that breaks the rule; exit status 1 if there is any.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys

# AVX and later are encoded with VEX or EVEX, whose mnemonics begin with v (verr, verw and the vm* of virtual machines
# do not count); BMI2 and POPCNT are what a compiler emits for integer code under -march=native.
BEYOND = re.compile(r"^(v(?!err|erw|m)\w+|vm(ov|ul|in|ax|ask|psad)\w+|mulx|rorx|sarx|shlx|shrx|pdep|pext|andn|popcnt)$")
DISPATCHED = re.compile(r"avx2|avx512")


def offenders(disassembly: str) -> dict[str, str]:
    """Function name -> its first instruction beyond the baseline, from the output of objdump -d --no-show-raw-insn."""
    found: dict[str, str] = {}
    function = ""
    for line in disassembly.splitlines():
        if header := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            function = header[1]
            continue
        code = re.match(r"\s+[0-9a-f]+:\s+(?:(?:rep|repz|notrack|bnd|lock)\s+)*(\S+)(.*)", line)
        if code and BEYOND.match(code[1]) and not DISPATCHED.search(function):
            found.setdefault(function, (code[1] + code[2]).strip())
    return found


def check(path: str) -> dict[str, str]:
    """Offending functions of the x86-64 binary at `path`. Throws ValueError if its functions have no names."""
    command = ["objdump", "-d", "--no-show-raw-insn", path]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if len(re.findall(r"^[0-9a-f]+ <(?!\.plt|.*@plt)", text, flags=re.M)) < 20:
        raise ValueError(f"{path}: expected a binary with function names, got a stripped one; check the unstripped one")
    return offenders(text)


if __name__ == "__main__":
    if platform.machine() not in ("x86_64", "AMD64"):
        print(f"nothing to check on {platform.machine()}")
        sys.exit(0)
    bad = check(sys.argv[1])
    for name, instruction in bad.items():
        print(f"{name}: {instruction}")
    print(f"{sys.argv[1]}: {len(bad)} functions use instructions beyond SSE2 without saying so in their name")
    sys.exit(bool(bad))
