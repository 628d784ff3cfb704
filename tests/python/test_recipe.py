# SPDX-License-Identifier: Apache-2.0
"""BiT-HyperRule, mixup and few-shot choices as Python sees them."""

from __future__ import annotations

import doctest

import _core_testing
import numpy as np
import pybit
import pybit.data.datasets
import pybit.train.recipe
import pytest
from hypothesis import given
from hypothesis import strategies as st


def reference_lr(step: int, n: int, base_lr: float) -> float | None:
    """The rule of the paper's code in our own words, with its strict comparison."""
    points = (
        [100, 200, 300, 400, 500]
        if n < 20_000
        else [500, 3000, 6000, 9000, 10_000]
        if n < 500_000
        else [500, 6000, 12_000, 18_000, 20_000]
    )
    if step >= points[-1]:
        return None
    if step < points[0]:
        return base_lr * step / points[0]
    for point in points[1:]:
        if point < step:
            base_lr /= 10
    return base_lr


@given(st.integers(0, 21_000), st.sampled_from([1, 19_999, 20_000, 499_999, 500_000]), st.sampled_from([0.003, 0.01]))
def test_the_rate_of_every_step_is_the_references_to_the_bit(step, n, base_lr):
    assert pybit.hyper_rule(n, (32, 32), base_lr).lr(step) == reference_lr(step, n, base_lr)


def test_the_rule_of_common_data_sets_is_the_papers():
    rule = pybit.hyper_rule(1000, (32, 32))
    assert rule.resolution == (160, 128)
    assert rule.mixup_alpha == 0.0
    assert rule.schedule == [100, 200, 300, 400, 500]
    assert (rule.steps, rule.base_lr, rule.num_examples, rule.image_size) == (500, 0.003, 1000, (32, 32))
    assert pybit.hyper_rule(1_281_167, "imagenet2012").resolution == (512, 480)
    assert pybit.hyper_rule(50_000, "cifar10").mixup_alpha == 0.1


def test_a_changed_copy_is_checked_and_leaves_the_rule_alone():
    rule = pybit.hyper_rule(1000, (32, 32))
    short = rule.replace(schedule=[10, 20, 30], base_lr=0.03, resolution=(40, 32), mixup_alpha=0.2)
    assert [short.lr(s) for s in (5, 10, 21, 30)] == [0.015, 0.03, 0.003, None]
    assert short.resolution == (40, 32) and short.mixup_alpha == 0.2
    assert rule.steps == 500 and rule.base_lr == 0.003
    for wrong in ({"schedule": []}, {"schedule": [5, 5]}, {"resolution": (32, 40)}, {"base_lr": 0}):
        with pytest.raises(ValueError, match="expected"):
            rule.replace(**wrong)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, (32, 32)), "at least 1 example"),
        ((10, (32, 0)), "at least 1 x 1"),
        ((10, "mnist"), "a known data set, got 'mnist'"),
        ((10, (32, 32), -1.0), "positive base_lr"),
        ((10, (32, 32), float("nan")), "positive base_lr"),
    ],
)
def test_impossible_rules_are_value_errors(arguments, text):
    with pytest.raises(ValueError, match=text):
        pybit.hyper_rule(*arguments)


def test_the_docstring_examples_run():
    assert doctest.testmod(pybit.train.recipe).failed == 0
    assert doctest.testmod(pybit.data.datasets).failed == 0


def test_mixup_mixes_in_place_and_its_labels_add_up():
    images = np.random.default_rng(0).standard_normal((6, 3, 9, 9)).astype(np.float32)
    partners = _core_testing.mixup_partners(6, "previous", 0, 0)
    assert partners.tolist() == [5, 0, 1, 2, 3, 4]
    mixed = images.copy()
    _core_testing.mix_images(mixed, partners, 0.3)
    # float32's rounding of both products and their sum, each below 4
    np.testing.assert_allclose(mixed, 0.3 * images + 0.7 * images[partners], atol=1e-6)
    assert np.abs(mixed - images).max() > 0.1
    rows = _core_testing.mixed_probabilities(np.array([0, 1, 2, 0, 1, 2]), partners, 0.3, 4)
    assert rows[0].tolist() == [0.3, 0, 0.7, 0]
    np.testing.assert_allclose(rows.sum(1), 1)
    with pytest.raises(TypeError):  # a copy would be mixed and thrown away
        _core_testing.mix_images(images[:, ::2], partners, 0.5)
    with pytest.raises(ValueError, match="one partner per image"):
        _core_testing.mix_images(mixed, partners[:3], 0.5)


def test_mixup_weights_are_beta_distributed():
    stats = pytest.importorskip("scipy.stats")
    drawn = [_core_testing.mixup_lambda(0.1, 7, step) for step in range(20_000)]
    assert stats.kstest(drawn, stats.beta(0.1, 0.1).cdf).pvalue > 0.001
    assert stats.kstest(drawn, stats.beta(0.11, 0.11).cdf).pvalue < 0.001  # the negative control
