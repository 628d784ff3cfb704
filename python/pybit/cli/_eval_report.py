# SPDX-License-Identifier: Apache-2.0
"""What `pybit eval` prints; no command itself."""

from __future__ import annotations

from typing import Any

from pybit.evaluation.metrics import ClassMetrics, Metrics
from pybit.evaluation.results import Evaluation, PerClass

_FEW = 6  # classes: of fewer, top-5 leaves out one at most and says nothing


def as_dict(found: Evaluation, per_class: bool) -> dict[str, Any]:
    """The evaluation as values that JSON has."""
    document: dict[str, Any] = {name: getattr(found, name) for name in ("examples", "loss", "top1", "top5")}
    document["matched_by"] = found.matched_by
    if found.measured is not None:
        document["measured_classes"] = list(found.measured)
    if found.metrics is not None:
        document["metrics"] = found.metrics.as_dict()
    if found.classes is not None and per_class:
        document["classes"] = _rows(found.classes, None if found.metrics is None else found.metrics.per_class)
        document["confusion"] = found.classes.confusion.tolist()
    if found.skipped:
        document["skipped"] = [{"path": entry.path, "reason": entry.reason} for entry in found.skipped]
    return document


def _rows(classes: PerClass, metrics: ClassMetrics | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": name, "examples": int(n), "accuracy": float(part) if n else None}
        for name, n, part in zip(classes.names, classes.examples, classes.accuracy, strict=True)
    ]
    if metrics is not None:
        for name in ("precision", "recall", "f1", "auroc", "average_precision"):
            for row, value in zip(rows, getattr(metrics, name).tolist(), strict=True):
                row[name] = value if value == value else None  # JSON has no NaN
    return rows


def show(found: Evaluation, per_class: bool) -> None:
    """Print loss and parts in one line, the other metrics in two more, and the classes if they are wanted."""
    told = found.measured
    count = len(told) if told is not None else len(found.classes.names) if found.classes is not None else None
    if count is None and found.metrics is not None:
        count = len(found.metrics.per_class.precision)
    line = f"{found.examples} images: loss {found.loss:.5f}, top1 {100 * found.top1:.2f}%"
    if count is None or count >= _FEW:
        line += f", top5 {100 * found.top5:.2f}%"
    print(line + ("" if told is None else f", among the {len(told)} classes that have images"))
    if found.metrics is not None:
        _show_metrics(found.metrics)
    if found.classes is not None and per_class:
        _show_classes(found.classes)


def _show_metrics(found: Metrics) -> None:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.2f}%"

    print(
        f"balanced accuracy {percent(found.balanced_accuracy)}, macro precision {percent(found.precision)}, "
        f"recall {percent(found.recall)}, F1 {percent(found.f1)}"
    )
    print(
        f"AUROC {percent(found.auroc)}, average precision {percent(found.average_precision)}, "
        f"calibration error {percent(found.ece)}"
    )


def _show_classes(classes: PerClass) -> None:
    """A line per class, the commonest mistakes, and the matrix if it fits a line."""
    width = min(max(map(len, classes.names)), 40)
    print(f"\n{'class':{width}}  images  accuracy")
    for name, n, part in zip(classes.names, classes.examples, classes.accuracy, strict=True):
        print(f"{name:{width}}  {n:6}  " + (f"{100 * part:7.2f}%" if n else "       -"))
    mistakes = classes.most_confused()
    if mistakes:
        print("\ncommonest mistakes")
        for truth, taken_for, n in mistakes:
            print(f"  {n} of {truth} taken for {taken_for}")
    cell = max(len(str(classes.confusion.max(initial=0))), len(str(len(classes.names)))) + 1
    if width + cell * len(classes.names) > 120:
        print("\nThe confusion matrix has too many columns for a terminal: --json prints it.")
        return
    print("\nconfusion: rows are the classes, columns what was predicted, in the same order")
    for name, row in zip(classes.names, classes.confusion, strict=True):
        print(f"{name:{width}} " + "".join(f"{n:{cell}}" if n else f"{'.':>{cell}}" for n in row))
