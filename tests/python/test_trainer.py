# SPDX-License-Identifier: Apache-2.0
"""pybit.Trainer: the golden trace, what a step does to its model, and what it refuses."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit.errors import ConfigError, DivergedError, ShapeError

GOLDEN = Path(__file__).parents[1] / "golden"
HEAD = "resnet/head/conv2d/kernel"
STEM = "resnet/root_block/standardized_conv2d/kernel"


def small(**how: Any) -> pybit.Model:
    return pybit.create_model("tiny", units=(1, 1, 1, 1), stem_channels=32, num_classes=5, **how)


def batch(seed: int = 0, n: int = 4) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    draw = np.random.default_rng(seed)
    return draw.uniform(-1, 1, (n, 3, 33, 40)).astype(np.float32), draw.integers(0, 5, n)


def test_the_loss_falls_and_the_model_shows_the_trained_weights() -> None:
    model = small()
    x, y = batch()
    before, logits = model.state_dict(), model(x)
    trainer = pybit.Trainer(model, momentum=0.9)
    losses = [trainer.step(x, y, lr=0.01) for _ in range(6)]
    assert losses[-1] < 0.5 * losses[0]
    assert trainer.updates == 6
    after = model.state_dict()
    assert list(after) == list(before)
    assert not np.array_equal(after[STEM], before[STEM])
    assert not np.array_equal(model(x), logits)
    # The model's logits are those that the next step starts from.
    shown = model(x).astype(np.float64)
    expected = np.mean(np.log(np.exp(shown).sum(1)) - shown[np.arange(4), y])
    assert trainer.step(x, y, lr=0.0) == pytest.approx(expected, rel=1e-4)


def test_rate_zero_changes_no_weight_but_fills_the_momentum() -> None:
    model, plain = small(), small()
    x, y = batch()
    before = model.state_dict()
    trainer = pybit.Trainer(model)
    trainer.step(x, y, lr=0.0)
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    trainer.step(x, y, lr=0.01)
    pybit.Trainer(plain).step(x, y, lr=0.01)
    assert not np.array_equal(model.state_dict()[HEAD], plain.state_dict()[HEAD])


def test_a_bfloat16_model_learns_with_weights_in_float32() -> None:
    model = small(dtype="bfloat16")
    x, y = batch()
    trainer = pybit.Trainer(model)
    losses = [trainer.step(x, y, lr=0.01) for _ in range(6)]
    assert losses[-1] < 0.5 * losses[0]
    weights = model.state_dict()[STEM]
    assert weights.dtype == np.float32
    assert np.any(weights.view(np.uint32) & 0xFFFF)  # more digits than bfloat16 has
    assert model.dtype == "bfloat16"


def test_float64_and_float32_take_the_same_step() -> None:
    before = small().state_dict()
    moves = []
    for dtype in ("float32", "float64"):
        model = small(dtype=dtype)
        x, y = batch()
        pybit.Trainer(model).step(x.astype(dtype), y, lr=0.01)
        moves.append({name: value - before[name] for name, value in model.state_dict().items()})
    for name, move in moves[0].items():
        exact = moves[1][name]
        # Gradients in float32 lose up to a thousandth of their size; the weights themselves are rounded to 6e-8.
        assert np.abs(move - exact).max() < 1e-2 * np.abs(exact).max() + 1e-6, name


def test_probabilities_parts_and_layouts_are_one_step() -> None:
    x, y = batch()
    ways: dict[str, Any] = {
        "labels": {"x": x, "y": y},
        "probabilities": {"x": x, "y": np.eye(5)[y]},
        "parts": {"x": x, "y": y, "batch_split": 3},
        "nhwc": {"x": np.ascontiguousarray(x.transpose(0, 2, 3, 1)), "y": y, "layout": "nhwc"},
        "strided": {"x": x.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0), "y": list(map(int, y))},
    }
    found = {}
    for way, arguments in ways.items():
        model = small()
        pybit.Trainer(model).step(lr=0.01, **arguments)
        found[way] = model.state_dict()[STEM]
    moved = np.abs(found["labels"] - small().state_dict()[STEM]).max()
    for way in ("probabilities", "parts", "nhwc", "strided"):
        assert np.abs(found[way] - found["labels"]).max() < 1e-3 * moved, way


def test_frozen_parameters_stay() -> None:
    model = small()
    before = model.state_dict()
    trainer = pybit.Trainer(model, train=["resnet/head/*"])
    trainer.step(*batch(), lr=0.1)
    changed = {name for name, value in model.state_dict().items() if not np.array_equal(value, before[name])}
    assert changed == {HEAD, "resnet/head/conv2d/bias"}


def test_recomputation_and_parts_by_memory_take_the_same_step() -> None:
    x, y = batch(n=6)
    found = {}
    for how in ("none", "units", "auto"):
        model = small()
        pybit.Trainer(model, recompute=how).step(x, y, lr=0.01)
        found[how] = model.state_dict()
    assert all(np.array_equal(found["none"][name], value) for name, value in found["units"].items())
    assert all(np.array_equal(found["none"][name], value) for name, value in found["auto"].items())

    # A limit between one part and all of them: the step is taken in parts, and differs by rounding alone.
    def needs(parts: int, how: str) -> int:
        rows = model.memory_plan((33, 40), 6, training=True, batch_split=parts, recompute=how).rows
        return sum(rows[k] for k in ("values", "gradients", "optimizer", "packed", "maps", "scratch"))

    assert needs(1, "units") < needs(1, "none") and needs(6, "none") < needs(2, "none") < needs(1, "none")
    split = small()
    pybit.Trainer(split, memory_limit=needs(2, "none")).step(x, y, lr=0.01)
    moved = np.abs(found["none"][STEM] - small().state_dict()[STEM]).max()
    difference = np.abs(split.state_dict()[STEM] - found["none"][STEM]).max()
    assert 0 < difference < 1e-3 * moved
    with pytest.raises(ConfigError, match=r"one image at a time needs about .*which is the least"):
        pybit.Trainer(small(), memory_limit=1 << 20).step(x, y, lr=0.01)
    with pytest.raises(ConfigError, match="'auto' or 'none' or 'units', got 'some'"):
        pybit.Trainer(small(), recompute="some")


def test_a_training_memory_plan_prints_what_takes_what() -> None:
    model = small()
    plan = model.memory_plan(64, 8, training=True)
    assert plan.total == sum(plan.rows.values()) == plan.as_dict()["total"]
    assert list(plan.rows) == ["values", "gradients", "optimizer", "packed", "maps", "scratch", "images"]
    assert plan.rows["images"] == 8 * 3 * 64 * 64 * 4
    lines = str(plan).splitlines()
    assert lines[0] == "tiny, a step of 8 x 64 x 64 pixels, recompute none"
    assert len(lines) == 1 + 7 + 1 + 1 and lines[-1].startswith("all ")
    assert "in 2 parts" in str(model.memory_plan(64, 8, training=True, batch_split=2))
    assert model.memory_plan(64, 8, training=True, recompute="units").rows["maps"] < plan.rows["maps"]
    assert model.memory_plan(64, 8, training=True, optimizer="adam").rows["optimizer"] == 2 * plan.rows["optimizer"]
    head = model.memory_plan(64, 8, training=True, train=["resnet/head/*"])
    assert head.rows["gradients"] == (1024 * 5 + 5) * 4 and head.rows["maps"] < plan.rows["maps"] / 2
    for wrong in ({"batch_split": 9}, {"recompute": "auto"}, {"optimizer": "newton"}, {"train": ["x*"]}):
        with pytest.raises(ConfigError):
            model.memory_plan(64, 8, training=True, **wrong)
    with pytest.raises(ConfigError, match="only with training=True"):
        model.memory_plan(64, 8, recompute="units")
    # Of larger images: beside small ones a kernel in Winograd's form, which is made in the same memory, counts (0.84).
    wide, narrow = (small(dtype=t).memory_plan(128, 8, training=True) for t in ("float32", "bfloat16"))
    assert narrow.rows["values"] == wide.rows["values"] and narrow.rows["packed"] < wide.rows["packed"]
    assert narrow.rows["maps"] < 0.75 * wide.rows["maps"]  # 0.57 measured


def test_copies_and_pickles_hold_the_weights_of_their_moment() -> None:
    model = small()
    trainer = pybit.Trainer(model)
    trainer.step(*batch(), lr=0.01)
    others = [copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    then = model.state_dict()[HEAD]
    trainer.step(*batch(1), lr=0.01)
    assert not np.array_equal(model.state_dict()[HEAD], then)
    for other in others:
        np.testing.assert_array_equal(other.state_dict()[HEAD], then)


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    model = small()
    x, y = batch()
    trainer = pybit.Trainer(model)
    before = model.state_dict()
    with pytest.raises(ShapeError, match=r"label 5 of example 0 is outside 0\.\.4"):
        trainer.step(x, np.array([5, 0, 0, 0]), lr=0.1)
    with pytest.raises(ShapeError, match="4 images and 3 targets"):
        trainer.step(x, y[:3], lr=0.1)
    with pytest.raises(ShapeError, match="class numbers"):
        trainer.step(x, np.zeros((4, 3)), lr=0.1)
    with pytest.raises(ShapeError, match="sum to 5"):
        trainer.step(x, np.ones((4, 5)), lr=0.1)
    with pytest.raises(ConfigError, match="learning rate"):
        trainer.step(x, y, lr=-1.0)
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(DivergedError, match="no parameter was changed"):
        trainer.step(x, y, lr=0.1)
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert trainer.updates == 0
    with pytest.raises(ConfigError, match="momentum, nesterov"):
        pybit.Trainer(model, beta=0.9)
    model.reset_classifier(0)
    with pytest.raises(ConfigError, match="head"):
        pybit.Trainer(model)


def test_control_c_ends_a_step_and_leaves_the_weights_as_they_were() -> None:
    model, other = small(), small()
    trainer, again = pybit.Trainer(model), pybit.Trainer(other)
    x = np.random.default_rng(0).uniform(-1, 1, (8, 3, 320, 320)).astype(np.float32)  # many operations of milliseconds
    y = np.arange(8) % 5
    finished = 0
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        while finished < 1000:
            trainer.step(x, y, lr=1e-3)
            finished += 1
    timer.join()
    # A step that could not be ended would have taken place before the exception came.
    assert trainer.updates == finished
    for _ in range(finished):
        again.step(x, y, lr=1e-3)
    assert all(np.array_equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    assert trainer.step(x, y, lr=1e-3) == again.step(x, y, lr=1e-3)


def test_a_training_memory_plan_counts_the_state_that_the_optimizer_keeps() -> None:
    model = small()
    rows = {m: model.memory_plan(64, 8, training=True, momentum=m).rows["optimizer"] for m in (0.0, 0.9)}
    assert rows[0.0] == 0 and rows[0.9] > 0
    with pytest.raises(ConfigError, match="got beta"):
        model.memory_plan(64, 8, training=True, beta=1)


def test_a_model_whose_weights_were_replaced_wants_a_new_trainer() -> None:
    model = small()
    trainer = pybit.Trainer(model)
    trainer.step(*batch(), lr=0.01)
    model.load_state_dict(small(seed=3).state_dict())
    with pytest.raises(ConfigError, match="make a new one"):
        trainer.step(*batch(), lr=0.01)


def test_of_two_trainers_the_one_whose_weights_the_model_shows_may_go_on() -> None:
    model = small()
    first, early = pybit.Trainer(model), pybit.Trainer(model)
    first.step(*batch(), lr=0.01)
    late = pybit.Trainer(model)
    with pytest.raises(ConfigError, match="make a new one"):
        early.step(*batch(), lr=0.01)
    first.step(*batch(), lr=0.01)
    with pytest.raises(ConfigError, match="make a new one"):  # it has the weights of one step, the model those of two
        late.step(*batch(), lr=0.01)
    shown = model.state_dict()
    second = pybit.Trainer(model)
    second.step(*batch(), lr=0.0)
    assert all(np.array_equal(shown[name], value) for name, value in model.state_dict().items())
    with pytest.raises(ConfigError, match="make a new one"):
        first.step(*batch(), lr=0.01)


@pytest.mark.parametrize("trace", ["trace", "trace_mixup"])
def test_the_golden_trace_is_followed(trace: str, tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(GOLDEN))
    import make_checkpoint

    np.savez(tmp_path / "r50x1.npz", **make_checkpoint.checkpoint((3, 4, 6, 3), 1, 10, 22))
    model = pybit.load(tmp_path / "r50x1.npz")
    model.reset_classifier(10, head="zero")
    trainer = pybit.Trainer(model, momentum=0.9)
    rule = pybit.hyper_rule(1000, (64, 64), base_lr=0.0003)
    golden = np.load(GOLDEN / f"{trace}.npz")
    losses = []
    for s in range(95, 107):
        x, y = make_checkpoint.image_batch((8, 3, 64, 64), 21000 + s), (7 * np.arange(8) + s) % 10
        target = np.eye(10)[y]
        if trace == "trace_mixup":
            weight = 0.25 + 0.05 * (s - 95)
            x = (weight * x + (1 - weight) * np.roll(x, 1, axis=0)).astype(np.float32)
            target = weight * target + (1 - weight) * np.roll(target, 1, axis=0)
        losses.append(trainer.step(x, target if trace == "trace_mixup" else y, lr=rule.lr(s)))
    # ten and three times what PyTorch's own float32 loses here
    np.testing.assert_allclose(losses, golden["losses"], rtol=3e-6)
    logits = model(make_checkpoint.image_batch((4, 3, 64, 64), 21))
    assert np.abs(logits - golden["final_logits"]).max() < 2.7e-4 * np.abs(golden["final_logits"]).max()
