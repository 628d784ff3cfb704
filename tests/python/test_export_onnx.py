# SPDX-License-Identifier: Apache-2.0
"""ONNX files: read back by the wire format and computed with NumPy; how runtimes read them is in
test_doors_onnx.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from onnx_reader import OnnxFile
from pybit import cli
from pybit.export import onnx, onnx_check
from pybit.export.onnx_check import relative_error
from pybit.export.onnx_file import Graph, value_info, write_model
from pybit.export.onnx_preprocessing import add_preprocessing
from small_models import batch, small_model

LEVELS = ["stem", "root", "block1", "block1/unit01", "block2", "block4", "features", "pooled", "logits"]
# The engine sums in float, the interpreter in double: 3e-6 at most of the largest value, in logits of these networks.
CLOSE = 1e-5


def export(model: pybit.Model, path: Path, **options: Any) -> OnnxFile:
    """The file that `export_onnx` writes, without a runtime's check."""
    if not model.preprocessing_is_known:  # the test vector's size
        model.preprocessing = pybit.PreprocessSpec(32)
    pybit.export_onnx(model, path, check=False, **options)
    return OnnxFile(path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"output_stride": 16, "units": (1, 1, 1, 2)},
        {"output_stride": 8, "units": (1, 1, 2, 2)},
        {"stem_channels": 64},
        {"in_chans": 1, "num_classes": 3, "eps": 1e-3},
    ],
)
def test_every_output_is_the_networks(tmp_path: Path, options: dict[str, Any]) -> None:
    model = small_model(**options)
    x = batch(2, 33, channels=options.get("in_chans", 3))
    found = export(model, tmp_path / "m.onnx", outputs=LEVELS).run(image=x)
    wanted = model.loaded.network.run(x, "nchw", LEVELS)
    for name in LEVELS:
        assert relative_error(found[name], wanted[name]) < CLOSE, name
    # The control: another eps of the kernels' variance is seen.
    other = small_model(**{**options, "eps": 1e-2})
    assert relative_error(found["logits"], other(x)) > 100 * CLOSE


def test_zeros_take_part_in_the_stems_pool(tmp_path: Path) -> None:
    model = small_model()
    root = export(model, tmp_path / "m.onnx", outputs=["root"]).run(image=batch(1, 64))["root"]
    border = np.concatenate([root[:, :, 0].ravel(), root[:, :, :, 0].ravel()])
    assert (border >= 0).all() and (root[:, :, 1:-1, 1:-1] < 0).any()


def test_what_no_output_needs_is_left_out(tmp_path: Path) -> None:
    model = small_model()
    file = export(model, tmp_path / "m.onnx", outputs=["block1"])
    assert not [name for name in file.constants if name.startswith(("resnet/block2", "head"))]
    assert list(file.outputs) == ["block1"] and "Gemm" not in file.operators
    headless = small_model(0)
    assert list(export(headless, tmp_path / "h.onnx").outputs) == ["pooled"]


def test_shapes_versions_and_metadata(tmp_path: Path) -> None:
    model = small_model()
    model.labels = ("ant", "bee", "cat", "dog", "ölm")
    model.preprocessing = pybit.PreprocessSpec((32, 48))
    free = export(model, tmp_path / "a.onnx", opset=13, outputs=["logits", "features"])
    assert free.inputs == {"image": (np.float32, "batch", 3, "height", "width")}
    assert free.outputs == {"logits": (np.float32, "batch", 5), "features": (np.float32, "batch", 1024, "", "")}
    assert (free.opset, free.ir_version) == (13, 7)
    assert json.loads(free.metadata["labels"])[4] == "ölm"
    assert json.loads(free.metadata["preprocessing"])["size"] == [32, 48]
    fixed = export(model, tmp_path / "b.onnx", batch=4, size=(40, 50), opset=23)
    assert fixed.inputs == {"image": (np.float32, 4, 3, 40, 50)} and fixed.outputs["logits"][1:] == (4, 5)
    assert fixed.ir_version == 11
    with np.load(tmp_path / "b.onnx.npz") as vector:
        assert vector["image"].shape == (4, 3, 40, 50)
        assert np.array_equal(vector["logits"], model(vector["image"]))
        assert relative_error(fixed.run(image=vector["image"])["logits"], vector["logits"]) < 1e-5


def test_weights_in_a_file_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    inside = export(model, tmp_path / "a.onnx")
    done = pybit.export_onnx(model, tmp_path / "b.onnx", external_data=True, check=False, test_vector=False)
    outside = OnnxFile(tmp_path / "b.onnx")
    assert done.data == tmp_path / "b.onnx.data" and done.test_vector is None and not (tmp_path / "b.onnx.npz").exists()
    assert (tmp_path / "b.onnx").stat().st_size < 60_000 < (tmp_path / "a.onnx").stat().st_size
    assert inside.constants.keys() == outside.constants.keys()
    assert all(np.array_equal(inside.constants[name], outside.constants[name]) for name in inside.constants)
    # What is too large for one message goes there by itself.
    monkeypatch.setattr(onnx, "_LARGEST_MESSAGE", 1_000_000)
    assert pybit.export_onnx(model, tmp_path / "c.onnx", check=False).data is not None
    assert sorted(p.name for p in tmp_path.iterdir() if "part" in p.name) == []


