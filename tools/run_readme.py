# SPDX-License-Identifier: Apache-2.0
"""Runs documents as a reader would: every fenced block that follows a line `<!-- ci -->`, in order, in one folder.

Usage: run_readme.py README... --python PYTHON --prefix PREFIX
  sh, bash   run by bash -e, with PYTHON's folder first on the PATH
  python     all blocks of all documents are one program, as in a notebook
  cmake      becomes the CMakeLists.txt of the C++ blocks that follow
  cpp        becomes a file, main.cpp or the one that a first line `// name.cpp` gives, and is built (without a cmake
             block against bit::bit) and run; PREFIX is where find_package(bit) looks
The folder holds the inputs that the documents name: tests/readme_inputs.py writes them there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CMAKE = """cmake_minimum_required(VERSION 3.24)
project(readme LANGUAGES CXX)
find_package(bit REQUIRED)
add_executable(main main.cpp)
target_link_libraries(main PRIVATE bit::bit)
"""

# One JSON string per line is one cell; a line with a NUL says that it is done.
DONE = "\0done\n"
NOTEBOOK = """
import json, sys
names = {"__name__": "__main__"}
for line in sys.stdin:
    exec(compile(json.loads(line), "README", "exec"), names)
    print("\\0done")
"""


class Block(NamedTuple):
    """One fenced block: its language, its text and the line it begins at."""

    language: str
    text: str
    line: int


def blocks(markdown: str) -> list[Block]:
    """The blocks marked for CI. Raises ValueError for a mark that no fenced block follows."""
    found = []
    for mark in re.finditer(r"^<!-- ci -->[ \t]*\n", markdown, flags=re.M):
        line = markdown.count("\n", 0, mark.end()) + 1
        fence = re.match(r"\n*```(\w+)\n(.*?)^```[ \t]*$", markdown[mark.end() :], flags=re.S | re.M)
        if fence is None:
            raise ValueError(f"line {line}: expected a fenced block with a language after <!-- ci -->")
        found.append(Block(fence[1], fence[2], line))
    return found


class Runner:
    """Runs blocks in `folder`; all Python blocks run in one process, which lives until `close`."""

    def __init__(self, folder: Path, python: Path, prefix: Path) -> None:
        self.folder, self.python, self.prefix = folder, python, prefix
        self.notebook: subprocess.Popen[str] | None = None
        self.cmake, self.projects = CMAKE, 0
        # The README is for people without our checkout on their path.
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.environment["PATH"] = f"{python.parent}:{os.environ['PATH']}"

    def call(self, *command: str | Path, folder: Path | None = None) -> None:
        """Runs a command; its output is shown, and an error ends everything."""
        where = folder or self.folder
        subprocess.run([str(c) for c in command], cwd=where, env=self.environment, check=True)

    def cell(self, text: str) -> None:
        """Runs a Python block after the ones before it."""
        if self.notebook is None:
            command = [str(self.python), "-u", "-W", "error", "-c", NOTEBOOK]
            self.notebook = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self.notebook.stdin and self.notebook.stdout
        self.notebook.stdin.write(json.dumps(text) + "\n")
        self.notebook.stdin.flush()
        for line in self.notebook.stdout:
            if line == DONE:
                return
            print(line, end="")
        raise subprocess.CalledProcessError(self.notebook.wait(), "python")

    def close(self) -> None:
        """Ends the Python process."""
        if self.notebook:
            self.notebook.communicate()

    def build(self, text: str) -> None:
        """Configures, builds and runs a C++ block."""
        self.projects += 1
        project = self.folder / f"project{self.projects}"
        project.mkdir()
        name = match[1] if (match := re.match(r"// (\w+\.cpp)\n", text)) else "main.cpp"
        (project / name).write_text(text)
        (project / "CMakeLists.txt").write_text(self.cmake)
        options = [f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Release"]
        self.call("cmake", "-S", project, "-B", project / "build", *options)
        self.call("cmake", "--build", project / "build")
        programs = [p for p in (project / "build").iterdir() if p.is_file() and os.access(p, os.X_OK)]
        for program in programs:
            self.call(program)

    def run(self, block: Block) -> None:
        """One block."""
        print(f"-- line {block.line}: {block.language}", flush=True)
        if block.language in ("sh", "bash", "console"):
            self.call("bash", "-ec", re.sub(r"^\$ ", "", block.text, flags=re.M))
        elif block.language == "python":
            self.cell(block.text)
        elif block.language == "cmake":
            self.cmake = block.text
        elif block.language == "cpp":
            self.build(block.text)
        else:
            raise ValueError(f"line {block.line}: expected sh, bash, python, cmake or cpp, got {block.language}")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readme", type=Path, nargs="+")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--prefix", type=Path, required=True)
    options = parser.parse_args()
    documents = {path: blocks(path.read_text()) for path in options.readme}
    with tempfile.TemporaryDirectory(prefix="readme") as folder:
        # absolute(), not resolve(): a virtual environment's python is a link out of it.
        runner = Runner(Path(folder), options.python.absolute(), options.prefix.absolute())
        inputs = ROOT / "tests/readme_inputs.py"
        if inputs.exists():
            runner.call(sys.executable, inputs, folder)
        try:
            for path, marked in documents.items():
                print(f"== {path}", flush=True)
                runner.cmake = CMAKE  # a project that one document shows is none of the next one's
                for block in marked:
                    runner.run(block)
        finally:
            runner.close()
    print("; ".join(f"{path}: {len(marked)} blocks run" for path, marked in documents.items()))


if __name__ == "__main__":
    main()
