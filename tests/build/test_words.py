# SPDX-License-Identifier: Apache-2.0
"""The words that were decided on are used, and the check sees a planted word and a spelling mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import check_words
import pytest

RULES = check_words.rules_of(check_words.LIST.read_text())


def found(path: str, text: str) -> list[tuple[int, str, str]]:
    """Line, words and what to write instead of each match."""
    return [(line, words.lower(), rule.instead) for line, words, rule in check_words.matches(path, text, RULES)]


def test_the_checkout_uses_the_words_that_were_decided_on() -> None:
    command = [sys.executable, check_words.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "text", "word", "instead"),
    [
        ("docs/data.md", "The behavior of a loader", "behavior", "behaviour"),
        ("include/bit/io/npz.hpp", "/// Whoever comes first.", "whoever", "the thread that"),
        ("include/bit/backend/cpu/isa/tile.inl", "// lines that it asks for", "asks for", "prefetches"),
        ("include/bit/train/sgd.hpp", "class optimiser {};", "optimiser", "optimizer"),
        ("include/bit/backend/cpu/isa/table.hpp", "kernel_table<T> t;", "kernel_table", "microkernel_table"),
        ("tests/cpp/io/test_zip.cpp", 'TEST_CASE("case 07: overlap")', "case 07", "tests/README.md"),
        ("python/pybit/model.py", "# the number format", "number format", "dtype"),
    ],
)
def test_a_planted_word_is_found_with_its_line_and_replacement(path: str, text: str, word: str, instead: str) -> None:
    matches = found(path, "first line\n" + text)
    assert [(line, words) for line, words, _ in matches] == [(2, word)]
    assert instead in matches[0][2]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("docs/data.md", "The behaviour is normalised; std::initializer_list, initializers, standardized_conv2d"),
        ("python/pybit/hub.py", "the caller asks for a file, case 7 of 25, bit_tf2/normalization.py"),
        ("tests/fuzz/corpus/seed", "whoever"),
        ("docs/data.md", "A policy on slices"),
    ],
)
def test_other_words_and_places_are_left_alone(path: str, text: str) -> None:
    assert found(path, text) == []


def test_a_planted_word_or_mistake_fails_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_words, "ROOT", tmp_path)
    for name, text, told in [
        ("a.py", "# all is well\n", None),
        ("b.py", "#\n# the field survey says\n", "b.py:2: 'field survey': write the source's name"),
        ("c.md", "You will recieve it.\n", "./c.md:1: recieve ==> receive"),
    ]:
        (tmp_path / name).write_text(text)
        problems = check_words.problems_in([name])
        assert [p.removeprefix("./") for p in problems] == ([told.removeprefix("./")] if told else [])


def test_a_line_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="banned_words.txt:2: expected 'pattern => instead'"):
        check_words.rules_of("# fine\nword instead\n")
