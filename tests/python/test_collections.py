# SPDX-License-Identifier: Apache-2.0
"""Folders as the world leaves them: every command agrees about images, classes and splits, and tells the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from PIL import Image
from pybit import cli
from pybit.data import read_collection
from pybit.errors import ConfigError, FormatError


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    made = pybit.create_model("small", units=(1, 1, 1, 1), stem_channels=32, num_classes=2)
    made.preprocessing = pybit.PreprocessSpec(size=32)
    return made


@pytest.fixture(scope="module")
def weights(model: pybit.Model, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    model.save(path)
    return str(path)


def put(root: Path, *names: str, format: str = "JPEG") -> None:
    """Makes small images of noise, each another one."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = sum(map(ord, name.rsplit(".", 1)[0]))
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        with path.open("wb") as file:
            Image.fromarray(pixels).save(file, format)


def seen(model: pybit.Model, folder: Path) -> tuple[list[str], list[str] | None, str]:
    """What embed takes: paths inside the folder, the class of each, and its warning; predict must agree in all."""

    def inside(path: str | None) -> str:
        assert path is not None
        return Path(path).relative_to(folder).as_posix()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = model.embed(folder)
        predicted = [inside(p.path) for p in model.predict(folder)]
    lines = [str(w.message) for w in told]
    assert len(set(lines)) <= 1 and len(lines) in (0, 2)
    assert found.report.summary == (lines[0] if lines else "")
    paths = [inside(p) for p in found.paths]
    assert sorted(predicted) == sorted(paths)
    classes = None if found.classes is None else [found.class_names[c] for c in found.classes]
    return paths, classes, found.report.summary


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def trained(weights: str, data: Path, folder: Path, *more: str) -> int:
    """The exit code of two steps on a folder."""
    how = ["--steps", "2", "--batch", "2", "--resize", "32", "--crop", "32", "--eval_every", "1", "--quiet"]
    names = ["--name", "r", "--logdir", str(folder / "runs"), "--model", weights, "--data", str(data)]
    return cli.main(["train", *names, *how, *more])


def test_splits_are_no_classes(model: pybit.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: str):
    put(tmp_path / "ds", "train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg", "val/dog/2.jpg")
    _, classes, _ = seen(model, tmp_path / "ds")
    assert sorted(classes or []) == ["cat", "cat", "dog", "dog"]
    assert [len(part) for part in pybit.datasets.open(tmp_path / "ds")] == [2, 2]
    code, out, _ = run(capsys, "probe", str(tmp_path / "ds"), "--model", weights, "--shots", "1", "--json", "--quiet")
    assert code == 0 and json.loads(out)["data"]["classes"] == {"cat": 2, "dog": 2}
    assert json.loads(out)["data"]["splits"] == {"train": 2, "validation": 2}
    # The negative control: folders that are named as no split are classes, and what lies below them belongs to them.
    (tmp_path / "ds" / "train").rename(tmp_path / "ds" / "spring")
    (tmp_path / "ds" / "val").rename(tmp_path / "ds" / "winter")
    assert seen(model, tmp_path / "ds")[1] == ["spring", "spring", "winter", "winter"]


