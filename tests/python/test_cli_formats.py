# SPDX-License-Identifier: Apache-2.0
"""The commands inspect, list, convert and download: what they print where, exit codes, and errors."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import format_writers as w
import numpy as np
import pytest
from http_server import Behaviour, serving
from pybit import formats
from pybit.errors import ConfigError, FormatError

COMMANDS = ("inspect", "list", "convert", "download")
NETWORK = w.tiny_network()


def call(command: str, *arguments: str) -> int:
    """Runs one command as the command line does, without its error handling."""
    module = importlib.import_module(f"pybit.cli.{command}")
    parser = argparse.ArgumentParser(module.NAME, description=module.HELP)
    module.configure(parser)
    code: int = module.run(parser.parse_args(arguments))
    return code


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("PYBIT_MIRROR", "PYBIT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.pth"
    w.write_torch_zip(path, w.torch_state(w.reference_torch_names(NETWORK)))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_gives_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        call(command, "--help")
    assert stop.value.code == 0 and f"pybit {command}" in capsys.readouterr().out


# --- inspect


def test_inspect_tells_what_a_checkpoint_holds(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", str(checkpoint), "--values", "--tensors") == 0
    out = capsys.readouterr().out
    for text in (
        "torch, reference_torch names",
        "units 1, 1, 1, 1, stem of 32",
        "classes         10",
        "float32",
        "none found",
        "7x7x3x32",
        "resnet/root_block/standardized_conv2d/kernel",
    ):
        assert text in out


@pytest.mark.parametrize("kind", ["npz", "safetensors", "torch", "h5", "tfhub"])
def test_inspect_as_json_is_alike_for_every_format(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"tiny.{kind}"
    if kind == "h5":
        pytest.importorskip("h5py")
        w.write_h5(path, w.keras_variables(NETWORK))
    elif kind == "tfhub":
        w.write_bundle(path, NETWORK)
    elif kind == "torch":
        w.write_torch_zip(path, w.torch_state(w.reference_torch_names(NETWORK)))
    else:
        w.write_torch_zip(tmp_path / "source.pth", w.torch_state(w.reference_torch_names(NETWORK)))
        call("convert", str(tmp_path / "source.pth"), str(path))
        capsys.readouterr()
    assert call("inspect", "--json", str(path)) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["format"], about["units"], about["stem_channels"], about["classes"]) == (kind, [1, 1, 1, 1], 32, 10)
    assert about["tensors"] == len(NETWORK) and about["parameters"] == sum(array.size for array in NETWORK.values())
    assert about["size"] > 4 * about["parameters"] and about["problems"] == [] and about["dtype"] == ["float32"]


def test_inspect_reports_problems_with_exit_code_1(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "model.npz"
    html.write_bytes(b"<!DOCTYPE html><html>not found</html>")
    assert call("inspect", "--json", str(checkpoint), str(html)) == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert good["problems"] == [] and bad["format"] is None and "model.npz" in bad["problems"][0]
    named = checkpoint.rename(tmp_path / "BiT-M-R50x3.pth")
    assert call("inspect", str(named)) == 1
    assert "R50x3" in capsys.readouterr().out


def test_inspect_finds_values_that_are_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = dict(NETWORK)
    broken["resnet/group_norm/beta"] = np.full_like(broken["resnet/group_norm/beta"], np.nan)
    w.write_bundle(tmp_path / "m", broken)
    assert call("inspect", str(tmp_path / "m")) == 0  # values are read only when asked for
    assert call("inspect", "--values", str(tmp_path / "m")) == 1
    assert "resnet/group_norm/beta" in capsys.readouterr().out


def test_inspect_of_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        call("inspect", str(tmp_path / "none.npz"))


# --- list


def test_list_shows_a_table_without_the_vtab_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list") == 0
    captured = capsys.readouterr()
    assert "BiT-M-R50x1-ILSVRC2012" in captured.out and "run0" not in captured.out and "285" in captured.err
    assert captured.out.splitlines()[0].split() == ["name", "classes", "size", "parameters", "formats", "aliases"]


def test_list_takes_patterns_and_families(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list", "bit-m-r50x1-run?-dtd") == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert call("list", "--family", "vtab", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 285
    assert call("list", "nothing*") == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "nothing*" in captured.err


def test_list_long_prints_licence_source_and_expected_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list", "--long", "BiT-M-R50x1-ILSVRC2012") == 0
    out = capsys.readouterr().out
    for text in (
        "Apache-2.0",
        "80.68 % top-1",
        "squash",
        "https://storage.googleapis.com/bit_models/BiT-M-R50x1-ILSVRC2012.npz",
    ):
        assert text in out


# --- convert


@pytest.mark.parametrize("names", ["official", "timm", "transformers", "reference_torch"])
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_convert_changes_names_and_layout_but_no_value(
    tmp_path: Path, checkpoint: Path, names: str, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"out.{ending}"
    assert call("convert", str(checkpoint), str(target), "--names", names) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(target) and "45 tensors" in captured.err
    found = formats.open_any(target)
    assert found.naming == names
    assert all(np.array_equal(found.read(name), array) for name, array in NETWORK.items())
    if ending == "safetensors" and names == "timm":
        assert found.metadata["format"] == "pt"


def test_convert_reads_every_format(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    w.write_h5(tmp_path / "a.h5", w.keras_variables(NETWORK))
    w.write_bundle(tmp_path / "b", NETWORK, release_name=True)
    for number, source in enumerate(("a.h5", "b")):
        target = tmp_path / f"{number}.npz"
        assert call("convert", str(tmp_path / source), str(target)) == 0
        with np.load(target) as archive:
            assert set(archive.files) == set(NETWORK)
            assert all(np.array_equal(archive[name], array) for name, array in NETWORK.items())


def test_convert_asks_before_replacing_and_refuses_other_endings(tmp_path: Path, checkpoint: Path) -> None:
    target = tmp_path / "out.npz"
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="--force"):
        call("convert", str(checkpoint), str(target))
    assert target.read_bytes() == b"precious"
    assert call("convert", str(checkpoint), str(target), "--force") == 0
    with pytest.raises(ConfigError, match=r"\.npz or \.safetensors"):
        call("convert", str(checkpoint), str(tmp_path / "out.h5"))


def test_convert_of_a_wrongly_named_file_needs_permission(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = checkpoint.rename(tmp_path / "BiT-M-R101x1.pth")
    with pytest.raises(FormatError, match="R101x1"):
        call("convert", str(named), str(tmp_path / "out.npz"))
    assert not (tmp_path / "out.npz").exists()
    assert call("convert", str(named), str(tmp_path / "out.npz"), "--allow-name-mismatch") == 0
    assert "R101x1" in capsys.readouterr().err


# --- download


def test_download_prints_one_path_per_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"PK\x03\x04" + bytes(100)
    files = {
        "/BiT-M-R50x1.npz": Behaviour(content),
        "/R50x1_224.npz": Behaviour(content),
        "/ilsvrc2012_wordnet_lemmas.txt": Behaviour(b"cat\ndog\n"),
    }
    with serving(files) as base:
        assert (
            call(
                "download",
                "BiT-M-R50x1",
                "imagenet-1k-labels",
                f"{base}/R50x1_224.npz",
                "--mirror",
                base,
                "--cache-dir",
                str(tmp_path / "elsewhere"),
            )
            == 0
        )
    captured = capsys.readouterr()
    paths = [Path(line) for line in captured.out.splitlines()]
    assert [path.name for path in paths] == ["BiT-M-R50x1.npz", "ilsvrc2012_wordnet_lemmas.txt", "R50x1_224.npz"]
    assert all(path.is_file() and tmp_path / "elsewhere" in path.parents for path in paths) and captured.err == ""


def test_download_refuses_a_hash_for_several_names_and_names_that_were_never_released() -> None:
    with pytest.raises(ConfigError, match="one NAME"):
        call("download", "BiT-M-R50x1", "BiT-S-R50x1", "--sha256", "00")
    with pytest.raises(ConfigError, match="never released"):
        call("download", "BiT-L-R50x1")
    with pytest.raises(OSError, match="offline"):
        call("download", "BiT-M-R50x1", "--offline")
