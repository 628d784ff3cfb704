# SPDX-License-Identifier: Apache-2.0
"""Write a golden case's checkpoint, and its images with the expected values, for the C++ tests.

prepare.py INDEX FOLDER -> FOLDER/checkpoint.npz and FOLDER/expected.npz (images float32 NCHW; logits, pooled float64)
prepare.py gradients FOLDER -> the same files for gradients.npz (images; loss, norms and first values of every gradient)
prepare.py trace FOLDER -> the same files for trace.npz and trace_mixup.npz (images of each step, losses, final logits)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import make_checkpoint
import numpy as np


def main(index: int, folder: Path) -> None:
    here = Path(__file__).parent
    case = json.loads((here / "forward.json").read_text())[index]
    folder.mkdir(parents=True, exist_ok=True)
    units, width = make_checkpoint.parse_model(case["model"])
    np.savez(folder / "checkpoint.npz", **make_checkpoint.checkpoint(units, width, case["classes"], case["seed"]))
    golden = np.load(here / case["file"])
    images = make_checkpoint.image_batch(tuple(case["input_shape"]), case["seed"])
    np.savez(
        folder / "expected.npz",
        images=images,
        logits=golden["logits"],
        pooled=golden["pooled"],
        float32_error=np.float64([case["float32_error"]]),
    )


def gradients(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "checkpoint.npz", **make_checkpoint.checkpoint((3, 4, 6, 3), 1, 10, 21))
    golden = np.load(Path(__file__).parent / "gradients.npz")
    expected = {name: np.atleast_1d(golden[name]) for name in golden.files if name != "names"}
    np.savez(folder / "expected.npz", images=make_checkpoint.image_batch((4, 3, 64, 64), 21), **expected)


def trace(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = make_checkpoint.checkpoint((3, 4, 6, 3), 1, 10, 22)
    for name in ("kernel", "bias"):
        weights[f"resnet/head/conv2d/{name}"] *= 0
    np.savez(folder / "checkpoint.npz", **weights)
    arrays = {f"images_{s}": make_checkpoint.image_batch((8, 3, 64, 64), 21000 + s) for s in range(95, 107)}
    for name in ("trace", "trace_mixup"):
        golden = np.load(Path(__file__).parent / f"{name}.npz")
        arrays |= {f"{name}/{key}": golden[key] for key in golden.files}
    np.savez(folder / "expected.npz", images=make_checkpoint.image_batch((4, 3, 64, 64), 21), **arrays)


if __name__ == "__main__":
    if sys.argv[1] == "gradients":
        gradients(Path(sys.argv[2]))
    elif sys.argv[1] == "trace":
        trace(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]), Path(sys.argv[2]))
