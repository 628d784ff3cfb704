# SPDX-License-Identifier: Apache-2.0
"""pybit.evaluate and pybit eval: the model's own preprocessing or another, single classes, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pybit
import pytest
from data_folders import digit_folder, digits
from PIL import Image
from pybit import cli
from small_models import small_model


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    """A head that prefers some digits to others: not trained, so it makes mistakes of every kind."""
    one = small_model(num_classes=10, seed=4)
    one.labels = tuple("0123456789")
    one.preprocessing = pybit.PreprocessSpec(32)
    return one


@pytest.fixture(scope="module")
def data() -> pybit.datasets.Dataset:
    """100 digits that are wider than high, so that squashing and cropping differ."""
    images, labels = digits()
    return pybit.datasets.open((np.repeat(images[:100], 2, axis=2), labels[:100]), validation_fraction=0.01).train


def expected(model: pybit.Model, data: pybit.datasets.Dataset, spec: pybit.PreprocessSpec) -> tuple[float, np.ndarray]:
    """Loss and predictions by NumPy from the logits of a call."""
    x = pybit.preprocess([data[i][0] for i in range(len(data))], **dataclasses.asdict(spec))
    logits = np.asarray(model(x), np.float64)
    logs = logits - logits.max(1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(1, keepdims=True))
    return float(-logs[np.arange(len(data)), data.labels].mean()), logits.argmax(1)


@pytest.mark.parametrize(
    "spec",
    [
        pybit.PreprocessSpec(32),
        pybit.PreprocessSpec(32, mode="center_crop", crop_pct=0.8),
        pybit.PreprocessSpec(32, interpolation="bicubic"),
        pybit.PreprocessSpec(40, resampling="tf"),
    ],
)
def test_any_preprocessing_is_measured_as_a_call_of_the_model_would(
    model: pybit.Model, data: pybit.datasets.Dataset, spec: pybit.PreprocessSpec
) -> None:
    found = pybit.evaluate(model, data, preprocessing=spec, per_class=True, batch_size=16)
    loss, predictions = expected(model, data, spec)
    assert found.examples == len(data)
    # Batches of 16 and of 100 may take other algorithms for 3x3 convolutions: rounding alone differs.
    assert found.loss == pytest.approx(loss, rel=1e-4)
    assert found.top1 == pytest.approx(np.mean(predictions == data.labels))
    assert found.classes is not None
    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (data.labels, predictions), 1)
    np.testing.assert_array_equal(found.classes.confusion, confusion)
    # The check can fail: the default is another input.
    assert spec == model.preprocessing or pybit.evaluate(model, data).loss != pytest.approx(loss, rel=1e-4)


def test_classes_have_accuracies_and_mistakes() -> None:
    classes = pybit.PerClass(("a", "b", "c"), np.array([[3, 1, 0], [4, 2, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(classes.examples, [4, 6, 0])
    np.testing.assert_allclose(classes.accuracy, [0.75, 1 / 3, np.nan])
    assert classes.most_confused() == [("b", "a", 4), ("a", "b", 1)]
    assert classes.most_confused(1) == [("b", "a", 4)]


def test_an_input_that_is_not_square_is_refused(model: pybit.Model, data: pybit.datasets.Dataset) -> None:
    with pytest.raises(pybit.ConfigError, match="expected a square input size, got 32 x 40"):
        pybit.evaluate(model, data, preprocessing=pybit.PreprocessSpec((32, 40)))


@pytest.fixture(scope="module")
def place(model: pybit.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a best.safetensors, and digits/, 4 of each class."""
    root = tmp_path_factory.mktemp("evaluate")
    digit_folder(root / "digits", 4)
    (root / "run").mkdir()
    model.save(root / "run/best.safetensors")
    return root


