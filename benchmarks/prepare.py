# SPDX-License-Identifier: Apache-2.0
"""Makes one model's files, each of which one family of contenders reads; a process of its own, for its memory.

    prepare.py FOLDER MODEL FAMILY...      families: npz, torch, onnx, openvino, reference:HxW:INDEX, losses:HxW:BATCH

Files that exist are kept. The reference is PyTorch in float64: logits of one image, or the first losses of training.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import weights


def reference_path(folder: Path, model: str, height: int, width: int, index: int) -> Path:
    """Where the reference logits of an image are kept."""
    return folder / "reference" / f"{model}-{height}x{width}-{index}.npy"


def losses_path(folder: Path, model: str, height: int, width: int, batch: int) -> Path:
    """Where the reference losses of the first training steps are kept."""
    return folder / "reference" / f"{model}-{height}x{width}-losses-{batch}.npy"


def make_torch(folder: Path, model: str) -> None:
    import torch
    import torch_network

    state = torch_network.state_of(np.load(folder / f"{model}.npz"))
    torch.save(state, folder / f"{model}-released.pt")
    torch.save(torch_network.fold(state), folder / f"{model}-folded.pt")


def make_onnx(folder: Path, model: str) -> None:
    import onnx_graph

    tensors = np.load(folder / f"{model}.npz")
    onnx_graph.write(folder / f"{model}-instance.onnx", onnx_graph.build(tensors, "instance"))


def make_openvino(folder: Path, model: str) -> None:
    import onnx_graph
    import openvino

    path = folder / f"{model}-group.onnx"
    onnx_graph.write(path, onnx_graph.build(np.load(folder / f"{model}.npz"), "group"))
    openvino.save_model(openvino.Core().read_model(path), folder / f"{model}.xml", compress_to_fp16=False)
    for part in folder.glob(path.name + "*"):
        part.unlink()


def make_reference(folder: Path, model: str, height: int, width: int, index: int) -> None:
    import torch
    import torch_network

    path = reference_path(folder, model, height, width, index)
    path.parent.mkdir(exist_ok=True)
    state = torch.load(folder / f"{model}-released.pt", mmap=True, weights_only=True)
    network = torch_network.from_state(state, folded=False).double()
    with torch.inference_mode():
        np.save(path, network(torch.from_numpy(weights.image(index, height, width)[None]).double())[0].numpy())


def make_losses(folder: Path, model: str, height: int, width: int, batch: int) -> None:
    import train_torch

    path = losses_path(folder, model, height, width, batch)
    path.parent.mkdir(exist_ok=True)
    np.save(path, train_torch.reference_losses(folder, model, weights.images((batch, 3, height, width))))


CHECKS = {"reference": (reference_path, make_reference), "losses": (losses_path, make_losses)}


def main(folder: Path, model: str, families: list[str]) -> None:
    """Entry point."""
    for family in families:
        name, _, rest = family.partition(":")
        if name in CHECKS:
            path_of, make = CHECKS[name]
            size, _, number = rest.partition(":")
            height, width = map(int, size.split("x"))
            if not path_of(folder, model, height, width, int(number)).exists():
                make(folder, model, height, width, int(number))
            continue
        stamp = folder / f"{model}.{name}.made"
        if stamp.exists():
            continue
        if name == "npz":
            weights.write_checkpoint(model, folder / f"{model}.npz")
        else:
            {"torch": make_torch, "onnx": make_onnx, "openvino": make_openvino}[name](folder, model)
        stamp.touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
    os._exit(0)
