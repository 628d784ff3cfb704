# SPDX-License-Identifier: Apache-2.0
"""Images as the world has them: ranges, modes, animations, rare formats."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pybit
import pytest
from image_files import encoded, patched, picture, with_pillow
from numpy.typing import NDArray
from PIL import Image
from pybit.data import iterate_batches, preprocess, read_image, read_image_info


# ---- ranges
def tiff(values: NDArray[np.generic], bits: int, sample_format: int) -> bytes:
    """A grey TIFF of samples as they are; Pillow writes neither 12 bits nor signed 16."""
    if bits == 12:
        pairs = values.reshape(len(values), -1, 2).astype(np.uint32)
        packed = (pairs[..., 0] << 12 | pairs[..., 1]).astype(">u4")
        body = np.frombuffer(packed.tobytes(), np.uint8).reshape(*packed.shape, 4)[..., 1:].tobytes()
    else:
        body = values.astype(values.dtype.newbyteorder("<")).tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(body)}
    tags[339] = sample_format
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags)) + entries + bytes(4)


WIDE = np.arange(65536, dtype=np.uint16).reshape(256, 256)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("16-bit PNG", encoded(Image.fromarray(WIDE), "PNG"), WIDE >> 8),
        ("16-bit TIFF", encoded(Image.fromarray(WIDE), "TIFF"), WIDE >> 8),
        ("16-bit PGM", b"P5 256 256 65535 " + WIDE.astype(">u2").tobytes(), WIDE >> 8),
        ("12-bit TIFF", tiff(WIDE >> 4, 12, 1), WIDE >> 8),
        ("signed 16-bit TIFF", tiff((WIDE >> 1).astype(np.int16), 16, 2), WIDE >> 8),
        ("32-bit TIFF", tiff(WIDE.astype(np.int32), 32, 2), WIDE >> 8),
        ("float TIFF of 0..255", tiff((WIDE >> 8).astype(np.float32), 32, 3), WIDE >> 8),
        ("float TIFF of 0..1", tiff(np.float32((WIDE >> 8) / 255), 32, 3), WIDE >> 8),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_grey_of_more_than_8_bits_keeps_its_highest_8(name, data, expected):
    found = read_image(data)
    np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, -1))
    # What Pillow does instead, clipping at 255, differs wherever the range is another.
    assert np.array_equal(found, with_pillow(data)) == (name == "float TIFF of 0..255")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (tiff(np.int32([[70000, 1]]), 32, 2), r"integers of 0\.\.65535, got 1\.\.70000"),
        (tiff(np.int16([[-5, 1]]), 16, 2), r"integers of 0\.\.32767, got -5\.\.1"),
        (tiff(np.float32([[-0.5, 1]]), 32, 3), r"floats of 0\.\.1 or 0\.\.255, got -0\.5\.\.1"),
        (tiff(np.float32([[256, 1]]), 32, 3), r"got 1\.\.256"),
        (tiff(np.float32([[np.nan, 1]]), 32, 3), "got nan"),
    ],
)
def test_samples_outside_the_range_of_their_kind_are_refused_with_it(data, text, tmp_path):
    path = tmp_path / "odd.tif"
    path.write_bytes(data)
    with pytest.raises(pybit.FormatError, match=rf"odd\.tif: expected grey samples as .*{text}"):
        read_image(path)


def test_what_cannot_be_read_is_skipped_and_named(tmp_path):
    """A float TIFF out of range and a GIF cut at 200 bytes among good files."""
    picture().save(tmp_path / "0.jpg")
    (tmp_path / "1.tif").write_bytes(tiff(np.float32([[1e9, 0]]), 32, 3))
    (tmp_path / "2.gif").write_bytes(encoded(picture(), "GIF")[:200])
    picture().save(tmp_path / "3.gif")
    spec = pybit.PreprocessSpec(8)
    with iterate_batches(tmp_path, spec, skip_corrupt=True) as batches:
        taken = [index for batch in batches for index in batch.indices]
        assert taken == [0, 3]
        assert [Path(entry.path).name for entry in batches.skipped] == ["1.tif", "2.gif"]
        assert all(entry.path in entry.reason for entry in batches.skipped)
    with pytest.raises(pybit.FormatError, match=r"1\.tif"):
        list(iterate_batches(tmp_path, spec))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["P", "LA", "1", "RGBA", "PA", "L"])
def test_modes_are_converted_as_pillow_converts_them(kind, mode):
    image = picture().convert("L").convert(mode) if mode in ("LA", "PA") else picture().convert(mode)
    if mode == "P":
        image.info["transparency"] = bytes(range(256)) if kind == "PNG" else 3
    try:
        data = encoded(image, kind)
    except (OSError, ValueError):
        pytest.skip(f"Pillow writes no {kind} of mode {mode}")
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray((opened.convert("RGBA") if opened.mode == "P" else opened).convert("RGB"))
    np.testing.assert_array_equal(read_image(data), expected)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_ink_is_converted_as_pillow_converts_it(kind):
    black = Image.fromarray(np.asarray(picture().convert("L"))[::-1])
    image = Image.merge("CMYK", [*picture().convert("CMYK").split()[:3], black])
    data = encoded(image, kind)
    np.testing.assert_array_equal(read_image(data), with_pillow(data))
    if kind == "JPEG":  # the same samples declared as YCCK: the last byte of Adobe's segment
        ycck = patched(data, data.index(b"Adobe") + 11, 2)
        np.testing.assert_array_equal(read_image(ycck), with_pillow(ycck))
        assert (read_image(ycck) != read_image(data)).any()


# ---- animations and documents
FRAMES = [picture(20, 30, seed) for seed in range(3)]


@pytest.mark.parametrize(
    ("kind", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})], ids=lambda v: str(v)
)
def test_the_first_frame_or_all_of_them(kind, options, tmp_path):
    data = encoded(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
        expected = []
        for number in range(3):
            image.seek(number)
            expected.append(np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(read_image(data), expected[0])
    (tmp_path / "a").write_bytes(data)
    assert read_image_info(tmp_path / "a") == ("WebP" if kind == "WEBP" else kind, 20, 30, 1)
    found = read_image(data, frames="all")
    assert len(found) == 3
    for frame, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(frame, other)
    assert (found[0] != found[1]).any()
    assert read_image(data, frames="all", max_pixels=3 * 600)[2].shape == (20, 30, 3)
    with pytest.raises(pybit.FormatError, match=r"3 frames of 30 x 20 .*limit of 1799 pixels.* max_pixels=1800 "):
        read_image(data, frames="all", max_pixels=1799)


def test_pages_of_different_sizes_and_files_of_one_frame():
    pages = [picture(20, 30), picture(10, 12)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert [page.shape for page in read_image(data, frames="all")] == [(20, 30, 3), (10, 12, 3)]
    for kind in ("JPEG", "PNG", "BMP", "WEBP", "GIF"):
        alone = encoded(picture(), kind)
        (frame,) = read_image(alone, frames="all")
        np.testing.assert_array_equal(frame, read_image(alone))
    with pytest.raises(pybit.ConfigError, match="frames 'first' or 'all', got 'last'"):
        read_image(data, frames="last")


def test_a_damaged_frame_is_named():
    data = encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:])
    with pytest.raises(pybit.FormatError, match="image data"):
        read_image(data[: len(data) * 2 // 3], frames="all")


# ---- formats that only Pillow or its plugins read
def test_heic_names_the_extra_that_reads_it_and_is_read_with_it(tmp_path, monkeypatch):
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "HEIF"])
    with pytest.raises(pybit.FormatError, match=r"a\.heic.*pip install pillow-heif` \(the extra `heif`\)"):
        read_image(path)
    monkeypatch.undo()
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(picture()).save(path, quality=90)
    found = read_image(path)
    pillow_heif.register_heif_opener()
    np.testing.assert_array_equal(found, with_pillow(path.read_bytes()))
    assert np.abs(found.astype(int) - np.asarray(picture())).mean() < 8  # lossy, but this picture
    assert list(pybit.data.list_images(tmp_path)) == [path]


def test_folders_of_heic_name_the_extra_that_reads_them(tmp_path, monkeypatch):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    for call in (pybit.datasets.open, lambda folder: preprocess(folder, 8)):
        with pytest.raises(ValueError, match=r"2 in image formats .*pip install pillow-heif` \(the extra `heif`\)"):
            call(tmp_path)
    for name in ("cat", "dog"):
        picture().save(tmp_path / name / "b.png")
    with pytest.warns(UserWarning, match=r"2 of 4 entries .*the extra `heif`"):
        train = pybit.datasets.open(tmp_path, validation_fraction=0).train
    assert len(train) == 2
    assert any("the extra `heif`" in note for note in train.report.notes)


def test_avif_names_the_extra_that_reads_it_and_is_read_with_it(monkeypatch):
    Image.init()
    if "AVIF" in Image.SAVE:
        data = encoded(picture(), "AVIF")
        np.testing.assert_array_equal(read_image(data), with_pillow(data))
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind not in ("AVIF", "HEIF")])
    with pytest.raises(pybit.FormatError, match=r"`pip install 'pillow>=11\.3'` \(the extra `avif`\)"):
        read_image(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf")


@pytest.mark.parametrize("kind", ["PPM", "TGA", "PCX", "JPEG2000", "ICO", "SGI", "DDS"])
def test_rarer_formats_go_through_pillow(kind, tmp_path):
    image = picture(32, 32)
    options = {"sizes": [(32, 32)]} if kind == "ICO" else {}
    path = tmp_path / "rare"
    path.write_bytes(encoded(image, kind, **options))
    np.testing.assert_array_equal(read_image(path), with_pillow(path.read_bytes()))
    info = read_image_info(path)
    assert (info.height, info.width, info.orientation) == (32, 32, 1)


def test_what_no_decoder_knows_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_bytes(b"\x07 what a day")
    with pytest.raises(pybit.FormatError, match=r"notes\.jpg: expected .*, but .*; Pillow does not know it either"):
        read_image(path)


def test_all_that_pillow_raises_for_damaged_files_is_a_format_error(tmp_path):
    """Plugins answer with errors of many kinds; cut at every tenth byte, no other comes out."""
    for kind in ("GIF", "TIFF", "PPM", "TGA", "PCX", "JPEG2000", "ICO", "SGI", "DDS"):
        data = encoded(picture(32, 32), kind)
        for length in range(1, len(data), max(1, len(data) // 40)):
            path = tmp_path / f"cut.{kind}"
            path.write_bytes(data[:length])
            try:
                read_image(path)
            except pybit.FormatError as error:
                assert f"cut.{kind}" in str(error)
