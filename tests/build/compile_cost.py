"""Measures what including <bit/resnet.hpp> costs a program: seconds and peak memory of g++ -O2, in both modes.

Usage: compile_cost.py BUILD [JSON]. Prints a table and writes the same as JSON. It asserts nothing: seconds depend on
the machine. The aim, on two cores of a small machine: 6 s and 600 MB header-only, 2 s compiled mode.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from check_headers import MODES, include_line

# A program that only includes the library, one that makes a model and runs it, and one that loads a checkpoint first.
PROGRAMS = {
    "include only": "#include <bit/resnet.hpp>\nint main() {}\n",
    "freeze and run": """
#include <bit/resnet.hpp>
int main() {
  const auto model = bit::resnet_v2<>(bit::resnet_config{}).freeze();
  const bit::tensor4<float> images = xt::zeros<float>({1, 3, 224, 224});
  return model(images).size() == 1000 ? 0 : 1;
}
""",
    "load, freeze, run, top_k": """
#include <bit/resnet.hpp>
int main(int, char** argv) {
  const auto model = bit::load(argv[1]).freeze();
  const bit::tensor4<float> images = xt::zeros<float>({1, 3, 224, 224});
  return bit::top_k(model(images), 5).size() == 5 ? 0 : 1;
}
""",
}


def compile_once(source: str, flags: list[str]) -> tuple[float, float]:
    """(seconds, peak MB) of one g++ -O2 -c, of the largest process that the driver starts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "program.cpp")
        file.write_text(source)
        command = ["g++", "-std=c++20", "-O2", "-fopenmp", *flags, "-c", str(file), "-o", str(file) + ".o"]
        start = time.perf_counter()
        pid = os.posix_spawnp(command[0], command, os.environ)
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"compile_cost: the program does not compile: {' '.join(command)}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Entry point."""
    build = Path(sys.argv[1])
    flags = include_line(build)
    rows = []
    for name, source in PROGRAMS.items():
        for mode, macros in MODES.items():
            runs = [compile_once(source, flags + macros) for _ in range(3)]
            rows.append({"program": name, "mode": mode, "seconds": min(r[0] for r in runs), "peak_mb": runs[0][1]})
    for row in rows:
        print(f"{row['program']:30} {row['mode']:12} {row['seconds']:6.2f} s {row['peak_mb']:6.0f} MB")
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else build / "compile_cost.json"
    output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
