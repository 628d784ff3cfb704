# SPDX-License-Identifier: Apache-2.0
"""Charts of profiles, with matplotlib: each layer's rate against the ceiling, and the roofline."""

from __future__ import annotations

import os
from typing import Any

from pybit.errors import ConfigError
from pybit.report.plan import Profile

# Seen apart also by people who do not see red and green (Okabe and Ito's palette).
_COLOURS = {"direct": "#0072B2", "winograd_2x2": "#E69F00", "winograd_4x4": "#D55E00"}
_MARKERS = {"direct": "o", "winograd_2x2": "s", "winograd_4x4": "D"}


def _label(algorithm: str) -> str:
    return algorithm.replace("_", " ")


def _algorithms(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(r["algorithm"] for r in rows))


def _bars(axes: Any, profile: Profile, rows: list[dict[str, Any]]) -> None:
    places = range(len(rows))
    for algorithm in _algorithms(rows):
        mine = [i for i in places if rows[i]["algorithm"] == algorithm]
        axes.bar(mine, [rows[i]["gflops"] for i in mine], color=_COLOURS[algorithm], label=_label(algorithm))
    peak = profile.fma_gflops or 0
    axes.axhline(peak, color="black", linestyle="--", linewidth=1, label=f"multiply-add peak, {peak:.0f}")
    legend = axes.legend(loc="upper left", fontsize=8, ncols=4)
    if any(r["algorithm"] != "direct" for r in rows):
        legend.set_title("rates are of the direct form's work: Winograd does less and may exceed the peak")
    axes.set_xticks(list(places), [r["name"] for r in rows], rotation=90, fontsize=7)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_ylim(0, 1.25 * max(peak, *(r["gflops"] for r in rows)))  # room for the legend
    axes.set_ylabel("GFLOP/s")
    axes.set_title(
        f"{profile.title}\n{1e3 * profile.seconds:.2f} ms, {profile.gflops:.0f} GFLOP/s "
        f"({profile.gflops / (peak or 1):.0%} of the peak)",
        fontsize=10,
    )


def _roofline(axes: Any, profile: Profile, rows: list[dict[str, Any]]) -> None:
    peak, bandwidth = profile.fma_gflops or 1.0, profile.read_gbytes or 1.0
    intensity = [r["flops"] / (r["weight_bytes"] + r["read_bytes"] + r["written_bytes"]) for r in rows]
    low, high = 0.5 * min([*intensity, peak / bandwidth]), 2 * max([*intensity, peak / bandwidth])
    axes.plot([low, peak / bandwidth, high], [low * bandwidth, peak, peak], color="black", linewidth=1)
    axes.annotate(
        f"{bandwidth:.0f} GB/s from memory",
        (peak / bandwidth / 2, peak / 2),
        xytext=(-8, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )
    for algorithm in _algorithms(rows):
        mine = [i for i, r in enumerate(rows) if r["algorithm"] == algorithm]
        axes.scatter(
            [intensity[i] for i in mine],
            [rows[i]["gflops"] for i in mine],
            s=[15 + 1500 * rows[i]["share"] for i in mine],
            color=_COLOURS[algorithm],
            marker=_MARKERS[algorithm],
            alpha=0.6,
        )
    # Where time could be won: seconds beyond those of the multiply-add peak.
    lost = [r["min_seconds"] - r["flops"] / (1e9 * peak) for r in rows]
    worst = sorted(range(len(rows)), key=lost.__getitem__, reverse=True)[:5]
    names = "\n".join(f"{rows[i]['name']}  {1e3 * lost[i]:.2f} ms" for i in worst)
    axes.text(0.98, 0.04, f"most time beyond the peak's:\n{names}", transform=axes.transAxes, ha="right", fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations of the direct form per byte of weights and maps (area: share of the time)")
    axes.set_ylabel("GFLOP/s")
    axes.set_title("Above the slope: maps came from a cache, not from memory", fontsize=9)


def save(profile: Profile, path: str | os.PathLike[str]) -> None:
    """Write the chart of a profile as an image; the ending of `path` decides the format.

    Raises ImportError without matplotlib, OSError if the file cannot be written, ConfigError for a profile without
    ceilings, which the reference backend has not.
    """
    if profile.fma_gflops is None:
        raise ConfigError("a chart needs ceilings: expected dtype float32 or bfloat16, the reference has none")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("charts need matplotlib: pip install matplotlib (the extra `plots`)") from None
    rows = [row for row in profile.rows if row["flops"]]
    figure = Figure(figsize=(max(10.0, 0.2 * len(rows)), 10), dpi=110, layout="constrained")
    top, bottom = figure.subplots(2, 1)
    _bars(top, profile, rows)
    _roofline(bottom, profile, rows)
    figure.savefig(os.fspath(path))
