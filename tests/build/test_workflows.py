# SPDX-License-Identifier: Apache-2.0
"""The workflows call targets that exist, run what they promise, and the check sees each kind of mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from check_workflows import check, make_calls

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github/workflows"

MAKEFILE = "FUZZ_SECONDS ?= 600\nSTAGES := build ctest\nbuild:\nctest: build\ntest: build\nfuzz:\n"
SHARED = """
on: {workflow_call: {inputs: {targets: {type: string, required: true}, minutes: {type: number}}}}
permissions: {contents: read}
jobs: {make: {runs-on: x, timeout-minutes: 5, steps: [{run: "make ${{ inputs.targets }}"}]}}
"""
HEAD = "on: {push: {}}\npermissions: {contents: read}\n"


def repository(folder: Path, workflow: str) -> Path:
    (folder / ".github/workflows").mkdir(parents=True)
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / ".github/workflows/make.yml").write_text(SHARED)
    (folder / ".github/workflows/some.yml").write_text(workflow)
    return folder


def job(text: str) -> str:
    return HEAD + "jobs: {j: " + text + "}\n"


def test_the_workflows_of_this_checkout_call_what_exists() -> None:
    assert check(ROOT) == []


@pytest.mark.parametrize(
    "workflow",
    [
        job("{uses: ./.github/workflows/make.yml, with: {targets: fuzz FUZZ_SECONDS=3}}"),
        job("{runs-on: x, timeout-minutes: 1, steps: [{run: 'make test STAGES=\"build ctest\"'}]}"),
        job(
            "{strategy: {matrix: {s: [build, ctest]}}, uses: ./.github/workflows/make.yml, "
            "with: {targets: 'test STAGES=${{ matrix.s }}'}}"
        ),
    ],
)
def test_what_is_right_is_not_reported(workflow: str, tmp_path: Path) -> None:
    assert check(repository(tmp_path, workflow)) == []


@pytest.mark.parametrize(
    ("workflow", "problem"),
    [
        ("on: [push\njobs:", "no YAML"),
        (HEAD, "no jobs"),
        ("permissions: {}\njobs: {j: {timeout-minutes: 1}}", "nothing starts it"),
        ("on: {push: {}}\njobs: {j: {timeout-minutes: 1}}", "no permissions"),
        (job("{runs-on: x, timeout-minutes: 1, steps: [{run: make tset}]}"), "no target 'tset'"),
        (job("{runs-on: x, timeout-minutes: 1, steps: [{run: make fuzz SECONDS=3}]}"), "no variable 'SECONDS'"),
        (job("{uses: ./.github/workflows/make.yml, with: {targets: test STAGES=asan}}"), "no stage 'asan'"),
        (
            job(
                "{strategy: {matrix: {s: [build, nope]}}, uses: ./.github/workflows/make.yml, "
                "with: {targets: 'test STAGES=${{ matrix.s }}'}}"
            ),
            "no stage 'nope'",
        ),
        (job("{runs-on: '${{ matrix.os }}', timeout-minutes: 1, steps: []}"), "matrix.os is used and not defined"),
        (job("{uses: ./.github/workflows/mak.yml, with: {targets: test}}"), "mak.yml, which is not there"),
        (job("{uses: ./.github/workflows/make.yml, with: {targets: test, target: x}}"), "has no input 'target'"),
        (job("{uses: ./.github/workflows/make.yml}"), "needs the input 'targets'"),
        (job("{runs-on: x, steps: []}"), "no timeout-minutes"),
    ],
)
def test_a_mistake_is_reported(workflow: str, problem: str, tmp_path: Path) -> None:
    found = check(repository(tmp_path, workflow))
    assert len(found) == 1 and problem in found[0]


def calls(name: str) -> list[str]:
    workflow: dict[str, Any] = yaml.safe_load((WORKFLOWS / name).read_text())
    return [call for one in workflow["jobs"].values() for call in make_calls(one)]


def test_every_stage_of_make_test_runs_for_every_change() -> None:
    line = next(ln for ln in (ROOT / "Makefile").read_text().splitlines() if ln.startswith("STAGES :="))
    run = " ".join(calls("pull-request.yml")).replace("'", " ").replace("=", " ").split()
    assert set(line.split()[2:]) - {"build"} <= set(run)  # build comes with what needs it


def test_nightly_runs_the_slow_tests_the_oracles_and_the_fuzzers() -> None:
    assert {call.split()[0] for call in calls("nightly.yml")} == {"test-slow", "test-oracle", "fuzz"}
    assert "FUZZ_SECONDS=1800" in " ".join(calls("nightly.yml"))


def test_issue_forms_are_yaml_and_those_about_faults_ask_for_pybit_info() -> None:
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")}
    for name in ("bug", "slow"):
        fields = {f["id"]: f for f in forms[name]["body"] if "id" in f}
        assert "`pybit info`" in fields["info"]["attributes"]["label"] and fields["info"]["validations"]["required"]


def test_the_citation_names_the_version_and_the_paper() -> None:
    facts = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f'#define BIT_VERSION "{facts["version"]}"' in (ROOT / "include/bit/config.hpp").read_text()
    assert facts["references"][0]["title"].startswith("Big Transfer") and len(facts["references"][0]["authors"]) == 7
