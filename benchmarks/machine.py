"""The machine that is measured: what it is, its multiply-add peak in this minute, and who else uses it."""

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


def describe() -> dict[str, Any]:
    """CPU, memory, kernel and interpreter."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return cpu_description(Path("/proc/cpuinfo").read_text()) | {
        "memory_gb": round(memory / 1e9, 1),
        "kernel": platform.system() + " " + ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version(),
    }


def available_memory() -> int:
    """Bytes that processes can take without others being written out."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return 0


class Neighbours:
    """Share of the machine's CPU time that other processes took, between two moments.

    `patience`: seconds that all its waits for an idle machine may take together.
    """

    def __init__(self, patience: float = 60) -> None:
        self.patience = patience
        self.start(0)

    def start(self, own: int) -> None:
        """Begins a stretch; `own`: ticks of the watched processes so far."""
        self.busy, self.steal = busy_ticks(Path("/proc/stat").read_text())
        self.own, self.time = own + _self_ticks(), time.perf_counter()

    def share(self, own: int) -> tuple[float, float]:
        """What other processes took since then, and what the hypervisor took, each as a share of all CPUs' time."""
        busy, steal = busy_ticks(Path("/proc/stat").read_text())
        ticks = os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1) * (time.perf_counter() - self.time)
        others = busy - self.busy - (own + _self_ticks() - self.own)
        # Counters tick at 100 Hz and at different moments, so a few ticks are noise and not a neighbour.
        return max(0.0, others - 2) / max(ticks, 1), max(0.0, steal - self.steal - 2) / max(ticks, 1)

    def wait(self) -> None:
        """Returns when the machine has been idle for 0.3 s, or when the patience is used up."""
        while self.patience > 0:
            self.start(0)
            time.sleep(0.3)
            if self.share(0)[0] <= DISTURBED:
                return
            self.patience -= 0.3


def _self_ticks() -> int:
    return stat_ticks(Path("/proc/self/stat").read_text())


class Peak:
    """The multiply-add peak in GFLOP/s, measured by a small program that is compiled once."""

    def __init__(self, work: Path) -> None:
        binary, source = work / "peak", HERE / "peak.cpp"
        compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([compiler, "-O2", "-std=c++20", "-pthread", source, "-o", binary], check=True)
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, kind: str, threads: int) -> float:
        """The best of some tens of milliseconds; 0 if the CPU lacks the instructions."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{kind} {threads}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def versions() -> dict[str, str]:
    """What the numbers of this checkout are of: the commit, with "+" if files differ from it."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(HERE), "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return {"commit": commit}
