# SPDX-License-Identifier: Apache-2.0
"""BitClassifier: images to classes, as a scikit-learn classifier."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from pybit.data import datasets
from pybit.data.options import ImageOptions, PreprocessSpec
from pybit.errors import ConfigError
from pybit.evaluation.probe import fit_linear, nearest
from pybit.inference.run import outputs_of_batches, softmax
from pybit.model.model import Model
from pybit.sklearn.features import BitFeatures
from pybit.sklearn.samples import as_samples, images_of
from pybit.train.fine_tuning import fine_tune

METHODS = ("ridge", "knn", "head", "fine_tune")
_HEAD = ["resnet/head/*"]


def _gives_scores(self: BitClassifier) -> bool:
    return bool(self.method != "knn")


def _gives_probabilities(self: BitClassifier) -> bool:
    return bool(self.method != "ridge")


class BitClassifier(ClassifierMixin, BaseEstimator):
    """Classifies images by a BiT model, from a probe of its features to fine-tuning it.

        BitClassifier("BiT-M-R50x1", method="ridge", cache="features/").fit(paths, labels).predict(new_paths)

    X is one image per sample, as `BitFeatures` takes them; with model=None a table of features, for the probes alone.
    y: a class per sample, of any kind that scikit-learn takes for classes.

    Args:
        model: a checkpoint's path, the name of a released model, a `pybit.Model`, or None; see `BitFeatures`.
        method: "ridge": a linear probe, its strength chosen by exact leave-one-out (`pybit.probe.fit_linear`);
            "knn": a vote of the `k` most similar training images by cosine; "head": only a new head is trained;
            "fine_tune": everything is, by BiT-HyperRule (`pybit.fine_tune`).
        ridge: strength of "ridge", or several to choose from; None: decades around the features' variance.
        k: neighbours that vote.
        training: a dict of options of `pybit.fine_tune` for "head" and "fine_tune", such as {"steps": 500}.
        seed: of training.
        preprocessing, dtype, batch_size, threads, cache, max_pixels: as for `BitFeatures`. Training squashes images to
            the recipe's resolution, and `dtype` there is "float32" or "bfloat16".

    The probes give `decision_function` ("ridge") or `predict_proba` ("knn": parts of votes), trained models both.
    After "head" and "fine_tune" `model_` is the trained `pybit.Model`, whose weights are in pickles. Raises ConfigError
    or ShapeError for parameters and data that cannot be, and what reading images and training raise. `predict` and its
    like may be called by several threads at once.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model | None = "BiT-M-R50x1",
        *,
        method: str = "ridge",
        ridge: Any = None,
        k: int = 5,
        training: dict[str, Any] | None = None,
        seed: int = 0,
        preprocessing: PreprocessSpec | None = None,
        dtype: str = "float32",
        batch_size: int | None = None,
        threads: int = 0,
        cache: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self.model = model
        self.method = method
        self.ridge = ridge
        self.k = k
        self.training = training
        self.seed = seed
        self.preprocessing = preprocessing
        self.dtype = dtype
        self.batch_size = batch_size
        self.threads = threads
        self.cache = cache
        self.max_pixels = max_pixels

    def fit(self, X: Any, y: Any) -> BitClassifier:
        """Fit a probe of the images' features, or train; returns self."""
        if self.method not in METHODS:
            raise ConfigError(f"[sklearn] expected method {', '.join(METHODS)}, got {self.method!r}")
        trains = self.method in ("head", "fine_tune")
        if self.training and not trains:
            raise ConfigError(f"[sklearn] expected training= with methods head and fine_tune, got {self.method!r}")
        if self.model is None:
            if trains:
                raise ConfigError(f"[sklearn] expected a model to train with method={self.method!r}, got None")
            X, y = validate_data(self, X, y, dtype=np.float32)
        else:
            X, y = as_samples(X), column_or_1d(y, warn=True)
            check_consistent_length(X, y)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if trains:
            self._train(self.model, X, numbers)
            return self
        self._features = None if self.model is None else self._features_of(self.model)
        table = X if self._features is None else self._features.transform(X)
        if self.method == "ridge":
            self.probe_ = fit_linear(table, numbers, ridge=self.ridge, num_classes=len(self.classes_))
        else:
            if not 1 <= self.k <= len(table):
                raise ConfigError(f"[sklearn] expected 1 <= k <= {len(table)} samples, got {self.k}")
            self.table_, self.numbers_ = table, numbers
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each sample, (N,), of the dtype that y had."""
        check_is_fitted(self, "classes_")
        scores = self._probabilities(X) if self.method == "knn" else self._scores(X)
        return np.asarray(self.classes_[scores.argmax(axis=1)])

    @available_if(_gives_scores)
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Scores (N, classes), the largest is the predicted class; of two classes (N,), positive for the second."""
        check_is_fitted(self, "classes_")
        scores = self._scores(X)
        if len(self.classes_) != 2:
            return scores
        return np.asarray(scores[:, 1] - scores[:, 0])

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities (N, classes) in the order of `classes_`."""
        check_is_fitted(self, "classes_")
        return self._probabilities(X)

    # ---- how each method answers
    def _features_of(self, model: str | os.PathLike[str] | Model) -> BitFeatures:
        names = ("preprocessing", "dtype", "batch_size", "threads", "cache", "max_pixels")
        return BitFeatures(model, **{name: getattr(self, name) for name in names})

    def _train(self, model: Any, X: list[Any], numbers: NDArray[np.int64]) -> None:
        options: dict[str, Any] = {"seed": self.seed, "threads": self.threads, "dtype": self.dtype}
        options |= {"train": _HEAD} if self.method == "head" else {}
        options |= self.training or {}
        names = [str(name) for name in self.classes_]
        pair = ([image.value for image in images_of(X)], numbers)
        data = datasets.open(pair, class_names=names, validation_fraction=0, max_pixels=self.max_pixels).train
        self.model_ = fine_tune(self._features_of(model).loaded_model(), data, **options).model

    def _scores(self, X: Any) -> NDArray[np.float64]:
        if self.method == "ridge":
            return self.probe_.scores(self._table(X))
        model = self.model_
        spec = model.preprocessing if self.preprocessing is None else self.preprocessing
        options = ImageOptions(spec, self.batch_size, self.threads, False, False, self.max_pixels)
        parts = outputs_of_batches(model.loaded, images_of(as_samples(X)), options, "logits", [], "predict")
        return np.concatenate([np.empty((0, len(self.classes_))), *(logits for _, _, logits in parts)])

    def _probabilities(self, X: Any) -> NDArray[np.float64]:
        if self.method != "knn":
            return softmax(self._scores(X))
        rows, _ = nearest(self.table_, self._table(X), self.k)
        votes = np.eye(len(self.classes_))[self.numbers_]
        return np.asarray(votes[rows].mean(axis=1))

    def _table(self, X: Any) -> NDArray[np.float32]:
        if self._features is None:
            return np.asarray(validate_data(self, X, dtype=np.float32, reset=False))
        return self._features.transform(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.model is not None:
            tags.no_validation = True
            tags.input_tags.one_d_array = tags.input_tags.three_d_array = tags.input_tags.string = True
            tags.input_tags.two_d_array = False
        return tags
