# SPDX-License-Identifier: Apache-2.0
"""Reads the sorted string table in which TensorFlow keeps the index of a tensor bundle.

Format (LevelDB's, described in tsl/lib/io/table_format.txt and format.cc): data blocks, a meta index block, an index
block, then a 48-byte footer: two block handles (varint offset, varint size), padding to 40 bytes, the magic number
0xdb4775248b80fb57. A block is followed by one byte of compression (0 none, 1 Snappy) and the masked CRC-32C of both.
Inside a block each entry is (shared, unshared, value length) as varints, the unshared end of the key, the value; at
the end stand the restart offsets and their count. Values of the index block are the handles of the data blocks.
"""

from __future__ import annotations

from pybit.formats.keras.crc32c import crc32c, unmask
from pybit.formats.keras.wire import WireError, varint
from pybit.formats.raw import fail

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
# The index of R152x4 takes 50 kilobytes for some 500 keys. Prefix compression lets a hostile one name keys of any
# length at four bytes each, so both their length and their number are capped.
_MAX_BLOCK = 16 << 20
_MAX_ENTRIES = 100_000
_MAX_KEY = 1024


def read_table(data: bytes, path: object) -> dict[bytes, bytes]:
    """All keys and values of a table's content. Raises FormatError if a checksum, length or order does not hold."""
    if len(data) < _FOOTER or data[-8:] != MAGIC:
        fail(
            path,
            "expected the magic number of a TensorFlow table in the last 8 bytes; the file is truncated or not one",
        )
    try:
        return _entries(data, path)
    except WireError as error:
        fail(path, f"damaged table: {error}")


def _entries(data: bytes, path: object) -> dict[bytes, bytes]:
    footer = len(data) - _FOOTER
    meta_offset, meta_size, at = _handle(data[footer:-8], 0)
    _block(
        data, meta_offset, meta_size, footer, path
    )  # nothing in it is used; its checksum is one more witness of damage
    index_offset, index_size, _ = _handle(data[footer:-8], at)
    result: dict[bytes, bytes] = {}
    last: bytes | None = None
    previous_end = 0
    for _, value in _block(data, index_offset, index_size, footer, path):
        offset, size, _ = _handle(value, 0)
        if offset < previous_end:
            fail(
                path,
                f"damaged table: the data block at {offset} overlaps the one before it, which ends at {previous_end}",
            )
        previous_end = offset + size
        for key, content in _block(data, offset, size, footer, path):
            if len(result) >= _MAX_ENTRIES:
                fail(path, f"the table has more than {_MAX_ENTRIES} keys; expected those of one network")
            if last is not None and key <= last:
                fail(path, f"damaged table: key {key!r} follows {last!r}, but keys must rise")
            last = key
            result[key] = content
    return result


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return offset, size, at


def _block(data: bytes, offset: int, size: int, end: int, path: object) -> list[tuple[bytes, bytes]]:
    if size > _MAX_BLOCK or offset + size + 5 > end:
        fail(path, f"damaged table: a block of {size} bytes at {offset} does not fit before the footer at {end}")
    content, kind = data[offset : offset + size], data[offset + size]
    stored = unmask(int.from_bytes(data[offset + size + 1 : offset + size + 5], "little"))
    found = crc32c(data[offset : offset + size + 1])
    if stored != found:
        fail(path, f"damaged table: CRC-32C of the block at {offset} is {found:#010x}, the file says {stored:#010x}")
    if kind == 1:
        content = snappy(content, path)
    elif kind != 0:
        fail(path, f"the block at {offset} has compression {kind}; expected 0 (none) or 1 (Snappy)")
    if len(content) < 4:
        fail(path, f"damaged table: the block at {offset} is shorter than its restart count")
    restarts = int.from_bytes(content[-4:], "little")
    limit = len(content) - 4 - 4 * restarts
    if limit < 0:
        fail(path, f"damaged table: the block at {offset} claims {restarts} restart points")
    entries: list[tuple[bytes, bytes]] = []
    at, key = 0, b""
    body = content[:limit]
    while at < limit:
        shared, at = varint(body, at)
        unshared, at = varint(body, at)
        length, at = varint(body, at)
        if shared > len(key) or unshared + length > limit - at:
            fail(path, f"damaged table: an entry in the block at {offset} runs past its end")
        if shared + unshared > _MAX_KEY or len(entries) >= _MAX_ENTRIES:
            fail(path, f"the block at {offset} has a key above {_MAX_KEY} bytes or more than {_MAX_ENTRIES} keys")
        key = key[:shared] + body[at : at + unshared]
        at += unshared
        entries.append((key, body[at : at + length]))
        at += length
    return entries


def snappy(data: bytes, path: object) -> bytes:
    """Decompresses one raw Snappy block (google/snappy, format_description.txt); stops at the declared size."""
    try:
        size, at = varint(data, 0)
    except WireError as error:
        fail(path, f"damaged table: Snappy data without a size ({error})")
    # A two-byte element copies at most 64 bytes, so an honest block cannot grow more than this.
    if size > min(_MAX_BLOCK, 64 * len(data)):
        fail(path, f"damaged table: {len(data)} bytes of Snappy data claim to hold {size}")
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:
                width = length - 60
                length = int.from_bytes(data[at : at + width], "little") + 1
                at += width
            if length > len(data) - at or len(out) + length > size:
                fail(path, "damaged table: a Snappy literal runs past the end")
            out += data[at : at + length]
            at += length
            continue
        if tag & 3 == 1:
            length, width, distance = ((tag >> 2) & 7) + 4, 1, (tag >> 5) << 8
        else:
            length, width, distance = (tag >> 2) + 1, 2 if tag & 3 == 2 else 4, 0
        distance |= int.from_bytes(data[at : at + width], "little")
        at += width
        if at > len(data) or not 0 < distance <= len(out) or len(out) + length > size:
            fail(path, "damaged table: a Snappy copy points outside the data")
        piece = bytes(out[-distance:][:length])
        out += (piece * (length // len(piece) + 1))[:length]
    if len(out) != size:
        fail(path, f"damaged table: Snappy data hold {len(out)} bytes, expected {size}")
    return bytes(out)
