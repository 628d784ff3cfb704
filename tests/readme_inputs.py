# SPDX-License-Identifier: Apache-2.0
"""Writes what the blocks of README.md and docs/finetuning.md read: readme_inputs.py FOLDER.

Checkpoints with the names, layout and shapes of released ones and synthetic weights (released ones are not in this
repository), a photograph that scikit-learn ships, and a folder with one folder of images per class: parts of its two
photographs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "golden"))
make_checkpoint = import_module("make_checkpoint")


def photographs() -> dict[str, Image.Image]:
    """The two sample images of scikit-learn, read without importing it."""
    spec = find_spec("sklearn")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "images"
    return {name: Image.open(folder / f"{name}.jpg") for name in ("china", "flower")}


def main(folder: Path) -> None:
    units, width = make_checkpoint.parse_model("BiT-M-R50x1")
    for name, classes in (("BiT-M-R50x1-ILSVRC2012", 1000), ("BiT-M-R50x1", 21843)):
        np.savez(folder / f"{name}.npz", **make_checkpoint.checkpoint(units, width, classes=classes, seed=7))
    for name, image in photographs().items():
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(8):
            image.crop((50 * i, 60, 50 * i + 200, 260)).save(folder / "photos" / name / f"{i}.jpg")
    photographs()["flower"].save(folder / "photo.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
