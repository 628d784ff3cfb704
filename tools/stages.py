"""Runs make targets one after the other, keeps their output in build/logs, and sums up: closing lines and seconds.

Usage: stages.py TARGET... A failing stage does not stop the others; the exit status is 1 if any failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

LOGS = Path("build/logs")


def run(stage: str) -> dict[str, object]:
    """One stage: its last lines are printed if it passes, much more if it fails."""
    print(f"== {stage}", flush=True)
    start = time.monotonic()
    with open(LOGS / f"{stage}.log", "w+", errors="replace") as log:
        command = [os.environ.get("MAKE", "make"), "--no-print-directory", stage]
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode
        log.seek(0)
        lines = [line.rstrip() for line in log if line.strip()]
    seconds = time.monotonic() - start
    print("\n".join("   " + line for line in lines[-4 if status == 0 else -80 :]))
    print(f"   {'ok' if status == 0 else 'FAILED'} after {seconds:.0f} s", flush=True)
    return {"stage": stage, "seconds": round(seconds, 1), "ok": status == 0}


def main(stages: list[str]) -> int:
    """Entry point."""
    LOGS.mkdir(parents=True, exist_ok=True)
    rows = [run(stage) for stage in stages]
    (LOGS / "stages.json").write_text(json.dumps(rows, indent=2) + "\n")
    print("\n".join(f"{'ok' if r['ok'] else 'FAILED':7}{r['seconds']:8} s  {r['stage']}" for r in rows))
    failed = [str(r["stage"]) for r in rows if not r["ok"]]
    print(f"{len(rows) - len(failed)} of {len(rows)} stages passed; failed: {', '.join(failed) or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
