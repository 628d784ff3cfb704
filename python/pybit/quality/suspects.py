# SPDX-License-Identifier: Apache-2.0
"""Labels that the other images contradict: a linear probe judges each image without having seen it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pybit.evaluation.probe import fit_linear


def doubts(features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """How much each label is doubted, (N, classes): the leave-one-out score of each class less that of the label.

    Scores are those of ridge regression of one-hot targets (+1 and -1) on the features, each image's from a fit without
    it: with y the targets, p the fitted values and h the hat matrix' diagonal, (p - h·y) / (1 - h). The strength is
    `probe.fit_linear`'s. Positive values say that another class fits better.
    """
    x = features.astype(np.float64)
    probe = fit_linear(features, labels, num_classes=classes)
    x -= x.mean(0)
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += max(probe.ridge, 1e-9 * float(np.trace(gram)) / max(len(gram), 1))
    hat = np.einsum("ij,ji->i", x, np.linalg.solve(gram, x.T)) + 1 / len(x)
    targets = np.full((len(x), classes), -1.0)
    targets[np.arange(len(x)), labels] = 1.0
    fitted = np.asarray(probe.scores(features), np.float64)
    left = np.maximum(1 - hat, 1e-6)[:, None]
    scores = (fitted - hat[:, None] * targets) / left
    return np.asarray(scores - scores[np.arange(len(x)), labels][:, None])
