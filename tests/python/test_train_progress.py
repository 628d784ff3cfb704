# SPDX-License-Identifier: Apache-2.0
"""What a run shows and keeps in Python: live line, train.log, curve.png, the best model, where it goes on from."""

from __future__ import annotations

import io
import logging
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from data_folders import digits
from pybit import cli, datasets
from train_runs import command, make_place

HOW: dict[str, Any] = {"batch": 16, "resolution": (36, 32), "steps": 4, "base_lr": 0.01}


class Terminal(io.StringIO):
    """Standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def small() -> pybit.Model:
    return pybit.create_model("tiny", 7, units=(1, 1, 1, 1), stem_channels=32, seed=3)


def splits(n: int = 60) -> datasets.Splits:
    images, labels = digits()
    return datasets.open((np.repeat(images[:n, :, :, None], 3, axis=3), labels[:n]))


@pytest.mark.parametrize("progress", [None, True, False])
def test_a_live_line_is_drawn_where_someone_watches_or_asks(
    monkeypatch: pytest.MonkeyPatch, progress: bool | None
) -> None:
    watched, unwatched = Terminal(), io.StringIO()
    for stream in (watched, unwatched):
        monkeypatch.setattr(sys, "stderr", stream)
        pybit.fine_tune(small(), splits(), **HOW, progress=progress)
    drawn = [bool(re.search(r"\rstep 4/4  loss \d", stream.getvalue())) for stream in (watched, unwatched)]
    assert drawn == {None: [True, False], True: [True, True], False: [False, False]}[progress]


def test_the_programs_own_logging_hears_of_a_run_as_its_levels_say(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pybit.train"):
        pybit.fine_tune(small(), splits(), **HOW)
    texts = [record.getMessage() for record in caplog.records if record.name == "pybit.train"]
    assert texts[0].startswith("BiT-HyperRule for 49 images")
    assert any(text.startswith("[step 3]: loss=") for text in texts)
    assert any(text.startswith("Validation@4 loss") for text in texts)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "pybit.train"):
        pybit.fine_tune(small(), splits(), **HOW)
    assert not caplog.records


def test_a_run_in_a_folder_leaves_what_the_command_leaves_and_says_where_it_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    how = HOW | {"logdir": tmp_path, "name": "run", "progress": False}
    asked = iter(range(9))
    stopped = pybit.fine_tune(small(), splits(), **how, should_stop=lambda: next(asked) == 2)
    log = tmp_path / "run/train.log"
    assert stopped.interrupted and "interrupted" in repr(stopped)
    assert "stopped after step 2; the same call continues from" in log.read_text()
    assert "continuing" not in log.read_text()
    run = pybit.FineTuning(small(), splits(), **HOW, logdir=tmp_path, name="run")
    assert run.steps_done == 2 and "4 steps of 16, 2 of them done; 49 images of 10 classes, 11 held out" in repr(run)
    done = run.start(progress=False)
    assert f"continuing at step 2 of 4 from {tmp_path / 'run/last.safetensors'}" in log.read_text()
    assert "is complete" not in log.read_text()
    assert (tmp_path / "run/curve.png").read_bytes().startswith(b"\x89PNG")
    pybit.fine_tune(small(), splits(), **how)
    assert f"the run in {tmp_path / 'run'} is complete, 4 steps: it is evaluated only" in log.read_text()
    assert re.fullmatch(
        r"<FineTuned run: 4 steps, loss \d\.\d{4}, best top1 \d+\.\d\d% at step 4, in .*/run>",
        repr(done),
    )


def test_the_command_says_where_it_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = make_place(tmp_path)
    for _ in range(2):
        assert cli.main(["train", *command(place, tmp_path, "--steps", "2")]) == 0
    assert f"the run in {tmp_path / 'run'} is complete, 2 steps: it is evaluated only" in capsys.readouterr().err


def test_the_best_model_is_kept_in_memory_or_in_the_folder(tmp_path: Path) -> None:
    """A rate that grows until nothing is right any more: the best step is an early one."""
    data = splits(200)
    how: dict[str, Any] = {"batch": 16, "resolution": (36, 32), "steps": 12, "base_lr": 0.6, "eval_every": 2}
    seen: dict[int, float] = {}
    done = pybit.fine_tune(small(), data, **how, on_evaluation=lambda step, found: seen.update({step: found.top1}))
    assert done.best_step < done.steps and done.best == seen[done.best_step] > seen[done.steps]
    best = done.best_model
    assert best is not None and best is done.best_model  # made once
    assert pybit.evaluate(best, data.validation).top1 == pytest.approx(done.best)
    assert pybit.evaluate(done.model, data.validation).top1 == pytest.approx(seen[done.steps])
    again = pybit.fine_tune(small(), data, **how, logdir=tmp_path, name="run")
    assert again.best_model is not None and again.best_weights is None
    one, other = best.state_dict(), again.best_model.state_dict()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    copy = pickle.loads(pickle.dumps(done))
    assert np.array_equal(copy.best_model.state_dict()["resnet/head/conv2d/kernel"], one["resnet/head/conv2d/kernel"])


def test_without_evaluations_there_is_no_best_model_and_after_the_last_step_it_is_the_model() -> None:
    data = splits()
    assert pybit.fine_tune(small(), data.train, **HOW).best_model is None
    done = pybit.fine_tune(small(), data, **HOW)
    assert done.best_model is done.model and done.best_weights is None
