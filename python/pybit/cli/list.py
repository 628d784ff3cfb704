# SPDX-License-Identifier: Apache-2.0
"""pybit list"""

from __future__ import annotations

import argparse
import difflib
import json
import sys

from pybit import registry

NAME = "list"
HELP = "list the released models and what is known about them"
_FAMILIES = ("official", "vtab", "distill", "timm", "transformers")
_EXAMPLES = """examples:
  pybit list                       all models but the 285 of VTAB-1k
  pybit list "*r50x1*"             by pattern, VTAB-1k included
  pybit list --long BiT-M-R50x1    everything about one model
  pybit list --json "*2012"

Licences, expected accuracy and where each fact comes from are in --long and --json."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        nargs="?",
        help="shell pattern on names and aliases, or a part of them; case does not matter",
    )
    parser.add_argument("--family", choices=_FAMILIES, help="only models of this origin")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--long", action="store_true", help="print the whole card of each model")
    shape.add_argument("--json", action="store_true", help="print the cards as a JSON list")


def _table(cards: list[registry.ModelCard]) -> None:
    head = ("name", "classes", "size", "parameters", "formats", "aliases")
    rows = [
        (
            card.name,
            "?" if card.num_classes is None else str(card.num_classes),
            "?" if card.input_size is None else str(card.input_size),
            "?" if card.num_parameters is None else f"{card.num_parameters / 1e6:.1f} M",
            ",".join(card.formats),
            ",".join(alias for alias in card.aliases if "/" not in alias),
        )
        for card in cards
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _long(card: registry.ModelCard) -> None:
    print(card.name)
    facts = card.to_dict()
    for key, value in facts.items():
        if key in ("name", "urls", "expected", "notes", "formats") or value in (None, []):
            continue
        print(f"  {key:<17} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    for format, urls in facts["urls"].items():
        for url in urls:
            print(f"  {format:<17} {url}")
    for item in card.expected:
        print(f"  {'expected':<17} {item.value} % {item.metric} on {item.dataset}, {item.protocol} [{item.source}]")
    for note in card.notes:
        print(f"  {'note':<17} {note}")


def run(args: argparse.Namespace) -> int:
    """Print the models that fit; 1 if there is none."""
    names = registry.list_models(args.pattern or "*", args.family)
    if not names and args.pattern and not set("*?[") & set(args.pattern):
        names = registry.list_models(f"*{args.pattern}*", args.family)
    hidden = 0
    if args.pattern is None and args.family is None:
        hidden = len(registry.list_models(family="vtab"))
        names = [name for name in names if registry.model_info(name).family != "vtab"]
    cards = [registry.model_info(name) for name in names]
    if args.json:
        print(json.dumps([card.to_dict() for card in cards], indent=2))
    elif args.long:
        for number, card in enumerate(cards):
            if number:
                print()
            _long(card)
    elif cards:
        _table(cards)
    if hidden:
        print(f"not shown: {hidden} models fine-tuned on VTAB-1k (pybit list --family vtab)", file=sys.stderr)
    if not cards:
        known = {name.lower(): name for name in registry.list_models()}
        near = difflib.get_close_matches((args.pattern or "").lower(), known, n=1)
        hint = f", did you mean {known[near[0]]}?" if near else ""
        print(f"pybit: no released model fits '{args.pattern}'{hint}", file=sys.stderr)
    return 0 if cards else 1
