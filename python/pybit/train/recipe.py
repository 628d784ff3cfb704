# SPDX-License-Identifier: Apache-2.0
"""BiT-HyperRule: resolution, mixup and learning-rate plan from a data set's size and its images' size."""

from __future__ import annotations

import operator

from pybit._core import HyperRule, known_image_size
from pybit.errors import ConfigError

__all__ = ["HyperRule", "hyper_rule", "known_image_size"]


def hyper_rule(num_examples: int, image_size: tuple[int, int] | str, base_lr: float = 0.003) -> HyperRule:
    """The recipe for fine-tuning on a data set (arXiv:1912.11370, section 3.3; big_transfer's bit_hyperrule.py).

    Args:
        num_examples: size of the training set.
        image_size: (height, width) of the images as they come, or the name of one of the reference's data sets:
            cifar10, cifar100, oxford_iiit_pet, oxford_flowers102, imagenet2012.
        base_lr: the rate after the warm-up; the reference's is meant for batches of 512.

    Returns:
        An object with `.resolution` (resize, crop), `.mixup_alpha` (0.0: no mixup), `.schedule` (end of the warm-up,
        steps after which the rate falls to a tenth, number of steps), `.steps`, `.lr(step)` (None after the end) and
        `.replace(schedule=..., resolution=..., mixup_alpha=..., base_lr=...)`, a changed copy.

    Raises:
        ConfigError: no examples, an empty image, an unknown name or a rate that is not a positive number.

    Example:
        >>> rule = hyper_rule(50_000, (32, 32))
        >>> rule
        BiT-HyperRule for 50000 images of 32 x 32
          resolution  resize to 160, crop 128
          mixup       alpha 0.1
          steps       10000
          rate        0 to 0.003 until step 500, 0.0003 after 3000, 3e-05 after 6000, 3e-06 after 9000
        >>> rule.lr(3000), rule.lr(10_000)
        (0.003, None)
    """
    if isinstance(image_size, str):
        known = known_image_size(image_size)
        if known is None:
            raise ConfigError(f"[hyper_rule] expected (height, width) or a known data set, got '{image_size}'")
        image_size = known
    try:
        height, width = map(operator.index, image_size)
        examples = operator.index(num_examples)
    except (TypeError, ValueError):
        height, width, examples = 0, 0, 0
    if min(height, width, examples) < 1:
        raise ConfigError(
            "[hyper_rule] expected at least 1 example of at least 1 x 1 pixels, "
            f"got {num_examples!r} of (height, width) {image_size!r}"
        )
    return HyperRule(examples, height, width, base_lr)
