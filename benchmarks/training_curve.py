"""A hundred training steps on real digits, by pybit and by PyTorch, from the same weights with the same batches.

    training_curve.py [--steps N] [--work FOLDER]

Writes benchmarks/results/training_curve.json and docs/benchmarks/training_curve.png. PyTorch in float64 is the truth;
how far PyTorch's own float32 strays from it is the noise that pybit's float32 is measured against. Exits with 1 if
pybit strays more than three times as far in the mean over all steps.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import torch
import torch_network
from numpy.typing import NDArray
from training import MOMENTUM
from weights import shapes

HERE = Path(__file__).parent
BATCH, SIDE, WARM_UP, RATE = 16, 32, 10, 0.003  # a short climb to BiT-HyperRule's rate
MODEL, CLASSES = "R50x1", 10
FACTOR = 3  # rounding differs by kernels and order; two float32 programs never stray by the same amount
Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


def batches(steps: int) -> Iterator[Batch]:
    """Scikit-learn's digits, 8x8 grey values each repeated 4 x 4 times, in [-1, 1]; epochs shuffled by one seed."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.kron(digits.images / 8 - 1, np.ones((SIDE // 8, SIDE // 8))).astype(np.float32)
    generator, epochs = np.random.default_rng(0), 1 + steps * BATCH // len(images)
    order = np.concatenate([generator.permutation(len(images)) for _ in range(epochs)])
    for chosen in order[: steps * BATCH].reshape(steps, BATCH):
        yield np.repeat(images[chosen][:, None], 3, axis=1), digits.target[chosen]


def start() -> dict[str, NDArray[np.float32]]:
    """Untrained weights: kernels of variance 1 (standardised anyway), norms that do nothing, a head of zeros."""
    random = np.random.default_rng(0)
    tensors = {}
    for name, shape in shapes(MODEL, CLASSES).items():
        if name.endswith("standardized_conv2d/kernel"):
            tensors[name] = random.standard_normal(shape, np.float32)
        else:
            tensors[name] = np.full(shape, name.endswith("gamma"), np.float32)
    return tensors


def rate(step: int) -> float:
    return RATE * min(1.0, (step + 1) / WARM_UP)


def by_torch(tensors: dict[str, NDArray[np.float32]], number: torch.dtype) -> Callable[[Batch, float], float]:
    network = torch_network.from_state(torch_network.state_of(tensors), folded=False).to(number)
    network.train()
    network.requires_grad_(True)
    optimiser = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)

    def step(batch: Batch, lr: float) -> float:
        optimiser.param_groups[0]["lr"] = lr
        loss = torch.nn.functional.cross_entropy(network(torch.from_numpy(batch[0]).to(number)), torch.tensor(batch[1]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def by_pybit(path: Path) -> Callable[[Batch, float], float]:
    trainer = pybit.Trainer(pybit.load(path), momentum=MOMENTUM)
    return lambda batch, lr: trainer.step(*batch, lr=lr)


def draw(path: Path, curves: dict[str, list[float]]) -> None:
    """Losses above, distances from the float64 curve below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    truth = np.array(curves["PyTorch float64"])
    styles: dict[str, dict[str, Any]] = {
        "PyTorch float64": {"color": "#212529", "lw": 3.5, "alpha": 0.35},
        "PyTorch float32": {"color": "#1971c2", "lw": 1.2},
        "pybit float32": {"color": "#d9480f", "lw": 1.2, "ls": "--"},
    }
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(7.5, 6), sharex=True)
    for name, losses in curves.items():
        above.plot(losses, label=name, **styles[name])
        if name != "PyTorch float64":
            below.semilogy(np.maximum(np.abs(np.array(losses) - truth) / truth, 1e-9), label=name, **styles[name])
    above.set_ylabel("loss")
    above.set_title(
        f"{MODEL}, scikit-learn's digits at {SIDE}², batch {BATCH}: the same batches", fontsize=10, loc="left"
    )
    below.set_ylabel("|loss − float64| / loss")
    below.set_xlabel("step")
    for axes in (above, below):
        axes.legend(frameon=False, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build/bench", help="folder for the checkpoint")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "training_curve.npz"
    tensors = start()
    np.savez(path, **dict[str, Any](tensors))
    programs = {
        "PyTorch float64": by_torch(tensors, torch.float64),
        "PyTorch float32": by_torch(tensors, torch.float32),
        "pybit float32": by_pybit(path),
    }
    curves: dict[str, list[float]] = {name: [] for name in programs}
    for number, batch in enumerate(batches(options.steps)):
        for name, step in programs.items():
            curves[name].append(step(batch, rate(number)))
        if number % 10 == 0:
            print(number, {name: round(losses[-1], 7) for name, losses in curves.items()}, flush=True)
    truth = np.array(curves["PyTorch float64"])
    strays = {n: np.abs(np.array(c) - truth) / truth for n, c in curves.items() if n != "PyTorch float64"}
    means = {name: float(stray.mean()) for name, stray in strays.items()}
    for name, stray in strays.items():
        print(f"{name}: strays by {means[name]:.1e} of the loss in the mean, {stray.max():.1e} at most")
    result = {"model": MODEL, "side": SIDE, "batch": BATCH, "curves": curves, "mean_relative_distance": means}
    (HERE / "results/training_curve.json").write_text(json.dumps(result, indent=1) + "\n")
    draw(HERE.parent / "docs/benchmarks/training_curve.png", curves)
    return int(means["pybit float32"] > FACTOR * means["PyTorch float32"])


if __name__ == "__main__":
    sys.exit(main())
