# SPDX-License-Identifier: Apache-2.0
"""What `pybit eval` and pybit.evaluate tell beside loss and top-1: metrics, single images, confusion, progress."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit import cli
from pybit.evaluation import accuracy
from pybit.evaluation.logits import scores
from small_models import class_folder, small_model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """m.safetensors of three classes, and nine images in photos/."""
    root = tmp_path_factory.mktemp("outputs")
    model = small_model(num_classes=3, seed=2)
    model.labels, model.preprocessing = ("a, b", "dog", "$x$"), pybit.PreprocessSpec(32)
    model.save(root / "m.safetensors")
    class_folder(root / "photos", ("a, b", "dog", "$x$"))
    return root


@pytest.fixture(scope="module")
def data(place: Path) -> pybit.datasets.Dataset:
    return pybit.datasets.open(place / "photos", validation_fraction=0).train


def run(place: Path, *more: str) -> int:
    return cli.main(["eval", str(place / "m.safetensors"), str(place / "photos"), *more])


def test_metrics_are_those_of_the_probabilities(place: Path, data: pybit.datasets.Dataset) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    model = pybit.load(place / "m.safetensors")
    found = pybit.evaluate(model, data, predictions=True, per_class=True)
    assert found.metrics is not None and found.predictions is not None and found.classes is not None
    each = found.predictions
    assert len(each) == found.examples == 9 and each.names == tuple(model.labels or ())
    by_path = {p.path: p for p in model.predict(place / "photos", topk=3)}
    for path, prediction, row in zip(each.paths, each.predicted, each.probabilities, strict=True):
        assert by_path[path].label == each.names[prediction]
        # Batches of 9 and of another size may take other algorithms: rounding alone differs.
        assert dict(zip(by_path[path].labels, by_path[path].probabilities, strict=True)) == pytest.approx(
            dict(zip(each.names, row, strict=True)), rel=1e-3
        )
    assert [each.names[t] for t in each.truth] == [Path(path).parent.name for path in each.paths]
    area = sklearn.roc_auc_score(each.truth, each.probabilities, multi_class="ovr")
    assert found.metrics.auroc == pytest.approx(area, abs=1e-12)
    assert found.metrics.accuracy == found.top1
    np.testing.assert_array_equal(found.classes.confusion, sklearn.confusion_matrix(each.truth, each.predicted))
    again = pickle.loads(pickle.dumps(found))
    assert again.metrics == found.metrics and again.predictions.paths == each.paths
    assert pybit.evaluate(model, data, metrics=False).metrics is None


def test_many_probabilities_are_kept_only_if_asked_for(
    place: Path, data: pybit.datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy, "MOST_PROBABILITIES", 26)
    assert pybit.evaluate(place / "m.safetensors", data).metrics is None
    assert pybit.evaluate(place / "m.safetensors", data, metrics=True).metrics is not None
    monkeypatch.setattr(accuracy, "MOST_PROBABILITIES", 27)
    assert pybit.evaluate(place / "m.safetensors", data).metrics is not None


def test_tables_and_pictures_are_written(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    table, matrix, picture = (tmp_path / name for name in ("p.csv", "c.csv", "c.png"))
    options = ["--predictions", str(table), "--confusion", str(matrix), "--confusion", str(picture)]
    assert run(place, "--json", "--per-class", *options) == 0
    found = json.loads(capsys.readouterr().out)
    with table.open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "path",
        "truth",
        "prediction",
        "probability",
        "probability_of_truth",
        "p_$x$",
        "p_a, b",
        "p_dog",
    ] or (
        set(rows[0])
        == {"path", "truth", "prediction", "probability", "probability_of_truth", "p_$x$", "p_a, b", "p_dog"}
    )
    assert len(rows) == 9
    for row in rows:
        assert row["truth"] == Path(row["path"]).parent.name
        assert float(row["probability"]) == float(row["p_" + row["prediction"]])
        assert float(row["probability_of_truth"]) == float(row["p_" + row["truth"]])
        assert sum(float(row[f"p_{name}"]) for name in ("a, b", "dog", "$x$")) == pytest.approx(1)
    assert sum(row["truth"] == row["prediction"] for row in rows) == round(9 * found["top1"])
    with matrix.open(newline="") as file:
        cells = list(csv.reader(file))
    assert cells[0] == ["truth", "a, b", "dog", "$x$"]
    assert [[int(v) for v in row[1:]] for row in cells[1:]] == found["confusion"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert {"precision", "recall", "f1", "auroc", "average_precision"} <= set(found["classes"][0])


def test_a_matrix_of_many_classes_is_a_picture_without_names(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    many = pybit.PerClass(tuple(map(str, range(200))), np.eye(200, dtype=np.int64))
    many.save(tmp_path / "many.png")
    assert (tmp_path / "many.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--confusion", "c.pdf"], "ends in .csv or .png, got 'c.pdf'"),
        (["--predictions", "p.xlsx"], "ends in .csv or .parquet, got p.xlsx"),
    ],
)
def test_other_endings_are_refused_before_the_work(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run(place, *options) == 2
    assert message in capsys.readouterr().err


def test_the_text_has_metrics_and_no_top5_of_few_classes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(place) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "top1" in lines[0] and "top5" not in lines[0]
    assert lines[1].startswith("balanced accuracy ") and lines[2].startswith("AUROC ")
    assert run(place, "--no-metrics") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_old_words_of_options_are_understood(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def loss(*options: str) -> float:
        assert run(place, "--json", *options) == 0
        return float(json.loads(capsys.readouterr().out)["loss"])

    assert loss("--batch", "4", "--order", "lexical", "--size", "32x32") == loss(
        "--batch-size", "4", "--class-order", "lexical"
    )
    with pytest.warns(DeprecationWarning, match=r"batch= is called batch_size="):
        pybit.evaluate(place / "m.safetensors", pybit.datasets.open(place / "photos").train, batch=4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'bathc'"):
        pybit.evaluate(place / "m.safetensors", pybit.datasets.open(place / "photos").train, bathc=4)


def test_damaged_images_are_named(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class_folder(tmp_path / "photos", ("a, b", "dog", "$x$"))
    (tmp_path / "photos/dog/1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    command = ["eval", str(place / "m.safetensors"), str(tmp_path / "photos"), "--skip-corrupt", "--json"]
    assert cli.main(command) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["examples"] == 8 and found["skipped"][0]["path"].endswith("dog/1.png")
    assert "1 images were left out" in captured.err and "1.png" in captured.err


def test_evaluation_shows_progress(
    place: Path, data: pybit.datasets.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    pybit.evaluate(place / "m.safetensors", data, progress=True, batch_size=4)
    assert "evaluate" in capsys.readouterr().err
    pybit.evaluate(place / "m.safetensors", data, progress=False)
    assert capsys.readouterr().err == ""


def test_a_model_of_the_sigmoid_is_measured_by_it(place: Path, data: pybit.datasets.Dataset) -> None:
    model = pybit.load(place / "m.safetensors")
    by = {
        kind: pybit.evaluate(model, data, predictions=True, activation=kind).predictions
        for kind in ("softmax", "sigmoid")
    }
    assert by["softmax"] is not None and by["sigmoid"] is not None
    assert by["softmax"].probabilities.sum(1) == pytest.approx(1)
    assert by["sigmoid"].probabilities.sum(1) != pytest.approx(1)
    model.activation = "sigmoid"
    own = pybit.evaluate(model, data, predictions=True).predictions
    assert own is not None
    np.testing.assert_array_equal(own.probabilities, by["sigmoid"].probabilities)


def test_scores_of_logits_are_the_extension_modules(place: Path, data: pybit.datasets.Dataset) -> None:
    """Where classes are left out, NumPy counts what C++ counts otherwise: with all classes both agree."""
    random = np.random.default_rng(0)
    logits = np.round(random.standard_normal((500, 7)), 1).astype(np.float32)  # with ties
    truth = random.integers(0, 7, 500)
    found = scores(logits, truth)
    order = np.argsort(-logits, axis=1, kind="stable")
    assert found["top1"] == np.mean(order[:, 0] == truth)
    assert found["top5"] == np.mean((order[:, :5] == truth[:, None]).any(1))
    x = logits.astype(np.float64)
    assert found["loss"] == pytest.approx(np.mean(np.log(np.exp(x).sum(1)) - x[np.arange(500), truth]))
    np.testing.assert_array_equal(found["pairs"][:, 1], order[:, 0])
