# SPDX-License-Identifier: Apache-2.0
"""Measures all contenders in turns and writes the results as JSON, charts and a page; README.md explains them.

    run.py [--cases all|quick|NAMES] [--name NAME] [--rounds N] [--again] [--list] [--report]

Results are saved after each case: a run that was interrupted goes on where it stopped when it is started again with the
same name. The name "release" writes docs/benchmarks.md and is refused unless all of it is of one clean commit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from cases import ALL, OTHER_JOBS, Case, select
from figures import milliseconds, ratio, text_table, times_of
from release import RELEASE, places, refusal
from workers import HERE

ROOT = HERE.parent


def say(text: str) -> None:
    """Prints a line of progress with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def save(path: Path, results: dict[str, Any]) -> None:
    """Writes the results so that the file is complete even if the program is interrupted."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(part, path)


def perform(job: Case | str, work: Path, rounds: int) -> dict[str, Any]:
    """Measures one job and returns its result."""
    from fresh import measure_memory, measure_sizes, measure_start
    from rounds import measure

    if isinstance(job, Case):
        return measure(job, work, rounds, say)
    if job == "startup":
        return measure_start(work, rounds, say)
    return measure_memory(work, say) if job == "memory" else measure_sizes(work, say)


def show(result: dict[str, Any]) -> str:
    """Returns a job's result as a table for the terminal."""
    rows = []
    times = times_of(result, "min")
    for name, facts in result["contenders"].items():
        if "time" in facts:
            t = facts["time"]
            against = f"{t['min'] / times['pybit']:.2f} x" if "pybit" in times else ""
            noise = f"{t['disturbed']}/{t['rounds']}"
            rows.append(
                [name, milliseconds(t["min"]), milliseconds(t["median"]), against, f"{facts['error']:.1e}", noise]
            )
        elif "peak" in facts or "bytes" in facts:
            rows.append([name, f"{facts.get('peak', facts.get('bytes', 0)) / 1e6:.0f} MB", "", "", "", ""])
        else:
            rows.append([name, "", "", "", "", facts["note"][:60]])
    table = text_table([result["title"], "min ms", "median", "of pybit", "error", "disturbed"], rows)
    best, middle = ratio(times), ratio(times_of(result, "median"))
    tail = f"\nbest peer / pybit: {best:.2f} by minima, {middle:.2f} by medians" if best and middle else ""
    if "peak" in result and result["peak"]["gflops"]:
        kind, gflops = result["peak"]["kind"], result["peak"]["gflops"]
        tail += f"; {kind} peak {gflops:.0f} GFLOP/s"
        if "pybit" in times:
            tail += f", pybit at {100 * result['gflop'] / times['pybit'] / gflops:.0f} %"
    return table + tail + f"\n({result['took']:.0f} s)\n"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="all", help='"all", "quick", or names and wildcards with commas between')
    parser.add_argument("--name", default=time.strftime("%Y-%m-%d"), help="the same name continues a run")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench", help="folder for checkpoints and graphs")
    parser.add_argument("--again", action="store_true", help="measure cases anew that the results have already")
    parser.add_argument("--list", action="store_true", help="names of all cases")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the page and the charts anew")
    options = parser.parse_args()
    if options.list:
        print("\n".join([*(case.name for case in ALL), *OTHER_JOBS]))
        return 0
    options.work.mkdir(parents=True, exist_ok=True)
    path, page = places(options.name, options.work.resolve())
    page.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"name": options.name, "jobs": {}}
    if options.report and not path.exists():
        parser.error(f"expected results of a run named {options.name!r}, found no {path}")
    if not options.report:
        from machine import changes, describe, versions

        jobs = {job if isinstance(job, str) else job.name: job for job in select(options.cases)}
        again = jobs if options.again else {}
        if options.name == RELEASE and (why := refusal(changes(), versions()["commit"], results["jobs"], again)):
            parser.error(why)
        results["machine"] = describe()
        for name, job in jobs.items():
            if name in results["jobs"] and not options.again:
                say(f"{name}: measured already (--again measures anew)")
                continue
            results["jobs"][name] = perform(job, options.work.resolve(), options.rounds)
            save(path, results)
            print(show(results["jobs"][name]), flush=True)
    from charts import draw
    from report import groups, write

    found = HERE / "results/training_curve.json"
    curve = json.loads(found.read_text()) if found.exists() else None
    write(page, results, draw(page.with_suffix(""), results, groups()), curve)
    say(f"results: {path}, page: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
