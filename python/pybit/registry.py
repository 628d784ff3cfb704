"""Every BiT model that was ever released, as cards: what it is, how to feed it, where it lies, what it should reach."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pybit._core import ConfigError

__all__ = ["Accuracy", "Download", "ModelCard", "find_card", "iterate_cards", "list_models", "model_info"]

_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@dataclass(frozen=True)
class Accuracy:
    """A published result. `value` is in percent; `protocol` says what was done to get it, `source` who printed it."""

    dataset: str
    metric: str
    value: float
    protocol: str
    source: str


@dataclass(frozen=True)
class Download:
    """One way to fetch a model: files below a base address, which a mirror may replace."""

    format: str  #: "npz", "h5", "tfhub", "safetensors" or "torch"
    base: str
    paths: tuple[str, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        """Full addresses of all files."""
        return tuple(self.base + path for path in self.paths)


@dataclass(frozen=True)
class ModelCard:
    """Facts about one released model; None where no source tells.

    Sizes are in pixels. `crop_mode` "squash" resizes to input_size x input_size whatever the proportions;
    "center_crop" resizes the shorter edge to int(input_size / crop_pct) and cuts the centre. Pixels go from 0..255
    to `input_range` linearly.
    """

    name: str
    family: str  #: "official", "vtab", "distill", "timm" or "transformers"
    architecture: str  #: e.g. "R50x1": depth and width factor
    num_classes: int | None
    pretraining: str
    finetuning: str | None
    train_size: int | None
    input_size: int | None
    crop_mode: str | None
    crop_pct: float | None
    interpolation: str | None
    transform_source: str
    labels: str | None  #: name for pybit.labels.load
    downloads: tuple[Download, ...]
    hub_id: str | None = None
    aliases: tuple[str, ...] = ()
    expected: tuple[Accuracy, ...] = ()
    notes: tuple[str, ...] = ()
    weight_eps: float = 1e-10  #: in weight standardisation, by the code that the weights were published for
    input_range: tuple[float, float] = (-1.0, 1.0)
    license: str = "Apache-2.0"
    license_source: str = "LICENSE of google-research/big_transfer; no separate statement on the weights was found"

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats that can be downloaded, the preferred one first."""
        return tuple(download.format for download in self.downloads)

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses of the preferred format."""
        return self.downloads[0].urls if self.downloads else ()

    @property
    def depth(self) -> int:
        """50, 101 or 152."""
        return int(self.architecture[1:].split("x")[0])

    @property
    def width(self) -> int:
        """Factor on all channels."""
        return int(self.architecture.split("x")[1])

    @property
    def units(self) -> tuple[int, int, int, int]:
        """Residual units of the four blocks."""
        return _UNITS[self.depth]

    @property
    def num_features(self) -> int:
        """Length of the pooled features."""
        return 2048 * self.width

    @property
    def num_parameters(self) -> int | None:
        """Trained values including the head; None if the number of classes is unknown."""
        if self.num_classes is None:
            return None
        channels, total = 64 * self.width, 7 * 7 * 3 * 64 * self.width
        for block, units in enumerate(self.units):
            out = 256 * self.width << block
            middle = out // 4
            for unit in range(units):
                total += 2 * channels + channels * middle + 2 * middle + 9 * middle * middle + 2 * middle + middle * out
                total += channels * out if unit == 0 else 0
                channels = out
        return total + 2 * channels + (channels + 1) * self.num_classes

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON-ready values, computed ones included."""
        plain = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("downloads", "expected")
        }
        plain |= {"formats": list(self.formats), "urls": {d.format: list(d.urls) for d in self.downloads}}
        plain |= {"expected": [vars(item) for item in self.expected], "num_features": self.num_features}
        plain |= {"num_parameters": self.num_parameters, "units": list(self.units)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


@functools.cache
def _made(vtab: bool) -> list[ModelCard]:
    """The VTAB-1k cards or the others. Most are VTAB's and take 5 ms: other models load without them."""
    from pybit.cards import other_cards, vtab_cards

    return vtab_cards() if vtab else other_cards()


@functools.cache
def _cards() -> dict[str, ModelCard]:
    return {card.name: card for card in sorted(_made(False) + _made(True), key=lambda card: _natural(card.name))}


@functools.cache
def _names(vtab: bool) -> dict[str, ModelCard]:
    """The cards of `_made` by name and alias in lower case."""
    names = {alias.lower(): card for card in _made(vtab) for alias in card.aliases}
    return names | {card.name.lower(): card for card in _made(vtab)}


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text.lower())]


def list_models(pattern: str = "*", family: str | None = None) -> list[str]:
    """Names of the released models that fit a shell pattern, in natural order (R50 before R101).

    Args:
        pattern: `*`, `?` and `[...]` as in a shell, without regard to case; aliases are matched too and give the
            model's name.
        family: "official", "vtab", "distill", "timm" or "transformers"; None for all.

    Examples:
        >>> list_models("bit-m-r50x1*2012")
        ['BiT-M-R50x1-ILSVRC2012']
        >>> len(list_models(family="vtab"))
        285
    """
    wanted = pattern.lower()
    return [
        card.name
        for card in _cards().values()
        if family in (None, card.family)
        and any(fnmatch.fnmatchcase(name.lower(), wanted) for name in (card.name, *card.aliases))
    ]


def find_card(name: str) -> ModelCard | None:
    """The card of a model's name, alias or file name (case and a known file ending do not matter), or None."""
    key = name.strip().lower().removeprefix("hf-hub:").removeprefix("hf_hub:")
    for ending in ("", ".npz", ".h5", ".tfhub"):
        base = key.removesuffix(ending) if ending else key
        card = _names(vtab=False).get(base) or (_names(vtab=True).get(base) if "-run" in base else None)
        if card is not None:
            return card
    return None


def model_info(name: str) -> ModelCard:
    """The card of a released model. Throws ConfigError (a ValueError) with the closest names if there is none.

    Examples:
        >>> card = model_info("BiT-M-R50x1")
        >>> card.num_classes, card.num_parameters
        (21843, 68256659)
    """
    card = find_card(name)
    if card is not None:
        return card
    if re.match(r"bit-?l\b", name.strip().lower()):
        raise ConfigError(
            f"'{name}' was never released: BiT-L is pre-trained on JFT-300M, and Google published neither those images "
            "nor the weights. The largest released models are BiT-M-R152x4 (ImageNet-21k) and its fine-tuned versions"
        )
    raise ConfigError(
        f"no released model is called '{name}'; {_suggestion(name)}"
        "`pybit list` and pybit.list_models() give all names, for files give the path"
    )


def _suggestion(name: str) -> str:
    key = name.strip().lower()
    known = _names(vtab=False) | _names(vtab=True)
    close = difflib.get_close_matches(key, list(known), n=4, cutoff=0.6)
    if not close and len(key) > 2:
        close = [name for name in _names(vtab=False) if key in name][:4]
    names = list(dict.fromkeys(known[key].name for key in close))
    return f"did you mean {' or '.join(names)}? " if names else ""


def iterate_cards() -> Iterator[ModelCard]:
    """All cards in the order of list_models()."""
    return iter(_cards().values())
