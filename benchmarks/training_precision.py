# SPDX-License-Identifier: Apache-2.0
"""What bfloat16 costs and gains in training: gradients against float64 beside PyTorch's autocast, a run on real digits
in both dtypes, processor time and memory of a step. Writes training_precision.json and .png.

    python benchmarks/training_precision.py [--out FOLDER] [--steps 300] [--without gradients,digits,speed]

Needs torch (gradients), scikit-learn (digits) and matplotlib beside pybit. Seconds are processor time of all threads,
so that other programs on the machine disturb little; each number of a step is from a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pybit
from pybit import _core

DTYPES = ("float32", "bfloat16")
R50 = {"units": (3, 4, 6, 3), "stem_channels": 64}
SMALL = {"units": (2, 2, 2, 2), "stem_channels": 32}


def random_model(dtype: str, config: dict[str, Any]) -> pybit.Model:
    """Returns a network of random weights, the same in each dtype."""
    network = _core.Network.random(_core.Config(num_classes=10, **config), dtype, seed=3)
    return pybit.Model(network, name="random", origin="random", preprocessing=None)


def in_format(model: pybit.Model, dtype: str) -> pybit.Model:
    """Returns a model with the same weights in another dtype."""
    network = _core.Network.from_checkpoint(_core.recognise(model.loaded.network.tensors(), "model"), dtype)
    return pybit.Model(network, name=model.name, origin=model.origin, preprocessing=None)


# ---- gradients
def gradient_errors(model: pybit.Model, config: dict[str, Any], x: Any, y: Any) -> dict[str, Any]:
    """Of each tensor's gradient: the distance from float64's over its norm; medians and largest."""
    import torch
    import torch_network

    tensors = model.state_dict()
    units = config["units"]
    names = torch_network.official_names(units)

    def torch_gradients(dtype: torch.dtype, autocast: bool) -> dict[str, Any]:
        network = torch_network.Network(units, config["stem_channels"], 10)
        network.load_state_dict(torch_network.state_of(tensors))
        network.to(dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = network(torch.from_numpy(x).to(dtype))
        loss = torch.nn.functional.cross_entropy(logits.to(dtype), torch.as_tensor(y))
        loss.backward()
        return {names[n]: p.grad.double().numpy() for n, p in network.named_parameters()}

    exact = torch_gradients(torch.float64, False)
    found = {
        "torch float32": torch_gradients(torch.float32, False),
        "torch autocast": torch_gradients(torch.float32, True),
    }
    for dtype in DTYPES:
        gradients = in_format(model, dtype).gradients(x, y)[1]
        found[f"pybit {dtype}"] = {
            name: (g.transpose(3, 2, 0, 1) if g.ndim == 4 else g).reshape(exact[name].shape)
            for name, g in gradients.items()
        }
    result = {}
    for who, gradients in found.items():
        errors = [np.linalg.norm(gradients[n] - e) / np.linalg.norm(e) for n, e in exact.items()]
        result[who] = {"median": float(np.median(errors)), "largest": float(np.max(errors))}
    return result


# ---- digits
def real_digits() -> tuple[Any, Any]:
    """scikit-learn's digits as (n, 3, 32, 32) in [-1, 1], and their labels."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = (pixels.reshape(-1, 1, 8, 8) / 8 - 1).astype(np.float32)
    return np.repeat(np.repeat(np.repeat(x, 3, 1), 4, 2), 4, 3), labels


def digits(steps: int, batch: int = 64, seed: int = 0) -> tuple[dict[str, Any], pybit.Model]:
    """A small BiT from random weights on the digits, the same batches in both formats: losses, accuracy on others; and
    the one trained in float32."""
    x, labels = real_digits()
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = order[:360], order[360:]
    trained: list[pybit.Model] = []
    result: dict[str, Any] = {"steps": steps, "batch": batch, "train": len(train), "test": len(test)}
    for dtype in DTYPES:
        model = random_model(dtype, SMALL)
        trained.append(model)
        trainer = pybit.Trainer(model, momentum=0.9)
        draw = np.random.default_rng(seed + 1)
        losses = []
        for step in range(steps):
            picked = draw.choice(train, batch, replace=False)
            rate = 0.03 * min(1.0, (step + 1) / 20) * (0.1 if step >= 0.8 * steps else 1.0)
            losses.append(trainer.step(x[picked], labels[picked], lr=rate))
        top1 = float(np.mean(np.argmax(model(x[test]), 1) == labels[test]))
        exact = float(np.mean(np.argmax(in_format(model, "float32")(x[test]), 1) == labels[test]))
        result[dtype] = {"losses": losses, "top1": top1, "top1_evaluated_in_float32": exact}
    return result, trained[0]


# ---- speed
def one_step(dtype: str, images: int, size: int, repeats: int) -> dict[str, float]:
    """Least processor seconds of a step of R50x1, and the process's peak memory; for a process of its own."""
    model = random_model(dtype, R50)
    trainer = pybit.Trainer(model)
    x = np.random.default_rng(5).uniform(-1, 1, (images, 3, size, size)).astype(np.float32)
    y = np.arange(images) % 10
    seconds = []
    for _ in range(repeats + 1):
        before = time.process_time()
        trainer.step(x, y, lr=1e-3)
        seconds.append(time.process_time() - before)
    status = Path("/proc/self/status").read_text()  # of this process alone, which getrusage's is not after a fork
    peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
    return {"cpu_seconds": min(seconds[1:]), "peak_bytes": peak}


def speed(images: int, size: int, repeats: int) -> dict[str, Any]:
    """one_step for each format, in turns, so that a change of the machine's pace meets both."""
    result: dict[str, Any] = {"images": images, "size": size}
    for dtype in DTYPES * 2:
        command = [sys.executable, __file__, "--one-step", dtype, str(images), str(size), str(repeats)]
        run = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        best = result.setdefault(dtype, run)
        result[dtype] = {k: min(v, best[k]) for k, v in run.items()}
    return result


# ---- results
def draw(found: dict[str, Any], path: Path) -> None:
    """The loss curves of both formats."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for dtype, style in zip(DTYPES, ("-", "--"), strict=True):
        run = found[dtype]
        axes.plot(run["losses"], style, linewidth=1, label=f"{dtype}, top-1 {100 * run['top1']:.1f} %")
    axes.set(xlabel="step", ylabel="loss", yscale="log", title="scikit-learn's digits, the same batches")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run what is asked for and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--without", default="")
    parser.add_argument("--one-step", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_step:
        dtype, *numbers = args.one_step
        print(json.dumps(one_step(dtype, *map(int, numbers))))
        return
    without = args.without.split(",")
    args.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = dict(_core.build_info())
    if "digits" not in without:
        found["digits"], trained = digits(args.steps)
        draw(found["digits"], args.out / "training_precision.png")
        if "gradients" not in without:
            x, y = real_digits()
            found["gradients, small network trained on digits"] = gradient_errors(trained, SMALL, x[:16], y[:16])
    if "gradients" not in without:
        noise = np.random.default_rng(5).uniform(-1, 1, (4, 3, 64, 64)).astype(np.float32)
        found["gradients, random R50x1"] = gradient_errors(random_model("float32", R50), R50, noise, np.arange(4))
    if "speed" not in without:
        found["speed"] = speed(16, 128, 4)
    (args.out / "training_precision.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({k: v for k, v in found.items() if k != "digits"}, indent=1))


if __name__ == "__main__":
    main()
