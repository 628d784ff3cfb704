# SPDX-License-Identifier: Apache-2.0
"""A hundred training steps on real digits, by pybit and by PyTorch, from the same weights with the same batches.

    training_curve.py [--steps N] [--work FOLDER]

Writes benchmarks/results/training_curve.json and docs/benchmarks/training_curve.png. PyTorch in float64 is the truth;
how far PyTorch's float32 strays from it, computed in three ways that differ by rounding alone, is the noise. Exits with
1 if pybit's float32 strays further than FACTOR times the noise at any step, or if a run with a rate or a momentum wrong
by 1 % does not: a band that lets those pass would prove nothing.

The start is the demo's small network, which has learned letters (a minute; kept in --work). From untrained weights
programs in float32 part by chaos: after 50 steps of R50x1 PyTorch's was 4 % from float64 and pybit's 11 %.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pybit
from numpy.typing import NDArray
from training import MOMENTUM

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
BATCH, RATE = 16, 0.001  # as the reference advises for small batches; at 0.003 noise grows a thousandfold
FACTOR = 5  # rounding differs by kernels and order; two float32 programs never stray by the same amount
LEAST = 1.2e-7  # of a loss, float32's resolution: the noise of single steps is below it by chance
TRUTH, OURS = "PyTorch float64", "pybit float32"
NOISE = ("PyTorch float32", "PyTorch float32, channels last", "PyTorch float32, images reversed")
WRONG = ("pybit, rate 1 % higher", "pybit, momentum 0.891")
Batch = tuple[NDArray[np.float32], NDArray[np.int64]]
Step = Callable[[Batch, float], float]
Curves = Mapping[str, Sequence[float]]
Floats = NDArray[np.float64]


# ---- what is compared: pure functions
def distance(curves: Curves, name: str) -> Floats:
    """Returns |loss - float64's loss| / loss of each step."""
    truth = np.asarray(curves[TRUTH])
    found: Floats = np.abs(np.asarray(curves[name]) - truth) / truth
    return found


def noise(curves: Curves) -> Floats:
    """Returns the furthest that PyTorch's float32 has strayed up to each step.

    Errors of a step stay in the weights, while a single curve crosses the truth now and then and is near it by chance.
    """
    furthest = np.max([distance(curves, name) for name in NOISE], axis=0)
    return np.maximum(np.maximum.accumulate(furthest), LEAST)


def excess(curves: Curves, name: str) -> float:
    """Returns the largest ratio of a step's distance to its noise."""
    return float(np.max(distance(curves, name) / noise(curves)))


def faults(curves: Curves) -> list[str]:
    """Returns a line for each curve that contradicts the agreement; none if all is well."""
    found = []
    if not excess(curves, OURS) <= FACTOR:  # NaN, too
        found.append(f"{OURS} strays {excess(curves, OURS):.1f} times as far as PyTorch's float32; allowed: {FACTOR}")
    for name in WRONG:
        if not excess(curves, name) > FACTOR:
            found.append(f"{name} is not noticed: {excess(curves, name):.1f} times the noise")
    return found


def summary(curves: Curves) -> dict[str, Any]:
    """Returns what the page shows: mean distances, and each curve's largest ratio to the noise."""
    names = [name for name in curves if name != TRUTH]
    return {
        "steps": len(curves[TRUTH]),
        "mean_distance": {name: float(distance(curves, name).mean()) for name in names},
        "excess": {name: excess(curves, name) for name in names},
        "factor": FACTOR,
    }


