# SPDX-License-Identifier: Apache-2.0
"""The options of a run: their names and types for editors and type checkers, and their checks."""

from __future__ import annotations

import difflib
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from pybit.data.options import Resampling
from pybit.errors import ConfigError

BestBy = Literal["top1", "balanced_accuracy", "macro_f1", "auroc", "loss"]


class FineTuneOptions(TypedDict, total=False):
    """What `pybit.fine_tune` and `pybit.FineTuning` take by name; what is left out, or None, is BiT-HyperRule's.

    The flags of `pybit train` have the same names but for those that the reference's programs name otherwise: --resize
    and --crop (resolution), --mixup (mixup_alpha), --lr_group (groups) and --batch_eval (eval_batch).
    """

    preset: Literal["cpu"] | None
    examples_per_class: int | None
    examples_per_class_seed: int
    batch: int | None
    batch_split: int | None
    recompute: Literal["none", "units", "auto"] | None
    memory_limit: int | None
    keep_features: bool | None
    base_lr: float | None
    steps: int | None
    schedule: Sequence[int] | None
    resolution: tuple[int, int] | None
    mixup_alpha: float | None
    image_size: tuple[int, int] | None
    examples: int | None
    flip: Literal["random", "always", "never"] | None
    resampling: Resampling | None
    compat: Literal["none", "pytorch", "jax", "tf2"] | None
    seed: int | None
    dtype: Literal["float32", "bfloat16"] | None
    head: Literal["auto", "keep", "zero"] | None
    loss: Literal["softmax", "sigmoid"] | None
    label_smoothing: float | None
    class_weights: Literal["balanced"] | Sequence[float] | Mapping[str, float] | None
    sampling: Literal["shuffled", "balanced"] | None
    optimizer: Literal["sgd", "adam", "adamw"] | None
    momentum: float | None
    nesterov: bool | None
    betas: tuple[float, float] | None
    eps: float | None
    clip_norm: float | None
    weight_decay: float | None
    decay_vectors: bool | None
    layer_decay: float | None
    train: str | Sequence[str] | None
    freeze: str | Sequence[str] | None
    groups: Sequence[tuple[str, float, float | None]] | None
    eval_every: int | None
    eval_batch: int | None
    best_by: BestBy | None
    patience: int | None
    max_minutes: float | None
    save_every: int | None
    save_seconds: float | None
    workers: int | None
    skip_corrupt: bool | None
    threads: int | None
    flags: Mapping[str, str] | None


# Options that a preset stands for; what is given beside it counts. BiT-HyperRule's 500 steps of 512 images at 480 x 480
# are estimated at 79 hours of R50x1 on two cores; these at some minutes.
PRESETS: dict[str, dict[str, Any]] = {"cpu": {"batch": 32, "base_lr": 0.001, "steps": 200, "resolution": (160, 128)}}

# What other programs, and flags of our own, call an option.
_OTHER_NAMES = {
    "lr": "base_lr",
    "learning_rate": "base_lr",
    "mixup": "mixup_alpha",
    "resize": "resolution=(resize, crop)",
    "crop": "resolution=(resize, crop)",
    "size": "resolution=(resize, crop)",
    "batch_eval": "eval_batch",
    "lr_group": "groups",
    "batch_size": "batch",
    "epochs": "steps, which counts updates",
    "max_seconds": "max_minutes",
    "early_stopping": "patience",
    "num_workers": "workers",
}
_NUMBERS_OF = {"sgd": ("momentum", "nesterov"), "adam": ("betas", "eps"), "adamw": ("betas", "eps")}


def checked(owner: str, options: Mapping[str, Any], own: Iterable[str] = ()) -> dict[str, Any]:
    """`options` without those that are None, each of the type that the extension module wants.

    `own`: names of further arguments of `owner`, for messages. Raises ConfigError for an unknown name, with the one
    that may have been meant, and for a value of another type or outside its range, with what is right.
    """
    known = list(FineTuneOptions.__annotations__)
    for name in options:
        if name not in known:
            raise ConfigError(_unknown(owner, name, known, own))
    given = {name: value for name, value in options.items() if value is not None}
    if (preset := given.pop("preset", None)) is not None:
        if preset not in PRESETS:
            raise ConfigError(f"[{owner}] expected preset to be one of {', '.join(PRESETS)}, got {preset!r}")
        usual = dict(PRESETS[preset])
        if "schedule" in given:
            del usual["steps"]
        given = usual | given
    found = {}
    for name, value in given.items():
        if value is not None:
            takes, expected = _KINDS[name]
            try:
                found[name] = takes(value)
            except (TypeError, ValueError):
                raise ConfigError(f"[{owner}] expected {name} to be {expected}, got {value!r}") from None
    optimizer = found.get("optimizer", "sgd")
    foreign = {"momentum", "nesterov", "betas", "eps"}.intersection(found) - set(_NUMBERS_OF[optimizer])
    if foreign:
        numbers = " and ".join(_NUMBERS_OF[optimizer])
        raise ConfigError(f"[{owner}] {min(foreign)} is none of {optimizer}'s numbers, which are {numbers}")
    return found


def weights_of_classes(weights: Any, names: Sequence[str], counts: Sequence[int]) -> list[float]:
    """The weight of each class: of "balanced", a list in the classes' order, or a dict by name (others have 1).

    "balanced" is scikit-learn's: images / (classes x images of the class). Raises ConfigError for a name that is no
    class's.
    """
    if weights == "balanced":
        return [sum(counts) / (len(counts) * count) if count else 0.0 for count in counts]
    if isinstance(weights, Mapping):
        strangers = [name for name in weights if name not in names]
        if strangers:
            near = difflib.get_close_matches(str(strangers[0]), names, n=1)
            hint = f", did you mean {near[0]!r}?" if near else f"; they are {', '.join(names[:5])}"
            raise ConfigError(f"[fine_tune] class_weights has {strangers[0]!r}, which is no class{hint}")
        return [float(weights.get(name, 1.0)) for name in names]
    return list(weights)


