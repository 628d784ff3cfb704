# SPDX-License-Identifier: Apache-2.0
"""How an image file stores its samples, by its first bytes: without decoding, and without Pillow."""

from __future__ import annotations

from collections.abc import Iterator

#: What a sentence about each trait says.
TRAITS = {
    "turned": "stored turned: EXIF or XMP says how to put it upright, which other programs may ignore",
    "cmyk": "CMYK, for print: its colours are converted without a profile",
    "grey": "grey among colour images",
    "deep": "16 bits a sample, of which 8 are kept",
    "plain": "one colour all over",
    "animated": "several frames, of which the first is taken",
}


def stored_as(content: bytes) -> Iterator[str]:
    """The traits "cmyk", "deep" and "animated" of JPEG, PNG, GIF and WebP files."""
    if content.startswith(b"\xff\xd8") and _jpeg_components(content) == 4:
        yield "cmyk"
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) > 25:
        if content[24] == 16:
            yield "deep"
        if content.find(b"acTL", 33, 4096) > 0:
            yield "animated"
    if content.startswith(b"GIF8") and _gif_frames(content) > 1:
        yield "animated"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP" and b"ANIM" in content[:64]:
        yield "animated"


def _jpeg_components(content: bytes) -> int:
    """The number of components that a JPEG's frame header names; 0 if there is none."""
    at = 2
    while at + 9 < len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        # Frame headers are C0 to CF without the tables C4, C8 and CC (ISO/IEC 10918-1, table B.1).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return content[at + 9]
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return 0


def _gif_frames(content: bytes) -> int:
    """The number of image descriptors of a GIF file (GIF89a specification), up to where it is cut."""

    def after_table(at: int, flags: int) -> int:
        return at + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)

    def after_blocks(at: int) -> int:
        while at < len(content) and content[at]:
            at += 1 + content[at]
        return at + 1

    frames, at = 0, after_table(13, content[10] if len(content) > 10 else 0)
    while at + 9 < len(content) and content[at] in (0x21, 0x2C):
        if content[at] == 0x21:  # an extension: its label, then blocks
            at = after_blocks(at + 2)
        else:
            frames += 1
            at = after_blocks(after_table(at + 10, content[at + 9]) + 1)
    return frames
