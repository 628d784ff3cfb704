# SPDX-License-Identifier: Apache-2.0
"""Images as the world has them: faults that lose nothing, orientation, ranges, limits, animations, rare formats."""

from __future__ import annotations

import io
import re
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import pybit
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin
from pybit import cli
from pybit.data import iterate_batches, preprocess, read_image, read_image_info
from small_models import small_model


def picture(height: int = 40, width: int = 57, seed: int = 1) -> Image.Image:
    """Smooth noise, so that lossy formats have something to keep."""
    steps = np.random.default_rng(seed).integers(-3, 4, (height, width, 3))
    return Image.fromarray((128 + np.cumsum(steps, 1)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# ---- faults that lose no data
JPEG = encoded(picture(), "JPEG")
RESTARTS = encoded(picture(), "JPEG", restart_marker_blocks=2)
PNG = encoded(picture(), "PNG")
BMP = encoded(picture(), "BMP")
SCAN = JPEG.index(b"\xff\xda")
MARKERS = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", RESTARTS)]
IDAT = PNG.index(b"IDAT")
IDAT_END = IDAT + 4 + struct.unpack(">I", PNG[IDAT - 4 : IDAT])[0]


def patched(data: bytes, at: int, *values: int) -> bytes:
    return data[:at] + bytes(values) + data[at + len(values) :]


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


# ---- the limit of pixels
WAYS = ("max_pixels=2280 in Python", "--max-pixels 2280 on the command line", "BIT_MAX_PIXELS=2280 in the environment")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF"])
def test_the_limit_is_raised_by_argument_and_environment_and_the_error_says_so(kind, tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(encoded(picture(), kind))
    with pytest.raises(pybit.FormatError, match="57 x 40 pixels") as raised:
        read_image(path, max_pixels=2279)
    assert all(way in str(raised.value) for way in (*WAYS, str(path), "limit of 2279 pixels"))
    assert read_image(path, max_pixels=2280).shape == (40, 57, 3)
    monkeypatch.setenv("BIT_MAX_PIXELS", "2279")
    for call in (read_image, read_image_info, lambda p: preprocess([p], 8), lambda p: read_image(p.read_bytes())):
        with pytest.raises(pybit.FormatError, match="limit of 2279 pixels"):
            call(path)
    assert read_image(path, max_pixels=2280).shape == (40, 57, 3)
    assert preprocess([path], 8, max_pixels=2280).shape == (1, 3, 8, 8)
    assert read_image_info(path, max_pixels=2280).width == 57
    monkeypatch.setenv("BIT_MAX_PIXELS", "2280")
    assert read_image(path).shape == (40, 57, 3)


def test_a_huge_drawing_of_one_bit_is_refused_with_the_way_to_read_it(tmp_path):
    rows = zlib.compress(bytes(2501 * 10000), 1)
    header = struct.pack(">IIBBBBB", 20000, 10000, 1, 0, 0, 0, 0)
    path = tmp_path / "huge.png"
    path.write_bytes(PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    with pytest.raises(pybit.FormatError, match=r"20000 x 10000 pixels .* max_pixels=200000000 in Python"):
        read_image(path)
    assert read_image_info(path, max_pixels=200_000_000) == ("PNG", 10000, 20000, 1)


def test_every_limit_that_is_none_is_refused(monkeypatch):
    for wrong in (0, -1, 1.5, "9"):
        with pytest.raises(pybit.ConfigError, match="max_pixels as a whole number of at least 1"):
            read_image(JPEG, max_pixels=wrong)
    monkeypatch.setenv("BIT_MAX_PIXELS", "many")
    with pytest.raises(pybit.ConfigError, match="BIT_MAX_PIXELS as a whole number of at least 1, got 'many'"):
        read_image(JPEG)


def test_pillows_own_limit_does_not_stand_in_the_way(monkeypatch):
    """Pillow refuses above twice its limit and warns above it, in every file of the process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = encoded(picture(), "TIFF")
    assert read_image(data).shape == (40, 57, 3)
    with pytest.raises(Image.DecompressionBombError):  # the control
        Image.open(io.BytesIO(data))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "m.safetensors"
    model = small_model(2)
    model.labels = ("cat", "dog")
    model.save(path)
    return str(path)


COMMANDS = {
    "predict": lambda data, weights, out: ["predict", data, "--model", weights, "--size", "32"],
    "embed": lambda data, weights, out: ["embed", data, "--model", weights, "--size", "32", "-o", f"{out}/f.npz"],
    "probe": lambda data, weights, out: ["probe", data, "--model", weights, "--size", "32", "--shots", "1"],
    "eval": lambda data, weights, out: ["eval", weights, data, "--size", "32"],
    "train": lambda data, weights, out: [
        *("train", "--model", weights, "--data", data, "--logdir", out, "--name", "run", "--steps", "1"),
        *("--batch", "4", "--resize", "32", "--crop", "32", "--no-save", "--quiet"),
    ],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_the_limit_is_an_option_of_every_command(command, suffix, weights, tmp_path, monkeypatch, capsys):
    for name in ("cat", "dog"):
        for i in range(4):
            path = tmp_path / "ds" / name / f"{i}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(seed=i).save(path)
    arguments = COMMANDS[command](str(tmp_path / "ds"), weights, str(tmp_path))
    monkeypatch.setenv("BIT_MAX_PIXELS", "2279")
    assert cli.main(arguments) != 0
    error = capsys.readouterr().err
    assert "limit of 2279 pixels" in error
    assert "--max-pixels 2280 on the command line" in error
    assert cli.main([*arguments, "--max-pixels", "2280"]) == 0


def test_the_limit_is_an_argument_of_data_sets(tmp_path):
    files = []
    for i in range(4):
        files.append(tmp_path / ("a.jpg", "b.tif", "c.gif", "d.png")[i])
        picture(seed=i).save(files[-1])
    (tmp_path / "list.csv").write_text("".join(f"{f.name},{i % 2}\n" for i, f in enumerate(files)))
    encoded_files = [f.read_bytes() for f in files]
    for source in ((files, [0, 1, 0, 1]), (encoded_files, [0, 1, 0, 1]), tmp_path / "list.csv"):
        for i in range(4):
            small = pybit.datasets.open(source, validation_fraction=0, max_pixels=2279).train
            with pytest.raises(pybit.FormatError, match="limit of 2279 pixels"):
                small[i]
            large = pybit.datasets.open(source, validation_fraction=0, max_pixels=2280).train
            np.testing.assert_array_equal(large[i][0], read_image(files[i]))


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
