# SPDX-License-Identifier: Apache-2.0
"""Resizing and preprocessing against Pillow, and against TensorFlow's rule written out."""

from __future__ import annotations

import numpy as np
import PIL
import pybit.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pybit.data import preprocess, resize

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# Pillow 13 runs the vertical pass first for some sizes; 12.2 and 12.3 do so only for h > 100 w.
HERE = "pillow" if int(PIL.__version__.split(".")[0]) >= 13 else "pillow12"

sizes = st.integers(1, 70)
long_sizes = st.integers(200, 900)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def with_pillow(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), FILTERS[interpolation]))


@given(sizes, sizes, sizes, sizes, st.integers(0, 2**32 - 1), st.sampled_from(sorted(FILTERS)))
@settings(max_examples=300)
def test_8_bit_resizing_equals_pillow_on_any_sizes_up_and_down(h, w, to_h, to_w, seed, interpolation):
    image = noise(h, w, seed)
    ours = resize(image, (to_h, to_w), interpolation, HERE)
    np.testing.assert_array_equal(ours, with_pillow(image, to_h, to_w, interpolation))


@given(long_sizes, long_sizes, sizes, sizes, st.integers(0, 99), st.sampled_from(sorted(FILTERS)))
@settings(max_examples=25)
def test_large_reductions_equal_pillow(h, w, to_h, to_w, seed, interpolation):
    image = noise(h, w, seed)
    ours = resize(image, (to_h, to_w), interpolation, HERE)
    np.testing.assert_array_equal(ours, with_pillow(image, to_h, to_w, interpolation))


@pytest.mark.parametrize("interpolation", sorted(FILTERS))
@pytest.mark.parametrize(
    "shape", [(1, 1, 7, 5), (1, 9, 1, 1), (2000, 3, 2, 3), (3, 2000, 3, 2), (5, 5, 5, 5), (1, 1, 1, 1)]
)
def test_extreme_sizes_equal_pillow(shape, interpolation):
    h, w, to_h, to_w = shape
    image = noise(h, w, 3)
    ours = resize(image, (to_h, to_w), interpolation, HERE)
    np.testing.assert_array_equal(ours, with_pillow(image, to_h, to_w, interpolation))


@given(sizes, sizes, sizes, sizes, st.integers(0, 2**32 - 1), st.sampled_from(sorted(FILTERS)))
@settings(max_examples=100)
def test_float_resizing_equals_pillow_mode_f(h, w, to_h, to_w, seed, interpolation):
    image = np.random.default_rng(seed).normal(size=(h, w, 3)).astype(np.float32)
    planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(3)]
    expected = np.stack([p.resize((to_w, to_h), FILTERS[interpolation]) for p in planes], -1)
    np.testing.assert_array_equal(resize(image, (to_h, to_w), interpolation, HERE), expected)


def test_pillow12_runs_the_horizontal_pass_first():
    image = noise(60, 40, 5)
    both = resize(resize(image, (60, 30), "bicubic"), (20, 30), "bicubic")
    np.testing.assert_array_equal(resize(image, (20, 30), "bicubic", "pillow12"), both)
    assert not np.array_equal(resize(image, (20, 30), "bicubic", "pillow"), both)  # vertical first there


