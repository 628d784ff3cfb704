# SPDX-License-Identifier: Apache-2.0
"""Arrays in, arrays out: families, layouts, levels, messages."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
import warnings
from typing import Any

import numpy as np
import pybit
import pytest
from small_models import batch, small_model

# The same numbers by another way of calling must be the same bits: one engine computes them all.


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    return small_model()


def test_logits_features_and_head_agree(model: pybit.Model) -> None:
    x = batch()
    y = model(x)
    assert y.shape == (2, 5) and y.dtype == np.float32 and np.abs(y).max() > 0
    features = model.forward_features(x)
    assert features.shape == (2, 1024, 2, 2) and features.min() >= 0  # after a ReLU
    pooled = model.forward_head(features, pre_logits=True)
    assert pooled.shape == (2, 1024)
    # Means and products of 1024 float32 numbers summed in another order: a few 1e-7 of the largest.
    np.testing.assert_allclose(pooled, features.mean(axis=(2, 3)), rtol=0, atol=2e-6 * features.max())
    np.testing.assert_allclose(model.forward_head(features), y, rtol=0, atol=2e-6 * np.abs(y).max())
    assert np.abs(model.forward_head(1.001 * features) - y).max() > 2e-6 * np.abs(y).max()  # negative control


def test_nhwc_and_any_strides_give_the_same_numbers(model: pybit.Model) -> None:
    x = batch()
    y = model(x)
    nhwc = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(model(nhwc, layout="nhwc"), y)
    np.testing.assert_array_equal(model(nhwc.transpose(0, 3, 1, 2)), y)
    np.testing.assert_array_equal(model(np.flip(np.flip(x, 3).copy(), 3)), y)  # negative strides
    wide = np.zeros((2, 3, 40, 96), np.float32)
    wide[..., ::2] = x
    np.testing.assert_array_equal(model(wide[..., ::2]), y)
    frozen = x.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(model(frozen), y)
    maps = model.forward_features(nhwc, layout="nhwc")
    np.testing.assert_array_equal(maps.transpose(0, 3, 1, 2), model.forward_features(x))


def test_other_float_formats_are_converted(model: pybit.Model) -> None:
    x = batch().astype(np.float16)
    y = model(x.astype(np.float32))
    for dtype in (np.float16, np.float64, ">f4", np.longdouble):
        np.testing.assert_array_equal(model(x.astype(dtype)), y)
    raw = np.zeros(x.size * 4 + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)  # not aligned
    raw[:] = x
    np.testing.assert_array_equal(model(raw), y)


def test_float64_models_compute_in_double_precision() -> None:
    x = batch(1)
    exact, fast = small_model(dtype="float64"), small_model()
    assert exact.dtype == "float64" and exact(x).dtype == np.float64
    error = np.abs(exact(x) - fast(x)).max() / np.abs(exact(x)).max()
    assert 0 < error < 1e-5  # float32 differs, by no more than design.md section 6 allows


def test_an_empty_batch_gives_empty_results(model: pybit.Model) -> None:
    x = batch(0)
    assert model(x).shape == (0, 5)
    assert model.forward_features(x).shape == (0, 1024, 2, 2)
    assert model.forward_head(np.zeros((0, 1024, 2, 2), np.float32)).shape == (0, 5)


def test_one_pixel_is_an_image(model: pybit.Model) -> None:
    assert model(np.zeros((1, 3, 1, 1), np.float32)).shape == (1, 5)


class Dlpack:
    """An array of no family that NumPy knows, readable by DLPack only."""

    def __init__(self, a: Any) -> None:
        self.a = a

    def __dlpack__(self, **options: Any) -> Any:
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.a.__dlpack_device__()


class Standard(Dlpack):
    """An array of a library that follows the array API standard."""

    def __array_namespace__(self) -> Any:
        return self

    @staticmethod
    def asarray(a: Any) -> Standard:
        return Standard(a)


class Interface:
    """An array that offers __array_interface__ only."""

    def __init__(self, a: Any) -> None:
        self.a = a
        self.__array_interface__ = a.__array_interface__


def test_any_array_protocol_is_understood(model: pybit.Model) -> None:
    x = batch()
    y = model(x)
    for other in (Dlpack(x), Interface(x), memoryview(x.data), x.tolist()):
        found = model(other)
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, y)
    family = model(Standard(x))
    assert isinstance(family, Standard)
    np.testing.assert_array_equal(family.a, y)


def test_torch_tensors_come_back_as_torch_tensors(model: pybit.Model) -> None:
    torch = pytest.importorskip("torch")
    x = batch()
    y = model(x)
    t = model(torch.from_numpy(x))
    assert isinstance(t, torch.Tensor)
    np.testing.assert_array_equal(t.numpy(), y)
    channels_last = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(model(channels_last).numpy(), y)
    _, maps = model.forward_intermediates(torch.from_numpy(x))
    assert all(isinstance(m, torch.Tensor) for m in maps)
    half = torch.from_numpy(x).bfloat16()
    np.testing.assert_array_equal(model(half).numpy(), model(half.float().numpy()))
    wants = torch.from_numpy(x).requires_grad_()
    with pytest.raises(ValueError, match="gradients do not flow.*x.detach"):
        model(wants)
    with torch.no_grad():
        np.testing.assert_array_equal(model(wants).numpy(), y)
    with pytest.raises(ValueError, match=r"in main memory, got one on meta; call x.cpu"):
        model(torch.zeros(1, 3, 8, 8, device="meta"))


def test_torch_is_not_imported_for_other_arrays() -> None:
    code = """
