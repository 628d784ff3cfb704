# SPDX-License-Identifier: Apache-2.0
"""The command line: what goes to which stream, exit codes, messages without tracebacks."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pybit
import pytest
from pybit import cli
from small_models import class_folder, small_model, write_png


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    model = small_model()
    model.labels = ("ant", "bee", "cat", "dog", "eel")
    model.preprocessing = pybit.PreprocessSpec(32)
    path = tmp_path_factory.mktemp("cli") / "small.safetensors"
    model.save(path)
    return str(path)


@pytest.fixture
def png(tmp_path: Path) -> str:
    return str(write_png(tmp_path / "a.png", 1))


def test_every_command_has_help_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], *([name, "--help"] for name in cli.COMMANDS)):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        out = capsys.readouterr().out
        assert out.startswith("usage: pybit") and len(out.splitlines()) > 4
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert {line.split()[0] for line in out.splitlines() if line.startswith("    ") and line[4] != " "} >= {
        *cli.COMMANDS
    }


def test_the_version_is_the_same_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"pybit {pybit.__version__}\n"
    assert pybit.build_info()["version"] == pybit.__version__


@pytest.mark.parametrize(
    "arguments",
    [[], ["train"], ["predict"], ["predict", "a.png", "--topk", "0"], ["predict", "a.png", "--size", "0x3"],
     ["embed", "a.png"], ["probe", "f.npz", "--shots", "1,none"], ["summary"], ["info", "--yaml"]],
)  # fmt: skip
def test_a_mistake_in_the_command_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "--help` tells all" in captured.err and captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--name", "a", "--logdir", "b", "--bathc", "3"],
            "unknown argument '--bathc', did you mean --batch?",
        ),
        (["eval", "a", "b", "--per_clazz"], "did you mean --per-class?"),
        (["predict", "a", "-x"], "unknown argument '-x'; `pybit predict --help` tells all"),
        (["train", "--name", "a"], "pybit train: error: the following arguments are required: --logdir"),
    ],
)
def test_a_misspelt_option_is_one_line_with_what_was_meant(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_predict_prints_labels(weights: str, png: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", png, "--model", weights, "--topk", "2"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    expected = pybit.load(weights).predict(png, topk=2)[0]
    assert lines == [png, *(f"  {p:8.4f}  {n}" for n, p in zip(expected.labels, expected.probabilities, strict=True))]
    assert captured.err == ""


def test_predict_as_json(weights: str, png: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", png, png, "--model", weights, "--json", "--sigmoid", "--size", "32x48"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [f["path"] for f in found] == [png, png] and len(found[0]["predictions"]) == 5
    assert set(found[0]["predictions"][0]) == {"class", "label", "probability"}


def test_predict_takes_a_label_file(weights: str, png: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("null\nein\nzwei\ndrei\nvier\n")
    assert cli.main(["predict", png, "-m", weights, "--labels", str(labels)]) == 0
    assert "zwei" in capsys.readouterr().out
    labels.write_text("null\nein\n")
    assert cli.main(["predict", png, "-m", weights, "--labels", str(labels)]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "labels.txt" in captured.err and "5" in captured.err


def test_untrained_weights_are_said_to_mean_nothing(png: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["predict", png, "--untrained", "--model", "BiT-M-R50x1-CIFAR10", "--size", "32", "--topk", "1"]
    assert cli.main(arguments) == 0
    assert "weights are random" in capsys.readouterr().err


def test_problems_in_the_data_are_one_line_and_exit_code_1(
    weights: str, png: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.npz"
    page.write_text("<html>")
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(png).read_bytes()[:50])
    for arguments, part in (
        (["predict", str(tmp_path / "none.png"), "-m", weights], "none.png"),
        (["predict", str(broken), "-m", weights], "broken.png"),
        (["predict", png, "-m", str(page)], "page.npz"),
        (["predict", png, "-m", str(tmp_path / "none.npz")], "none.npz"),
        (["probe", str(page)], "page.npz"),
        (["probe", str(tmp_path / "none.npz")], "none.npz"),
        (["summary", str(page)], "page.npz"),
    ):
        assert cli.main(arguments) == 1
        captured = capsys.readouterr()
        assert captured.out == "" and part in captured.err and captured.err.startswith("pybit: error: ")
        assert "Traceback" not in captured.err
    with pytest.raises(FileNotFoundError):
        cli.main(["--debug", "predict", str(tmp_path / "none.png"), "-m", weights])
    with pytest.raises(FileNotFoundError):
        cli.main(["predict", str(tmp_path / "none.png"), "-m", weights, "--debug"])


def test_unknown_models_are_mistakes_with_suggestions(png: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", png, "-m", "BiT-M-R50x11"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert cli.main(["embed", png, "-o", "features.txt"]) == 2


def test_corrupt_files_are_left_out_on_request_and_named(
    weights: str, png: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_bytes(Path(png).read_bytes()[:50])
    assert cli.main(["predict", str(tmp_path), "-m", weights, "--skip-corrupt", "--json"]) == 1
    captured = capsys.readouterr()
    assert [f["path"] for f in json.loads(captured.out)] == [png]
    assert "pybit: warning: 1 of 2 images were left out" in captured.err and "broken.png" in captured.err


def test_embed_and_probe_work_together(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = str(class_folder(tmp_path / "pets", each=5)), str(tmp_path / "f.npz")
    assert cli.main(["embed", folder, "-o", out, "-m", weights, "--batch-size", "3"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and f"wrote 10 x 1024 features to {out}" in captured.err
    with np.load(out, allow_pickle=False) as f:
        assert f["features"].shape == (10, 1024) and list(f["class_names"]) == ["cat", "dog"]
        assert all(os.path.isfile(p) for p in f["paths"])
    arguments = ["--shots", "1,2,full", "--seeds", "3"]
    assert cli.main(["probe", out, *arguments]) == 0
    table = capsys.readouterr().out
    assert "shots per class" in table and "2 held-out examples of 2 classes" in table
    assert cli.main(["probe", out, "--test", out, "--json", *arguments]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["test_examples"] == 10 and stored["seeds"] == 3 and len(stored["results"]) == 6
    assert cli.main(["probe", folder, "-m", weights, *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 2
    assert cli.main(["probe", out, "--shots", "9"]) == 2
    assert "expected 9 or more" in capsys.readouterr().err
    flat = str(tmp_path / "flat.npz")
    assert cli.main(["embed", folder + "/cat", "-o", flat, "-m", weights]) == 0
    assert cli.main(["probe", flat]) == 1
    assert "expected labels" in capsys.readouterr().err


def test_summary_lists_steps_and_totals(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["summary", weights, "--size", "64"]) == 0
    out = capsys.readouterr().out
    assert "block4/unit01" in out and "multiply-adds" in out and "2,012,453 parameters" in out
    assert cli.main(["summary", weights, "--size", "64", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert sum(s["parameters"] for s in stored["steps"]) == 2_012_453 and stored["arena_bytes"] > 0


def test_info_tells_threads_and_runtimes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert "openmp_runtimes" in out and "isa" in out and "True" not in out
    assert cli.main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == pybit.__version__


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\033[31m" in cli.colour("error", "31", Terminal())
    assert cli.colour("error", "31", io.StringIO()) == "error"
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli.colour("error", "31", Terminal()) == "error"


def test_a_reader_that_goes_away_is_no_error(weights: str) -> None:
    command = [sys.executable, "-m", "pybit", "summary", weights, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


CTRL_C = """
import sys
from pybit import cli
from pybit.inference import run

