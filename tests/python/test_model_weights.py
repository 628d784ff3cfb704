# SPDX-License-Identifier: Apache-2.0
"""Where models come from and where they go: names, heads, state dicts, files, pickles."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit.model import released
from small_models import SMALL, batch, small_model

NAMINGS = ("official", "timm", "transformers")


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    return small_model()


@pytest.fixture(scope="module")
def file(model: pybit.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.npz"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the name and the shapes of a released one."""
    path = tmp_path_factory.mktemp("cache") / "BiT-M-R50x1-CIFAR10.npz"
    pybit.create_model("R50x1", num_classes=10).save(path)
    return path


def test_random_weights_are_a_function_of_the_seed() -> None:
    x = batch(1)
    np.testing.assert_array_equal(small_model(seed=3)(x), small_model(seed=3)(x))
    assert not np.array_equal(small_model(seed=3)(x), small_model(seed=4)(x))


def test_a_model_does_not_change_with_the_arrays_that_it_was_made_of(model: pybit.Model) -> None:
    state = {name: np.array(values) for name, values in model.state_dict().items()}
    copied = small_model(seed=99)
    copied.load_state_dict(state)
    x = batch(1)
    np.testing.assert_array_equal(copied(x), model(x))
    for values in state.values():
        values *= -1.5
    larger = np.repeat(np.repeat(x, 3, axis=2), 3, axis=3)  # a new size, for which 3x3 kernels may be read again
    np.testing.assert_array_equal(copied(larger), model(larger))


def test_names_give_the_released_architectures() -> None:
    model = pybit.create_model("R50x1")
    assert model.config.architecture == "R50x1" and model.num_classes == 1000
    for name, stem in (
        ("BiT-M-R50x1", 64),
        ("resnetv2_50x3_bitm", 192),
        ("google/bit-50", 64),
        ("bit-m-r50x1.npz", 64),
    ):
        card, units, found_stem = released.architecture_of(name, None, None)
        assert card is not None and units == (3, 4, 6, 3) and found_stem == stem


def test_a_card_decides_eps_classes_and_preprocessing() -> None:
    model = pybit.create_model("BiT-M-R50x1-CIFAR10", eps=1e-6)
    assert model.num_classes == 10 and model.config.weight_eps == 1e-6
    model = pybit.create_model("resnetv2_50x1_bit.goog_distilled_in1k", num_classes=0)
    assert model.config.weight_eps == 1e-8
    assert model.preprocessing == pybit.PreprocessSpec(224, "center_crop", "bicubic", 0.875)
    card = pybit.model_info("BiT-M-R50x1-ILSVRC2012")
    assert card.weight_eps == 1e-10
    assert released.preprocessing_of(card) == pybit.PreprocessSpec(480, "squash", "bilinear")


def test_width_and_units_may_be_chosen() -> None:
    assert small_model().config.units == (1, 1, 1, 1)
    assert pybit.create_model("R50x1", 0, stem_channels=32).config.units == (3, 4, 6, 3)
    assert pybit.create_model("R50x1", 0, units=(1, 1, 1, 1)).config.stem_channels == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "BiT-M-R50x2"}, "no released model is called 'BiT-M-R50x2'; did you mean"),
        ({"name": "BiT-L-R50x1"}, "never released"),
        ({"name": "nothing", "units": (1, 1, 1, 1)}, "no released model"),
        ({"name": "x", "units": (1, 1, 1), "stem_channels": 32}, "expected units of four blocks"),
        ({"name": "x", "units": (1, 1, 1, 1), "stem_channels": 33}, "multiple of groups = 32, got 33"),
        ({"name": "R50x1", "dtype": "float16"}, "expected dtype float32, bfloat16, float64, got 'float16'"),
        ({"name": "R50x1", "output_stride": 4}, "output_stride 32, 16 or 8, got 4"),
        ({"name": "R50x1", "pretrained": True}, "an architecture, not a released model"),
        ({"name": "R50x1", "pretrained": True, "weights": "a.npz"}, "got both"),
        ({"name": "R50x1", "head": "keep"}, "without a checkpoint expected head"),
        ({"name": "R50x1", "num_classes": -1}, "expected 0 or more classes.*got -1"),
    ],
)
def test_impossible_requests_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pybit.create_model(**arguments)


