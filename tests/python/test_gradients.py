# SPDX-License-Identifier: Apache-2.0
"""Model.gradients: against float64 golden values, PyTorch's rules for targets, and errors that say what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit import _core

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
import make_checkpoint  # noqa: E402


def small_model(dtype: str = "float32", classes: int = 5) -> pybit.Model:
    config = _core.Config(units=(1, 1, 1, 1), stem_channels=32, num_classes=classes)
    network = _core.Network.random(config, dtype, seed=3)
    return pybit.Model(network, name="small", origin="random", preprocessing=None)


def images(n: int = 3) -> Any:
    return make_checkpoint.image_batch((n, 3, 40, 36), 5)


def test_golden_gradients_in_float32(tmp_path: Path) -> None:
    """Norms and first values of every tensor within three times what PyTorch's own float32 loses, at least 1e-5."""
    np.savez(tmp_path / "r50x1.npz", **make_checkpoint.checkpoint((3, 4, 6, 3), 1, 10, 21))
    golden = np.load(GOLDEN / "gradients.npz")
    model = pybit.load(tmp_path / "r50x1.npz")
    loss, gradients = model.gradients(make_checkpoint.image_batch((4, 3, 64, 64), 21), np.arange(4))
    assert abs(loss - golden["loss"]) < 1e-5 * golden["loss"]
    assert list(gradients) == list(golden["names"])
    for name, error in zip(golden["names"], golden["float32_error"], strict=False):
        norm, got = float(golden[f"norm/{name}"]), gradients[name].astype(np.float64)
        bound = max(1e-5, 3 * float(error)) * norm
        assert abs(np.linalg.norm(got) - norm) < bound, name
        assert np.abs(got.ravel()[:8] - golden[f"first8/{name}"][: got.size]).max() < bound, name


def test_float32_agrees_with_float64_and_results_do_not_depend_on_threads() -> None:
    labels = np.array([0, 4, 2])
    exact_loss, exact = small_model("float64").gradients(images().astype(np.float64), labels)
    loss, one = small_model().gradients(images(), labels, threads=1)
    _, three = small_model().gradients(images(), labels, threads=3)
    assert loss == pytest.approx(exact_loss, rel=1e-6)
    for name, value in exact.items():
        assert value.dtype == np.float64
        # Some dozen layers in float32; 1e-6 was measured, and a wrong term is of the order of 1.
        assert np.linalg.norm(one[name] - value) < 1e-4 * np.linalg.norm(value) + 1e-7, name
        np.testing.assert_array_equal(one[name], three[name])


def test_bfloat16_gradients_are_float32_arrays_near_float32s() -> None:
    labels = np.array([0, 4, 2])
    loss, exact = small_model().gradients(images(), labels)
    got_loss, got = small_model("bfloat16").gradients(images(), labels)
    assert got_loss == pytest.approx(loss, rel=1e-2)
    head = "resnet/head/conv2d/kernel"  # behind every ReLU: those that rounding opens disturb deeper tensors far more
    assert got[head].dtype == np.float32
    assert 0 < np.linalg.norm(got[head] - exact[head]) < 0.05 * np.linalg.norm(exact[head])


def test_labels_are_probabilities_of_one_class() -> None:
    model = small_model()
    loss, from_labels = model.gradients(images(), [1, 0, 3])
    again, from_probabilities = model.gradients(images(), np.eye(5)[[1, 0, 3]])
    mixed, _ = model.gradients(images(), 0.5 * np.eye(5)[[1, 0, 3]] + 0.1)
    assert loss == again != mixed
    for name, value in from_labels.items():
        np.testing.assert_array_equal(value, from_probabilities[name])


@pytest.mark.parametrize("names", ["official", "timm", "transformers"])
def test_gradients_are_laid_out_as_the_state_dict(names: str) -> None:
    model = small_model()
    _, gradients = model.gradients(images(), [1, 0, 3], names=names)
    state = model.state_dict(names)
    assert {n: g.shape for n, g in gradients.items()} == {n: v.shape for n, v in state.items()}


def test_a_step_against_the_gradient_lowers_the_loss_as_it_predicts() -> None:
    model = small_model("float64")
    x, labels = images().astype(np.float64), [1, 0, 3]
    loss, gradients = model.gradients(x, labels)
    step = 1e-6
    state = {n: v - step * gradients[n] for n, v in model.state_dict().items()}
    model.load_state_dict(state)
    lower, _ = model.gradients(x, labels)
    slope = sum(float(np.sum(g * g)) for g in gradients.values())
    assert (loss - lower) / step == pytest.approx(slope, rel=1e-3)


def test_layouts_give_the_same_gradients() -> None:
    model, x = small_model(), images()
    _, expected = model.gradients(x, [1, 0, 3])
    _, got = model.gradients(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), [1, 0, 3], layout="nhwc")
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], r"expected 3 integer labels of shape \(3,\)"),
        ([0, 1, 5], "expected labels from 0 to 4, got 0 to 5"),
        ([0, 1, -1], "expected labels from 0 to 4, got -1 to 1"),
        ([0.0, 1.0, 2.0], "expected 3 integer labels"),
        (np.zeros((3, 4)), r"probabilities of shape \(3, 5\)"),
    ],
)
def test_wrong_targets_are_refused(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_model().gradients(images(), y)


def test_models_that_have_no_gradients_say_why() -> None:
    with pytest.raises(ValueError, match="without a head has no loss"):
        small_model(classes=0).gradients(images(), np.zeros((3, 0)))
    with pytest.raises(ValueError, match="at least one image"):
        small_model().gradients(images(0), np.zeros((0, 5)))
