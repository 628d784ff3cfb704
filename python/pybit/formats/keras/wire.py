# SPDX-License-Identifier: Apache-2.0
"""Reads protocol-buffer messages field by field (protobuf.dev, "Encoding"); only what the tensor bundle needs."""

from __future__ import annotations

from collections.abc import Iterator


class WireError(ValueError):
    """The bytes are not a valid message; the caller adds the file's name."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Value of the base-128 varint at `at` (at most 64 bits) and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("a varint runs past the end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
    raise WireError("a varint is longer than 64 bits")


def signed(value: int) -> int:
    """An int32 or int64 field, which is stored in two's complement of 64 bits."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a message in file order: int for varints and fixed widths, bytes for the rest."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value: int | bytes
            value, at = varint(data, at)
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value = int.from_bytes(_slice(data, at, width), "little")
            at += width
        elif kind == 2:
            length, at = varint(data, at)
            value = _slice(data, at, length)
            at += length
        else:
            raise WireError(f"field {number} has wire type {kind}, which is not in use")
        yield number, value


def _slice(data: bytes, at: int, length: int) -> bytes:
    if length > len(data) - at:
        raise WireError(f"a field of {length} bytes runs past the end")
    return data[at : at + length]


def integer(value: int | bytes) -> int:
    """The value of a numeric field."""
    if not isinstance(value, int):
        raise WireError("expected a number, got a length-delimited field")
    return value


def message(value: int | bytes) -> bytes:
    """The value of a string, bytes or message field."""
    if not isinstance(value, bytes):
        raise WireError("expected a length-delimited field, got a number")
    return value
