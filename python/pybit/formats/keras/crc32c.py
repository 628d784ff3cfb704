# SPDX-License-Identifier: Apache-2.0
"""CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4), fast enough in NumPy for checkpoints of gigabytes.

A CRC without its initial and final inversion is linear, so the data are cut into lanes of equal length, all lanes
advance together eight bytes at a time through tables of 16-bit slices, and neighbouring lanes are then joined pairwise.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78  # reflected
_LANE_BYTES = 512
_CHUNK_BYTES = 8 << 20  # what is transposed at a time
_SMALL = 4096  # below this a plain loop is quicker than filling lanes

_U32 = npt.NDArray[np.uint32]


@functools.cache
def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


def _zeros_operator(count: int) -> list[int]:
    """Columns of the 32 x 32 bit matrix that appends `count` zero bytes to a register."""
    result = [1 << bit for bit in range(32)]
    table = _byte_table()
    power = [(column >> 8) ^ table[column & 0xFF] for column in result]
    while count:
        if count & 1:
            result = [_apply(power, column) for column in result]
        power = [_apply(power, column) for column in power]
        count >>= 1
    return result


def _apply(matrix: list[int], register: int) -> int:
    total = 0
    while register:
        low = register & -register
        total ^= matrix[low.bit_length() - 1]
        register ^= low
    return total


def _half_tables(matrix: list[int]) -> tuple[_U32, _U32]:
    """The matrix as two tables of 65,536 entries, one per half of the register."""
    tables = []
    for half in (matrix[:16], matrix[16:]):
        table = np.zeros(1 << 16, np.uint32)
        for bit, column in enumerate(half):
            table[1 << bit : 2 << bit] = table[: 1 << bit] ^ np.uint32(column)
        tables.append(table)
    return tables[0], tables[1]


@functools.cache
def _slice_tables() -> tuple[_U32, _U32, _U32, _U32]:
    """Contribution of the 1st..4th 16-bit slice of eight bytes to the register after them."""
    first, second = _half_tables(_zeros_operator(8))
    third, fourth = _half_tables(_zeros_operator(4))
    return first, second, third, fourth


@functools.cache
def _join_tables(count: int) -> tuple[_U32, _U32]:
    return _half_tables(_zeros_operator(count))


def _raw_lanes(data: npt.NDArray[np.uint8]) -> int:
    """Register after `data` from a zero register. Zero bytes in front of the data change nothing, so they pad it."""
    lanes = 1 << max(0, (-(-data.size // _LANE_BYTES) - 1).bit_length())
    padded = np.zeros(lanes * _LANE_BYTES, np.uint8)
    padded[padded.size - data.size :] = data
    slices = np.ascontiguousarray(padded.view("<u2").reshape(lanes, _LANE_BYTES // 8, 4).transpose(1, 2, 0))
    t0, t1, t2, t3 = _slice_tables()
    register = np.zeros(lanes, np.uint32)
    # The indices are uint16 and cannot leave the tables; "wrap" only saves the bounds check of "raise".
    for w0, w1, w2, w3 in slices:
        low = w0 ^ register.astype(np.uint16)
        high = w1 ^ (register >> np.uint32(16)).astype(np.uint16)
        register = t0.take(low, mode="wrap")
        register ^= t1.take(high, mode="wrap")
        register ^= t2.take(w2, mode="wrap")
        register ^= t3.take(w3, mode="wrap")
    length = _LANE_BYTES
    while register.size > 1:
        left, right = register[0::2], register[1::2]
        j0, j1 = _join_tables(length)
        register = j0[left & np.uint32(0xFFFF)] ^ j1[left >> np.uint32(16)] ^ right
        length *= 2
    return int(register[0])


def crc32c(data: bytes | memoryview | npt.NDArray[np.uint8], value: int = 0) -> int:
    """CRC-32C of `data`, continuing from the CRC `value` of what came before it. Thread-safe."""
    array = np.frombuffer(data, np.uint8) if not isinstance(data, np.ndarray) else data
    register = value ^ 0xFFFFFFFF
    if array.size < _SMALL:
        table = _byte_table()
        for byte in array.tobytes():
            register = (register >> 8) ^ table[(register ^ byte) & 0xFF]
        return register ^ 0xFFFFFFFF
    for start in range(0, array.size, _CHUNK_BYTES):
        chunk = array[start : start + _CHUNK_BYTES]
        register = _apply(_chunk_operator(chunk.size), register) ^ _raw_lanes(chunk)
    return register ^ 0xFFFFFFFF


@functools.lru_cache(maxsize=64)
def _chunk_operator(count: int) -> list[int]:
    return _zeros_operator(count)


def unmask(masked: int) -> int:
    """Undoes the masking with which LevelDB and TensorFlow store CRCs (tsl/lib/hash/crc32c.h)."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def mask(value: int) -> int:
    """The masked form of a CRC, as stored beside the data it covers."""
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF
