# SPDX-License-Identifier: Apache-2.0
"""Measures what the library costs to compile: user seconds and peak memory of g++, by program and mode.

Usage: compile_cost.py BUILD [JSON]. Prints a table and writes the same as JSON. It asserts nothing: seconds depend on
the machine. The aims, on two cores of a small machine: 2 s for a unit in compiled mode, 1.5 s to include alone, 10 s of
wall clock for the parts of the implementation that inference needs, 13 s and 500 MB for one unit that holds them all.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from check_headers import MODES, include_line

INCLUDE_ONLY = "#include <bit/resnet.hpp>\nint main() {}\n"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLASSIFY = (EXAMPLES / "classify.cpp").read_text()
FINE_TUNE = (EXAMPLES / "finetune.cpp").read_text()
LOAD_AND_RUN = """
#include <bit/resnet.hpp>
int main(int, char** argv) {
  const auto model = bit::load(argv[1]).freeze();
  const bit::tensor4<float> images = xt::zeros<float>({1, 3, 224, 224});
  return bit::top_k(model(images), 5).size() == 5 ? 0 : 1;
}
"""
COMPILED = MODES["compiled"]
# What bit_add_implementation compiles for a program that loads a model and runs it on images, in this order.
PARTS = ["microkernels", "network", "io", "images"]
# (program, mode, source, flags)
ROWS = [
    *(("include only", mode, INCLUDE_ONLY, ["-O2", *flags]) for mode, flags in MODES.items()),
    *(("load, freeze, run, top_k", mode, LOAD_AND_RUN, ["-O2", *flags]) for mode, flags in MODES.items()),
    *(("examples/classify.cpp", mode, CLASSIFY, ["-O2", *flags]) for mode, flags in MODES.items()),
    ("examples/classify.cpp", "header-only, -O1", CLASSIFY, ["-O1"]),
    ("examples/classify.cpp", "header-only, -O0", CLASSIFY, ["-O0"]),
    *(("examples/finetune.cpp", mode, FINE_TUNE, ["-O2", *flags]) for mode, flags in MODES.items()),
    ("bit/implementation.hpp", "one unit, -O2", "#include <bit/implementation.hpp>\n", ["-O2", *COMPILED]),
    ("bit/implementation.hpp", "one unit, -O1", "#include <bit/implementation.hpp>\n", ["-O1", *COMPILED]),
    *(
        (f"part {part}", f"one part, {level}", f"#include <bit/implementation/{part}.hpp>\n", [level, *COMPILED])
        for level in ("-O2", "-O1")
        for part in PARTS
    ),
]


def compile_once(source: str, flags: list[str]) -> tuple[float, float, float]:
    """(user seconds, wall seconds, peak MB) of one g++ -c, peak of the largest process that the driver starts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "program.cpp")
        file.write_text(source)
        command = ["g++", "-std=c++20", "-fopenmp", *flags, "-c", str(file), "-o", str(file) + ".o"]
        start = time.perf_counter()
        pid = os.posix_spawnp(command[0], command, os.environ)
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"compile_cost: the program does not compile: {' '.join(command)}\n{source}")
    return usage.ru_utime, seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Entry point."""
    build = Path(sys.argv[1])
    include = include_line(build)
    rows: list[dict[str, str | float]] = []
    print(f"{'program':26} {'mode':18} {'user':>8} {'wall':>8} {'peak':>8}")
    for program, mode, source, flags in ROWS:
        user, wall, megabytes = min(compile_once(source, include + flags) for _ in range(2))
        rows.append({"program": program, "mode": mode, "user": user, "wall": wall, "peak_mb": megabytes})
        print(f"{program:26} {mode:18} {user:6.2f} s {wall:6.2f} s {megabytes:5.0f} MB", flush=True)
    for level in ("-O2", "-O1"):
        seconds = sorted((float(r["user"]) for r in rows if r["mode"] == f"one part, {level}"), reverse=True)
        cores = [0.0, 0.0]
        for part in seconds:  # the longest first, each on the core that is free sooner, as ninja -j2 nearly does
            cores[cores.index(min(cores))] += part
        print(f"{'parts together':26} {'two cores, ' + level:18} {sum(seconds):6.2f} s {max(cores):6.2f} s")
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else build / "compile_cost.json"
    output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
