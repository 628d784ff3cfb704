# SPDX-License-Identifier: Apache-2.0
"""OpenVINO's CPU plugin from its own IR, compiled for the very shape.

Variants: f32, bf16 (latency hint, one stream); "streams" appended: as many streams as threads, each with its part of
the batch; "cached" appended: the compiled model comes from the plugin's own cache, filled by an earlier run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from contender import Contender, serve
from weights import Array


class OpenVino(Contender):
    def imports(self) -> dict[str, str]:
        import openvino

        return {"openvino": openvino.__version__.split("-")[0]}

    def load(self, files: Path, model: str) -> None:
        import openvino

        self.core = openvino.Core()
        self.precision, _, self.mode = self.variant.partition(" ")
        self.streams = self.threads if self.mode == "streams" else 1
        self.path = files / f"{model}.xml"
        if self.mode == "cached":
            self.core.set_property({"CACHE_DIR": str(files / "openvino-cache")})
        else:
            self.graph = self.core.read_model(self.path)

    def prepare(self, batch: Array) -> None:
        import openvino

        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": self.precision}
        settings |= {"NUM_STREAMS": self.streams} if self.streams > 1 else {"PERFORMANCE_HINT": "LATENCY"}
        parts = np.split(batch, self.streams)
        if self.mode == "cached":  # by its path, which spares the plugin the reading of the model itself
            fixed = self.path.with_name(f"{self.path.stem}-{'x'.join(map(str, batch.shape))}.xml")
            if not fixed.exists():
                graph = self.core.read_model(self.path)
                graph.reshape(list(batch.shape))
                openvino.save_model(graph, fixed, compress_to_fp16=False)
            compiled = self.core.compile_model(fixed, "CPU", settings)
        else:
            self.graph.reshape(list(parts[0].shape))
            compiled = self.core.compile_model(self.graph, "CPU", settings)
        self.tensors = [openvino.Tensor(np.ascontiguousarray(part), shared_memory=True) for part in parts]
        self.requests = [compiled.create_infer_request() for _ in parts]
        for request, tensor in zip(self.requests, self.tensors, strict=True):
            request.set_input_tensor(tensor)

    def run(self) -> Any:
        if self.streams == 1:
            self.requests[0].infer()
        else:
            for request in self.requests:
                request.start_async()
            for request in self.requests:
                request.wait()
        return [request.get_output_tensor().data for request in self.requests]

    def logits(self, result: Any) -> Array:
        return np.concatenate(result).astype(np.float32)


if __name__ == "__main__":
    serve(OpenVino)
