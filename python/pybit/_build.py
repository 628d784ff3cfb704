"""How models come to be: by name, from a file, from arrays, out of a pickle."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import warnings
from collections.abc import Sequence
from typing import Any, Literal

from pybit import _core, _names
from pybit._arrays import Array
from pybit.data import PreprocessSpec
from pybit.errors import ConfigError, FormatError

HeadKind = Literal["zero", "new", "drop"]
Units = tuple[int, int, int, int]
DTYPES = ("float32", "bfloat16", "float64")
ALGORITHMS = ("auto", "direct", "winograd", "winograd_2x2", "winograd_4x4")
_UNITS = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}
_SHAPE_FIELDS = ("units", "stem_channels", "in_channels", "num_classes")


def changed(config: _core.Config, **changes: Any) -> _core.Config:
    """A copy of `config` with some fields changed; None keeps a field."""
    return config.replace(**{name: value for name, value in changes.items() if value is not None})


def parse_architecture(text: str) -> tuple[Units, int] | None:
    """Units and stem channels of "R50x1" and its kin; None for anything else."""
    match = re.fullmatch(r"R(50|101|152)x([1-9]\d?)", text)
    return (_UNITS[match[1]], 64 * int(match[2])) if match else None


@dataclasses.dataclass(frozen=True)
class Freezing:
    """How a network computes: the number format of products and the algorithm of 3x3 convolutions."""

    dtype: str = "float32"
    algorithm: str = "auto"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f"expected dtype {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.algorithm not in ALGORITHMS:
            raise ConfigError(f"expected algorithm {', '.join(ALGORITHMS)}, got {self.algorithm!r}")

    @classmethod
    def of(cls, network: _core.Network) -> Freezing:
        """How an existing network computes."""
        return cls(network.dtype, network.algorithm)


# ---- networks
def network_from_checkpoint(checkpoint: _core.Checkpoint, how: Freezing, config: _core.Config) -> _core.Network:
    """A network with a checkpoint's parameters and the eps values and output stride of `config`."""
    return _core.Network.from_checkpoint(checkpoint, how.dtype, config=config, algorithm=how.algorithm)


def network_from_arrays(arrays: list[tuple[str, Array]], config: _core.Config, how: Freezing) -> _core.Network:
    """A network of architecture `config` from arrays under any naming; raises ValueError if they are of another."""
    checkpoint = _core.recognise(arrays, "state dict")
    _require_same(checkpoint.config, config, "the state dict", "the model", _SHAPE_FIELDS)
    return network_from_checkpoint(checkpoint, how, config)


def replace_head(network: _core.Network, num_classes: int, kind: HeadKind, seed: int) -> _core.Network:
    """The same network with another head: kind "zero", "new" or "drop"."""
    checkpoint = network.checkpoint().adapt_head(kind, num_classes, seed)
    config = changed(network.config, num_classes=0 if kind == "drop" else num_classes)
    return network_from_checkpoint(checkpoint, Freezing.of(network), config)


def _require_same(found: _core.Config, wanted: _core.Config, finder: str, wanter: str, fields: Sequence[str]) -> None:
    if any(getattr(found, f) != getattr(wanted, f) for f in fields):
        facts = [f"{c.architecture}, {c.in_channels} input channels, {c.num_classes} classes" for c in (found, wanted)]
        raise FormatError(f"{finder} holds {facts[0]}; {wanter} is {facts[1]}")


# ---- heads
def adapt_head(
    checkpoint: _core.Checkpoint, num_classes: int | None, head: str | None, seed: int
) -> tuple[_core.Checkpoint, str]:
    """The checkpoint with the head that was asked for, and what was done to it in words ("" if nothing).

    `head`: "keep" (an error if the class counts differ), "zero", "new" (seeded random), "drop", or None: keep it if
    the class count fits, otherwise zeros, with a warning that says so.
    """
    held = checkpoint.config.num_classes
    if head not in (None, "keep", "zero", "new", "drop"):
        raise ConfigError(f'expected head to be "keep", "zero", "new" or "drop", got {head!r}')
    if head == "drop" or num_classes == 0:
        if head == "drop" and num_classes:
            raise ConfigError(f'head="drop" leaves no classes, but num_classes={num_classes} was asked for')
        if head in ("zero", "new", "keep") and num_classes == 0 and held:
            raise ConfigError(f'num_classes=0 removes the head, but head="{head}" was asked for')
        return (checkpoint.adapt_head("drop"), "head dropped") if held else (checkpoint, "")
    classes = held if num_classes is None else num_classes
    if classes == held and head in (None, "keep"):
        return checkpoint, ""
    if head == "keep":
        raise ConfigError(
            f"{checkpoint.source} has a head of {held} classes, but num_classes={classes} was asked for; "
            'pass head="zero" or head="new" to replace it'
        )
    if classes == 0:
        raise ConfigError(f"{checkpoint.source} has no head: expected num_classes with head={head!r}")
    if head is None:
        has = f"a head of {held} classes" if held else "no head"
        warnings.warn(
            f"{checkpoint.source} has {has}: the head for {classes} classes starts as zeros and every logit "
            'is 0 until it is trained; pass head="zero" or head="new" to say what you want',
            UserWarning,
            stacklevel=5,
        )
    kind: HeadKind = "new" if head == "new" else "zero"
    adapted = checkpoint.adapt_head(kind, classes, seed)
    return adapted, "head of zeros" if kind == "zero" else f"random head, seed {seed}"


