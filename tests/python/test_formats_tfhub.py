# SPDX-License-Identifier: Apache-2.0
"""Tensor bundles of TensorFlow: checksums, the table, names, and damage of every kind."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import format_writers as w
import numpy as np
import pytest
from pybit import formats
from pybit.errors import FormatError
from pybit.formats.keras import table
from pybit.formats.keras.crc32c import crc32c, mask, unmask
from pybit.formats.keras.tfhub import read_bundle

# An index and data file with names, kinds and checksums as TensorFlow 1 writes three scalars (a, b, c).
SCALARS = {"a": np.float32(0.5), "b": np.float32(2), "c": np.float32(3)}


@pytest.fixture(scope="module")
def network() -> w.Tensors:
    return w.tiny_network()


def same(found: list[tuple[str, np.ndarray]], expected: w.Tensors) -> bool:
    """Whether names, shapes and every value agree exactly."""
    got = dict(found)
    return got.keys() == expected.keys() and all(np.array_equal(got[name], array) for name, array in expected.items())


def test_crc32c_of_the_vectors_in_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 8191, 65536, 65537, 100_003])
def test_crc32c_by_lanes_equals_the_definition_bit_by_bit(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    expected = w.slow_crc32c(data)
    assert crc32c(data) == expected
    assert crc32c(data[size // 3 :], crc32c(data[: size // 3])) == expected
    flipped = bytearray(data)
    flipped[size // 2] ^= 0x10
    assert crc32c(bytes(flipped)) != expected


def test_crc32c_continues_over_chunks() -> None:
    data = np.random.default_rng(1).integers(0, 256, (8 << 20) + 12345, np.uint8)
    assert crc32c(data) == crc32c(data[5_000_001:], crc32c(data[:5_000_001]))


def test_masking_is_undone() -> None:
    assert unmask(mask(0x12345678)) == 0x12345678
    assert int.from_bytes(w.masked(0x12345678), "little") == mask(0x12345678)


@pytest.mark.parametrize(
    "options", [{}, {"release_name": True}, {"shards": 3}, {"snappy": True}, {"per_block": 1}, {"per_block": 999}]
)
def test_a_bundle_gives_the_official_names_and_values(
    tmp_path: Path, network: w.Tensors, options: dict[str, Any]
) -> None:
    folder = w.write_bundle(tmp_path / "m", network, **options)
    assert same(formats.read_tensors(folder).tensors, network)
    checkpoint = formats.open_any(folder)
    assert checkpoint.format == "tfhub" and checkpoint.file_size > 4 * checkpoint.num_parameters
    assert all(np.array_equal(checkpoint.read(name), array) for name, array in network.items())


def test_any_path_of_the_module_opens_it(tmp_path: Path, network: w.Tensors) -> None:
    folder = w.write_bundle(tmp_path / "m", network, release_name=True)
    for path in (
        folder,
        folder / "variables",
        folder / "variables/variables.index",
        folder / "variables/variables.data@1",
    ):
        assert formats.detect(path) == "tfhub" and formats.open_any(path).config.num_classes == 10


@pytest.mark.parametrize("start", [b"\x80\x02]", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"])
def test_a_data_file_is_told_by_its_index_whatever_its_first_bytes(tmp_path: Path, start: bytes) -> None:
    tensors = {"a": np.frombuffer(start.ljust(8, b"\0"), np.float32)}
    folder = w.write_bundle(tmp_path / "m", tensors)
    assert formats.detect(folder / "variables/variables.data-00000-of-00001") == "tfhub"


def test_scopes_step_counters_and_momentum_around_the_network_are_left_out(tmp_path: Path, network: w.Tensors) -> None:
    tensors = {f"module/{name}": array for name, array in network.items()}
    tensors |= {f"module/{name}/Momentum": array for name, array in network.items()}
    tensors["global_step"] = np.array(100, np.int64)
    assert same(formats.read_tensors(w.write_bundle(tmp_path / "m", tensors)).tensors, network)


def test_variables_numbered_by_keras_are_resolved_by_order(tmp_path: Path, network: w.Tensors) -> None:
    tensors = {f"variables/{number}/.ATTRIBUTES/VARIABLE_VALUE": array for number, array in enumerate(network.values())}
    assert same(formats.read_tensors(w.write_bundle(tmp_path / "m", tensors)).tensors, network)


def test_the_object_graph_gives_the_variables_own_names(tmp_path: Path, network: w.Tensors) -> None:
    shuffled = sorted(network, key=lambda name: name[::-1])
    keys = {f"variables/{number}/.ATTRIBUTES/VARIABLE_VALUE": name for number, name in enumerate(shuffled)}
    folder = w.write_bundle(tmp_path / "m", {key: network[name] for key, name in keys.items()}, graph=keys)
    assert same(formats.read_tensors(folder).tensors, network)


def test_attribute_paths_of_the_reference_model_are_understood(tmp_path: Path) -> None:
    network = w.tiny_network(units=(1, 2, 1, 1))
    keys = {}
    for name in network:
        words = name.removeprefix("resnet/").split("/")
        if words[0] == "root_block":
            key = "_root/layer_with_weights-0/kernel"
        elif words[0] == "group_norm":
            key = f"_pre_head/0/_{words[1]}"
        elif words[0] == "head":
            key = f"_head/{words[-1]}"
        else:
            place = f"_blocks/{int(words[0][-1]) - 1}/layer_with_weights-{int(words[1][-2:]) - 1}"
            if "proj" in words:
                key = f"{place}/_proj/kernel"
            elif words[-1] != "kernel":
                key = f"{place}/_unit_{words[2]}/layer_with_weights-0/_{words[-1]}"
            else:
                key = (
                    f"{place}/_unit_a_conv/kernel"
                    if words[2] == "a"
                    else f"{place}/_unit_{words[2]}/layer_with_weights-1/kernel"
                )
        values = network[name][0, 0] if name.endswith("head/conv2d/kernel") else network[name]
        keys[f"{key}/.ATTRIBUTES/VARIABLE_VALUE"] = values
    assert same(formats.read_tensors(w.write_bundle(tmp_path / "m", keys)).tensors, network)


def test_half_and_double_precision_are_read(tmp_path: Path) -> None:
    tensors: w.Tensors = {
        "h": np.arange(6, dtype=np.float16).reshape(2, 3),
        "d": np.linspace(0, 1, 5),
        "i": np.arange(4),
    }
    found = dict(read_bundle(w.write_bundle(tmp_path / "m", tensors)).tensors)
    assert all(
        found[name].dtype == array.dtype and np.array_equal(found[name], array) for name, array in tensors.items()
    )


def rewrite(folder: Path, change: dict[bytes, bytes | None]) -> Path:
    """Replaces (or with None removes) entries of a bundle's index; checksums of the table stay right."""
    index = folder / "variables/variables.index"
    entries = table.read_table(index.read_bytes(), index) | {
        key: value for key, value in change.items() if value is not None
    }
    kept = sorted((key, value) for key, value in entries.items() if change.get(key, value) is not None)
    index.write_bytes(w.write_table(kept))
    return folder


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (w.bundle_entry(1, (), 0, 12, 4, 0), "truncated or belongs to another index"),
        (w.bundle_entry(1, (), 0, -4, 4, 0), "truncated or belongs to another index"),
        (w.bundle_entry(1, (), 0, 0, -4, 0), "truncated or belongs to another index"),
        (w.bundle_entry(1, (), 0, 1 << 62, 1 << 62, 0), "truncated or belongs to another index"),
        (w.bundle_entry(1, (2,), 0, 0, 4, 0), "at most 1"),
        (w.bundle_entry(1, (-1,), 0, 0, 4, 0), "dimensions >= 0"),
        (w.bundle_entry(1, (4194305, 4194305, 211106198978564), 0, 0, 12, 0), "at most 3"),  # overflows 64 bits to 4
        (w.bundle_entry(1, (1,) * 9, 0, 0, 4, 0), "at most 8 dimensions"),
        (w.bundle_entry(1, (), 7, 0, 4, 0), "shard 7"),
        (w.bundle_entry(1, (), -1, 0, 4, 0), "shard -1"),
        (w.bundle_entry(1, (), 0, 0, 8, 0), "needs 4 bytes"),
        (w.bundle_entry(1, (), 0, 0, 4, 1), "CRC-32C of its data"),
        (w.bundle_entry(99, (), 0, 0, 4, 0), "TensorFlow type 99"),
        (w.bundle_entry(1, (), 0, 0, 4, 0) + w.field(7, b"x"), "slices"),
        (w.field(1, b"text"), "expected a number"),
        (w.field(2, 5), "expected a length-delimited field"),
        (b"\x0b", "wire type 3"),
        (b"\x08" + b"\xff" * 10, "longer than 64 bits"),
        (b"\x12\x7f", "runs past the end"),
    ],
)
def test_cases_03_and_04_a_lying_entry_is_refused(tmp_path: Path, entry: bytes, expected: str) -> None:
    folder = w.write_bundle(tmp_path / "m", {name: np.asarray(value) for name, value in SCALARS.items()})
    assert len(read_bundle(folder).tensors) == 3
    with pytest.raises(FormatError, match=expected):
        read_bundle(rewrite(folder, {b"b": entry}))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "bundle header"),
        (w.field(1, 1) + w.field(2, 1), "big-endian"),
        (w.field(1, 0), "1 to 99999 shards"),
        (w.field(1, 1 << 40), "1 to 99999 shards"),
    ],
)
def test_a_lying_header_is_refused(tmp_path: Path, header: bytes | None, expected: str) -> None:
    folder = w.write_bundle(tmp_path / "m", {"a": np.ones(1, np.float32)})
    with pytest.raises(FormatError, match=expected):
        read_bundle(rewrite(folder, {b"": header}))


