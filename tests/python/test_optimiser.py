"""Losses and optimisers against torch, and their checks of what comes from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import _core_testing
import numpy as np
import pytest
from numpy.typing import NDArray
from pybit.errors import ConfigError, DivergedError, ShapeError

SHAPES = {"a/kernel": (3, 3, 5, 7), "a/gamma": (7,), "b/kernel": (1, 1, 7, 4), "b/bias": (4,)}


def random_arrays(seed: int) -> list[NDArray[np.float32]]:
    draw = np.random.default_rng(seed)
    return [draw.normal(size=shape).astype(np.float32) for shape in SHAPES.values()]


def ours(name: str, rates: list[float], **how: Any) -> list[NDArray[np.float32]]:
    values, gradients = random_arrays(0), random_arrays(0)
    optimiser = _core_testing.Optimiser(name, list(zip(SHAPES, values, gradients, strict=True)), **how)
    for i, rate in enumerate(rates):
        for gradient, new in zip(gradients, random_arrays(i + 1), strict=True):
            gradient[:] = new
        optimiser.step(rate)
    return values


def torchs(kind: str, rates: list[float], clip: float = 0.0, **how: Any) -> list[NDArray[np.float32]]:
    torch = pytest.importorskip("torch")
    parameters = [torch.nn.Parameter(torch.from_numpy(a)) for a in random_arrays(0)]
    optimiser = getattr(torch.optim, kind)(parameters, lr=0.1, **how)
    for i, rate in enumerate(rates):
        for parameter, new in zip(parameters, random_arrays(i + 1), strict=True):
            parameter.grad = torch.from_numpy(new)
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()
    return [p.detach().numpy() for p in parameters]


# BiT-HyperRule's form: a warm-up from rate 0, then a plateau and a drop.
RATES = [0.03 * min(i / 10, 1) for i in range(20)] + [0.003] * 5

CASES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "momentum": ("sgd", {}, "SGD", {"momentum": 0.9}),
    "plain": ("sgd", {"momentum": 0.0}, "SGD", {}),
    "nesterov": ("sgd", {"nesterov": True}, "SGD", {"momentum": 0.9, "nesterov": True}),
    "decay": ("sgd", {"weight_decay": 0.01}, "SGD", {"momentum": 0.9, "weight_decay": 0.01}),
    "clipped": ("sgd", {"clip_norm": 3.0}, "SGD", {"momentum": 0.9, "clip": 3.0}),
    "adam": ("adam", {"weight_decay": 0.01}, "Adam", {"weight_decay": 0.01}),
    "adam betas": ("adam", {"betas": (0.5, 0.99), "eps": 1e-3}, "Adam", {"betas": (0.5, 0.99), "eps": 1e-3}),
    "adamw": ("adamw", {"weight_decay": 0.1}, "AdamW", {"weight_decay": 0.1}),
}


def largest_difference(a: list[NDArray[np.float32]], b: list[NDArray[np.float32]]) -> float:
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_updates_are_those_of_torch(case: str) -> None:
    name, how, kind, torch_how = CASES[case]
    expected = torchs(kind, RATES, **torch_how)
    # Values of up to 4 over 25 steps, each rounded to 2.4e-7 in another order of the same operations.
    assert largest_difference(ours(name, RATES, **how), expected) < 3e-6
    # The same run with one rate off by a hundredth is found, and so is one with another optimiser.
    assert largest_difference(ours(name, RATES[:-1] + [0.00303], **how), expected) > 6e-6
    assert largest_difference(ours("sgd", RATES, momentum=0.8), expected) > 1e-3


def logits(seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(6, 9)) * 4


Y, Z = np.array([0, 8, 3, 3, 1, 5]), np.array([2, 2, 0, 7, 1, 4])
SOFT = np.random.default_rng(2).dirichlet(np.ones(9), 6)
TEACHER = logits(3)


def in_torch(loss: str, torch: Any, x: Any) -> Any:
    """The loss of logits `x` as torch computes it in float64."""
    f = torch.nn.functional
    y, z = torch.from_numpy(Y), torch.from_numpy(Z)
    soft, teacher = torch.from_numpy(SOFT), torch.from_numpy(TEACHER)
    return {
        "labels": lambda: f.cross_entropy(x, y),
        "smoothed": lambda: f.cross_entropy(x, y, label_smoothing=0.1),
        "mixed": lambda: 0.3 * f.cross_entropy(x, y) + 0.7 * f.cross_entropy(x, z),
        "soft": lambda: f.cross_entropy(x, soft, label_smoothing=0.2),
        "sigmoid": lambda: f.binary_cross_entropy_with_logits(x, soft) * 9,  # we sum over classes
        "distilled": lambda: 9 * f.kl_div((x / 3).log_softmax(1), (teacher / 3).softmax(1), reduction="batchmean"),
    }[loss]()


OURS: dict[str, Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]] = {
    "labels": lambda x: _core_testing.cross_entropy(x, Y),
    "smoothed": lambda x: _core_testing.cross_entropy(x, Y, smoothing=0.1),
    "mixed": lambda x: _core_testing.cross_entropy(x, Y, Z, 0.3),
    "soft": lambda x: _core_testing.soft_cross_entropy(x, SOFT, smoothing=0.2),
    "sigmoid": lambda x: _core_testing.sigmoid_cross_entropy(x, SOFT),
    "distilled": lambda x: _core_testing.distillation(x, TEACHER, 3.0),
}


@pytest.mark.parametrize("loss", OURS)
def test_losses_and_gradients_are_those_of_torch(loss: str) -> None:
    torch = pytest.importorskip("torch")
    value, gradient = OURS[loss](logits())
    variable = torch.from_numpy(logits()).requires_grad_()
    expected = in_torch(loss, torch, variable)
    expected.backward()
    assert value == pytest.approx(float(expected.detach()), rel=1e-12)  # float64 on both sides
    np.testing.assert_allclose(gradient, variable.grad.numpy(), rtol=1e-10, atol=1e-15)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(gradient * (1 + 1e-8), variable.grad.numpy(), rtol=1e-10, atol=1e-15)


def test_gradients_have_the_precision_of_the_logits() -> None:
    assert _core_testing.cross_entropy(logits(), np.zeros(6, np.int64))[1].dtype == np.float64
    assert _core_testing.cross_entropy(logits().astype(np.float32), np.zeros(6, np.int64))[1].dtype == np.float32


def test_what_does_not_fit_is_refused_with_a_reason() -> None:
    with pytest.raises(ShapeError, match=r"label 9 of example 2 is outside 0\.\.8"):
        _core_testing.cross_entropy(logits(), np.array([0, 0, 9, 0, 0, 0]))
    with pytest.raises(ShapeError, match="logits"):
        _core_testing.cross_entropy(np.zeros(3), np.zeros(3, np.int64))
    value, gradient = np.ones(3, np.float32), np.ones(3, np.float32)
    with pytest.raises(ShapeError, match="float32"):
        _core_testing.Optimiser("sgd", [("w", value.astype(np.float64), gradient)])
    with pytest.raises(ShapeError, match="writable"):
        _core_testing.Optimiser("sgd", [("w", np.broadcast_to(value[:1], (3,)), gradient)])
    with pytest.raises(ConfigError, match='"sgd", "adam" or "adamw", got "lars"'):
        _core_testing.Optimiser("lars", [("w", value, gradient)])
    with pytest.raises(ConfigError, match="momentum, nesterov.*got beta"):
        _core_testing.Optimiser("sgd", [("w", value, gradient)], beta=0.9)
    with pytest.raises(ConfigError, match="momentum = 'high' is of the wrong kind"):
        _core_testing.Optimiser("sgd", [("w", value, gradient)], momentum="high")
    with pytest.raises(ConfigError, match="fits none"):
        _core_testing.Optimiser("sgd", [("w", value, gradient)], freeze=["v*"])
    gradient[1] = np.nan
    clipped = _core_testing.Optimiser("sgd", [("w", value, gradient)], clip_norm=1.0)
    with pytest.raises(DivergedError, match="nothing was changed"):
        clipped.step(0.1)
    assert issubclass(DivergedError, ArithmeticError)
    np.testing.assert_array_equal(value, 1)


def test_groups_and_state_are_seen_from_python() -> None:
    arrays = [np.ones(2, np.float32) for _ in range(4)]
    optimiser = _core_testing.Optimiser(
        "sgd",
        [("trunk", arrays[0], arrays[1]), ("head", arrays[2], arrays[3])],
        freeze=["trunk"],
        groups=[("head", 0.5, None)],
        weight_decay=0.25,
    )
    assert optimiser.rules == [(True, 1.0, 0.25), (False, 0.5, 0.25)]
    assert optimiser.step(0.1) is None
    assert optimiser.updates == 1
    assert list(optimiser.buffers()) == ["momentum/head"]
    np.testing.assert_array_equal(optimiser.buffers()["momentum/head"], [1.25, 1.25])
    np.testing.assert_array_equal(arrays[0], 1)
