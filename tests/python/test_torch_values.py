# SPDX-License-Identifier: Apache-2.0
"""pybit.Trainer and resizing against PyTorch's golden values, and these against an installed PyTorch.

The values are in tests/golden/torch_values.npz, so that runs without PyTorch compare with them, too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from numpy.typing import NDArray

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
import torch_values as golden  # noqa: E402

VALUES = np.load(golden.FILE)


def train(case: str, dtype: str, rate_factor: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Losses of each step, and of each parameter's move in them its norm and first values."""
    optimizer, options, _, _, rate, smoothing = golden.TRAINING[case]
    model = pybit.create_model(
        "golden", num_classes=golden.CLASSES, units=golden.UNITS, stem_channels=golden.STEM, dtype=dtype
    )
    start = golden.network_values()
    model.load_state_dict(start)
    trainer = pybit.Trainer(model, optimizer, **options)
    losses = []
    for step in range(golden.STEPS):
        x, y = golden.training_batch(step)
        x = x.astype(np.float64) if dtype == "float64" else x
        losses.append(trainer.step(x, y, rate * rate_factor, label_smoothing=smoothing))
    state = model.state_dict()
    moves = [golden.digest(state[name].astype(np.float64) - value) for name, value in start.items()]
    return np.array(losses), np.array(moves)


def errors(case: str, found: tuple[NDArray[np.float64], NDArray[np.float64]]) -> tuple[float, NDArray[np.float64]]:
    """Largest relative error of a loss, and each parameter's error of its move relative to the move's norm."""
    losses, moves = VALUES[f"training/{case}/losses"], VALUES[f"training/{case}/moves"]
    return float(np.abs(found[0] / losses - 1).max()), np.abs(found[1] - moves).max(axis=1) / moves[:, 0]


@pytest.mark.parametrize("case", golden.TRAINING)
def test_training_steps_in_float64_are_those_of_torch(case: str) -> None:
    loss, moves = errors(case, train(case, "float64"))
    # Both compute in float64: losses within 3e-14 and moves within 1e-13 were measured. Hundred times that passes.
    assert loss < 3e-12 and moves.max() < 1e-11


@pytest.mark.parametrize("case", golden.TRAINING)
def test_training_steps_in_float32_are_those_of_torch(case: str) -> None:
    loss, moves = errors(case, train(case, "float32"))
    # 3e-6 was measured for a loss, on every instruction set; 1.6e-4 for the median parameter and 3e-3 for the worst: a
    # ReLU that opens by rounding, after which Adam's steps, whose size does not depend on the gradient's, carry it on.
    assert loss < 2e-5 and np.median(moves) < 1e-3 and moves.max() < 1e-2
    # A rate that is off by a hundredth is far outside.
    assert np.median(errors(case, train(case, "float32", 1.01))[1]) > 5e-3


def test_a_rate_that_is_off_in_its_tenth_digit_is_found_in_float64() -> None:
    assert errors("momentum", train("momentum", "float64", 1 + 1e-9))[1].max() > 1e-10


@pytest.mark.parametrize("case", range(len(golden.RESIZED)))
@pytest.mark.parametrize("name", golden.RESIZING)
def test_resizing_is_that_of_torch(name: str, case: int) -> None:
    _, _, *to = golden.RESIZED[case]
    resampling, _, interpolation = name.partition(" ")
    how: Any = (tuple(to), interpolation or "bilinear", resampling)
    image, expected = golden.resize_image(case), VALUES[f"resizing/{name}/{case}"]
    # TensorFlow's positions are float32: up to 40 pixels they are off by 2^-18, on two axes, times differences of 1.
    # Pillow's rule has its weights in double: what is left are two roundings of numbers up to 1.
    bound = 2 * 2.0**-18 if resampling == "tf" else 3 * 2.0**-24
    assert np.abs(pybit.data.resize(image, *how) - expected).max() <= bound
    # An image moved by one pixel of forty or fewer is another picture.
    assert np.abs(pybit.data.resize(np.roll(image, 1, axis=1), *how) - expected).max() > 0.05


def test_torch_still_says_what_is_committed() -> None:
    pytest.importorskip("torch", reason="make test-oracle installs torch")
    found: dict[str, Any] = golden.compute()
    assert set(found) == set(VALUES.files)
    for name, value in found.items():
        # Updates are float32, resized images are rounded to it; the order of sums depends on torch's CPU code.
        tolerance = 1e-6 if name.startswith(("updates/", "resizing/")) else 1e-9
        np.testing.assert_allclose(value, VALUES[name], rtol=tolerance, atol=tolerance, err_msg=name)
