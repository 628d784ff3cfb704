# SPDX-License-Identifier: Apache-2.0
"""Files of torch.save: both formats, wrappers, layouts, and what torch itself writes."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
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


def test_in_copy_mode_a_file_may_change_after_it_was_opened(tmp_path: Path, network: w.Tensors) -> None:
    path = tmp_path / "a.pth"
    w.write_torch_zip(path, w.torch_state(w.reference_torch_names(network)))
    checkpoint = formats.open_any(path, mode="copy")
    path.write_bytes(b"")
    assert all(np.array_equal(checkpoint.read(name), array) for name, array in network.items())


def test_members_with_zip64_records_are_read(tmp_path: Path) -> None:
    expected = {"a": np.arange(5, dtype=np.float32)}
    state = w.torch_state(expected)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        for name, content in (("x/data.pkl", w.dump(state)), ("x/data/0", expected["a"].tobytes())):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    assert same(read_torch(tmp_path / "a.pth").tensors, expected)


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
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    path = tmp_path / "bit.pth.tar"
    torch.save(
        {"step": 3, "model": state, "optim": optimizer.state_dict()},
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
