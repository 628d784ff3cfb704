"""How a model shows itself: one line at the prompt, a small table in a notebook."""

from __future__ import annotations

import html as html_module
import math
from typing import TYPE_CHECKING

import numpy as np

from pybit.errors import ConfigError

if TYPE_CHECKING:
    from pybit import _core
    from pybit.data import PreprocessSpec
    from pybit.model import Model


def parameter_count(config: _core.Config) -> int:
    """Parameters of the network and its head."""
    return sum(math.prod(shape) for _, shape in config.tensor_specs())


def preprocessing_words(spec: PreprocessSpec) -> str:
    """How images are prepared, e.g. "squash to 480 x 480, bilinear"."""
    how = "squash to" if spec.mode == "squash" else f"shortest edge, centre crop ({spec.crop_pct:g}) of"
    tf = "" if spec.resampling == "pillow" else f", {spec.resampling}"
    return f"{how} {spec.height} x {spec.width}, {spec.interpolation}{tf}"


def unknown_preprocessing(
    model: Model, remedy: str = "set model.preprocessing = pybit.PreprocessSpec(...) or pass preprocessing="
) -> str:
    """What is assumed where nothing tells how the model's images were prepared, and what to do about it."""
    return (
        f"neither the file nor a released model's card tells how images for {model.name} are prepared; assuming "
        f"{preprocessing_words(model.preprocessing)}; {remedy} to say it"
    )


def byte_count(number: float) -> str:
    """A size in bytes as people read it, e.g. "97.5 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    """An input size as (height, width); raises ValueError unless both are positive."""
    pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(pair) != 2 or any(int(v) != v or v < 1 for v in pair):
        raise ConfigError(f"expected a size in pixels or (height, width), got {size!r}")
    return int(pair[0]), int(pair[1])


def _facts(model: Model) -> dict[str, str]:
    config = model.config
    count = parameter_count(config)
    width = {"float64": 8, "bfloat16": 2}.get(model.dtype, 4)
    facts = {
        "architecture": config.architecture,
        "classes": f"{config.num_classes:,}" if config.num_classes else "no head",
        "features": f"{config.num_features:,}",
        "number format": model.dtype,
        "parameters": f"{count:,}",
        "size": byte_count(count * width),
        "weights": model.origin,
        "preprocessing": preprocessing_words(model.preprocessing)
        + ("" if model.preprocessing_is_known else " (a guess: nothing tells)"),
    }
    if config.in_channels != 3:
        facts["input channels"] = str(config.in_channels)
    if config.output_stride != 32:
        facts["output stride"] = str(config.output_stride)
    if model.algorithm != "auto":
        facts["algorithm"] = model.algorithm
    return facts


def text(model: Model) -> str:
    """One line: name, architecture, classes, number format, parameters, size, where the weights are from."""
    f = _facts(model)
    classes = f["classes"] if f["classes"] == "no head" else f["classes"] + " classes"
    extra = "".join(f", {k} {f[k]}" for k in ("input channels", "output stride", "algorithm") if k in f)
    name = "" if model.name == f["architecture"] else f"{model.name}: "
    return (
        f"<pybit.Model {name}{f['architecture']}, {classes}, {f['number format']}, {f['parameters']} parameters "
        f"({f['size']}){extra}, weights: {f['weights']}>"
    )


def html(model: Model) -> str:
    """The same as a table of two columns."""
    cell = html_module.escape
    rows = "".join(
        f"<tr><th style='text-align:left'>{cell(k)}</th><td style='text-align:left'>{cell(v)}</td></tr>"
        for k, v in _facts(model).items()
    )
    return f"<table><caption><b>{cell(model.name)}</b></caption>{rows}</table>"