def schedule(steps: int) -> list[int]:
    """Returns BiT-HyperRule's schedule for small sets, 100 to 500, scaled to `steps`."""
    return [steps * part // 5 for part in range(1, 6)]


# ---- the programs
def starting_point(folder: Path) -> pybit.Model:
    """Returns the demo's network trained on letters, with a head of zeros for ten classes."""
    from demo_letters import PRE_TRAINING, letters, new_network

    path = folder / "letters.safetensors"
    if not path.exists():
        print("learning letters first", flush=True)
        pybit.fine_tune(new_network(), letters(30), **PRE_TRAINING).model.save(path)
    model = pybit.load(path)
    model.reset_classifier(10, head="zero")
    return model


def batches(steps: int) -> list[Batch]:
    """Returns batches of scikit-learn's digits as a run prepares them: scaled, cropped at random, epochs shuffled."""
    from demo_letters import SMALL
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.repeat(np.uint8(np.rint(digits.images * (255 / 16)))[..., None], 3, axis=3)
    data = pybit.datasets.open((images, digits.target.astype(np.int64)), validation_fraction=0).train
    resize, crop = SMALL["resolution"]
    found = data.batches(BATCH, resize=resize, crop=crop, flip=SMALL["flip"], last=steps)
    return [(np.array(batch.images), np.array(batch.labels)) for batch in found]


def by_torch(tensors: Mapping[str, Any], dtype: str, channels_last: bool = False, reverse: bool = False) -> Step:
    """Returns a step of PyTorch's SGD. Images in reverse order have the same mean loss, summed in another order."""
    import torch
    import torch_network

    number = getattr(torch, dtype)
    state = torch_network.state_of({name: value.copy() for name, value in tensors.items()})
    network = torch_network.from_state(state, folded=False).to(number)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    network.train()
    network.requires_grad_(True)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)

    def step(batch: Batch, rate: float) -> float:
        images, labels = (np.ascontiguousarray(part[::-1] if reverse else part) for part in batch)
        optimizer.param_groups[0]["lr"] = rate
        loss = torch.nn.functional.cross_entropy(network(torch.from_numpy(images).to(number)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def by_pybit(model: pybit.Model, scale: float = 1, momentum: float = MOMENTUM) -> Step:
    """Returns a step of pybit's trainer on a copy of the model."""
    trainer = pybit.Trainer(copy.deepcopy(model), momentum=momentum)
    return lambda batch, rate: trainer.step(*batch, lr=scale * rate)


# ---- results
def draw(path: Path, curves: Curves) -> None:
    """Draws losses above, and below their distances from the float64 curve with the band that is allowed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(7.5, 7), sharex=True, height_ratios=(2, 3))
    above.plot(curves[TRUTH], color="#212529", lw=3.5, alpha=0.35, label=TRUTH)
    above.plot(curves[NOISE[0]], color="#1971c2", lw=1.2, label=NOISE[0])
    above.plot(curves[OURS], color="#d9480f", lw=1.2, ls="--", label=OURS)
    steps = np.arange(len(curves[TRUTH]))
    below.fill_between(steps, 1e-9, FACTOR * noise(curves), color="#1971c2", alpha=0.12, lw=0, label="allowed")
    styles = [(name, "#1971c2", "-", 0.7) for name in NOISE] + [(OURS, "#d9480f", "-", 1.4)]
    styles += [(name, "#868e96", line, 1.0) for name, line in zip(WRONG, (":", "--"), strict=True)]
    for name, colour, line, width in styles:
        label = None if name in NOISE[1:] else "PyTorch float32, three orders" if name == NOISE[0] else name
        below.semilogy(np.maximum(distance(curves, name), 1e-9), color=colour, ls=line, lw=width, label=label)
    above.set_ylabel("loss")
    above.set_title(f"Scikit-learn's digits, batch {BATCH}: the same start, the same batches", fontsize=10, loc="left")
    below.set_ylabel("|loss − float64's| / loss")
    below.set_ylim(1e-9, 1)
    below.set_xlabel("step")
    above.legend(frameon=False, fontsize=8.5)
    below.legend(frameon=False, fontsize=8.5, loc="center", bbox_to_anchor=(0.6, 0.57), ncols=2)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build/bench", help="folder for the start's weights")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    model = starting_point(options.work)
    tensors = model.state_dict()
    programs = {
        TRUTH: by_torch(tensors, "float64"),
        NOISE[0]: by_torch(tensors, "float32"),
        NOISE[1]: by_torch(tensors, "float32", channels_last=True),
        NOISE[2]: by_torch(tensors, "float32", reverse=True),
        OURS: by_pybit(model),
        WRONG[0]: by_pybit(model, scale=1.01),
        WRONG[1]: by_pybit(model, momentum=0.99 * MOMENTUM),
    }
    data = batches(options.steps)
    rule = pybit.hyper_rule(1797, (8, 8), RATE).replace(schedule=schedule(options.steps))
    rates = [rule.lr(number) or 0.0 for number in range(options.steps)]
    curves = {}
    for name, step in programs.items():
        curves[name] = [step(batch, rate) for batch, rate in zip(data, rates, strict=True)]
        print(f"{name}: loss {curves[name][0]:.4f} to {curves[name][-1]:.4f}", flush=True)
    curves = {name: [float(f"{loss:.9g}") for loss in losses] for name, losses in curves.items()}  # as they are kept
    found = summary(curves)
    for name, mean in found["mean_distance"].items():
        print(f"{name}: {mean:.1e} of the loss in the mean, at most {found['excess'][name]:.1f} times the noise")
    result = {"batch": BATCH, "base_lr": RATE, "schedule": rule.schedule, **found, "curves": curves}
    lines = json.dumps(result, indent=1).replace("\n   ", " ").replace("\n  ]", "]")  # a curve on one line
    (HERE / "results/training_curve.json").write_text(lines + "\n")
    draw(HERE.parent / "docs/benchmarks/training_curve.png", curves)
    problems = faults(curves)
    print("\n".join(problems) or "the curves agree", file=sys.stderr if problems else sys.stdout)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
