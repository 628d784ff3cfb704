# SPDX-License-Identifier: Apache-2.0
"""Inputs of every kind, hostile arrays and batches prepared ahead."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pybit.data
import pytest
from PIL import Image
from pybit.data import PreprocessSpec, iterate_batches, preprocess

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus" / "image"
NAMES = ["baseline.jpg", "rgb.png", "lossless.webp", "rgb.bmp"]
SPEC = PreprocessSpec(16)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(10):
        (tmp_path / f"{i}{Path(NAMES[i % 4]).suffix}").write_bytes((CORPUS / NAMES[i % 4]).read_bytes())
    return tmp_path


def threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("pybit-images")}


def test_paths_bytes_pil_images_and_arrays_give_the_same():
    path = CORPUS / "baseline.jpg"
    expected = preprocess(path, 20)
    assert expected.shape == (1, 3, 20, 20)
    assert expected.dtype == np.float32
    pil = Image.open(path)
    for same in (
        str(path),
        path.read_bytes(),
        pil,
        np.asarray(pil),
        [path],
        (p for p in [path]),
        [np.asarray(pil)[None]],
    ):
        np.testing.assert_array_equal(preprocess(same, 20), expected)
    mixed = preprocess([path, np.asarray(pil), pil, pil, noise(2, 5, 5, 3)], 20)
    assert mixed.shape == (6, 3, 20, 20)
    np.testing.assert_array_equal(mixed[2], expected[0])


def test_pil_images_of_any_mode_are_converted_as_files_are():
    image = Image.fromarray(noise(20, 30, 3))
    for mode in ("L", "P", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "1", "PA"):
        converted = image.convert("L").convert(mode) if mode in ("LA", "PA") else image.convert(mode)
        expected = preprocess(np.asarray(converted.convert("RGB")), 10)
        np.testing.assert_array_equal(preprocess(converted, 10), expected)
    wide = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
    np.testing.assert_array_equal(preprocess(Image.fromarray(wide), 10), preprocess((wide >> 8).astype(np.uint8), 10))
    palette = Image.open(CORPUS / "palette2.png")  # its transparency must cause no warning
    np.testing.assert_array_equal(preprocess(palette, 10), preprocess(CORPUS / "palette2.png", 10))
    turned = Image.open(CORPUS / "orientation6.jpg")
    np.testing.assert_array_equal(preprocess(turned, 10), preprocess(CORPUS / "orientation6.jpg", 10))
    values = noise(20, 30)
    expected = preprocess(values, 10)
    np.testing.assert_array_equal(preprocess(Image.fromarray(values.astype(np.float32)), 10), expected)
    np.testing.assert_array_equal(preprocess(Image.fromarray((values / 255).astype(np.float32)), 10), expected)


def test_grey_and_alpha_arrays_become_rgb():
    grey = noise(9, 7)
    expected = preprocess(np.stack([grey] * 3, -1), 8)
    np.testing.assert_array_equal(preprocess(grey, 8), expected)
    np.testing.assert_array_equal(preprocess(grey[..., None], 8), expected)
    rgba = noise(2, 9, 7, 4)
    np.testing.assert_array_equal(preprocess(rgba, 8), preprocess(rgba[..., :3], 8))


def test_float_arrays_are_resized_in_float():
    image = noise(30, 20, 3)
    for dtype in (np.float16, np.float32, np.float64):
        ours = preprocess(image.astype(dtype) / 255, 12)
        # 8-bit resizing rounds twice to half a level of 2/255; float16 input is within 2^-11 of the level.
        assert np.abs(ours - preprocess(image, 12)).max() < 2 * 2 / 255
    shifted = preprocess(np.clip(image / 255 + 0.05, 0, 1), 12)
    assert np.abs(shifted - preprocess(image, 12)).max() > 2 * 2 / 255  # the negative control


def test_strided_reversed_and_read_only_arrays_are_read_right():
    image = noise(24, 30, 3)
    expected = preprocess(image, 8)
    frozen = image.copy()
    frozen.setflags(write=False)
    big = noise(48, 60, 6)
    big[::2, ::2, ::2] = image
    for same in (frozen, image[::-1].copy()[::-1], np.asfortranarray(image), big[::2, ::2, ::2]):
        np.testing.assert_array_equal(preprocess(same, 8), expected)
    np.testing.assert_array_equal(preprocess(image[::-1, :, ::-1], 8), preprocess(image[::-1, :, ::-1].copy(), 8))


def test_tensors_of_other_libraries_are_read_through_dlpack_or_array():
    image = noise(24, 30, 3)

    class Tensor:
        __dlpack__ = staticmethod(image.__dlpack__)
        __dlpack_device__ = staticmethod(image.__dlpack_device__)

    np.testing.assert_array_equal(preprocess(Tensor(), 8), preprocess(image, 8))
    torch = pytest.importorskip("torch", reason="make test-oracle installs it")
    np.testing.assert_array_equal(preprocess(torch.from_numpy(image), 8), preprocess(image, 8))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((4, 4, 3), np.uint16), r"got uint16; 16-bit samples"),
        (np.zeros((4, 4, 3), np.int64), "got int64"),
        (np.zeros((4, 4, 3), bool), "got bool"),
        (np.zeros((4, 4, 3), complex), "got complex128"),
        (np.zeros((4, 4, 3), object), "got object"),
        (np.zeros((3, 5, 5), np.uint8), r"got \(3, 5, 5\); move the channels to the last axis"),
        (np.zeros((2, 3, 5, 5), np.uint8), "move the channels to the last axis"),
        (np.zeros((4, 4, 2), np.uint8), r"got \(4, 4, 2\)"),
        (np.zeros(5, np.uint8), r"got \(5,\)"),
        (np.uint8(3), r"got \(\)"),
        (np.zeros((0, 4, 3), np.uint8), "at least 1 x 1"),
        (np.zeros((2, 4, 0, 3), np.uint8), "at least 1 x 1"),
        (np.full((4, 4, 3), 2.0), r"in \[0,1\], got 2..2: divide by 255"),
        (np.full((4, 4, 3), -1.0), "already normalised"),
        (np.full((4, 4, 3), np.nan), "got nan"),
        (np.full((4, 4, 3), np.inf), "got inf"),
        (5, "got int"),
        (None, "got NoneType"),
        ([1, 2], "got int"),
    ],
)
def test_other_arrays_are_value_errors_that_say_what_to_do(value, text):
    with pytest.raises(ValueError, match=text):
        preprocess(value)


def test_empty_batches_and_single_pixels_work():
    assert preprocess(np.zeros((0, 5, 5, 3), np.uint8), 8).shape == (0, 3, 8, 8)
    assert preprocess([], 8, layout="nhwc").shape == (0, 8, 8, 3)
    np.testing.assert_array_equal(preprocess(np.full((1, 1, 3), 255, np.uint8), 4), np.ones((1, 3, 4, 4), np.float32))


def test_batches_are_in_order_whatever_the_number_of_threads(folder):
    expected = preprocess(folder, 16)
    for count in (1, 2, 7):
        batches = list(iterate_batches(folder, SPEC, 4, threads=count))
        assert [b.indices for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert batches[1].names[0] == str(folder / "4.jpg")
        np.testing.assert_array_equal(np.concatenate([b.images for b in batches]), expected)
    assert not threads()


def test_corrupt_files_raise_in_their_turn_or_are_skipped_and_reported(folder):
    (folder / "5.png").write_bytes((CORPUS / "rgb.png").read_bytes()[:200])
    (folder / "7.bmp").write_text("no image")
    inputs = [folder, folder / "missing.png", noise(5, 5, 3)]
    batches = iterate_batches(inputs, SPEC, 3)
    assert next(batches).indices == [0, 1, 2]
    assert next(batches).indices == [3, 4]  # what came before the damaged file is handed out first
    with pytest.raises(ValueError, match=r"5\.png.*truncated"):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)

    batches = iterate_batches(inputs, SPEC, 3, skip_corrupt=True)
    assert [b.indices for b in batches] == [[0, 1, 2], [3, 4, 6], [8, 9, 11]]
    assert [(Path(s.path).name, s.position) for s in batches.skipped] == [
        ("5.png", 5),
        ("7.bmp", 7),
        ("missing.png", 10),
    ]
    assert "truncated" in batches.skipped[0].reason
    assert batches.total == 12


def test_skipping_never_hides_arrays_that_are_no_images(folder):
    with pytest.raises(ValueError, match="got int64"):
        iterate_batches([folder, np.zeros((3, 3), np.int64)], SPEC, skip_corrupt=True)


def test_threads_end_with_the_iterator(folder):
    batches = iterate_batches([folder] * 20, SPEC, 4, threads=3)
    next(batches)
    assert threads()
    batches.close()
    assert not threads()
    with iterate_batches([folder] * 20, SPEC, 4, threads=3) as batches:
        next(batches)
    assert not threads()
    batches = iterate_batches([folder] * 20, SPEC, 4, threads=3)
    next(batches)
    del batches
    for thread in threading.enumerate():
        if thread.name.startswith("pybit-images"):
            thread.join(timeout=20)
    assert not threads()


def test_impossible_arguments_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="batch_size of at least 1, got 0"):
        iterate_batches(folder, SPEC, 0)
    with pytest.raises(ValueError, match="threads of at least 1, got 0"):
        iterate_batches(folder, SPEC, threads=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found none"):
        iterate_batches(tmp_path / "empty", SPEC)


def test_progress_appears_only_where_it_is_wanted(folder, capsys, monkeypatch):
    from pybit.base import progress

    list(iterate_batches(folder, SPEC))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    list(iterate_batches(folder, SPEC, progress=True, description="embedding"))
    assert "embedding" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)  # as if tqdm were not installed
    list(iterate_batches(folder, SPEC, progress=True, description="embedding"))
    assert "embedding: 1/10" in capsys.readouterr().err


def test_the_docstring_example_runs():
    import doctest

    assert doctest.testmod(pybit.data.images).failed == 0
