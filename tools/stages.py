# SPDX-License-Identifier: Apache-2.0
"""Runs make targets side by side where they do not depend on each other, and sums up.

Usage: stages.py [--lanes N] [--promise SECONDS] TARGET...

Output goes to build/logs/TARGET.log; the closing lines of each target are shown, many more if it failed. The end shows
seconds, instruction sets that the tests ran on, and the compiler cache's hits. A failed target stops only those that
need it. The exit status is 1 if any failed. A total beyond --promise is a warning, not a failure: machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

LOGS = Path("build/logs")
# What must have run before. Targets that need the build are told that it is there (DONE), or two would build at once.
AFTER = {
    "readme": ("build", "wheel"),
    **dict.fromkeys(("ctest", "pytest", "lint", "headers", "wheel", "compile-cost", "ctest-slow"), ("build",)),
    **dict.fromkeys(
        ("headers-whole", "pytest-slow", "pytest-explore", "pytest-oracle", "demo", "coverage-python"), ("build",)
    ),
}
ALONE = {"compile-cost", "ctest-slow", "pytest-slow"}  # they measure seconds or take most of the memory
MEMORY_PER_LANE = 6e9  # bytes: each of a lane's two compilers takes up to 2 GB, and tests up to 1.5
ISAS = ("scalar", "avx2", "avx512", "avx512_bf16_float", "avx512_bf16", "neon")
Runner = Callable[[str, Sequence[str]], dict[str, Any]]


def with_needs(stages: Sequence[str]) -> list[str]:
    """Returns the stages and, before each, those that it needs and that were not named."""
    found: list[str] = []
    for stage in stages:
        found += [s for s in (*AFTER.get(stage, ()), stage) if s not in found]
    return found


def longest_first(stages: Sequence[str], before: Mapping[str, float]) -> list[str]:
    """Returns the order in which stages should start: those that others need, then those that took longest before.

    A long stage that starts last leaves the other lanes idle. Stages without a record keep their order, in the end.
    """
    needed = {need for stage in stages for need in AFTER.get(stage, ())}
    return sorted(stages, key=lambda stage: (stage not in needed, -before.get(stage, 0)))


def ready(waiting: Sequence[str], running: Sequence[str], ok: Mapping[str, bool]) -> str | None:
    """Returns the first stage that may start beside those that run, or None."""
    if any(stage in ALONE for stage in running):
        return None
    for stage in waiting:
        if stage in ALONE and running:
            continue
        if all(ok.get(need) for need in AFTER.get(stage, ())):
            return stage
    return None


def hopeless(waiting: Sequence[str], ok: Mapping[str, bool]) -> list[str]:
    """Returns the stages that can never start because one that they need has failed."""
    return [stage for stage in waiting if any(ok.get(need) is False for need in AFTER.get(stage, ()))]


def schedule(stages: Sequence[str], lanes: int, run: Runner) -> list[dict[str, Any]]:
    """Runs all stages, at most `lanes` at once. Returns a row for each, in the order in which they ended."""
    waiting, rows = list(stages), []
    running: dict[Future[dict[str, Any]], str] = {}
    ok: dict[str, bool] = {}
    with ThreadPoolExecutor(lanes) as pool:
        while waiting or running:
            for stage in hopeless(waiting, ok):
                waiting.remove(stage)
                ok[stage] = False
                needs = [need for need in AFTER[stage] if ok.get(need) is False]
                rows.append({"stage": stage, "seconds": 0.0, "ok": False, "note": f"not run: {needs[0]} failed"})
            while len(running) < lanes and (stage := ready(waiting, list(running.values()), ok) or ""):
                waiting.remove(stage)
                running[pool.submit(run, stage, [s for s in AFTER.get(stage, ()) if ok.get(s)])] = stage
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                stage = running.pop(future)
                rows.append(future.result())
                ok[stage] = bool(rows[-1]["ok"])
    return rows


printing = threading.Lock()


def run(stage: str, done: Sequence[str]) -> dict[str, Any]:
    """Runs one stage; prints its last lines if it passes, many more if it fails."""
    with printing:
        print(f"== {stage} starts", flush=True)
    start = time.monotonic()
    with open(LOGS / f"{stage}.log", "w+", errors="replace") as log:
        command = [os.environ.get("MAKE", "make"), "--no-print-directory", stage, f"DONE={' '.join(done)}"]
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode
        log.seek(0)
        lines = [line.rstrip() for line in log if line.strip()]
    seconds = time.monotonic() - start
    with printing:
        print(f"== {stage}: {'ok' if status == 0 else 'FAILED'} after {seconds:.0f} s")
        print("\n".join("   " + line for line in lines[-4 if status == 0 else -80 :]), flush=True)
    skipped = next((line for line in lines if "SKIPPED, nothing was checked" in line), "")
    note = skipped if status == 0 else f"see {LOGS / stage}.log"
    return {"stage": stage, "seconds": round(seconds, 1), "ok": status == 0, "note": note}


def isa_line(available: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns a line on which instruction sets the tests ran: this CPU's, and NEON if the aarch64 stage emulated it."""
    emulated = [r for r in rows if r["stage"] == "aarch64" and r["ok"] and not r["note"]]
    found = [*available, *(["neon (emulated)"] if emulated and "neon" not in available else [])]
    missing = [isa for isa in ISAS if not any(f.split()[0] == isa for f in found)]
    return f"instruction sets exercised: {', '.join(found) or 'none'}; not here: {', '.join(missing) or 'none'}"