def test_an_index_truncated_at_any_byte_is_an_error(tmp_path: Path) -> None:
    folder = w.write_bundle(tmp_path / "m", {name: np.asarray(value) for name, value in SCALARS.items()})
    index = folder / "variables/variables.index"
    data = index.read_bytes()
    for size in range(len(data)):
        index.write_bytes(data[:size])
        with pytest.raises(FormatError, match="variables.index"):
            read_bundle(folder)


@pytest.mark.parametrize("snappy", [False, True])
def test_a_flipped_bit_anywhere_in_index_or_data_is_an_error_or_harmless_padding(tmp_path: Path, snappy: bool) -> None:
    expected = {name: np.asarray(value) for name, value in SCALARS.items()}
    folder = w.write_bundle(tmp_path / "m", expected, snappy=snappy)
    harmless = 0
    for file in ("variables.index", "variables.data-00000-of-00001"):
        path = folder / "variables" / file
        data = path.read_bytes()
        for at in range(len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
            try:
                found = read_bundle(folder).tensors
            except FormatError:
                continue
            # The footer's padding is the only thing that no checksum covers.
            assert file == "variables.index" and len(data) - 48 <= at < len(data) - 8 and data[at] == 0
            assert same(found, expected)
            harmless += 1
        path.write_bytes(data)
    assert 0 < harmless < 40


def test_a_data_file_cut_short_is_an_error(tmp_path: Path, network: w.Tensors) -> None:
    folder = w.write_bundle(tmp_path / "m", network)
    data = folder / "variables/variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(FormatError, match="data file is truncated"):
        formats.open_any(folder)
    data.write_bytes(b"")
    with pytest.raises(FormatError, match="data file is truncated"):
        formats.open_any(folder)
    data.unlink()
    with pytest.raises(FileNotFoundError):
        formats.open_any(folder)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff" * 10, "without a size"),
        (b"\xff\xff\xff\x7f\x00a", "claim to hold"),  # a bomb by its declared size
        (b"\x05\x00a", "hold 1 bytes, expected 5"),
        (b"\x04\x00a\x01\x00", "copy points outside"),  # distance 0
        (b"\x08\x00a\x01\x09", "copy points outside"),  # before the start
        (b"\x02\x00a\x0d\x01", "copy points outside"),  # past the declared size
        (b"\x05\xf0\x04ab", "literal runs past"),
        (b"\x01\x04ab", "literal runs past"),
    ],
)
def test_hostile_snappy_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(FormatError, match=expected):
        table.snappy(data, "x")