# ---- our own metadata in safetensors files
def save(model: Any, path: str, names: str) -> None:
    """See Model.save."""
    naming = _names.check(names)
    network = model._network
    if path.endswith(".npz"):
        _core.write_npz(path, network.tensors(), naming)
        return
    if not path.endswith(".safetensors"):
        raise ConfigError(f"expected a file name that ends in .safetensors or .npz, got {path!r}")
    spec = dataclasses.asdict(model.preprocessing) if model.preprocessing_is_known else None
    about = {"name": model.name, "labels": model.labels, "preprocessing": spec}
    metadata = {**_core.config_metadata(network.config), "pybit": json.dumps(about)}
    if model.labels is not None:  # what bit::io::read_card() reads in C++
        metadata["bit.labels"] = json.dumps(model.labels)
    if spec is not None and spec["mode"] == "squash" and isinstance(spec["size"], int):
        metadata["bit.input_size"] = str(spec["size"])
    if names != "official":
        metadata["format"] = "pt"  # transformers refuses files without it
    _core.write_safetensors(path, network.tensors(), naming, metadata)


def read_metadata(checkpoint: _core.Checkpoint) -> tuple[str | None, tuple[str, ...] | None, PreprocessSpec | None]:
    """Name, labels and preprocessing that `save` put into the file; None for what is not there.

    Raises ValueError if the entry is there but malformed.
    """
    text = checkpoint.metadata.get("pybit")
    if text is None:
        return None, None, None
    try:
        about = json.loads(text)
        name, labels, spec = about.get("name"), about.get("labels"), about.get("preprocessing")
        if not isinstance(name, (str, type(None))) or not all(isinstance(v, str) for v in labels or ()):
            raise TypeError("the name and the labels must be text")
        if labels is not None and len(labels) != checkpoint.config.num_classes:
            raise TypeError(f"{len(labels)} labels for {checkpoint.config.num_classes} classes")
        if spec is not None and isinstance(spec.get("size"), list):  # JSON has no tuples
            spec["size"] = tuple(spec["size"])
        return name, None if labels is None else tuple(labels), None if spec is None else PreprocessSpec(**spec)
    except (ValueError, TypeError, AttributeError) as e:
        raise FormatError(f"{checkpoint.source}: the metadata entry `pybit` is malformed: {e}") from e


# ---- pickles
def unpickle_bytes(
    kind: type, tensors: list[tuple[str, Array]], config: _core.Config, how: Freezing, extras: dict[str, Any]
) -> Any:
    """Rebuild a pickled model, of class `kind`, from its weights."""
    model: Any = object.__new__(kind)
    model.__dict__.update(extras, _network=network_from_arrays(tensors, config, how), _file=None)
    return model


def unpickle_path(kind: type, path: str, size: int, config: _core.Config, how: Freezing, extras: dict[str, Any]) -> Any:
    """Rebuild a pickled model from the file that it names. Raises ValueError if the file is not what it was."""
    from pybit.formats import open_any

    if os.path.getsize(path) != size:
        raise FormatError(
            f"{path}: the file has changed since the model was pickled ({os.path.getsize(path)} bytes, then {size})"
        )
    checkpoint = open_any(path)
    _require_same(checkpoint.config, config, path, "the pickled model", _SHAPE_FIELDS)
    model: Any = object.__new__(kind)
    model.__dict__.update(extras, _network=network_from_checkpoint(checkpoint, how, config), _file=path)
    return model
