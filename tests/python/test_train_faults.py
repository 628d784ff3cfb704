# SPDX-License-Identifier: Apache-2.0
"""Bad input to `pybit train`: each is one line that names what to do, and nothing that was there is lost."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
import time
from pathlib import Path

import numpy as np
import pybit
import pytest
from data_folders import cifar10_binary, digit_folder, write_folder
from pybit import cli
from train_runs import command, events, finish, make_place, refused, start, tensors


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("faults"))


def test_bad_input_is_refused_with_a_reason(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = command(place, tmp_path, "--examples_per_class", "7")
    assert refused(few, capsys) == (2, "pybit: error: [few_shot] expected at least 7 examples of each class, but "
        + ", ".join(f"'{c}' has 6" for c in range(10)) + "; ask for fewer or add images\n")  # fmt: skip
    code, err = refused([*command(place, tmp_path), "--dataset", "cifar10", "--datadir", "."], capsys)
    assert code == 2 and "expected --data PATH, or --dataset NAME --datadir FOLDER" in err
    code, err = refused(command(place, tmp_path, "--model", str(tmp_path / "none.npz")), capsys)
    assert code == 1 and "none.npz" in err
    unsplit = command(place, tmp_path, "--memory_limit", "1MiB")
    at = unsplit.index("--batch_split")
    code, err = refused(unsplit[:at] + unsplit[at + 2 :], capsys)
    assert code == 2 and "one image at a time needs about" in err
    code, err = refused(command(place, tmp_path, "--freeze", "nothing*"), capsys)
    assert code == 2 and "nothing*" in err
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, err = refused(command(place, blocked, "--steps", "1"), capsys)
    assert code == 1 and "file" in err
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", *command(place, tmp_path, "--memory_limit", "much")])


def test_an_empty_class_is_named(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digit_folder(tmp_path / "digits", 2)
    (tmp_path / "digits/empty").mkdir()
    code, err = refused([*command(place, tmp_path), "--data", str(tmp_path / "digits")], capsys)
    assert code == 2 and "found none of 'empty'; add images or remove the class" in err
    assert not (tmp_path / "run").exists()


def test_a_corrupt_image_stops_the_run_or_is_left_out(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = digit_folder(tmp_path / "digits", 4)
    spoilt = sorted((digits / "4").iterdir())[1]
    spoilt.write_bytes(spoilt.read_bytes()[:60])
    how = [*command(place, tmp_path, "--steps", "8", "--batch", "8"), "--data", str(digits)]
    how += ["--validation_fraction", "0"]
    code, err = refused(how, capsys)
    assert code == 1 and str(spoilt) in err and "mend or remove it, or let skip_corrupt leave out such images" in err
    done = len(events(tmp_path / "run", "step"))
    assert done < 5  # within the first epoch
    assert (tmp_path / "run/last.safetensors").exists() == (done > 0)
    assert cli.main(["train", *how, "--skip-corrupt", "--quiet"]) == 0  # goes on from there
    assert f"left out {spoilt}" in capsys.readouterr().err
    assert events(tmp_path / "run", "end")[-1]["step"] == 8


def test_a_loss_that_is_not_a_number_keeps_the_last_good_checkpoint(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = command(place, tmp_path, "--schedule", "1,50", "--save_every", "1")
    how[how.index("0.01")] = "1e30"
    code, err = refused(how, capsys)
    assert code == 1 and re.search(r"\[training\] .*A lower learning rate.*last\.safetensors holds step \d", err)
    kept = tensors(tmp_path / "run/last.safetensors")
    assert all(np.isfinite(v).all() for v in kept.values())


def test_a_full_disk_is_an_error_and_the_old_checkpoint_stays(place: Path, tmp_path: Path) -> None:
    how = command(place, tmp_path, "--steps", "20", "--save_every", "2", "--quiet")
    first = start(how)
    while first.poll() is None and not (tmp_path / "run/last.safetensors").exists():
        time.sleep(0.002)
    first.kill()
    first.communicate()
    before = (tmp_path / "run/last.safetensors").read_bytes()
    limit = len(before) // 2  # a file of more is refused, as by a full disk

    second = start(how, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, err = second.communicate(timeout=60)
    assert second.returncode == 1 and "make room and run again to continue" in err
    assert (tmp_path / "run/last.safetensors").read_bytes() == before
    assert not list((tmp_path / "run").glob(".*.tmp"))
    assert finish(start(how)) == (0, "")


def test_labels_out_of_range_are_named_with_file_and_record(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = cifar10_binary()
    files["data_batch_2.bin"] = bytes([12]) + files["data_batch_2.bin"][1:]
    archive = write_folder(tmp_path / "cifar-10-batches-bin", files)
    code, err = refused([*command(place, tmp_path), "--data", str(archive)], capsys)
    assert code == 1 and "expected labels below 10 in data_batch_2.bin, got 12 in record 0" in err
    assert not (tmp_path / "run").exists()


def test_another_architecture_and_other_flags_are_listed_and_the_run_stays(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = command(place, tmp_path, "--steps", "4")
    assert cli.main(["train", *how, "--quiet"]) == 0
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.safetensors")}
    pybit.create_model("deeper", 7, units=(1, 2, 1, 1), stem_channels=32).save(tmp_path / "deeper.npz")
    code, err = refused([*how, "--model", str(tmp_path / "deeper.npz")], capsys)
    assert code == 2 and "architecture: units {1,1,1,1}, stem 32 there, units {1,2,1,1}, stem 32 here" in err
    assert "to begin anew, choose another folder or move the file away" in err
    code, err = refused([*how, "--base_lr", "0.02", "--seed", "1"], capsys)
    assert code == 2 and "seed: 0 there, 1 here; base_lr: 0.01 there, 0.02 here" in err and "(step 4)" in err
    # A network that is not the released one of its name is no fault of the run: the file itself is refused.
    (tmp_path / "deeper.npz").rename(tmp_path / "BiT-M-R50x1.npz")
    code, err = refused([*how, "--model", str(tmp_path / "BiT-M-R50x1.npz")], capsys)
    assert code == 1 and "BiT-M-R50x1.npz" in err
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.safetensors")}


def _as_others() -> None:
    """Root may write anywhere, unless the program that comes next has no CAP_DAC_OVERRIDE (capabilities(7))."""
    pr_capbset_drop, cap_dac_override = 24, 1
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override) != 0:
        raise OSError("this root may not give up rights")


def test_a_read_only_folder_is_an_error_and_the_old_checkpoint_stays(place: Path, tmp_path: Path) -> None:
    how = command(place, tmp_path, "--steps", "4", "--quiet")
    assert finish(start(how)) == (0, "")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.safetensors")}
    closed = (tmp_path, tmp_path / "run")
    try:
        for path in closed:
            path.chmod(0o555)
        for more in ([], ["--name", "new"]):
            try:
                process = start([*how, *more], preexec_fn=_as_others)
            except subprocess.SubprocessError:
                pytest.skip("root cannot be kept from writing here")
            code, err = finish(process)
            assert code == 1 and err.startswith("pybit: error: ") and err.count("\n") == 1
            assert str(tmp_path) in err and "; choose " in err and "that can be written" in err
    finally:
        for path in closed:
            path.chmod(0o755)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.safetensors")}


def test_a_folder_that_cannot_be_is_an_error(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, err = refused(command(place, Path("/proc/self"), "--steps", "1"), capsys)
    assert code == 1 and "cannot write a run here: " in err and "choose a --logdir" in err