def test_a_file_of_another_architecture_names_both(file: Path) -> None:
    with pytest.raises(ValueError, match=r"small.npz holds units \{1,1,1,1\}, stem 32.*'R50x1'.*is R50x1"):
        pybit.create_model("R50x1", weights=file)
    with pytest.raises(ValueError, match="3 input channels.*1 input channels"):
        pybit.create_model("small", weights=file, in_chans=1, **SMALL)


def test_files_keep_every_bit_under_every_naming(model: pybit.Model, tmp_path: Path) -> None:
    x = batch()
    for names in NAMINGS:
        for ending in ("npz", "safetensors"):
            path = tmp_path / f"{names}.{ending}"
            model.save(path, names=names)
            np.testing.assert_array_equal(pybit.load(path)(x), model(x))
            if ending == "npz":
                with np.load(path) as stored:
                    mine = model.state_dict(names)
                    assert sorted(stored.files) == sorted(mine)
                    for name in stored.files:
                        np.testing.assert_array_equal(stored[name], mine[name], err_msg=name)


def test_state_dicts_have_the_layouts_of_their_frameworks(model: pybit.Model) -> None:
    official, timm, transformers = (model.state_dict(n) for n in NAMINGS)
    assert official["resnet/root_block/standardized_conv2d/kernel"].shape == (7, 7, 3, 32)
    assert timm["stem.conv.weight"].shape == transformers["bit.embedder.convolution.weight"].shape == (32, 3, 7, 7)
    assert official["resnet/head/conv2d/kernel"].shape == (1, 1, 1024, 5)
    assert timm["head.fc.weight"].shape == (5, 1024, 1, 1)
    assert transformers["classifier.1.weight"].shape == (5, 1024)
    np.testing.assert_array_equal(
        timm["stages.3.blocks.0.conv2.weight"],
        official["resnet/block4/unit01/b/standardized_conv2d/kernel"].transpose(3, 2, 0, 1),
    )
    with pytest.raises(ValueError, match="names|official"):
        model.state_dict("caffe")


def test_state_dicts_load_under_every_naming(model: pybit.Model) -> None:
    x = batch()
    for names in NAMINGS:
        other = small_model(seed=9)
        assert not np.array_equal(other(x), model(x))
        other.load_state_dict(model.state_dict(names))
        np.testing.assert_array_equal(other(x), model(x))
        assert "state dict" in repr(other)


def test_a_wrong_state_dict_leaves_the_model_as_it_was(model: pybit.Model) -> None:
    x, other = batch(1), small_model(seed=9)
    before = other(x)
    good = model.state_dict()
    missing = {k: v for k, v in good.items() if "block2" not in k} | {"resnet/extra": np.zeros(3, np.float32)}
    cases: list[tuple[dict[str, Any], str]] = [
        (missing, "resnet/block2|resnet/extra"),
        (small_model(num_classes=6).state_dict(), "holds .* 6 classes; the model is .* 5 classes"),
        (
            good | {"resnet/group_norm/gamma": np.zeros(1024, np.int32)},
            "resnet/group_norm/gamma: expected an array of floats",
        ),
        ({}, "expected|found|no"),
    ]
    for state, message in cases:
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(state)
        np.testing.assert_array_equal(other(x), before)


def test_state_dicts_of_torch_tensors_load(model: pybit.Model) -> None:
    torch = pytest.importorskip("torch")
    state = {"module." + k: torch.from_numpy(v).clone().requires_grad_() for k, v in model.state_dict("timm").items()}
    other = small_model(seed=9)
    with torch.no_grad():
        other.load_state_dict(state)
    np.testing.assert_array_equal(other(batch(1)), model(batch(1)))


