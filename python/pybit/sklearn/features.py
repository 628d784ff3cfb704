# SPDX-License-Identifier: Apache-2.0
"""BitFeatures: images to features, as a scikit-learn transformer."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from pybit.data.inputs import Inputs
from pybit.data.options import ImageOptions, PreprocessSpec
from pybit.model.model import Model
from pybit.sklearn.cache import FeatureCache, Missing
from pybit.sklearn.holder import ModelHolder
from pybit.sklearn.samples import as_samples, images_of


class BitFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turns images into the pooled features of a BiT model, float32 (N, num_features).

        make_pipeline(BitFeatures("BiT-M-R50x1", cache="features/"), LogisticRegression()).fit(paths, labels)

    X is one image per sample: paths, encoded bytes, PIL images, or arrays (N,H,W,C) or (N,H,W) of uint8 or of floats in
    [0, 1]; images in a list may have any sizes. Nothing is learned: `fit` checks the parameters and loads the model.

    Args:
        model: a checkpoint's path, the name of a released model, or a `pybit.Model`. Given by path or name, clones and
            pickles hold just that, and each process loads the model when it first needs it; a clone of an estimator
            that has loaded its model shares it.
        preprocessing: a `pybit.PreprocessSpec`; None: the model's own.
        dtype: what a model given by path or name computes in: "float32", "bfloat16" or "float64".
        batch_size: images at a time; None: chosen for the model.
        threads: that decode and compute; 0: all allowed, which within joblib's workers is their share.
        cache: a folder that keeps features by the images' content, so that folds, grids and later runs compute those of
            an image once; None: nothing is kept. Processes may share it. Rows that were computed in batches of
            another size may differ in the last digits.
        max_pixels: larger images are refused; None: the limit of `pybit.data.read_image`.

    Raises ConfigError or ShapeError for parameters and X that cannot be, FormatError for damaged images, OSError for
    files that cannot be read. Methods other than `fit` and `set_params` may be called by several threads at once after
    `fit`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = "BiT-M-R50x1",
        *,
        preprocessing: PreprocessSpec | None = None,
        dtype: str = "float32",
        batch_size: int | None = None,
        threads: int = 0,
        cache: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self.model = model
        self.preprocessing = preprocessing
        self.dtype = dtype
        self.batch_size = batch_size
        self.threads = threads
        self.cache = cache
        self.max_pixels = max_pixels

    def fit(self, X: Any, y: Any = None) -> BitFeatures:
        """Check the parameters and that X is one image per sample, and load the model; returns self."""
        self._inputs(X)
        self._options(self.loaded_model())
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The pooled features, one row per image, in the order of X."""
        inputs, model = self._inputs(X), self.loaded_model()
        options = self._options(model)
        if self.cache is None:
            return self._compute(model, inputs, options)
        table = np.empty((inputs.total or 0, model.num_features), np.float32)
        cache = FeatureCache(self.cache, model, self._holder.digest(model), options.preprocessing)
        missing = Missing(inputs, cache, table)
        computed = self._compute(model, Inputs(iter(missing), []), options)
        for (row, image), features in zip(missing.rows, computed, strict=True):
            table[row] = features
            cache.write(image, features)
        return table

    def loaded_model(self) -> Model:
        """The model, loaded on the first call."""
        if not hasattr(self, "_holder"):
            self._holder = ModelHolder()
        return self._holder.get(self.model, self.dtype)

    @property
    def _n_features_out(self) -> int:
        return self.loaded_model().num_features

    def _inputs(self, X: Any) -> Inputs:
        """The images of X; a subclass may make them of something else."""
        return images_of(as_samples(X))

    def _options(self, model: Model) -> ImageOptions:
        spec = model.preprocessing if self.preprocessing is None else self.preprocessing
        return ImageOptions(spec, self.batch_size, self.threads, False, False, self.max_pixels)

    def _compute(self, model: Model, inputs: Inputs, options: ImageOptions) -> NDArray[np.float32]:
        rows = model.embed(
            inputs,
            options.batch_size,
            threads=options.threads,
            progress=False,
            preprocessing=self.preprocessing,
            max_pixels=options.max_pixels,
        )
        return np.asarray(rows, np.float32)

    def __sklearn_clone__(self) -> Any:
        other = super().__sklearn_clone__()
        if hasattr(self, "_holder"):
            other._holder = self._holder
        return other

    def __sklearn_is_fitted__(self) -> bool:
        return True  # nothing is learned

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.one_d_array = tags.input_tags.three_d_array = tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []  # float32 whatever comes
        return tags
