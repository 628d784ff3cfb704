# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime and OpenVINO, where they are installed, make of an exported model."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping

import numpy as np

from pybit.base.arrays import Array

Feeds = Mapping[str, Array]


def _onnxruntime(path: str, feeds: Feeds, outputs: list[str]) -> list[Array]:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors: warnings about the machine are none of the model's
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(outputs, dict(feeds))]


def _openvino(path: str, feeds: Feeds, outputs: list[str]) -> list[Array]:
    openvino = importlib.import_module("openvino")
    # Its default on CPUs with bfloat16 is bfloat16.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(dict(feeds))
    return [np.asarray(found[name]) for name in outputs]


RUNTIMES: dict[str, Callable[[str, Feeds, list[str]], list[Array]]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}


def errors_of(path: str | os.PathLike[str], feeds: Feeds, wanted: Feeds) -> dict[str, float]:
    """For each runtime that is installed, the largest difference of an output relative to its largest value.

    Whatever a runtime raises comes out.
    """
    found = {}
    for name, run in RUNTIMES.items():
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        results = run(os.fspath(path), feeds, list(wanted))
        found[name] = max(
            relative_error(result, wanted[output]) for output, result in zip(wanted, results, strict=True)
        )
    return found


def relative_error(found: Array, wanted: Array) -> float:
    """The largest difference relative to the largest value; infinite for another shape or NaN."""
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    scale = float(np.abs(wanted).max(initial=0)) or 1.0
    return float(np.abs(found.astype(np.float64) - wanted).max(initial=0)) / scale
