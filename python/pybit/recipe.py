# SPDX-License-Identifier: Apache-2.0
"""BiT-HyperRule: resolution, mixup and learning-rate plan from a data set's size and its images' size."""

from pybit.train.recipe import HyperRule, hyper_rule, known_image_size

__all__ = ["HyperRule", "hyper_rule", "known_image_size"]
