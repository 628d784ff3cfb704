# SPDX-License-Identifier: Apache-2.0
"""What stands in a run's folder, read back: flags, steps done, measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybit.errors import ConfigError, FormatError

LAST, BEST, METRICS = "last.safetensors", "best.safetensors", "metrics.jsonl"


@dataclass(frozen=True)
class Run:
    """A run's folder: what was asked for and what was measured."""

    folder: Path
    flags: dict[str, str]
    """What the run was asked for, by the names that its checkpoint has."""
    step: int
    """The number of updates that the last checkpoint holds."""
    best: float | None
    """The best value of the number that the best checkpoint is chosen by, if anything was evaluated."""
    best_step: int
    steps: list[dict[str, Any]]
    """The events "step" of metrics.jsonl, in order."""
    evaluations: list[dict[str, Any]]
    """The events "evaluation" of metrics.jsonl, in order."""

    @property
    def best_by(self) -> str:
        """The number of an evaluation that `best` is."""
        return self.flags.get("best_by", "top1")

    @property
    def planned(self) -> int:
        """The number of updates of the whole run."""
        return int(self.flags.get("steps", 0))


def metadata_of(folder: Path) -> dict[str, str]:
    """The metadata of a run's last checkpoint, or of its best one; nothing if there is none yet."""
    from pybit.formats import open_any

    for name in (LAST, BEST):
        if (folder / name).is_file():
            return dict(open_any(folder / name).metadata)
    return {}


def flags_of(folder: Path) -> dict[str, str]:
    """What the run in a folder was asked for; nothing if there is none yet. Raises FormatError if that is malformed."""
    return _flags(metadata_of(folder), folder)


def steps_of(folder: Path) -> int:
    """The number of updates that a folder's last checkpoint holds; 0 if there is none."""
    return int(metadata_of(folder).get("bit.training.step", 0)) if (folder / LAST).is_file() else 0


def read_run(folder: Path) -> Run:
    """All that is known of a run. Raises ConfigError for a folder without one, FormatError for damaged files."""
    about = metadata_of(folder)
    if "bit.training.flags" not in about:
        raise ConfigError(f"expected the folder of a run, with {LAST} or {BEST} in it, got {folder}")
    steps: list[dict[str, Any]] = []
    evaluations: list[dict[str, Any]] = []
    if (folder / METRICS).is_file():
        steps, evaluations = read_metrics(folder / METRICS)
    best = about.get("bit.training.best")
    return Run(
        folder,
        _flags(about, folder),
        int(about.get("bit.training.step", 0)),
        None if best is None else float(best),
        int(about.get("bit.training.best_step", 0)),
        steps,
        evaluations,
    )


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Steps and evaluations of a metrics.jsonl in order; of a step that was done twice the later line counts."""
    import json  # imported when first used, as below: importing pybit needs none

    found: dict[str, dict[int, dict[str, Any]]] = {"step": {}, "evaluation": {}}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # the last line of a killed run
            continue
        if isinstance(event, dict) and event.get("event") in found:
            found[event["event"]][event["step"]] = event
    steps, evaluations = ([rows[k] for k in sorted(rows)] for rows in (found["step"], found["evaluation"]))
    return steps, evaluations


def _flags(about: dict[str, str], folder: Path) -> dict[str, str]:
    import json

    try:
        flags = json.loads(about.get("bit.training.flags", "{}"))
        return {str(name): str(value) for name, value in flags.items()}
    except (ValueError, AttributeError) as error:
        raise FormatError(f"{folder}: the metadata entry `bit.training.flags` is malformed: {error}") from error
