# SPDX-License-Identifier: Apache-2.0
"""The machine that is measured: what it is, its multiply-add peak at the moment, other processes, and the commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from figures import DISTURBED, busy_ticks, cpu_description, stat_ticks
from workers import HERE

OUTPUTS = ("benchmarks/results/", "docs/benchmarks.md", "docs/benchmarks/")  # files that the benchmarks write


def describe() -> dict[str, Any]:
    """Returns the CPU, the memory, the operating system and the interpreter, as the page prints them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return cpu_description(Path("/proc/cpuinfo").read_text()) | {
        "memory_gb": round(memory / 1e9, 1),
        "kernel": platform.system() + " " + ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version(),
    }


def available_memory() -> int:
    """Returns the bytes that a process can allocate without pushing other processes into swap."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return 0


class Neighbours:
    """Measures the CPU time that other processes used between two moments, as a share of all CPUs' time.

    Idle time and the time of the watched processes are not counted. `patience` is the number of seconds that all calls
    of `wait` may take together.
    """

    def __init__(self, patience: float = 60) -> None:
        self.patience = patience
        self.start(0)

    def start(self, own: int) -> None:
        """Begins an interval. `own` is the number of clock ticks that the watched processes have used so far."""
        self.busy, self.steal = busy_ticks(Path("/proc/stat").read_text())
        self.own, self.time = own + _self_ticks(), time.perf_counter()

    def share(self, own: int) -> tuple[float, float]:
        """Returns the shares of all CPUs' time since `start` that other processes used and that the hypervisor took.

        `own` is the number of clock ticks that the watched processes have used so far.
        """
        busy, steal = busy_ticks(Path("/proc/stat").read_text())
        ticks = os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1) * (time.perf_counter() - self.time)
        others = busy - self.busy - (own + _self_ticks() - self.own)
        # The counters advance 100 times a second and not at the same moment: two ticks are the error of reading them.
        return max(0.0, others - 2) / max(ticks, 1), max(0.0, steal - self.steal - 2) / max(ticks, 1)

    def wait(self) -> None:
        """Waits until the machine has been idle for 0.3 s, or until `patience` is used up."""
        while self.patience > 0:
            self.start(0)
            time.sleep(0.3)
            if self.share(0)[0] <= DISTURBED:
                return
            self.patience -= 0.3


def _self_ticks() -> int:
    return stat_ticks(Path("/proc/self/stat").read_text())


class Peak:
    """Measures the multiply-add peak in GFLOP/s with a small program (peak.cpp) that is compiled once."""

    def __init__(self, work: Path) -> None:
        binary, source = work / "peak", HERE / "peak.cpp"
        compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([compiler, "-O2", "-std=c++20", "-pthread", source, "-o", binary], check=True)
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, kind: str, threads: int) -> float:
        """Returns the best rate of four runs of some ten milliseconds, or 0 if the CPU lacks the instructions."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{kind} {threads}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def _git(folder: Path, *words: str) -> str | None:
    """Returns what a git command prints in `folder`, or None where that is no checkout or git is missing."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def changes(folder: Path = HERE.parent) -> list[str] | None:
    """Returns the files of the checkout `folder` that differ from its commit or are not in it, or None outside of one.

    What the benchmarks write themselves (OUTPUTS) does not count: an interrupted run must be able to go on.
    """
    status = _git(folder, "status", "--porcelain", "--untracked-files=all")
    if status is None:
        return None
    paths = [line[3:].split(" -> ")[-1].strip('"') for line in status.splitlines()]
    return [path for path in paths if not path.startswith(OUTPUTS)]


def versions(folder: Path = HERE.parent) -> dict[str, str]:
    """Returns the commit of the checkout that is measured, with "+" appended if `changes` finds any."""
    commit = _git(folder, "rev-parse", "--short=7", "HEAD")
    return {"commit": commit.strip() + ("+" if changes(folder) else "") if commit else "unknown"}
