# SPDX-License-Identifier: Apache-2.0
"""How well scores put one class's images before the others: area under the ROC curve, average precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def _counts(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many images, and how many positive ones, have at least each of the distinct scores, the highest first."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # equal scores are one threshold
    return ends + 1, np.cumsum(positive[order], dtype=np.int64)[ends]


def ranking(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The area under the ROC curve and the average precision of `scores` (n) for the `positive` images (n).

    The area is how often a positive image scores higher than a negative one, ties half; None without a positive or
    without a negative image. The average precision is the mean precision at each positive image's score, equal scores
    taken at once, without interpolation; None without a positive image.
    """
    total, positives = len(positive), int(positive.sum())
    if positives == 0:
        return None, None
    taken, hits = _counts(positive, scores)
    gained = np.diff(hits, prepend=0)
    precision = float(np.sum(gained / positives * (hits / taken)))
    if positives == total:
        return None, precision
    # Whole numbers up to the last division: exact for up to 2^31 images.
    twice = int(np.sum(np.diff(taken - hits, prepend=0) * (2 * hits - gained)))
    return twice / (2 * positives * (total - positives)), precision
