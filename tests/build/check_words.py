# SPDX-License-Identifier: Apache-2.0
"""Checks that files use the words that were decided on: none of banned_words.txt, and no spelling mistake by codespell.

Usage: check_words.py [--count] [FILE...]. Without files it reads all text files that git knows. It prints a line per
match with what to write instead; the exit status is 1 if there is any. --count prints how often each pending pattern
occurs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("banned_words.txt")
# They must name the words; seeds of fuzzers and licences are not ours to spell.
BEGINNING = r"(?<![a-z])"
EXEMPT = ("tests/build/banned_words.txt", "tests/build/test_words.py", "tests/fuzz/corpus/*", "LICENSE", "CHANGELOG.md")


@dataclass(frozen=True)
class Rule:
    """A pattern, what to write instead, and where it holds."""

    pattern: re.Pattern[str]
    instead: str
    only: tuple[str, ...]
    exceptions: tuple[str, ...]
    pending: bool

    def holds_in(self, path: str) -> bool:
        if self.only and not any(fnmatch(path, p) for p in self.only):
            return False
        return not any(fnmatch(path, p) for p in self.exceptions)


def rules_of(text: str) -> list[Rule]:
    """The rules of a list in the form that banned_words.txt explains. Raises ValueError for a line of another form."""
    rules, pending = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() == "[pending]":
            pending = True
        elif line and not line.startswith("#"):
            match = re.fullmatch(r"(.+?) => (.+?)(?:  in: (.+?))?(?:  but: (.+?))?", line)
            if match is None:
                raise ValueError(f"banned_words.txt:{number}: expected 'pattern => instead', got {line!r}")
            pattern = re.compile(BEGINNING + match[1], re.IGNORECASE)
            rules.append(
                Rule(pattern, match[2], tuple((match[3] or "").split()), tuple((match[4] or "").split()), pending)
            )
    return rules


def matches(path: str, text: str, rules: Iterable[Rule]) -> list[tuple[int, str, Rule]]:
    """Line number, words found and the rule of each match in the file `path`, relative to the root."""
    if any(fnmatch(path, p) for p in EXEMPT):
        return []
    found = []
    for rule in rules:
        if rule.holds_in(path):
            for match in rule.pattern.finditer(text):
                found.append((text.count("\n", 0, match.start()) + 1, match[0], rule))
    return sorted(found, key=lambda each: each[0])


def tracked_files() -> list[str]:
    """Paths, relative to the root, of the text files that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in listed if (ROOT / path).is_file() and b"\0" not in (ROOT / path).read_bytes()[:4096]]


def misspelt(paths: list[str]) -> list[str]:
    """What codespell finds, a line each; options stand in .codespellrc."""
    if not paths:
        return []
    done = subprocess.run(["codespell", *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 65):  # 65: it found some
        raise RuntimeError(f"codespell failed: {done.stderr}")
    return done.stdout.splitlines()


def problems_in(paths: list[str], pending: Counter[str] | None = None) -> list[str]:
    """What is wrong in files, paths relative to the root, a line each. Matches of pending patterns are counted only."""
    rules = rules_of(LIST.read_text())
    problems = []
    for path in paths:
        for line, words, rule in matches(path, (ROOT / path).read_text(errors="replace"), rules):
            if not rule.pending:
                problems.append(f"{path}:{line}: '{words}': write {rule.instead}")
            elif pending is not None:
                pending[f"{rule.pattern.pattern.removeprefix(BEGINNING)} => {rule.instead}"] += 1
    return problems + misspelt([p for p in paths if not any(fnmatch(p, e) for e in EXEMPT)])


def main(arguments: list[str]) -> int:
    named = [str(Path(a).resolve().relative_to(ROOT)) for a in arguments if a != "--count"]
    pending: Counter[str] = Counter()
    problems = problems_in(named or tracked_files(), pending)
    if "--count" in arguments:
        print("\n".join(f"{n:5} {what}" for what, n in pending.most_common()))
    print("\n".join(problems) or f"words hold; {pending.total()} matches of pending patterns")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