# ---- heads
def test_a_fitting_head_is_kept(file: Path, model: pybit.Model) -> None:
    for options in ({}, {"num_classes": 5}, {"head": "keep"}):
        loaded = pybit.load(file, **options)
        np.testing.assert_array_equal(loaded(batch()), model(batch()))
    created = pybit.create_model("small", weights=file, **SMALL)
    np.testing.assert_array_equal(created(batch()), model(batch()))


def test_another_class_count_is_never_silent(file: Path) -> None:
    with pytest.warns(UserWarning, match=r"has a head of 5 classes: the head for 7 classes starts as zeros.*head="):
        model = pybit.load(file, num_classes=7)
    assert model.num_classes == 7 and not model(batch()).any() and "head of zeros" in repr(model)
    with pytest.raises(ValueError, match='has a head of 5 classes, but num_classes=7.*head="zero" or head="new"'):
        pybit.load(file, num_classes=7, head="keep")


def test_heads_can_be_zero_new_or_dropped(file: Path, model: pybit.Model) -> None:
    x = batch()
    zero = pybit.load(file, num_classes=7, head="zero")
    assert not zero(x).any()
    new = [pybit.load(file, num_classes=7, head="new", seed=s)(x) for s in (1, 1, 2)]
    assert new[0].any() and np.array_equal(new[0], new[1]) and not np.array_equal(new[0], new[2])
    assert "random head, seed 2" in repr(pybit.load(file, num_classes=7, head="new", seed=2))
    pooled = model.forward_head(model.forward_features(x), pre_logits=True)
    for dropped in (pybit.load(file, head="drop"), pybit.load(file, num_classes=0)):
        assert dropped.num_classes == 0 and "no head" in repr(dropped)
        np.testing.assert_allclose(dropped(x), pooled, rtol=0, atol=2e-6 * pooled.max())
    for options in ({"head": "drop", "num_classes": 3}, {"head": "keep", "num_classes": 0}, {"head": "random"}):
        with pytest.raises(ValueError, match="head"):
            pybit.load(file, **options)


def test_reset_classifier_starts_from_zeros_and_forgets_labels(model: pybit.Model) -> None:
    x, other = batch(), pickle.loads(pickle.dumps(model))
    other.labels = tuple("abcde")
    features = other.forward_features(x)
    other.reset_classifier(10)
    assert other.num_classes == 10 and other.labels is None and not other(x).any()
    np.testing.assert_array_equal(other.forward_features(x), features)
    other.reset_classifier(10, head="new", seed=1)
    assert other(x).any()
    other.reset_classifier(0)
    assert other(x).shape == (2, 1024)
    other.reset_classifier(2)
    assert other(x).shape == (2, 2)
    for arguments, said in (
        ((-1,), "expected num_classes of at least 0"),
        ((3, "keep"), 'expected head "zero" or "new"'),
    ):
        with pytest.raises(ValueError, match=said):
            other.reset_classifier(*arguments)


# ---- what a file knows besides weights
def test_safetensors_remember_labels_preprocessing_and_numbers(tmp_path: Path) -> None:
    model = small_model(output_stride=16, eps=1e-8)
    model.labels = ("a", "b", "c", "ä", "e")
    model.preprocessing = pybit.PreprocessSpec((32, 48), "center_crop", "bicubic", 0.9)
    path = tmp_path / "mine.safetensors"
    for names in NAMINGS:
        model.save(path, names=names)
        back = pybit.load(path)
        assert back.labels == model.labels and back.name == "small"
        assert back.preprocessing == model.preprocessing
        assert back.config == model.config
        np.testing.assert_array_equal(back(batch()), model(batch()))
    assert pybit.load(path, head="drop").labels is None
    assert pybit.load(path, output_stride=32, eps=1e-10).config.output_stride == 32


