# SPDX-License-Identifier: Apache-2.0
"""Checks that the workflows under .github call what exists: targets and variables of the Makefile, stages, workflows.

Usage: check_workflows.py [ROOT]. Prints one line per problem; exit status 1 if there is any. Workflows run on machines
that a change of the Makefile does not meet before it is merged, so a renamed target would be noticed at night, or by a
release.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


class Makefile:
    """The targets, the variables and the stages of a Makefile's text."""

    def __init__(self, text: str) -> None:
        self.targets = set(re.findall(r"^([a-z][a-z0-9-]*):(?!=)", text, re.M))
        self.variables = set(re.findall(r"^([A-Z_]+) *(?:\?=|:=|=)", text, re.M))

    def problems(self, words: str) -> Iterator[str]:
        """Yields what `make WORDS` names that is not there."""
        for word in shlex.split(words):
            name, equals, value = word.partition("=")
            if not equals:
                if name not in self.targets:
                    yield f"the Makefile has no target {name!r}"
            elif name not in self.variables:
                yield f"the Makefile has no variable {name!r}"
            elif name == "STAGES":
                yield from (f"the Makefile has no stage {s!r}" for s in value.split() if s not in self.targets)


def expanded(text: str, matrix: dict[str, Any]) -> list[str]:
    """Returns `text` once for each value of the matrix in place of ${{ matrix.KEY }}, without other expressions."""
    found = [text]
    for key in re.findall(r"\$\{\{\s*matrix\.([\w-]+)\s*\}\}", text):
        pattern = re.compile(rf"\$\{{\{{\s*matrix\.{key}\s*\}}\}}")
        found = [pattern.sub(str(value), one) for one in found for value in matrix.get(key, [""])]
    return [EXPRESSION.sub("", one) for one in found]


def make_calls(job: dict[str, Any]) -> Iterator[str]:
    """Yields what a job gives make: shell lines that begin with `make`, and the shared workflow's input `targets`."""
    matrix = job.get("strategy", {}).get("matrix", {})
    lines = [line for step in job.get("steps", []) for line in str(step.get("run", "")).splitlines()]
    calls = [line.strip().removeprefix("make ") for line in lines if re.match(r"\s*make\s", line)]
    calls += [job["with"]["targets"]] if "targets" in job.get("with", {}) else []
    for call in calls:
        yield from expanded(call, matrix)


def job_problems(job: dict[str, Any], root: Path, makefile: Makefile) -> Iterator[str]:
    """Yields what one job names that is not there, and what it lacks that every job must have."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for key in re.findall(r"\bmatrix\.([\w-]+)", yaml.safe_dump(job, width=10_000)):
        if key not in matrix:
            yield f"matrix.{key} is used and not defined"
    for call in make_calls(job):
        yield from makefile.problems(call)
    used = job.get("uses", "")
    if used.startswith("./"):
        path = root / used
        if not path.is_file():
            yield f"uses {used}, which is not there"
            return
        inputs = triggers(yaml.safe_load(path.read_text()))["workflow_call"]["inputs"]
        yield from (f"{used} has no input {name!r}" for name in job.get("with", {}) if name not in inputs)
        needed = [name for name, facts in inputs.items() if facts.get("required")]
        yield from (f"{used} needs the input {name!r}" for name in needed if name not in job.get("with", {}))
    elif "timeout-minutes" not in job:
        yield "has no timeout-minutes: a job that hangs would run for six hours"


def triggers(workflow: dict[Any, Any]) -> dict[str, Any]:
    """Returns what starts a workflow. YAML 1.1 reads the key `on` as True."""
    found = workflow.get("on", workflow.get(True))
    return found if isinstance(found, dict) else {}


def check(root: Path) -> list[str]:
    """Returns all problems of the workflows under root/.github/workflows."""
    makefile = Makefile((root / "Makefile").read_text())
    files = sorted((root / ".github/workflows").glob("*.y*ml"))
    found = [] if files else [f"no workflows under {root / '.github/workflows'}"]
    for file in files:
        try:
            workflow = yaml.safe_load(file.read_text())
        except yaml.YAMLError as error:
            found.append(f"{file.name}: no YAML: {' '.join(str(error).split())}")
            continue
        if not isinstance(workflow, dict) or not workflow.get("jobs"):
            found.append(f"{file.name}: no jobs")
            continue
        if not triggers(workflow):
            found.append(f"{file.name}: nothing starts it (`on` is missing or no mapping)")
        if "permissions" not in workflow:
            found.append(f"{file.name}: no permissions: its token could write to the repository")
        for name, job in workflow["jobs"].items():
            found += [f"{file.name}: {name}: {problem}" for problem in job_problems(job, root, makefile)]
    return found


if __name__ == "__main__":
    problems = check(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(problems) or "the workflows call what exists")
    sys.exit(bool(problems))
