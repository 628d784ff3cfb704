# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' page and terminal table, and what is refused as a release."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
cases = pytest.importorskip("cases", reason="the repository's benchmarks/ is not here")
import figures  # noqa: E402
import machine  # noqa: E402
import release  # noqa: E402
import report  # noqa: E402
import run as benchmark_run  # noqa: E402
import training_curve  # noqa: E402


def round_of(*seconds: float) -> dict[str, Any]:
    return {"seconds": list(seconds), "others": 0.0}


def some_results(ours: float) -> dict[str, Any]:
    summary = figures.summary([round_of(0.020, 0.022)])
    own = figures.summary([round_of(ours, ours)])
    case = cases.ALL[0]
    job = {
        "case": case.name,
        "title": case.title,
        "gflop": 8.0,
        "peak": {"kind": "avx512", "gflops": 500.0},
        "commit": "abc",
        "contenders": {
            "pybit": {"time": own, "error": 4.2e-6, "versions": {"pybit": "1"}},
            "OpenVINO": {"time": summary, "error": 0.061, "versions": {"openvino": "2"}},
            "torch.compile": {"note": "its process ended"},
        },
    }
    facts = {"name": "X", "cpus": 2, "flags": ["avx2"], "memory_gb": 1, "kernel": "Linux 6", "python": "3"}
    return {"machine": facts, "jobs": {case.name: job}}


def test_the_page_tells_ratios_failures_and_losses(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    report.write(page, some_results(0.016), {})
    won = page.read_text()
    assert "**1.25×** (1.31×)" in won  # by the least times 20 / 16, by the medians 21 / 16
    assert "16.0 (16.0); 4e-6 |" in won and "20.0 (21.0); 6e-2 |" in won  # errors stand beside times
    assert "its process ended" in won and "In none of the 1 cases" in won
    assert "100 %" in won  # 8 GFLOP in 16 ms at a peak of 500
    assert "**missed**" in won  # 1.25 is less than the goal
    report.write(page, some_results(0.025), {})
    assert "A peer is faster in 1 of 1 cases" in page.read_text()


def test_goals_show_the_ratio_of_medians_beside_that_of_minima() -> None:
    table = report.goals_table(some_results(0.016)["jobs"])
    assert "| R50x1-fp32-224x224-b1-t2 | 1.35× | 1.25× | 1.31× | OpenVINO | **missed** |" in table
    assert "| R50x1-fp32-224x224-b8-t2 | 1.55× | – | – | – | not measured |" in table


def test_the_terminal_shows_both_ratios_and_the_errors() -> None:
    job = next(iter(some_results(0.016)["jobs"].values())) | {"took": 1.0}
    shown = benchmark_run.show(job)
    assert "best peer / pybit: 1.25 by minima, 1.31 by medians" in shown and "4.2e-06" in shown


def test_a_release_is_of_one_clean_commit() -> None:
    jobs = {"memory": {"commit": "abc"}, "sizes": {"commit": "abd+"}}
    assert release.refusal([], "abc", {"memory": jobs["memory"]}, ()) is None
    assert release.refusal([], "abc", jobs, {"sizes"}) is None  # the other commit's case is measured anew
    assert "git checkout abd" in str(release.refusal([], "abc", jobs, ()))
    assert "differ from abc: a.cpp. Commit them" in str(release.refusal(["a.cpp"], "abc+", {}, ()))
    assert "and 2 more" in str(release.refusal(list("abcdefg"), "abc+", {}, ()))
    assert "clone" in str(release.refusal(None, "unknown", {}, ()))


def test_only_a_release_writes_the_published_page(tmp_path: Path) -> None:
    assert release.places("release", tmp_path)[1] == ROOT / "docs/benchmarks.md"
    assert release.places("mine", tmp_path) == (tmp_path / "mine.json", tmp_path / "mine/benchmarks.md")


def test_changes_of_a_checkout_are_seen_but_for_the_benchmarks_own_outputs(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    assert machine.changes(tmp_path) is None and machine.versions(tmp_path) == {"commit": "unknown"}
    git("init", "-q")
    (tmp_path / "a.txt").write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert machine.changes(tmp_path) == []
    (tmp_path / "benchmarks/results").mkdir(parents=True)
    (tmp_path / "benchmarks/results/release.json").write_text("{}")
    assert machine.changes(tmp_path) == [] and not machine.versions(tmp_path)["commit"].endswith("+")
    (tmp_path / "new.txt").touch()
    (tmp_path / "a.txt").write_text("2")
    assert sorted(machine.changes(tmp_path) or []) == ["a.txt", "new.txt"]
    assert machine.versions(tmp_path)["commit"].endswith("+")


def test_a_release_of_a_changed_tree_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "--name", "release", "--work", str(tmp_path), "--cases", "memory"])
    monkeypatch.setattr(machine, "changes", lambda *_: ["include/bit/tensor.hpp"])
    monkeypatch.setattr(benchmark_run, "perform", lambda *_: pytest.fail("measured"))
    with pytest.raises(SystemExit):
        benchmark_run.main()
    assert "include/bit/tensor.hpp. Commit them" in capsys.readouterr().err


def test_the_committed_curves_agree_and_the_page_tells_them() -> None:
    facts = json.loads((ROOT / "benchmarks/results/training_curve.json").read_text())
    assert training_curve.faults(facts["curves"]) == [] and facts["steps"] == 100
    assert facts["excess"] == pytest.approx(training_curve.summary(facts["curves"])["excess"])
    text = report.curve_section(facts)
    assert "100 steps" in text and f"{facts['mean_distance']['pybit float32']:.1e}" in text
    assert (ROOT / "docs/benchmarks/training_curve.png").is_file()


def test_committed_results_can_be_read_by_the_page(tmp_path: Path) -> None:
    runs = [path for path in (ROOT / "benchmarks/results").glob("*.json") if path.name != "training_curve.json"]
    assert runs
    for path in runs:
        report.write(tmp_path / "page.md", json.loads(path.read_text()), {})
        text = (tmp_path / "page.md").read_text()
        assert text.startswith("# Benchmarks") and "## Goals" in text and "| failed |" not in text


def test_the_published_page_is_what_the_committed_results_render_to(tmp_path: Path) -> None:
    """A page edited by hand, or results or wording changed without writing the page anew, would differ."""
    curve = json.loads((ROOT / "benchmarks/results/training_curve.json").read_text())
    charts = {key: f"{key}.png" for key in [*report.groups(), "footprint"]}
    pages = []
    for path in (ROOT / "benchmarks/results").glob("*.json"):
        if path.name != "training_curve.json":
            report.write(tmp_path / "page.md", json.loads(path.read_text()), charts, curve)
            pages.append((tmp_path / "page.md").read_text())
    assert (ROOT / "docs/benchmarks.md").read_text() in pages
