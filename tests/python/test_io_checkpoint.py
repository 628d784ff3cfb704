# SPDX-License-Identifier: Apache-2.0
"""pybit._core's checkpoints against the files of NumPy, safetensors, timm and transformers."""

import gc
import io as stdio
import pickle
import struct
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pybit import _core

Tensors = dict[str, Any]  # arrays by official name
SMALL = _core.Config(units=(1, 1, 1, 1), stem_channels=32, num_classes=4)


def make_tensors(config: _core.Config = SMALL, seed: int = 0) -> Tensors:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in config.tensor_specs()}


def assert_holds(checkpoint: _core.Checkpoint, tensors: Tensors) -> None:
    assert [(n, s) for n, s, _ in checkpoint.tensors] == [(n, a.shape) for n, a in tensors.items()]
    for name, array in tensors.items():
        np.testing.assert_array_equal(checkpoint.read(name), array)


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return make_tensors()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("mode", ["map", "copy"])
def test_numpy_archives_are_read(tmp_path: Path, tensors: Tensors, save: Any, mode: Any) -> None:
    save(tmp_path / "a.npz", **tensors)
    checkpoint = _core.open_checkpoint(tmp_path / "a.npz", mode=mode)
    assert (checkpoint.format, checkpoint.naming, checkpoint.config) == ("npz", "official", SMALL)
    assert checkpoint.file_size == (tmp_path / "a.npz").stat().st_size
    assert checkpoint.num_parameters == sum(a.size for a in tensors.values())
    assert_holds(checkpoint, tensors)


def test_a_wrong_value_would_be_noticed(tmp_path: Path, tensors: Tensors) -> None:
    changed: Tensors = dict(tensors)
    name = "resnet/group_norm/beta"
    changed[name] = np.nextafter(tensors[name], np.float32(9))
    np.savez(tmp_path / "a.npz", **changed)
    with pytest.raises(AssertionError):
        assert_holds(_core.open_checkpoint(tmp_path / "a.npz"), tensors)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_other_numbers_byte_orders_and_fortran_arrays_are_exact(
    tmp_path: Path, tensors: Tensors, kind: str, order: Any
) -> None:
    stored: Tensors = {n: np.asarray(a, dtype=kind, order=order) for n, a in tensors.items()}
    np.savez(tmp_path / "a.npz", **stored)
    checkpoint = _core.open_checkpoint(tmp_path / "a.npz")
    assert {d for _, _, d in checkpoint.tensors} == {{"2": "float16", "4": "float32", "8": "float64"}[kind[-1]]}
    assert_holds(checkpoint, {n: a.astype(np.float32) for n, a in stored.items()})
    name = "resnet/root_block/standardized_conv2d/kernel"
    np.testing.assert_array_equal(checkpoint.read(name, "float64"), stored[name].astype(np.float64))


def to_bfloat16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    return (array.view(np.uint32) >> 16).astype(np.uint16)


def test_bfloat16_is_exact_as_numpy_and_safetensors_store_it(tmp_path: Path, tensors: Tensors) -> None:
    bits = {n: to_bfloat16(a) for n, a in tensors.items()}
    exact = {n: (b.astype(np.uint32) << 16).view(np.float32) for n, b in bits.items()}
    stored: Tensors = {n: b.view("V2") for n, b in bits.items()}
    np.savez(tmp_path / "a.npz", **stored)
    assert_holds(_core.open_checkpoint(tmp_path / "a.npz"), exact)
    assert_holds(_core.recognise([(n, b.view("V2")) for n, b in bits.items()], "memory"), exact)
    offset, entries = 0, []
    for name, b in bits.items():
        end = offset + b.nbytes
        entries.append(f'"{name}":{{"dtype":"BF16","shape":{list(b.shape)},"data_offsets":[{offset},{end}]}}')
        offset = end
    header = ("{" + ",".join(entries) + "}").encode()
    data = b"".join(b.tobytes() for b in bits.values())
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    assert_holds(_core.open_checkpoint(tmp_path / "a.safetensors"), exact)


def test_pickled_objects_are_refused_and_never_run(tmp_path: Path, tensors: Tensors) -> None:
    witness = tmp_path / "run"

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (witness,))

    objects = np.empty(1, dtype=object)
    objects[0] = Bomb()
    np.savez(tmp_path / "a.npz", **tensors, bomb=objects)
    with pytest.raises(_core.FormatError, match="pickled Python objects, which are never read"):
        _core.open_checkpoint(tmp_path / "a.npz")
    assert not witness.exists()


