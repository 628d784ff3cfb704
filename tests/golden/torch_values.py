#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden values of PyTorch for updates, losses, whole training steps and resizing: torch_values.npz.

`python torch_values.py` writes the file anew (torch 2.13.0). The tests import the tables and inputs below, which need
NumPy alone, so that both sides compute the same cases; test_torch_values.py compares the file with an installed torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import make_checkpoint
import numpy as np

FILE = Path(__file__).with_name("torch_values.npz")


def normal(shape: tuple[int, ...], *seed: int) -> Any:
    """Standard normal float64 values of PCG64's stream, which is stable across versions and platforms."""
    return np.random.Generator(np.random.PCG64(list(seed))).standard_normal(shape)


# ---- updates: what optimizers do to parameters by given gradients, in float32
SHAPES = {"a/kernel": (3, 3, 5, 7), "a/gamma": (7,), "b/kernel": (1, 1, 7, 4), "b/bias": (4,)}
# BiT-HyperRule's form: a warm-up from rate 0, then a plateau and a drop.
RATES = [0.03 * min(i / 10, 1) for i in range(20)] + [0.003] * 5

# Our optimizer and its options, torch's class and its options; "clip" is the norm that clip_grad_norm_ clips to.
UPDATES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "momentum": ("sgd", {}, "SGD", {"momentum": 0.9}),
    "plain": ("sgd", {"momentum": 0.0}, "SGD", {}),
    "nesterov": ("sgd", {"nesterov": True}, "SGD", {"momentum": 0.9, "nesterov": True}),
    "decay": ("sgd", {"weight_decay": 0.01}, "SGD", {"momentum": 0.9, "weight_decay": 0.01}),
    "clipped": ("sgd", {"clip_norm": 3.0}, "SGD", {"momentum": 0.9, "clip": 3.0}),
    "adam": ("adam", {"weight_decay": 0.01}, "Adam", {"weight_decay": 0.01}),
    "adam betas": ("adam", {"betas": (0.5, 0.99), "eps": 1e-3}, "Adam", {"betas": (0.5, 0.99), "eps": 1e-3}),
    "adamw": ("adamw", {"weight_decay": 0.1}, "AdamW", {"weight_decay": 0.1}),
}


def update_arrays(seed: int) -> list[Any]:
    """Starting values (seed 0) or gradients (step + 1), one array per parameter."""
    return [normal(shape, seed, i).astype(np.float32) for i, shape in enumerate(SHAPES.values())]


def step_of(torch: Any, kind: str, parameters: Any, how: dict[str, Any]) -> Any:
    """A function (rate) that clips and updates as torch does."""
    options = {key: value for key, value in how.items() if key != "clip"}
    optimizer = getattr(torch.optim, kind)(parameters, lr=0.1, **options)

    def step(rate: float) -> None:
        if "clip" in how:
            torch.nn.utils.clip_grad_norm_(parameters, how["clip"])
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()

    return step


def updates(torch: Any) -> dict[str, Any]:
    found = {}
    for case, (_, _, kind, how) in UPDATES.items():
        parameters = [torch.nn.Parameter(torch.from_numpy(a)) for a in update_arrays(0)]
        step = step_of(torch, kind, parameters, how)
        for i, rate in enumerate(RATES):
            for parameter, gradient in zip(parameters, update_arrays(i + 1), strict=True):
                parameter.grad = torch.from_numpy(gradient)
            step(rate)
        found[f"updates/{case}"] = np.concatenate([p.detach().numpy().ravel() for p in parameters])
    return found


# ---- losses and their gradients, in float64
LOGITS, TEACHER = 4 * normal((6, 9), 1), 4 * normal((6, 9), 3)
LABELS, PARTNERS = np.array([0, 8, 3, 3, 1, 5]), np.array([2, 2, 0, 7, 1, 4])
SOFT = np.exp(normal((6, 9), 2)) / np.exp(normal((6, 9), 2)).sum(1, keepdims=True)


def losses(torch: Any) -> dict[str, Any]:
    f = torch.nn.functional
    y, z, soft, teacher = map(torch.from_numpy, (LABELS, PARTNERS, SOFT, TEACHER))
    found = {}
    for name, loss in {
        "labels": lambda x: f.cross_entropy(x, y),
        "smoothed": lambda x: f.cross_entropy(x, y, label_smoothing=0.1),
        "mixed": lambda x: 0.3 * f.cross_entropy(x, y) + 0.7 * f.cross_entropy(x, z),
        "soft": lambda x: f.cross_entropy(x, soft, label_smoothing=0.2),
        "sigmoid": lambda x: f.binary_cross_entropy_with_logits(x, soft) * 9,  # bit sums over classes
        "distilled": lambda x: 9 * f.kl_div((x / 3).log_softmax(1), (teacher / 3).softmax(1), reduction="batchmean"),
    }.items():
        variable = torch.from_numpy(LOGITS).requires_grad_()
        value = loss(variable)
        value.backward()
        found[f"losses/{name}/value"] = value.detach().numpy()
        found[f"losses/{name}/gradient"] = variable.grad.numpy()
    return found


