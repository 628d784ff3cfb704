# SPDX-License-Identifier: Apache-2.0
"""Which class a folder's name stands for: by the class's own name, its WordNet id, its number, a lemma, or a table."""

from __future__ import annotations

import csv
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pybit.errors import ConfigError, FormatError
from pybit.hub import labels as label_sets

_WNID = re.compile(r"n\d{8}")
_MAX_FILE = 16 << 20
_IMAGENET_ENDS = ("n01440764", "n15075141")  # the first and the last class of ILSVRC 2012, whose ids are in order


def match_classes(
    names: Sequence[str],
    labels: Sequence[str] | None,
    count: int,
    *,
    label_set: str | None = None,
    table: Mapping[str, int] | None = None,
) -> tuple[list[int], str]:
    """The class of a model that each of a data set's classes is, and by what they were matched, in words.

    Args:
        names: of the data set's classes.
        labels: the model's class names by number; None where they are not known.
        count: the number of the model's classes.
        label_set: which set the names are of, e.g. "imagenet-1k", whose WordNet ids are asked for on this machine.
        table: a label map, as `load_map` reads it, which is asked first.

    All of a data set's classes are matched by one kind of name, in this order: the label map (with the model's own
    names), the names, names but for case, underscores and Unicode forms, WordNet ids, numbers, lemmas. Where nothing
    is known of a model's classes, as many classes are taken in their order. Raises ConfigError, with the classes that
    were not found and what to do.
    """
    if table is None and labels is None and len(names) == count:
        return list(range(count)), "their order, since the model's class names are not known"
    if table is not None:
        own = {} if labels is None else _once((label, i) for i, label in enumerate(labels))
        return _all(names, {**own, **table}, "the label map", labels)
    for kind, known in _tables(names, labels, count, label_set):
        if known and all(name in known for name in names):
            return [known[name] for name in names], kind
    if labels is None:
        raise ConfigError(
            f"[evaluate] the network has {count} classes, the data set {len(names)}; fine-tune it on the set first, or "
            "say with a label map (--label-map FILE, label_map=) which class each folder is"
        )
    return _all(names, _once((label, i) for i, label in enumerate(labels)), "", labels)


def _tables(
    names: Sequence[str], labels: Sequence[str] | None, count: int, label_set: str | None
) -> Iterable[tuple[str, dict[str, int]]]:
    if labels is not None:
        yield "their names", _once((label, i) for i, label in enumerate(labels))
        folded = _once((_folded(label), i) for i, label in enumerate(labels))
        yield "their names but for case and underscores", {n: folded[_folded(n)] for n in names if _folded(n) in folded}
    if all(_WNID.fullmatch(name) for name in names):
        ids = label_sets.synsets(label_set) if label_set else None
        if ids is not None and len(ids) == count:
            yield "their WordNet ids", _once((wnid, i) for i, wnid in enumerate(ids))
        ordered = sorted(names)
        if label_set == "imagenet-1k" and len(names) == count and (ordered[0], ordered[-1]) == _IMAGENET_ENDS:
            yield "the order of their WordNet ids", {name: i for i, name in enumerate(ordered)}
    if all(name.isascii() and name.isdecimal() for name in names):
        yield "their numbers", {name: int(name) for name in names if int(name) < count}
    if labels is not None:
        lemmas = _once((_folded(lemma), i) for i, label in enumerate(labels) for lemma in label.split(","))
        yield "their lemmas", {name: lemmas[_folded(name)] for name in names if _folded(name) in lemmas}


