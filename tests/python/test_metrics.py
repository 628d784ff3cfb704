# SPDX-License-Identifier: Apache-2.0
"""pybit.evaluation.metrics: scikit-learn's values, with ties, absent classes and a single class."""

from __future__ import annotations

import warnings

import numpy as np
import pybit
import pytest
from pybit.evaluation.calibration import expected_calibration_error
from pybit.evaluation.metrics import Metrics, confusion_matrix, metrics

# Both sides sum the same few thousand doubles in another order.
TOLERANCE = 1e-12


def drawn(seed: int, n: int, classes: int, steps: int, absent: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes, the last `absent` of which have no images, and probabilities in few `steps`, so that many are equal."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes - absent, n)
    scores = random.random((n, classes)) + 0.7 * np.eye(classes)[truth]
    rounded = np.round(scores * steps) + 1
    return truth, rounded / rounded.sum(axis=1, keepdims=True)


CASES = [
    (0, 400, 2, 1000, 0),
    (1, 400, 2, 3, 0),
    (2, 500, 5, 1000, 0),
    (3, 500, 5, 4, 0),
    (4, 300, 7, 1, 0),
    (5, 300, 6, 20, 2),
    (6, 60, 40, 50, 15),
    (7, 50, 3, 10, 2),
    (8, 50, 2, 10, 1),
    (9, 1, 4, 10, 0),
]


@pytest.mark.parametrize("case", CASES)
def test_values_are_scikit_learns(case: tuple[int, int, int, int, int]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    truth, p = drawn(*case)
    found = metrics(truth, p)
    predicted = p.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own on absent classes
        macro = sklearn.precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)[:3]
        each = sklearn.precision_recall_fscore_support(truth, predicted, labels=range(p.shape[1]), zero_division=0)[:3]
        balanced = sklearn.balanced_accuracy_score(truth, predicted)
    assert (found.precision, found.recall, found.f1) == pytest.approx(macro, abs=TOLERANCE)
    for own, value in zip(("precision", "recall", "f1"), each, strict=True):
        np.testing.assert_allclose(getattr(found.per_class, own), value, atol=TOLERANCE)
    assert found.balanced_accuracy == pytest.approx(balanced, abs=TOLERANCE)
    assert found.accuracy == pytest.approx(sklearn.accuracy_score(truth, predicted), abs=TOLERANCE)
    np.testing.assert_array_equal(
        confusion_matrix(truth, predicted, p.shape[1]),
        sklearn.confusion_matrix(truth, predicted, labels=range(p.shape[1])),
    )
    present = [c for c in range(p.shape[1]) if (truth == c).any()]
    areas = {c: sklearn.roc_auc_score(truth == c, p[:, c]) for c in present if len(present) > 1}
    precisions = {c: sklearn.average_precision_score(truth == c, p[:, c]) for c in present}
    for values, own in ((areas, "auroc"), (precisions, "average_precision")):
        wanted = np.array([values.get(c, np.nan) for c in range(p.shape[1])])
        np.testing.assert_allclose(getattr(found.per_class, own), wanted, rtol=0, atol=TOLERANCE)
        whole = values.get(1) if p.shape[1] == 2 else np.mean(list(values.values())) if values else None
        assert getattr(found, own) == (None if whole is None else pytest.approx(whole, abs=TOLERANCE))


def test_whole_sets_are_what_scikit_learn_says_in_one_call() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    truth, p = drawn(2, 500, 5, 1000)
    found = metrics(truth, p)
    assert found.auroc == pytest.approx(sklearn.roc_auc_score(truth, p, multi_class="ovr"), abs=TOLERANCE)
    assert found.average_precision == pytest.approx(sklearn.average_precision_score(truth, p), abs=TOLERANCE)
    truth, p = drawn(1, 400, 2, 3)
    assert metrics(truth, p).auroc == pytest.approx(sklearn.roc_auc_score(truth, p[:, 1]), abs=TOLERANCE)
    # The check can fail: without regard to ties the first case's order alone would decide.
    broken = p[:, 1] + np.linspace(0, 1e-6, len(p))
    assert sklearn.roc_auc_score(truth, broken) != pytest.approx(metrics(truth, p).auroc, abs=1e-6)


def test_a_majority_vote_is_seen_through() -> None:
    """Accuracy says 69 %; what weighs classes alike says chance."""
    truth = np.array([0] * 69 + [1] * 31)
    found = metrics(truth, np.tile([0.69, 0.31], (100, 1)))
    assert (found.accuracy, found.balanced_accuracy, found.auroc) == (0.69, 0.5, 0.5)
    assert found.average_precision == pytest.approx(0.31) and found.ece == pytest.approx(0)
    assert found.f1 == pytest.approx(2 * 69 / 169 / 2)


def test_all_of_one_class_has_no_ranking() -> None:
    found = metrics(np.zeros(3, np.int64), np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]))
    assert found.auroc is None and found.average_precision is None
    assert found.balanced_accuracy == pytest.approx(2 / 3)
    assert found.as_dict()["auroc"] is None and "per_class" not in found.as_dict()


def test_the_calibration_error_is_the_bins_mean_gap() -> None:
    random = np.random.default_rng(5)
    confidence, right = random.random(1000), random.random(1000) < 0.6
    edges, gap = np.linspace(0, 1, 16), 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert expected_calibration_error(right, confidence) == pytest.approx(gap, abs=TOLERANCE)
    assert expected_calibration_error(right, confidence, bins=1) != pytest.approx(gap, abs=1e-3)
    assert expected_calibration_error(np.array([True]), np.array([0.0])) == 1  # the lowest bin holds 0, too


def test_predictions_may_be_given() -> None:
    """Probabilities of a sigmoid saturate; what was predicted is told by the logits."""
    truth, p = np.array([1, 0]), np.ones((2, 2))
    assert metrics(truth, p).accuracy == 0.5
    assert metrics(truth, p, np.array([1, 0])).accuracy == 1
    assert isinstance(metrics(truth, p), Metrics) and metrics(truth, p) == metrics(truth, p)


@pytest.mark.parametrize(
    ("truth", "p", "message"),
    [
        ([0, 1], np.ones((3, 2)), "expected 3 whole class numbers, got int64"),
        ([0, 2], np.ones((2, 2)), "expected classes from 0 to 1, got 0 to 2"),
        ([0.0, 1.0], np.ones((2, 2)), "expected 2 whole class numbers, got float64"),
        ([], np.ones((0, 2)), "at least one"),
        ([0, 1], np.ones(2), "expected probabilities"),
        ([0, 1], np.full((2, 2), np.nan), r"in \[0,1\], got nan"),
        ([0, 1], np.full((2, 2), 1.5), r"in \[0,1\], got 1.5"),
    ],
)
def test_what_is_no_prediction_is_refused(truth: list[float], p: np.ndarray, message: str) -> None:
    with pytest.raises(pybit.ShapeError, match=message):
        metrics(np.array(truth), p)
    with pytest.raises(pybit.ShapeError, match="predicted classes"):
        metrics(np.array([0]), np.ones((1, 2)), np.array([2]))
