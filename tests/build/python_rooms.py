# SPDX-License-Identifier: Apache-2.0
"""The house rules of python/pybit: which sub-package may import which, no circles, absolute imports, short files.

Every import counts, also one inside a function, under TYPE_CHECKING or through importlib.import_module.
`check_house.py` calls `check`; `python_rooms.py [ROOT]` prints the violations and two counts.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_LINES = 300

# Each room may import itself and what stands here; `pybit._core`, the extension module, is free to all.
_SEEN_BY_ALL = {"errors", "base"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "base": {"errors"},
    "registry": _SEEN_BY_ALL,
    "formats": _SEEN_BY_ALL,
    "hub": {*_SEEN_BY_ALL, "registry"},
    "data": {*_SEEN_BY_ALL, "formats"},
    "network": {*_SEEN_BY_ALL, "data"},
    "inference": {*_SEEN_BY_ALL, "data", "network"},
    "report": {*_SEEN_BY_ALL, "data", "network"},
    "model": {*_SEEN_BY_ALL, "registry", "formats", "hub", "data", "network", "inference", "report"},
    "evaluation": {*_SEEN_BY_ALL, "registry", "hub", "data", "network", "inference", "model"},
    "quality": {*_SEEN_BY_ALL, "data", "model", "evaluation"},
    "train": {*_SEEN_BY_ALL, "formats", "data", "network", "model", "evaluation"},
    "torch": {*_SEEN_BY_ALL, "network", "model"},
    "export": {*_SEEN_BY_ALL, "data", "model"},
    "sklearn": {*_SEEN_BY_ALL, "registry", "data", "inference", "model", "evaluation", "train"},
    "cli": {
        *_SEEN_BY_ALL,
        *("registry", "formats", "hub", "data", "network", "inference", "report", "model", "evaluation"),
        *("quality", "train", "export"),
    },
}
# Modules that give names of rooms to users. They may import any room; nothing in a room may import them.
DOORS = {
    *("__init__", "__main__", "cards", "datasets", "labels", "probe", "recipe", "trainer"),
    "train.__main__",
}


def module_name(path: str) -> str:
    """The dotted name below pybit of a file relative to python/pybit; a package's is that of its folder."""
    name = path.removesuffix(".py").replace("/", ".")
    return name if name == "__init__" else name.removesuffix(".__init__")


def room(module: str) -> str:
    """The room that a module below pybit belongs to: its first folder, or itself."""
    return module.split(".")[0]


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, str | None]]:
    """Line, module and name (None for a module as a whole) of each absolute import; ("", None) for relative ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, "" if node.level else str(node.module), alias.name
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            argument = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if called in ("import_module", "__import__") and isinstance(argument, ast.Constant):
                yield node.lineno, str(argument.value).rstrip("."), None


def targets(text: str, modules: set[str]) -> Iterator[tuple[int, str, str | None]]:
    """Line, imported module below pybit ("" for pybit itself, "." for a relative import) and name, of each import."""
    for line, module, name in _imports(ast.parse(text)):
        if module == "":
            yield line, ".", name
        elif module == "pybit" or module.startswith("pybit."):
            below = module.removeprefix("pybit").removeprefix(".")
            inner = f"{below}.{name}".removeprefix(".")
            yield (line, inner, None) if name and (inner in modules or inner == "_core") else (line, below, name)


def violations(path: str, text: str, modules: set[str]) -> list[str]:
    """What the file `path` (relative to python/pybit) with content `text` does that the house forbids.

    `modules`: the names of all modules below pybit.
    """
    found = []
    own = module_name(path)
    if own not in DOORS and room(own) not in ROOMS:
        found.append(f"pybit/{path}: is in no room and is no door; see ROOMS in tests/build/python_rooms.py")
    for line, target, name in targets(text, modules):
        place = f"pybit/{path}:{line}"
        if target == ".":
            found.append(f"{place}: a relative import; write from pybit...")
        elif room(target) == "_core" or own in DOORS:
            continue
        elif target == "" or target in DOORS:
            found.append(f"{place}: imports the door pybit{'.' * bool(target)}{target}: import from the room")
        elif room(target) != room(own) and room(target) not in ROOMS.get(room(own), set()):
            found.append(f"{place}: {room(own)} may not import {room(target)} (pybit.{target})")
        elif room(target) != room(own) and any(
            p.startswith("_") and not p.endswith("__") for p in [*target.split("."), name or ""]
        ):
            found.append(f"{place}: pybit.{target}{'.' * bool(name)}{name or ''} is private to {room(target)}")
    if text.count("\n") > MAX_LINES:
        found.append(f"pybit/{path}: over {MAX_LINES} lines")
    return found


def circles(files: dict[str, str]) -> list[list[str]]:
    """Groups of modules that import each other; `files`: content by path relative to python/pybit."""
    modules = {module_name(path) for path in files}
    graph: dict[str, set[str]] = {
        module_name(path): {t for _, t, _ in targets(text, modules) if t in modules} for path, text in files.items()
    }
    reach = {module: set(seen) for module, seen in graph.items()}
    changed = True
    while changed:  # a hundred modules: the plain closure takes milliseconds
        changed = False
        for seen in reach.values():
            more = set().union(*(reach[m] for m in seen)) - seen
            seen |= more
            changed |= bool(more)
    groups = {tuple(sorted(m for m in seen if module in reach[m])) for module, seen in reach.items()}
    return sorted([*group] for group in groups if len(group) > 1)


def read(root: Path) -> dict[str, str]:
    """The files of root/python/pybit by their paths there."""
    base = root / "python/pybit"
    return {file.relative_to(base).as_posix(): file.read_text() for file in sorted(base.rglob("*.py"))}


def check(root: Path) -> list[str]:
    """All violations under root/python/pybit."""
    files = read(root)
    modules = {module_name(path) for path in files}
    found = [problem for path, text in files.items() for problem in violations(path, text, modules)]
    return found + [f"pybit: modules import each other: {', '.join(group)}" for group in circles(files)]


def forbidden_imports(problems: list[str]) -> int:
    """How many of `problems` are imports against the arrows."""
    return sum("may not import" in problem or "imports the door" in problem for problem in problems)


if __name__ == "__main__":
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    problems = check(root)
    print("\n".join(problems) or "the rooms of python/pybit hold")
    print(f"{len(circles(read(root)))} circles, {forbidden_imports(problems)} upward imports")
    sys.exit(bool(problems))
