# SPDX-License-Identifier: Apache-2.0
"""What had another path or another keyword before: it works, says what it is called, and old pickles are read."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pybit
import pytest
from pybit.base import moved
from pybit.network.options import ComputeOptions
from small_models import batch, small_model

# Every module that users may have imported and whose path stays.
PUBLIC = (
    *("cards", "cli", "data", "datasets", "errors", "formats", "hub", "labels", "model", "probe", "recipe", "registry"),
    *("train", "trainer"),
)


def fresh(path: str) -> Any:
    """The module at an old path, imported as if for the first time."""
    sys.modules.pop(path, None)
    return importlib.import_module(path)


@pytest.mark.parametrize("path", moved.MODULES)
def test_an_old_path_works_and_names_the_new_one(path: str) -> None:
    for new in moved.MODULES[path]:
        assert importlib.util.find_spec(new) is not None
    with pytest.warns(DeprecationWarning, match=f"{path} has moved to {moved.MODULES[path][0]}") as found:
        module = fresh(path)
    assert found[0].filename == importlib.__file__  # import_module called it; a plain import is blamed on its file
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        module.no_such_name  # noqa: B018


def test_an_old_path_gives_the_same_objects() -> None:
    from pybit.inference.results import Embeddings
    from pybit.inference.run import embed

    with pytest.warns(DeprecationWarning):
        old = fresh("pybit._predict")
    assert old.Embeddings is Embeddings and old.embed is embed
    with pytest.warns(DeprecationWarning):
        assert fresh("pybit._build").Freezing is ComputeOptions
    for renamed, new in moved.NAMES.items():
        module, _, name = renamed.rpartition(".")
        with pytest.warns(DeprecationWarning):
            assert getattr(fresh(module), name).__name__ == new


def test_the_importing_line_is_blamed() -> None:
    code = "import warnings\nwarnings.simplefilter('error')\nimport pybit\ntry:\n    import pybit._plan\n"
    code += "except DeprecationWarning as e:\n    print(e)\nwarnings.simplefilter('always')\nfrom pybit import _chart"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pybit._plan has moved to pybit.report.plan" in done.stdout
    assert "<string>:9: DeprecationWarning: pybit._chart has moved to pybit.report.chart" in done.stderr


def test_public_paths_do_not_warn() -> None:
    code = "import warnings\nwarnings.simplefilter('error')\nimport pybit\n"
    code += "".join(f"import pybit.{name}\nassert pybit.{name}\n" for name in PUBLIC)
    code += "from pybit.registry import find_card\nassert find_card('BiT-M-R50x1').units == (3, 4, 6, 3)\n"
    code += "assert pybit.trainer.Trainer is pybit.Trainer and pybit.model.Model is pybit.Model\n"
    code += "assert pybit.recipe.hyper_rule is pybit.hyper_rule and len(pybit.cards.VTAB_TASKS) == 19\n"
    subprocess.run([sys.executable, "-c", code], check=True)


def old_pickle(model: pybit.Model) -> bytes:
    """What version 0.1.0 wrote: the model's reconstruction by pybit._build, with a pybit._build.Freezing."""
    state = {**model.__dict__}
    for gone in ("_source", "_file"):
        del state[gone]
    network = model.loaded.network
    arguments = (type(model), network.tensors(), network.config, ComputeOptions("bfloat16", "direct"), state)
    text = pickle.dumps(arguments, protocol=2)
    old = text.replace(b"cpybit.network.options\nComputeOptions\n", b"cpybit._build\nFreezing\n")
    assert old != text and old.endswith(b".")
    return b"\x80\x02cpybit._build\nunpickle_bytes\n" + old[2:-1] + b"R."


def test_pickles_of_the_flat_package_are_read() -> None:
    model = small_model(dtype="bfloat16", algorithm="direct")
    model.labels = ("ant", "bee", "cat", "dog", "eel")
    sys.modules.pop("pybit._build", None)
    with pytest.warns(DeprecationWarning, match="pybit._build has moved"):
        back = pickle.loads(old_pickle(model))
    assert (back.dtype, back.algorithm, back.labels, back.origin) == ("bfloat16", "direct", model.labels, model.origin)
    x = batch(2, 32)
    np.testing.assert_array_equal(back(x), model(x))
    assert pickle.loads(pickle.dumps(back)).labels == model.labels


def test_optimiser_is_the_old_word_for_optimizer() -> None:
    model, (x, y) = small_model(), (batch(2, 32), np.array([0, 1]))
    with pytest.warns(DeprecationWarning, match=r"Trainer: optimiser= is called optimizer=") as found:
        old = pybit.Trainer(model, optimiser="adam", betas=(0.8, 0.9))
    assert found[0].filename == __file__
    new = pybit.Trainer(other := small_model(), optimizer="adam", betas=(0.8, 0.9))
    assert old.step(x, y, lr=0.01) == new.step(x, y, lr=0.01)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[name])
    with pytest.warns(DeprecationWarning, match="memory_plan: optimiser=") as found:
        rows = model.memory_plan(32, 2, training=True, optimiser="adam").rows
    assert found[0].filename == __file__
    assert rows == model.memory_plan(32, 2, training=True, optimizer="adam").rows
    with pytest.raises(pybit.ConfigError, match="expected optimizer= only"):
        model.memory_plan(32, 2, training=True, optimiser="adam", optimizer="adam")
    data = pybit.datasets.open((np.zeros((8, 8, 8, 3), np.uint8), np.arange(8) % 2), validation_fraction=0).train
    how: dict[str, Any] = {"batch": 4, "steps": 1, "resolution": (32, 32)}
    for run in (pybit.FineTuning, pybit.fine_tune):
        with pytest.warns(DeprecationWarning, match=f"{run.__name__}: optimiser=") as found:
            run(model, data, optimiser="adamw", weight_decay=0.1, **how)
        assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "adamw" in pybit.FineTuning(model, data, optimizer="adamw", **how).recipe
