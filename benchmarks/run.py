"""Measures side by side, in turns, and writes JSON, charts and docs/benchmarks.md; README.md tells how to read them.

    run.py [--cases all|quick|NAMES] [--name NAME] [--rounds N] [--again] [--list] [--report]

Results are kept after each case, so a run that was cut off goes on where it stopped when started again by its name.
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
from figures import milliseconds, ratio, text_table
from workers import HERE

ROOT = HERE.parent


def say(text: str) -> None:
    """Progress, with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def save(path: Path, results: dict[str, Any]) -> None:
    """Complete or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(part, path)


def perform(job: Case | str, work: Path, rounds: int) -> dict[str, Any]:
    """One job's result."""
    from fresh import measure_memory, measure_sizes, measure_start
    from rounds import measure

    if isinstance(job, Case):
        return measure(job, work, rounds, say)
    if job == "startup":
        return measure_start(work, rounds, say)
    return measure_memory(work, say) if job == "memory" else measure_sizes(work, say)


def show(result: dict[str, Any]) -> str:
    """A case's result for the terminal."""
    rows = []
    times = {n: c["time"]["min"] for n, c in result["contenders"].items() if "time" in c}
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
    table = text_table([result["title"], "min ms", "median", "of pybit", "deviation", "disturbed"], rows)
    best = ratio(times)
    tail = f"\nbest peer / pybit: {best:.2f}" if best else ""
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
    parser.add_argument("--report", action="store_true", help="only write the page and the charts")
    options = parser.parse_args()
    if options.list:
        print("\n".join([*(case.name for case in ALL), *OTHER_JOBS]))
        return 0
    path = HERE / "results" / f"{options.name}.json"
    path.parent.mkdir(exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"name": options.name, "jobs": {}}
    if not options.report:
        from machine import describe

        results["machine"] = describe()
        for job in select(options.cases):
            name = job if isinstance(job, str) else job.name
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
    write(ROOT / "docs/benchmarks.md", results, draw(ROOT / "docs/benchmarks", results, groups()), curve)
    say(f"{path.relative_to(ROOT)}, docs/benchmarks.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
