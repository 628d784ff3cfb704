# SPDX-License-Identifier: Apache-2.0
"""The numbers by which classifiers are compared, from the true classes and the predicted probabilities.

Where scikit-learn has a metric of the same name, the value is scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pybit.errors import ShapeError
from pybit.evaluation.calibration import expected_calibration_error
from pybit.evaluation.ranking import ranking


@dataclass(frozen=True, eq=False)
class ClassMetrics:
    """Metrics of each class against all others, float arrays (classes)."""

    precision: NDArray[np.float64]
    """The part of the images taken for the class that show it; 0 where none was."""
    recall: NDArray[np.float64]
    """The part of the class's images that were found; 0 for a class without images."""
    f1: NDArray[np.float64]
    """The harmonic mean of precision and recall; 0 where both are."""
    auroc: NDArray[np.float64]
    """The area under the ROC curve of the class's probability; NaN where all images or none are of the class."""
    average_precision: NDArray[np.float64]
    """The average precision of the class's probability; NaN for a class without images."""


@dataclass(frozen=True)
class Metrics:
    """How good predictions are; all but `examples` lie in [0,1], and macro means weigh each class alike.

    Precision, recall and F1 are means over the classes that have images or were predicted, as scikit-learn's
    `average="macro"`.
    """

    examples: int
    """The number of images."""
    accuracy: float
    """The part of the images whose class was predicted."""
    balanced_accuracy: float
    """The mean recall of the classes that have images."""
    precision: float
    """The macro mean of the classes' precision."""
    recall: float
    """The macro mean of the classes' recall."""
    f1: float
    """The macro mean of the classes' F1."""
    auroc: float | None
    """The area under the ROC curve: of two classes the second one's, of more the mean of each against the rest, over
    the classes that have images; None if all images are of one class."""
    average_precision: float | None
    """The average precision, of the same classes; None if there is none."""
    ece: float
    """The expected calibration error in 15 bins: how far probabilities are from how often predictions are right."""
    per_class: ClassMetrics = field(compare=False, repr=False)
    """The metrics of each class."""

    def as_dict(self) -> dict[str, Any]:
        """The metrics without those of single classes, as values that JSON has."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "per_class"}


def metrics(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    predicted: NDArray[np.int64] | None = None,
) -> Metrics:
    """Metrics of `n` predictions.

    Args:
        truth: the class of each image, whole numbers (n,).
        probabilities: of each class for each image, (n, classes); rows need not sum to 1, as those of a sigmoid.
        predicted: the class that each image was taken for, (n,); None: the likeliest, of equal ones the first.

    Raises ShapeError for no images, shapes and numbers that do not fit, and probabilities outside [0,1] or NaN.
    """
    y, p = np.asarray(truth), np.asarray(probabilities)
    _check(y, p)
    taken = p.argmax(axis=1) if predicted is None else np.asarray(predicted)
    if taken.shape != y.shape or taken.min() < 0 or taken.max() >= p.shape[1]:
        raise ShapeError(f"[metrics] expected predicted classes {y.shape} below {p.shape[1]}, got {taken.shape}")
    classes = p.shape[1]
    confusion = confusion_matrix(y, taken, classes)
    images, predictions = confusion.sum(axis=1), confusion.sum(axis=0)
    hits = confusion.diagonal()
    precision, recall = _ratio(hits, predictions), _ratio(hits, images)
    f1 = _ratio(2 * hits, images + predictions)
    areas, means = np.full(classes, np.nan), np.full(classes, np.nan)
    for c in np.flatnonzero(images):
        column = np.ascontiguousarray(p[:, c], dtype=np.float64)
        area, mean = ranking(y == c, column)
        areas[c] = np.nan if area is None else area
        means[c] = np.nan if mean is None else mean
    known = (images + predictions) > 0
    confidence = np.take_along_axis(p, taken[:, None], axis=1)[:, 0].astype(np.float64)
    return Metrics(
        examples=len(y),
        accuracy=float(hits.sum() / len(y)),
        balanced_accuracy=float(recall[images > 0].mean()),
        precision=float(precision[known].mean()),
        recall=float(recall[known].mean()),
        f1=float(f1[known].mean()),
        auroc=_of_classes(areas),
        average_precision=_of_classes(means),
        ece=expected_calibration_error(taken == y, confidence),
        per_class=ClassMetrics(precision, recall, f1, areas, means),
    )


def confusion_matrix(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The number of images of the row's class that were taken for the column's, (classes, classes)."""
    counts = np.bincount(truth.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return np.asarray(counts.reshape(classes, classes), dtype=np.int64)


def _check(y: NDArray[Any], p: NDArray[Any]) -> None:
    if p.ndim != 2 or p.dtype.kind != "f" or 0 in p.shape:
        raise ShapeError(f"[metrics] expected probabilities (n, classes), at least one, got {p.dtype} {p.shape}")
    if y.shape != (len(p),) or y.dtype.kind not in "iu":
        raise ShapeError(f"[metrics] expected {len(p)} whole class numbers, got {y.dtype} {y.shape}")
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise ShapeError(f"[metrics] expected classes from 0 to {p.shape[1] - 1}, got {y.min()} to {y.max()}")
    low, high = p.min(), p.max()
    if not (low >= 0 and high <= 1):  # NaN fails the comparison
        raise ShapeError(f"[metrics] expected probabilities in [0,1], got {low:g} to {high:g}")


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0))


def _of_classes(values: NDArray[np.float64]) -> float | None:
    """The second class's value of two, if it has one; otherwise the mean over the classes that have one."""
    if len(values) == 2:
        return None if np.isnan(values[1]) else float(values[1])
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
