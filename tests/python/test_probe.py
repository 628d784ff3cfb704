# SPDX-License-Identifier: Apache-2.0
"""Probes: parity with scikit-learn, few-shot protocol, messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pybit
import pytest
from pybit import probe
from pybit.evaluation.probe import draw_examples

Table = npt.NDArray[np.float32]


def clusters(n: int, d: int, classes: int, seed: int = 0, spread: float = 2.0) -> tuple[Table, npt.NDArray[np.int64]]:
    """Points around one centre per class, off the origin so that the intercept matters."""
    rng = np.random.default_rng(seed)
    centres = 5 + spread * rng.standard_normal((classes, d))
    y = rng.permutation(np.arange(n) % classes)
    return (centres[y] + rng.standard_normal((n, d))).astype(np.float32), y


@pytest.mark.parametrize(("n", "d"), [(200, 20), (30, 100), (50, 50)])
@pytest.mark.parametrize("ridge", [1e-2, 1.0, 300.0])
def test_the_solution_equals_scikit_learns_ridge(n: int, d: int, ridge: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = clusters(n, d, 4)
    ours = probe.fit_linear(x, y, ridge=ridge)
    targets = np.where(y[:, None] == np.arange(4), 1.0, -1.0)
    theirs = linear_model.Ridge(alpha=ridge).fit(x.astype(np.float64), targets)
    # Both solve in double precision by way of X'X, whose condition is at most 1e7 here: 1e-9 of the weights may differ,
    # 1e-8 leaves room.
    scale = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, rtol=0, atol=1e-8 * scale)
    np.testing.assert_allclose(ours.bias, theirs.intercept_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.scores(x), theirs.predict(x), rtol=0, atol=1e-6)
    other = probe.fit_linear(x, y, ridge=1.01 * ridge)  # negative control
    assert np.abs(other.weights - theirs.coef_.T).max() > 1e-8 * scale
    classifier = linear_model.RidgeClassifier(alpha=ridge).fit(x.astype(np.float64), y)
    new, _ = clusters(100, d, 4, seed=1)
    np.testing.assert_array_equal(ours.predict(new), classifier.predict(new.astype(np.float64)))
    np.testing.assert_allclose(ours.scores(new), classifier.decision_function(new.astype(np.float64)), atol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(120, 15), (25, 60)])
def test_leave_one_out_equals_scikit_learns_ridgecv(n: int, d: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = clusters(n, d, 3, spread=0.5)
    ours = probe.fit_linear(x, y)
    strengths = [s for s, _ in ours.candidates]
    assert len(strengths) == 8 and ours.ridge in strengths
    targets = np.where(y[:, None] == np.arange(3), 1.0, -1.0)
    theirs = linear_model.RidgeCV(alphas=strengths, store_cv_results=True).fit(x.astype(np.float64), targets)
    errors = theirs.cv_results_.reshape(n * 3, -1).mean(axis=0)
    np.testing.assert_allclose([e for _, e in ours.candidates], errors, rtol=1e-6)
    assert ours.ridge == theirs.alpha_
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, rtol=0, atol=1e-8)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_neighbours_equal_scikit_learns(k: int) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    x, y = clusters(300, 12, 5, spread=0.7)
    new, truth = clusters(120, 12, 5, seed=0, spread=0.7)
    theirs = neighbors.KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(x.astype(np.float64), y)
    found = probe.knn_predict(x, y, new, k)
    np.testing.assert_array_equal(found, theirs.predict(new.astype(np.float64)))
    assert 0 < np.mean(found == truth) < 1  # neither trivial nor hopeless: an error would show
    rows, similarity = probe.nearest(x, new, k)
    distance, index = theirs.kneighbors(new.astype(np.float64))
    np.testing.assert_array_equal(rows, index)
    np.testing.assert_allclose(similarity, 1 - distance, atol=1e-12)


def test_the_scale_of_the_features_does_not_matter() -> None:
    x, y = clusters(60, 10, 3)
    small = probe.fit_linear(x / 1024, y)  # a power of two: exact in float32
    np.testing.assert_allclose(small.weights / 1024, probe.fit_linear(x, y).weights, rtol=1e-9)


def test_accuracy_and_num_classes() -> None:
    x, y = clusters(60, 10, 3)
    fitted = probe.fit_linear(x, y, num_classes=6)
    assert fitted.weights.shape == (10, 6) and set(fitted.predict(x)) <= {0, 1, 2}
    assert fitted.accuracy(x, y) == np.mean(fitted.predict(x) == y) > 0.9


def test_other_arrays_are_taken() -> None:
    x, y = clusters(40, 6, 2)
    expected = probe.fit_linear(x, y, ridge=1.0).weights
    for a, b in ((x.astype(np.float64), y.astype(np.uint8)), (x[::-1][::-1], y.tolist()), (x.tolist(), y[:, None])):
        np.testing.assert_array_equal(probe.fit_linear(a, b, ridge=1.0).weights, expected)
    torch = pytest.importorskip("torch")
    found = probe.fit_linear(torch.from_numpy(x), torch.from_numpy(y), ridge=1.0)
    np.testing.assert_array_equal(found.weights, expected)


def test_wrong_inputs_are_refused_with_their_shapes() -> None:
    x, y = clusters(20, 5, 2)
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (x[0], y, {}, r"expected a float array \(N, D\), got float32 of shape \(5,\)"),
        (np.zeros((2, 3, 4, 4), np.float32), y, {}, r"shape \(2, 3, 4, 4\); pool maps first"),
        (x.astype(int), y, {}, "expected a float array"),
        (x, y[:3], {}, r"expected 20 whole numbers, one per row, got .* \(3,\)"),
        (x, y + 0.5, {}, "whole numbers"),
        (x, y - 1, {}, "labels: expected 0 or more, got -1"),
        (x, y, {"num_classes": 1}, r"labels in \[0, 1\), got 1"),
        (x, y, {"ridge": -1.0}, "finite lambdas above 0"),
        (np.full_like(x, np.nan), y, {}, "expected finite features"),
        (x[:0], y[:0], {}, "at least one row"),
    ]
    for a, b, options, message in cases:
        with pytest.raises(ValueError, match=message):
            probe.fit_linear(a, b, **options)
    with pytest.raises(ValueError, match="expected 5 columns, as fitted on, got 4"):
        probe.fit_linear(x, y).predict(x[:, :4])
    for k in (0, 21):
        with pytest.raises(ValueError, match=r"expected k in \[1, 20\]|incompatible"):
            probe.nearest(x, x, k)


def test_a_split_holds_out_part_of_each_class() -> None:
    y = np.repeat([0, 1, 7], [10, 20, 2])
    train, test = probe.split(y, 0.2)
    assert sorted([*train, *test]) == list(range(32))
    assert [int(np.sum(y[test] == c)) for c in (0, 1, 7)] == [2, 4, 1]
    np.testing.assert_array_equal(probe.split(y, 0.2)[1], test)
    assert not np.array_equal(probe.split(y, 0.2, seed=1)[1], test)
    with pytest.raises(ValueError, match="class 3 has one example"):
        probe.split(np.array([0, 0, 3]))
    for fraction in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            probe.split(y, fraction)


def test_few_shot_reports_mean_and_deviation_over_seeds() -> None:
    x, y = clusters(300, 20, 3, spread=0.6)
    report = probe.few_shot(x, y, shots=(1, 5, "full"), seeds=4)
    assert report.num_classes == 3 and report.num_test == 60 and report.seeds == 4
    one, five, full = (report.get(s) for s in (1, 5, "full"))
    assert len(one.accuracies) == len(five.accuracies) == 4 and len(full.accuracies) == 1
    assert one.mean < five.mean < full.mean <= 1
    assert one.std == pytest.approx(np.std(one.accuracies, ddof=1)) and full.std is None
    assert probe.few_shot(x, y, shots=(1, 5, "full"), seeds=4).results == report.results  # nothing but the seeds
    with pytest.raises(KeyError, match="no result for 2 shots"):
        report.get(2)
    table = repr(report)
    assert "shots per class" in table and f"{100 * one.mean:.1f}" in table and "±" in table and "60 held-out" in table
    stored = json.loads(json.dumps(report.as_dict()))
    assert stored["results"][0]["mean"] == one.mean and stored["results"][-1]["std"] is None


def test_few_shot_takes_a_test_set_and_draws_nested_examples() -> None:
    x, y = clusters(60, 8, 3)
    report = probe.few_shot(x, y, test_features=x, test_labels=y, shots=("full",), methods=("knn",), k=1)
    assert report.get("full", "knn").mean == 1.0 and report.num_test == 60  # each is its own neighbour
    draws = [draw_examples(y, np.arange(60), n, seed=5) for n in (2, 4)]
    for draw, n in zip(draws, (2, 4), strict=True):
        assert [int(np.sum(y[draw] == c)) for c in range(3)] == [n, n, n]
    assert set(draws[0]) < set(draws[1])


def test_few_shot_refuses_what_cannot_be_drawn() -> None:
    x, y = clusters(30, 8, 3)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"shots": (9,)}, r"class 0 has 8 training examples: expected 9 or more"),
        ({"shots": (0,)}, 'expected shots of 1 or more, or "full", got 0'),
        ({"shots": ("all",)}, "got 'all'"),
        ({"methods": ("svm",)}, 'expected methods "linear" and "knn"'),
        ({"seeds": 0}, "seeds=0"),
        ({"test_features": x}, "label"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            probe.few_shot(x, y, **options)


def test_shots_that_are_not_named_fit_the_smallest_class() -> None:
    x = np.random.default_rng(0).standard_normal((13, 4))
    y = np.array([0] * 9 + [1] * 4)  # a fifth is held out: 7 and 3 stay
    assert [r.shots for r in probe.few_shot(x, y, seeds=2, methods=["linear"]).results] == [1, 2, "full"]


def test_other_files_are_not_called_pickles(tmp_path: Path) -> None:
    (tmp_path / "page.npz").write_text("<html>")
    with pytest.raises(ValueError, match="first bytes are those of another kind of file"):
        pybit.load_embeddings(tmp_path / "page.npz")