def test_snappy_of_the_format_description_and_overlapping_copies() -> None:
    assert table.snappy(b"\x06\x08xyz\x0a\x03\x00", "x") == b"xyzxyz"
    assert table.snappy(b"\x0b\x00a" + bytes([1 | (10 - 4) << 2, 1]), "x") == b"a" * 11
    text = b"the quick brown fox " * 40 + bytes(range(256)) * 3
    assert table.snappy(w.snappy_compress(text), "x") == text


def test_keys_that_do_not_rise_are_refused() -> None:
    for entries in ([(b"", w.field(1, 1)), (b"b", b""), (b"a", b"")], [(b"", b""), (b"a", b""), (b"a", b"")]):
        with pytest.raises(FormatError, match="keys must rise"):
            table.read_table(w.write_table(entries), "x")


def table_of(content: bytes, uses: int = 1) -> bytes:
    """A table with one data block of any content, which the index names `uses` times."""

    def sealed(block: bytes) -> bytes:
        return block + b"\0" + w.masked(crc32c(block + b"\0"))

    handle = w.varint(0) + w.varint(len(content))
    index = w.table_block([(b"%03d" % number, handle) for number in range(uses)], 1)
    meta = w.table_block([])
    body = sealed(content) + sealed(meta)
    footer = w.varint(len(content) + 5) + w.varint(len(meta)) + w.varint(len(body)) + w.varint(len(index))
    return body + sealed(index) + footer.ljust(40, b"\0") + table.MAGIC


