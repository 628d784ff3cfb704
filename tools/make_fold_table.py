# SPDX-License-Identifier: Apache-2.0
"""Writes include/bit/data/name_fold.inl: how letters beyond ASCII are folded where names are compared.

    python tools/make_fold_table.py > include/bit/data/name_fold.inl

The facts are those of Python's unicodedata (the Unicode Character Database): a letter's canonical decomposition of its
case folding, for letters up to U+1FFF and for kana (Hangul
syllables are decomposed by arithmetic, without a table).
"""

from __future__ import annotations

import unicodedata

RANGES = (range(0x80, 0x2000), range(0x3040, 0x3100))
WIDTH = 5  # entries per line


def folded(letter: str) -> str:
    """The letter's decomposed case folding: equal for both cases, composed or not."""
    decomposed = unicodedata.normalize("NFD", letter)
    return unicodedata.normalize("NFD", decomposed.casefold())


def entries() -> list[str]:
    """A letter and what it becomes, of all letters that change."""
    letters = (chr(code) for block in RANGES for code in block)
    return [letter + folded(letter) for letter in letters if folded(letter) != letter]


def main() -> None:
    print("// SPDX-License-Identifier: Apache-2.0")
    print(
        "// Written by tools/make_fold_table.py from the Unicode Character Database: each entry is a letter and, behind"
    )
    print("// it, the canonical decomposition of its case folding. Entries end with a blank.")
    print("// clang-format off")
    table = entries()
    for first in range(0, len(table), WIDTH):
        escaped = " ".join(table[first : first + WIDTH]).encode("utf-8")
        text = "".join(chr(b) if b < 0x80 else f"\\{b:03o}" for b in escaped)
        print(f'"{text} "')


if __name__ == "__main__":
    main()