def _with_metadata(path: Path, entry: str) -> None:
    """Writes the pybit entry of a safetensors header anew."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"]["pybit"] = entry
    new = json.dumps(header).encode()
    new += b" " * (-len(new) % 8)
    path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + size :])


@pytest.mark.parametrize(
    "entry",
    ["{", "[]", '{"labels": ["a"]}', '{"labels": [1,2,3,4,5]}', '{"labels": 5}', '{"name": 7}',
     '{"preprocessing": {"size": "big"}}', '{"preprocessing": {"shell": "rm"}}', '{"preprocessing": 3}'],
)  # fmt: skip
def test_malformed_metadata_is_refused(model: pybit.Model, tmp_path: Path, entry: str) -> None:
    path = tmp_path / "bad.safetensors"
    model.save(path)
    _with_metadata(path, entry)
    with pytest.raises(ValueError, match="bad.safetensors: the metadata entry `pybit` is malformed"):
        pybit.load(path)


def test_transformers_may_read_what_is_written_for_it(model: pybit.Model, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    model.save(tmp_path / "m.safetensors", names="transformers")
    with safetensors.safe_open(tmp_path / "m.safetensors", framework="np") as f:
        assert f.metadata()["format"] == "pt"
        assert set(f.keys()) == set(model.state_dict("transformers"))


def test_save_refuses_what_it_cannot_write(model: pybit.Model, tmp_path: Path) -> None:
    for path, names, message in (
        (tmp_path / "m.pth", "official", "ends in .safetensors or .npz"),
        (tmp_path / "m.npz", "caffe", "expected names to be one of official, timm, transformers"),
    ):
        with pytest.raises(ValueError, match=message):
            model.save(path, names=names)
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "none" / "m.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_released_file_gets_its_cards_labels_and_preprocessing(cached: Path, tmp_path: Path) -> None:
    path = tmp_path / cached.name
    path.write_bytes(cached.read_bytes())
    model = pybit.load(path)
    assert model.name == "BiT-M-R50x1-CIFAR10" and model.labels is not None and model.labels[3] == "cat"
    assert model.preprocessing == pybit.PreprocessSpec(128)
    other = tmp_path / "BiT-M-R50x1-CIFAR10-mine.npz"  # the same content, but no released name
    path.rename(other)
    assert pybit.load(other).labels is None


def test_files_that_are_not_there_or_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.npz"):
        pybit.load(tmp_path / "none.npz")
    (tmp_path / "page.npz").write_text("<!DOCTYPE html><html>")
    with pytest.raises(ValueError, match="page.npz"):
        pybit.load(tmp_path / "page.npz")


# ---- pickles
def test_pickles_hold_the_weights(model: pybit.Model) -> None:
    model.labels = tuple("abcde")
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back(batch()), model(batch()))
    assert (back.labels, back.name, back.origin, back.config) == (model.labels, model.name, model.origin, model.config)
    strided = small_model(output_stride=8, eps=1e-8, dtype="float64")
    assert pickle.loads(pickle.dumps(strided)).config == strided.config


class Tagged(pybit.Model):
    """A user's own class."""


def test_pickles_and_copies_keep_the_class(model: pybit.Model) -> None:
    model.__class__ = Tagged
    assert type(pickle.loads(pickle.dumps(model))) is type(copy.copy(model)) is type(copy.deepcopy(model)) is Tagged


def test_pickles_by_path_are_small_and_notice_a_changed_file(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.npz"
    path.write_bytes(file.read_bytes())
    model = pybit.load(path)
    model.pickle_by = "path"
    data = pickle.dumps(model)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data)(batch()), model(batch()))
    small_model(num_classes=6).save(path)
    with pytest.raises(ValueError, match="changed since the model was pickled"):
        pickle.loads(data)
    model.reset_classifier(3)
    with pytest.raises(ValueError, match="as its file holds it"):
        pickle.dumps(model)
    model.pickle_by = "mail"
    with pytest.raises(ValueError, match='expected pickle_by "bytes" or "path"'):
        pickle.dumps(model)


# ---- pretrained
def test_pretrained_takes_the_released_file(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pybit.hub, "download", lambda name: cached if name == "BiT-M-R50x1-CIFAR10" else None)
    model = pybit.create_model("BiT-M-R50x1-CIFAR10", pretrained=True)
    assert model.num_classes == 10 and model.origin == cached.name and model.preprocessing.size == 128
