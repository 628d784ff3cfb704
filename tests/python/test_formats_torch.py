"""Files of torch.save: both formats, wrappers, layouts; hostile pickles that must not run; damage of every kind."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import format_writers as w
import numpy as np
import pytest
from pybit import formats
from pybit._core import FormatError
from pybit.formats.torch_pickle import read_torch

Writer = Callable[[Path, Any], None]
BOTH = pytest.mark.parametrize("write", [w.write_torch_zip, w.write_torch_legacy], ids=["zip", "legacy"])


def same(found: list[tuple[str, np.ndarray]], expected: w.Tensors) -> bool:
    """Whether names, order, types, shapes and every value agree exactly."""
    return [name for name, _ in found] == list(expected) and all(
        array.dtype == expected[name].dtype
        and array.shape == expected[name].shape
        and np.array_equal(array, expected[name])
        for name, array in found
    )


@pytest.fixture(scope="module")
def network() -> w.Tensors:
    return w.tiny_network()


@BOTH
def test_a_state_dict_is_read_exactly(tmp_path: Path, network: w.Tensors, write: Writer) -> None:
    tensors = w.reference_torch_names(network)
    tensors |= {
        "half": np.arange(3, dtype=np.float16),
        "double": np.linspace(0, 1, 4).reshape(2, 2),
        "step": np.array(7),
    }
    write(tmp_path / "a.pth", w.torch_state(tensors))
    raw = formats.read_tensors(tmp_path / "a.pth")
    assert raw.format == "torch" and same(raw.tensors, tensors)
    tensors["half"] = tensors["half"] + np.float16(1)
    assert not same(raw.tensors, tensors)  # the comparison would notice one changed value


@BOTH
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapper", ["model", "state_dict", "model_state_dict"])
def test_training_checkpoints_are_unwrapped(
    tmp_path: Path, network: w.Tensors, write: Writer, prefix: str, wrapper: str
) -> None:
    state = w.torch_state(w.reference_torch_names(network, prefix))
    write(
        tmp_path / "bit.pth.tar", {"step": 500, wrapper: state, "optim": {"state": {}, "param_groups": [{"lr": 0.003}]}}
    )
    checkpoint = formats.open_any(tmp_path / "bit.pth.tar")
    assert checkpoint.naming == "reference_torch" and checkpoint.config.num_classes == 10
    assert all(np.array_equal(checkpoint.read(name), array) for name, array in network.items())


def test_a_compiled_models_prefix_is_stripped(tmp_path: Path, network: w.Tensors) -> None:
    w.write_torch_zip(tmp_path / "a.pt", w.torch_state(w.reference_torch_names(network, "_orig_mod.")))
    assert formats.open_any(tmp_path / "a.pt").config.num_classes == 10


def test_case_17_in_copy_mode_a_file_may_change_after_it_was_opened(tmp_path: Path, network: w.Tensors) -> None:
    path = tmp_path / "a.pth"
    w.write_torch_zip(path, w.torch_state(w.reference_torch_names(network)))
    checkpoint = formats.open_any(path, mode="copy")
    path.write_bytes(b"")
    assert all(np.array_equal(checkpoint.read(name), array) for name, array in network.items())


def test_case_09_members_with_zip64_records_are_read(tmp_path: Path) -> None:
    expected = {"a": np.arange(5, dtype=np.float32)}
    state = w.torch_state(expected)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        for name, content in (("x/data.pkl", w.dump(state)), ("x/data/0", expected["a"].tobytes())):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    assert same(read_torch(tmp_path / "a.pth").tensors, expected)


# --- nothing is executed

MARKER = "executed"


def attacks(target: Path) -> dict[str, Any]:
    """Values whose unpickling by Python would create the file `target`."""
    path = str(target)
    call = w.Reduce
    made = f"open({path!r}, 'w').close()"
    return {
        "os.system": call(w.Global("os.system"), f"touch {path}"),
        "posix.system": call(w.Global("posix.system"), f"touch {path}"),
        "builtins.eval": call(w.Global("builtins.eval"), made),
        "builtins.exec": call(w.Global("builtins.exec"), made),
        "__builtin__.eval": call(w.Global("__builtin__.eval"), made),
        "subprocess.Popen": call(w.Global("subprocess.Popen"), ["touch", path]),
        "runpy._run_code": call(w.Global("runpy._run_code"), made, {}),
        "torch.load": call(w.Global("torch.load"), path),
        "torch.storage._load_from_bytes": call(w.Global("torch.storage._load_from_bytes"), b"x"),
        "torch.hub.load": call(w.Global("torch.hub.load"), "evil/repo", "model"),
        "numpy.load": call(w.Global("numpy.load"), path),
        "pickle.loads": call(w.Global("pickle.loads"), b"x"),
        "builtins.getattr": call(w.Global("builtins.getattr"), call(w.Global("collections.OrderedDict")), "clear"),
        "importlib.import_module": call(w.Global("importlib.import_module"), "antigravity"),
        "torch.nn.modules.linear.Linear": call(w.Global("torch.nn.modules.linear.Linear")),
        "torch._utils._rebuild_tensor_v2.__globals__": call(w.Global("torch._utils._rebuild_tensor_v2.__globals__")),
    }


def test_the_attacks_would_work_on_python_itself(tmp_path: Path) -> None:
    for name in ("os.system", "builtins.exec", "builtins.eval"):
        target = tmp_path / name
        pickle.loads(w.dump(attacks(target)[name]))
        assert target.exists()


@BOTH
@pytest.mark.parametrize("name", attacks(Path(MARKER)))
@pytest.mark.parametrize("place", ["top", "value", "key argument", "optimiser"])
def test_a_hostile_global_is_refused_by_name_and_never_called(
    tmp_path: Path, network: w.Tensors, write: Writer, name: str, place: str
) -> None:
    target = tmp_path / MARKER
    attack = attacks(target)[name]
    state = w.torch_state({"a": np.ones(2, np.float32)})
    value = {
        "top": attack,
        "value": {"model": state, "extra": attack},
        "key argument": w.Reduce(w.Global("collections.OrderedDict"), attack),
        "optimiser": {"model": state, "optim": {"state": [attack]}},
    }[place]
    write(tmp_path / "evil.pth", value)
    with pytest.raises(FormatError) as error:
        formats.open_any(tmp_path / "evil.pth")
    assert f"'{name}'" in str(error.value) or name.rsplit(".", 1)[0] in str(error.value)
    assert "nothing was executed" in str(error.value) and not target.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02(S'touch executed'\nios\nsystem\n.",  # INST
        b"\x80\x02(cos\nsystem\nS'x'\no.",  # OBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",  # STACK_GLOBAL
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02P1\n.",  # textual persistent id
        b"\x80\x02}(K\x01cos\nsystem\nu.",
        b"\x80\x02cposix\nsystem\n.",
        b"\x80\x05\x97.",  # NEXT_BUFFER
    ],
)
def test_instructions_that_only_programs_use_are_refused(tmp_path: Path, pickled: bytes) -> None:
    w.write_torch_zip(tmp_path / "evil.pth", {}, pickled)
    with pytest.raises(FormatError, match="instruction|refers to"):
        formats.open_any(tmp_path / "evil.pth")


def test_an_inert_call_stays_inert(tmp_path: Path) -> None:
    """Bookkeeping globals are kept as descriptions: even OrderedDict is never made from the file's arguments."""
    odd = w.Reduce(
        w.Global("collections.OrderedDict"), 1, 2, 3, items={"model": w.torch_state({"a": np.ones(1, np.float32)})}
    )
    w.write_torch_zip(tmp_path / "a.pth", odd)
    assert same(read_torch(tmp_path / "a.pth").tensors, {"a": np.ones(1, np.float32)})
    w.write_torch_zip(
        tmp_path / "b.pth",
        {
            "model": w.torch_state({"a": np.ones(1, np.float32)}),
            "args": w.Reduce(w.Global("argparse.Namespace"), state={"lr": 0.1}),
        },
    )
    assert len(read_torch(tmp_path / "b.pth").tensors) == 1


