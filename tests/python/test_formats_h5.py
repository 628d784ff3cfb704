# SPDX-License-Identifier: Apache-2.0
"""Keras weight files: variants that must load alike, and damage that must be named."""

from __future__ import annotations

import sys
from pathlib import Path

import format_writers as w
import numpy as np
import pytest
from pybit import formats
from pybit.errors import FormatError
from pybit.formats.keras.h5 import read_h5

h5py = pytest.importorskip("h5py")


def same(found: list[tuple[str, np.ndarray]], expected: w.Tensors) -> bool:
    """Whether names, shapes and every value agree exactly."""
    got = dict(found)
    return got.keys() == expected.keys() and all(np.array_equal(got[name], array) for name, array in expected.items())


@pytest.fixture(scope="module")
def network() -> w.Tensors:
    return w.tiny_network()


def test_a_file_as_keras_writes_it_gives_the_official_names_and_values(tmp_path: Path, network: w.Tensors) -> None:
    path = tmp_path / "tiny.h5"
    w.write_h5(path, w.keras_variables(network))
    raw = formats.read_tensors(path)
    assert raw.format == "h5" and raw.metadata == {"backend": "tensorflow", "keras_version": "2.4.0"}
    assert same(raw.tensors, network)
    swapped = dict(network)
    a, b = "resnet/block1/unit01/a/group_norm/gamma", "resnet/block1/unit01/a/group_norm/beta"
    swapped[a], swapped[b] = network[b], network[a]
    assert not same(raw.tensors, swapped)  # the comparison would notice two vectors that changed places


def test_the_recognised_checkpoint_reads_the_same_values(tmp_path: Path, network: w.Tensors) -> None:
    path = tmp_path / "tiny.h5"
    w.write_h5(path, w.keras_variables(network))
    checkpoint = formats.open_any(path)
    assert checkpoint.format == "h5" and checkpoint.file_size == path.stat().st_size
    assert checkpoint.config.num_classes == 10 and checkpoint.config.stem_channels == 32
    assert all(np.array_equal(checkpoint.read(name), array) for name, array in network.items())


@pytest.mark.parametrize("units", [(1, 1, 1, 1), (2, 1, 3, 1), (1, 2, 1, 2)])
@pytest.mark.parametrize("classes", [0, 1, 7])
def test_meaningless_names_are_resolved_by_order_and_shape(
    tmp_path: Path, units: tuple[int, ...], classes: int
) -> None:
    network = w.tiny_network(classes, units=units)
    variables = [
        (layer, f"weight_{number}:0", array) for number, (layer, _, array) in enumerate(w.keras_variables(network))
    ]
    w.write_h5(tmp_path / "tiny.h5", variables)
    assert same(read_h5(tmp_path / "tiny.h5").tensors, network)


def test_order_may_put_the_projection_beside_the_first_convolution_and_beta_before_gamma(
    tmp_path: Path, network: w.Tensors
) -> None:
    names = list(network)
    for block in (1, 2, 3, 4):
        names.remove(projection := f"resnet/block{block}/unit01/a/proj/standardized_conv2d/kernel")
        names.insert(names.index(f"resnet/block{block}/unit01/a/standardized_conv2d/kernel") + block % 2, projection)
    for name in [name for name in names if name.endswith("gamma")]:
        at = names.index(name)
        names[at], names[at + 1] = names[at + 1], name
    variables = [("net", f"v{number}_{name.rsplit('/')[-1]}:0", network[name]) for number, name in enumerate(names)]
    w.write_h5(tmp_path / "tiny.h5", variables)
    assert same(read_h5(tmp_path / "tiny.h5").tensors, network)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"chunks": True}, {"dtype": ">f4"}, {"dtype": "f8"}])
def test_storage_options_change_no_value(tmp_path: Path, network: w.Tensors, options: dict[str, object]) -> None:
    w.write_h5(tmp_path / "tiny.h5", w.keras_variables(network), group="model_weights", chunked_names=True, **options)
    checkpoint = formats.open_any(tmp_path / "tiny.h5")
    assert all(np.array_equal(checkpoint.read(name), array) for name, array in network.items())


def test_a_user_block_before_the_file_is_found(tmp_path: Path, network: w.Tensors) -> None:
    path = tmp_path / "tiny.h5"
    w.write_h5(path, w.keras_variables(network))
    shifted = tmp_path / "shifted.h5"
    with h5py.File(shifted, "w", userblock_size=1024) as target, h5py.File(path) as source:
        for key in source:
            source.copy(key, target)
        target.attrs["layer_names"] = source.attrs["layer_names"]
    assert same(formats.read_tensors(shifted).tensors, network)


def test_optimizer_state_in_the_file_is_left_out(tmp_path: Path, network: w.Tensors) -> None:
    variables = w.keras_variables(network)
    variables += [
        ("training", "training/SGD/iter:0", np.zeros(1, np.float32)),
        ("count", "count:0", np.zeros((), np.int64)),
    ]
    w.write_h5(tmp_path / "tiny.h5", variables)
    assert same(read_h5(tmp_path / "tiny.h5").tensors, network)


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        (
            "resnet/root_block/standardized_conv2d/kernel",
            r"root_block/standardized_conv2d/kernel.*variable 1 of 44, 'net/w1'",
        ),
        (
            "resnet/block2/unit01/b/group_norm/beta",
            r"b/group_norm/gamma and beta.*variable 15 of 44, 'net/w14' of shape \(64,\)",
        ),
        ("resnet/block3/unit01/c/standardized_conv2d/kernel", r"4 blocks.*found 3"),
        ("resnet/block4/unit01/a/proj/standardized_conv2d/kernel", r"4 blocks.*found 3"),
        ("resnet/head/conv2d/bias", "the head's kernel and bias at the end"),
    ],
)
def test_a_missing_variable_is_an_error_that_says_where_the_order_breaks(
    tmp_path: Path, network: w.Tensors, drop: str, expected: str
) -> None:
    variables = [("net", f"w{number}:0", array) for number, (name, array) in enumerate(network.items()) if name != drop]
    w.write_h5(tmp_path / "tiny.h5", variables)
    with pytest.raises(FormatError, match=f"tiny.h5.*by order and shape.*{expected}"):
        formats.open_any(tmp_path / "tiny.h5")


