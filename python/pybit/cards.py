# SPDX-License-Identifier: Apache-2.0
"""The cards of all released models, by where the models come from; `pybit.registry` finds them by name."""

from pybit.registry.cards import VTAB_TASKS, other_cards, vtab_cards

__all__ = ["VTAB_TASKS", "other_cards", "vtab_cards"]
