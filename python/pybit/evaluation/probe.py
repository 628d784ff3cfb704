# SPDX-License-Identifier: Apache-2.0
"""Evaluate features without fine-tuning: linear probes in closed form, nearest neighbours, few-shot accuracy.

    features = model.embed("photos/")              # a folder with one folder per class
    print(pybit.probe.few_shot(features.features, features.classes, shots=(1, 5, "full")))

The linear probe is ridge regression of one-hot targets (+1 and -1, unpenalised intercept); its strength is chosen by
exact leave-one-out on the training examples (include/bit/eval/ridge.hpp), so nothing is tuned on the test set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pybit import _core
from pybit.base.arrays import Array, to_numpy
from pybit.data.numbering import label_numbers
from pybit.errors import ConfigError, ShapeError

__all__ = ["FewShotReport", "LinearProbe", "ShotResult", "few_shot", "fit_linear", "knn_predict", "nearest", "split"]

Shots = int | Literal["full"]


def _table(x: Any, what: str = "features") -> npt.NDArray[np.float32]:
    a, _ = to_numpy(x)
    if a.ndim != 2 or a.dtype.kind != "f":
        raise ShapeError(f"{what}: expected a float array (N, D), got {a.dtype} of shape {a.shape}; pool maps first")
    return np.ascontiguousarray(a, dtype=np.float32)


def _labels(y: Any, count: int) -> npt.NDArray[np.int64]:
    a = label_numbers(y if hasattr(y, "columns") else to_numpy(y)[0])
    if a.shape != (count,):
        raise ShapeError(f"labels: expected {count} whole numbers, one per row, got {a.dtype} of shape {a.shape}")
    if count and int(a.min()) < 0:
        raise ShapeError(f"labels: expected 0 or more, got {int(a.min())}")
    return np.ascontiguousarray(a, dtype=np.int64)


def _classes(labels: npt.NDArray[np.int64], num_classes: int | None) -> int:
    return int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear classifier: scores = features @ weights + bias."""

    weights: npt.NDArray[np.float64]  # (D, classes)
    bias: npt.NDArray[np.float64]  # (classes)
    ridge: float  # the strength that was used
    candidates: tuple[tuple[float, float], ...]  # (strength, mean squared leave-one-out error) of each that was tried

    def scores(self, features: Any) -> npt.NDArray[np.float64]:
        """Scores (N, classes); the largest of a row is the predicted class. Raises ShapeError for a wrong shape."""
        table = _table(features)
        if table.shape[1] != len(self.weights):
            raise ShapeError(f"features: expected {len(self.weights)} columns, as fitted on, got {table.shape[1]}")
        return np.asarray(table.astype(np.float64) @ self.weights + self.bias)

    def predict(self, features: Any) -> npt.NDArray[np.int64]:
        """The predicted class of each row of `features` (N, D), int64 (N). Raises ShapeError for a wrong shape."""
        return np.asarray(self.scores(features).argmax(axis=1), dtype=np.int64)

    def accuracy(self, features: Any, labels: Any) -> float:
        """The part of the rows, in [0, 1], whose class in `labels` (N) is predicted.

        Raises ShapeError as `scores` does.
        """
        predicted = self.predict(features)
        return float(np.mean(predicted == _labels(labels, len(predicted))))


def fit_linear(
    features: Any, labels: Any, *, ridge: float | Sequence[float] | None = None, num_classes: int | None = None
) -> LinearProbe:
    """Fit a linear probe to features (N, D) and class numbers (N).

    `ridge`: a strength, several to choose from by leave-one-out, or None for decades around the features' variance.
    It computes in double precision with all threads. Raises ShapeError for wrong shapes and labels, ConfigError for
    features that are not finite.
    """
    table = _table(features)
    y = _labels(labels, len(table))
    strengths = [] if ridge is None else [float(r) for r in np.atleast_1d(np.asarray(ridge, dtype=np.float64))]
    found = _core.ridge_fit(table, y, _classes(y, num_classes), strengths)
    return LinearProbe(found["weights"], found["bias"], found["strength"], found["candidates"])


def nearest(features: Any, queries: Any, k: int = 5) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The rows (Q, k) of `features` (N, D) that are most similar to each of the `queries` (Q, D), and their cosines.

    The most similar comes first. Raises ShapeError for wrong shapes and unless 1 <= k <= N.
    """
    rows, similarities = _core.nearest_neighbours(_table(features), _table(queries, "queries"), k)
    return rows.astype(np.int64), similarities


def knn_predict(features: Any, labels: Any, queries: Any, k: int = 5) -> npt.NDArray[np.int64]:
    """The class of each query (Q, D), int64 (Q): what most of its k most similar rows (by cosine) of `features` have.

    `labels`: a class number for each row of `features` (N, D). Of classes with equal votes the smallest number wins.
    Raises ShapeError for wrong shapes and unless 1 <= k <= N.
    """
    table = _table(features)
    y = _labels(labels, len(table))
    return _core.knn_classify(table, y, _classes(y, None), _table(queries, "queries"), k).astype(np.int64)


def split(labels: Any, test_fraction: float = 0.2, seed: int = 0) -> tuple[Array, Array]:
    """The row numbers of a training and a test part, drawn class by class; every class keeps one row in each at least.

    Raises ConfigError for a fraction outside (0, 1) or a class with fewer than two rows.
    """
    if not 0 < test_fraction < 1:
        raise ConfigError(f"expected a test fraction between 0 and 1, got {test_fraction}")
    y, _ = to_numpy(labels)
    y = _labels(y, len(y))
    rng = np.random.default_rng(seed)
    train: list[Array] = []
    test: list[Array] = []
    for c in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == c))
        if len(rows) < 2:
            raise ConfigError(f"class {c} has one example: expected two or more to hold some out; pass a test set")
        held = min(max(1, round(test_fraction * len(rows))), len(rows) - 1)
        test.append(rows[:held])
        train.append(rows[held:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


@dataclass(frozen=True)
class ShotResult:
    """Accuracies of one method at one number of examples per class, one for each seed."""

    shots: Shots
    method: str  # "linear" or "knn"
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy over the seeds, in [0, 1]."""
        return float(np.mean(self.accuracies))

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the seeds; None for one seed."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else None