def test_a_variable_of_the_wrong_shape_is_listed(tmp_path: Path, network: w.Tensors) -> None:
    wrong = dict(network)
    wrong["resnet/block2/unit01/b/standardized_conv2d/kernel"] = np.zeros((3, 3, 32, 64), np.float32)
    w.write_h5(tmp_path / "tiny.h5", w.keras_variables(wrong))
    with pytest.raises(FormatError, match="block2/unit01/b/standardized_conv2d/kernel"):
        formats.open_any(tmp_path / "tiny.h5")


@pytest.mark.parametrize(("name", "factor"), [("BiT-S-R50x3", 1), ("BiT-S-R101x1", 4)])
def test_known_wrong_files_of_the_release_are_named(tmp_path: Path, name: str, factor: int) -> None:
    """The values are sparse (never written), the shapes those of big_transfer issue 47."""
    path = tmp_path / f"{name}.h5"
    units = (3, 4, 6, 3) if "R50" in name else (3, 4, 23, 3)
    shapes = {key: array.shape for key, array in w.tiny_network(1000, units=units).items()}

    def scaled(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        grow = 2 * factor  # the fixture's stem has 32 channels
        if key.endswith("root_block/standardized_conv2d/kernel"):
            return (*shape[:3], shape[3] * grow)
        if "head" in key:
            return shape if key.endswith("bias") else (*shape[:2], shape[2] * grow, shape[3])
        return (*shape[:2], shape[2] * grow, shape[3] * grow) if len(shape) == 4 else (shape[0] * grow,)

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"net"]
        group = file.create_group("net")
        group.attrs["weight_names"] = [key.encode() for key in shapes]
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        for key, shape in shapes.items():
            parent = group
            *folders, last = key.split("/")
            for folder in folders:
                parent = parent.require_group(folder)
            h5py.h5d.create(
                parent.id, last.encode(), h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple(scaled(key, shape)), early
            )
    with pytest.raises(FormatError) as error:
        formats.open_any(path)
    assert name.split("-")[-1] in str(error.value) and f"x{factor}" in str(error.value)
    assert "is known to hold another network" in str(error.value)
    assert formats.open_any(path, allow_name_mismatch=True).config.stem_channels == 64 * factor


def test_links_and_storage_outside_the_file_are_refused(tmp_path: Path, network: w.Tensors) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(4096))
    name = "block1/unit01/a/group_norm/gamma:0"
    for kind in ("external link", "soft link", "external storage", "virtual"):
        path = tmp_path / f"{kind}.h5"
        w.write_h5(path, w.keras_variables(network))
        with h5py.File(path, "r+") as file:
            group = file["block1"]
            del group[name]
            if kind == "external link":
                group[name] = h5py.ExternalLink(str(secret), "/x")
            elif kind == "soft link":
                group[name] = h5py.SoftLink("/group_norm/group_norm/gamma:0")
            elif kind == "external storage":
                group.create_dataset(name, (32,), "f4", external=[(str(secret), 0, 128)])
            else:
                layout = h5py.VirtualLayout((32,), "f4")
                layout[:] = h5py.VirtualSource(str(secret), "x", (32,))
                group.create_virtual_dataset(name, layout)
        with pytest.raises(FormatError, match="only variables stored in this file are read"):
            formats.open_any(path)


def test_a_dataset_that_claims_more_than_the_file_can_hold_is_refused(tmp_path: Path, network: w.Tensors) -> None:
    path = tmp_path / "tiny.h5"
    w.write_h5(path, w.keras_variables(network))
    with h5py.File(path, "r+") as file:
        del file["head/dense/head/dense/kernel:0"]
        file.create_dataset("head/dense/head/dense/kernel:0", (1 << 20, 1 << 20), "f4", chunks=(64, 64))
    with pytest.raises(FormatError, match="more than a file of"):
        formats.open_any(path)


def test_a_truncated_file_is_an_error(tmp_path: Path, network: w.Tensors) -> None:
    path, cut = tmp_path / "tiny.h5", tmp_path / "cut.h5"
    w.write_h5(path, w.keras_variables(network))
    data = path.read_bytes()
    for size in [9, 100, *range(1000, len(data), len(data) // 60), len(data) - 1]:
        cut.write_bytes(data[:size])
        with pytest.raises(FormatError, match="cut.h5"):
            formats.open_any(cut)


def test_other_hdf5_files_are_refused_with_what_they_hold(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["measurements"] = np.zeros(3)
    with pytest.raises(FormatError, match="layer_names.*measurements"):
        formats.open_any(tmp_path / "other.h5")


def test_without_h5py_the_error_tells_what_to_install(
    tmp_path: Path, network: w.Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    w.write_h5(tmp_path / "tiny.h5", w.keras_variables(network))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install h5py \(the extra `formats`\)"):
        formats.open_any(tmp_path / "tiny.h5")


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        formats.open_any(tmp_path / "none.h5")
