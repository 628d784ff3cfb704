# SPDX-License-Identifier: Apache-2.0
"""Each public header compiles alone without a warning: header-only with clang if it has bodies, else with gcc.

Usage: check_headers.py BUILD [--both-modes] [COMPILER [HEADER_ONLY_COMPILER]]. The include line is that of the build's
own test program, read from BUILD/compile_commands.json. Header-only mode finds circles among the bodies (.ipp) that a
header brings along, and what its declarations, which come before them, forget to include. --both-modes compiles these
headers in compiled mode as well, which finds what a template forgets and a body includes.

Each is compiled to an object instead of with -fsyntax-only, so that ccache, where it is installed, answers for headers
that have not changed: 0.03 s instead of 1.9.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[2] / "include"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
MODES: dict[str, list[str]] = {"header-only": [], "compiled": ["-DBIT_COMPILED"]}


def include_line(build: Path) -> list[str]:
    """Macros and include folders of a header-only translation unit of this build."""
    commands = json.loads((build / "compile_commands.json").read_text())
    command = next(c["command"] for c in commands if "test_odr_header_only.dir" in c["command"])
    words = shlex.split(command)
    flags = [w for w in words if w.startswith(("-D", "-I"))]
    return flags + [x for i, w in enumerate(words) if w == "-isystem" for x in (w, words[i + 1])]


def compile_alone(header: str, compiler: str, mode: str, flags: list[str]) -> str:
    """The compiler's complaint about a file that only includes `header` (twice), or an empty string."""
    launcher = ["ccache"] if shutil.which("ccache") else []
    with tempfile.TemporaryDirectory() as folder:
        # ccache's key has the source's content but not its path, as long as no path gets into the object.
        Path(folder, "alone.cpp").write_text(f"#include <{header}>\n#include <{header}>\n")
        command = [*launcher, compiler, "-std=c++20", "-fopenmp", *WARNINGS, *MODES[mode], *flags, "-c", "alone.cpp"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return f"{header} ({compiler}, {mode})\n{done.stderr}" if done.returncode or done.stderr else ""


def has_bodies(header: str) -> bool:
    """True for a header beside which an .ipp holds the bodies."""
    return (INCLUDE / header).with_suffix(".ipp").exists()


def check(build: Path, ways: list[tuple[str, str]], headers: list[str], both_modes: bool) -> list[str]:
    """All complaints; `ways` are pairs of a compiler and a mode."""
    flags = include_line(build)
    jobs = [
        (h, c, m)
        for c, m in ways
        for h in headers
        if has_bodies(h) == (m == "header-only") or (both_modes and m == "compiled")
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = pool.map(lambda job: compile_alone(job[0], job[1], job[2], flags), jobs)
        return [text for text in texts if text]


def main() -> int:
    """Entry point."""
    both_modes = "--both-modes" in sys.argv
    build, *compilers = (word for word in sys.argv[1:] if word != "--both-modes")
    compilers = compilers or [c for c in ("g++", "clang++") if shutil.which(c)]
    ways = [(compilers[0], "compiled"), (compilers[-1], "header-only")]
    headers = sorted(p.relative_to(INCLUDE).as_posix() for p in INCLUDE.rglob("*.hpp"))
    complaints = check(Path(build), ways, headers, both_modes)
    print("\n".join(complaints))
    done = " and ".join(f"{mode} with {compiler}" for compiler, mode in ways)
    print(f"{len(headers)} headers alone, {done}: {len(complaints)} complaints")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
