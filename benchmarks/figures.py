# SPDX-License-Identifier: Apache-2.0
"""Pure functions of the benchmarks: statistics of rounds, operation counts, tables, and parsing of /proc."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
DISTURBED = 0.05  # share of all CPUs' time that other processes may use in a round before it counts as disturbed


def architecture(model: str) -> tuple[tuple[int, int, int, int], int]:
    """Returns the units of the four blocks and the channels of the stem of, say, "R50x1"."""
    depth, width = model.removeprefix("R").split("x")
    return UNITS[int(depth)], 64 * int(width)


def gflop(model: str, batch: int, height: int, width: int, classes: int = 1000) -> float:
    """Multiply-adds of all convolutions and the head, counted as two operations each, in 10^9.

    A direct convolution's count: an algorithm that multiplies less (Winograd's) can pass 100 % of the peak by it.
    """
    units, stem = architecture(model)

    def half(size: int) -> int:
        return (size + 1) // 2

    h, w = half(height), half(width)
    total = h * w * 49 * 3 * stem
    h, w, inputs = half(h), half(w), stem
    for block, count in enumerate(units):
        middle = stem * 2**block
        for unit in range(count):
            before = h * w
            if block and not unit:
                h, w = half(h), half(w)
            total += before * inputs * middle + h * w * (9 * middle * middle + 4 * middle * middle)
            if not unit:
                total += h * w * inputs * 4 * middle
            inputs = 4 * middle
    return 2e-9 * batch * (total + inputs * classes)


def parameters(model: str, classes: int = 1000) -> int:
    """Returns how many numbers a checkpoint of the architecture holds."""
    units, stem = architecture(model)
    total, inputs = 49 * 3 * stem, stem
    for block, count in enumerate(units):
        middle = stem * 2**block
        for unit in range(count):
            total += inputs * middle + 9 * middle * middle + 4 * middle * middle
            total += 2 * (inputs + middle + middle) + (0 if unit else 4 * middle * inputs)
            inputs = 4 * middle
    return total + 2 * inputs + inputs * classes + classes


def summary(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns minimum, median and quartiles in seconds over the calls of undisturbed rounds.

    Each round is {"seconds": [...], "others": share of the machine that other processes took}. If fewer than half of
    the rounds were undisturbed, all are used and "clean" is false.
    """
    quiet = [r for r in rounds if r["others"] <= DISTURBED]
    clean = 2 * len(quiet) >= len(rounds)
    calls = sorted(s for r in (quiet if clean else rounds) for s in r["seconds"])
    if not calls:
        raise ValueError("expected at least one timed call, got none")
    quarters = statistics.quantiles(calls, n=4, method="inclusive") if len(calls) > 1 else [calls[0]] * 3
    return {
        "min": calls[0],
        "median": statistics.median(calls),
        "lower": quarters[0],
        "upper": quarters[2],
        "calls": len(calls),
        "rounds": len(rounds),
        "disturbed": len(rounds) - len(quiet),
        "clean": clean,
    }


def times_of(job: Mapping[str, Any], which: str) -> dict[str, float]:
    """Returns the "min" or "median" of each contender that finished, in seconds."""
    return {name: facts["time"][which] for name, facts in job["contenders"].items() if "time" in facts}


def best_peer(values: Mapping[str, float]) -> tuple[str, float] | None:
    """Returns (name, value) of the least value of a peer, a name that does not begin with "pybit", or None."""
    peers = [(value, name) for name, value in values.items() if not name.startswith("pybit")]
    return (min(peers)[1], min(peers)[0]) if peers else None


def ratio(values: Mapping[str, float]) -> float | None:
    """Returns the best peer's value divided by that of "pybit" (above 1 pybit's is less), or None without either."""
    peer = best_peer(values)
    return peer[1] / values["pybit"] if peer and "pybit" in values else None


def milliseconds(seconds: float) -> str:
    """Formats seconds as milliseconds with three digits: 8.12, 14.5, 109, 1230."""
    value = 1e3 * seconds
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def megabytes(count: float) -> str:
    """Formats a count of bytes in units of 10^6, with three digits at least."""
    value = count / 1e6
    return f"{value:.{1 if value < 100 else 0}f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown: the first column is aligned to the left, the others to the right."""
    lines = [list(head), [":--", *["--:"] * (len(head) - 1)], *[list(r) for r in rows]]
    if any(len(line) != len(head) for line in lines):
        raise ValueError(f"expected rows of {len(head)} cells, got {sorted({len(line) for line in lines})}")
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns the same table as text for a terminal."""
    lines = [list(head), *[list(r) for r in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    padded = [
        [c.ljust(w) if not i else c.rjust(w) for i, (c, w) in enumerate(zip(ln, widths, strict=True))] for ln in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def status_bytes(text: str, field: str = "VmHWM") -> int:
    """Returns a field of /proc/PID/status in bytes; VmHWM is the peak of the process's resident memory."""
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            number, unit = rest.split()
            if unit == "kB":
                return 1024 * int(number)
    raise ValueError(f"expected a line '{field}: N kB', got none in {len(text)} characters")


def stat_ticks(text: str) -> int:
    """Returns user and system time of /proc/PID/stat in clock ticks. The process's name may hold any brackets."""
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[11]) + int(fields[12])


def busy_ticks(text: str) -> tuple[int, int]:
    """Returns the ticks that CPUs were busy and those that the hypervisor took, from the first line of /proc/stat."""
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(x) for x in text.split("\n", 1)[0].split()[1:9])
    return user + nice + system + irq + softirq, steal


def cpu_description(text: str) -> dict[str, Any]:
    """Returns the model name, the number of processors and the flags that pybit asks for, from /proc/cpuinfo."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    relevant = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")
    flags = found.get("flags", found.get("Features", "")).split()
    place = " ".join(f"{k} {found[k]}" for k in ("cpu family", "model", "stepping") if k in found)
    return {
        "name": f"{found.get('model name', 'unknown')} ({place})" if place else found.get("model name", "unknown"),
        "cpus": sum(line.startswith("processor") for line in text.splitlines()),
        "flags": [f for f in relevant if f in flags],
    }
