# SPDX-License-Identifier: Apache-2.0
"""Checks the house rules that a compiler does not: which folder may include which, and where libraries may appear.

The rules of the Python package are in python_rooms.py; this script checks them as well.

Usage: check_house.py [ROOT]. Prints one line per violation; exit status 1 if there is any.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import python_rooms

# Each folder may include itself and what stands left of it.
ARROWS = [
    "config",
    "detail",
    "error",
    "random",
    "bfloat16",
    "dtype",
    "tensor",
    "program",
    "backend",
    "nn",
    "model",
    "io",
]
# Folders beside that line, with all they may include.
BESIDE = {
    "data": {"config", "detail", "error", "random", "tensor", "data"},
    "eval": {"config", "detail", "error", "tensor", "eval"},
    "train": {*ARROWS, "data", "train"},
}
# Outside backend/, these alone may name the CPU backend: it is the default of what they hold.
NAMES_CPU = {"model/resnet_v2.hpp", "model/recorder_cpu.hpp", "model/trainable_cpu.hpp"}


# (what, pattern in code, paths that may match it)
WALLS = [
    ("xtensor outside the door", r"xt::|<xtensor", r"(?!backend/(cpu|cuda)/)"),
    ("Eigen outside eval/", r"Eigen::|<Eigen/", r"eval/"),
    ("an OpenMP pragma outside backend/cpu and data/", r'#\s*pragma omp|_Pragma\("omp', r"backend/cpu|data/"),
    (
        "intrinsics outside backend/cpu/isa/",
        r"immintrin|arm_neon|\b_mm\d*_|\b__m\d{3}|__builtin_(ia32|aarch64|neon)_",
        # The carry-less product of a checksum, and the pause of a waiting loop.
        r"backend/cpu/isa/|detail/crc32\.ipp$|backend/cpu/waiting\.hpp$",
    ),
    ("Python in a header", r"pybind11|Python\.h", r"(?!)"),
    ("output to the console", r"std::(cout|cerr|clog)|(?<![a-z_])f?printf\s*\(|(?<![a-z_])puts\s*\(", r"(?!)"),
    (
        "a step's kind asked for without a visitor, so that a new kind is forgotten in silence",
        r"\b(get_if|holds_alternative)<[\w:]*_step\b",
        r"(?!)",
    ),
    ("a macro defined outside config.hpp", r"^\s*#\s*(define|undef)\b", r"config\.hpp$|backend/cpu/isa/"),
]


def is_door(path: str) -> bool:
    """True for a public header (directly under include/bit, and no room), and for a part of the implementation.

    They may include anything; nothing else may include them.
    """
    return path.startswith("implementation/") or ("/" not in path and room(path) not in ARROWS)


def room(path: str) -> str:
    """The folder or single-file room of a path relative to include/bit."""
    return path.split("/")[0].removesuffix(".hpp").removesuffix(".ipp")


def allowed(folder: str) -> set[str]:
    """The rooms that a file in `folder` may include."""
    return BESIDE.get(folder) or set(ARROWS[: ARROWS.index(folder) + 1] if folder in ARROWS else ())


def violations(path: str, text: str) -> list[str]:
    """What the file `path` (relative to include/bit) with content `text` does that the house forbids."""
    found = []
    code = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    for number, line in enumerate(re.sub(r"//.*", "", code).splitlines(), 1):
        include = re.match(r"\s*#\s*include\s*[<\"](?:bit/)?([^>\"]+\.(?:hpp|ipp|inl|cuh))[>\"]", line)
        target = include[1] if include and ("<bit/" in line or '"' in line) else None
        if target and is_door(target) and not is_door(path):
            found.append(f"{path}:{number}: includes the public header {target}")
        elif target and not is_door(path) and room(target) not in allowed(room(path)):
            found.append(f"{path}:{number}: {room(path)} may not include {room(target)} ({target})")
        elif target and {"cpu", "cuda"} == set(re.findall(r"\bbackend/(cpu|cuda)\b", f"{path} {target}")):
            found.append(f"{path}:{number}: backend/cpu and backend/cuda may not include each other")
        elif (
            target
            and target.startswith("backend/cpu")
            and not (is_door(path) or path.startswith("backend/") or path in NAMES_CPU)
        ):
            found.append(f"{path}:{number}: only the backend and NAMES_CPU may name backend/cpu ({target})")
        for what, pattern, where in WALLS:
            if re.search(pattern, line) and not re.match(where, path):
                found.append(f"{path}:{number}: {what}: {line.strip()}")
    if text.count("\n") > 300 and "longer than 300 lines" not in text:
        found.append(f"{path}: over 300 lines without a sentence that says why it is longer than 300 lines")
    if path.endswith(".hpp") and "#pragma once" not in text:
        found.append(f"{path}: no #pragma once")
    return found


def check(root: Path) -> list[str]:
    """All violations under root/include and root/python/pybit."""
    files = [f for f in sorted((root / "include").rglob("*")) if f.is_file()]
    found = [f"{f}: a file without extension can hide a standard header" for f in files if not f.suffix]
    for file in files:
        found += violations(file.relative_to(root / "include/bit").as_posix(), file.read_text())
    return found + python_rooms.check(root)


if __name__ == "__main__":
    problems = check(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(problems) or "house rules hold")
    sys.exit(bool(problems))