def evaluated(place: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert cli.main(["eval", str(place / "run"), str(place / "digits"), *more]) == 0
    return capsys.readouterr().out


def test_the_command_takes_a_runs_folder_and_shows_classes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = evaluated(place, capsys, "--per-class")
    assert out.startswith("40 images: loss ")
    assert "class  images  accuracy" in out and "commonest mistakes" in out and "taken for" in out
    rows = out.split("in the same order\n")[1].splitlines()
    assert len(rows) == 10 and all(sum(int(v) for v in r.replace(".", "0").split()[1:]) == 4 for r in rows)
    found = json.loads(evaluated(place, capsys, "--per-class", "--json"))
    right = sum(found["confusion"][i][i] for i in range(10))
    assert found["top1"] == pytest.approx(right / 40)
    assert [c["accuracy"] for c in found["classes"]] == [found["confusion"][i][i] / 4 for i in range(10)]
    keys = {"examples", "loss", "top1", "top5", "data", "metrics", "matched_by", "measured_on", "note"}
    assert set(json.loads(evaluated(place, capsys, "--json"))) == keys


def test_sizes_on_the_command_line(place: Path, capsys: pytest.CaptureFixture[str], model: pybit.Model) -> None:
    data = pybit.datasets.open(place / "digits", validation_fraction=0).train

    def loss(*flags: str) -> float:
        return float(json.loads(evaluated(place, capsys, *flags, "--json"))["loss"])

    def by(**how: object) -> float:
        return pybit.evaluate(model, data, preprocessing=pybit.PreprocessSpec(**how)).loss  # type: ignore[arg-type]

    assert loss() == loss("--size", "32") == loss("--crop", "32") == by(size=32)
    cropped = by(size=32, mode="center_crop", crop_pct=0.8)  # the shortest edge to 40
    assert loss("--resize", "40", "--crop", "32") == loss("--mode", "center_crop", "--crop-pct", "0.8") == cropped
    assert loss("--resize", "32", "--crop", "32") == by(size=32, mode="center_crop", crop_pct=1.0)
    assert cropped != by(size=32)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--resize", "40"], "expected --resize N --crop N"),
        (["--crop", "40", "--size", "32"], "without --size"),
        (["--resize", "32", "--crop", "40"], "expected --crop of at most --resize, got 40 and 32"),
    ],
)
def test_sizes_that_contradict_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert cli.main(["eval", str(place / "run"), str(place / "digits"), *flags]) == 2
    assert message in capsys.readouterr().err


# The command hands `crop_pct` on, and preprocessing divides by it: for all but the last two pairs the plain quotient
# crop / resize rounds so that the edge comes out one pixel short.
@pytest.mark.parametrize(("resize", "crop"), [(59, 24), (93, 16), (99, 32), (210, 16), (40, 32), (33, 32)])
def test_resize_and_crop_resize_the_shortest_edge_to_what_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], resize: int, crop: int
) -> None:
    """Images whose edges are `resize` already are only cropped: as good as images that had been cropped before."""
    small_model(num_classes=2).save(tmp_path / "model.npz")
    for c in range(2):
        pixels = np.random.default_rng([resize, c]).integers(0, 256, (resize, resize, 3), dtype=np.uint8)
        top = round((resize - crop) / 2)
        for kind, part in (("whole", pixels), ("cut", pixels[top : top + crop, top : top + crop])):
            (tmp_path / kind / str(c)).mkdir(parents=True)
            Image.fromarray(part).save(tmp_path / kind / str(c) / "0.png")

    def loss(kind: str, *flags: str) -> float:
        model, folder = str(tmp_path / "model.npz"), str(tmp_path / kind)
        assert cli.main(["eval", model, folder, *flags, "--json"]) == 0
        return float(json.loads(capsys.readouterr().out)["loss"])

    cut = loss("cut", "--crop", str(crop))
    assert loss("whole", "--resize", str(resize), "--crop", str(crop)) == cut
    assert loss("whole", "--resize", str(resize - 1), "--crop", str(crop)) != cut


def test_a_folder_of_runs_is_no_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["eval", str(place), str(place / "digits")],
        ["predict", str(place / "digits"), "-m", str(place)],
    ):
        assert cli.main(arguments) == 2
        assert f"give one of {place / 'run'}" in capsys.readouterr().err


def test_predict_takes_a_runs_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(place / "digits/3"), "--model", str(place / "run"), "--topk", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8


def test_a_model_of_other_classes_should_be_fine_tuned(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_model(num_classes=7).save(tmp_path / "seven.npz")
    assert cli.main(["eval", str(tmp_path / "seven.npz"), str(place / "digits"), "--size", "32"]) == 2
    assert "7 classes, the data set 10; fine-tune it on the set first" in capsys.readouterr().err


def test_a_file_that_is_no_data_set_is_named(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.md").write_text("hello")
    assert cli.main(["eval", str(place / "run"), str(tmp_path / "notes.md")]) == 1
    assert "expected a folder with one folder of images per class, a list (.csv, .tsv" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("hello")
    assert cli.main(["eval", str(place / "run"), str(tmp_path / "notes.txt")]) == 1
    assert "notes.txt:1: expected a path and a label" in capsys.readouterr().err
