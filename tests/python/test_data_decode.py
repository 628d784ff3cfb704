# SPDX-License-Identifier: Apache-2.0
"""Decoding against Pillow: every format and mode, real photographs, hostile files."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pybit._core
import pytest
import skimage
from PIL import Image, ImageOps
from pybit.data import list_images, list_labelled_images, read_image, read_image_info
from sklearn.datasets import load_sample_images

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus" / "image"
SKIMAGE = sorted(p for p in (Path(skimage.__file__).parent / "data").glob("*") if p.suffix in (".png", ".jpg"))


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A real photograph, 427 x 640, odd in one dimension."""
    return Image.fromarray(load_sample_images().images[0])


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        return np.asarray((upright.convert("RGBA") if upright.mode == "P" else upright).convert("RGB"))


def modes(photo: Image.Image, mode: str) -> Image.Image:
    if mode == "RGBA" or mode == "LA":
        image = photo.convert(mode)
        alpha = np.arange(image.width * image.height, dtype=np.uint32).reshape(image.size[::-1]) * 7 >> 5
        image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
        return image
    if mode == "CMYK":
        black = Image.fromarray(np.asarray(photo.convert("L"))[::-1])
        return Image.merge("CMYK", [*photo.convert("CMYK").split()[:3], black])
    return photo.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"quality": 100, "subsampling": 0},
        {"quality": 30, "subsampling": 2, "optimize": True},
        {"subsampling": 1, "restart_marker_rows": 1},
    ],
)
def test_jpeg_equals_pillow(photo, mode, options):
    data = encoded(modes(photo, mode), "JPEG", **options)
    np.testing.assert_array_equal(read_image(data), with_pillow(data))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1"])
def test_png_equals_pillow(photo, mode):
    data = encoded(modes(photo, mode), "PNG")
    np.testing.assert_array_equal(read_image(data), with_pillow(data))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1"])
def test_bmp_equals_pillow(photo, mode):
    data = encoded(modes(photo, mode), "BMP")
    np.testing.assert_array_equal(read_image(data), with_pillow(data))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("options", [{}, {"quality": 15}, {"lossless": True}])
def test_webp_equals_pillow(photo, mode, options):
    data = encoded(modes(photo.resize((211, 143)), mode), "WEBP", **options)
    np.testing.assert_array_equal(read_image(data), with_pillow(data))


@pytest.mark.parametrize("name", sorted(p.name for p in CORPUS.iterdir() if p.name != "grey16.png"))
def test_small_files_of_every_kind_equal_pillow(name):
    np.testing.assert_array_equal(read_image(CORPUS / name), with_pillow((CORPUS / name).read_bytes()))


@pytest.mark.parametrize("path", SKIMAGE, ids=lambda p: p.name)
def test_the_images_of_skimage_equal_pillow(path):
    np.testing.assert_array_equal(read_image(path), with_pillow(path.read_bytes()))


def test_16_bit_grey_keeps_its_high_byte_where_pillow_clips():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    data = encoded(Image.fromarray(values), "PNG")
    np.testing.assert_array_equal(read_image(data)[..., 1], values >> 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_equals_exif_transpose(photo, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photo.resize((41, 27)), kind, exif=exif.tobytes())
    np.testing.assert_array_equal(read_image(data), with_pillow(data))
    stored = read_image(data, apply_orientation=False)
    assert stored.shape == (27, 41, 3)
    assert np.array_equal(stored, read_image(data)) == (orientation == 1)


def test_other_formats_go_through_pillow(photo, tmp_path):
    small = photo.resize((30, 20))
    for name, kind in (("a.gif", "GIF"), ("a.tif", "TIFF")):
        (tmp_path / name).write_bytes(encoded(small, kind))
        np.testing.assert_array_equal(read_image(tmp_path / name), with_pillow((tmp_path / name).read_bytes()))
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    animated = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read_image(animated), np.asarray(frames[0]))


def test_without_pillow_other_formats_are_refused_with_the_extra_to_install(photo, monkeypatch):
    data = encoded(photo.resize((30, 20)), "GIF")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ValueError, match=r"this is a GIF; `pip install pillow` \(the extra `images`\)"):
        read_image(data)


def test_info_reads_the_header_only(tmp_path):
    info = read_image_info(CORPUS / "orientation6.jpg")
    assert info == ("JPEG", 40, 56, 6)
    assert info.height == 40
    assert "JPEG" in pybit._core.image_formats()


def test_truncated_files_are_value_errors_that_name_the_file(photo, tmp_path):
    small = photo.resize((64, 48))
    for kind in ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF"):
        data = encoded(small, kind)
        path = tmp_path / f"cut.{kind.lower()}"
        # The last chunk of a PNG and the last byte of a GIF are an end mark, no data.
        whole = {"TIFF": len(data) // 2, "PNG": len(data) - 40, "GIF": len(data) - 30}.get(kind, len(data))
        for length in (len(data) // 3, whole - 1):
            path.write_bytes(data[:length])
            with pytest.raises((ValueError, OSError), match="cut|truncated"):
                read_image(path)


def test_errors_are_of_the_promised_types(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        read_image(tmp_path / "nowhere.png")
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    with pytest.raises(ValueError, match="HTML"):
        read_image(tmp_path / "page.jpg")
    with pytest.raises(ValueError, match="the file is empty"):
        read_image(b"")


def test_folders_are_listed_in_natural_order(tmp_path):
    for name in ("cat/img10.png", "cat/img2.png", "10/a.jpg", "2/b.jpg", "2/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    names = [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path)]
    assert names == ["2/b.jpg", "10/a.jpg", "cat/img2.png", "cat/img10.png"]
    paths, labels, classes = list_labelled_images(tmp_path)
    assert classes == ["2", "10", "cat"]
    assert labels == [0, 1, 2, 2]
    assert paths[2].name == "img2.png"
    assert list_labelled_images(tmp_path, "lexical")[2] == ["10", "2", "cat"]
    with pytest.raises(FileNotFoundError):
        list_images(tmp_path / "nowhere")
