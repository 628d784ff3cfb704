# SPDX-License-Identifier: Apache-2.0
"""Evaluate features without fine-tuning: linear probes in closed form, nearest neighbours, few-shot accuracy.

    features = model.embed("photos/")              # a folder with one folder per class
    print(pybit.probe.few_shot(features.features, features.classes, shots=(1, 5, "full")))

The linear probe is ridge regression of one-hot targets (+1 and -1, unpenalised intercept); its strength is chosen by
exact leave-one-out on the training examples (include/bit/eval/ridge.hpp), so nothing is tuned on the test set.
"""

from pybit.evaluation.probe import (
    FewShotReport,
    LinearProbe,
    ShotResult,
    few_shot,
    fit_linear,
    knn_predict,
    nearest,
    split,
)

__all__ = ["FewShotReport", "LinearProbe", "ShotResult", "few_shot", "fit_linear", "knn_predict", "nearest", "split"]
