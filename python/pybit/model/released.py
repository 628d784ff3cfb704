# SPDX-License-Identifier: Apache-2.0
"""What the cards of released models say about a name, a file and a network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pybit import _core
from pybit.base.architectures import STEM_CHANNELS, Units, parse_architecture
from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError, FormatError
from pybit.network.build import changed
from pybit.registry import ModelCard, find_card, model_info


def config_of(
    name: str,
    num_classes: int | None = None,
    in_chans: int = 3,
    output_stride: int = 32,
    eps: float | None = None,
    units: Sequence[int] | None = None,
    stem_channels: int | None = None,
) -> _core.Config:
    """The architecture that `create_model` builds for a name; the arguments are its.

    Raises ConfigError for an unknown name and for numbers that are none of an architecture.
    """
    card, own_units, own_stem = architecture_of(name, units, stem_channels)
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
    return changed(config, weight_eps=eps)


def _four(units: Sequence[int]) -> Units:
    if len(units) != 4:
        raise ConfigError(f"expected units of four blocks, got {tuple(units)}")
    return units[0], units[1], units[2], units[3]


def architecture_of(
    name: str, units: Sequence[int] | None, stem_channels: int | None
) -> tuple[ModelCard | None, Units, int]:
    """The card (None for an architecture of no release), units and stem channels that a name and options mean.

    Raises ConfigError for an unknown name, with the closest ones, and for units that are not those of four blocks.
    """
    plain = parse_architecture(name)
    if units is not None or stem_channels is not None:
        base = plain
        if base is None and (card := find_card(name)) is not None:
            base = card.units, STEM_CHANNELS * card.width
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
    return card, card.units, STEM_CHANNELS * card.width


def card_of_file(path: str, config: _core.Config) -> ModelCard | None:
    """The released model that both the file's name and its content are."""
    card = find_card(os.path.basename(os.path.normpath(path)).removesuffix(".safetensors"))
    if card is None or (tuple(config.units), config.stem_channels) != (card.units, STEM_CHANNELS * card.width):
        return None
    return card if card.num_classes in (None, config.num_classes) else None


def preprocessing_of(card: ModelCard | None) -> PreprocessSpec | None:
    """A card's evaluation transform; None if it has none."""
    if card is None or card.input_size is None:
        return None
    changes: dict[str, Any] = {"size": card.input_size}
    for field, value in (("mode", card.crop_mode), ("crop_pct", card.crop_pct), ("interpolation", card.interpolation)):
        if value is not None:
            changes[field] = value
    return PreprocessSpec(**changes)


def labels_of(card: ModelCard | None, num_classes: int) -> tuple[str, ...] | None:
    """Class names of a card's label set where this installation has them."""
    if card is None or card.labels is None or num_classes != card.num_classes:
        return None
    from pybit.hub import labels

    try:
        return tuple(labels.load(card.labels, num_classes))
    except (ImportError, FormatError, OSError):
        return None
