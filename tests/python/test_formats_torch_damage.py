# SPDX-License-Identifier: Apache-2.0
"""Damaged torch files of every kind are errors that say what is wrong."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import format_writers as w
import numpy as np
import pytest
from pybit import formats
from pybit.errors import FormatError
from pybit.formats.torch.state import read_torch
from torch_files import BOTH, Writer, same


def tensor(storage: w.Storage, *arguments: Any) -> dict[str, Any]:
    """A state dict with one tensor that says `arguments` of its storage."""
    return {"x": w.Reduce(w.Global("torch._utils._rebuild_tensor_v2"), storage, *arguments)}


@BOTH
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0, (5,), (1,)), "reaches element 4 of a storage of 4"),
        ((1, (2, 2), (2, 1)), "reaches element 4"),
        ((4, (1,), (1,)), "reaches element 4"),
        ((-1, (1,), (1,)), "whole numbers >= 0"),
        ((0, (-1,), (1,)), "whole numbers >= 0"),
        ((0, (2,), (-1,)), "whole numbers >= 0"),
        ((0, (2, 2), (1,)), "of one length"),
        ((0, (1.5,), (1,)), "whole numbers"),
        ((0, (True,), (1,)), "whole numbers"),
        ((0, [2], [1]), "of one length"),
        ((0, (1 << 62, 4), (0, 1)), "repeats the 4 elements"),
        ((0, (1000, 1000), (0, 0)), "repeats the 4 elements"),
        ((0, (1 << 63, 1 << 63), (1 << 62, 1)), "reaches element"),
        ((0, (1,) * 9, (1,) * 9), "of one length"),
        ((0, (2,)), "has no storage"),
    ],
)
def test_cases_03_and_04_a_view_outside_its_storage_is_refused(
    tmp_path: Path, write: Writer, arguments: tuple[Any, ...], expected: str
) -> None:
    storage = w.Storage("FloatStorage", "0", np.arange(4, dtype=np.float32).tobytes(), 4)
    write(tmp_path / "a.pth", tensor(storage, 0, (2, 2), (1, 2)))
    assert np.array_equal(read_torch(tmp_path / "a.pth").tensors[0][1], [[0, 2], [1, 3]])  # the honest one is read
    write(tmp_path / "a.pth", tensor(storage, *arguments))
    with pytest.raises(FormatError, match=expected):
        read_torch(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (("module", w.Global("torch.FloatStorage"), "0", "cpu", 4), "something else than a storage"),
        (("storage", "FloatStorage", "0", "cpu", 4), "something else than a storage"),
        (("storage", w.Global("torch.FloatStorage"), 0, "cpu", 4), "something else than a storage"),
        (("storage", w.Global("torch.FloatStorage"), "9", "cpu", 4), "data/9' is missing"),
        (("storage", w.Global("torch.FloatStorage"), "../../x", "cpu", 4), "is missing"),
        (("storage", w.Global("torch.float32"), "0", "cpu", 4), "which no network here needs"),
        ("storage", "something else than a storage"),
    ],
)
def test_a_lying_storage_reference_is_refused(tmp_path: Path, reference: Any, expected: str) -> None:
    pickled = (
        b"\x80\x02}("
        + w._dump("x")
        + w._dump(w.Global("torch._utils._rebuild_tensor_v2"))
        + b"("
        + w._dump(reference)
        + b"Q"
        + w._dump(0)
        + w._dump((1,))
        + w._dump((1,))
        + b"tRu."
    )
    w.write_torch_zip(tmp_path / "a.pth", {}, pickled, {"archive/data/0": bytes(16)})
    with pytest.raises(FormatError, match=expected):
        read_torch(tmp_path / "a.pth")


@BOTH
def test_a_file_truncated_at_any_byte_is_an_error(tmp_path: Path, write: Writer) -> None:
    path = tmp_path / "a.pth"
    write(path, w.torch_state({"a": np.arange(3, dtype=np.float32), "b": np.ones((2, 2), np.float32)}))
    data = path.read_bytes()
    assert len(read_torch(path).tensors) == 2
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(FormatError, match="a.pth"):
            read_torch(path)


def test_a_flipped_bit_in_a_member_or_its_header_is_an_error_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    expected = {"a": np.arange(3, dtype=np.float32)}
    w.write_torch_zip(path, w.torch_state(expected))
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        stored = archive.getinfo("archive/data/0").header_offset
        pickled = archive.getinfo("archive/data.pkl").header_offset
    covered = {*range(stored + 30 + 14, stored + 30 + 14 + 12), *range(pickled + 30 + 16, pickled + 30 + 16 + 40)}
    refused = 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            found = read_torch(path).tensors
        except FormatError:
            refused += 1
            continue
        assert at not in covered and same(found, expected)
    assert refused > len(covered)


def test_compressed_duplicate_or_misplaced_members_are_refused(tmp_path: Path) -> None:
    state = w.torch_state({"a": np.arange(64, dtype=np.float32)})
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", w.dump(state))
        archive.writestr("archive/data/0", bytes(256))
    with pytest.raises(FormatError, match="compressed or encrypted"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", w.dump(state))
        archive.writestr("archive/data.pkl", w.dump(state))
    with pytest.raises(FormatError, match="there twice"):
        read_torch(path)
    w.write_torch_zip(path, state, extra={"other/data.pkl": b"."})
    with pytest.raises(FormatError, match="one data.pkl"):
        read_torch(path)
    w.write_torch_zip(path, state, extra={"archive/constants.pkl": b"."})
    with pytest.raises(FormatError, match="TorchScript"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", w.dump(state))
        archive.writestr("archive/byteorder", b"big")
    with pytest.raises(FormatError, match="big-endian"):
        read_torch(path)


def test_a_storage_that_lies_past_the_file_in_the_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    w.write_torch_zip(path, w.torch_state({"a": np.arange(4, dtype=np.float32)}))
    data = bytearray(path.read_bytes())
    at = data.rfind(b"archive/data/0") - 46  # its central directory record
    data[at + 20 : at + 28] = struct.pack("<II", 1 << 30, 1 << 30)
    path.write_bytes(bytes(data))
    with pytest.raises(FormatError, match="ends at byte"):
        read_torch(path)


@pytest.mark.parametrize(
    ("pickled", "expected"),
    [
        (b"", "truncated"),
        (b"\x80\x02", "truncated"),
        (b"\x80\x07.", "protocol 2 to 5"),
        (b"\x80\x02.", "stack is empty"),
        (b"\x80\x02h\x05.", "nothing was kept"),
        (b"\x80\x02K\x01K\x02R.", "expected a named function"),
        (b"\x80\x02K\x01}b.", "BUILD of a int"),
        (b"\x80\x02t.", "no mark"),
        (b"\x80\x02(.", "stack is empty"),
        (b"\x80\x02K\x01K\x02a.", "APPEND to a int"),
        (b"\x80\x02}(K\x01u.", "SETITEMS of 1"),
        (b"\x80\x02}](K\x01u.", "SETITEMS of 1"),
        (b"\x80\x02}]K\x01s.", "key or set element is a list"),
        (b"\x80\x02]q\x00.", "expected a dictionary of tensors, got list"),
        (b"\x80\x02X\xff\xff\xff\xffa.", "truncated"),
        (b"\x80\x02X\x01\x00\x00\x00\xff.", "not UTF-8"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.", "truncated"),
        (b"\x80\x02" + b"c" + b"a" * 3000, "does not end"),
        (b"\x80\x02}r\xff\xff\xff\xff0.", "stack is empty"),  # a huge memo index costs nothing
        (b"\x80\x02}.", "got a dictionary with keys \\[\\]"),
    ],
)
def test_a_damaged_pickle_is_an_error(tmp_path: Path, pickled: bytes, expected: str) -> None:
    w.write_torch_zip(tmp_path / "a.pth", {}, pickled)
    with pytest.raises(FormatError, match=expected):
        read_torch(tmp_path / "a.pth")


def test_a_pickle_bomb_stops_at_the_limit_and_nesting_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    w.write_torch_zip(tmp_path / "a.pth", {}, b"\x80\x02" + b"]" * 3_000_000 + b".")
    with pytest.raises(FormatError, match="instructions"):
        read_torch(tmp_path / "a.pth")
    nested = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    w.write_torch_zip(tmp_path / "a.pth", {}, nested)
    with pytest.raises(FormatError, match="got list"):
        read_torch(tmp_path / "a.pth")
    # Each tuple holds the one before twice: 2^200 elements for code that prints or copies it.
    laughs = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 200 + b"."
    w.write_torch_zip(tmp_path / "a.pth", {}, laughs)
    with pytest.raises(FormatError, match="got tuple"):
        read_torch(tmp_path / "a.pth")


@pytest.mark.parametrize("change", ["protocol", "order", "keys", "count"])
def test_a_damaged_legacy_file_is_an_error(tmp_path: Path, change: str) -> None:
    state = w.torch_state({"a": np.arange(4, dtype=np.float32)})
    head = [
        pickle.dumps(0x1950A86A20F9469CFC6C, 2),
        pickle.dumps(1001, 2),
        pickle.dumps({"little_endian": True}, 2),
        w.dump(state),
        pickle.dumps(["0"], 2),
        struct.pack("<q", 4),
        bytes(16),
    ]
    path = tmp_path / "a.pth"
    path.write_bytes(b"".join(head))
    assert len(read_torch(path).tensors) == 1
    position, content, expected = {
        "protocol": (1, pickle.dumps(1000, 2), "protocol 1001"),
        "order": (2, pickle.dumps({"little_endian": False}, 2), "big-endian"),
        "keys": (4, pickle.dumps(["7"], 2), "storage '0' is missing|ends at byte"),
        "count": (5, struct.pack("<q", -1), "of -1 elements"),
    }[change]
    head[position] = content
    path.write_bytes(b"".join(head))
    with pytest.raises(FormatError, match=expected):
        read_torch(path)


def test_old_tar_files_and_whole_modules_say_what_to_do(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "a.pth.tar", "w") as archive:
        info = tarfile.TarInfo("sys_info")
        archive.addfile(info, io.BytesIO())
    with pytest.raises(FormatError, match="tar archive"):
        formats.open_any(tmp_path / "a.pth.tar")
