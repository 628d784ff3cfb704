# SPDX-License-Identifier: Apache-2.0
"""PyTorch's training step: forward, backward, torch.optim.SGD.

Variants: "released" is laid out as the release's PyTorch code; "last" has channels last; "compile" is that with
torch.compile; "bf16" appended: forward under bfloat16 autocast. Kernels are standardised at every step by all of them:
the gradient goes through it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contend_torch import Torch
from contender import serve
from training import MOMENTUM, RATE, labels, losses_of
from weights import Array


class TorchTraining(Torch):
    def load(self, files: Path, model: str) -> None:
        import torch
        import torch_network

        self.kind, _, precision = self.variant.partition(" ")
        self.half = precision == "bf16"
        self.number = torch.float64 if precision == "float64" else torch.float32
        self.layout = torch.contiguous_format if self.kind == "released" else torch.channels_last
        state = torch.load(files / f"{model}-released.pt", mmap=True, weights_only=True)
        network = torch_network.from_state(state, folded=False).to(self.number, memory_format=self.layout)
        network.train()
        network.requires_grad_(True)
        self.optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
        self.call = torch.compile(network) if self.kind == "compile" else network
        self.losses: list[float] = []

    def prepare(self, batch: Array) -> None:
        import torch

        super().prepare(batch)
        self.batch = self.batch.to(self.number)
        self.labels = torch.from_numpy(labels(len(batch)))

    def run(self) -> Any:
        import torch

        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            logits = self.call(self.batch)
        loss = torch.nn.functional.cross_entropy(logits.to(self.number), self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(float(loss.detach()))
        return self.losses

    def logits(self, result: Any) -> Array:
        return losses_of(self.run, self.losses)


def reference_losses(files: Path, model: str, batch: Array) -> Array:
    """The first losses in float64."""
    contender = TorchTraining("released float64", 0)
    contender.load(files, model)
    contender.prepare(batch)
    return contender.logits(None)


if __name__ == "__main__":
    serve(TorchTraining)
