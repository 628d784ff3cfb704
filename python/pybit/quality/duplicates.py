# SPDX-License-Identifier: Apache-2.0
"""Exact and near duplicates: the same file, the same pixels, or the same picture recompressed, resized or cropped.

A picture is described by its 64 x 64 grey thumbnail. Its whole and 18 windows of it (crops to 0.9 and 0.8 of the sides)
are reduced to 12 x 12 values without mean, of length 1; where a window of one image is like the whole of another, the
two thumbnails are compared in full, the window moved and scaled to where it fits best. docs/check.md has what was
measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pybit.quality.signature import SIDE

# Cosine of 12 x 12 values above which two thumbnails are compared in full, and the correlation of the full thumbnails
# above which they are one picture.
CANDIDATE, SAME = 0.8, 0.95
_POINTS = 12
_BLOCK_VALUES = 1 << 25  # of a block of cosines: 128 MB
_FLAT = 3.0  # grey levels: below this standard deviation there is nothing to compare

Window = tuple[float, float, float, float]  # top, left, height, width as parts of the sides


def windows() -> list[Window]:
    """The whole, and where crops are looked for."""
    found: list[Window] = [(0.0, 0.0, 1.0, 1.0)]
    for side in (0.9, 0.8):
        places = (0.0, (1 - side) / 2, 1 - side)
        found += [(top, left, side, side) for top, left in product(places, places)]
    return found


def sampled(grey: NDArray[np.float32], window: Window, points: int) -> NDArray[np.float32]:
    """A window of thumbnails (N, SIDE, SIDE) reduced to (N, points, points), each value a mean over its part."""
    rows = _means(window[0], window[2], points)
    columns = _means(window[1], window[3], points)
    return np.asarray(rows @ grey @ columns.T, np.float32)


def _means(start: float, length: float, points: int) -> NDArray[np.float32]:
    """(points, SIDE): row i holds the weights of the mean over part i of start .. start + length."""
    edges = (start + length * np.arange(points + 1) / points) * SIDE
    cells = np.arange(SIDE)
    covered = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights = np.maximum(covered, 0)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = values.reshape(len(values), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def near_pairs(grey: NDArray[np.uint8]) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j, correlation) of thumbnails (N, SIDE, SIDE) that show one picture, i < j, each once."""
    pictures = grey.astype(np.float32)
    textured = np.flatnonzero(pictures.std(axis=(1, 2)) > _FLAT)
    pictures = pictures[textured]
    wholes = _unit(sampled(pictures, (0.0, 0.0, 1.0, 1.0), _POINTS))
    candidates: dict[tuple[int, int], list[tuple[float, int, int, Window]]] = {}
    rows = max(1, _BLOCK_VALUES // max(1, len(pictures)))
    for window in windows():
        parts = _unit(sampled(pictures, window, _POINTS))
        for first in range(0, len(pictures), rows):
            cosines = parts[first : first + rows] @ wholes.T
            for i, j in np.argwhere(cosines > CANDIDATE):
                a, b = first + int(i), int(j)
                if a != b:
                    candidates.setdefault((min(a, b), max(a, b)), []).append((float(cosines[i, j]), a, b, window))
    for (a, b), places in candidates.items():
        best = -1.0
        for _, i, j, window in sorted(places, reverse=True)[:3]:
            best = max(best, _fitted(pictures[i], pictures[j], window))
            if best > SAME:
                break
        if best > SAME:
            yield int(textured[a]), int(textured[b]), best


def _fitted(outer: NDArray[np.float32], inner: NDArray[np.float32], window: Window) -> float:
    """The correlation of `inner` with the window of `outer` that fits it best, near the one that is given."""
    points = SIDE // 2
    target = _unit(sampled(inner[None], (0.0, 0.0, 1.0, 1.0), points))[0]
    best, at = float(_unit(sampled(outer[None], window, points))[0] @ target), window
    for step in (0.04, 0.02, 0.01):
        if best > SAME:
            break
        top, left, height, width = at
        rows = _places(top, height, step)
        columns = _places(left, width, step)
        down = np.stack([_means(start, length, points) for start, length in rows])
        across = np.stack([_means(start, length, points) for start, length in columns])
        parts = (down @ outer)[:, None] @ across.transpose(0, 2, 1)[None]  # (rows, columns, points, points)
        fits = _unit(parts.reshape(-1, points * points)) @ target
        if fits.max() > best:
            best = float(fits.max())
            row, column = divmod(int(fits.argmax()), len(columns))
            at = (rows[row][0], columns[column][0], rows[row][1], columns[column][1])
    return best


def _places(start: float, length: float, step: float) -> list[tuple[float, float]]:
    """A start and a length along one axis, moved by a step each way where that stays within the picture."""
    moved = [(start + a, length + b) for a, b in product((0.0, -step, step), repeat=2)]
    return [(s, n) for s, n in moved if s >= -1e-9 and s + n <= 1 + 1e-9]


def groups_of(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Sets of more than one of `count` items that pairs connect, each in rising order, by their first items."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for a, b in pairs:
        parent[max(root(a), root(b))] = min(root(a), root(b))
    members: dict[int, list[int]] = {}
    for item in range(count):
        members.setdefault(root(item), []).append(item)
    return [group for group in members.values() if len(group) > 1]
