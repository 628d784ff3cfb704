# SPDX-License-Identifier: Apache-2.0
"""Options of a run: their checks and messages, presets, the head, classes of different sizes, early ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit import cli, datasets
from pybit.errors import ConfigError
from train_runs import command, events, make_place, refused
from tuning_models import HEAD, HOW, arrays, metadata, small


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("choices"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bacth": 3}, "no option bacth; did you mean batch?"),
        ({"mixup": 0.1}, "did you mean mixup_alpha?"),
        ({"resize": 64}, r"did you mean resolution=\(resize, crop\)?"),
        ({"lr": 0.1}, "did you mean base_lr?"),
        ({"lr_group": []}, "did you mean groups?"),
        ({"epochs": 3}, "did you mean steps, which counts updates?"),
        ({"log_dir": "runs"}, "did you mean logdir?"),
        ({"steps": 0}, "expected steps to be a whole number of at least 1, got 0"),
        ({"steps": True}, "expected steps to be a whole number of at least 1, got True"),
        ({"batch": 2.5}, "expected batch to be a whole number of at least 1, got 2.5"),
        ({"eval_every": -1}, "expected eval_every to be a whole number of 0 or more, got -1"),
        ({"seed": -1}, "expected seed to be a whole number of 0 or more, got -1"),
        (
            {"resolution": 32},
            r"expected resolution to be two whole numbers \(resize, crop\), e.g. \(160, 128\), got 32",
        ),
        ({"base_lr": "0.1"}, "expected base_lr to be a number above 0, got '0.1'"),
        ({"label_smoothing": 2}, r"expected label_smoothing to be a number in \[0,1\], got 2"),
        ({"train": 3}, "expected train to be a pattern over parameters' names or a list of them"),
        ({"flip": "yes"}, "expected flip to be 'random', 'always' or 'never', got 'yes'"),
        ({"skip_corrupt": "no"}, "expected skip_corrupt to be True or False, got 'no'"),
        ({"betas": (0.9, 0.99)}, "betas is none of sgd's numbers, which are momentum and nesterov"),
        ({"patience": 2}, "patience counts evaluations: expected eval_every with it"),
        ({"class_weights": {"eleven": 2}}, "class_weights has 'eleven', which is no class; they are 0, 1, 2, 3, 4"),
        ({"class_weights": [1, 2]}, "a class weight for each of 10 classes, got 2"),
        ({"preset": "gpu"}, "expected preset to be one of cpu, got 'gpu'"),
    ],
)
def test_a_mistake_is_told_with_what_is_right(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pybit.fine_tune(small(), datasets.open(arrays()), **options)


def test_a_model_that_is_none_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="expected a model, a checkpoint file, a run's folder or a name, got NoneType"
    ):
        pybit.fine_tune(None, datasets.open(arrays()))  # type: ignore[arg-type]


def test_none_means_the_rules_value_and_a_pattern_need_not_be_a_list() -> None:
    data = datasets.open(arrays())
    plain = pybit.FineTuning(small(), data, **HOW)
    unset = pybit.FineTuning(small(), data, **HOW, seed=None, mixup_alpha=None, train=None)
    assert (unset.departures, unset.steps) == (plain.departures, plain.steps)
    one, other = (pybit.fine_tune(small(), data, **HOW, train=t).model for t in ("resnet/head/*", ["resnet/head/*"]))
    assert np.array_equal(one.state_dict()[HEAD], other.state_dict()[HEAD])


@pytest.mark.parametrize("line", ["pybit.fine_tune(m, d, batch=3)", "pybit.FineTuning(m, d, batch=3, flip='never')"])
def test_type_checkers_know_the_options(tmp_path: Path, line: str) -> None:
    """mypy --strict takes the right ones and refuses `bacth=3` and values of another type."""
    pytest.importorskip("mypy")
    results = []
    for code in (line, line.replace("batch", "bacth"), line.replace("3", "'3'")):
        (tmp_path / "use.py").write_text(f"import pybit\n\ndef use(m: pybit.Model, d: str) -> None:\n    {code}\n")
        how = ["--strict", "--no-error-summary", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache")]
        run = [sys.executable, "-m", "mypy", *how, "use.py"]
        results.append(subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False))
    assert [result.returncode for result in results] == [0, 1, 1], [result.stdout for result in results]
    assert 'Unexpected keyword argument "bacth"' in results[1].stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--label_smoothing", "2"], "expected label_smoothing to be a number in [0,1], got 2.0"),
        (["--clip_norm", "-1"], "expected clip_norm to be a number of 0 or more"),
        (["--optimizer", "adam", "--betas", "1.5,0.9"], "betas in [0,1)"),
        (["--patience", "2"], "patience counts evaluations"),
        (["--seed", "-1"], "expected seed to be a whole number of 0 or more, got -1"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    code, err = refused([*command(place, tmp_path, *flags), "--dry-run"], capsys)
    assert code == 2 and message in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flag", "hint"),
    [("--epochs", "runs are counted in steps: --steps N"), ("--batch-size", "did you mean --batch?"),
     ("--weight", "did you mean --weight_decay?"), ("--num_workers", "did you mean --workers?")],
)  # fmt: skip
def test_a_flag_that_is_none_is_told_with_the_one_that_was_meant(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, hint: str
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", *command(place, tmp_path, flag, "3")])
    assert hint in capsys.readouterr().err


def test_the_preset_is_what_it_says_and_what_is_given_counts(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pybit.FineTuning(small(), datasets.open(arrays()), preset="cpu", batch=8)
    assert (run.batch, run.steps) == (8, 200) and "resize to 160, crop 128" in run.recipe
    assert "base_lr 0.001 instead of 0.003" in run.recipe
    start = ["--name", "a", "--logdir", str(tmp_path), "--model", str(place / "tiny.npz"), "--data"]
    assert cli.main(["train", *start, str(place / "digits"), "--preset", "cpu", "--steps", "5", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "batch       32" in out and "steps       5" in out


def test_ones_own_model_goes_on_with_its_head_where_the_classes_agree(tmp_path: Path) -> None:
    data = datasets.open(arrays())
    how = HOW | {"logdir": tmp_path}
    first = pybit.fine_tune(small(), data, **how, name="first")
    start = first.model.state_dict()[HEAD]
    losses: list[float] = []
    folder = tmp_path / "first"
    second = pybit.FineTuning(folder, data, **how, name="second")
    assert "10 classes, head kept" in second.recipe and "the head goes on from the checkpoint's" in second.recipe
    second.start(on_step=lambda step, loss, *_: losses.append(loss))
    assert losses[0] != pytest.approx(np.log(10), abs=1e-6)
    again: list[float] = []
    zero = pybit.FineTuning(folder, data, **HOW, head="zero")
    assert "head of zeros" in zero.recipe
    zero.start(on_step=lambda step, loss, *_: again.append(loss))
    assert again[0] == pytest.approx(np.log(10), abs=1e-6)  # what a head of zeros says
    # Classes of other names, or in another order, are other classes.
    images, labels = arrays()
    turned = datasets.open((images, labels), class_names=list("9876543210"))
    assert "head of zeros" in pybit.FineTuning(folder, turned, **HOW).recipe
    with pytest.raises(ConfigError, match="expected a model whose classes are the set's"):
        pybit.FineTuning(folder, turned, **HOW, head="keep")
    with pytest.raises(ConfigError, match="it has 7 classes without names"):
        pybit.FineTuning(small(), data, **HOW, head="keep")
    # The best one is the start, whatever the last is.
    assert np.array_equal(pybit.load(folder).state_dict()[HEAD], first.best_model.state_dict()[HEAD])  # type: ignore[union-attr]
    assert start.shape == pybit.load(folder).state_dict()[HEAD].shape


def test_a_run_that_was_begun_with_a_head_of_zeros_goes_on(tmp_path: Path) -> None:
    """As folders of earlier versions do, whose flags have no word on the head."""
    data = datasets.open(arrays())
    pybit.fine_tune(small(), data, **HOW, logdir=tmp_path, name="first")
    how = HOW | {"logdir": tmp_path, "name": "second"}
    asked = iter(range(9))
    pybit.fine_tune(tmp_path / "first", data, **how, head="zero", should_stop=lambda: next(asked) == 2)
    flags = json.loads(metadata(tmp_path / "second/last.safetensors")["bit.training.flags"])
    assert not {"head", "class_weights", "sampling", "best_by"} & set(flags)
    done = pybit.fine_tune(tmp_path / "first", data, **how)
    assert (done.first_step, done.steps) == (2, 4)
    whole = pybit.fine_tune(tmp_path / "first", data, **HOW, head="zero").model.state_dict()
    assert np.array_equal(whole[HEAD], done.model.state_dict()[HEAD])


def test_a_list_or_a_folder_to_validate_on(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((place / "digits").rglob("*.png"))
    (tmp_path / "train.csv").write_text("".join(f"{f},{f.parent.name}\n" for f in files))
    (tmp_path / "val.csv").write_text("".join(f"{f},{f.parent.name}\n" for f in files[::9]))
    few = tmp_path / "few/3"
    few.mkdir(parents=True)
    (few / "a.png").write_bytes(files[0].read_bytes())
    for given, found in ((tmp_path / "val.csv", len(files[::9])), (tmp_path / "few", 1)):
        name = f"run-{given.stem}"
        code = cli.main(
            ["train", *command(place, tmp_path, "--steps", "1", "--data", str(tmp_path / "train.csv"), "--quiet",
                               "--validation", str(given), name=name)]
        )  # fmt: skip
        assert code == 0, capsys.readouterr().err
        (row,) = events(tmp_path / name, "evaluation")
        assert row["examples"] == found
    few.rename(tmp_path / "few/three")
    capsys.readouterr()
    code, err = refused(command(place, tmp_path, "--validation", str(tmp_path / "few")), capsys)
    assert code == 2 and "got also 'three'" in err


def test_a_runs_folder_and_a_released_name_stand_for_a_model(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["train", *command(place, tmp_path, "--steps", "1", "--quiet")]) == 0
    run = tmp_path / "run"
    data = datasets.open(place / "digits")
    assert pybit.load(run).num_classes == 10
    assert pybit.evaluate(run, data.validation).examples == len(data.validation)
    assert "head kept" in pybit.FineTuning(run, data, **HOW).recipe
    for arguments in (
        ["inspect", str(run)],
        ["summary", str(run)],
        ["convert", str(run), str(tmp_path / "out.npz")],
        ["train", *command(place, tmp_path, "--model", str(run), "--dry-run")],
    ):
        assert cli.main(arguments) == 0, arguments
    capsys.readouterr()
    with pytest.raises(ConfigError, match="is no run's folder but holds some: give one of"):
        pybit.load(tmp_path)
    monkeypatch.setattr("pybit.hub.download", lambda name: str(place / "tiny.npz") if name == "BiT-M-R50x1" else None)
    assert pybit.load("BiT-M-R50x1").num_features == 1024
    with pytest.raises(FileNotFoundError, match="a run's folder or a released model's name"):
        pybit.load("BiT-M-R50x7")
