# SPDX-License-Identifier: Apache-2.0
"""What a check has found, as text, JSON, CSV and a page."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pybit.data.collection import Report
from pybit.data.sources import printable

Severity = Literal["error", "warning", "note"]

#: Kinds of findings in the order in which they are shown: how grave each is, and its heading.
KINDS: dict[str, tuple[Severity, str]] = {
    "damaged": ("error", "Files that cannot be read"),
    "leakage": ("error", "The same picture in different splits"),
    "label_conflict": ("error", "The same picture in different classes"),
    "empty_class": ("error", "Classes without images"),
    "suspicious_label": ("warning", "Labels that the other images contradict"),
    "exact_duplicates": ("warning", "The same picture more than once"),
    "near_duplicates": ("warning", "Nearly the same picture more than once"),
    "small_class": ("warning", "Classes with few images"),
    "imbalance": ("warning", "Classes of very different sizes"),
    "plain": ("warning", "Images of one colour"),
    "odd_size": ("warning", "Images of unusual size or shape"),
    "huge": ("note", "Very large images"),
    "cmyk": ("note", "CMYK images"),
    "grey": ("note", "Grey images among colour ones"),
    "deep": ("note", "Images of 16 bits a sample"),
    "turned": ("note", "Images that are stored turned"),
    "animated": ("note", "Images of several frames"),
    "not_judged": ("note", "Labels that were not judged"),
    "left_out": ("note", "Files that are not part of the collection"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found, about one file, several, or a class."""

    kind: str
    """One of `KINDS`."""
    text: str
    """A sentence."""
    paths: tuple[str, ...] = ()
    """The files that it is about."""
    score: float | None = None
    """How sure it is, where that is a matter of degree: the correlation of near duplicates (up to 1), or by how much
    another class fits better than the label (2 from one end to the other)."""

    @property
    def severity(self) -> Severity:
        """ "error", "warning" or "note"."""
        return KINDS[self.kind][0]


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in a collection; prints as a table."""

    source: str
    """What was checked."""
    images: int
    """The number of images, readable or not."""
    splits: dict[str, int]
    """The number of images of each split."""
    classes: dict[str, int]
    """The number of images of each class."""
    findings: tuple[Finding, ...]
    """All findings, the gravest kinds first."""
    report: Report | None = None
    """What was left out of folders; None for lists."""
    features: str = "thumbnails"
    """What labels were judged by: "thumbnails", or the name of a model."""
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The split and the class of each file that findings name."""

    @property
    def ok(self) -> bool:
        """Whether there is nothing but notes."""
        return all(f.severity == "note" for f in self.findings)

    def of(self, kind: str) -> tuple[Finding, ...]:
        """The findings of one kind."""
        return tuple(f for f in self.findings if f.kind == kind)

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings of each kind that there is."""
        found = Counter(f.kind for f in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def as_dict(self) -> dict[str, Any]:
        """The result as values that JSON has."""
        findings = [
            {
                "kind": f.kind,
                "severity": f.severity,
                "text": f.text,
                "paths": [printable(p) for p in f.paths],
                "score": f.score,
            }
            for f in self.findings
        ]
        return {
            "source": printable(self.source),
            "images": self.images,
            "splits": self.splits,
            "classes": self.classes,
            "ok": self.ok,
            "counts": self.counts,
            "features": self.features,
            "findings": findings,
            "left_out": {} if self.report is None else self.report.as_dict(),
        }

    def rows(self) -> Iterator[dict[str, str]]:
        """A row for each file of each finding: kind, severity, group (the finding's number), path, split, class, score
        and text."""
        for number, f in enumerate(self.findings, 1):
            for path in f.paths or ("",):
                split, label = self.places.get(path, ("", ""))
                yield {
                    "kind": f.kind,
                    "severity": f.severity,
                    "group": str(number),
                    "path": printable(path),
                    "split": split,
                    "class": label,
                    "score": "" if f.score is None else f"{f.score:.4f}",
                    "text": f.text,
                }

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `rows` as a CSV file. Raises OSError if it cannot be written."""
        columns = ["kind", "severity", "group", "path", "split", "class", "score", "text"]
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows())

    def text(self, most: int = 5) -> str:
        """The result as lines: each kind with its first `most` findings."""
        lines = [self.headline()]
        for kind, count in self.counts.items():
            severity, heading = KINDS[kind]
            lines.append(f"\n{severity}: {heading.lower()} ({count})")
            for f in self.of(kind)[:most]:
                lines.append(f"  {self.shown(f.paths[0])}: {f.text}" if len(f.paths) == 1 else f"  {f.text}")
                shown = f.paths[:4] if len(f.paths) > 1 else ()
                lines += [f"    {self.shown(p)}" for p in shown]
                if len(f.paths) > len(shown) > 0:
                    lines.append(f"    and {len(f.paths) - len(shown)} more")
            if count > most:
                lines.append(f"  and {count - most} more")
        return "\n".join(lines)

    def shown(self, path: str) -> str:
        """A file's path within the folder that was checked, as it can be printed."""
        inside = os.path.relpath(path, self.source) if os.path.isdir(self.source) else path
        return printable(path if inside.startswith("..") else inside)

    def headline(self) -> str:
        """One line: how many images, splits and classes, and how many findings."""
        parts = [f"{self.images} images"]
        if self.classes:
            parts.append(f"{len(self.classes)} classes")
        if len(self.splits) > 1:
            parts.append(" + ".join(f"{n} {split}" for split, n in self.splits.items()))
        found = Counter(f.severity for f in self.findings)
        kinds: tuple[Severity, ...] = ("error", "warning", "note")
        said = [f"{found[s]} {s}{'s' if found[s] != 1 else ''}" for s in kinds if found[s]]
        return f"{printable(self.source)}: {', '.join(parts)}: {', '.join(said) or 'nothing found'}"

    def __repr__(self) -> str:
        return self.text()
