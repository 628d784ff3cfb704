# SPDX-License-Identifier: Apache-2.0
"""tools/stages.py runs stages in an order that their needs allow, and tells what failed, was skipped or took long."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import stages  # noqa: E402


class Machine:
    """Stands in for make: remembers what ran beside what, and fails the stages it is told to."""

    def __init__(self, *failing: str) -> None:
        self.failing, self.lock = failing, threading.Lock()
        self.running: list[str] = []
        self.beside: dict[str, list[str]] = {}
        self.done: dict[str, Sequence[str]] = {}
        self.most = 0

    def run(self, stage: str, done: Sequence[str]) -> dict[str, Any]:
        with self.lock:
            self.beside[stage] = list(self.running)
            self.running.append(stage)
            self.most = max(self.most, len(self.running))
            self.done[stage] = done
        time.sleep(0.01)
        with self.lock:
            self.running.remove(stage)
        return {"stage": stage, "seconds": 1.0, "ok": stage not in self.failing, "note": ""}


def test_stages_run_side_by_side_after_what_they_need() -> None:
    machine = Machine()
    rows = stages.schedule(["build", "ctest", "wheel", "readme", "asan"], 2, machine.run)
    order = [row["stage"] for row in rows]
    assert machine.most == 2 and "build" in machine.beside["asan"]  # asan needs nothing, so it does not wait
    assert order.index("build") < order.index("ctest") and order.index("wheel") < order.index("readme")
    assert machine.done["readme"] == ["build", "wheel"] and machine.done["asan"] == []


def test_one_lane_runs_one_after_the_other() -> None:
    machine = Machine()
    stages.schedule(["asan", "tsan", "clang"], 1, machine.run)
    assert machine.most == 1


def test_a_stage_that_measures_runs_alone() -> None:
    machine = Machine()
    rows = stages.schedule(["build", "asan", "compile-cost", "tsan", "clang"], 2, machine.run)
    assert machine.beside["compile-cost"] == [] and len(rows) == 5
    assert all("compile-cost" not in beside for beside in machine.beside.values())


def test_a_failed_stage_stops_only_those_that_need_it() -> None:
    machine = Machine("wheel")
    rows = {r["stage"]: r for r in stages.schedule(["build", "wheel", "readme", "asan"], 2, machine.run)}
    assert rows["readme"]["note"] == "not run: wheel failed" and not rows["readme"]["ok"]
    assert "readme" not in machine.done and rows["asan"]["ok"]


def test_needs_that_are_not_named_are_added_before() -> None:
    assert stages.with_needs(["ctest", "readme", "asan"]) == ["build", "ctest", "wheel", "readme", "asan"]


def test_what_others_need_starts_first_and_then_what_took_longest() -> None:
    names = ["lint", "asan", "ctest", "build", "tidy"]
    assert stages.longest_first(names, {"ctest": 90.0, "asan": 300.0}) == ["build", "asan", "ctest", "lint", "tidy"]
    assert stages.longest_first(names, {}) == ["build", "lint", "asan", "ctest", "tidy"]


def test_every_stage_of_the_makefile_that_needs_the_build_is_known_to_need_it() -> None:
    """A stage with $(BUILT) that is missing in AFTER would build at the same time as another."""
    rules = dict(re.findall(r"^([a-z][a-z0-9-]*):(.*)$", (ROOT / "Makefile").read_text(), re.M))
    needing = {name for name, needs in rules.items() if "$(BUILT)" in needs}
    assert needing and needing <= set(stages.AFTER)
    lists = re.findall(r"^(?:SLOW_)?STAGES := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert len(lists) == 2 and {name for line in lists for name in line.split()} <= set(rules)
    assert set(stages.AFTER) | stages.ALONE <= set(rules)


def test_instruction_sets_that_were_not_exercised_are_named() -> None:
    emulated = [{"stage": "aarch64", "ok": True, "note": ""}]
    skipped = [{"stage": "aarch64", "ok": True, "note": "aarch64: SKIPPED, nothing was checked: no qemu"}]
    line = stages.isa_line(["scalar", "avx2"], emulated)
    assert "exercised: scalar, avx2, neon (emulated); not here: avx512, " in line
    assert stages.isa_line(["scalar", "avx2"], skipped).endswith("avx512_bf16, neon")
    assert stages.isa_line([], []).startswith("instruction sets exercised: none")


def test_a_total_beyond_the_promise_names_the_slowest_stages() -> None:
    rows = [
        {"stage": "asan", "seconds": 900.0},
        {"stage": "lint", "seconds": 30.0},
        {"stage": "ctest", "seconds": 1000.0},
    ]
    assert stages.overdue(1800, 1800, rows, {}) == "" and stages.overdue(99999, 0, rows, {}) == ""
    text = stages.overdue(1801, 1800, rows, {"asan": 300.0})
    assert text.startswith("WARNING: 1801 s in total, 1800 are promised")
    assert "ctest 1000 s, asan 900 s (before: 300), lint" in text


def test_two_lanes_need_two_cores_and_memory() -> None:
    assert [stages.default_lanes(*x) for x in ((2, 16e9), (1, 16e9), (8, 7e9))] == [2, 1, 1]


MAKEFILE = """
good: ; @sleep 0.2; echo fine
bad: ; @echo broken; exit 3
aarch64: ; @echo "aarch64: SKIPPED, nothing was checked: qemu is missing"
"""


@pytest.mark.parametrize(("names", "status"), [(["good", "aarch64"], 0), (["good", "bad"], 1)])
def test_the_summary_of_real_targets(names: list[str], status: int, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    for _ in range(2):  # the second run reads the first one's record
        command = [sys.executable, str(ROOT / "tools/stages.py"), "--promise", "0.000001", *names]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == status and done.stderr == ""
    record = json.loads((tmp_path / "build/logs/stages.json").read_text())
    assert {row["stage"]: row["ok"] for row in record["stages"]} == {name: name != "bad" for name in names}
    assert "WARNING" in done.stdout and "(before: " in done.stdout
    assert f"failed: {'bad' if status else 'none'}" in done.stdout
    assert ("see build/logs/bad.log" in done.stdout) == bool(status)
    assert status or "aarch64        aarch64: SKIPPED, nothing was checked" in done.stdout
