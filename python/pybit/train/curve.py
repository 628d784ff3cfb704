# SPDX-License-Identifier: Apache-2.0
"""The picture of a run: loss, accuracy and rate over its steps."""

from __future__ import annotations

from pathlib import Path

from pybit.train.run_files import read_metrics


def save_curve(metrics: Path, picture: Path) -> None:
    """Draw loss, rate and accuracy over the steps of a metrics.jsonl as an image.

    Raises ImportError without matplotlib, OSError if a file cannot be read or written.
    """
    from matplotlib.figure import Figure

    steps, evaluations = read_metrics(metrics)
    figure = Figure(figsize=(8, 7), dpi=110, layout="constrained")
    losses, accuracies, rates = figure.subplots(3, 1, sharex=True)
    at = [row["step"] for row in steps]
    losses.plot(at, [row["loss"] for row in steps], linewidth=1, label="training")
    losses.set_ylabel("loss")
    rates.step(at, [row["lr"] for row in steps], color="black", linewidth=1)
    rates.set_ylabel("learning rate")
    rates.set_xlabel("step")
    at = [row["step"] for row in evaluations]
    losses.plot(at, [row["loss"] for row in evaluations], "o-", markersize=3, label="validation")
    losses.legend()
    shown = {"top1": "top-1", "top5": "top-5", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
    for name, label in (shown | {"auroc": "AUROC"}).items():
        values = [100 * row[name] for row in evaluations if row.get(name) is not None]
        if len(values) == len(at) and values and not (name == "top5" and min(values) == 100):
            accuracies.plot(at, values, "o-", markersize=3, label=label)
    accuracies.set_ylabel("validation, %")
    if accuracies.lines:
        accuracies.legend()
    figure.savefig(picture)
