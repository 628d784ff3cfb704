# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning on real handwritten digits, start to end: `make demo`, or `python examples/demo.py`.

Takes a small BiT, fine-tunes it by BiT-HyperRule (scaled to minutes) on scikit-learn's 1,797 digits, once with ten
examples per class and once with all, compares with linear probes, and predicts with the saved checkpoint in Python and
in C++. Everything goes to demo_out/. Needs scikit-learn, Pillow and matplotlib; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pybit
from demo_letters import PRE_TRAINING, SMALL, letters, new_network
from demo_pictures import contact_sheet, learning_curves
from PIL import Image
from pybit import probe

CPP = Path(__file__).resolve().parents[1] / "build" / "dev" / "examples" / "example_classify"
Digits = tuple[np.ndarray, np.ndarray]


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights",
        metavar="FILE",
        default=os.environ.get("PYBIT_DEMO_WEIGHTS"),
        help="start from this checkpoint, e.g. a released BiT, instead of pre-training a small one (minutes to hours); "
        "also the environment variable PYBIT_DEMO_WEIGHTS",
    )
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder to write to (default: demo_out)")
    parser.add_argument("--cpp", type=Path, default=CPP, help="the compiled examples/classify.cpp")
    parser.add_argument("--digits", type=int, default=1797, help="use only the first N digits")
    parser.add_argument("--quick", action="store_true", help="a few steps of everything, to see that it works")
    return parser.parse_args(argv)


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


