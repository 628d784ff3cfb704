# SPDX-License-Identifier: Apache-2.0
"""This library, from the release's npz. Variants: float32, bfloat16; "direct" appended: without Winograd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contender import Contender, serve
from weights import Array


class Pybit(Contender):
    def imports(self) -> dict[str, str]:
        import pybit

        pybit.set_num_threads(self.threads)
        return {"pybit": pybit.__version__}

    def load(self, files: Path, model: str) -> None:
        import pybit

        dtype, _, algorithm = self.variant.partition(" ")
        options: dict[str, Any] = {"algorithm": algorithm} if algorithm else {}
        self.model = pybit.load(files / f"{model}.npz", dtype=dtype, **options)

    def prepare(self, batch: Array) -> None:
        self.batch = batch

    def run(self) -> Any:
        return self.model(self.batch)


if __name__ == "__main__":
    serve(Pybit)