def available_isas() -> list[str]:
    """Returns the instruction sets that the built extension finds on this CPU; none if it cannot be imported."""
    script = "import json, pybit; print(json.dumps(pybit.build_info()['isas']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return list(json.loads(done.stdout)) if done.returncode == 0 else []


def overdue(seconds: float, promise: float, rows: Sequence[Mapping[str, Any]], before: Mapping[str, float]) -> str:
    """Returns a warning that names the slowest stages and what they took before; empty if the promise was kept."""
    if not promise or seconds <= promise:
        return ""
    slowest = sorted(rows, key=lambda row: -row["seconds"])[:4]
    told = [
        f"{r['stage']} {r['seconds']:.0f} s" + (f" (before: {before[r['stage']]:.0f})" if r["stage"] in before else "")
        for r in slowest
    ]
    return (
        f"WARNING: {seconds:.0f} s in total, {promise:.0f} are promised on 2 cores with a cold compiler cache. "
        f"The slowest: {', '.join(told)}. Make them faster, or move what is slow to `make test-slow`."
    )


def default_lanes(cores: int, memory: float) -> int:
    """Returns two where cores and memory suffice for two stages: one alone often has a single thread to run."""
    return 2 if cores >= 2 and memory >= 2 * MEMORY_PER_LANE else 1


def cache_line() -> str:
    """Returns a line on how many of this run's compilations the compiler cache answered."""
    if not shutil.which("ccache") or not (LOGS / "ccache.log").exists():
        return "compiler cache: none"
    done = subprocess.run(["ccache", "--show-log-stats"], capture_output=True, text=True)
    hits = re.search(r"Hits:\s+(\d+) /\s+(\d+)", done.stdout)
    return f"compiler cache: {hits[1]} of {hits[2]} compilations" if hits else "compiler cache: nothing compiled"


def main(words: Sequence[str]) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lanes = default_lanes(len(os.sched_getaffinity(0)), memory)
    parser.add_argument("--lanes", type=int, default=lanes, help=f"stages at once (here: {lanes})")
    parser.add_argument("--promise", type=float, default=0, help="seconds that all may take together")
    parser.add_argument("stages", nargs="+")
    options = parser.parse_args(words)
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / "ccache.log").unlink(missing_ok=True)
    os.environ["CCACHE_STATSLOG"] = str((LOGS / "ccache.log").resolve())
    record = LOGS / "stages.json"
    before: dict[str, float] = {}
    if record.exists():
        before = {r["stage"]: r["seconds"] for r in json.loads(record.read_text())["stages"] if r["ok"]}
    start = time.monotonic()
    rows = schedule(longest_first(with_needs(options.stages), before), options.lanes, run)
    seconds = round(time.monotonic() - start, 1)
    isas = available_isas()
    result = {"seconds": seconds, "lanes": options.lanes, "isas": isas, "stages": rows}
    record.write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        print(f"{'ok' if row['ok'] else 'FAILED':7}{row['seconds']:8} s  {row['stage']:14} {row['note']}".rstrip())
    print(isa_line(isas, rows))
    print(cache_line())
    failed = [str(row["stage"]) for row in rows if not row["ok"]]
    late = overdue(seconds, options.promise, rows, before)
    if late:
        print(f"::warning::{late}" if os.environ.get("GITHUB_ACTIONS") else late)
    print(
        f"{len(rows) - len(failed)} of {len(rows)} stages passed in {seconds:.0f} s, {options.lanes} at a time; "
        f"failed: {', '.join(failed) or 'none'}"
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
