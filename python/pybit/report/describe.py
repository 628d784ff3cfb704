# SPDX-License-Identifier: Apache-2.0
"""How a model shows itself: one line at the prompt, a small table in a notebook."""

from __future__ import annotations

import math

from pybit import _core
from pybit.base.sizes import byte_text
from pybit.data.options import PreprocessSpec
from pybit.network.source import Loaded


def parameter_count(config: _core.Config) -> int:
    """The number of parameters of the network and its head."""
    return sum(math.prod(shape) for _, shape in config.tensor_specs())


def preprocessing_words(spec: PreprocessSpec) -> str:
    """How images are prepared, e.g. "squash to 480 x 480, bilinear"."""
    how = "squash to" if spec.mode == "squash" else f"shortest edge, centre crop ({spec.crop_pct:g}) of"
    tf = "" if spec.resampling == "pillow" else f", {spec.resampling}"
    return f"{how} {spec.height} x {spec.width}, {spec.interpolation}{tf}"


def unknown_preprocessing(
    model: Loaded, remedy: str = "set model.preprocessing = pybit.PreprocessSpec(...) or pass preprocessing="
) -> str:
    """What is assumed where nothing tells how the model's images were prepared, and what to do about it."""
    return (
        f"neither the file nor a released model's card tells how images for {model.name} are prepared; assuming "
        f"{preprocessing_words(model.preprocessing)}; {remedy} to say it"
    )


def _facts(model: Loaded) -> dict[str, str]:
    config = model.config
    count = parameter_count(config)
    width = {"float64": 8, "bfloat16": 2}.get(model.network.dtype, 4)
    facts = {
        "architecture": config.architecture,
        "classes": f"{config.num_classes:,}" if config.num_classes else "no head",
        "features": f"{config.num_features:,}",
        "dtype": model.network.dtype,
        "parameters": f"{count:,}",
        "size": byte_text(count * width),
        "weights": model.origin,
        "preprocessing": preprocessing_words(model.preprocessing)
        + ("" if model.preprocessing_is_known else " (a guess: nothing tells)"),
    }
    if config.in_channels != 3:
        facts["input channels"] = str(config.in_channels)
    if config.output_stride != 32:
        facts["output stride"] = str(config.output_stride)
    if model.network.algorithm != "auto":
        facts["algorithm"] = model.network.algorithm
    return facts


def text(model: Loaded) -> str:
    """One line: name, architecture, classes, dtype, parameters, size, where the weights are from."""
    f = _facts(model)
    classes = f["classes"] if f["classes"] == "no head" else f["classes"] + " classes"
    extra = "".join(f", {k} {f[k]}" for k in ("input channels", "output stride", "algorithm") if k in f)
    name = "" if model.name == f["architecture"] else f"{model.name}: "
    return (
        f"<pybit.Model {name}{f['architecture']}, {classes}, {f['dtype']}, {f['parameters']} parameters "
        f"({f['size']}){extra}, weights: {f['weights']}>"
    )


def html(model: Loaded) -> str:
    """The same as a table of two columns."""
    from html import escape as cell  # imported when first used: few programs show models in notebooks

    rows = "".join(
        f"<tr><th style='text-align:left'>{cell(k)}</th><td style='text-align:left'>{cell(v)}</td></tr>"
        for k, v in _facts(model).items()
    )
    return f"<table><caption><b>{cell(model.name)}</b></caption>{rows}</table>"
