# SPDX-License-Identifier: Apache-2.0
"""check: everything that is worth knowing of a collection before it is trained on."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pybit.base.progress import progress_bar
from pybit.data.collection import Report, read_collection
from pybit.data.folders import LISTS, labelled_list
from pybit.data.options import check_max_pixels
from pybit.data.sources import printable
from pybit.errors import ConfigError
from pybit.model.create import load
from pybit.model.model import Model
from pybit.quality.duplicates import groups_of, near_pairs, sampled
from pybit.quality.findings import KINDS, Finding
from pybit.quality.result import CheckResult
from pybit.quality.signature import Damage, Signature, signatures
from pybit.quality.stored import TRAITS
from pybit.quality.suspects import doubts

# A class of fewer images is told: with ten, one image is a tenth of what is known of its class.
FEW = 10
# The largest class may have so many times the images of the smallest.
IMBALANCE = 10.0
# Pixels beyond which an image is called huge, and how much the area may differ from the median and the sides from one
# another before its size is called unusual.
HUGE, AREA, SIDES = 50_000_000, 16.0, 4.0
# Beyond this part of grey images they are told together.
MANY_GREY = 0.1
# Below this part of images whose class the others tell, or half of what the largest class alone leaves, labels are not
# judged; and no more than this part is doubted.
TELLING, DOUBTED = 0.6, 0.1
# By how much another class must fit better than the label: 2 is the distance between the targets of two classes.
DOUBT = 0.5


@dataclass(frozen=True)
class _Files:
    paths: list[Path]
    splits: list[str]
    labels: list[int | None]
    class_names: list[str]
    report: Report | None


def check(
    source: str | os.PathLike[str],
    *,
    model: Model | str | os.PathLike[str] | None = None,
    near: bool = True,
    labels: bool = True,
    threads: int = 0,
    progress: bool | None = None,
    max_pixels: int | None = None,
    **reading: str,
) -> CheckResult:
    """Decode every image of a folder or a list, and look for what spoils training and evaluation.

        found = pybit.check("photos/")
        print(found)                       # a table
        found.save_html("photos.html")     # a page with thumbnails

    Damaged files; exact duplicates, near ones, and those across splits (leakage) or classes; classes with few images;
    unusual sizes and ways of storing; labels that the other images contradict. docs/check.md has the thresholds and
    what was measured with them.

    Args:
        source: a folder as `pybit.data.read_collection` reads it, or a list (.csv, .tsv, .txt).
        model: labels are judged by the features of this model, or of what `pybit.load` takes; None: by thumbnails.
        near: look for near duplicates as well.
        labels: judge labels.
        threads: that decode; 0: one per processor, at most 16.
        progress: None shows a bar on long work.
        max_pixels: larger images count as damaged; see `pybit.data.read_image`.
        reading: of a list: path_column, label_column, separator and encoding, as `pybit.datasets.open` has them.

    Raises OSError for a folder or a list that cannot be read, ConfigError for options that are none, FormatError for a
    malformed list. Damaged images raise nothing: they are findings.
    """
    check_max_pixels(max_pixels)
    if threads < 0:
        raise ConfigError(f"expected 0 or more threads, got {threads}")
    files = _files(source, reading)
    sound: list[Signature] = []
    found: list[Finding] = []
    bar = progress_bar(len(files.paths), progress, "checking")
    try:
        for signature in signatures(files.paths, threads, max_pixels):
            if isinstance(signature, Damage):
                path = os.fspath(files.paths[signature.index])
                text = signature.text.removeprefix("[image] ").removeprefix(f"{printable(path)}: ")
                found.append(Finding("damaged", text, (path,)))
            else:
                sound.append(signature)
            bar.update(1)
    finally:
        bar.close()
    found += _stored(files, sound)
    found += _sizes(files, sound)
    found += _classes(files)
    found += _duplicates(files, sound, near)
    name = "thumbnails"
    if labels:
        if model is not None and not isinstance(model, Model):
            model = load(model)
        name = name if model is None else model.name
        found += _labels(files, sound, model, progress)
    if files.report is not None:
        found += [Finding("left_out", e.reason, (e.path,)) for e in files.report.left_out]
    order = list(KINDS)
    found.sort(key=lambda f: (order.index(f.kind), -(f.score or 0)))
    return CheckResult(
        os.fspath(source),
        len(files.paths),
        dict(Counter(files.splits)),
        _counts(files),
        tuple(found),
        files.report,
        name,
        _places(files, found),
    )


def _files(source: str | os.PathLike[str], reading: dict[str, str]) -> _Files:
    if os.fspath(source).lower().endswith(LISTS):
        read = labelled_list(source, **reading)
        return _Files(list(read.paths), ["whole"] * len(read.paths), list(read.labels), list(read.class_names), None)
    if not os.path.isdir(source):
        raise ConfigError(
            f"expected a folder of images or a list (.csv, .tsv, .txt), got {printable(os.fspath(source))}"
        )
    found = read_collection(source)
    return _Files(found.paths, found.splits, found.labels, found.class_names, found.report)


def _counts(files: _Files) -> dict[str, int]:
    numbers = Counter(files.labels)
    return {name: numbers[i] for i, name in enumerate(files.class_names)}


def _places(files: _Files, findings: list[Finding]) -> dict[str, tuple[str, str]]:
    named = {path for f in findings for path in f.paths}
    return {
        os.fspath(path): (split, "" if label is None else files.class_names[label])
        for path, split, label in zip(files.paths, files.splits, files.labels, strict=True)
        if os.fspath(path) in named
    }


def _path(files: _Files, s: Signature) -> str:
    return os.fspath(files.paths[s.index])


def _stored(files: _Files, sound: list[Signature]) -> Iterator[Finding]:
    grey = [_path(files, s) for s in sound if "grey" in s.traits and "plain" not in s.traits]
    if 0 < len(grey) < len(sound) and len(grey) > MANY_GREY * len(sound):
        yield Finding("grey", f"{len(grey)} of {len(sound)} images are grey", tuple(grey))
        grey = []
    for s in sound:
        for trait in s.traits:
            if trait == "grey" and (_path(files, s) not in grey or len(grey) == len(sound)):
                continue
            yield Finding(trait, TRAITS[trait], (_path(files, s),))


def _sizes(files: _Files, sound: list[Signature]) -> Iterator[Finding]:
    if not sound:
        return
    typical = float(np.median([s.height * s.width for s in sound]))
    for s in sound:
        size, area = f"{s.width} x {s.height} pixels", s.height * s.width
        path = _path(files, s)
        if area > HUGE:
            yield Finding("huge", size, (path,))
        elif area > AREA * typical or area * AREA < typical:
            yield Finding("odd_size", f"{size}, the median is {typical:.0f} pixels", (path,))
        elif max(s.height, s.width) > SIDES * min(s.height, s.width):
            yield Finding("odd_size", f"{size}, which squashing to a square distorts", (path,))


def _classes(files: _Files) -> Iterator[Finding]:
    counts = _counts(files)
    for name, count in counts.items():
        if count == 0:
            yield Finding("empty_class", f"{name} has no images")
        elif count < FEW:
            yield Finding("small_class", f"{name} has {count} image{'s' if count > 1 else ''}")
    held = {name: count for name, count in counts.items() if count}
    if held and max(held.values()) > IMBALANCE * min(held.values()):
        most, least = max(held, key=held.__getitem__), min(held, key=held.__getitem__)
        yield Finding("imbalance", f"{most} has {held[most]} images and {least} {held[least]}")
    by_split: dict[str, set[int | None]] = defaultdict(set)
    for split, label in zip(files.splits, files.labels, strict=True):
        by_split[split].add(label)
    for split, present in by_split.items():
        missing = [name for i, name in enumerate(files.class_names) if i not in present and counts[name]]
        if missing and len(by_split) > 1:
            yield Finding("empty_class", f"the split {split} has no images of {', '.join(missing)}")


def _duplicates(files: _Files, sound: list[Signature], near: bool) -> Iterator[Finding]:
    """Groups of one picture: by their files, their pixels, and then what is left by likeness."""
    exact: dict[bytes, list[int]] = defaultdict(list)
    for number, s in enumerate(sound):
        exact[s.pixel_hash].append(number)
    for members in exact.values():
        if len(members) > 1 and "plain" not in sound[members[0]].traits:
            same_file = len({sound[m].file_hash for m in members}) == 1
            what = "the same file" if same_file else "the same pixels in different files"
            yield from _group(files, sound, members, "exact_duplicates", what, None)
    if not near:
        return
    first = [members[0] for members in exact.values()]
    pairs = list(near_pairs(np.stack([sound[m].grey for m in first]))) if len(first) > 1 else []
    for group in groups_of(len(first), [(a, b) for a, b, _ in pairs]):
        likeness = min(value for a, _, value in pairs if a in group)
        yield from _group(
            files, sound, [first[g] for g in group], "near_duplicates", "nearly the same picture", likeness
        )


def _group(
    files: _Files, sound: list[Signature], members: list[int], kind: str, what: str, score: float | None
) -> Iterator[Finding]:
    indices = [sound[m].index for m in members]
    paths = tuple(os.fspath(files.paths[i]) for i in indices)
    splits = sorted({files.splits[i] for i in indices})
    names = sorted({files.class_names[n] for i in indices if (n := files.labels[i]) is not None})
    yield Finding(kind, f"{len(paths)} times {what}", paths, score)
    if len(splits) > 1:
        yield Finding("leakage", f"{what} in {' and '.join(splits)}", paths, score)
    if len(names) > 1:
        yield Finding("label_conflict", f"{what} in {' and '.join(names)}", paths, score)


def _labels(files: _Files, sound: list[Signature], model: Model | None, progress: bool | None) -> Iterator[Finding]:
    known = [s for s in sound if files.labels[s.index] is not None and "plain" not in s.traits]
    numbers = np.array([files.labels[s.index] for s in known], np.int64)
    present, labels = np.unique(numbers, return_inverse=True)
    if len(present) < 2 or len(known) < 2 * len(present):
        return  # too few to say anything
    features = _features(files, known, model, progress)
    found = doubts(features, labels.astype(np.int64), len(present))
    told = float((found.max(1) <= 0).mean())
    by = "thumbnails tell" if model is None else f"the features of {model.name} tell"
    largest = float(np.bincount(labels).max() / len(labels))
    if told < max(TELLING, (1 + largest) / 2):
        cure = "; --model judges by a model's features" if model is None else ""
        yield Finding("not_judged", f"{by} the class of {100 * told:.0f} % of the images: too few{cure}")
        return
    worst = np.argsort(-found.max(1), kind="stable")[: int(DOUBTED * len(known))]
    for row in worst[found.max(1)[worst] > DOUBT]:
        best = int(found[row].argmax())
        label, other = (files.class_names[present[c]] for c in (labels[row], best))
        path = _path(files, known[row])
        text = f"labelled {label}, more like {other}"
        yield Finding("suspicious_label", text, (path,), float(found[row, best]))


def _features(files: _Files, known: list[Signature], model: Model | None, progress: bool | None) -> NDArray[np.float32]:
    if model is not None:
        embedded = model.embed([files.paths[s.index] for s in known], progress=progress)
        features = embedded if isinstance(embedded, np.ndarray) else embedded.features
        return np.asarray(features, np.float32)
    grey = sampled(np.stack([s.grey for s in known]).astype(np.float32), (0.0, 0.0, 1.0, 1.0), 12)
    colour = np.stack([s.colour for s in known]).astype(np.float32)
    both = np.concatenate([grey.reshape(len(known), -1), colour.reshape(len(known), -1)], 1)
    return (both / 255).astype(np.float32)
