# SPDX-License-Identifier: Apache-2.0
"""The demo with a few steps of everything: what it says, and what it writes."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pybit
import pytest
from small_models import small_model

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("PIL")


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    return importlib.import_module("demo")


def is_picture(path: Path) -> bool:
    data = path.read_bytes()
    return data.startswith(b"\x89PNG") and len(data) > 10_000


def test_it_fine_tunes_from_letters_and_says_so(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYBIT_DEMO_WEIGHTS", raising=False)
    out = tmp_path / "out"
    program = tmp_path / "no_program"
    assert demo.main(["--quick", "--digits", "200", "--out", str(out), "--cpp", str(program)]) == 0
    text = capsys.readouterr().out
    assert "no digit\namong them" in text and "pictures of 165 letters" in text
    assert "all 160 examples" in text and "step   4/4  loss" in text and "linear probe, untrained" in text
    assert f"no C++ program at {program}" in text
    assert is_picture(out / "learning_curves.png") and is_picture(out / "contact_sheet.png")
    results = json.loads((out / "results.json").read_text())
    assert set(results) == {"few", "all"} and len(results["all"]["losses"]) == 4
    for run in results.values():
        # Real digits, real labels: even an untrained network's features are far above the 10 % of chance.
        assert all(accuracy > 0.3 for _, accuracy in run["probes"])
    tuned = pybit.load(out / "runs/all/best.safetensors")
    assert tuned.labels == tuple("0123456789") and tuned.preprocessing.size == 32
    assert len(list((out / "digits/train").rglob("*.png"))) == 160
    # A second run begins anew instead of continuing what is finished.
    assert demo.main(["--quick", "--digits", "200", "--out", str(out), "--cpp", str(program)]) == 0
    assert json.loads((out / "results.json").read_text()) == results


def test_other_weights_can_be_given(demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_model(num_classes=1000).save(tmp_path / "small.safetensors")
    arguments = ["--weights", str(tmp_path / "small.safetensors"), "--quick", "--digits", "200"]
    assert demo.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "letters" not in text and "linear probe, small" in text and "untrained" not in text


def test_letters_are_drawn_without_digits_and_differ(demo: ModuleType) -> None:
    module = importlib.import_module("demo_letters")
    assert not set(module.LETTERS) & set("0123456789") and len(set(module.LETTERS)) == len(module.LETTERS)
    pictures, names = module.letters(2)
    assert pictures.shape == (2 * len(module.LETTERS), 8, 8) and pictures.dtype == np.uint8
    assert len(np.unique(pictures.reshape(len(pictures), -1), axis=0)) == len(pictures)
    np.testing.assert_array_equal(module.letters(2)[0], pictures)
    assert pictures.max(axis=(1, 2)).min() > 100 and list(names[:3]) == ["A", "A", "B"]


def test_the_digits_are_scikit_learns(demo: ModuleType) -> None:
    images, labels = demo.load_digits(1797)
    assert len(images) == len(labels) == 1797 and set(labels) == set(range(10))
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8 and images.max() == 255


def test_smoothing_keeps_a_constant_and_the_length() -> None:
    pictures = importlib.import_module("demo_pictures")
    for n in (1, 9, 10, 25, 240):
        np.testing.assert_allclose(pictures.smoothed(np.full(n, 2.0)), np.full(n, 2.0))
