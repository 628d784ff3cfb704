"""The demo on a part of the digits: what it says, and what it writes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pybit
import pytest
from small_models import small_model

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "demo.py"
    spec = importlib.util.spec_from_file_location("demo", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_picture(path: Path) -> bool:
    data = path.read_bytes()
    return data.startswith(b"\x89PNG") and len(data) > 10_000


def test_without_weights_it_says_that_the_network_is_untrained(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYBIT_DEMO_WEIGHTS", raising=False)
    monkeypatch.setenv("PYBIT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    assert demo.main(["--offline", "--digits", "200", "--size", "32", "--seeds", "2", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "UNTRAINED: seeded random weights" in text and "random features, nothing more" in text
    assert "held-out digits" in text and "raw pixels, linear" in text and "±" in text
    assert is_picture(out / "accuracy.png") and is_picture(out / "contact_sheet.png")
    results = json.loads((out / "results.json").read_text())
    assert results["trained"] is False and set(results["reports"]) == {"untrained R50x1", "raw pixels"}
    full = results["reports"]["raw pixels"]["results"][-2]
    # Real digits, real labels: pixels alone are far above the 10 % of chance.
    assert full["shots"] == "full" and full["method"] == "linear" and full["mean"] > 0.7


def test_with_weights_it_classifies_a_photograph(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "small.safetensors"
    model = small_model(num_classes=1000)
    model.preprocessing = pybit.PreprocessSpec(64)
    model.save(weights)
    arguments = ["--digits", "200", "--size", "16", "--seeds", "2", "--out", str(tmp_path / "out")]
    assert demo.main(["--weights", str(weights), *arguments]) == 0
    text = capsys.readouterr().out
    assert "UNTRAINED" not in text and "flower.jpg, a real photograph" in text
    model.reset_classifier(3)
    model.save(weights)
    assert demo.main(["--weights", str(weights), *arguments]) == 0
    assert "no photograph is classified" in capsys.readouterr().out


def test_the_digits_are_scikit_learns(demo: ModuleType) -> None:
    images, pixels, labels = demo.load_digits(1797)
    assert len(images) == len(labels) == 1797 and set(labels) == set(range(10))
    assert images[0].shape == (8, 8, 3) and images[0].dtype == np.uint8
    np.testing.assert_allclose(images[5][..., 0].ravel() / 255, pixels[5], atol=0.5 / 255 + 1e-6)
