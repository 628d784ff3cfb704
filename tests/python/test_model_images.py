# SPDX-License-Identifier: Apache-2.0
"""Images in, answers out: predict and embed on files, folders, PIL images and arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from pybit.inference import run
from small_models import batch, class_folder, small_model, write_png

SPEC = pybit.PreprocessSpec(32)


@pytest.fixture(scope="module")
def model() -> pybit.Model:
    # "auto" chooses by the batch, too, and another choice changes the last digits.
    model = small_model(algorithm="direct")
    model.preprocessing = SPEC
    model.labels = ("ant", "bee", "cat", "dog", "eel")
    return model


def test_predictions_are_the_softmax_of_the_logits(model: pybit.Model, tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", 1)
    logits = model(pybit.preprocess(path, 32))[0].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    (found,) = model.predict(path, topk=3)
    assert found.path == str(path) and found.index == 0
    assert list(found.classes) == list(np.argsort(-expected)[:3])
    assert model.labels is not None
    assert found.labels == tuple(model.labels[i] for i in found.classes) and found.label == found.labels[0]
    # Both are double precision from the same float32 logits.
    np.testing.assert_allclose(found.probabilities, expected[list(found.classes)], rtol=1e-12)
    assert found.probability == found.probabilities[0]
    assert repr(found).startswith(f"<{path}: {found.label} 0.")
    assert found.as_dict()["predictions"][0] == {
        "class": found.classes[0], "label": found.label, "probability": found.probability,
    }  # fmt: skip
    (sigmoid,) = model.predict(path, activation="sigmoid")
    np.testing.assert_allclose(sorted(sigmoid.probabilities), sorted(1 / (1 + np.exp(-logits))), rtol=1e-12)


def test_topk_is_limited_by_the_classes(model: pybit.Model, tmp_path: Path) -> None:
    (found,) = model.predict([write_png(tmp_path / "a.png", 1)], topk=50)
    assert sorted(found.classes) == [0, 1, 2, 3, 4]
    assert abs(sum(found.probabilities) - 1) < 1e-12


def test_kinds_of_input_agree_and_batches_do_not_matter(model: pybit.Model, tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    paths = [write_png(tmp_path / f"{i}.png", i) for i in range(5)]
    images = [image_module.open(p) for p in paths]
    arrays = [np.asarray(i) for i in images]
    expected = model.predict(paths, batch_size=5)
    for inputs in (tmp_path, list(map(str, paths)), images, arrays, np.stack(arrays), (p for p in paths)):
        found = model.predict(inputs, batch_size=2, threads=1)
        assert [p.classes for p in found] == [p.classes for p in expected]
        assert [p.probabilities for p in found] == [p.probabilities for p in expected]
        assert [p.index for p in found] == list(range(5))
        in_memory = inputs is images or inputs is arrays or isinstance(inputs, np.ndarray)
        assert [p.path for p in found] == ([None] * 5 if in_memory else list(map(str, paths)))
    assert repr(model.predict(arrays)[3]).startswith("<image 3: ")


def test_other_preprocessing_may_be_asked_for(model: pybit.Model, tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", 1)
    (usual,) = model.predict(path, topk=1)
    (larger,) = model.predict(path, topk=1, preprocessing=pybit.PreprocessSpec(64))
    assert usual.probabilities != larger.probabilities
    (nhwc,) = model.predict(path, topk=1, preprocessing=pybit.PreprocessSpec(32, layout="nhwc"))
    assert nhwc == usual


def test_a_model_without_labels_gives_numbers(tmp_path: Path) -> None:
    model = small_model()
    (found,) = model.predict(write_png(tmp_path / "a.png", 1), topk=1, preprocessing=SPEC)
    assert found.labels == (f"class {found.classes[0]}",)


def test_wrong_requests_are_refused(model: pybit.Model, tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", 1)
    with pytest.raises(ValueError, match="no head to predict with"):
        small_model(num_classes=0).predict(path)
    for options in ({"topk": 0}, {"activation": "relu"}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="expected"):
            model.predict(path, **options)
    with pytest.raises(FileNotFoundError):
        model.predict(tmp_path / "none.png")
    with pytest.raises(ValueError, match="image"):
        model.predict([3])


def test_damaged_files_raise_or_are_left_out_by_name(model: pybit.Model, tmp_path: Path) -> None:
    paths = [write_png(tmp_path / f"{i}.png", i) for i in range(4)]
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    with pytest.raises(ValueError, match="1.png"):
        model.predict(paths)
    with pytest.warns(UserWarning, match=r"1 of 4 images were left out: .*1.png") as caught:
        found = model.predict(paths, skip_corrupt=True, batch_size=2)
    assert caught[0].filename == __file__
    assert [p.index for p in found] == [0, 2, 3]
    with pytest.warns(UserWarning, match="left out"):
        features = model.embed(paths, skip_corrupt=True)
    assert isinstance(features, pybit.Embeddings)
    assert features.paths == tuple(str(paths[i]) for i in (0, 2, 3)) and features.shape == (3, 1024)
    assert [s.path for s in features.skipped] == [str(paths[1])] and "1 files left out" in repr(features)


def test_embeddings_equal_pooled_features(model: pybit.Model, tmp_path: Path) -> None:
    paths = [write_png(tmp_path / f"{i}.png", i) for i in range(3)]
    x = pybit.preprocess(paths, 32)
    pooled = model.forward_head(model.forward_features(x), pre_logits=True)
    found = model.embed(paths, batch_size=2)
    # Another order of the same sums of four numbers.
    np.testing.assert_allclose(found, pooled, rtol=0, atol=1e-6 * pooled.max())
    maps = model.embed(paths, pool=False)
    np.testing.assert_array_equal(np.asarray(maps), model.forward_features(x))


def test_images_in_memory_give_a_plain_array(model: pybit.Model) -> None:
    found = model.embed([np.zeros((9, 7, 3), np.uint8)] * 3, batch_size=2)
    assert type(found) is np.ndarray and found.shape == (3, 1024) and found.dtype == np.float32
    assert model.embed([]).shape == (0, 1024)


def test_a_folder_of_folders_gives_classes(model: pybit.Model, tmp_path: Path) -> None:
    root = class_folder(tmp_path / "pets", ("cat", "dog", "class10", "class9"), 2)
    found = model.embed(root)
    assert isinstance(found, pybit.Embeddings)
    assert found.class_names == ("cat", "class9", "class10", "dog")  # natural order, as timm
    assert found.classes is not None and list(found.classes) == [0, 0, 1, 1, 2, 2, 3, 3]
    for path, c in zip(found.paths, found.classes, strict=True):
        assert Path(path).parent.name == found.class_names[c]
    assert "4 classes" in repr(found)
    flat = model.embed(root / "cat")
    assert isinstance(flat, pybit.Embeddings) and flat.classes is None and len(flat) == 2


def test_several_folders_of_classes_join_their_classes_by_name(model: pybit.Model, tmp_path: Path) -> None:
    train = class_folder(tmp_path / "train", ("cat", "class10", "class9"), 1)
    more = class_folder(tmp_path / "more", ("dog", "cat"), 2)
    found = model.embed([train, more])
    assert isinstance(found, pybit.Embeddings) and found.classes is not None
    assert found.class_names == ("cat", "class9", "class10", "dog")
    assert [Path(p).parent.name for p in found.paths] == [found.class_names[c] for c in found.classes]
    assert [Path(p).parts[-3] for p in found.paths] == ["train"] * 3 + ["more"] * 4
    single = model.embed([train])
    assert isinstance(single, pybit.Embeddings) and single.class_names == ("cat", "class9", "class10")


def test_several_plain_folders_are_a_class_each(model: pybit.Model, tmp_path: Path) -> None:
    root = class_folder(tmp_path / "pets", ("dog", "cat"), 2)
    found = model.embed([root / "dog", str(root / "cat") + "/"])
    assert isinstance(found, pybit.Embeddings) and found.classes is not None
    assert found.class_names == ("cat", "dog") and list(found.classes) == [1, 1, 0, 0]
    for mixture in ([root / "dog", root / "cat" / "0.png"], [root, root / "cat"], [root / "cat"]):
        unlabelled = model.embed(mixture)
        assert isinstance(unlabelled, pybit.Embeddings) and unlabelled.classes is None


def test_the_batch_is_chosen_for_the_model_and_shared_out_evenly(
    model: pybit.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = model.loaded.network.throughput_batch(32, 48)
    assert 1 < best <= 32 and model.loaded.network.throughput_batch(32, 48, 0) == 1
    spec = pybit.PreprocessSpec((32, 48))
    assert run.balanced_batch(model.loaded, spec, 0) == 1
    assert run.balanced_batch(model.loaded, spec, 1) == 1
    assert run.balanced_batch(model.loaded, spec, best) == best
    assert run.balanced_batch(model.loaded, spec, best + 2) == best // 2 + 1
    sizes: list[int] = []
    original = run.outputs_of_batches

    def counted(*arguments: Any) -> Iterator[tuple[list[int], list[str | None], np.ndarray]]:
        for indices, paths, rows in original(*arguments):
            sizes.append(len(indices))
            yield indices, paths, rows

    monkeypatch.setattr(run, "outputs_of_batches", counted)
    images = [np.full((9, 9, 3), i, np.uint8) for i in range(best + 2)]
    chosen = model.embed(images, preprocessing=spec)
    assert sizes == [best // 2 + 1] * 2
    np.testing.assert_allclose(chosen, model.embed(images, 3, preprocessing=spec), rtol=1e-4, atol=1e-5)


def test_embeddings_behave_as_their_array() -> None:
    a = np.arange(6, dtype=np.float32).reshape(3, 2)
    e = pybit.Embeddings(a, ("a", "b", "c"))
    assert e.shape == (3, 2) and e.dtype == np.float32 and len(e) == 3
    np.testing.assert_array_equal(e[1:], a[1:])
    assert np.asarray(e) is a and np.array(e) is not a
    assert np.asarray(e, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="without a copy"):
        e.__array__(np.float64, copy=False)


def test_embeddings_survive_a_file(tmp_path: Path) -> None:
    a = np.arange(6, dtype=np.float32).reshape(3, 2)
    for e in (
        pybit.Embeddings(a, ("a", "b", "ä")),
        pybit.Embeddings(a, ("a", "b", "ä"), np.array([1, 0, 1]), ("x", "y")),
    ):
        e.save(tmp_path / "f.npz")
        back = pybit.load_embeddings(tmp_path / "f.npz")
        np.testing.assert_array_equal(back.features, a)
        assert back.paths == e.paths and back.class_names == e.class_names
        assert (back.classes is None) == (e.classes is None)
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]


def test_files_of_features_need_no_paths(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=np.zeros((2, 3), np.float64), classes=np.array([0, 4], np.int16))
    back = pybit.load_embeddings(tmp_path / "f.npz")
    assert back.paths == ("0", "1") and back.class_names == ("0", "1", "2", "3", "4")


def test_other_files_are_refused_as_features(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    with pytest.raises(FileNotFoundError):
        pybit.load_embeddings(path)
    np.savez(path, weights=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"f.npz: expected an npz file with a float array `features`.*\['weights'\]"):
        pybit.load_embeddings(path)
    np.savez(path, features=np.zeros((2, 3)), classes=np.zeros(3, int))
    with pytest.raises(ValueError, match="one whole-number class per row"):
        pybit.load_embeddings(path)
    np.savez(path, features=np.array([object()]))  # a pickle
    with pytest.raises(ValueError, match="f.npz"):
        pybit.load_embeddings(path)
    whole = path.read_bytes()
    for cut in (0, 3, 30, len(whole) // 2):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="f.npz"):
            pybit.load_embeddings(path)
    np.save(tmp_path / "f.npy", np.zeros((2, 3)))
    with pytest.raises(ValueError, match="f.npy"):
        pybit.load_embeddings(tmp_path / "f.npy")


def test_float64_models_take_images_too(tmp_path: Path) -> None:
    model = small_model(dtype="float64")
    path = write_png(tmp_path / "a.png", 1)
    (found,) = model.predict(path, preprocessing=SPEC)
    (fast,) = small_model().predict(path, preprocessing=SPEC)
    assert found.classes == fast.classes
    assert model.embed([path], preprocessing=SPEC).dtype == np.float64


def test_the_range_rule_knows_nothing_of_predict(model: pybit.Model) -> None:
    model.predict([np.full((8, 8, 3), 200, np.uint8)])  # bright, hence within [0, 1]; warnings are errors here
    assert batch().min() < 0


def test_unknown_preprocessing_is_said_once_until_it_is_set(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", 1)
    small_model().predict(path)  # random weights fit no preprocessing better than another: no warning
    small_model().save(tmp_path / "small.npz")
    model = pybit.load(tmp_path / "small.npz")
    assert not model.preprocessing_is_known and "a guess" in model._repr_html_()
    model.embed(path, preprocessing=SPEC)  # said by the caller
    with pytest.warns(UserWarning, match=r"assuming squash to 224 x 224, bilinear; set model.preprocessing") as caught:
        guessed = model.predict(path)
    assert caught[0].filename == __file__
    model.embed(path)  # said once; warnings are errors here
    model.preprocessing = pybit.PreprocessSpec(224)
    assert model.preprocessing_is_known and model.predict(path) == guessed
    again = pybit.load(tmp_path / "small.npz")
    again.preprocessing = SPEC
    again.predict(path)
    with pytest.raises(ValueError, match="expected preprocessing to be a pybit.PreprocessSpec, got int"):
        again.preprocessing = 64  # type: ignore[assignment]


def test_a_guess_is_not_saved_as_knowledge(tmp_path: Path) -> None:
    model = small_model()
    model.save(tmp_path / "m.safetensors")
    assert not pybit.load(tmp_path / "m.safetensors").preprocessing_is_known
    model.preprocessing = SPEC
    model.save(tmp_path / "m.safetensors")
    assert pybit.load(tmp_path / "m.safetensors").preprocessing == SPEC
