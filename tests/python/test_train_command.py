# SPDX-License-Identifier: Apache-2.0
"""pybit train, eval and predict as commands: a whole run on real digits, kills and signals, flags."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pybit
import pytest
from pybit import cli
from pybit.train.run_files import read_metrics
from train_runs import command, events, finish, make_place, refused, same, start, tensors


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("train"))


def test_a_run_from_photos_to_predictions(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert cli.main(["train", *command(place, tmp_path, "--steps", "25", "--eval_every", "10")]) == 0
    folder = tmp_path / "run"
    best = folder / "best.safetensors"
    out, err = capsys.readouterr()
    assert out.strip() == str(best)
    log = (folder / "train.log").read_text()
    assert log == err
    # The reference's lines (big_transfer's bit_common.py and bit_pytorch/train.py).
    stamp = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[INFO\] pybit\.train: "
    assert re.search(stamp + r"\[step 0 \(1/2\)\]: loss=2\.30259 \(lr=0\.0e\+00\)$", log, re.M)
    assert re.search(stamp + r"Validation@10 loss \d\.\d{5}, top1 \d+\.\d\d%, top5 \d+\.\d\d%$", log, re.M)
    assert log.index("BiT-HyperRule for 60 images of 24 x 24") < log.index("[step 0")
    assert "note        batch 16 instead of 512" in log
    assert [e["step"] for e in events(folder, "evaluation")] == [10, 20, 25]
    # Learned: chance is 2.303, and a run with frozen weights would stay there.
    losses = [e["loss"] for e in events(folder, "step")]
    assert np.mean(losses[-5:]) < 2.2
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    steps, evaluations = read_metrics(folder / "metrics.jsonl")
    assert len(steps) == 25 and len(evaluations) == 3

    assert cli.main(["eval", str(best), str(place / "digits"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    measured = max(events(folder, "evaluation"), key=lambda e: e["top1"])
    # The frozen network computes 3x3 convolutions in another form than training does: only rounding may differ.
    assert found["examples"] == 20 and found["top1"] == pytest.approx(measured["top1"])
    assert found["loss"] == pytest.approx(measured["loss"], rel=1e-3)

    assert cli.main(["predict", str(place / "digits/3"), "--model", str(best), "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)
    assert len(predicted) == 8
    model = pybit.load(best)
    assert model.labels == tuple("0123456789")
    assert model.preprocessing == pybit.PreprocessSpec(32, mode="squash")


def test_killed_at_any_moment_a_run_ends_with_the_same_bits(place: Path, tmp_path: Path) -> None:
    """With --batch_split 2. PYBIT_TEST_KILLS: how often it is killed."""
    kills = int(os.environ.get("PYBIT_TEST_KILLS", "6"))
    # A kill comes at most six steps after its process began, so each meets a running process however fast that is.
    how = ("--steps", str(10 * kills), "--eval_every", "8", "--save_every", "2", "--mixup", "0.2", "--quiet")
    assert finish(start(command(place, tmp_path, *how, name="whole"))) == (0, "")
    one_step = np.median([e["gradient_seconds"] for e in events(tmp_path / "whole", "step")])
    draw = np.random.default_rng(5)
    broken = command(place, tmp_path, *how, name="killed")
    metrics = tmp_path / "killed" / "metrics.jsonl"

    def lines_so_far() -> int:
        text = metrics.read_bytes() if metrics.exists() else b""
        return text.count(b'{"event":"start"') + text.count(b'{"event":"step"')

    met = 0
    for _ in range(kills):
        wanted = lines_so_far() + 1 + int(draw.integers(0, 7))  # it began, and did up to six steps
        process = start(broken)
        while process.poll() is None and lines_so_far() < wanted:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, one_step))  # so a kill meets any part of a step, of saving and of evaluation
        process.kill()
        process.communicate()
        met += process.returncode == -signal.SIGKILL
        left = [p.name for p in (tmp_path / "killed").glob("*.safetensors")]
        for name in left:  # whole or not there
            tensors(tmp_path / "killed" / name)
    assert finish(start(broken)) == (0, "")
    starts = [e["step"] for e in events(tmp_path / "killed", "start")]
    print(f"{met} of {kills} kills met a running process; started at steps {starts}")
    assert starts[-1] > 0  # it was indeed continued
    assert met == kills
    for name in ("last.safetensors", "best.safetensors"):
        assert same(tmp_path / "whole" / name, tmp_path / "killed" / name)
    # The check can fail: another seed ends elsewhere.
    assert finish(start(command(place, tmp_path, *how, "--seed", "1", name="other"))) == (0, "")
    assert not same(tmp_path / "whole/last.safetensors", tmp_path / "other/last.safetensors")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step_and_says_how_to_go_on(
    place: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(command(place, tmp_path, "--steps", "2000"))
    assert process.stderr is not None
    for line in process.stderr:
        if "[step 3" in line:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "the same command continues from" in err
    assert events(tmp_path / "run", "interrupted")
    assert (tmp_path / "run/last.safetensors").exists()
    # --steps 2000 is part of the run: the same command, and no other, goes on.
    other = start(command(place, tmp_path, "--steps", "1000"))
    _, err = other.communicate(timeout=60)
    assert other.returncode == 2 and "steps: 2000 there, 1000 here" in err


def test_every_flag_of_the_reference_has_its_default() -> None:
    parsed = vars(cli.make_parser("train").parse_args(["train", "--name", "a", "--logdir", "b"]))
    expected = {
        "bit_pretrained_dir": ".",
        "dataset": None,
        "examples_per_class": None,
        "examples_per_class_seed": 0,
        "batch": None,  # the reference's 512, unless a --preset says otherwise
        "batch_split": None,  # the reference's 1 does not fit most machines: chosen, and said
        "base_lr": None,  # likewise 0.003
        "eval_every": None,
        "datadir": None,
        "workers": 8,
        "save": True,
        "tfds_manual_dir": None,
        "batch_eval": 32,
    }
    assert {name: parsed[name] for name in expected} == expected
    argv = "train --name a --logdir b --no-save --base-lr 1 --batch-eval 2 --examples-per-class 3 --memory-limit 2GiB"
    parsed = vars(cli.make_parser("train").parse_args(argv.split()))
    assert (parsed["save"], parsed["base_lr"], parsed["batch_eval"]) == (False, 1.0, 2)
    assert (parsed["examples_per_class"], parsed["memory_limit"]) == (3, 2 << 30)


def test_without_saving_only_the_log_is_written(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(command(place, tmp_path, "--steps", "2", "--no-save"), capsys) == (0, "")
    assert os.listdir(tmp_path / "run") == ["train.log"]


def test_a_dry_run_prints_the_recipe_and_writes_nothing(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *command(place, tmp_path), "--dry-run", "--compat", "jax"]) == 0
    out = capsys.readouterr().out
    assert "flips       always" in out and "bit_jax is followed" in out
    assert not (tmp_path / "run").exists()


def test_a_second_run_in_the_same_folder_is_refused(place: Path, tmp_path: Path) -> None:
    first = start(command(place, tmp_path, "--steps", "2000"))
    assert first.stderr is not None
    for line in first.stderr:
        if "[step 1" in line:
            break
    code, err = finish(start(command(place, tmp_path, "--steps", "2000")))
    assert code == 1 and "another process is training in" in err
    assert first.poll() is None  # not disturbed
    first.send_signal(signal.SIGTERM)
    assert finish(first)[0] == 128 + signal.SIGTERM


def test_a_terminal_shows_a_live_line_instead_of_each_step(place: Path, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    arguments = [sys.executable, "-m", "pybit.train", *command(place, tmp_path, "--steps", "4")]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    text = shown.decode()
    assert re.search(r"\rstep 4/4  loss \d\.\d{4}  lr \d\.\de-\d\d  \d+\.\d images/s  0:00:00 left", text)
    assert "Validation@4" in text and "[step" not in text
    assert "[step 3 (2/2)]" in (tmp_path / "run/train.log").read_text()