def test_blocks_that_overlap_are_refused() -> None:
    block = w.table_block([(b"a", b"1")])
    assert table.read_table(table_of(block), "x") == {b"a": b"1"}
    with pytest.raises(FormatError, match="overlaps"):
        table.read_table(table_of(block, uses=2), "x")


def test_prefix_compression_cannot_multiply_memory() -> None:
    long = w.table_block([(b"k" * 900, b"")], 1)[:-8]
    restarts = struct.pack("<II", 0, 1)
    with pytest.raises(FormatError, match="key above 1024 bytes"):
        table.read_table(table_of(long + w.varint(900) + w.varint(300) + w.varint(0) + b"x" * 300 + restarts), "x")
    with pytest.raises(FormatError, match="more than 100000 keys"):
        table.read_table(table_of(b"\0\0\0" * 100_001 + restarts), "x")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\0\0", "shorter than its restart count"),
        (struct.pack("<I", 1 << 31), "restart points"),
        (b"\x05\x01\x00a" + struct.pack("<II", 0, 1), "runs past its end"),
        (b"\x00\x7f\x00a" + struct.pack("<II", 0, 1), "runs past its end"),
        (b"\xff" + struct.pack("<II", 0, 1), "varint"),
    ],
)
def test_a_lying_block_is_refused(content: bytes, expected: str) -> None:
    with pytest.raises(FormatError, match=expected):
        table.read_table(table_of(content), "x")


def test_a_folder_without_a_bundle_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"variables/variables\.index"):
        formats.open_any(tmp_path)


def test_a_bundle_of_another_network_says_where_it_differs(tmp_path: Path) -> None:
    folder = w.write_bundle(
        tmp_path / "m", {"dense/kernel": np.ones((3, 4), np.float32), "dense/bias": np.ones(4, np.float32)}
    )
    with pytest.raises(FormatError, match="not a BiT network.*dense/"):
        formats.open_any(folder)