import sys
import numpy as np, pybit
m = pybit.create_model("small", 2, units=(1, 1, 1, 1), stem_channels=32)
m(np.zeros((1, 3, 8, 8), np.float32))
heavy = [n for n in ("torch", "PIL", "h5py", "matplotlib", "tqdm", "http.client", "ssl") if n in sys.modules]
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3, 8), np.float32), r"\(N, C, H, W\) with C = 3, got \(2, 3, 8\); add the batch axis"),
        (np.zeros(3, np.float32), r"got \(3,\)$"),
        (np.zeros((2, 8, 8, 3), np.float32), r'got \(2, 8, 8, 3\); pass layout="nhwc"\?'),
        (np.zeros((2, 4, 8, 8), np.float32), r"with C = 3, got \(2, 4, 8, 8\)$"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"got uint8 of shape \(2, 3, 8, 8\); .*model.predict.*x / 127.5 - 1"),
        (np.zeros((2, 3, 8, 8), np.int64), r"array of floats, got dtype int64"),
        (np.zeros((2, 3, 8, 8), np.complex64), r"got dtype complex64"),
        ("cat.jpg", r"got text; for image files use model.predict"),
        ([[1, 2], [3]], r"expected an array of numbers, got list"),
        (None, r"got objects"),
        (np.zeros((1, 3, 0, 8), np.float32), r"h=0"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_refused_with_what_to_do(model: pybit.Model, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(x)


def test_wrong_options_are_refused(model: pybit.Model) -> None:
    with pytest.raises(ValueError, match='expected layout "nchw" or "nhwc", got "?\'?NCHW'):
        model(batch(), layout="NCHW")
    with pytest.raises(ValueError, match=r"features: expected shape .* C = 1024, got \(1, 7, 2, 2\)"):
        model.forward_head(np.zeros((1, 7, 2, 2), np.float32))


def test_levels_are_those_of_timm(model: pybit.Model) -> None:
    x = batch(1, 64)
    last, maps = model.forward_intermediates(x)
    np.testing.assert_array_equal(last, model.forward_features(x))
    assert [m.shape[1] for m in maps] == [32, 128, 256, 512, 1024] == [i["num_chs"] for i in model.feature_info]
    assert [i["reduction"] for i in model.feature_info] == [2, 4, 8, 16, 32]
    assert [i["module"] for i in model.feature_info] == ["stem.conv", *(f"stages.{i}" for i in range(4))]
    for m, info in zip(maps, model.feature_info, strict=True):
        assert m.shape[2:] == (-(-64 // info["reduction"]), -(-72 // info["reduction"]))
    assert maps[0].min() < 0 and maps[4].min() < 0  # the raw convolution, the raw sum

    def same(indices: Any, expected: list[int]) -> None:
        found = model.forward_intermediates(x, indices, intermediates_only=True)
        assert len(found) == len(expected)
        for a, i in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, maps[i])

    same([0, -1], [0, 4])
    same(2, [3, 4])
    same(["block2", 1, -4], [2, 1, 1])
    same((np.int64(3),), [3])
    same([], [])
    normed = model.forward_intermediates(x, [4], norm=True, intermediates_only=True)[0]
    np.testing.assert_array_equal(normed, last)


@pytest.mark.parametrize("indices", [[5], [-6], ["block5"], [1.0], 0, 6, -1])
def test_a_wrong_level_is_refused_with_the_valid_ones(model: pybit.Model, indices: Any) -> None:
    with pytest.raises(ValueError, match='valid levels are 0 or "stem", 1 or "block1".*-1 to -5'):
        model.forward_intermediates(batch(1), indices)


def test_output_stride_keeps_the_resolution() -> None:
    for stride, sides in ((32, (2, 2)), (16, (4, 4)), (8, (7, 8))):
        model = small_model(output_stride=stride)
        assert model.forward_features(batch(1, 56)).shape[2:] == sides
        assert [i["reduction"] for i in model.feature_info] == [min(r, stride) for r in (2, 4, 8, 16, 32)]
    assert "output stride 8" in repr(model)


def test_other_numbers_of_input_channels() -> None:
    model = small_model(in_chans=1)
    assert model(batch(1, channels=1)).shape == (1, 5)
    with pytest.raises(ValueError, match="C = 1"):
        model(batch(1))
    with pytest.raises(ValueError, match="images have 3 channels, the model takes 1"):
        model.predict([np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda x: 127.5 * (x + 1), r"look like pixels in \[0, 255\]: use x / 127.5 - 1"),
        (lambda x: 0.5 * (x + 1), r"look like pixels in \[0, 1\]: use 2 \* x - 1"),
        (lambda x: (0.5 * (x + 1) - 0.45) / 0.225, "normalised by ImageNet's mean and deviation"),
    ],
)
def test_values_of_another_range_are_reported_once(transform: Any, message: str) -> None:
    model = small_model()
    with pytest.warns(UserWarning, match=r"expects images in \[-1, 1\]; values from .*" + message) as caught:
        model(transform(batch()))
    assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(transform(batch()))


def test_usual_values_raise_no_range_warning(model: pybit.Model) -> None:
    rng = np.random.default_rng(0)
    shape = (2, 3, 32, 32)
    for x in (
        np.zeros(shape),
        np.ones(shape),
        rng.standard_normal(shape),
        rng.uniform(-1, 1, shape),
        np.full(shape, np.nan),
    ):
        model(x.astype(np.float32))  # warnings are errors here


def test_the_model_shows_itself(model: pybit.Model) -> None:
    text = repr(model)
    for fact in (
        "units {1,1,1,1}, stem 32",
        "5 classes",
        "float32",
        "2,012,453 parameters",
        "7.7 MiB",
        "random, seed 0",
    ):
        assert fact in text
    count = sum(v.size for v in model.state_dict().values())
    assert count == 2_012_453
    html = model._repr_html_()
    assert html.startswith("<table>") and "2,012,453" in html and "squash to 224 x 224, bilinear" in html
    model = small_model()
    model.name = "<script>"
    assert "<script>" not in model._repr_html_()


def test_summary_and_memory_plan_know_the_network(model: pybit.Model) -> None:
    steps = model.summary(64)
    # Weights of fused norms are counted once each, with the step that holds them.
    assert sum(s["parameters"] for s in steps) == 2_012_453
    assert sum(s["macs"] for s in model.summary(64, batch=3)) == 3 * sum(s["macs"] for s in steps)
    plan = model.memory_plan((64, 96))
    assert plan["arena_bytes"] > 0 and plan["weights_bytes"] > 7_000_000
    with pytest.raises(ValueError, match="expected a size in pixels"):
        model.summary(0)


def test_many_threads_share_one_model(model: pybit.Model) -> None:
    inputs = [batch(1, 32, seed) for seed in range(4)]
    expected = [model(x) for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(5):
            if not np.array_equal(model(inputs[k], threads=1), expected[k]):
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


def test_results_do_not_depend_on_the_number_of_threads(model: pybit.Model) -> None:
    x = batch(3)
    np.testing.assert_array_equal(model(x, threads=1), model(x, threads=2))
    before = pybit.get_num_threads()
    try:
        pybit.set_num_threads(1)
        assert pybit.get_num_threads() == 1
        np.testing.assert_array_equal(model(x), model(x, threads=2))
    finally:
        pybit.set_num_threads(0)
    assert pybit.get_num_threads() == before
    with pytest.raises(ValueError, match="expected 0 or more threads, got -1"):
        pybit.set_num_threads(-1)


def test_copies_share_the_network_but_not_its_replacement(model: pybit.Model) -> None:
    x = batch(1)
    for other in (copy.copy(model), copy.deepcopy(model)):
        np.testing.assert_array_equal(other(x), model(x))
        other.reset_classifier(3)
        assert other.num_classes == 3 and model.num_classes == 5


def test_build_info_names_what_bug_reports_need() -> None:
    info = pybit.build_info()
    assert info["version"] == pybit.__version__
    assert info["threads"] == pybit.get_num_threads() >= 1
    assert {"compiler", "isa", "openmp_runtimes", "numpy", "python", "optional", "OMP_NUM_THREADS"} <= set(info)
    if sys.platform == "linux":
        assert info["openmp_runtimes"]


FORK = """
import multiprocessing, sys
import numpy as np, pybit

model = pybit.create_model("small", units=(1, 1, 1, 1), stem_channels=32, num_classes=5)
x = np.full((2, 3, 40, 40), 0.25, np.float32)
expected = model(x)

def work(given):  # one model came by fork, the other by pickle; neither may wait for threads of the parent
    return model(x, threads=2), given(x), pybit.get_num_threads()

with multiprocessing.get_context("fork").Pool(2) as pool:
    for inherited, pickled, threads in pool.map_async(work, [model, model]).get(60):
        assert np.array_equal(inherited, expected) and np.array_equal(pickled, expected) and threads == 1
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_pool_computes_after_the_parent_used_threads() -> None:
    found = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=100, check=False)
    assert found.stdout == "done\n", found.stderr
