# SPDX-License-Identifier: Apache-2.0
"""Big Transfer (BiT) without a deep-learning framework.

    import pybit

    model = pybit.load("BiT-M-R50x1-ILSVRC2012.npz")
    model.predict(["cat.jpg"])             # labels and probabilities
    model.embed("photos/")                 # features, one row per image
    model(x)                               # logits of a float array (N, 3, H, W) in [-1, 1]

`pip install big-transfer` installs this package.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pybit import data as data
from pybit import datasets as datasets
from pybit import probe as probe
from pybit.base import clash, moved
from pybit.base.threads import build_info, get_num_threads, set_num_threads
from pybit.base.version import __version__
from pybit.data import PreprocessSpec, preprocess
from pybit.errors import BitError, ConfigError, DeviceError, DivergedError, FormatError, ShapeError
from pybit.evaluation.accuracy import evaluate
from pybit.evaluation.results import Evaluation, PerClass
from pybit.inference.results import Embeddings, Prediction, load_embeddings
from pybit.model import Model, create_model, load
from pybit.registry import ModelCard, list_models, model_info
from pybit.train.fine_tuning import FineTuning, fine_tune
from pybit.train.options import FineTuneOptions
from pybit.train.recipe import HyperRule, hyper_rule
from pybit.train.result import FineTuned
from pybit.train.trainer import Trainer

if TYPE_CHECKING:  # imported when first used, below
    from pybit.export.onnx import export_onnx as export_onnx
    from pybit.quality.findings import Finding as Finding
    from pybit.quality.result import CheckResult as CheckResult
    from pybit.quality.run import check as check

__all__ = [
    "BitError",
    "CheckResult",
    "ConfigError",
    "DeviceError",
    "DivergedError",
    "Embeddings",
    "Evaluation",
    "FineTuneOptions",
    "FineTuned",
    "FineTuning",
    "Finding",
    "FormatError",
    "HyperRule",
    "Model",
    "ModelCard",
    "PerClass",
    "Prediction",
    "PreprocessSpec",
    "ShapeError",
    "Trainer",
    "__version__",
    "build_info",
    "check",
    "create_model",
    "data",
    "datasets",
    "evaluate",
    "export_onnx",
    "fine_tune",
    "get_num_threads",
    "hyper_rule",
    "list_models",
    "load",
    "load_embeddings",
    "model_info",
    "preprocess",
    "probe",
    "set_num_threads",
]

clash.warn()
moved.install()

# What few programs use, with its module.
_RARE = {
    "CheckResult": "quality.result",
    "Finding": "quality.findings",
    "check": "quality.run",
    "export_onnx": "export.onnx",
}


def __getattr__(name: str) -> Any:
    # Imported when first used: the first three pull in the network and file libraries, the others are second doors.
    if name in ("hub", "labels", "formats", "cards", "recipe", "sklearn", "trainer"):
        return importlib.import_module(f"pybit.{name}")
    if name in _RARE:
        return getattr(importlib.import_module(f"pybit.{_RARE[name]}"), name)
    raise AttributeError(f"module 'pybit' has no attribute {name!r}")
