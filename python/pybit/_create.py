"""create_model and load: the two ways to a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pybit import _build, _core
from pybit.data import PreprocessSpec
from pybit.errors import ConfigError, FormatError
from pybit.model import Model
from pybit.registry import ModelCard, find_card, model_info


@dataclass(frozen=True)
class _Options:
    """What `create_model` and `load` let a caller choose about a network, beside where it comes from."""

    num_classes: int | None
    head: str | None
    seed: int
    output_stride: int | None
    eps: float | None
    how: _build.Freezing

    def __post_init__(self) -> None:
        for value in (self.num_classes, self.seed, self.output_stride):
            if value is not None and value < 0:
                raise ConfigError(f"expected 0 or more classes, seeds and strides, got {value}")


def create_model(
    name: str,
    num_classes: int | None = None,
    pretrained: bool = False,
    weights: str | os.PathLike[str] | None = None,
    dtype: str = "float32",
    seed: int = 0,
    in_chans: int = 3,
    output_stride: int = 32,
    eps: float | None = None,
    units: Sequence[int] | None = None,
    stem_channels: int | None = None,
    head: str | None = None,
    algorithm: str = "auto",
) -> Model:
    """Make a model by name.

    Without `weights` and `pretrained` its values are random, a function of `seed` alone: features of such a network
    are no better than random ones, it is a start for training.

    Args:
        name: A name from `list_models()`, of timm or of transformers, or an architecture such as "R50x1". With `units`
            and `stem_channels` any name will do.
        num_classes: Classes of the head; 0 for none; None for those of the checkpoint or the card.
        pretrained: Take the released weights from the cache, or download them.
        weights: A checkpoint file of any supported format instead. It must hold the named architecture.
        dtype: "float32"; "bfloat16": half the memory and up to twice the speed for two to three digits, images and
            results stay float32; or "float64": the reference policy, slow and exact.
        seed: Of random values.
        in_chans: Input channels.
        output_stride: 32, 16 or 8; below 32 the last blocks dilate instead of striding.
        eps: Added to the kernels' variance in standardisation; None: the card's, 1e-10 for the release's files.
        units: Residual units of the four blocks, for networks that were not released.
        stem_channels: Channels of the first convolution, 64 times the width factor.
        head: What to do if the checkpoint's class count is not `num_classes`: "keep" refuses, "zero" starts from
            zeros as the release's fine-tuning does, "new" from seeded random values, "drop" leaves the head out. None
            keeps a fitting head and otherwise takes zeros, with a warning that says so; it never takes random values.
        algorithm: Of 3x3 convolutions: "auto" chooses per layer, batch and size; "direct"; "winograd", or one of its
            tile sizes "winograd_2x2" and "winograd_4x4". It changes the last digits of results and their speed.

    Raises ValueError for unknown names and impossible combinations, OSError for files and downloads.
    """
    if in_chans < 0:
        raise ConfigError(f"expected 0 or more input channels, got {in_chans}")
    options = _Options(num_classes, head, seed, output_stride, eps, _build.Freezing(dtype, algorithm))
    if pretrained and weights is not None:
        raise ConfigError("expected pretrained=True or weights=..., got both")
    card, base_units, base_stem = _architecture(name, units, stem_channels)
    if pretrained:
        if card is None:
            raise ConfigError(
                f"{name!r} is an architecture, not a released model: expected weights=... or a name from "
                "pybit.list_models()"
            )
        from pybit import hub

        weights = hub.download(card.name)
    if weights is not None:
        if card is not None and eps is None:
            options = replace(options, eps=card.weight_eps)
        wanted = _core.Config(units=base_units, stem_channels=base_stem, in_channels=in_chans)
        return _from_file(weights, options, wanted=wanted, name=name, card=card)
    if head not in (None, "zero", "new", "drop"):
        raise ConfigError(f'without a checkpoint expected head to be "zero", "new" or "drop", got {head!r}')
    classes = 0 if head == "drop" else num_classes
    config = config_of(name, classes, in_chans, output_stride, eps, units, stem_channels)
    network = _core.Network.random(config, dtype, seed, algorithm=algorithm)
    origin = f"random, seed {seed}"
    if head == "zero" and config.num_classes:
        network = _build.replace_head(network, config.num_classes, "zero", seed)
        origin += ", head of zeros"
    labels = _labels(card, config.num_classes)
    return Model(network, name=name, origin=origin, preprocessing=_preprocessing(card), labels=labels, trained=False)


def config_of(
    name: str,
    num_classes: int | None = None,
    in_chans: int = 3,
    output_stride: int = 32,
    eps: float | None = None,
    units: Sequence[int] | None = None,
    stem_channels: int | None = None,
) -> _core.Config:
    """The architecture that `create_model` builds for a name; the arguments are its."""
    card, own_units, own_stem = _architecture(name, units, stem_channels)
    if num_classes is None:
        num_classes = card.num_classes if card and card.num_classes is not None else 1000
    eps = (card.weight_eps if card else None) if eps is None else eps
    config = _core.Config(
        units=own_units,
        stem_channels=own_stem,
        in_channels=in_chans,
        num_classes=num_classes,
        output_stride=output_stride,
    )
    return _build.changed(config, weight_eps=eps)


def load(
    path: str | os.PathLike[str],
    num_classes: int | None = None,
    head: str | None = None,
    dtype: str = "float32",
    seed: int = 0,
    output_stride: int | None = None,
    eps: float | None = None,
    algorithm: str = "auto",
) -> Model:
    """Load a checkpoint of any supported format: npz, safetensors, h5, a TFHub folder, or a torch file.

    Architecture, class count and head are found from the tensors; nothing in the file is executed. Labels and
    preprocessing come from the file if pybit wrote it, or from the card of the released model whose name and content
    the file has. The arguments are those of `create_model`. Raises OSError if the file cannot be read, ValueError if
    it is no BiT checkpoint.
    """
    return _from_file(path, _Options(num_classes, head, seed, output_stride, eps, _build.Freezing(dtype, algorithm)))


def _four(units: Sequence[int]) -> _build.Units:
    if len(units) != 4:
        raise ConfigError(f"expected units of four blocks, got {tuple(units)}")
    return units[0], units[1], units[2], units[3]


def _architecture(
    name: str, units: Sequence[int] | None, stem_channels: int | None
) -> tuple[ModelCard | None, _build.Units, int]:
    """The card (None for an architecture of no release), units and stem channels that a name and options mean."""
    plain = _build.parse_architecture(name)
    if units is not None or stem_channels is not None:
        base = plain
        if base is None and (card := find_card(name)) is not None:
            base = card.units, 64 * card.width
        if base is None and (units is None or stem_channels is None):
            model_info(name)  # raises with suggestions
        base_units, base_stem = base or ((0, 0, 0, 0), 0)
        return (
            None,
            base_units if units is None else _four(units),
            base_stem if stem_channels is None else stem_channels,
        )
    if plain is not None:
        return None, *plain
    card = model_info(name)
    return card, card.units, 64 * card.width


def _from_file(
    path: str | os.PathLike[str],
    options: _Options,
    *,
    wanted: _core.Config | None = None,
    name: str | None = None,
    card: ModelCard | None = None,
) -> Model:
    """The model in a checkpoint, which must have the architecture `wanted`; `name` and `card` if they are known."""
    from pybit.formats import open_any

    text = os.fspath(path)
    checkpoint = open_any(path)
    if wanted is not None:
        _build._require_same(
            checkpoint.config,
            _build.changed(wanted, num_classes=checkpoint.config.num_classes),
            text,
            f"the model {name!r} that was asked for",
            ("units", "stem_channels", "in_channels"),
        )
    own_name, labels, spec = _build.read_metadata(checkpoint)
    if card is None:
        card = _card_of_file(text, checkpoint.config)
    adapted, done = _build.adapt_head(checkpoint, options.num_classes, options.head, options.seed)
    if done:
        labels = None
    elif labels is None:
        labels = _labels(card, adapted.config.num_classes)
    eps = options.eps
    if eps is None and card is not None and "pybit" not in checkpoint.metadata:
        eps = card.weight_eps
    config = _build.changed(adapted.config, weight_eps=eps, output_stride=options.output_stride)
    network = _build.network_from_checkpoint(adapted, options.how, config)
    return Model(
        network,
        name=name or own_name or (card.name if card else os.path.basename(text)),
        origin=os.path.basename(os.path.normpath(text)) + (f", {done}" if done else ""),
        preprocessing=spec or _preprocessing(card),
        labels=labels,
        file=None if done else os.path.abspath(text),
    )


def _card_of_file(path: str, config: _core.Config) -> ModelCard | None:
    """The released model that both the file's name and its content are."""
    card = find_card(os.path.basename(os.path.normpath(path)).removesuffix(".safetensors"))
    if card is None or (tuple(config.units), config.stem_channels) != (card.units, 64 * card.width):
        return None
    return card if card.num_classes in (None, config.num_classes) else None


def _preprocessing(card: ModelCard | None) -> PreprocessSpec | None:
    """A card's evaluation transform; None if it has none."""
    if card is None or card.input_size is None:
        return None
    changes: dict[str, Any] = {"size": card.input_size}
    for field, value in (("mode", card.crop_mode), ("crop_pct", card.crop_pct), ("interpolation", card.interpolation)):
        if value is not None:
            changes[field] = value
    return PreprocessSpec(**changes)


def _labels(card: ModelCard | None, num_classes: int) -> tuple[str, ...] | None:
    """Class names of a card's label set where this installation has them."""
    if card is None or card.labels is None or num_classes != card.num_classes:
        return None
    from pybit import labels

    try:
        return tuple(labels.load(card.labels, num_classes))
    except (ImportError, FormatError, OSError):
        return None
