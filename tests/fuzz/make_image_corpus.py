# SPDX-License-Identifier: Apache-2.0
"""Writes the small images in corpus/image/: seeds of fuzz_image and fixtures of tests/cpp/data.

Run with Pillow installed: `python tests/fuzz/make_image_corpus.py`. tests/cpp/data/pattern.hpp knows the same pattern.
A `<name>.jpg.bmp` beside a `<name>.jpg` holds what Pillow decodes.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "corpus" / "image"
HEIGHT, WIDTH = 9, 13


def pattern() -> np.ndarray:
    """(9,13,3) pixels with every channel and row different."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([17 * x + 3 * y, 5 * x + 19 * y, 7 * x + 11 * y * y], -1).astype(np.uint8)


def smooth() -> np.ndarray:
    """(40,56,3) pixels that JPEG keeps well; several blocks in each direction."""
    y, x = np.mgrid[:40, :56]
    return np.stack([4 * x, 6 * y, 128 + 100 * np.sin(x / 9) * np.cos(y / 7)], -1).astype(np.uint8)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples: np.ndarray, depth: int, colour: int, extra: bytes = b"", interlaced: bool = False) -> bytes:
    """A PNG of samples (h,w,c) as they are; Pillow writes neither interlaced files nor 16-bit colour."""
    height, width, channels = samples.shape
    parts = [(0, 0, 1, 1)]
    if interlaced:  # the seven passes of Adam7: first row, first column, row step, column step
        parts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b""
    for row, column, down, across in parts:
        part = samples[row::down, column::across]
        for line in part if part.shape[1] else []:
            shifts = np.arange(depth)[::-1]
            bits = (line.reshape(-1, 1).astype(np.uint32) >> shifts) & 1
            raw += b"\0" + np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def bmp(bits: int, rows: list[bytes], palette: bytes = b"", masks: bytes = b"", top_down: bool = False) -> bytes:
    """An uncompressed bitmap; rows from top to bottom, padded here."""
    body = b"".join(row + b"\0" * (-len(row) % 4) for row in (rows if top_down else rows[::-1]))
    offset = 14 + 40 + len(masks) + len(palette)
    height = -HEIGHT if top_down else HEIGHT
    fields = (40, WIDTH, height, 1, bits, 3 if masks else 0, len(body), 0, 0, len(palette) // 4, 0)
    header = struct.pack("<IiiHHIIiiII", *fields)
    return struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset) + header + masks + palette + body


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def xmp(orientation: int) -> bytes:
    """An XMP packet that says how the image is to be turned."""
    return b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % orientation


def raw_profile(exif: bytes) -> bytes:
    """EXIF as ImageMagick writes it into texts of PNG files."""
    digits = exif.hex()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    return f"\nexif\n{len(exif):8}\n{chr(10).join(lines)}\n".encode()


def files() -> dict[str, bytes]:
    pixels = pattern()
    rgb = Image.fromarray(pixels)
    alpha = (37 * np.arange(HEIGHT * WIDTH)).astype(np.uint8).reshape(HEIGHT, WIDTH, 1)
    wide = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH, 1) * 521
    index = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1) % 4
    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = b"Raw profile type exif\0\0" + zlib.compress(raw_profile(exif.tobytes()))

    found = {
        "rgb.png": png(pixels, 8, 2),
        "interlaced.png": png(pixels, 8, 2, interlaced=True),
        "rgba.png": png(np.concatenate([pixels, alpha], -1), 8, 6),
        "rgb16.png": png(pixels.astype(np.uint16) * 256 + 200, 16, 2),
        "grey16.png": png(wide, 16, 0),
        "grey1.png": png(index % 2, 1, 0),
        "grey2.png": png(index, 2, 0),
        "palette2.png": png(index, 2, 3, chunk(b"PLTE", palette) + chunk(b"tRNS", bytes([0, 128]))),
        "orientation6.png": png(pixels, 8, 2, chunk(b"eXIf", exif.tobytes()[6:])),
        "profile6.png": png(pixels, 8, 2, chunk(b"zTXt", profile)),
        "xmp6.png": png(pixels, 8, 2, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))),
        "xmp6.webp": saved(rgb, "WEBP", lossless=True, xmp=xmp(6)),
        "xmp8.jpg": saved(rgb, "JPEG", xmp=xmp(8)),
        "rgb.bmp": saved(rgb, "BMP"),
        "palette8.bmp": saved(rgb.convert("P"), "BMP"),
        "mono.bmp": saved(rgb.convert("1"), "BMP"),
        "lossless.webp": saved(rgb, "WEBP", lossless=True),
        "lossy.webp": saved(Image.fromarray(smooth()), "WEBP"),
        "orientation6.webp": saved(rgb, "WEBP", lossless=True, exif=exif.tobytes()),
        "alpha.webp": saved(Image.fromarray(np.concatenate([pixels, alpha], -1)), "WEBP", lossless=True, exact=True),
    }
    quads = [struct.pack(f"<{WIDTH}I", *(int(r) << 16 | int(g) << 8 | int(b) for r, g, b in row)) for row in pixels]
    found["top_down32.bmp"] = bmp(32, quads, top_down=True)
    colours565 = [[int(r) >> 3 << 11 | int(g) >> 2 << 5 | int(b) >> 3 for r, g, b in row] for row in pixels]
    words = [struct.pack(f"<{WIDTH}H", *row) for row in colours565]
    found["masks565.bmp"] = bmp(16, words, masks=struct.pack("<III", 0xF800, 0x07E0, 0x001F))
    nibbles = [bytes(int(a) << 4 | int(b) for a, b in np.pad(row[:, 0], (0, 1)).reshape(-1, 2)) for row in index]
    found["palette4.bmp"] = bmp(4, nibbles, palette=b"".join(palette[i : i + 3][::-1] + b"\0" for i in range(0, 12, 3)))

    photo = Image.fromarray(smooth())
    jpegs = {
        "baseline.jpg": saved(photo, "JPEG"),
        "progressive.jpg": saved(photo, "JPEG", progressive=True, quality=60),
        "subsampled.jpg": saved(photo.crop((0, 0, 37, 23)), "JPEG", subsampling=2, optimize=True),
        "grey.jpg": saved(photo.convert("L"), "JPEG"),
        "cmyk.jpg": saved(Image.fromarray(np.concatenate([smooth(), smooth()[::-1, ::-1, :1]], -1), "CMYK"), "JPEG"),
        "orientation6.jpg": saved(photo, "JPEG", exif=exif.tobytes()),
    }
    # The same samples declared as YCCK: the last byte of the Adobe segment is the colour transform.
    adobe = jpegs["cmyk.jpg"].index(b"Adobe")
    jpegs["ycck.jpg"] = jpegs["cmyk.jpg"][: adobe + 11] + b"\x02" + jpegs["cmyk.jpg"][adobe + 12 :]
    for name, data in jpegs.items():
        found[name] = data
        found[name + ".bmp"] = saved(Image.open(io.BytesIO(data)).convert("RGB").crop((0, 0, 30, 20)), "BMP")
    return found


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in files().items():
        if len(data) >= 4096:
            raise SystemExit(f"{name} has {len(data)} bytes: seeds stay below 4096")
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
