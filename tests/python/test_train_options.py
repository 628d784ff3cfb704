# SPDX-License-Identifier: Apache-2.0
"""Optimizers, groups, losses, TensorBoard events and the time estimate of pybit train, and its messages."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from data_folders import digit_folder, digits
from pybit import cli

SMALL = ["--batch", "8", "--resize", "36", "--crop", "32", "--schedule", "1,5", "--quiet"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.npz and digits/, 3 of each class."""
    root = tmp_path_factory.mktemp("options")
    digit_folder(root / "digits", 3)
    pybit.create_model("tiny", 7, units=(1, 1, 1, 1), stem_channels=32, seed=3).save(root / "tiny.npz")
    return root


def train(place: Path, logdir: Path, *more: str, name: str = "run") -> int:
    start = ["--name", name, "--logdir", str(logdir), "--model", str(place / "tiny.npz")]
    return cli.main(["train", *start, "--data", str(place / "digits"), *SMALL, *more])


def weights(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    return pybit.load(folder / "last.safetensors").state_dict()


def test_adamw_and_groups_from_the_command_are_what_the_trainer_computes(place: Path, tmp_path: Path) -> None:
    how = [
        "--optimizer",
        "adamw",
        "--betas",
        "0.8,0.99",
        "--eps",
        "1e-6",
        "--base_lr",
        "0.001",
        "--weight_decay",
        "0.1",
    ]
    how += [
        "--lr-group",
        "resnet/head/*=10,0",
        "--lr-group",
        "resnet/block1/*=0",
        "--flip",
        "never",
        "--save_every",
        "2",
    ]
    assert train(place, tmp_path, *how, "--crop", "36", "--validation_fraction", "0") == 0
    data = pybit.datasets.open(place / "digits", validation_fraction=0).train
    model = pybit.load(place / "tiny.npz")
    model.reset_classifier(10)
    rule = pybit.hyper_rule(len(data), (24, 24), 0.001).replace(schedule=[1, 5])
    trainer = pybit.Trainer(
        model,
        "adamw",
        betas=(0.8, 0.99),
        eps=1e-6,
        weight_decay=0.1,
        groups=[("resnet/head/*", 10.0, 0.0), ("resnet/block1/*", 0.0, None)],
    )
    for step, batch in enumerate(data.batches(8, resize=36, crop=36, flip="never", last=5)):
        rate = rule.lr(step)
        assert rate is not None
        trainer.step(batch.images, batch.labels, rate)
    ours, theirs = weights(tmp_path / "run"), model.state_dict()
    start = pybit.load(place / "tiny.npz").state_dict()
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
        if "block1" in name:  # a rate of 0: neither the gradient nor the decay moves it
            np.testing.assert_array_equal(value, start[name], err_msg=name)
    flags = json.loads(metadata(tmp_path / "run/last.safetensors")["bit.training.flags"])
    assert (flags["optimiser"], flags["betas"], flags["groups"][:20]) == ("adamw", "0.8,0.99", "resnet/head/* 10 0 r")


def metadata(path: Path) -> dict[str, str]:
    raw = path.read_bytes()
    found: dict[str, str] = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    return found


def test_the_sigmoid_loss_learns(place: Path, tmp_path: Path) -> None:
    images, labels = digits()
    data = (images[:200], labels[:200])
    losses: list[float] = []
    done = pybit.fine_tune(
        pybit.load(place / "tiny.npz"),
        data,
        loss="sigmoid",
        batch=20,
        steps=40,
        base_lr=0.03,
        resolution=(36, 32),
        flip="never",
        on_step=lambda step, loss, *_: losses.append(loss),
    )
    # Ten classes, each with probability 1/2 at the start. Who only knows that each is absent nine times of ten stays at
    # 10·(log(10) - 0.9·log(9)) = 3.25.
    assert losses[0] == pytest.approx(10 * np.log(2), rel=1e-6)
    assert np.mean(losses[-5:]) < 3.1
    assert done.evaluation is not None and done.evaluation.top1 > 0.3  # chance: 0.1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--optimizer", "adamw", "--momentum", "0.8"], "--momentum is none of adamw's numbers"),
        (["--eps", "1e-5"], "--eps is none of sgd's numbers"),
        (["--optimizer", "adam", "--betas", "1.5,0.9"], "betas in [0,1)"),
        (["--lr-group", "nothing*=2"], "nothing*"),
        (["--layer-decay", "2"], "layer decay above 0, at most 1, got 2"),
        (["--label-smoothing", "2", "--loss", "sigmoid"], "label_smoothing to be a number in [0,1], got 2"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert train(place, tmp_path, *flags) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("group", ["resnet/head/*", "=3", "a=", "a=1,2,3", "a=x"])
def test_a_group_is_written_as_pattern_and_numbers(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], group: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        train(place, tmp_path, "--lr-group", group)
    assert "expected PATTERN=SCALE" in capsys.readouterr().err


def test_the_recipe_tells_the_time(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(place, tmp_path, "--dry-run", "--optimizer", "adamw", "--lr-group", "resnet/head/*=10") == 0
    out = capsys.readouterr().out
    assert "time        about " in out and " a step: an estimate" in out
    assert "adamw with betas 0.9 and 0.999 instead of sgd" in out
    assert "resnet/head/* learns at 10 times the rate" in out
    run = pybit.FineTuning(place / "tiny.npz", place / "digits", batch=8, resolution=(36, 32), steps=50)
    assert "time  " not in run.recipe
    found = run.estimate()
    assert found["total"] == pytest.approx(50 * found["step"] + found["evaluation"])


# ---- TensorBoard
def scalars(folder: Path) -> list[dict[str, Any]]:
    """Events of all files in the order of writing, read with the format's own definition: a record is a length, its
    check sum, the bytes, their check sum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda p: p.stat().st_mtime_ns):
        raw, at = path.read_bytes(), 0
        while at < len(raw):
            (size,) = struct.unpack_from("<Q", raw, at)
            event = event_pb2.Event.FromString(raw[at + 12 : at + 12 + size])
            at += 16 + size
            if event.HasField("session_log"):
                found.append({"start": event.step})
            found += [{"tag": v.tag, "step": event.step, "value": v.simple_value} for v in event.summary.value]
    return found


def test_tensorboard_events_are_the_metrics_and_a_continued_run_says_where_it_goes_on(
    place: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX")
    run = tmp_path / "run"
    assert train(place, tmp_path, "--tensorboard", "--eval_every", "2") == 0
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [e for e in metrics if e["event"] == "step"]
    events = scalars(run)
    assert events[0] == {"start": 1}
    for tag, key in (("train/loss", "loss"), ("train/lr", "lr"), ("seconds/gradient", "gradient_seconds")):
        found = [(e["step"], e["value"]) for e in events if e.get("tag") == tag]
        assert found == [(s["step"], pytest.approx(s[key], rel=1e-6)) for s in steps]  # events are in float
    found = [(e["step"], e["value"]) for e in events if e.get("tag") == "validation/top1"]
    assert found == [(e["step"], pytest.approx(e["top1"])) for e in metrics if e["event"] == "evaluation"]
    assert [step for step, _ in found] == [2, 4, 5]

    asked = iter(range(100))
    options: dict[str, Any] = {"batch": 8, "resolution": (36, 32), "schedule": [1, 5], "logdir": tmp_path, "name": "b"}
    for stop in (3, 100):
        asked = iter(range(100))
        pybit.fine_tune(
            place / "tiny.npz",
            place / "digits",
            tensorboard=True,
            should_stop=lambda stop=stop, asked=asked: next(asked) == stop,  # type: ignore[misc]
            **options,
        )
    events = scalars(tmp_path / "b")
    assert [e["start"] for e in events if "start" in e] == [1, 4]
    assert [e["step"] for e in events if e.get("tag") == "train/loss"] == [1, 2, 3, 4, 5]


def test_without_the_library_the_message_names_the_extra(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    assert train(place, tmp_path, "--tensorboard") == 1
    assert "pip install tensorboardX (the extra `tensorboard`)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.raises(ImportError, match="pip install tensorboardX"):
        pybit.fine_tune(place / "tiny.npz", place / "digits", tensorboard=True, logdir=tmp_path, name="a", steps=1)
    with pytest.raises(pybit.ConfigError, match="expected logdir and name with tensorboard=True"):
        pybit.fine_tune(place / "tiny.npz", place / "digits", tensorboard=True, steps=1)