def test_archives_streamed_by_python_are_read(tmp_path: Path, tensors: Tensors) -> None:
    class Unseekable(stdio.RawIOBase):
        """What savez gets when it writes to a socket or a bucket."""

        def __init__(self) -> None:
            self.parts: list[bytes] = []

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.parts.append(bytes(data))
            return len(self.parts[-1])

    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = Unseekable()
        with zipfile.ZipFile(stream, "w", compression) as archive:
            for name, array in tensors.items():
                with archive.open(name + ".npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array)
        (tmp_path / "a.npz").write_bytes(b"".join(stream.parts))
        assert_holds(_core.open_checkpoint(tmp_path / "a.npz"), tensors)


def test_zip64_archives_written_by_python_are_read(
    tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)  # so that nearly every number is a ZIP64 one
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    np.savez(tmp_path / "a.npz", **tensors)
    assert b"PK\6\6" in (tmp_path / "a.npz").read_bytes()
    assert_holds(_core.open_checkpoint(tmp_path / "a.npz"), tensors)


@pytest.mark.parametrize("names", ["official", "reference_torch", "timm", "transformers"])
@pytest.mark.parametrize("as_arrays", [True, False])
def test_written_files_are_numpys_and_safetensors_own(
    tmp_path: Path, tensors: Tensors, names: Any, as_arrays: bool
) -> None:
    given: Any = list(tensors.items()) if as_arrays else _core.recognise(list(tensors.items()), "memory")
    _core.write_npz(tmp_path / "a.npz", given, names)
    metadata = {"labels": 'cat\nKäfer "x" \\ \x01'}
    _core.write_safetensors(tmp_path / "a.safetensors", given, names, metadata)
    expected = {}
    for name, array in tensors.items():
        axes = _core.axes_in(name, array.ndim, names)
        dropped = set(range(array.ndim)) - set(axes)
        expected[_core.name_in(name, names)] = array.transpose([*axes, *dropped]).reshape(
            [array.shape[a] for a in axes]
        )
    with np.load(tmp_path / "a.npz") as archive:
        assert archive.files == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(archive[name], array)
    with zipfile.ZipFile(tmp_path / "a.npz") as zipped:
        assert zipped.testzip() is None
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(tmp_path / "a.safetensors", "numpy") as file:
        assert file.metadata() == metadata
        for name, array in expected.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)
    for path in (tmp_path / "a.npz", tmp_path / "a.safetensors"):
        checkpoint = _core.open_checkpoint(path)
        assert checkpoint.naming == names
        assert_holds(checkpoint, tensors)
    assert checkpoint.metadata == metadata


@pytest.mark.parametrize("peer", ["timm", "transformers"])
def test_models_of_timm_and_transformers_are_recognised_and_every_value_comes_back(
    tmp_path: Path, peer: Any, peer_folder: Callable[[str], Path]
) -> None:
    folder = peer_folder(peer)
    from safetensors.numpy import load_file

    for theirs in (folder / "whole.safetensors", folder / "body.safetensors"):
        checkpoint = _core.open_checkpoint(theirs)
        units = (3, 4, 6, 3) if peer == "timm" else (1, 2, 1, 1)
        classes = 0 if theirs.stem == "body" else 5
        assert checkpoint.naming == peer
        assert checkpoint.config == _core.Config(units=units, stem_channels=32, num_classes=classes)
        _core.write_safetensors(tmp_path / "ours", checkpoint, peer)
        expected = load_file(theirs)
        if peer == "transformers" and theirs.stem == "body":
            expected = {"bit." + name: array for name, array in expected.items()}
        written = load_file(tmp_path / "ours")
        assert written.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(written[name], array)
        # An independent word on the layout: the stem's kernel is OIHW there and HWIO here.
        stem = next(a for n, a in expected.items() if n.endswith(("stem.conv.weight", "embedder.convolution.weight")))
        name = "resnet/root_block/standardized_conv2d/kernel"
        np.testing.assert_array_equal(checkpoint.read(name), stem.transpose(2, 3, 1, 0))


def test_a_wrong_model_is_told_apart_with_everything_that_differs(tmp_path: Path, tensors: Tensors) -> None:
    wrong = dict(tensors, extra=np.zeros(2, np.float32))
    del wrong["resnet/head/conv2d/bias"]
    np.savez(tmp_path / "a.npz", **wrong)
    with pytest.raises(ValueError, match=r"(?s)1 missing: resnet/head/conv2d/bias.*1 unexpected: extra") as info:
        _core.open_checkpoint(tmp_path / "a.npz")
    assert info.type is _core.FormatError
    with pytest.raises(FileNotFoundError):
        _core.open_checkpoint(tmp_path / "none.npz")


def test_names_that_contradict_the_content_are_refused_unless_allowed(tmp_path: Path, tensors: Tensors) -> None:
    np.savez(tmp_path / "BiT-M-R50x1.npz", **tensors)
    with pytest.raises(_core.FormatError, match=r"named R50x1, its tensors make units \{1,1,1,1\}, stem 32"):
        _core.open_checkpoint(tmp_path / "BiT-M-R50x1.npz")
    checkpoint = _core.open_checkpoint(tmp_path / "BiT-M-R50x1.npz", allow_name_mismatch=True)
    assert len(checkpoint.problems) == 1