def test_images_beside_a_folder_of_images_are_all_taken_and_it_is_said(model: pybit.Model, tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.jpg" for i in range(10)), "edited/1.jpg")
    paths, classes, told = seen(model, tmp_path)
    assert (len(paths), classes) == (11, None)
    assert "own images are taken together with those in its subfolders" in told
    with pytest.raises(ConfigError, match="11 images without classes"):
        pybit.datasets.open(tmp_path)
    # The negative control: where most images lie in several folders these are classes, and the others are named.
    put(tmp_path / "most", "0.jpg", "a/1.jpg", "a/2.jpg", "b/1.jpg")
    paths, classes, told = seen(model, tmp_path / "most")
    assert classes == ["a", "a", "b"]
    assert "1 of 4 entries were not taken: 1 without a class folder" in told and "0.jpg" in told


def test_hidden_folders_do_not_exist(model: pybit.Model, tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.jpg" for i in range(4)))
    (tmp_path / ".ipynb_checkpoints").mkdir()
    assert seen(model, tmp_path) == (["0.jpg", "1.jpg", "2.jpg", "3.jpg"], None, "")
    report = read_collection(tmp_path).report
    assert [(Path(e.path).name, e.reason) for e in report.left_out] == [(".ipynb_checkpoints", "hidden")]
    (tmp_path / ".ipynb_checkpoints").rename(tmp_path / "seen")  # the control: a visible folder may be a class
    put(tmp_path, "seen/1.jpg", "other/1.jpg", *(f"seen/{i}.jpg" for i in range(5)))
    assert seen(model, tmp_path)[1] is not None


def test_what_systems_leave_behind_is_left_out_and_named_once(
    model: pybit.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: str
) -> None:
    put(tmp_path / "flat", "1.jpg", "2.jpg", "@eaDir/1.jpg/THUMB.jpg")
    paths, classes, told = seen(model, tmp_path / "flat")
    assert (paths, classes) == (["1.jpg", "2.jpg"], None)
    assert told.startswith("1 of 3 entries were not taken: 1 left behind by a system") and "@eaDir" in told
    ds = tmp_path / "ds"
    put(ds, "cat/1.jpg", "cat/2.jpg", "cat/@eaDir/1.jpg", "dog/1.jpg", "dog/2.jpg", "__MACOSX/cat/1.jpg")
    assert seen(model, ds)[:2] == (["cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg"], ["cat", "cat", "dog", "dog"])
    line = "2 of 6 entries were not taken: 2 left behind by a system"
    assert trained(weights, ds, tmp_path) == 0
    assert capsys.readouterr().err.count(line) == 1
    code, out, err = run(capsys, "eval", str(tmp_path / "runs" / "r"), str(ds), "--split", "all", "--json")
    assert code == 0 and err.count(line) == 1
    data = json.loads(out)["data"]
    assert data["taken"] == 4 and data["summary"].startswith(line)
    assert sorted(Path(e["path"]).name for e in data["left_out"]) == ["@eaDir", "__MACOSX"]
    for command in (["embed", "-o", str(tmp_path / "f.npz")], ["predict", "--json"], ["probe", "--shots", "1"]):
        report = tmp_path / f"{command[0]}.json"
        more = ["--model", weights, "--quiet", "--report", str(report)]
        code, _, err = run(capsys, *command[:1], str(ds), *command[1:], *more)
        assert code == 0 and err.count(line) == 1
        assert json.loads(report.read_text()) == data


@pytest.mark.parametrize(
    ("training", "measured"),
    [("Train", "Test"), ("TRAINING", "VALIDATION"), ("train", "dev"), ("train_set", "testing")],
)
def test_split_names_count_in_any_case_and_spelling(tmp_path: Path, training: str, measured: str) -> None:
    put(tmp_path, *(f"{training}/{c}/{i}.jpg" for c in ("cat", "dog") for i in range(3)), f"{measured}/cat/9.jpg")
    train, validation = pybit.datasets.open(tmp_path)
    assert train.class_names == ["cat", "dog"]
    assert (len(train), len(validation)) == (6, 1)


def test_a_split_without_class_folders_is_named(tmp_path: Path) -> None:
    put(tmp_path, *(f"train/{c}/{i}.jpg" for c in ("cat", "dog") for i in range(5)), "val/0.jpg", "val/1.jpg")
    with pytest.warns(UserWarning, match=r"2 of 12 entries were not taken: 2 without a class folder .*val/0\.jpg"):
        train, validation = pybit.datasets.open(tmp_path)
    assert (len(train), len(validation)) == (8, 2)
    assert {Path(train.name(i)).parent.parent.name for i in range(8)} == {"train"}


def test_a_test_set_beside_a_validation_set_is_said_not_to_be_used(tmp_path: Path) -> None:
    put(tmp_path, *(f"{s}/{c}/1.jpg" for s in ("train", "val", "test") for c in ("cat", "dog")))
    with pytest.warns(UserWarning, match="the 2 images of the test set are not used"):
        train, _ = pybit.datasets.open(tmp_path)
    assert train.report is not None and train.report.splits == {"train": 2, "validation": 2, "test": 2}


def test_eval_measures_a_folder_that_holds_a_test_set_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: str
) -> None:
    put(tmp_path, "Test/cat/1.jpg", "Test/dog/1.jpg", "Test/dog/2.jpg")
    code, out, _ = run(capsys, "eval", weights, str(tmp_path), "--json")
    assert code == 0 and json.loads(out)["examples"] == 3
    with pytest.raises(ConfigError, match="expected a folder train/"):
        pybit.datasets.open(tmp_path)


def test_a_test_set_that_lacks_a_class_is_measured_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: str
) -> None:
    put(tmp_path / "ds", *(f"{c}/{i}.jpg" for c in "abc" for i in range(5)))
    assert trained(weights, tmp_path / "ds", tmp_path) == 0
    run_folder = str(tmp_path / "runs" / "r")
    put(tmp_path / "test", *(f"{c}/{i}.jpg" for c in "ac" for i in range(5)))
    capsys.readouterr()
    code, out, err = run(capsys, "eval", run_folder, str(tmp_path / "test"), "--split", "all", "--per-class", "--json")
    assert code == 0 and "1 of the model's 3 classes have no images here: b" in err
    found = json.loads(out)
    whole = json.loads(
        run(capsys, "eval", run_folder, str(tmp_path / "ds"), "--split", "all", "--per-class", "--json")[1]
    )
    assert found["confusion"] == [whole["confusion"][0], [0, 0, 0], whole["confusion"][2]]
    put(tmp_path / "test", "other/1.jpg")  # the control: a class that the model lacks is refused
    code, _, err = run(capsys, "eval", run_folder, str(tmp_path / "test"), "--split", "all")
    assert code == 2 and "the model's classes are not the data set's" in err