@dataclass(frozen=True, repr=False)
class FewShotReport:
    """Accuracy against examples per class; prints as a table."""

    results: tuple[ShotResult, ...]
    num_classes: int
    num_test: int
    seeds: int

    def get(self, shots: Shots, method: str = "linear") -> ShotResult:
        """The result of one row and column; raises KeyError if it was not evaluated."""
        for result in self.results:
            if (result.shots, result.method) == (shots, method):
                return result
        raise KeyError(f"no result for {shots} shots and method {method!r}")

    def as_dict(self) -> dict[str, Any]:
        """The report as values that JSON has."""
        rows = [
            {"shots": r.shots, "method": r.method, "mean": r.mean, "std": r.std, "accuracies": list(r.accuracies)}
            for r in self.results
        ]
        return {"classes": self.num_classes, "test_examples": self.num_test, "seeds": self.seeds, "results": rows}

    def __repr__(self) -> str:
        methods = list(dict.fromkeys(r.method for r in self.results))
        lines = [f"{'shots per class':>15}" + "".join(f"{m:>18}" for m in methods)]
        for shots in dict.fromkeys(r.shots for r in self.results):
            cells = []
            for method in methods:
                result = self.get(shots, method)
                spread = "" if result.std is None else f" ± {100 * result.std:4.1f}"
                cells.append(f"{100 * result.mean:5.1f}{spread:<7} %")
            lines.append(f"{shots!s:>15}" + "".join(f"{c:>18}" for c in cells))
        lines.append(
            f"accuracy on {self.num_test} held-out examples of {self.num_classes} classes; "
            f"mean ± standard deviation over {self.seeds} seeds"
        )
        return "\n".join(lines)


def draw_examples(labels: npt.NDArray[np.int64], rows: Array, shots: int, seed: int) -> Array:
    """Of `rows`, row numbers of `labels`, `shots` per class at random by the seed.

    More shots of the same seed contain the rows of fewer. Raises ConfigError for a class with too few rows.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for c in np.unique(labels[rows]):
        own = rng.permutation(rows[labels[rows] == c])
        if len(own) < shots:
            raise ConfigError(
                f"class {c} has {len(own)} training examples: expected {shots} or more for {shots} shots; ask for fewer"
            )
        drawn.append(own[:shots])
    return np.concatenate(drawn)


def few_shot(
    features: Any,
    labels: Any,
    *,
    test_features: Any = None,
    test_labels: Any = None,
    test_fraction: float = 0.2,
    shots: Sequence[Shots] | None = None,
    seeds: int = 5,
    methods: Sequence[str] = ("linear", "knn"),
    k: int = 5,
    ridge: float | Sequence[float] | None = None,
) -> FewShotReport:
    """Accuracy of probes that see few examples per class, over several random draws.

    Without a test set, `test_fraction` of each class is held out, the same rows for every seed. For each seed and each
    number of `shots` that many examples per class are drawn from the rest ("full": all of them, one run; None: 1, 2,
    5 and 10 as far as every class has them, and "full"). k-NN uses
    min(k, shots) neighbours. Raises ShapeError for wrong shapes, ConfigError for unknown methods
    and classes with too few examples.
    """
    table = _table(features)
    y = _labels(labels, len(table))
    if test_features is None:
        train, test = split(y, test_fraction)
        test_x, test_y = table[test], y[test]
    else:
        train, test_x = np.arange(len(table)), _table(test_features, "test_features")
        test_y = _labels(test_labels, len(test_x))
    if any(m not in ("linear", "knn") for m in methods) or seeds < 1 or k < 1:
        raise ConfigError(
            f'expected methods "linear" and "knn", and at least one seed and neighbour, got {methods}, '
            f"seeds={seeds}, k={k}"
        )
    classes = max(_classes(y, None), _classes(test_y, None))
    if shots is None:
        fewest = min(np.unique(y[train], return_counts=True)[1], default=0)
        shots = [*(n for n in (1, 2, 5, 10) if n <= fewest), "full"]
    results = []
    for shot in shots:
        if shot != "full" and (not isinstance(shot, (int, np.integer)) or shot < 1):
            raise ConfigError(f'expected shots of 1 or more, or "full", got {shot!r}')
        draws = [train] if shot == "full" else [draw_examples(y, train, int(shot), seed) for seed in range(seeds)]
        for method in methods:
            accuracies = []
            for rows in draws:
                if method == "linear":
                    found = fit_linear(table[rows], y[rows], ridge=ridge, num_classes=classes).predict(test_x)
                else:
                    near = min(k, len(rows) if shot == "full" else int(shot))
                    found = knn_predict(table[rows], y[rows], test_x, near)
                accuracies.append(float(np.mean(found == test_y)))
            results.append(ShotResult(shot, method, tuple(accuracies)))
    return FewShotReport(tuple(results), classes, len(test_y), seeds)
