# SPDX-License-Identifier: Apache-2.0
"""Exported ONNX files as ONNX Runtime, OpenVINO and onnx's own checker read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit import cli
from small_models import small_model

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("openvino", reason="openvino is not installed")

RUNTIMES = ["onnxruntime", "openvino"]
# Sums in another order, in float: 1e-6 to 7e-6 of the largest value on these networks.
CLOSE = 1e-5


def check(model: pybit.Model, path: Path, size: int = 64, **options: Any) -> dict[str, float]:
    """The largest error of each runtime; onnx's checker has no objection."""
    if not model.preprocessing_is_known:
        model.preprocessing = pybit.PreprocessSpec(size)
    done = pybit.export_onnx(model, path, **options)
    onnx.checker.check_model(str(path), full_check=True)
    assert list(done.errors) == RUNTIMES and done.agrees
    return done.errors


def test_r50x1(tmp_path: Path) -> None:
    errors = check(pybit.create_model("R50x1", 1000, seed=1), tmp_path / "m.onnx", 128)
    assert errors["onnxruntime"] < CLOSE and errors["openvino"] < 2 * CLOSE, errors  # 8.5e-6 and 1.1e-5


@pytest.mark.parametrize("opset", [13, 18, 21, 23])
def test_all_outputs_in_each_opset(tmp_path: Path, opset: int) -> None:
    outputs = ["stem", "root", "block1", "block1/unit01", "block3", "features", "pooled", "logits"]
    errors = check(small_model(), tmp_path / "m.onnx", outputs=outputs, opset=opset)
    assert max(errors.values()) < CLOSE, errors


@pytest.mark.parametrize(
    "options",
    [
        {"output_stride": 16, "units": (1, 1, 1, 2)},
        {"output_stride": 8, "units": (1, 1, 2, 2)},
        {"stem_channels": 192},
        {"in_chans": 1, "eps": 1e-8},
    ],
)
def test_dilated_and_wide_networks(tmp_path: Path, options: dict[str, Any]) -> None:
    errors = check(small_model(**options), tmp_path / "m.onnx", external_data="stem_channels" in options)
    assert max(errors.values()) < CLOSE, errors


@pytest.mark.parametrize(
    "spec",
    [
        pybit.PreprocessSpec(64),
        pybit.PreprocessSpec((48, 64), interpolation="bicubic", resampling="pillow12"),
        pybit.PreprocessSpec(64, resampling="tf"),
        pybit.PreprocessSpec(65, mode="center_crop", crop_pct=0.9),
    ],
)
def test_preprocessing_inside(tmp_path: Path, spec: pybit.PreprocessSpec) -> None:
    errors = check(small_model(), tmp_path / "m.onnx", preprocessing=spec)
    assert errors["onnxruntime"] < CLOSE  # to the grey level
    assert errors["openvino"] < 2e-2  # it sums in float, so single pixels are rounded the other way
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    model = small_model()
    model.preprocessing = spec
    for size in ((300, 80), (80, 300), (20, 9)):  # vertical pass first, horizontal first, enlarged
        image = np.random.default_rng(3).integers(0, 256, (3, *size, 3), dtype=np.uint8)
        wanted = model.loaded.network.run(
            np.ascontiguousarray(next(iter(pybit.data.iterate_batches(image, spec))).images), "nchw", ["logits"]
        )["logits"]
        (found,) = session.run(None, {"image": image})
        assert np.abs(found - wanted).max() < CLOSE * np.abs(wanted).max(), size


def test_the_command_prints_the_largest_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_model().save(tmp_path / "m.safetensors")
    assert cli.main(["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "m.onnx"), "--size", "64"]) == 0
    shown = capsys.readouterr().err
    assert all(f"{name}: largest difference" in shown for name in RUNTIMES)