def mixed(folder: Path) -> None:
    """Twelve images, four of them in formats that need Pillow."""
    put(folder, *(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(4)), format="PNG")
    put(folder, "cat/5.tif", "dog/5.tiff", format="TIFF")
    put(folder, "cat/6.ppm", format="PPM")
    put(folder, "dog/6.gif", format="GIF")


def test_files_of_other_formats_are_taken_with_pillow_and_named_without(
    model: pybit.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed(tmp_path / "ds")
    put(tmp_path / "ds", "cat/bare", format="JPEG")
    assert len(seen(model, tmp_path / "ds")[0]) == 13
    put(tmp_path / "tifs", "1.tif", "2.tif", format="TIFF")
    assert len(seen(model, tmp_path / "tifs")[0]) == 2
    monkeypatch.setitem(sys.modules, "PIL", None)  # as where Pillow is not installed
    paths, _, told = seen(model, tmp_path / "ds")
    assert len(paths) == 9 and "cat/bare" in paths
    assert "4 of 13 entries were not taken: 4 in image formats that are not read here" in told
    with pytest.raises(FormatError, match=r"found none \(2 of 2 entries were not taken: 2 in image formats"):
        model.predict(tmp_path / "tifs")


def losses(weights: str, data: Path, **options: Any) -> list[float]:
    told: list[float] = []
    pybit.fine_tune(
        weights,
        data,
        batch=4,
        steps=3,
        resolution=(16, 12),
        workers=2,
        on_step=lambda step, loss, *_: told.append(loss),
        **options,
    )
    return told


def test_training_on_tiff_files_equals_training_on_png_files(weights: str, tmp_path: Path) -> None:
    names = [f"{c}/{i}" for c in ("cat", "dog") for i in range(6)]
    put(tmp_path / "png", *(f"{n}.png" for n in names), format="PNG")
    put(tmp_path / "tif", *(f"{n}.tif" for n in names), format="TIFF")
    put(tmp_path / "gif", *(f"{n}.jpg" for n in names), format="GIF")  # under the name of another format
    expected = losses(weights, tmp_path / "png", seed=1)
    assert losses(weights, tmp_path / "tif", seed=1) == expected
    assert len(losses(weights, tmp_path / "gif", seed=1)) == 3
    assert losses(weights, tmp_path / "png", seed=2) != expected  # the control: losses tell runs apart
    listed = "".join(f"tif/{n}.tif,{n.split('/')[0]}\n" for n in names)
    (tmp_path / "list.csv").write_text(listed)
    train = pybit.datasets.open(tmp_path / "list.csv").train
    assert train.image_size == (8, 9)
    assert sum(len(batch.indices) for batch in train.batches(4, resize=8, crop=8)) == len(train)


def test_damaged_files_that_only_pillow_reads_stop_by_name_or_are_skipped(weights: str, tmp_path: Path) -> None:
    put(tmp_path, *(f"{c}/{i}.tif" for c in ("cat", "dog") for i in range(4)), format="TIFF")
    (tmp_path / "cat" / "2.tif").write_bytes((tmp_path / "cat" / "2.tif").read_bytes()[:60])
    train = pybit.datasets.open(tmp_path, validation_fraction=0).train
    with pytest.raises(FormatError, match=r"cat/2\.tif"):
        list(train.batches(8, resize=8, crop=8))
    loader = train.batches(8, resize=8, crop=8, skip_corrupt=True)
    assert sum(len(batch.indices) for batch in loader) == 7
    (skipped,) = loader.skipped
    assert skipped.name == str(tmp_path / "cat" / "2.tif")


def test_a_loader_of_pillows_files_ends_in_the_middle(tmp_path: Path) -> None:
    """Its threads want the GIL while it is dropped by a thread that holds it: twenty times, since it is a race."""
    put(tmp_path, *(f"{c}/{i}.tif" for c in ("cat", "dog") for i in range(20)), format="TIFF")
    train = pybit.datasets.open(tmp_path, validation_fraction=0).train
    for _ in range(20):
        loader = train.batches(4, resize=8, crop=8, threads=4, prefetch=4)
        next(loader)
        del loader


@pytest.mark.parametrize("ends_with", ["a loader", "a run in a daemon thread"])
def test_the_interpreter_ends_while_threads_decode_with_pillow(tmp_path: Path, weights: str, ends_with: str) -> None:
    for i in range(40):
        for c in ("cat", "dog"):
            (tmp_path / "ds" / c).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((300, 300, 3), i, np.uint8)).save(tmp_path / "ds" / c / f"{i}.tif")
    scripts = {
        "a loader": """
loader = pybit.datasets.open(data, validation_fraction=0).train.batches(4, resize=64, crop=64, threads=4, prefetch=4)
next(loader)
""",
        "a run in a daemon thread": """
import threading
begun = threading.Event()
def train():
    how = dict(batch=4, steps=200, resolution=(36, 32), workers=4, on_step=lambda *_: begun.set())
    pybit.fine_tune(weights, data, **how)
threading.Thread(target=train, daemon=True).start()
begun.wait(60)
""",
    }
    code = "import sys, pybit; data, weights = sys.argv[1:]" + scripts[ends_with] + "print('ended')"
    for _ in range(3):  # it is a race
        command = [sys.executable, "-c", code, str(tmp_path / "ds"), weights]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_names_that_are_not_utf8_are_escaped_classes(model: pybit.Model, tmp_path: Path, weights: str) -> None:
    put(tmp_path / "ds", *(f"{c}/{i}.jpg" for c in ("caf\udce9", "dog") for i in range(4)))
    assert set(seen(model, tmp_path / "ds")[1] or []) == {"caf\\xe9", "dog"}
    assert trained(weights, tmp_path / "ds", tmp_path) == 0
    assert pybit.load(tmp_path / "runs" / "r" / "last.safetensors").labels == ("caf\\xe9", "dog")
    victim = tmp_path / "ds" / "caf\udce9" / "1.jpg"
    victim.write_bytes(b"no image")
    with pytest.raises(FormatError, match=r"caf\\xe9/1\.jpg"):
        model.predict(tmp_path / "ds")
    left = pybit.datasets.open(tmp_path / "ds", validation_fraction=0).train
    loader = left.batches(8, resize=8, crop=8, skip_corrupt=True)
    list(loader)
    assert [s.name for s in loader.skipped] == [os.fspath(victim)]


