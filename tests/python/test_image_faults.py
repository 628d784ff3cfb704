# SPDX-License-Identifier: Apache-2.0
"""Images as the world has them: faults that lose nothing, and orientation."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable

import numpy as np
import PIL
import pybit
import pytest
from image_files import chunk, encoded, patched, picture, with_pillow
from PIL import Image, PngImagePlugin
from pybit.data import read_image, read_image_info

# ---- faults that lose no data
JPEG = encoded(picture(), "JPEG")
RESTARTS = encoded(picture(), "JPEG", restart_marker_blocks=2)
PNG = encoded(picture(), "PNG")
BMP = encoded(picture(), "BMP")
SCAN = JPEG.index(b"\xff\xda")
MARKERS = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", RESTARTS)]
IDAT = PNG.index(b"IDAT")
IDAT_END = IDAT + 4 + struct.unpack(">I", PNG[IDAT - 4 : IDAT])[0]


HARMLESS = {
    "a scan header that says Se = 0": patched(JPEG, SCAN + 5 + 2 * JPEG[SCAN + 4] + 1, 0),
    "zeros for the end-of-image marker": JPEG[:-2] + bytes(8),
    "bytes before the end-of-image marker": JPEG[:-2] + b"\1\2\3" + JPEG[-2:],
    "bytes between two markers": JPEG[:SCAN] + b"\1\2\3" + JPEG[SCAN:],
    "bytes behind a JPEG": JPEG + b"junk" * 99,
    "a wrong restart marker": patched(RESTARTS, MARKERS[3] + 1, RESTARTS[MARKERS[3] + 1] ^ 1),
    "a lost restart marker": RESTARTS[: MARKERS[3]] + RESTARTS[MARKERS[3] + 2 :],
    "bytes behind a PNG": PNG + b"junk" * 99,
    "a PNG without its last chunk": PNG[:-12],
    "a PNG that ends in its last chunk": PNG[:-5],
    "a wrong checksum of the last chunk": patched(PNG, len(PNG) - 1, PNG[-1] ^ 1),
    "a wrong checksum behind right data": patched(PNG, IDAT_END, PNG[IDAT_END] ^ 1),
    "more compressed data than pixels": PNG[: IDAT - 4]
    + chunk(b"IDAT", zlib.compress(zlib.decompress(PNG[IDAT + 4 : IDAT_END]) + bytes(500)))
    + PNG[IDAT_END + 4 :],
    "a bitmap without its last padding": BMP[:-1],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_faults_that_lose_no_data_are_no_damage(name):
    np.testing.assert_array_equal(read_image(HARMLESS[name]), with_pillow(HARMLESS[name]))


def test_a_wrong_huffman_code_is_read_as_pillow_reads_it():
    """Flipped bits of a JPEG with restart markers: what Pillow makes of them, unless the data end before the image."""
    read = 0
    for at in range(MARKERS[0] + 4, MARKERS[-2], 5):
        data = patched(RESTARTS, at, RESTARTS[at] ^ 0x10)
        try:
            expected = with_pillow(data)
            found = read_image(data)
        except (OSError, ValueError):
            continue
        np.testing.assert_array_equal(found, expected)
        read += 1
        assert (found != with_pillow(RESTARTS)).any() or RESTARTS[at - 1] == 0xFF  # the bit matters
    assert read > 20


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a JPEG cut in its data", JPEG[: len(JPEG) * 3 // 4], "truncated"),
        ("a JPEG without its last byte", JPEG[:-1], "truncated"),
        ("a JPEG cut in its data, with an end", JPEG[: len(JPEG) * 3 // 4] + b"\xff\xd9", "truncated or damaged"),
        ("a progressive JPEG without its last scans", encoded(picture(), "JPEG", progressive=True)[:-300], "truncated"),
        ("a PNG cut in its data", PNG[: IDAT_END - 30], "truncated"),
        ("a PNG whose data are wrong", patched(PNG, IDAT_END - 2, PNG[IDAT_END - 2] ^ 1), "incorrect data check"),
        ("a bitmap cut in its pixels", BMP[:-3], "truncated"),
        ("a WebP cut at its end", encoded(picture(), "WEBP")[:-1], "truncated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_data_that_are_missing_or_wrong_are_damage(name, data, text):
    with pytest.raises(pybit.FormatError, match=text):
        read_image(data)


def test_bitmaps_with_an_odd_palette_are_read_as_pillow_reads_them():
    image = picture().convert("P", palette=Image.Palette.ADAPTIVE, colors=200)
    data = encoded(image, "BMP")
    start = 14 + 40
    assert struct.unpack("<I", data[46:50]) == (200,) or data[46:50] == struct.pack("<I", 256)
    few = patched(data, 46, *struct.pack("<I", 100))  # the pixels' place is given: colours above 99 are black
    at_palette = patched(data, 10, *struct.pack("<I", start))
    for odd in (few, at_palette):
        np.testing.assert_array_equal(read_image(odd), with_pillow(odd))
    assert (read_image(few) != read_image(data)).any()


# ---- orientation
def xmp_of(orientation: int) -> bytes:
    return b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % orientation


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def png_with(texts: dict[str, str], compressed: bool, **options: object) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        if key.startswith("XML"):
            info.add_itxt(key, value, zip=compressed)
        else:
            info.add_text(key, value, zip=compressed)
    return encoded(picture(), "PNG", pnginfo=info, **options)


def raw_profile(orientation: int) -> str:
    digits = exif_of(orientation).hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return f"\nexif\n{len(digits) // 2:8}\n{lines}\n"


TURNED: dict[str, Callable[[int], bytes]] = {
    "PNG, eXIf": lambda o: encoded(picture(), "PNG", exif=exif_of(o)),
    "PNG, raw profile": lambda o: png_with({"Raw profile type exif": raw_profile(o)}, False),
    "PNG, compressed raw profile": lambda o: png_with({"Raw profile type exif": raw_profile(o)}, True),
    "PNG, XMP": lambda o: png_with({"XML:com.adobe.xmp": xmp_of(o).decode()}, False),
    "PNG, compressed XMP": lambda o: png_with({"XML:com.adobe.xmp": xmp_of(o).decode()}, True),
    "PNG, EXIF before XMP": lambda o: png_with({"XML:com.adobe.xmp": xmp_of(2).decode()}, False, exif=exif_of(o)),
    "JPEG, EXIF": lambda o: encoded(picture(), "JPEG", exif=exif_of(o)),
    "JPEG, XMP": lambda o: encoded(picture(), "JPEG", xmp=xmp_of(o)),
    "JPEG, EXIF before XMP": lambda o: encoded(picture(), "JPEG", exif=exif_of(o), xmp=xmp_of(2)),
    "WebP, EXIF": lambda o: encoded(picture(), "WEBP", exif=exif_of(o)),
    "WebP, XMP": lambda o: encoded(picture(), "WEBP", xmp=xmp_of(o)),
    "TIFF": lambda o: encoded(picture(), "TIFF", tiffinfo={0x0112: o}),
}


@pytest.mark.parametrize("where", TURNED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_found_wherever_pillow_finds_it(where, orientation, tmp_path):
    if "XMP" in where and int(PIL.__version__.partition(".")[0]) < 11:
        pytest.skip("Pillow 10 neither writes nor reads XMP in JPEG and WebP")
    data = TURNED[where](orientation)
    found = read_image(data)
    np.testing.assert_array_equal(found, with_pillow(data))
    stored = read_image(data, apply_orientation=False)
    assert stored.shape == (40, 57, 3)
    assert np.array_equal(stored, found) == (orientation == 1)
    np.testing.assert_array_equal(stored, read_image(TURNED[where](1), apply_orientation=False))
    (tmp_path / "a").write_bytes(data)
    kind = where.split(",")[0]
    assert read_image_info(tmp_path / "a") == (kind, 40, 57, orientation)


def test_values_that_are_no_orientation_mean_upright():
    for data in (encoded(picture(), "JPEG", xmp=xmp_of(9)), encoded(picture(), "JPEG", xmp=xmp_of(0))):
        np.testing.assert_array_equal(read_image(data), with_pillow(JPEG))
