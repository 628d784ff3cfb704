"""The main job on real input: `make demo`, or `python examples/demo.py`.

Embeds scikit-learn's 1,797 handwritten digits with a BiT R50x1, evaluates the features by few-shot and full linear
probes on a held-out split, and writes an accuracy plot and a contact sheet to demo_out/. Uses released weights where
a file or the network has them; otherwise seeded untrained ones, and says so. Needs scikit-learn and matplotlib.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pybit
from pybit import probe

MODEL = "BiT-M-R50x1"
PHOTO_MODEL = "BiT-M-R50x1-ILSVRC2012"
SHOTS: tuple[Any, ...] = (1, 2, 5, 10, 20, 50, "full")
BLUE, GREY, RED, INK = "#1f5fa8", "#8a8f98", "#c0392b", "#222222"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights",
        metavar="FILE",
        default=os.environ.get("PYBIT_DEMO_WEIGHTS"),
        help=f"a {MODEL} or {PHOTO_MODEL} checkpoint; also the environment variable PYBIT_DEMO_WEIGHTS",
    )
    parser.add_argument("--offline", action="store_true", help="do not try to download weights")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder to write to (default: demo_out)")
    parser.add_argument("--size", type=int, default=64, help="side that the 8x8 digits are enlarged to (default: 64)")
    parser.add_argument("--digits", type=int, default=1797, help="use only the first N digits")
    parser.add_argument("--seeds", type=int, default=5, help="random draws per number of shots (default: 5)")
    return parser.parse_args(argv)


def find_model(weights: str | None, offline: bool) -> tuple[pybit.Model, bool]:
    """The model, and whether its weights are trained."""
    if weights:
        return pybit.load(weights), True
    try:
        path = pybit.hub.download(MODEL, offline=offline or None, transfer=pybit.hub.Transfer(timeout=5, retries=0))
        return pybit.load(path), True
    except (OSError, pybit.BitError) as e:
        reason = "this process is offline" if offline else str(e).splitlines()[0][:100]
    print(
        f"No released weights in the cache, and none could be downloaded: {reason}.\n"
        "The network below is UNTRAINED: seeded random weights. Its features are random features, nothing more;\n"
        "the numbers show that the program works on real images, not what BiT can do. For that:\n"
        f"    pybit download {MODEL}    or    python examples/demo.py --weights {MODEL}.npz\n"
    )
    return pybit.create_model(MODEL, num_classes=0, seed=0), False


def load_digits(count: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Digits as 8-bit RGB images, as rows of raw pixels in [0, 1], and their labels."""
    from sklearn.datasets import load_digits as load

    digits = load()
    images = [np.repeat(np.uint8(np.rint(d * (255 / 16)))[..., None], 3, axis=2) for d in digits.images[:count]]
    return images, np.float32(digits.data[:count] / 16), digits.target[:count].astype(np.int64)


def print_table(reports: dict[str, probe.FewShotReport]) -> None:
    first = next(iter(reports.values()))
    shots = list(dict.fromkeys(r.shots for r in first.results))
    print(f"\nAccuracy in % on {first.num_test} held-out digits; mean ± standard deviation over {first.seeds} draws\n")
    columns = [(name, method) for name in reports for method in ("linear", "knn")]
    print(f"{'shots per class':>15}" + "".join(f"{name + ', ' + method:>25}" for name, method in columns))
    for shot in shots:
        cells = []
        for name, method in columns:
            r = reports[name].get(shot, method)
            cells.append(f"{100 * r.mean:.1f}" + ("       " if r.std is None else f" ± {100 * r.std:4.1f}"))
        print(f"{shot!s:>15}" + "".join(f"{c:>25}" for c in cells))


