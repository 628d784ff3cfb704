# SPDX-License-Identifier: Apache-2.0
"""What makes a run fit to be published: all its cases were measured on one commit, with no file changed.

`make bench NAME=release` checks this before it measures anything. Any other name may measure whatever is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from workers import HERE

RELEASE = "release"


def places(name: str, work: Path) -> tuple[Path, Path]:
    """Returns where the results and the page of the run `name` are kept: (JSON file, Markdown file).

    A release, and any run whose results are committed already, writes benchmarks/results and docs/benchmarks.md. All
    others stay in the folder `work`, so that trying something out does not change the published page.
    """
    committed = HERE / "results" / f"{name}.json"
    if name == RELEASE or committed.exists():
        return committed, HERE.parent / "docs/benchmarks.md"
    return work / f"{name}.json", work / name / "benchmarks.md"


def refusal(changed: Sequence[str] | None, commit: str, jobs: Mapping[str, Any], again: Collection[str]) -> str | None:
    """Returns why a release cannot be measured now, with what to do about it, or None if it can.

    `changed` and `commit` come from machine.changes and machine.versions, `jobs` are the results that exist, and
    `again` names those of them that this run measures anew.
    """
    if changed is None:
        return "a release is measured in a git checkout, and this folder is none: clone the repository"
    if changed:
        listed = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        return (
            f"a release is measured on a clean commit, and these files differ from {commit.rstrip('+')}: {listed}. "
            "Commit them, remove them or list them in .gitignore; or measure under another NAME"
        )
    others = sorted({job["commit"] for name, job in jobs.items() if name not in again} - {commit})
    if others:
        return (
            f"a release is measured on one commit: this is {commit}, the results so far are of {', '.join(others)}. "
            f"Run `git checkout {others[0].rstrip('+')}` to go on with them, or measure all anew with AGAIN=1"
        )
    return None
