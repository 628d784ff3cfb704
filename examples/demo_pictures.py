# SPDX-License-Identifier: Apache-2.0
"""The demo's two pictures: learning curves, and every test image with what was predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402

# Okabe and Ito's palette, which colour-blind people can tell apart; wrong predictions also have a frame.
BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#8a8f98", "#222222"


def smoothed(values: np.ndarray) -> np.ndarray:
    """Mean over a twentieth of the run around each step, over fewer steps at both ends."""
    last = len(values) - 1
    reach = [min(i, last - i, len(values) // 40) for i in range(len(values))]
    return np.array([values[i - r : i + r + 1].mean() for i, r in enumerate(reach)])


def learning_curves(runs: list[dict[str, Any]], title: str, path: Path) -> None:
    """A column per run: training loss above, test accuracy below, with the linear probes' as lines.

    A run has title, losses (steps), evaluations (step, accuracy) and probes (name, accuracy).
    """
    figure, grid = plt.subplots(
        2, len(runs), figsize=(5.2 * len(runs), 6), dpi=130, sharey="row", squeeze=False, layout="constrained"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    lowest = 100
    for run, loss, accuracy in zip(runs, grid[0], grid[1], strict=True):
        steps = np.arange(1, len(run["losses"]) + 1)
        loss.plot(steps, run["losses"], color=BLUE, alpha=0.25, linewidth=1, label="each step")
        loss.plot(steps, smoothed(np.array(run["losses"])), color=BLUE, linewidth=2, label="smoothed")
        loss.set_title(run["title"], loc="left", fontsize=10.5)
        loss.set_ylim(0, None)
        at, found = zip(*run["evaluations"], strict=True)
        accuracy.plot(
            at, [100 * v for v in found], "o-", color=BLUE, markersize=4, label=f"fine-tuned: {100 * found[-1]:.1f} %"
        )
        for (name, value), colour, dashes in zip(run["probes"], (INK, GREY), ((6, 2), (2, 2)), strict=False):
            accuracy.axhline(
                100 * value, color=colour, linewidth=1.4, dashes=dashes, label=f"{name}: {100 * value:.1f} %"
            )
        accuracy.set_xlabel("step")
        low = min([v for _, v in run["probes"]] + list(found))
        lowest = min(lowest, max(0, 10 * int(10 * low) - 30))
        accuracy.set_ylim(lowest, 101)  # room for the legend below all lines
        accuracy.legend(loc="lower right", fontsize=8.5, frameon=False)
        for axes in (loss, accuracy):
            axes.grid(axis="y", alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_xlim(0, len(run["losses"]))
    grid[0, 0].set_ylabel("training loss")
    grid[0, 0].legend(fontsize=8.5, frameon=False)
    grid[1, 0].set_ylabel("accuracy on test digits, %")
    figure.savefig(path)
    plt.close(figure)


def contact_sheet(images: np.ndarray, truth: np.ndarray, found: np.ndarray, title: str, path: Path) -> None:
    """All images (n,H,W), 0..255, a row per class; a wrong one has a frame and what it was taken for."""
    classes = int(truth.max()) + 1
    columns = int(np.bincount(truth).max())
    figure, grid = plt.subplots(
        classes, columns, figsize=(0.36 * columns + 0.6, 0.5 * classes + 0.7), dpi=130, squeeze=False
    )
    for cell in grid.flat:
        cell.axis("off")
    for c in range(classes):
        grid[c, 0].text(
            -0.45, 0.5, str(c), transform=grid[c, 0].transAxes, ha="right", va="center", fontsize=12, color=INK
        )
        members = np.flatnonzero(truth == c)
        for cell, i in zip(grid[c], members[np.argsort(found[members] == c, kind="stable")], strict=False):
            cell.imshow(255 - images[i], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            right = found[i] == c
            cell.set_title(
                str(found[i]),
                fontsize=7,
                pad=1.5 if right else 2.5,
                color=BLUE if right else ORANGE,
                fontweight="normal" if right else "bold",
            )
            if not right:
                height, width = images[i].shape
                cell.add_patch(
                    Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=ORANGE, linewidth=2.5, clip_on=False)
                )
    figure.suptitle(title, x=0.012, y=0.985, ha="left", va="top", fontsize=10.5, color=INK)
    figure.subplots_adjust(left=0.035, right=0.995, bottom=0.01, top=1 - 0.75 / (0.5 * classes + 0.7), hspace=0.45)
    figure.savefig(path)
    plt.close(figure)