outputs = run.outputs_of_batches

def announced(*arguments):
    for batch in outputs(*arguments):
        print("working", file=sys.stderr, flush=True)
        yield batch

run.outputs_of_batches = announced
sys.exit(cli.main(sys.argv[1:]))
"""


def test_ctrl_c_ends_a_long_prediction_with_code_130(weights: str, tmp_path: Path) -> None:
    for i in range(200):
        write_png(tmp_path / f"{i}.png", i)
    command = [sys.executable, "-c", CTRL_C, "predict", str(tmp_path), "-m", weights, "--size", "480", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    done = out.count(".png\n")  # what came before is written
    assert err.replace("working\n", "") == f"pybit: interrupted: {done} of 200 predictions were written\n"
    assert err.count("working") < 20  # of 25 batches


def test_what_is_guessed_is_noted_and_options_say_it(
    png: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "small.npz")
    small_model().save(path)
    assert cli.main(["predict", png, "-m", path]) == 0
    noted = capsys.readouterr().err
    assert "note: neither the file nor" in noted and "--size and --mode" in noted
    assert "class names are not known" in noted and len(noted.splitlines()) == 2
    options = ["--size", "48", "--mode", "center_crop", "--interpolation", "bicubic", "--crop-pct", "0.9", "--json"]
    assert cli.main(["predict", png, "-m", path, *options]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    spec = pybit.PreprocessSpec(48, "center_crop", "bicubic", 0.9)
    (expected,) = pybit.load(path).predict(png, preprocessing=spec)
    assert json.loads(captured.out)[0]["predictions"][0]["probability"] == expected.probability


def test_mistyped_paths_are_told_before_a_model_is_loaded(
    png: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    none, folder = str(tmp_path / "none.jpg"), str(tmp_path / "empty")
    for arguments, part in (
        (["predict", png, none], "none.jpg': No such file"),
        (["predict", folder], "found none"),
        (["embed", png, "-o", str(tmp_path / "no" / "f.npz")], "the folder does not exist"),
        (["probe", folder], "found none"),
    ):
        assert cli.main([*arguments, "-m", "no-such-model.npz"]) == 1
        err = capsys.readouterr().err
        assert part in err and len(err.splitlines()) == 1 and "Errno" not in err


def test_a_mistyped_image_and_a_mistyped_model_are_told_at_once(
    png: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none, out = str(tmp_path / "none.jpg"), str(tmp_path / "f.npz")
    for command in (["predict", none], ["embed", none, "-o", out]):
        for model, part in (("BiT-M-R50x11", "did you mean"), ("none.npz", "none.npz': No such file")):
            assert cli.main([*command, "-m", model]) == 1
            err = capsys.readouterr().err
            assert "none.jpg': No such file" in err and part in err and len(err.splitlines()) == 1
    assert cli.main(["predict", png, "-m", "BiT-M-R50x11"]) == 2  # a wrong name alone is a mistake in the command


def test_embed_labels_several_folders(weights: str, tmp_path: Path) -> None:
    root, out = class_folder(tmp_path / "pets", each=1), str(tmp_path / "f.npz")
    assert cli.main(["embed", str(root / "dog"), str(root / "cat"), "-o", out, "-m", weights, "-q"]) == 0
    with np.load(out) as f:
        assert list(f["class_names"]) == ["cat", "dog"] and list(f["classes"]) == [1, 0]


def test_json_survives_names_that_are_no_text(weights: str, png: str, tmp_path: Path) -> None:
    odd = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    Path(os.fsdecode(odd)).write_bytes(Path(png).read_bytes())
    command = [sys.executable, "-m", "pybit", "predict", odd, "-m", weights, "--json"]
    found = subprocess.run(command, capture_output=True, check=True)
    assert os.fsencode(json.loads(found.stdout)[0]["path"]) == odd