def _once(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Names with their numbers, without those that stand for several classes ("crane" is a bird and a machine)."""
    found: dict[str, int] = {}
    several: set[str] = set()
    for name, number in pairs:
        if found.setdefault(name, number) != number:
            several.add(name)
    return {name: number for name, number in found.items() if name not in several}


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def _all(
    names: Sequence[str], known: Mapping[str, int], kind: str, labels: Sequence[str] | None
) -> tuple[list[int], str]:
    missing = [name for name in names if name not in known]
    if missing:
        among = "the label map" if kind else f"the model's classes ({_some(labels or ())})"
        raise ConfigError(
            f"[evaluate] the model's classes are not the data set's: {len(missing)} of {len(names)} are not among "
            f"{among}: {_some(missing)}; say with a label map (--label-map FILE, label_map=) which class each is"
        )
    return [known[name] for name in names], kind


def _some(names: Sequence[str]) -> str:
    return ", ".join(list(names)[:3]) + (", ..." if len(names) > 3 else "")


def load_map(path: str | os.PathLike[str], labels: Sequence[str] | None, count: int) -> dict[str, int]:
    """Read a label map: the class, below `count`, that each name stands for.

    `path` is one of

    - a folder with a folder per class, all of them, whose names in order are the classes 0, 1, ... (ImageNet's val/);
    - a table (.csv, .tsv, .txt) with a name and a class, by its number or one of the `labels`, in each line;
    - a text file with a line per class, all of them, in order: a name, or a name and more after a space
      (LOC_synset_mapping.txt);
    - JSON: an object from name to class, an object from number to a name or to [name, name] (Keras's
      imagenet_class_index.json), or a list of either.

    Raises FormatError, with the line or entry, for another kind of file; OSError if it cannot be read.
    """
    place = Path(path)
    if place.is_dir():
        rows: list[Any] = sorted(entry.name for entry in place.iterdir() if entry.is_dir() and entry.name[0] != ".")
        return _in_order(place, [[row] for row in rows], count)
    if place.stat().st_size > _MAX_FILE:
        raise FormatError(f"{place}: expected a label map, got {place.stat().st_size} bytes")
    try:
        text = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{place}: expected a label map in UTF-8") from error
    if text.lstrip()[:1] in ("{", "["):
        return _from_json(place, text, labels, count)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    separator = "\t" if any("\t" in line for line in lines) else ","
    table = [row for row in csv.reader(lines, delimiter=separator) if row]
    resolved = [_number(row[1].strip(), labels, count) if len(row) == 2 else None for row in table]
    if table and resolved[0] is None and len(table) > 1 and None not in resolved[1:]:
        table, resolved = table[1:], resolved[1:]  # a header
    if table and None not in resolved:
        return _checked(place, [(row[0].strip(), number) for row, number in zip(table, resolved, strict=True)])
    if len(lines) == count:
        return _in_order(place, [[line, line.split()[0]] for line in lines], count)
    bad = resolved.index(None) if None in resolved else 0
    raise FormatError(
        f"{place}:{bad + 1}: expected a name and a class (a number below {count}, or one of the model's names) in each "
        f"line, or a name in each of {count} lines"
    )


def _from_json(path: Path, text: str, labels: Sequence[str] | None, count: int) -> dict[str, int]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: starts like JSON, but is not: {error}") from error
    if isinstance(content, list):
        return _in_order(path, [_names(path, item) for item in content], count)
    if content and all(key.isdecimal() and not isinstance(value, int) for key, value in content.items()):
        pairs = [(name, int(key)) for key, value in content.items() for name in _names(path, value)]
        wrong = [number for _, number in pairs if number >= count]
        if not wrong:
            return _checked(path, pairs)
        raise FormatError(f"{path}: expected classes below {count}, got {wrong[0]}")
    numbers = {name: _number(value, labels, count) for name, value in content.items()}
    for name, number in numbers.items():
        if number is None:
            raise FormatError(
                f"{path}: expected for {name!r} a class, a number below {count} or one of the model's names, got "
                f"{content[name]!r}"
            )
    return _checked(path, list(numbers.items()))


def _names(path: Path, item: Any) -> list[str]:
    found = item if isinstance(item, list) else [item]
    if not found or not all(isinstance(name, str) for name in found):
        raise FormatError(f"{path}: expected a name or a list of names for each class, got {item!r}")
    return found


def _number(value: Any, labels: Sequence[str] | None, count: int) -> int | None:
    if labels is not None and value in labels:
        return list(labels).index(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < count else None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and int(value) < count:
        return int(value)
    return None


def _in_order(path: Path, rows: Sequence[Sequence[str]], count: int) -> dict[str, int]:
    if len(rows) != count:
        raise FormatError(f"{path}: expected names of {count} classes, got {len(rows)}")
    return _once((name, number) for number, row in enumerate(rows) for name in row)


def _checked(path: Path, pairs: Sequence[tuple[str, int | None]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, number in pairs:
        assert number is not None  # the callers have looked
        if found.setdefault(name, number) != number:
            raise FormatError(f"{path}: expected one class for each name, got {found[name]} and {number} for {name!r}")
    return found
