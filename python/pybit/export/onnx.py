# SPDX-License-Identifier: Apache-2.0
"""export_onnx: a model as an ONNX file, with a test vector beside it and a check by the runtimes that are there."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pybit import _core
from pybit.base.arrays import Array
from pybit.base.sizes import height_width
from pybit.base.version import __version__
from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError
from pybit.export.onnx_check import errors_of
from pybit.export.onnx_file import Graph, value_info, write_model, write_tensors
from pybit.export.onnx_network import NetworkGraph
from pybit.export.onnx_preprocessing import add_preprocessing
from pybit.model.model import Model

# The ir_version that each opset came with: runtimes of its time read both.
_IR_VERSIONS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}
_LARGEST_MESSAGE = 1_900_000_000  # bytes of weights in one file; a protobuf message ends at 2^31
# Float sums in another order give 1e-6 to 1e-5 on random and released networks; pixels that resizing rounds the other
# way are off by 1/127.
TOLERANCE, TOLERANCE_WITH_PREPROCESSING = 1e-4, 2e-2


@dataclass(frozen=True)
class OnnxExport:
    """What `export_onnx` wrote."""

    path: Path
    """The model."""
    data: Path | None
    """The file of its weights; None where they are in the model."""
    test_vector: Path | None
    """An npz file with an array for the input and for each output; None without it."""
    outputs: tuple[str, ...]
    """The names of the graph's outputs."""
    errors: dict[str, float]
    """For each runtime that checked it, the largest difference to pybit's results, relative to the largest value."""
    tolerance: float
    """The largest of `errors` that summing in another order explains."""

    @property
    def agrees(self) -> bool:
        """Whether no runtime's results are off by more than the tolerance; also true where none is installed."""
        return all(error <= self.tolerance for error in self.errors.values())


def export_onnx(
    model: Model,
    path: str | os.PathLike[str],
    *,
    outputs: Sequence[str] | None = None,
    opset: int = 18,
    batch: int | None = None,
    size: int | tuple[int, int] | None = None,
    preprocessing: bool | PreprocessSpec = False,
    external_data: bool | None = None,
    test_vector: bool = True,
    check: bool = True,
) -> OnnxExport:
    """Write a model as ONNX with standardised kernels, float32.

        pybit.export_onnx(pybit.load("r50x1.npz"), "r50x1.onnx")

    The graph's input is "image", float32 (n,3,h,w) in [-1,1]; batch and size are free unless given. No package is
    needed to write it.

    Args:
        model: of any dtype; what is written computes in float32.
        path: the new file. Weights of their own go to `path` + ".data", the test vector to `path` + ".npz".
        outputs: of "logits", "pooled", "features" (after the last norm and ReLU), "stem", "root", "block1" to "block4"
            and single units ("block1/unit01"); None: logits, or pooled features of a model without a head. What no
            output needs is left out of the graph.
        opset: 13 to 23.
        batch, size: fixed numbers of images, and of rows and columns; None: free.
        preprocessing: True: the model's own preprocessing is part of the graph, or a spec's: "image" is then uint8
            (n,h,w,3) of any one size.
        external_data: whether weights go to a file of their own; None: only above 1.9 GB, as a message ends at 2 GiB.
        test_vector: also write an input with pybit's own results.
        check: run that input by ONNX Runtime and OpenVINO, where they are installed. A UserWarning tells a difference
            beyond the tolerance.

    Each file is complete or not there. Raises ConfigError for options that cannot be, OSError if a file cannot be
    written, and what a runtime raises that cannot read the model.
    """
    spec = model.preprocessing if preprocessing is True else preprocessing or None
    names = _checked_outputs(model, outputs)
    _check_opset(opset)
    if batch is not None and batch < 1:
        raise ConfigError(f"[onnx] expected a batch of at least 1, got {batch}")
    sides: tuple[int | str, int | str] = ("height", "width") if size is None else height_width(size)
    target = Path(path)
    if target.suffix != ".onnx":
        raise ConfigError(f"[onnx] expected a file name that ends in .onnx, got {os.fspath(path)!r}")

    graph = Graph()
    images = "batch" if batch is None else batch
    channels = model.config.in_channels
    image = "image"
    if spec is not None:
        if channels != 3:
            raise ConfigError(
                f"[onnx] images have 3 channels, the model takes {channels}: export without preprocessing"
            )
        image = add_preprocessing(graph, spec, image)
        given = value_info("image", "uint8", [images, *sides, 3])
    else:
        given = value_info("image", "float32", [images, channels, *sides])
    NetworkGraph(graph, model.config, dict(model.loaded.network.tensors()), names).add(image)

    vector = _test_vector(model, names, spec, batch or 2, None if size is None else height_width(size))
    results = [value_info(name, "float32", _dims(vector[name], images)) for name in names]
    data = _write(target, graph, given, results, opset, external_data, _metadata(model, spec))
    stored = None
    if test_vector:
        stored = target.with_name(target.name + ".npz")
        with _Replacing(stored) as file:
            np.savez(file, **vector)  # type: ignore[arg-type]
    wanted = {name: vector[name] for name in names}
    errors = errors_of(target, {"image": vector["image"]}, wanted) if check else {}
    tolerance = TOLERANCE if spec is None else TOLERANCE_WITH_PREPROCESSING
    done = OnnxExport(target, data, stored, tuple(names), errors, tolerance)
    if not done.agrees:
        text = ", ".join(f"{name} by {error:.1e}" for name, error in errors.items())
        warnings.warn(f"{target}: results are off ({text}, expected {tolerance:.0e})", UserWarning, stacklevel=2)
    return done


