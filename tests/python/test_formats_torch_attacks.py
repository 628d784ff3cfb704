# SPDX-License-Identifier: Apache-2.0
"""Pickles in torch files that would run something: they are refused, nothing runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import format_writers as w
import numpy as np
import pytest
from pybit import formats
from pybit.errors import FormatError
from pybit.formats.torch.state import read_torch
from torch_files import BOTH, Writer, same


@pytest.fixture(scope="module")
def network() -> w.Tensors:
    return w.tiny_network()


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
@pytest.mark.parametrize("place", ["top", "value", "key argument", "optimizer"])
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
        "optimizer": {"model": state, "optim": {"state": [attack]}},
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
