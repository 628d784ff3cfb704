# SPDX-License-Identifier: Apache-2.0
"""Whether probabilities mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of equal width, as Guo et al. (arXiv:1706.04599) and most tables since have."""


def expected_calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.float64], bins: int = BINS) -> float:
    """The mean distance, in [0,1], between how sure predictions are and how often they are right.

    `right` tells for each image (n,) whether its prediction was right, `confidence` the probability of the predicted
    class. Images are put into `bins` bins of equal width, open below and closed above; each bin counts by its images.
    """
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    surplus = np.bincount(number, confidence - right, minlength=bins)
    return float(np.sum(np.abs(surplus)) / len(right))
