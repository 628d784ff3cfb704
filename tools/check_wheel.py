# SPDX-License-Identifier: Apache-2.0
"""Builds the source archive and the wheel, installs that into a clean environment and checks what a user gets.

Usage: check_wheel.py FOLDER. Leaves FOLDER/dist and the environment FOLDER/venv. Prints sizes and import time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/build"))
from check_isa import check as instructions_beyond_baseline  # noqa: E402

NEEDED = ("pybit/__init__.py", "pybit/py.typed", "pybit/_core.pyi")


def run(*command: str | Path, **options: str) -> str:
    """Runs a command with extra environment variables; its output, or exit with it if it fails."""
    words = [str(c) for c in command]
    environment = {**os.environ, **options}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout}")
    return done.stdout.strip()


def build(folder: Path) -> Path:
    """The source archive, which must hold all that the wheel is made of, and the wheel as `pip install .` makes it."""
    dist = folder / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", dist, ROOT)
    archive = next(dist.glob("*.tar.gz"))
    with tarfile.open(archive) as tar:
        packed = {name.partition("/")[2] for name in tar.getnames()}
    tracked = run("git", "-C", ROOT, "ls-files", "CMakeLists.txt", "cmake", "include", "python").splitlines()
    if missing := sorted(set(tracked) - packed):
        raise SystemExit(f"{archive.name} lacks {missing}")
    # Compiler, warnings and pybind11 of the development build, so that ccache knows its objects: 18 s instead of 174.
    same = {"CXX": "c++"} if shutil.which("c++") else {}
    same |= {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache"} if shutil.which("ccache") else {}
    options = ["-C", f"build-dir={folder / 'objects'}", "-C", "cmake.define.BIT_WARNINGS_AS_ERRORS=ON"]
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", dist, *options, ROOT, **same)
    wheel = next(dist.glob("*.whl"))
    print(f"{archive.name}: {archive.stat().st_size / 1e6:.2f} MB, {wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")
    return wheel


def check_content(wheel: Path, objects: Path) -> None:
    """The wheel holds the package, its types and the extension, nothing else; the extension runs on any x86-64 CPU."""
    names = zipfile.ZipFile(wheel).namelist()
    missing = [name for name in NEEDED if name not in names]
    ours = [n for n in names if n.startswith(("pybit/", "big_transfer-")) and not n.endswith((".cpp", ".hpp", ".a"))]
    strangers = sorted(set(names) - set(ours))
    if missing or strangers:
        raise SystemExit(f"{wheel.name}: missing {missing}, does not belong there: {strangers}")
    # The build folder's copy is the same extension before its symbols are stripped.
    if found := instructions_beyond_baseline(str(next(objects.rglob("_core*.so")))):
        raise SystemExit(f"{wheel.name}: instructions beyond SSE2 outside dispatched functions: {found}")


def check_installed(wheel: Path, venv: Path) -> None:
    """Installs into a fresh environment: NumPy is all that comes along, and the import works."""
    run(sys.executable, "-m", "venv", "--clear", venv)
    python = venv / "bin/python"
    run(python, "-m", "pip", "install", wheel)
    packages = {line.split("==")[0].split(" @")[0] for line in run(python, "-m", "pip", "freeze").splitlines()}
    if packages != {"big-transfer", "numpy"}:
        raise SystemExit(f"expected big-transfer and numpy in the clean environment, got {sorted(packages)}")
    seconds = {}
    for module in ("sys", "numpy", "pybit"):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            run(python, "-W", "error", "-c", f"import {module}")
            times.append(time.perf_counter() - start)
        seconds[module] = min(times)
    ours, numpy = seconds["pybit"] - seconds["sys"], seconds["numpy"] - seconds["sys"]
    print(f"import pybit: {ours:.3f} s, of which numpy {numpy:.3f} s")


def main() -> None:
    """Entry point."""
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = build(folder)
    check_content(wheel, folder / "objects")
    check_installed(wheel, folder / "venv")
    print(f"{wheel.name} is sound")


if __name__ == "__main__":
    main()
