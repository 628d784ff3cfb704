# SPDX-License-Identifier: Apache-2.0
"""pybit runs, report and completion: runs compared, a run as a page, what a shell offers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pybit
import pytest
from pybit import cli
from train_runs import command, events, make_place, refused


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.npz, digits/, and runs/ with a good run, one that hardly learns, and one that has nothing to measure on."""
    root = make_place(tmp_path_factory.mktemp("runs"))
    ways = {
        "good": ["--steps", "30", "--eval_every", "15"],
        "still": ["--steps", "4", "--base_lr", "1e-9"],
        "blind": ["--steps", "2", "--validation_fraction", "0"],
    }
    for name, more in ways.items():
        assert cli.main(["train", *command(root, root / "runs", *more, "--quiet", name=name)]) == 0
    return root


def test_runs_are_compared_the_best_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", str(place / "runs")]) == 0
    table, differences = capsys.readouterr().out.split("\nthey differ in\n")
    rows = [re.split(r"  +", line) for line in table.splitlines()]
    assert rows[0] == ["run", "steps", "best", "at step", "last loss", "model"]
    assert [Path(row[0]).name for row in rows[1:]] == ["good", "still", "blind"]
    assert rows[1][1] == "30/30" and re.fullmatch(r"top1 \d+\.\d\d%", rows[1][2]) and rows[3][2] == "-"
    assert "  base_lr: 0.01 (good), 1e-09 (still), 0.01 (blind)" in differences
    assert "  steps: 30 (good), 4 (still), 2 (blind)" in differences
    assert "batch:" not in differences
    assert cli.main(["runs", str(place / "runs/good"), str(place / "runs/still"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(run["step"], run["flags"]["batch"]) for run in found] == [(30, "16"), (4, "16")]
    assert found[0]["evaluation"]["top1"] == events(place / "runs/good", "evaluation")[-1]["top1"]


def test_folders_without_runs_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", str(place / "digits")]) == 1
    assert "is no run's folder and holds none" in capsys.readouterr().err
    assert cli.main(["runs", str(place / "tiny.npz")]) == 2
    assert cli.main(["report", str(place / "digits"), "-o", str(place / "a.html")]) == 2
    assert "expected the folder of a run" in capsys.readouterr().err


def test_a_page_holds_recipe_confusion_and_the_worst_images(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "run.html"
    assert cli.main(["report", str(place / "runs/good"), str(place / "digits"), "-o", str(page), "--worst", "3"]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    text = page.read_text()
    assert "BiT-HyperRule for 60 images of 24 x 24" in text and "<td>batch</td><td>16</td>" in text
    # The 20 images that were held out, as the run measured them at its best step.
    best = max(events(place / "runs/good", "evaluation"), key=lambda e: e["top1"])
    assert best["examples"] == 20
    assert f"{round(20 * best['top1'])} of 20 images are right" in text
    assert text.count("<figure>") == 3 and text.count('src="data:image/jpeg;base64,') == 3
    assert "http" not in text  # all of it stands in the file
    # Another set is measured whole, also one of which a split would leave as many images to train on: 6 of 7 as 6 of 8.
    for label in "0123456789":
        (tmp_path / "other" / label).mkdir(parents=True)
        for image in sorted((place / "digits" / label).iterdir())[1:]:
            (tmp_path / "other" / label / image.name).write_bytes(image.read_bytes())
    assert cli.main(["report", str(place / "runs/good"), str(tmp_path / "other"), "-o", str(page)]) == 0
    assert "of 70 images are right" in page.read_text()


def test_names_in_a_page_are_text(place: Path, tmp_path: Path) -> None:
    from pybit.train.page import Measured, Mistake, page
    from pybit.train.run_files import read_run

    data = pybit.datasets.open(place / "digits").validation
    names = ["<b>bold</b>", "b"]
    worst = [Mistake(0, "<script>.png", names[0], "b", 0.1)]
    text = page(read_run(place / "runs/good"), Measured(data, names, pybit.evaluate(
        place / "runs/good", data, per_class=True).classes.confusion[:2, :2], worst))  # type: ignore[union-attr]  # fmt: skip
    assert "<script>" not in text and "&lt;b&gt;bold&lt;/b&gt;" in text


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pybit tr", {"train"}),
        ("pybit train --best_", {"--best_by"}),
        ("pybit train --best_by m", {"macro_f1"}),
        ("pybit train --opt", {"--optimizer", "--optimiser"}),
        ("pybit predict --model BiT-M-R50x1-ILSVRC", {"BiT-M-R50x1-ILSVRC2012"}),
        ("pybit completion ", {"bash", "zsh"}),
    ],
)
def test_a_shell_offers_commands_flags_and_values(tmp_path: Path, line: str, offered: set[str]) -> None:
    from pybit.cli.completion import script

    words = line.split(" ")
    (tmp_path / "pybit.bash").write_text(script("bash"))
    ask = (
        f"source pybit.bash; COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}'); COMP_CWORD={len(words) - 1}; "
        '_pybit; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "" and set(done.stdout.split()) == offered


def test_zsh_gets_the_same_by_its_own_bashcompinit(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "zsh"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("autoload -U +X bashcompinit && bashcompinit\n") and "complete -o filenames" in out


def test_training_in_a_runs_folder_by_another_recipe_is_refused_with_the_differences(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = refused(command(place, place / "runs", "--steps", "30", "--sampling", "balanced", name="good"), capsys)
    assert code == 2 and "sampling" in err