def test_arrays_of_any_strides_are_taken_and_kept_alive(tensors: Tensors) -> None:
    name = "resnet/root_block/standardized_conv2d/kernel"
    expected = tensors[name].copy()
    strided = np.ascontiguousarray(expected[::-1, :, :, ::-1])[::-1, :, :, ::-1]
    read_only = expected.copy()
    read_only.flags.writeable = False
    for array in (strided, np.asfortranarray(expected), read_only, expected.astype(">f8")):
        checkpoint = _core.recognise(list(dict(tensors, **{name: array}).items()), "memory")
        del array
        gc.collect()
        np.testing.assert_array_equal(checkpoint.read(name), expected)
    for bad in (np.array(["x"]), np.array([None]), expected.astype(np.complex64), expected.astype(np.int32)):
        with pytest.raises(_core.FormatError):
            _core.recognise(list(dict(tensors, **{name: bad}).items()), "memory")


def test_reading_from_many_threads_gives_the_same(tmp_path: Path, tensors: Tensors) -> None:
    np.savez_compressed(tmp_path / "a.npz", **tensors)
    checkpoint = _core.open_checkpoint(tmp_path / "a.npz")
    failures: list[BaseException] = []

    def read() -> None:
        try:
            assert_holds(checkpoint, tensors)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_heads_are_kept_dropped_zeroed_or_drawn(tensors: Tensors) -> None:
    checkpoint = _core.recognise(list(tensors.items()), "memory")
    assert checkpoint.adapt_head("keep").config == SMALL
    assert checkpoint.adapt_head("drop").config == SMALL.replace(num_classes=0)
    kernel = "resnet/head/conv2d/kernel"
    assert not checkpoint.adapt_head("zero", 7).read(kernel).any()
    drawn = checkpoint.adapt_head("new", 7, seed=3)
    assert drawn.config.num_classes == 7
    np.testing.assert_array_equal(drawn.read(kernel), checkpoint.adapt_head("new", 7, seed=3).read(kernel))
    with pytest.raises(_core.ConfigError, match="expected keep, zero, new or drop"):
        checkpoint.adapt_head("random", 7)  # type: ignore[arg-type]
    with pytest.raises(_core.ConfigError, match="at least one class"):
        checkpoint.adapt_head("zero")


def test_bad_values_are_found(tensors: Tensors) -> None:
    bad = dict(tensors)
    bad["resnet/group_norm/beta"] = np.full_like(tensors["resnet/group_norm/beta"], np.nan)
    checkpoint = _core.recognise(list(bad.items()), "memory")
    assert checkpoint.find_bad_values() == ["resnet/group_norm/beta: 1024 of 1024 values are NaN or infinite"]
    with pytest.raises(_core.FormatError):
        _core.recognise(list(bad.items()), "memory", check_values=True)


def test_another_configuration_of_the_same_shapes_can_be_chosen(tensors: Tensors) -> None:
    checkpoint = _core.recognise(list(tensors.items()), "memory")
    config = SMALL.replace(output_stride=8, weight_eps=1e-8)
    assert checkpoint.with_config(config).config == config
    with pytest.raises(_core.ConfigError, match="expected a configuration with the checkpoint's tensors"):
        checkpoint.with_config(SMALL.replace(num_classes=5))


def test_configurations_compare_hash_print_and_pickle() -> None:
    config = _core.Config(units=(1, 2, 3, 4), in_channels=1, num_classes=0, weight_eps=1e-8)
    assert pickle.loads(pickle.dumps(config)) == config
    assert eval(repr(config), {"Config": _core.Config}) == config
    assert len({config, config.replace(), SMALL}) == 2
    assert config != SMALL and config != object()
    assert _core.Config() == _core.Config(units=(3, 4, 6, 3), stem_channels=64)
    assert (_core.Config().architecture, _core.Config().num_features) == ("R50x1", 2048)
    assert _core.Config.named("R101x3") == _core.Config(units=(3, 4, 23, 3), stem_channels=192)
    with pytest.raises(_core.ConfigError, match="expected R50x1, R50x3, R101x1, R101x3, R152x2, R152x4"):
        _core.Config.named("R26x1")
    with pytest.raises(_core.ConfigError, match="multiple of groups = 32, got 48"):
        _core.Config(stem_channels=48)
    with pytest.raises(TypeError):
        config.replace(depth=50)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        config.groups = 1  # type: ignore[misc]


def test_names_go_both_ways() -> None:
    assert _core.official_name("stages.0.blocks.0.norm1.weight", "timm") == "resnet/block1/unit01/a/group_norm/gamma"
    assert _core.official_name("fc.weight", "timm") is None
    assert _core.name_in("resnet/head/conv2d/kernel", "transformers") == "classifier.1.weight"
    assert _core.axes_in("resnet/head/conv2d/kernel", 4, "transformers") == (3, 2)
    with pytest.raises(_core.ConfigError):
        _core.name_in("resnet/head/conv2d/kernel", "keras")  # type: ignore[arg-type]