class _Replacing:
    """A file that is written beside its place and put there when it is complete."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f"{target.name}.{os.getpid()}.part")

    def __enter__(self) -> Any:
        self._file = self._part.open("wb")
        return self._file

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._part, self._target)
        else:
            self._part.unlink(missing_ok=True)


def _checked_outputs(model: Model, outputs: Sequence[str] | None) -> list[str]:
    known = model.loaded.network.output_names()
    names = ["logits" if model.num_classes else "pooled"] if outputs is None else list(dict.fromkeys(outputs))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        levels = ", ".join(name for name in known if "/" not in name)
        raise ConfigError(f"[onnx] expected outputs among {levels} and units such as block1/unit01, got {unknown}")
    return names


def _check_opset(opset: int) -> None:
    if opset not in _IR_VERSIONS:
        raise ConfigError(f"[onnx] expected an opset from {min(_IR_VERSIONS)} to {max(_IR_VERSIONS)}, got {opset}")


def _metadata(model: Model, spec: PreprocessSpec | None) -> dict[str, str]:
    """What a program that reads the file wants to know: name, class names, and the preprocessing that it has to do."""
    found = {"name": model.name}
    if model.labels is not None:
        found["labels"] = json.dumps(model.labels)
    if spec is None and model.preprocessing_is_known:
        own = model.preprocessing
        found["preprocessing"] = json.dumps({**vars(own), "size": own.sizes()})
    return found


def _dims(value: Array, images: int | str) -> list[int | str]:
    """The shape of an output: rows and columns of maps follow from the image's."""
    return [images, value.shape[1], *[""] * (value.ndim - 2)]


def _test_vector(
    model: Model, names: list[str], spec: PreprocessSpec | None, count: int, size: tuple[int, int] | None
) -> dict[str, Array]:
    """Noise of several scales as the input "image", seeded, and the model's own results."""
    height, width = size or (model.preprocessing.sizes() if spec is None else (96, 120))
    channels = model.config.in_channels
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((count, channels, -(-height // 8), -(-width // 8))).repeat(8, 2).repeat(8, 3)
    noise = coarse[:, :, :height, :width] + 0.3 * rng.standard_normal((count, channels, height, width))
    x = np.clip(0.4 * noise, -1, 1).astype(np.float32)
    network = model.loaded.network
    if spec is None:
        image = x
    else:
        image = np.ascontiguousarray(np.rint(127.5 * x + 127.5).astype(np.uint8).transpose(0, 2, 3, 1))
        x = np.empty((count, 3, *spec.sizes()), np.float32)
        for pixels, out in zip(image, x, strict=True):
            _core.preprocess_array(pixels, replace(spec, layout="nchw").core(), out)
    found = network.run(x.astype(network.array_dtype), "nchw", names, 0)
    return {"image": image, **{name: np.asarray(found[name], np.float32) for name in names}}


def _write(
    target: Path,
    graph: Graph,
    given: bytes,
    results: list[bytes],
    opset: int,
    external_data: bool | None,
    metadata: dict[str, str],
) -> Path | None:
    if external_data is None:
        external_data = sum(value.nbytes for value in graph.constants.values()) > _LARGEST_MESSAGE
    data, where = None, {}
    if external_data:
        data = target.with_name(target.name + ".data")
        with _Replacing(data) as file:
            where = write_tensors(file, graph.constants, data.name)
    with _Replacing(target) as file:
        write_model(
            file,
            graph,
            [given],
            results,
            opset=opset,
            ir_version=_IR_VERSIONS[opset],
            producer=("pybit", __version__),
            metadata=metadata,
            where=where,
        )
    return data
