# SPDX-License-Identifier: Apache-2.0
"""Confusion matrices as tables and pictures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pybit.base.files import complete_file
from pybit.errors import ConfigError

_WRITTEN_OUT = 30  # classes up to which names and numbers are legible in a picture


def check_path(path: str) -> None:
    """Raise ConfigError unless `path` ends in .csv or .png, ImportError for a picture without matplotlib."""
    if path.lower().endswith(".png"):
        _figure_class()
    elif not path.lower().endswith(".csv"):
        raise ConfigError(f"expected a confusion matrix in a file that ends in .csv or .png, got {path!r}")


def save(confusion: NDArray[np.int64], names: Sequence[str], path: str) -> None:
    """Write a confusion matrix (classes, classes), see `pybit.PerClass.save`."""
    check_path(path)
    if path.lower().endswith(".png"):
        _picture(confusion, names, path)
        return
    with complete_file(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["truth", *names])
        writer.writerows([name, *row] for name, row in zip(names, confusion.tolist(), strict=True))


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'big-transfer[plots]', or matplotlib") from error
    return Figure


def _picture(confusion: NDArray[np.int64], names: Sequence[str], path: str) -> None:
    """Rows are shaded by their own images, so that rare classes show as well as common ones."""
    count, few = len(names), len(names) <= _WRITTEN_OUT
    side = min(16.0, max(4.0, 1.8 + 0.42 * count)) if few else 10.0
    figure = _figure_class()(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    images = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, images, out=np.zeros(confusion.shape), where=images > 0)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="part of the class's images")
    if few:
        # A dollar sign would begin a formula.
        shown = [n.replace("$", r"\$") if len(n) <= 24 else n[:23].replace("$", r"\$") + "…" for n in names]
        axes.set_xticks(range(count), shown, rotation=90)
        axes.set_yticks(range(count), shown)
        for row, column in zip(*np.nonzero(confusion), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = str(confusion[row, column])
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    with complete_file(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)
