# SPDX-License-Identifier: Apache-2.0
"""pybit train --recompute and --keep_features as commands: what they save changes no result; and what a step takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_folders import digit_folder
from pybit import cli, create_model

HEAD = ["--train", "resnet/head/*", "--base_lr", "0.1"]
STEADY = ["--flip", "never", "--resize", "32", "--crop", "32"]  # every time the same pixels of an image
RANDOM = ["--resize", "36", "--crop", "32"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.npz and digits/, 4 of each class."""
    root = tmp_path_factory.mktemp("memory")
    digit_folder(root / "digits", 4)
    create_model("tiny", 7, units=(2, 1, 1, 1), stem_channels=32, seed=3).save(root / "tiny.npz")
    return root


def train(place: Path, folder: Path, *more: str) -> Path:
    """The run's folder after 8 steps of 12 images in two parts, two of them evaluated."""
    start = ["--name", folder.name, "--logdir", str(folder.parent), "--model", str(place / "tiny.npz"), "--quiet"]
    how = ["--data", str(place / "digits"), "--batch", "12", "--batch_split", "2", "--schedule", "2,8"]
    assert cli.main(["train", *start, *how, "--eval_every", "4", *more]) == 0
    return folder


def tensors(folder: Path) -> dict[str, bytes]:
    """Weights and the optimizer's state, as last.safetensors has them."""
    raw = (folder / "last.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header: dict[str, Any] = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__")
    return {name: raw[8 + size :][slice(*entry["data_offsets"])] for name, entry in header.items()}


def losses(folder: Path) -> dict[str, list[float]]:
    """Of the steps and of the evaluations."""
    found: dict[str, list[float]] = {"step": [], "evaluation": []}
    for event in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        if event["event"] in found:
            found[event["event"]].append(event["loss"])
    return found


def log(folder: Path) -> str:
    return (folder / "train.log").read_text()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_that_recomputes_its_units_ends_with_the_same_bits(place: Path, tmp_path: Path, dtype: str) -> None:
    how = [*RANDOM, "--mixup", "0.1", "--base_lr", "0.01", "--dtype", dtype]
    kept = train(place, tmp_path / "kept", *how, "--recompute", "none")
    made_again = train(place, tmp_path / "again", *how, "--recompute", "units")
    assert "units recomputed" in log(made_again) and "units recomputed" not in log(kept)
    assert len(losses(kept)["step"]) == 8 and len(losses(kept)["evaluation"]) == 2
    assert losses(made_again) == losses(kept)
    assert tensors(made_again) == tensors(kept)
    # Not for want of sensitivity: a rate that differs by the last digit of a float moves most weights' last digits.
    other = train(place, tmp_path / "other", *[w.replace("0.01", "0.01000001") for w in how], "--recompute", "none")
    assert tensors(other) != tensors(kept)


def test_kept_features_are_those_of_every_step(place: Path, tmp_path: Path) -> None:
    kept = train(place, tmp_path / "kept", *HEAD, *STEADY)
    assert "features computed once" in log(kept)
    # A root block that learns at a rate of 0 stays as it is, but the trunk then runs for every batch.
    every = train(place, tmp_path / "every", *HEAD, *STEADY, "--train", "resnet/root_block/*",
                  "--lr-group", "resnet/root_block/*=0")  # fmt: skip
    assert "features computed once" not in log(every)
    for kind, wanted in losses(every).items():
        # Batches of other sizes sum in another order: 1e-6 of the features, hence of these losses near log(10).
        np.testing.assert_allclose(losses(kept)[kind], wanted, rtol=1e-5)
    assert losses(kept)["step"][-1] < losses(kept)["step"][0] - 0.1  # learned: no agreement of zeros


def test_features_are_kept_on_request_and_then_nothing_about_the_images_is_random(place: Path, tmp_path: Path) -> None:
    steady = train(place, tmp_path / "steady", *HEAD, *STEADY)
    asked = train(place, tmp_path / "asked", *HEAD, *RANDOM, "--keep_features")
    assert "features computed once" in log(asked) and "no random crops and flips, no mixup" in log(asked)
    # Crops and flips would be seen: the features, and all that follows from them, are those of whole images.
    assert tensors(asked) == tensors(steady) and losses(asked) == losses(steady)
    cropped = train(place, tmp_path / "cropped", *HEAD, *RANDOM)
    assert "features computed once" not in log(cropped)
    assert not np.allclose(losses(cropped)["step"][1:], losses(steady)["step"][1:], rtol=1e-3)


def test_features_are_not_kept_where_the_trunk_learns(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--name", "run", "--logdir", str(tmp_path), "--model", str(place / "tiny.npz")]
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(cli.main(["train", *where, "--data", str(place / "digits"), *STEADY, "--keep-features"]))
    assert ended.value.code != 0
    assert "features can be kept only if nothing but the head learns" in capsys.readouterr().err


PEAK = """
import sys
import numpy as np
import pybit

def peak():
    return next(1024 * int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))

dtype, recompute, train = sys.argv[1:]
before = peak()
model = pybit.create_model("R50x1", 100, dtype=dtype)
trainer = pybit.Trainer(model, momentum=0.9, recompute=recompute, train=[train])
for _ in range(2):
    trainer.step(np.zeros((8, 3, 128, 128), np.float32), np.arange(8), 1e-7, threads=2)
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("dtype", "recompute", "train"),
    [
        ("float32", "none", "*"),
        ("float32", "units", "*"),
        ("bfloat16", "none", "*"),
        ("float32", "none", "resnet/head/*"),
        ("bfloat16", "none", "resnet/head/*"),
    ],
)
def test_a_step_takes_the_memory_that_was_planned(dtype: str, recompute: str, train: str) -> None:
    """Within 10 %, as docs/finetuning.md says; measured 0.4 % above the plan to 0.8 % below it."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux's /proc to measure")
    plan = create_model("R50x1", 100, dtype=dtype).memory_plan(
        128, 8, training=True, recompute=recompute, optimizer="sgd", threads=2, train=[train]
    )
    command = [sys.executable, "-c", PEAK, dtype, recompute, train]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = int(done.stdout)
    assert 0.9 * measured < plan.total < 1.1 * measured
    # A copy of all weights more, 95 MB, would be seen: so was the model's own network, kept during the step, and the
    # gradients of what does not learn.
    assert plan.total + plan.rows["values"] > 1.1 * measured