@pytest.mark.parametrize("data", [pickle.dumps({"a": 1}, 2), pickle.dumps([1, 2], 4), pickle.dumps(os.getcwd, 5)])
def test_a_pickle_that_is_no_torch_file_is_not_opened(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.pkl").write_bytes(data)
    with pytest.raises(FormatError, match="not written by torch.save|refers to"):
        formats.open_any(tmp_path / "model.pkl")


# --- damage


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
def test_case_01_a_file_truncated_at_any_byte_is_an_error(tmp_path: Path, write: Writer) -> None:
    path = tmp_path / "a.pth"
    write(path, w.torch_state({"a": np.arange(3, dtype=np.float32), "b": np.ones((2, 2), np.float32)}))
    data = path.read_bytes()
    assert len(read_torch(path).tensors) == 2
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(FormatError, match="a.pth"):
            read_torch(path)


def test_case_06_and_10_a_flipped_bit_in_a_member_or_its_header_is_an_error_or_harmless(tmp_path: Path) -> None:
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


def test_case_09_a_storage_that_lies_past_the_file_in_the_directory_is_refused(tmp_path: Path) -> None:
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
    # Each tuple holds the one before twice: 2^200 elements for whoever prints or copies it.
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


# --- against torch itself


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_writes_is_read_back_exactly(tmp_path: Path, legacy: bool, protocol: int) -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0)
    state = OrderedDict(
        plain=torch.randn(3, 4),
        transposed=torch.randn(2, 5).t(),
        tail=base[5:11],
        strided=base[1::5],
        shared=base.view(2, 3, 4),
        half=torch.randn(3).half(),
        brain=torch.randn(4, 2).bfloat16(),
        double=torch.randn(2).double(),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        step=torch.tensor(9),
        parameter=torch.nn.Parameter(torch.randn(2, 2)),
    )
    net = torch.nn.Linear(2, 1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    path = tmp_path / "bit.pth.tar"
    torch.save(
        {"step": 3, "model": state, "optim": optimiser.state_dict()},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not legacy,
    )
    raw = formats.read_tensors(path)
    assert raw.metadata == {"state_dict": "model"} and [name for name, _ in raw.tensors] == list(state)
    for name, array in raw.tensors:
        expected = state[name].detach()
        expected = expected.float() if expected.dtype == torch.bfloat16 else expected
        assert array.shape == tuple(expected.shape) and np.array_equal(array, expected.numpy())
        assert array.dtype == expected.numpy().dtype


def test_a_module_or_program_saved_by_torch_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 1), tmp_path / "module.pth")
    with pytest.raises(FormatError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        formats.open_any(tmp_path / "module.pth")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_state_dict_of_transformers_is_recognised_and_converted(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from transformers.models.bit import configuration_bit, modeling_bit

    sizes: Any = {"embedding_size": 32, "hidden_sizes": [128, 256, 512, 1024], "depths": [1, 1, 1, 1], "num_labels": 7}
    state = modeling_bit.BitForImageClassification(configuration_bit.BitConfig(**sizes)).state_dict()
    torch.save(state, tmp_path / "pytorch_model.bin")
    checkpoint = formats.open_any(tmp_path)  # a folder as the hub gives it
    assert checkpoint.naming == "transformers" and checkpoint.config.num_classes == 7
    stem = state["bit.embedder.convolution.weight"].numpy().transpose(2, 3, 1, 0)
    assert np.array_equal(checkpoint.read("resnet/root_block/standardized_conv2d/kernel"), stem)
    head = state["classifier.1.weight"].numpy().T
    assert np.array_equal(checkpoint.read("resnet/head/conv2d/kernel")[0, 0], head)
