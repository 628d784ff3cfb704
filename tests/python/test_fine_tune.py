# SPDX-License-Identifier: Apache-2.0
"""pybit.fine_tune and pybit.evaluate: models, arrays, callbacks, the reference's behaviour and its data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from data_folders import cifar10_python, digits, write_archive
from pybit import cli, datasets
from pybit.errors import ConfigError, DivergedError

HOW: dict[str, Any] = {"batch": 16, "resolution": (36, 32), "steps": 4, "base_lr": 0.01}
HEAD = "resnet/head/conv2d/kernel"
STEM = "resnet/root_block/standardized_conv2d/kernel"


def small() -> pybit.Model:
    return pybit.create_model("tiny", 7, units=(1, 1, 1, 1), stem_channels=32, seed=3)


def arrays(n: int = 60) -> tuple[Any, Any]:
    images, labels = digits()
    return np.repeat(images[:n, :, :, None], 3, axis=3), labels[:n]


def test_a_model_is_tuned_on_arrays_and_stays_as_it_was() -> None:
    model = small()
    before = model.state_dict()
    data = datasets.open(arrays(200))
    steps: list[tuple[Any, ...]] = []
    seen: list[tuple[int, pybit.Evaluation]] = []
    done = pybit.fine_tune(
        model,
        data,
        **(HOW | {"steps": 30}),
        eval_every=15,
        on_step=lambda *row: steps.append(row),
        on_evaluation=lambda step, found: seen.append((step, found)),
    )
    assert all(np.array_equal(value, model.state_dict()[name]) for name, value in before.items())
    assert [row[0] for row in steps] == list(range(1, 31))
    assert np.mean([row[1] for row in steps[-5:]]) < 2.15 < 2.302 < steps[0][1]  # chance is log(10)
    assert [step for step, _ in seen] == [15, 30]
    assert done.evaluation == seen[-1][1] and done.best == max(e.top1 for _, e in seen)
    assert (done.steps, done.first_step, done.interrupted, done.folder) == (30, 0, False, None)
    # The tuned model predicts what was measured, from the same preprocessing.
    assert done.model.labels == tuple("0123456789")
    measured = pybit.evaluate(done.model, data.validation, batch_size=7)
    assert measured.top1 == pytest.approx(seen[-1][1].top1)
    assert measured.loss == pytest.approx(seen[-1][1].loss, rel=1e-3)
    right = [
        done.model.predict([data.validation[i][0]], topk=1)[0].label == str(data.validation[i][1])
        for i in range(len(data.validation))
    ]
    assert np.mean(right) == pytest.approx(measured.top1)


def test_results_do_not_depend_on_threads_and_workers() -> None:
    data = datasets.open(arrays())
    one, other = (
        pybit.fine_tune(small(), data, **HOW, mixup_alpha=0.3, threads=n, workers=n).model.state_dict() for n in (1, 3)
    )
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_bfloat16_is_named_in_the_recipe_learns_too_and_is_part_of_the_run(tmp_path: Path) -> None:
    data = datasets.open(arrays())
    how = HOW | {"logdir": tmp_path, "name": "run"}
    run = pybit.FineTuning(small(), data, **how, dtype="bfloat16")
    assert "bfloat16" in run.recipe
    tuned = run.start().model.state_dict()
    exact = pybit.fine_tune(small(), data, **HOW).model.state_dict()
    assert not np.array_equal(tuned[HEAD], exact[HEAD])
    # Four steps from a head of zeros; the sign of the head's gradient is not a matter of 8 bits.
    assert np.linalg.norm(tuned[HEAD] - exact[HEAD]) < 0.3 * np.linalg.norm(exact[HEAD])
    with pytest.raises(ConfigError, match="dtype: bfloat16 there, float32 here"):
        pybit.fine_tune(small(), data, **how)
    with pytest.raises(ConfigError, match="dtype to be 'float32' or 'bfloat16', got 'float64'"):
        pybit.fine_tune(small(), data, **HOW, dtype="float64")


def test_only_what_should_learn_learns() -> None:
    before = small().state_dict()
    after = pybit.fine_tune(small(), datasets.open(arrays()), **HOW, train=["resnet/head/*"]).model.state_dict()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {HEAD, "resnet/head/conv2d/bias"}
    frozen = pybit.fine_tune(small(), datasets.open(arrays()), **HOW, freeze=["resnet/root_block/*"])
    assert np.array_equal(frozen.model.state_dict()[STEM], before[STEM])


def test_stopping_and_exceptions_save_and_the_run_goes_on(tmp_path: Path) -> None:
    data = datasets.open(arrays())
    how = HOW | {"steps": 6, "logdir": tmp_path, "name": "run"}
    whole = pybit.fine_tune(small(), data, **(HOW | {"steps": 6}))
    asked: list[int] = []
    stopped = pybit.fine_tune(small(), data, **how, should_stop=lambda: bool(asked.append(0) or len(asked) > 2))
    assert stopped.interrupted and stopped.steps == 2

    def tired(step: int, *_: Any) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pybit.fine_tune(small(), data, **how, on_step=tired)
    done = pybit.fine_tune(small(), data, **how)
    assert (done.first_step, done.steps) == (4, 6)
    one, other = whole.model.state_dict(), done.model.state_dict()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    with pytest.raises(ConfigError, match="comes from another run"):
        pybit.fine_tune(small(), data, **(how | {"seed": 1}))


def test_a_loss_that_is_not_finite_raises() -> None:
    with pytest.raises(DivergedError, match="learning rate"):
        pybit.fine_tune(small(), datasets.open(arrays()), **(HOW | {"base_lr": 1e30, "steps": 20}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compat": "keras"}, "expected compat to be 'none', 'pytorch', 'jax' or 'tf2', got 'keras'"),
        ({"speed": 1}, "no option speed; did you mean seed?"),
        ({"no_such": 1}, "expected options among preset, examples_per_class"),
        ({"logdir": "here"}, "both logdir and name"),
        ({"batch_split": 17}, r"batch_split in 1\.\.16"),
        ({"resolution": (32, 36)}, "1 <= crop <= resize"),
        ({"schedule": [3, 2]}, "got both"),
        ({"examples_per_class": 99}, "at least 99 examples of each class"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pybit.FineTuning(small(), datasets.open(arrays()), **(HOW | changes))


def test_the_habits_of_the_three_programs_run_and_differ() -> None:
    data = datasets.open(arrays())
    found = {
        compat: pybit.fine_tune(small(), data, **HOW, compat=compat, batch_split=2, mixup_alpha=0.3).model.state_dict()
        for compat in ("none", "pytorch", "jax")
    }
    assert not np.array_equal(found["none"][HEAD], found["jax"][HEAD])
    assert not np.array_equal(found["none"][HEAD], found["pytorch"][HEAD])
    run = pybit.FineTuning(small(), data, **(HOW | {"steps": 20}), compat="tf2", eval_every=6)
    assert run.steps == 18


def test_evaluate_matches_classes_by_name_and_refuses_others() -> None:
    data = datasets.open(arrays())
    tuned = pybit.fine_tune(small(), data, **HOW).model
    with pytest.raises(ConfigError, match="classes are not the data set's"):
        pybit.evaluate(tuned, datasets.open(arrays(), class_names=list("abcdefghij")).train)
    images, labels = arrays()
    names = np.array(list("0123456789"))[labels]
    expected = pybit.evaluate(tuned, datasets.open((images, labels), validation_fraction=0).train, per_class=True)
    turned = datasets.open((images, names), class_names=list("9876543210"), validation_fraction=0).train
    assert turned.labels.tolist() == (9 - labels).tolist()
    found = pybit.evaluate(tuned, turned, per_class=True)
    assert (found.loss, found.top1) == (expected.loss, expected.top1)
    np.testing.assert_array_equal(found.classes.confusion, expected.classes.confusion)
    some = np.isin(labels, [3, 7])
    few = datasets.open((images[some], names[some]), validation_fraction=0).train
    assert few.class_names == ["3", "7"]
    with pytest.warns(UserWarning, match="8 of the model's 10 classes have no images here: 0, 1, 2, ..."):
        found = pybit.evaluate(tuned, few, per_class=True)
    rows = np.zeros_like(expected.classes.confusion)
    rows[[3, 7]] = expected.classes.confusion[[3, 7]]
    np.testing.assert_array_equal(found.classes.confusion, rows)


def test_cifar_by_the_references_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", cifar10_python())
    small().save(tmp_path / "BiT-S-R7x1.npz")
    arguments = [
        *("train", "--name", "c10", "--logdir", str(tmp_path / "runs"), "--model", "BiT-S-R7x1"),
        *("--bit_pretrained_dir", str(tmp_path), "--dataset", "cifar10", "--datadir", str(tmp_path)),
        *("--batch", "8", "--resize", "36", "--crop", "32", "--steps", "2", "--quiet"),
    ]
    assert cli.main(arguments) == 0
    best = capsys.readouterr().out.strip()
    assert pybit.load(best).num_classes == 10
    assert cli.main(["eval", best, str(tmp_path / "cifar-10-python.tar.gz")]) == 0
    assert "top5" in capsys.readouterr().out
    assert cli.main([*arguments, "--dataset", "cifar100", "--name", "c100"]) == 2
    assert "expected 100 classes of cifar100" in capsys.readouterr().err
    # bit_jax's input pipeline trains on the first 98 % and tells HyperRule the whole.
    jax = [*arguments, "--compat", "jax", "--dry-run"]
    assert cli.main(jax) == 0
    assert "the rule was told" in capsys.readouterr().out