def tf_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """tf.image.resize(antialias=False) in float64: half-pixel centres, clamped neighbours."""

    def axis(size: int, to: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = (np.arange(to) + 0.5) * (size / to) - 0.5
        low = np.floor(at)
        return low.clip(0, size - 1).astype(int), np.ceil(at).clip(0, size - 1).astype(int), at - low

    top, bottom, down = axis(image.shape[0], height)
    left, right, across = axis(image.shape[1], width)
    rows = image[top] * (1 - down)[:, None, None] + image[bottom] * down[:, None, None]
    return rows[:, left] * (1 - across)[None, :, None] + rows[:, right] * across[None, :, None]


@given(sizes, sizes, sizes, sizes, st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_tf_resizing_follows_tensorflows_rule(h, w, to_h, to_w, seed):
    image = noise(h, w, seed)
    ours = resize(image, (to_h, to_w), resampling="tf")
    # TensorFlow's positions are float32: up to 70 pixels they are off by 2^-17 at most, times 255 levels and two axes.
    # A position that rounds onto a whole pixel is continuous, so no jump adds to that.
    bound = 2 * 255 * 2.0**-17
    error = np.abs(ours - tf_bilinear(image.astype(np.float64), to_h, to_w)).max()
    assert error <= bound


def test_tf_bound_catches_corner_aligned_positions():
    image = noise(30, 30, 1)
    shifted = tf_bilinear(np.roll(image, 1, 0).astype(np.float64), 20, 20)
    assert np.abs(resize(image, 20, resampling="tf") - shifted).max() > 1


def normalised(image: np.ndarray) -> np.ndarray:
    """ToTensor and Normalize(0.5, 0.5) of torchvision: float32 operations in this order, (3,h,w)."""
    half = np.float32(0.5)
    return ((image.astype(np.float32) / np.float32(255) - half) / half).transpose(2, 0, 1)


def reference_center_crop(image: np.ndarray, size: int, crop_pct: float, interpolation: str) -> np.ndarray:
    """timm's evaluation transform as torchvision does it: Resize(shortest), CenterCrop, ToTensor, Normalize."""
    edge = int(np.floor(size / crop_pct))
    h, w = image.shape[:2]
    to_h, to_w = (edge, int(edge * w / h)) if h <= w else (int(edge * h / w), edge)
    resized = with_pillow(image, to_h, to_w, interpolation)
    top, left = int(round((to_h - size) / 2.0)), int(round((to_w - size) / 2.0))
    return normalised(resized[top : top + size, left : left + size])


@given(
    st.integers(1, 120), st.integers(1, 120), st.integers(1, 40), st.sampled_from([0.875, 0.95, 1.0, 0.9]),
    st.sampled_from(sorted(FILTERS)),
)  # fmt: skip
@settings(max_examples=150)
def test_center_crop_equals_timms_transform_to_the_bit(h, w, size, crop_pct, interpolation):
    image = noise(h, w, h * 131 + w)
    ours = preprocess(image, size, "center_crop", interpolation, crop_pct=crop_pct, resampling=HERE)
    np.testing.assert_array_equal(ours[0], reference_center_crop(image, size, crop_pct, interpolation))


@given(sizes, sizes, sizes, sizes, st.sampled_from(sorted(FILTERS)))
@settings(max_examples=100)
def test_squash_equals_the_references_transform_to_the_bit(h, w, to_h, to_w, interpolation):
    image = noise(h, w, h * 131 + w)
    expected = normalised(with_pillow(image, to_h, to_w, interpolation))
    ours = preprocess(image, (to_h, to_w), "squash", interpolation, resampling=HERE)
    np.testing.assert_array_equal(ours[0], expected)
    nhwc = preprocess(image, (to_h, to_w), "squash", interpolation, resampling=HERE, layout="nhwc")
    np.testing.assert_array_equal(nhwc[0].transpose(2, 0, 1), expected)


def test_normalisation_equals_torchs_operations():
    torch = pytest.importorskip("torch", reason="make test-oracle installs it")
    levels = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    tensor = torch.from_numpy(levels.transpose(2, 0, 1).copy())
    expected = tensor.to(torch.float32).div(255).sub_(0.5).div_(0.5).numpy()
    np.testing.assert_array_equal(normalised(levels), expected)
    np.testing.assert_array_equal(preprocess(levels, 16)[0], expected)


def test_tf_preprocessing_normalises_unrounded_values():
    image = noise(50, 31, 2)
    expected = (resize(image, 20, resampling="tf") - np.float32(127.5)) / np.float32(127.5)
    np.testing.assert_array_equal(preprocess(image, 20, resampling="tf", layout="nhwc")[0], expected)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "crop"}, "expected mode 'squash' or 'center_crop', got 'crop'"),
        ({"interpolation": "lanczos"}, "expected interpolation 'bilinear' or 'bicubic', got 'lanczos'"),
        ({"resampling": "cv2"}, "expected resampling 'pillow' or 'pillow12' or 'tf', got 'cv2'"),
        ({"layout": "chwn"}, "expected layout 'nchw' or 'nhwc', got 'chwn'"),
        ({"crop_pct": 1.5}, r"expected crop_pct in \(0,1\], got 1.5"),
        ({"size": 0}, "expected size as a positive int"),
        ({"size": (1, 2, 3)}, "expected size as a positive int"),
        ({"size": 2.5}, "expected size as a positive int"),
        ({"interpolation": "bicubic", "resampling": "tf"}, "use resampling pillow"),
    ],
)
def test_unknown_options_name_the_known_ones(options, text):
    with pytest.raises(ValueError, match=text):
        pybit.data.PreprocessSpec(**options)