SPECS = [
    pybit.PreprocessSpec(32),
    pybit.PreprocessSpec((40, 56), interpolation="bicubic"),
    pybit.PreprocessSpec(32, resampling="tf"),
    pybit.PreprocessSpec(33, mode="center_crop", crop_pct=0.9),
    pybit.PreprocessSpec(48, mode="center_crop", interpolation="bicubic", resampling="pillow12"),
]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("size", [(41, 97), (64, 30), (20, 9)])
def test_preprocessing_inside_is_preprocess(tmp_path: Path, spec: pybit.PreprocessSpec, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    graph = Graph()
    graph.node("Identity", [add_preprocessing(graph, spec, "image")], "prepared")
    shapes = value_info("image", "uint8", ["n", "h", "w", 3]), value_info("prepared", "float32", ["n", 3, "", ""])
    with (tmp_path / "m.onnx").open("wb") as out:
        write_model(
            out, graph, shapes[:1], shapes[1:], opset=13, ir_version=7, producer=("", ""), metadata={}, where={}
        )
    found = OnnxFile(tmp_path / "m.onnx").run(image=image)["prepared"]
    wanted = next(iter(pybit.data.iterate_batches(image, spec, batch_size=2))).images
    # The library's results are float, of TensorFlow's resizing the sums, too; one grey level is 1/127.5.
    assert found.shape == wanted.shape and np.abs(found - wanted).max() < 1e-6


def test_pixels_in_logits_out(tmp_path: Path) -> None:
    model = small_model()
    model.preprocessing = pybit.PreprocessSpec(32)
    file = export(model, tmp_path / "m.onnx", preprocessing=True)
    assert file.inputs == {"image": (np.uint8, "batch", "height", "width", 3)}
    image = np.random.default_rng(1).integers(0, 256, (1, 40, 50, 3), dtype=np.uint8)
    wanted = model.loaded.network.run(model_input(model, image), "nchw", ["logits"])["logits"]
    assert relative_error(file.run(image=image)["logits"], wanted) < 1e-5
    image[0, 10:20, 10:20] ^= 7
    assert relative_error(file.run(image=image)["logits"], wanted) > 1e-4
    assert "preprocessing" not in file.metadata  # nothing is left for the caller to do


def model_input(model: pybit.Model, image: np.ndarray) -> np.ndarray:
    return next(iter(pybit.data.iterate_batches(image, model.preprocessing))).images


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    model = small_model()
    crop = pybit.PreprocessSpec((32, 40), mode="center_crop")
    for options, message in (
        ({"outputs": ["blok1"]}, "expected outputs among stem, root, block1"),
        ({"outputs": []}, "expected outputs among"),
        ({"opset": 12}, "opset from 13 to 23, got 12"),
        ({"opset": 24}, "opset from 13 to 23, got 24"),
        ({"batch": 0}, "batch of at least 1"),
        ({"preprocessing": crop}, "square size"),
    ):
        with pytest.raises(pybit.ConfigError, match=message):
            pybit.export_onnx(model, tmp_path / "m.onnx", **options)
    with pytest.raises(pybit.ConfigError, match="ends in .onnx"):
        pybit.export_onnx(model, tmp_path / "m.pb")
    with pytest.raises(pybit.ConfigError, match="the model takes 1"):
        pybit.export_onnx(small_model(in_chans=1), tmp_path / "m.onnx", preprocessing=True)
    with pytest.raises(OSError, match="nowhere"):
        pybit.export_onnx(model, tmp_path / "nowhere" / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_runtime_that_computes_something_else_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()

    def off(path: str, feeds: Any, outputs: list[str]) -> list[np.ndarray]:
        return [1.01 * OnnxFile(Path(path)).run(**feeds)[name] for name in outputs]

    monkeypatch.setattr(onnx_check, "RUNTIMES", {"json": off})  # any module that can be imported
    with pytest.warns(UserWarning, match=r"results are off \(json by 1.0e-02"):
        assert not pybit.export_onnx(model, tmp_path / "m.onnx").agrees
    assert relative_error(np.zeros((1, 2)), np.zeros((2, 1))) == float("inf")
    assert relative_error(np.array([np.nan]), np.array([1.0])) == float("inf")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_model().save(tmp_path / "m.safetensors")
    target = tmp_path / "m.onnx"
    arguments = ["export", str(tmp_path / "m.safetensors"), "-o", str(target), "--no-check"]
    assert cli.main([*arguments, "--outputs", "logits,pooled", "--size", "32x40", "--batch-size", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{target}\n" and "m.onnx.npz" in shown.err and "not checked" in shown.err
    file = OnnxFile(target)
    assert list(file.outputs) == ["logits", "pooled"] and file.inputs["image"][1:] == (2, 3, 32, 40)
    assert cli.main(arguments) == 1
    assert "--force replaces it" in capsys.readouterr().err
    assert cli.main([*arguments, "--force", "--opset", "9"]) == 2
    assert cli.main([*arguments[:3], str(tmp_path / "m.pb")]) == 2