# ---- whole training steps of a small network, in float64
UNITS, STEM, CLASSES, IMAGES, STEPS = (1, 1, 1, 1), 32, 5, (3, 3, 33, 40), 3

# Optimizer, options of pybit.Trainer, torch's class and options, rate, label smoothing.
TRAINING: dict[str, tuple[str, dict[str, Any], str, dict[str, Any], float, float]] = {
    "momentum": ("sgd", {"momentum": 0.9}, "SGD", {"momentum": 0.9}, 0.01, 0.0),
    "nesterov, decay, smoothing": (
        "sgd",
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
        "SGD",
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
        0.01,
        0.1,
    ),
    "clipped": ("sgd", {"momentum": 0.9, "clip_norm": 0.5}, "SGD", {"momentum": 0.9, "clip": 0.5}, 0.05, 0.0),
    "adam": ("adam", {"weight_decay": 0.01}, "Adam", {"weight_decay": 0.01}, 0.001, 0.0),
    "adamw": (
        "adamw",
        {"weight_decay": 0.1, "clip_norm": 1.0},
        "AdamW",
        {"weight_decay": 0.1, "clip": 1.0},
        0.001,
        0.2,
    ),
}


def network_values() -> dict[str, Any]:
    """Parameters by official name; the stem has 32 channels."""
    return make_checkpoint.checkpoint(UNITS, 0.5, CLASSES, 31)


def training_batch(step: int) -> tuple[Any, Any]:
    """Images (float32) and targets: labels, in the last step probabilities as mixup makes them."""
    images = make_checkpoint.image_batch(IMAGES, 100 + step)
    labels = (np.arange(IMAGES[0]) + step) % CLASSES
    if step < STEPS - 1:
        return images, labels
    return images, 0.75 * np.eye(CLASSES)[labels] + 0.25 * np.eye(CLASSES)[(labels + 1) % CLASSES]


def digest(moved: Any) -> Any:
    """What is kept of a parameter's move: its norm and first values."""
    return [np.linalg.norm(moved), *moved.ravel()[:4]]


def official_axes(value: Any) -> Any:
    """PyTorch's OIHW or OI as the release's HWIO."""
    if value.ndim == 2:
        value = value[:, :, None, None]
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value


def training(torch: Any) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    import torch_network

    start = torch_network.state_of(network_values())
    names = {official: own for own, official in torch_network.official_names(UNITS).items()}
    found = {}
    for case, (_, _, kind, how, rate, smoothing) in TRAINING.items():
        state = {name: value.double() for name, value in start.items()}
        network = torch_network.from_state(state, folded=False).requires_grad_(True)
        parameters = list(network.parameters())
        step = step_of(torch, kind, parameters, how)
        told = []
        for i in range(STEPS):
            x, y = (torch.from_numpy(a) for a in training_batch(i))
            loss = torch.nn.functional.cross_entropy(network(x.double()), y, label_smoothing=smoothing)
            network.zero_grad()
            loss.backward()
            step(rate)
            told.append(loss.item())
        moved = {name: (p.detach() - start[name].double()).numpy() for name, p in network.named_parameters()}
        found[f"training/{case}/losses"] = np.array(told)
        found[f"training/{case}/moves"] = np.array(
            [digest(official_axes(moved[names[official]])) for official in network_values()]
        )
    return found


# ---- resizing float images: without antialiasing interpolate() has TensorFlow's rule, with it Pillow's
RESIZED = [(9, 14, 5, 23), (31, 20, 12, 9), (7, 7, 16, 16), (40, 3, 6, 6), (1, 5, 3, 3)]
RESIZING = {"tf": ("bilinear", False), "pillow bilinear": ("bilinear", True), "pillow bicubic": ("bicubic", True)}


def resize_image(case: int) -> Any:
    """A float32 image (h, w, 3) in [0, 1]."""
    h, w, _, _ = RESIZED[case]
    return np.random.Generator(np.random.PCG64([case, 77])).random((h, w, 3), dtype=np.float32)


def resizing(torch: Any) -> dict[str, Any]:
    found = {}
    for case, (_, _, to_h, to_w) in enumerate(RESIZED):
        x = torch.from_numpy(resize_image(case)).double().permute(2, 0, 1)[None]
        for name, (mode, antialias) in RESIZING.items():
            y = torch.nn.functional.interpolate(x, (to_h, to_w), mode=mode, align_corners=False, antialias=antialias)
            found[f"resizing/{name}/{case}"] = y[0].permute(1, 2, 0).float().numpy()
    return found


def compute() -> dict[str, Any]:
    """All golden values, by torch."""
    import torch

    torch.set_num_threads(1)
    return updates(torch) | losses(torch) | training(torch) | resizing(torch)


if __name__ == "__main__":
    np.savez_compressed(FILE, **compute())
