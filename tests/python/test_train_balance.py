# SPDX-License-Identifier: Apache-2.0
"""Classes of different sizes, the best checkpoint by other numbers, and when a run ends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from data_folders import digits
from pybit import datasets
from train_runs import events, make_place, same
from tuning_models import HEAD, HOW, arrays, small


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("choices"))


def uneven(many: int = 90, few: int = 10) -> datasets.Splits:
    """Threes and eights, nine to one, and a validation set of the same kind."""
    images, labels = digits()
    three, eight = np.flatnonzero(labels == 3), np.flatnonzero(labels == 8)

    def pick(first: int, n: int, m: int) -> tuple[Any, Any]:
        at = np.concatenate([three[first : first + n], eight[first : first + m]])
        return np.repeat(images[at, :, :, None], 3, axis=3), [str(value) for value in labels[at]]

    return datasets.open(pick(0, many, few), validation=pick(100, 36, 4))


def test_balanced_class_weights_and_balanced_sampling_find_the_small_class() -> None:
    data = uneven()
    how: dict[str, Any] = {"batch": 20, "resolution": (36, 32), "steps": 30, "base_lr": 0.003, "flip": "never"}
    found = {}
    for name, more in (
        ("plain", {}),
        ("weights", {"class_weights": "balanced"}),
        ("sampling", {"sampling": "balanced"}),
    ):
        model = pybit.fine_tune(small(), data, **how, **more).model
        confusion = pybit.evaluate(model, data.validation, per_class=True).classes.confusion  # type: ignore[union-attr]
        found[name] = confusion[1, 1]
    assert found["plain"] == 0 and found["weights"] >= 2 and found["sampling"] >= 2, found
    flags = pybit.FineTuning(small(), data, **how, class_weights="balanced").departures
    # 100 / (2 * 90) and 100 / (2 * 10)
    assert "the loss weighs the classes by 0.5556, 5" in flags


def test_class_weights_are_the_mean_of_weighted_losses(place: Path) -> None:
    """The first loss of a head of zeros is log(2) for each image: the weights' mean over the batch remains."""
    data = uneven()
    losses: list[float] = []
    more: dict[str, Any] = {"class_weights": {"8": 3.0}, "steps": 1, "batch": 100, "mixup_alpha": 0}
    pybit.fine_tune(small(), data, **(HOW | more), on_step=lambda step, loss, *_: losses.append(loss))
    assert losses[0] == pytest.approx(np.log(2) * (90 + 3 * 10) / 100, rel=1e-6)
    one, other = (
        pybit.fine_tune(small(), data, **(HOW | more), batch_split=parts).model.state_dict()[HEAD] for parts in (1, 4)
    )
    np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(one).max() + 1e-9)  # sums in another order


@pytest.mark.parametrize("by", ["balanced_accuracy", "macro_f1", "auroc", "loss"])
def test_the_best_checkpoint_is_chosen_by_another_number(tmp_path: Path, by: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    data = uneven()
    how: dict[str, Any] = {"batch": 20, "resolution": (36, 32), "steps": 24, "base_lr": 0.02, "eval_every": 4}
    done = pybit.fine_tune(small(), data, **how, best_by=by, logdir=tmp_path, name="run")
    rows = {event["step"]: event[by] for event in events(tmp_path / "run", "evaluation")}
    choose = min if by == "loss" else max
    assert done.best == pytest.approx(choose(rows.values())) and done.best_by == by
    assert done.best_step == choose(rows, key=lambda step: (rows[step], step) if by == "loss" else (rows[step], -step))
    # scikit-learn's value for the checkpoint that was kept
    x = [data.validation[i][0] for i in range(len(data.validation))]
    model = done.best_model
    assert model is not None
    p = np.array([[row.probabilities[row.classes.index(c)] for c in (0, 1)] for row in model.predict(x, topk=2)])
    y = data.validation.labels
    expected = {
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(y, p.argmax(1)),
        "macro_f1": lambda: metrics.f1_score(y, p.argmax(1), average="macro"),
        "auroc": lambda: metrics.roc_auc_score(y, p[:, 1]),
        "loss": lambda: metrics.log_loss(y, p),
    }[by]()
    # The frozen network computes in another order than training: an image on the border may change sides.
    assert done.best == pytest.approx(expected, abs=0.02)


def test_a_run_ends_when_evaluations_bring_nothing_better_and_when_its_time_is_up(tmp_path: Path) -> None:
    data = datasets.open(arrays(100))
    still: dict[str, Any] = HOW | {"steps": 40, "eval_every": 2, "best_by": "loss", "base_lr": 1e-30}
    done = pybit.fine_tune(small(), data, **still, patience=3, logdir=tmp_path, name="run")
    assert (done.best_step, done.steps, done.ended, done.interrupted) == (2, 8, "patience", False)
    assert "ended after step 8 of 40: evaluations bring nothing better" in (tmp_path / "run/train.log").read_text()
    # It is over, unless one has more patience.
    assert pybit.fine_tune(small(), data, **still, patience=3, logdir=tmp_path, name="run").steps == 8
    more = pybit.fine_tune(small(), data, **still, patience=4, logdir=tmp_path, name="run")
    assert (more.first_step, more.steps) == (8, 10)
    waits: dict[str, Any] = {"max_minutes": 0.001, "on_step": lambda *_: time.sleep(0.07)}
    how = HOW | {"logdir": tmp_path, "name": "time"}
    timed = pybit.fine_tune(small(), data, **how, **waits)
    assert (timed.ended, timed.steps) == ("time", 1) and timed.evaluation is not None
    rest = pybit.fine_tune(small(), data, **how)
    whole = pybit.fine_tune(small(), data, **HOW | {"logdir": tmp_path, "name": "whole"})
    assert (rest.first_step, rest.ended, whole.ended) == (1, "none", "none")
    assert same(tmp_path / "time/last.safetensors", tmp_path / "whole/last.safetensors")
