# SPDX-License-Identifier: Apache-2.0
"""How long a training run waits for its images: a folder of JPEG photographs, R50x1, batch 16, 128².

    training_data.py [--images 320] [--steps 24] [--work FOLDER]

The photographs are crops of those that scikit-image and scikit-learn bring, scaled to sizes that cameras and the web
use. The run is `pybit train` in a process of its own; the times are what it wrote to its metrics.jsonl. Prints the
share of the time that steps waited for data, the first step apart (nothing can have been decoded ahead of it), and
exits with 1 if it is 3 % or more.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = 0.03
SIZES = ((500, 375), (640, 480), (1024, 768), (1600, 1200))  # width and height; each a quarter of the images
PARTS = ("load_seconds", "gradient_seconds", "update_seconds")


def shares(lines: Iterable[str]) -> dict[str, float]:
    """Returns each part's share of the time of all steps but the first, from the lines of a metrics.jsonl."""
    steps: list[Mapping[str, Any]] = [e for e in map(json.loads, lines) if e["event"] == "step"][1:]
    if not steps:
        raise ValueError("expected at least two steps in the metrics")
    seconds = {part: sum(step[part] for step in steps) for part in PARTS}
    total = sum(seconds.values())
    return {part: value / total for part, value in seconds.items()} | {"step_seconds": total / len(steps)}


def photographs() -> list[Any]:
    """Returns RGB photographs that need no download."""
    from PIL import Image
    from skimage import data
    from sklearn.datasets import load_sample_images

    found = [getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")]
    return [Image.fromarray(image) for image in [*found, *load_sample_images().images]]


def make_folder(folder: Path, count: int) -> None:
    """Writes `count` JPEG files in two classes: crops of at least half the side, scaled, a third of them upright."""
    sources, random = photographs(), np.random.default_rng(0)
    for number in range(count):
        source = sources[number % len(sources)]
        width, height = SIZES[number // 2 % len(SIZES)]
        if number % 3 == 0:
            width, height = height, width
        side = random.uniform(0.5, 1) * min(source.width / width, source.height / height)
        w, h = side * width, side * height
        left, top = random.uniform(0, source.width - w), random.uniform(0, source.height - h)
        image = source.resize((width, height), box=(left, top, left + w, top + h))
        target = folder / f"class{number % 2}" / f"{number:04}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save(target, quality=90)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench", help="folder for images and weights")
    options = parser.parse_args()
    work = options.work / "training_data"
    shutil.rmtree(work, ignore_errors=True)
    make_folder(work / "photos", options.images)
    import pybit

    pybit.create_model("R50x1", 10, seed=0).save(work / "r50x1.safetensors")
    command = [
        *(sys.executable, "-m", "pybit.train", "--name", "run", "--logdir", str(work), "--quiet"),
        *("--model", str(work / "r50x1.safetensors"), "--data", str(work / "photos"), "--validation_fraction", "0"),
        *("--batch", "16", "--resize", "160", "--crop", "128", "--steps", str(options.steps), "--base_lr", "1e-5"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = shares((work / "run/metrics.jsonl").read_text().splitlines())
    size = sum(path.stat().st_size for path in (work / "photos").rglob("*.jpg")) / options.images
    print(
        f"{options.images} JPEG files of {size / 1000:.0f} kB in the mean, {options.steps} steps of "
        f"{found['step_seconds']:.3f} s: {100 * found['load_seconds']:.2f} % waiting for data, "
        f"{100 * found['gradient_seconds']:.1f} % gradients, {100 * found['update_seconds']:.1f} % updates"
    )
    return int(found["load_seconds"] >= ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
