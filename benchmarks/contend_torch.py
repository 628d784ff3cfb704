# SPDX-License-Identifier: Apache-2.0
"""PyTorch, from its own file format, mapped into memory.

Variants: "released" standardises at every call and is laid out as the release's PyTorch code; "once" has kernels
standardised beforehand and channels last; "compile" is that with torch.compile and frozen weights; "bf16" appended:
under bfloat16 autocast.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from contender import Contender, serve
from weights import Array


class Torch(Contender):
    def imports(self) -> dict[str, str]:
        import torch

        torch.set_num_threads(self.threads)
        return {"torch": torch.__version__}

    def load(self, files: Path, model: str) -> None:
        import torch
        import torch_network

        self.kind, _, precision = self.variant.partition(" ")
        self.half = precision == "bf16"
        name = f"{model}-released.pt" if self.kind == "released" else f"{model}-folded.pt"
        state = torch.load(files / name, mmap=True, weights_only=True)
        self.call: Any = torch_network.from_state(state, folded=self.kind != "released")
        self.layout = torch.contiguous_format if self.kind == "released" else torch.channels_last
        if self.kind == "compile":
            import torch._inductor.config as inductor

            inductor.freezing = True
            if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":
                inductor.cpp.simdlen = 256
            self.call = torch.compile(self.call)

    def prepare(self, batch: Array) -> None:
        import torch

        self.batch = torch.from_numpy(batch).contiguous(memory_format=self.layout)

    def run(self) -> Any:
        import torch

        # inference_mode would keep torch.compile from freezing the weights.
        guard = torch.no_grad() if self.kind == "compile" else torch.inference_mode()
        with guard, torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return self.call(self.batch)

    def logits(self, result: Any) -> Array:
        return np.array(result.float().numpy())


if __name__ == "__main__":
    serve(Torch)
