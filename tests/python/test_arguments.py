# SPDX-License-Identifier: Apache-2.0
"""Arguments of the wrong kind: a sentence that says what was expected and what came, for every call alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pybit
import pytest
from pybit.base.arrays import to_numpy
from small_models import batch, small_model

IMAGE = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    return small_model(num_classes=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(batch(), threads=-1), "expected 0 or more threads, got -1"),
        (lambda m: m(batch(), threads="2"), "expected threads as a whole number, got str '2'"),
        (lambda m: m.predict(IMAGE, threads=1.0), r"expected threads as a whole number, got float 1\.0"),
        (lambda m: m.predict(IMAGE, batch_size="4"), "expected batch_size as a whole number, got str '4'"),
        (lambda m: m.embed(IMAGE, 0), "expected batch_size of at least 1, got 0"),
        (lambda m: m.predict(IMAGE, topk=0), "expected topk of at least 1, got 0"),
        (lambda m: m.predict(IMAGE, activation="relu"), "expected activation softmax or sigmoid, got 'relu'"),
        (lambda m: m.predict("/no/such/*.jpg"), r"patterns are not expanded here, pass sorted\(glob\.glob"),
        (lambda m: m.predict(["-"]), "there is no '-': open standard input"),
        (lambda m: m.reset_classifier("3"), "expected num_classes as a whole number, got str '3'"),
        (lambda m: m.plan("64"), "expected a size in pixels"),
        (lambda m: pybit.evaluate(m, "photos/"), r"expected a data set, got str: pass pybit\.datasets\.open"),
        (lambda m: pybit.set_num_threads("2"), "expected threads as a whole number"),  # type: ignore[arg-type]
    ],
)
def test_what_was_expected_is_said(model: pybit.Model, call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(pybit.ConfigError, match=message):
        call(model)


@pytest.mark.parametrize("workers", [-1, "2"])
def test_evaluate_says_what_it_expects(model: pybit.Model, workers: Any) -> None:
    data = pybit.datasets.open((np.zeros((4, 8, 8, 3), np.uint8), [0, 1, 0, 1])).train
    for keyword in ("workers", "batch_size", "threads"):
        with pytest.raises(pybit.ConfigError, match="expected"):
            pybit.evaluate(model, data, **{keyword: workers})


def test_a_plan_takes_a_height_and_a_width(model: pybit.Model) -> None:
    assert repr(model.plan((64, 96))) == repr(model.plan(64, 96)) != repr(model.plan(64))  # type: ignore[arg-type]


def test_bfloat16_of_jax_is_widened(model: pybit.Model) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = batch().astype(ml_dtypes.bfloat16)
    found, _ = to_numpy(x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(model(x), model(x.astype(np.float32)))
