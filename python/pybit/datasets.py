# SPDX-License-Identifier: Apache-2.0
"""Labelled images for training and evaluation: folders, CIFAR archives, CSV lists, NumPy arrays.

    train, validation = pybit.datasets.open("photos/")
    for batch in train.batches(32, resize=160, crop=128, seed=1):
        batch.images, batch.labels

Everything random is a function of a seed and of positions, never of what was drawn before: a loader that starts at step
1000 hands out what one that has run from step 0 hands out there, with any number of threads.
"""

from pybit.data.datasets import BatchLoader, Dataset, LabelledBatch, SkippedExample, Splits, open

__all__ = ["BatchLoader", "Dataset", "LabelledBatch", "SkippedExample", "Splits", "open"]
