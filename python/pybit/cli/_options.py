# SPDX-License-Identifier: Apache-2.0
"""Options that some commands share, and other words for them; no command itself."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from pybit.inference.run import ACTIVATIONS


def alias(group: Any, option: argparse.Action, *words: str) -> None:
    """Other words for an option, which its help does not show."""
    for word in words:
        group._option_string_actions[word] = option


def refusing(message: str) -> Any:
    """An argparse action for an option of another command: it says what to write here."""

    class Refuse(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
            parser.error(message)

    return Refuse


def add_activation(group: Any) -> None:
    """--activation, and --sigmoid for short."""
    group.add_argument(
        "--activation",
        choices=tuple(ACTIVATIONS),
        help="what makes probabilities (default: what the model was trained by)",
    )
    group.add_argument(
        "--sigmoid",
        dest="activation",
        action="store_const",
        const="sigmoid",
        help="independent probabilities per class, as the 21,843-class models were trained",
    )
