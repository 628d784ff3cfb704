# SPDX-License-Identifier: Apache-2.0
"""Labels in every shape with one meaning, as numbers of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.errors import ConfigError, ShapeError

# More classes than any data set has: a label that large is a mistake, and its names would fill the memory.
_MOST_CLASSES = 1 << 20


def numbered(given: Any, class_names: Sequence[str] | None = None) -> tuple[NDArray[np.int64], list[str]]:
    """Labels as numbers (n,), and the names of the classes by number.

    Args:
        given: one label per image: names, whole numbers (of any dtype, also whole floats), booleans, as a list, an
            array or tensor (n,) or (n,1) or a table's column; or one-hot rows (n,classes).
        class_names: the names by number; None: of names those that occur, in natural order ("2" before "10"); of
            booleans False and True; of numbers 0, 1, ... up to the largest, as text.

    Raises:
        ShapeError: labels of another shape or type, missing ones, negative or very large ones.
        ConfigError: names that are not among `class_names`.
    """
    labels = _one_each(given)
    if labels.dtype.kind in "iu":
        top = int(labels.max()) if labels.size else -1
        if top >= _MOST_CLASSES:
            raise ShapeError(f"[data] expected labels below {_MOST_CLASSES}, got {top}")
        usual = ["False", "True"] if _is_boolean(given) else list(map(str, range(_count(given, top))))
        return labels.astype(np.int64), list(class_names or usual)
    names = labels.tolist()
    classes = list(class_names) if class_names else _core.natural_sorted(sorted(set(names)))
    number = {name: i for i, name in enumerate(classes)}
    unknown = [name for name in names if name not in number]
    if unknown:
        raise ConfigError(f"[data] expected labels among the {len(classes)} class names, got '{unknown[0]}'")
    return np.array([number[name] for name in names], np.int64), classes


def label_numbers(given: Any) -> NDArray[Any]:
    """Labels (n,) that are numbers in any shape that :func:`numbered` takes, negative ones too.

    Raises ShapeError for names and for labels of another shape or type.
    """
    labels = _one_each(given)
    if labels.dtype.kind not in "iu":
        raise ShapeError("[data] expected labels as whole numbers, got names: number them first")
    return labels


def _one_each(given: Any) -> NDArray[Any]:
    """Labels (n,) as whole numbers or as names."""
    if hasattr(given, "columns"):
        raise ConfigError("[data] expected one column of labels, got a table: pass table['label']")
    try:
        labels = np.asarray(given)
    except ValueError:
        raise ShapeError("[data] expected one label per image, got lists of different lengths") from None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and labels.shape[1] > 1:
        return _from_one_hot(labels)
    if labels.ndim != 1:
        raise ShapeError(f"[data] expected one label per image, shape (n,) or (n,1), got {labels.shape}")
    if labels.dtype.kind == "O":
        labels = _of_objects(labels.tolist())
    if labels.size == 0 or labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if labels.dtype.kind == "S":
        labels = np.array([v.decode("utf-8", "backslashreplace") for v in labels.tolist()])
    if labels.dtype.kind == "f":
        wrong = np.flatnonzero(~(np.isfinite(labels) & (labels == np.trunc(labels))))
        if wrong.size:
            cure = ": leave out images without a label" if np.isnan(labels[wrong[0]]) else ""
            raise ShapeError(
                f"[data] expected labels as whole numbers or names, got {labels[wrong[0]]} at position {wrong[0]}{cure}"
            )
        return labels.astype(np.int64)
    if labels.dtype.kind not in "iuUT":
        raise ShapeError(f"[data] expected labels as whole numbers or names, got {labels.dtype}")
    return labels


def _from_one_hot(rows: NDArray[Any]) -> NDArray[np.int64]:
    is_one = rows == 1
    if not ((is_one | (rows == 0)).all() and (is_one.sum(axis=1) == 1).all()):
        raise ShapeError(
            f"[data] expected one label per image, got rows {rows.shape} that are not one-hot: of scores or "
            "probabilities pass the likeliest class, labels.argmax(1)"
        )
    return np.asarray(is_one.argmax(axis=1), np.int64)


def _of_objects(values: list[Any]) -> NDArray[Any]:
    """Python values of one kind as an array of that kind."""
    missing = [i for i, v in enumerate(values) if _is_missing(v)]
    if missing:
        raise ShapeError(
            f"[data] expected labels as whole numbers or names, got {values[missing[0]]} at position {missing[0]}: "
            "leave out images without a label"
        )
    alike: tuple[tuple[type, ...], ...] = ((str,), (bytes,), (bool, np.bool_), (int, float, np.integer, np.floating))
    for kinds in alike:
        if all(isinstance(v, kinds) for v in values):
            return np.array(values)
    found = ", ".join(sorted({type(v).__name__ for v in values}))
    raise ShapeError(f"[data] expected labels as whole numbers or names, got {found}")


def _is_missing(value: Any) -> bool:
    """Whether a table's column has no value there: None, NaN, or what pandas writes."""
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))
    )


def _is_boolean(given: Any) -> bool:
    flat = np.asarray(given)
    if flat.dtype.kind == "O":
        return flat.size > 0 and all(isinstance(v, (bool, np.bool_)) for v in flat.ravel().tolist())
    return bool(flat.dtype.kind == "b" and (flat.ndim == 1 or flat.shape[1] == 1))


def _count(given: Any, top: int) -> int:
    """How many classes numbers tell of: as many as one-hot rows are long, otherwise up to the largest."""
    shape = np.shape(given)
    return shape[1] if len(shape) == 2 and shape[1] > 1 else top + 1
