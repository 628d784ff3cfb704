# SPDX-License-Identifier: Apache-2.0
"""Draws the charts of a run as PNG files: horizontal bars, pybit's in one colour, the others with their ratio to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cases import title_of
from figures import milliseconds

OURS, PEER = "#d9480f", "#9aa5b1"
Bars = Mapping[str, float]
Panel = tuple[str, Bars, Sequence[str]]  # title, bars, what is written at their ends


def panel(axes: Any, title: str, bars: Bars, labels: Sequence[str]) -> None:
    """Draws one group of bars; `labels` are written at their ends, in the order of the bars."""
    names, values = list(bars), list(bars.values())
    # One contender that is far behind would make the others' bars unreadable: its bar is cut, and "//" says so.
    top = min(max(values), 2.2 * sorted(values)[-2]) if len(values) > 1 else values[0]
    colours = [OURS if name.startswith("pybit") else PEER for name in names]
    axes.barh(range(len(names)), [min(value, top) for value in values], color=colours, height=0.72)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(0, 1.42 * top)
    for row, (value, label) in enumerate(zip(values, labels, strict=True)):
        text = f"// {label}" if value > top else label
        axes.text(min(value, top) + 0.015 * top, row, text, va="center", fontsize=8.5)


def grid(path: Path, title: str, unit: str, panels: Sequence[Panel], columns: int = 2) -> None:
    """Draws a file with several panels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(bars) for _, bars, _ in panels)
    height = rows * (0.75 + 0.27 * most) + 0.6
    figure, axes = pyplot.subplots(rows, columns, figsize=(5.6 * columns, height), squeeze=False)
    for axis, (name, bars, labels) in zip(axes.flat, panels, strict=False):
        panel(axis, name, bars, labels)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel(unit, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.32 / height))
    figure.suptitle(title, fontsize=11.5, x=0.01, y=1 - 0.08 / height, ha="left", va="top")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def latency_panel(job: Mapping[str, Any]) -> Panel | None:
    """Returns the panel of a case's least times in milliseconds, or None if no contender finished."""
    times = {n: c["time"]["min"] for n, c in job["contenders"].items() if "time" in c}
    if not times:
        return None
    ours = times.get("pybit")
    order = sorted(times, key=lambda name: (name != "pybit", times[name]))
    labels = []
    for name in order:
        ratio = f"   {times[name] / ours:.2f}×" if ours and name != "pybit" else ""
        labels.append(f"{milliseconds(times[name])}{ratio}")
    return title_of(job), {name: 1e3 * times[name] for name in order}, labels


def amount_panel(title: str, values: Mapping[str, float], unit: float, form: str) -> Panel:
    """Returns the panel of another quantity, in units of `unit`, with ratios to pybit's."""
    ours = values.get("pybit")
    order = sorted(values, key=lambda name: (name != "pybit", values[name]))
    labels = [
        format(values[n] / unit, form) + (f"   {values[n] / ours:.1f}×" if ours and n != "pybit" else "") for n in order
    ]
    return title, {n: values[n] / unit for n in order}, labels


def draw(folder: Path, results: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Draws one chart per group of cases and one of start, memory and disk.

    Returns the file name of each group that has data.
    """
    jobs, made = results["jobs"], {}
    for key, names in groups.items():
        panels = [p for name in names if name in jobs if (p := latency_panel(jobs[name]))]
        if panels:
            made[key] = f"{key}.png"
            title = "milliseconds per call, least of the run; × = times ours, // = bar cut"
            grid(folder / made[key], title, "ms per call (less is better)", panels)
    panels = []
    if "startup" in jobs and (found := latency_panel(jobs["startup"])):
        panels.append(("start: fresh process to first logits, ms", *found[1:]))
    if "memory" in jobs:
        peaks = {n: c["peak"] for n, c in jobs["memory"]["contenders"].items() if "peak" in c and ", bf16" not in n}
        panels.append(amount_panel("memory: peak of the process, MB", peaks, 1e6, ".0f"))
    if "sizes" in jobs:
        sizes = {n: c["bytes"] for n, c in jobs["sizes"]["contenders"].items() if "bytes" in c}
        panels.append(amount_panel("disk: all that has to be installed, MB", sizes, 1e6, ".0f"))
    panels = [p for p in panels if p[1]]
    if panels:
        made["footprint"] = "footprint.png"
        grid(folder / made["footprint"], "R50x1, 224², batch 1, fp32; × = times ours", "", panels, columns=3)
    return made
