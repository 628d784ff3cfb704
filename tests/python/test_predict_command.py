# SPDX-License-Identifier: Apache-2.0
"""pybit predict and embed on long work: written as it comes, kept when it stops, and every way of writing it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pybit
import pytest
from pybit import cli
from pybit.inference import run, store
from small_models import class_folder, small_model, write_png


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """m.safetensors of three classes, and six images in photos/cat and photos/dog."""
    root = tmp_path_factory.mktemp("predict")
    model = small_model(num_classes=3)
    model.labels = ("cat, tabby", "dog", "7")
    model.preprocessing = pybit.PreprocessSpec(32)
    model.save(root / "m.safetensors")
    class_folder(root / "photos")
    return root


@pytest.fixture
def photos(place: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(place / "photos", tmp_path / "photos"))


def predict(place: Path, *more: str) -> int:
    return cli.main(["predict", *more, "--model", str(place / "m.safetensors"), "--batch-size", "2"])


def embed(place: Path, *more: str) -> int:
    return cli.main(["embed", *more, "--model", str(place / "m.safetensors"), "--batch-size", "2"])


def test_every_way_of_writing_predictions_says_the_same(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, table = str(place / "photos"), tmp_path / "p.csv"
    assert predict(place, folder, "--json", "--csv", str(table)) == 0
    listed = json.loads(capsys.readouterr().out)
    assert predict(place, folder, "--json-lines") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == listed
    assert predict(place, folder, "--json-report") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["predictions"] == listed and whole["skipped"] == [] and whole["data"]["taken"] == 6
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "probability", "label_2", "probability_2", "label_3", "probability_3"]
    for row, item in zip(rows, listed, strict=True):
        assert row["path"] == item["path"] and row["label_3"] == item["predictions"][2]["label"]
        assert float(row["probability"]) == item["predictions"][0]["probability"]
    assert predict(place, folder, "--csv", str(table)) == 0
    assert capsys.readouterr().out == ""


def test_predictions_are_parquet_where_pyarrow_is_and_say_what_is_missing_elsewhere(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Table(dict[str, Any]):
        schema = "schema"

    written: list[Any] = []
    writer = SimpleNamespace(write_table=written.append, close=lambda: None)
    fake = SimpleNamespace(
        array=lambda values, kind=None: list(values),
        string=lambda: "string",
        table=Table,
        parquet=SimpleNamespace(ParquetWriter=lambda file, schema: writer),
    )
    monkeypatch.setitem(sys.modules, "pyarrow", fake)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", fake.parquet)
    assert predict(place, str(place / "photos"), "--parquet", str(tmp_path / "p.parquet")) == 0
    assert len(written[0]["path"]) == 6 and all(0 < p <= 1 for p in written[0]["probability"])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert predict(place, str(place / "photos"), "--parquet", str(tmp_path / "p.parquet")) == 1
    assert "Parquet files need pyarrow: pip install" in capsys.readouterr().err


def test_predictions_come_while_the_work_goes_on(place: Path) -> None:
    """The stream never ends, so nothing that waits for its end would come back."""
    model = pybit.load(place / "m.safetensors")

    def endless() -> Iterator[np.ndarray]:
        while True:
            yield np.zeros((8, 8, 3), np.uint8)

    stream = model.iter_predict(endless(), batch_size=2)
    assert [next(stream).index for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(pybit.ConfigError, match=r"topk as a whole number, got float 2\.0"):
        model.iter_predict(endless(), topk=2.0)  # type: ignore[arg-type]


def test_what_came_before_a_damaged_file_is_written(
    place: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "dog/2.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert predict(place, str(photos), "--json") == 1
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 5 and "2.png" in captured.err
    assert predict(place, str(photos), "--json-report", "--skip-corrupt") == 1
    whole = json.loads(capsys.readouterr().out)
    assert len(whole["predictions"]) == 5 and whole["skipped"][0]["index"] == 5
    assert predict(place, str(photos), "--json-lines", "--skip-corrupt") == 1
    assert "2.png" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def test_a_dash_is_an_image_on_standard_input(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (place / "photos/cat/0.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert predict(place, "-", "--json") == 0
    found = json.loads(capsys.readouterr().out)[0]
    assert found["path"] == "-"
    assert predict(place, str(place / "photos/cat/0.png"), "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["predictions"] == found["predictions"]
    assert predict(place, "-") == 1
    assert "expected an image on standard input, got nothing" in capsys.readouterr().err
    assert embed(place, "-", "-o", "x.npz") == 2
    assert "predict alone reads standard input" in capsys.readouterr().err


def test_features_of_a_run_that_was_stopped_are_those_of_one_that_was_not(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, output = str(place / "photos"), tmp_path / "f.npz"
    assert embed(place, folder, "-o", str(tmp_path / "whole.npz")) == 0
    real, batches = run.outputs_of_batches, 0

    def stopped(*arguments: Any) -> Iterator[Any]:
        nonlocal batches
        for batch in real(*arguments):
            if batches == 1:
                raise KeyboardInterrupt
            batches += 1
            yield batch

    monkeypatch.setattr(store, "outputs_of_batches", stopped)
    assert embed(place, folder, "-o", str(output)) == 130
    assert f"2 of 6 are kept in {output}.part; the same command goes on" in capsys.readouterr().err
    with (tmp_path / "f.npz.part/features.f32").open("ab") as file:
        file.write(b"half a row")
    monkeypatch.setattr(store, "outputs_of_batches", real)
    assert embed(place, folder, "-o", str(output)) == 0
    assert "going on after 2 of 6 images" in capsys.readouterr().err
    with np.load(output) as found, np.load(tmp_path / "whole.npz") as wanted:
        assert sorted(found) == sorted(wanted) == ["class_names", "classes", "features", "paths"]
        for name in wanted:
            np.testing.assert_array_equal(found[name], wanted[name])
    assert not (tmp_path / "f.npz.part").exists()
    direct = pybit.load(place / "m.safetensors").embed(folder, 2)
    np.testing.assert_array_equal(direct.features, pybit.load_embeddings(output).features)


def test_a_damaged_file_loses_no_features(
    place: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "dog/1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    output = tmp_path / "f.npy"
    assert embed(place, str(photos), "-o", str(output)) == 1
    assert "4 of 6 are kept in" in capsys.readouterr().err and not output.exists()
    assert embed(place, str(photos), "-o", str(output), "--skip-corrupt") == 1
    assert "going on after 4 of 6" in capsys.readouterr().err
    assert np.load(output).shape == (5, 1024)
    with (tmp_path / "f.npy.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["cat"] * 3 + ["dog"] * 2


def test_features_of_another_model_are_not_gone_on_with(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = str(place / "photos"), str(tmp_path / "f.npz")
    shutil.copytree(_part_of(place, folder, output, monkeypatch), f"{output}.part", dirs_exist_ok=True)
    small_model(num_classes=3, seed=9).save(tmp_path / "other.npz")
    assert cli.main(["embed", folder, "-o", output, "-m", str(tmp_path / "other.npz"), "--size", "32"]) == 0
    assert "was of another model, preprocessing or set of files: it was emptied" in capsys.readouterr().err


def _part_of(place: Path, folder: str, output: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that ended before its file was written."""
    with monkeypatch.context() as patch:
        patch.setattr(store.FeatureStore, "finish", lambda *_: None)
        assert embed(place, folder, "-o", output) == 0
    return Path(f"{output}.part").rename(f"{output}.kept")


