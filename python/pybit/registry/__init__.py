# SPDX-License-Identifier: Apache-2.0
"""Every BiT model that was ever released, as cards: what it is, how to feed it, where it lies, what it should reach."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterator

from pybit.errors import ConfigError
from pybit.registry.card import Accuracy, Download, ModelCard

__all__ = ["Accuracy", "Download", "ModelCard", "find_card", "iterate_cards", "list_models", "model_info"]


@functools.cache
def _made(vtab: bool) -> list[ModelCard]:
    """The VTAB-1k cards or the others. Most are VTAB's and take 5 ms: other models load without them."""
    from pybit.registry.cards import other_cards, vtab_cards

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
    """The card of a released model. Raises ConfigError (a ValueError) with the closest names if there is none.

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
    import difflib  # imported when first used: names are mostly right

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
