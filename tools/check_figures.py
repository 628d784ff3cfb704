# SPDX-License-Identifier: Apache-2.0
"""What docs/check.md says of `pybit check`, measured: planted near duplicates of photographs, flipped labels of digits.

Usage: check_figures.py. It needs scikit-image, scikit-learn and Pillow (tools/requirements-test.txt).
"""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image
from pybit import _core
from pybit.quality.duplicates import near_pairs
from pybit.quality.signature import SIDE
from pybit.quality.suspects import doubts

_PHOTOS = (
    "astronaut brick camera cell chelsea coffee coins grass gravel hubble_deep_field ihc microaneurysms moon "
    "motorcycle_left page retina rocket text"
)


def photographs(faces: int = 100) -> list[Image.Image]:
    """scikit-image's and scikit-learn's photographs, their quarters, and small faces: different pictures all."""
    folder = Path(skimage.data.__file__).parent
    files = [next(iter(folder.glob(f"{name}.*"))) for name in _PHOTOS.split()]
    files += [Path(name) for name in sklearn.datasets.load_sample_images().filenames]
    found = []
    for file in files:
        photo = Image.open(file).convert("RGB")
        found.append(photo)
        w, h = photo.size
        for y, x in itertools.product((0, 1), (0, 1)):
            if min(w, h) >= 200:
                found.append(photo.crop((x * w // 2, y * h // 2, (x + 1) * w // 2, (y + 1) * h // 2)))
    for face in np.load(folder / "lfw_subset.npy")[:faces]:
        found.append(Image.fromarray((face * 255).astype(np.uint8)).convert("RGB").resize((100, 100)))
    return found


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def variants(image: Image.Image, random: np.random.Generator) -> dict[str, Image.Image]:
    """The image as people have it twice."""
    w, h = image.size
    kept = int(0.9 * w), int(0.9 * h)
    x, y = (int(random.integers(0, a - b + 1)) for a, b in zip((w, h), kept, strict=True))
    each = (int(0.1 * w), int(0.1 * h))
    return {
        "JPEG of quality 50": _jpeg(image, 50),
        "JPEG of quality 20": _jpeg(image, 20),
        "half the size": image.resize((max(1, w // 2), max(1, h // 2)), Image.Resampling.LANCZOS),
        "squashed to 224 x 224": image.resize((224, 224)),
        "10 % of the sides cut off anywhere, JPEG 80": _jpeg(image.crop((x, y, x + kept[0], y + kept[1])), 80),
        "10 % cut off each side, JPEG 80": _jpeg(image.crop((*each, w - each[0], h - each[1])), 80),
    }


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """As pybit.quality.signature makes it."""
    squashed = _core.resize_image(np.ascontiguousarray(image), SIDE, SIDE, "bilinear", "pillow")
    weighed = squashed.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return ((weighed + 0x8000) >> 16).astype(np.uint8)


def duplicates(faces: int = 100) -> tuple[dict[str, float], int, int, int]:
    """The part of each kind's planted duplicates that is found; pairs found, pairs of different pictures among them,
    and how many pairs of different pictures there are."""
    random = np.random.default_rng(0)
    owners, kinds, grey = [], [], []
    for number, image in enumerate(photographs(faces)):
        for kind, shown in {"": image, **variants(image, random)}.items():
            owners.append(number)
            kinds.append(kind)
            grey.append(thumbnail(shown))
    found = {(a, b) for a, b, _ in near_pairs(np.stack(grey))}
    originals = {owner: i for i, (owner, kind) in enumerate(zip(owners, kinds, strict=True)) if not kind}
    parts: dict[str, list[bool]] = {}
    for i, kind in enumerate(kinds):
        if kind:
            parts.setdefault(kind, []).append((originals[owners[i]], i) in found)
    wrong = sum(owners[a] != owners[b] for a, b in found)
    each, count = len(owners) // len(originals), len(originals)
    return {k: float(np.mean(v)) for k, v in parts.items()}, len(found), wrong, each * each * count * (count - 1) // 2


def flipped_labels(part: float = 0.05, seed: int = 0) -> float:
    """Of scikit-learn's digits with a part of their labels flipped, the part of the flipped ones among the tenth of all
    images whose labels are doubted most, judged by pixels."""
    digits = sklearn.datasets.load_digits()
    random = np.random.default_rng(seed)
    labels = digits.target.astype(np.int64)
    flipped = random.choice(len(labels), int(part * len(labels)), replace=False)
    labels[flipped] = (labels[flipped] + random.integers(1, 10, len(flipped))) % 10
    doubted = np.argsort(-doubts((digits.data / 16).astype(np.float32), labels, 10).max(1))[: len(labels) // 10]
    return float(np.isin(flipped, doubted).mean())


def main() -> int:
    """Entry point; 1 if a figure is below what is promised."""
    found, pairs, wrong, different = duplicates()
    for kind, part in found.items():
        print(f"{100 * part:6.1f} %  {kind}")
    print(f"{wrong} of the {pairs} pairs found are of different pictures, of {different} such pairs")
    labels = [flipped_labels(seed=seed) for seed in range(5)]
    print(f"flipped labels among the most doubtful tenth: {', '.join(f'{100 * part:.1f} %' for part in labels)}")
    return int(min(found.values()) < 0.9 or wrong > 0.01 * pairs or min(labels) < 0.7)


if __name__ == "__main__":
    sys.exit(main())
