# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's CPU provider, all graph optimisations (its default), from our graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contender import Contender, serve
from weights import Array


class OnnxRuntime(Contender):
    def imports(self) -> dict[str, str]:
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__}

    def load(self, files: Path, model: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = onnxruntime.InferenceSession(
            files / f"{model}-instance.onnx", options, providers=["CPUExecutionProvider"]
        )

    def prepare(self, batch: Array) -> None:
        self.batch = batch

    def run(self) -> Any:
        return self.session.run(None, {"image": self.batch})[0]


if __name__ == "__main__":
    serve(OnnxRuntime)