def plot_accuracy(reports: dict[str, probe.FewShotReport], full: int, note: str, path: Path) -> None:
    """Accuracy of the linear probes against examples per class; bands are one standard deviation over the draws."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 4.6), dpi=150)
    ends = []
    for (name, report), colour in zip(reports.items(), (BLUE, GREY), strict=True):
        rows = [r for r in report.results if r.method == "linear"]
        x = np.array([full if r.shots == "full" else r.shots for r in rows], dtype=float)
        mean = np.array([100 * r.mean for r in rows])
        std = np.array([100 * (r.std or 0.0) for r in rows])
        axes.fill_between(x, mean - std, np.minimum(mean + std, 100), color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, mean, "o-", color=colour, markersize=4.5, linewidth=1.8)
        ends.append((mean[-1], f"{name}\n{mean[-1]:.1f} %", colour))
    gap = 12.0  # keeps the two labels of the right edge apart
    ends.sort(key=lambda e: e[0])
    middle = np.mean([e[0] for e in ends])
    spread = max(gap, ends[-1][0] - ends[0][0])
    for (_, text, colour), y in zip(ends, (middle - spread / 2, middle + spread / 2), strict=True):
        axes.annotate(
            text,
            (full, y),
            (10, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9,
            annotation_clip=False,
        )
    axes.axhline(10, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.annotate("chance", (1, 10), (0, 4), textcoords="offset points", fontsize=8, color=INK)
    ticks = [s for s in SHOTS if s != "full" and s < 0.8 * full]
    axes.set_xscale("log")
    axes.set_xticks([*ticks, full], [*map(str, ticks), f"all\n({full})"])
    axes.minorticks_off()
    axes.set_ylim(0, 101)
    axes.set_xlabel("training examples per class")
    axes.set_ylabel("accuracy on held-out digits, %")
    axes.set_title("How far few labels go: linear probes on real handwritten digits", loc="left", fontsize=11, pad=32)
    axes.text(0, 1.03, note, transform=axes.transAxes, fontsize=8.5, color=INK)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def contact_sheet(images: list[np.ndarray], truth: np.ndarray, found: np.ndarray, title: str, path: Path) -> None:
    """Digits with what was predicted; a wrong one is red and says what it is."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = 15
    rows = -(-len(images) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(0.62 * columns, 0.78 * rows + 0.55), dpi=150, squeeze=False)
    for cell in grid.flat:
        cell.axis("off")
    for cell, image, y, p in zip(grid.flat, images, truth, found, strict=False):
        cell.imshow(255 - image, interpolation="nearest")
        wrong = y != p
        cell.set_title(
            f"{p} (is {y})" if wrong else f"{p}",
            fontsize=7.5,
            pad=2,
            color=RED if wrong else INK,
            fontweight="bold" if wrong else "normal",
        )
        if wrong:
            cell.add_patch(
                plt.Rectangle((-0.5, -0.5), image.shape[1], image.shape[0], fill=False, color=RED, linewidth=2.5)
            )
    height = 0.78 * rows + 0.55
    figure.suptitle(title, x=0.01, y=1 - 0.1 / height, ha="left", va="top", fontsize=10)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.1 / height), w_pad=0.3, h_pad=0.3)
    figure.savefig(path)
    plt.close(figure)


def classify_photo(model: pybit.Model) -> None:
    """The likeliest classes of a photograph that scikit-learn ships."""
    from sklearn.datasets import load_sample_image

    for name in ("flower.jpg", "china.jpg"):
        prediction = model.predict([load_sample_image(name)])[0]
        print(f"\n{name}, a real photograph:")
        for label, probability in zip(prediction.labels, prediction.probabilities, strict=True):
            print(f"  {probability:6.3f}  {label}")


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    model, trained = find_model(args.weights, args.offline)
    print(model)
    images, pixels, labels = load_digits(args.digits)
    print(
        f"embedding {len(images)} handwritten digits (UCI, from scikit-learn), "
        f"enlarged from 8x8 to {args.size}x{args.size} ..."
    )
    spec = dataclasses.replace(model.preprocessing, size=args.size, mode="squash")
    began = time.monotonic()
    features = np.asarray(model.embed(images, batch_size=32, preprocessing=spec))
    seconds = time.monotonic() - began
    print(
        f"{features.shape[0]} x {features.shape[1]} features in {seconds:.1f} s ({len(images) / seconds:.0f} images/s)"
    )

    train, test = probe.split(labels)
    shots = [s for s in SHOTS if s == "full" or s <= int(np.bincount(labels[train]).min())]
    name = "BiT R50x1" if trained else "untrained R50x1"
    reports = {
        name: probe.few_shot(features, labels, shots=shots, seeds=args.seeds),
        "raw pixels": probe.few_shot(pixels, labels, shots=shots, seeds=args.seeds),
    }
    print_table(reports)

    found = probe.fit_linear(features[train], labels[train]).predict(features[test])
    right = int(np.sum(found == labels[test]))
    full = round(len(train) / len(np.unique(labels)))
    weights = f"weights: {model.origin}" if trained else "seeded random weights, so random features, nothing more"
    plot_accuracy(
        reports,
        full,
        f"{name}: {weights}\nbands: ±1 standard deviation over {args.seeds} draws",
        args.out / "accuracy.png",
    )
    show = np.sort(np.random.default_rng(0).permutation(len(test))[:120])
    contact_sheet(
        [images[i] for i in test[show]],
        labels[test[show]],
        found[show],
        f"{right} of {len(test)} held-out digits right, {len(show)} of them below; linear probe on {name}\n{weights}",
        args.out / "contact_sheet.png",
    )
    results = {
        "model": repr(model),
        "trained": trained,
        "input_size": args.size,
        "embedding_seconds": seconds,
        "reports": {n: r.as_dict() for n, r in reports.items()},
    }
    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    if trained and model.num_classes == 1000:
        classify_photo(model)
    elif trained:
        print(f"\nno photograph is classified: {model.name} has no ImageNet-1k head; try --weights {PHOTO_MODEL}.npz")
    print(
        f"\nwrote {args.out}/accuracy.png, contact_sheet.png and results.json; {time.monotonic() - start:.0f} s in all"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