def _unknown(owner: str, name: str, known: list[str], own: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [*known, *own], n=1)
    meant = _OTHER_NAMES.get(name) or (near[0] if near else None)
    hint = f"did you mean {meant}?" if meant else f"expected options among {', '.join(known)}"
    return f"[{owner}] there is no option {name}; {hint}"


# ---- types and ranges
def _whole(least: int) -> Callable[[Any], int]:
    def take(value: Any) -> int:
        number = operator.index(value)
        if isinstance(value, bool) or not least <= number < 2**63:
            raise ValueError(value)
        return number

    return take


def _number(test: Callable[[float], bool]) -> Callable[[Any], float]:
    def take(value: Any) -> float:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError(value)
        number = float(value)
        if not math.isfinite(number) or not test(number):
            raise ValueError(value)
        return number

    return take


def _one_of(*words: str) -> tuple[Callable[[Any], Any], str]:
    def take(value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise ValueError(value)
        return value

    quoted = [f"'{word}'" for word in words]
    return take, ", ".join(quoted[:-1]) + f" or {quoted[-1]}"


def _yes_or_no(value: Any) -> bool:
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(value)
    return bool(value)


def _pair(of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def take(value: Any) -> Any:
        if isinstance(value, (str, bytes)):
            raise TypeError(value)
        first, second = value
        return of(first), of(second)

    return take


def _patterns(value: Any) -> list[str]:
    found = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(pattern, str) for pattern in found):
        raise TypeError(value)
    return found


def _groups(value: Any) -> list[tuple[str, float, float | None]]:
    found = []
    for pattern, scale, decay in value:
        if not isinstance(pattern, str):
            raise TypeError(value)
        found.append((pattern, _number(_any)(scale), None if decay is None else _number(_any)(decay)))
    return found


def _weights(value: Any) -> Any:
    if isinstance(value, str):
        if value != "balanced":
            raise ValueError(value)
        return value
    if isinstance(value, Mapping):
        return {str(name): _number(_not_negative)(weight) for name, weight in value.items()}
    return [_number(_not_negative)(weight) for weight in value]


def _any(_: float) -> bool:
    return True


def _not_negative(value: float) -> bool:
    return value >= 0


_NOT_NEGATIVE = (_number(_not_negative), "a number of 0 or more")
_POSITIVE = (_number(lambda value: value > 0), "a number above 0")
_COUNT = (_whole(1), "a whole number of at least 1")
_COUNT_OR_0 = (_whole(0), "a whole number of 0 or more")
_FLAG = (_yes_or_no, "True or False")
_SIDES = (_pair(_whole(1)), "two whole numbers (resize, crop), e.g. (160, 128)")
_PATTERNS = (_patterns, "a pattern over parameters' names or a list of them, e.g. 'resnet/head/*'")
_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    **dict.fromkeys(("examples_per_class", "batch", "batch_split", "memory_limit", "steps", "eval_batch"), _COUNT),
    **dict.fromkeys(("examples_per_class_seed", "examples", "seed", "eval_every", "patience"), _COUNT_OR_0),
    **dict.fromkeys(("save_every", "workers", "threads"), _COUNT_OR_0),
    **dict.fromkeys(("keep_features", "nesterov", "decay_vectors", "skip_corrupt"), _FLAG),
    **dict.fromkeys(("base_lr", "max_minutes"), _POSITIVE),
    **dict.fromkeys(("mixup_alpha", "clip_norm", "weight_decay", "save_seconds", "eps"), _NOT_NEGATIVE),
    **dict.fromkeys(("train", "freeze"), _PATTERNS),
    "label_smoothing": (_number(lambda value: 0 <= value <= 1), "a number in [0,1]"),
    "momentum": (_number(lambda value: 0 <= value < 1), "a number in [0,1)"),
    "layer_decay": (_number(_any), "a number above 0, at most 1"),  # the extension module has the range's check
    "schedule": (lambda value: [_whole(0)(step) for step in _list(value)], "a list of steps, e.g. [100, 200, 300]"),
    "resolution": _SIDES,
    "image_size": (_pair(_whole(1)), "two whole numbers (height, width)"),
    "betas": (_pair(_number(_any)), "two numbers, e.g. (0.9, 0.999)"),
    "groups": (_groups, "a list of (pattern, factor of the rate, weight decay or None)"),
    "class_weights": (_weights, "'balanced', a number of 0 or more for each class, or such numbers by class name"),
    "recompute": _one_of("none", "units", "auto"),
    "flip": _one_of("random", "always", "never"),
    "resampling": _one_of("pillow", "pillow12", "tf"),
    "compat": _one_of("none", "pytorch", "jax", "tf2"),
    "dtype": _one_of("float32", "bfloat16"),
    "head": _one_of("auto", "keep", "zero"),
    "loss": _one_of("softmax", "sigmoid"),
    "sampling": _one_of("shuffled", "balanced"),
    "optimizer": _one_of("sgd", "adam", "adamw"),
    "best_by": _one_of("top1", "balanced_accuracy", "macro_f1", "auroc", "loss"),
    "flags": (lambda value: {os.fspath(k): os.fspath(v) for k, v in value.items()}, "a dict of texts"),
}


def _list(value: Any) -> list[Any]:
    if isinstance(value, (str, bytes)):
        raise TypeError(value)
    return list(value)