class Progress:
    """Callbacks of a run: a line that is written over on a terminal, otherwise ten lines; keeps what curves need."""

    def __init__(self, steps: int) -> None:
        self.steps, self.began = steps, time.monotonic()
        self.losses: list[float] = []
        self.evaluations: list[tuple[int, float]] = []

    def step(self, step: int, loss: float, rate: float, images: int, *_: float) -> None:
        self.losses.append(loss)
        each = (time.monotonic() - self.began) / len(self.losses)
        text = (
            f"step {step:3}/{self.steps}  loss {loss:.4f}  rate {rate:.1e}  {images / each:4.0f} images/s  "
            f"{each * (self.steps - step):3.0f} s left"
        )
        if sys.stdout.isatty():
            print("\r" + text + "\033[K", end="\n" if step == self.steps else "", flush=True)
        elif step % max(self.steps // 10, 1) == 0:
            print(text, flush=True)

    def evaluation(self, step: int, found: pybit.Evaluation) -> None:
        self.evaluations.append((step, found.top1))


def tune(model: pybit.Model, data: Any, **options: Any) -> tuple[pybit.FineTuning, pybit.model.Model, Progress]:
    """One run with its recipe and its progress shown."""
    run = pybit.FineTuning(model, data, **(SMALL | options))
    run.estimate()
    print(run.recipe, flush=True)
    progress = Progress(run.steps)
    done = run.start(on_step=progress.step, on_evaluation=progress.evaluation)
    return run, done.model, progress


def starting_point(args: argparse.Namespace) -> tuple[pybit.Model, str]:
    """The model that is fine-tuned, and what it is called."""
    if args.weights:
        model = pybit.load(args.weights)
        print(f"{model}\nfrom {args.weights}")
        return model, model.name
    print(
        "Released BiT weights may be given by --weights. Without them this demo makes its own starting point: a small\n"
        "BiT learns to read letters, drawn in the fonts that matplotlib ships (Latin, Greek, Cyrillic; no digit\n"
        "among them), as the released models learned from photographs."
    )
    pictures, names = letters(2 if args.quick else 30)
    print(f"{len(pictures)} pictures of {len(set(names))} letters\n")
    how = PRE_TRAINING | ({"schedule": [1, 2, 3, 4]} if args.quick else {})
    _, model, progress = tune(new_network(), (pictures, names), **how)
    print(f"{100 * progress.evaluations[-1][1]:.1f} % of other pictures of the letters are read rightly")
    model.save(args.out / "letters.safetensors")
    return model, "pre-trained on letters"


def load_digits(count: int) -> Digits:
    """Images (n,8,8), 0..255, and labels of real handwritten digits (UCI, in scikit-learn)."""
    from sklearn.datasets import load_digits as load

    digits = load()
    return np.uint8(np.rint(digits.images[:count] * (255 / 16))), digits.target[:count].astype(np.int64)


def write_folder(folder: Path, parts: dict[str, Digits]) -> None:
    """Digits as a user has images: folder/PART/CLASS/NUMBER.png."""
    for part, (images, labels) in parts.items():
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            target = folder / part / str(label) / f"{i:04}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(target)


def probe_accuracy(model: pybit.Model, train: pybit.datasets.Dataset, test: Digits) -> float:
    """Accuracy on `test` of a linear classifier on the model's features of `train`."""
    spec = pybit.PreprocessSpec(SMALL["resolution"][1], mode="squash")

    def features(images: list[np.ndarray]) -> np.ndarray:
        return np.asarray(model.embed(images, batch_size=64, preprocessing=spec, progress=False))

    fitted = probe.fit_linear(features([train[i][0] for i in range(len(train))]), train.labels)
    found = fitted.predict(features([np.repeat(v[..., None], 3, axis=2) for v in test[0]]))
    return float(np.mean(found == test[1]))


def predict_in_both(args: argparse.Namespace, checkpoint: Path, files: list[Path]) -> None:
    """The same checkpoint and images in Python and in C++."""
    model = pybit.load(checkpoint)
    print(f">>> model = pybit.load({str(checkpoint)!r}); model.predict(files, topk=1)")
    taken_for = {}
    for p in model.predict(files, topk=1, progress=False):
        taken_for[p.path] = p.label
        print(f"  {p.path}: {p.label}  ({100 * p.probability:.2f} %)")
    if not args.cpp.exists():
        print(f"(no C++ program at {args.cpp}: `make build` compiles examples/classify.cpp)")
        return
    print(f"$ {os.path.relpath(args.cpp)} {checkpoint} {files[0]} ...")
    done = subprocess.run([args.cpp, checkpoint, *files], check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    for path, best in [(line, lines[i + 1].split()) for i, line in enumerate(lines) if line in taken_for]:
        print(f"  {path}: {best[2]}  ({best[0]} %)")
        assert best[2] == taken_for[path], "C++ and Python disagree"


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("runs", "digits"):  # a finished run would be continued, which takes no steps
        shutil.rmtree(args.out / name, ignore_errors=True)

    heading("1. A starting point")
    model, name = starting_point(args)

    heading("2. Fine-tuning on real handwritten digits")
    images, labels = load_digits(args.digits)
    train, test = probe.split(labels)
    held_out = (images[test], labels[test])
    write_folder(args.out / "digits", {"train": (images[train], labels[train]), "val": held_out})
    data = pybit.datasets.open(args.out / "digits")
    print(f"{len(train)} digits to learn from, {len(test)} to test with, as PNG files in {args.out}/digits")
    shots = min(10, min(data.train.counts.values()))
    runs: dict[str, dict[str, Any]] = {}
    for key, title, examples, batch, steps, rate in (
        ("few", f"{shots} examples of each digit", data.train.few_shot(shots, seed=0), 50, 100, 0.01),
        ("all", f"all {len(train)} examples", data.train, 64, 320, 0.03),
    ):
        print(f"\n-- {title}")
        steps = 4 if args.quick else steps
        how: dict[str, Any] = {"batch": batch, "steps": steps, "base_lr": rate, "eval_every": max(steps // 8, 1)}
        tuning, tuned, progress = tune(
            model, (examples, data.validation), logdir=args.out / "runs", name=key, save_seconds=0, **how
        )
        random = probe_accuracy(new_network(), examples, held_out)
        runs[key] = {
            "title": title,
            "losses": progress.losses,
            "evaluations": progress.evaluations,
            "probes": [(f"linear probe, {name}", probe_accuracy(model, examples, held_out))]
            + ([] if args.weights else [("linear probe, untrained", random)]),
            "accuracy": progress.evaluations[-1][1],
        }
    return finish(args, runs, data, held_out, start)


def finish(args: argparse.Namespace, runs: dict[str, dict[str, Any]], data: Any, test: Digits, start: float) -> int:
    """Table, pictures, predictions."""
    heading("3. Accuracy on test digits")
    for run in runs.values():
        print(f"{run['title']}")
        for what, value in [*reversed(run["probes"]), ("fine-tuned", run["accuracy"])]:
            print(f"  {what:45}{100 * value:6.1f} %")

    heading("4. The saved checkpoint predicts")
    checkpoint = args.out / "runs" / "all" / "best.safetensors"
    names = [Path(data.validation.name(i)) for i in range(len(data.validation))]
    predict_in_both(args, checkpoint, [names[i] for i in np.linspace(0, len(names) - 1, 5).astype(int)])
    model = pybit.load(checkpoint)
    found = np.array([int(p.label) for p in model.predict(names, topk=1, progress=False)])
    truth = np.array([int(p.parent.name) for p in names])
    pixels = np.stack([np.asarray(Image.open(p)) for p in names])
    right = int(np.sum(found == truth))

    learning_curves(
        list(runs.values()), "A small BiT, fine-tuned on real handwritten digits", args.out / "learning_curves.png"
    )
    contact_sheet(
        pixels,
        truth,
        found,
        f"{right} of {len(truth)} test digits are read rightly by the network fine-tuned on all training digits.\n"
        "A row for each digit; above each image what it was taken for, mistakes first, framed.",
        args.out / "contact_sheet.png",
    )
    (args.out / "results.json").write_text(json.dumps(runs, indent=2) + "\n")
    print(
        f"\nwrote learning_curves.png, contact_sheet.png, results.json and runs/ to {args.out}/; "
        f"{time.monotonic() - start:.0f} s in all\n"
        "The same with your own photos: docs/finetuning.md"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
