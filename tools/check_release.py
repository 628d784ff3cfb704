# SPDX-License-Identifier: Apache-2.0
"""Checks what RELEASING.md asks for and a program can see: one version everywhere, a dated section of the changelog.

Usage: check_release.py [TAG]. TAG is v and a version, as git will have it; without it the version of config.hpp counts.
Prints one line per problem; exit status 1 if there is any.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def problems(config: str, changelog: str, citation: str, tag: str = "") -> list[str]:
    """Returns what is wrong with the texts of these files for a release of `tag`."""
    found = re.search(r'#define BIT_VERSION "([^"]+)"', config)
    if not found:
        return ["include/bit/config.hpp: expected a line `#define BIT_VERSION ...`, found none"]
    version = found[1]
    wrong = []
    if tag and tag != f"v{version}":
        wrong.append(f"the tag is {tag}, include/bit/config.hpp has version {version}: expected the tag v{version}")
    if not re.search(rf"^version: {re.escape(version)}$", citation, re.M):
        wrong.append(f"CITATION.cff: expected `version: {version}`")
    head = re.search(r"^## (.*)$", changelog, re.M)
    if not head or not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", head[1]):
        wrong.append(
            f"CHANGELOG.md: expected the first section `## {version} (YYYY-MM-DD)`, got `## {head[1] if head else ''}`"
        )
    return wrong


def main() -> int:
    """Entry point."""
    texts = [Path(name).read_text() for name in ("include/bit/config.hpp", "CHANGELOG.md", "CITATION.cff")]
    found = problems(*texts, *sys.argv[1:])
    print("\n".join(found) or "one version everywhere, and the changelog has its section")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
