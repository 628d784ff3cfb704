# SPDX-License-Identifier: Apache-2.0
"""Checks that files use the words that were decided on: none of banned_words.txt, and no spelling mistake by codespell.

Usage: check_words.py [FILE...]. Without files it reads all text files that git knows. It prints a line per match with
what to write instead; the exit status is 1 if there is any.
"""

from __future__ import annotations

import re
import subprocess
import sys
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

    def holds_in(self, path: str) -> bool:
        if self.only and not any(fnmatch(path, p) for p in self.only):
            return False
        return not any(fnmatch(path, p) for p in self.exceptions)


def rules_of(text: str) -> list[Rule]:
    """The rules of a list in the form that banned_words.txt explains. Raises ValueError for a line of another form."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        if line and not line.startswith("#"):
            match = re.fullmatch(r"(.+?) => (.+?)(?:  in: (.+?))?(?:  but: (.+?))?", line)
            if match is None:
                raise ValueError(f"banned_words.txt:{number}: expected 'pattern => instead', got {line!r}")
            pattern = re.compile(BEGINNING + match[1], re.IGNORECASE)
            rules.append(Rule(pattern, match[2], tuple((match[3] or "").split()), tuple((match[4] or "").split())))
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


def problems_in(paths: list[str]) -> list[str]:
    """What is wrong in files, paths relative to the root, a line each."""
    rules = rules_of(LIST.read_text())
    problems = []
    for path in paths:
        for line, words, rule in matches(path, (ROOT / path).read_text(errors="replace"), rules):
            problems.append(f"{path}:{line}: '{words}': write {rule.instead}")
    return problems + misspelt([p for p in paths if not any(fnmatch(p, e) for e in EXEMPT)])


def main(arguments: list[str]) -> int:
    """Entry point."""
    problems = problems_in([str(Path(a).resolve().relative_to(ROOT)) for a in arguments] or tracked_files())
    print("\n".join(problems) or "words hold")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