@pytest.mark.parametrize("command", ["embed", "predict", "probe", "eval", "train"])
def test_lists_are_read_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: str, command: str
) -> None:
    put(tmp_path, *(f"im/{i}.jpg" for i in range(8)))
    kinds = ("dog", "caf\u00e9")
    rows = [f"im/{i}.jpg\t{kinds[i % 2]}\t{i}" for i in range(8)]
    (tmp_path / "list.tsv").write_bytes("\r\n".join(["picture\tkind\tnumber", *rows, "", ""]).encode("cp1252"))
    lists = ["--path_column", "picture", "--label-column", "kind", "--encoding", "cp1252", "--separator", "\\t"]
    data = str(tmp_path / "list.tsv")
    common = [*lists, "--model", weights]
    if command == "train":
        assert trained(weights, Path(data), tmp_path, *lists) == 0
        assert pybit.load(tmp_path / "runs" / "r" / "last.safetensors").labels == ("caf\u00e9", "dog")
    elif command == "eval":
        code, out, _ = run(capsys, "eval", weights, data, *lists, "--json")
        assert code == 0 and json.loads(out)["examples"] == 8
    elif command == "embed":
        code, _, _ = run(capsys, "embed", data, "-o", str(tmp_path / "f.npz"), *common)
        found = np.load(tmp_path / "f.npz")
        assert code == 0 and found["class_names"].tolist() == ["caf\u00e9", "dog"]
        assert found["classes"].tolist() == [1, 0, 1, 0, 1, 0, 1, 0]
    elif command == "predict":
        code, out, _ = run(capsys, "predict", data, *common, "--json")
        assert code == 0 and [Path(p["path"]).name for p in json.loads(out)] == [f"{i}.jpg" for i in range(8)]
    else:
        code, out, _ = run(capsys, "probe", data, *common, "--shots", "1", "--json")
        assert code == 0
    assert run(capsys, *((command, weights, data) if command == "eval" else ("embed", data, "-o", "x.npz")))[0] == 1