def test_commands_and_options_that_were_meant(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, message in (
        (["tain"], "there is no command 'tain', did you mean train?"),
        (["train", "--name", "a", "--logdir", "b", "--epochs", "3"], "runs are counted in steps: --steps N"),
        (["eval", "a", "b", "--model", "c"], "eval takes the model as its first argument"),
    ):
        with pytest.raises(SystemExit, match="2"):
            cli.main(arguments)
        assert message in capsys.readouterr().err
    assert cli.main(["list", "r50x1"]) == 0
    assert "BiT-M-R50x1-ILSVRC2012" in capsys.readouterr().out
    assert cli.main(["list", "bit-m-r50x9"]) == 1
    assert "did you mean BiT-M-R50x" in capsys.readouterr().err
    assert cli.main(["download", "BiT-M-R50x1", "--sha256", "zz"]) == 2
    assert "expected --sha256 of 64 hexadecimal digits, got 'zz'" in capsys.readouterr().err
    assert predict(place, str(place / "photos/cat/0.png"), "--crop_pct", "0.9", "--skip_corrupt", "--topk=1") == 0
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdout", None)  # as with >&- and in daemons
    for command in (["list", "--json"], ["predict", str(place / "photos/cat"), "-m", str(place / "m.safetensors")]):
        assert cli.main(command) == 0


def test_names_with_commas_are_told_apart(place: Path) -> None:
    model = pybit.load(place / "m.safetensors")
    one = model.predict(place / "photos/cat/0.png", topk=3)[0]
    assert "cat, tabby 0." in repr(one) and repr(one).count(";") == 2


def test_what_torch_models_have_is_answered_with_advice(place: Path) -> None:
    model = pybit.load(place / "m.safetensors")
    for name, advice in (("eval", "always in evaluation mode"), ("half", "bfloat16"), ("to", "on the processor")):
        with pytest.raises(AttributeError, match=advice):
            getattr(model, name)()
    with pytest.raises(AttributeError, match="no attribute 'no_such'$"):
        model.no_such  # noqa: B018
    assert not hasattr(model, "cuda")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "expected 3 class names, one for each class of the head, got 1"),
        (list("abcd"), "got 4; lists of 1,001 names begin with a background class"),
        ("abc", "expected a list of 3 class names, got str"),
        (["a", "b", None], "text or whole numbers, got None for class 2"),
        (["a", "b", 1.5], "text or whole numbers"),
        (3, "expected a list of 3 class names, got int"),
    ],
)
def test_labels_that_would_lock_a_file_are_refused(labels: Any, message: str) -> None:
    model = small_model(num_classes=3)
    with pytest.raises(pybit.ConfigError, match=message):
        model.labels = labels
    assert model.labels is None


def test_labels_that_are_numbers_are_saved_as_text(tmp_path: Path) -> None:
    model = small_model(num_classes=3)
    model.labels = np.array([3, 1, 2])
    model.save(tmp_path / "m.safetensors")
    assert pybit.load(tmp_path / "m.safetensors").labels == ("3", "1", "2") == model.labels


def test_a_model_trained_by_sigmoid_is_predicted_by_it(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", 1)
    model = small_model(num_classes=3)
    model.preprocessing = pybit.PreprocessSpec(32)
    soft = model.predict(tmp_path / "a.png")[0]
    assert sum(soft.probabilities) == pytest.approx(1)
    model.activation = "sigmoid"
    model.save(tmp_path / "m.safetensors")
    loaded = pybit.load(tmp_path / "m.safetensors")
    own = loaded.predict(tmp_path / "a.png")[0]
    assert own.probabilities == model.predict(tmp_path / "a.png", activation="sigmoid")[0].probabilities
    assert own.probabilities != soft.probabilities
    assert loaded.predict(tmp_path / "a.png", activation="softmax")[0].probabilities == soft.probabilities
