# SPDX-License-Identifier: Apache-2.0
"""pybit.sklearn: scikit-learn's own checks, images in pipelines and searches, features on disk."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from small_models import class_folder, small_model, write_png

pytest.importorskip("sklearn", minversion="1.6")

from pybit.sklearn import BitClassifier, BitFeatures
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import InputTags, estimator_checks
from sklearn.utils.validation import check_is_fitted, validate_data

Case = tuple[str, list[str], list[str]]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A small model's file, the paths of twelve images, and their classes' names."""
    folder = tmp_path_factory.mktemp("sklearn")
    model = small_model()
    model.preprocessing = pybit.PreprocessSpec(32)
    model.save(folder / "small.safetensors")
    found = pybit.data.read_collection(class_folder(folder / "pets", each=6))
    names = [found.class_names[label] for label in found.labels if label is not None]
    return str(folder / "small.safetensors"), list(map(str, found.paths)), names


# ---- scikit-learn's checks
def failed(estimator: Any, expected: dict[str, str] | None = None) -> dict[str, str]:
    """The checks that did not pass, with what they raised; those skipped want packages that are not here."""
    results = estimator_checks.check_estimator(estimator, expected_failed_checks=expected, on_fail=None, on_skip=None)
    assert len(results) > 40
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(expected or {})
    return {r["check_name"]: repr(r["exception"]) for r in results if r["status"] == "failed"}


@pytest.mark.parametrize("options", [{}, {"method": "knn", "k": 1}, {"ridge": [0.1, 1.0]}])
def test_probes_of_tables_pass_all_checks(options: dict[str, Any]) -> None:
    assert failed(BitClassifier(model=None, **options)) == {}


class FeaturesOfRows(BitFeatures):
    """BitFeatures whose images are made of a table's rows, since scikit-learn's checks bring tables."""

    def fit(self, X: Any, y: Any = None) -> FeaturesOfRows:
        validate_data(self, X)
        self.loaded_model()
        return self

    def _inputs(self, X: Any) -> Any:
        check_is_fitted(self)
        rows = 1 / (1 + np.exp(-validate_data(self, X, reset=False).astype(float)))
        return super()._inputs([np.resize(row, (2, 4, 3)) for row in rows])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = InputTags()
        tags.requires_fit, tags.no_validation = True, False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


def test_features_pass_all_checks() -> None:
    model = small_model()
    model.preprocessing = pybit.PreprocessSpec(16)
    # Each batch of another size may be computed by another algorithm (docs/performance.md): one image at a time.
    assert failed(FeaturesOfRows(model, batch_size=1)) == {}


# Of the estimators as they are: what needs no data. All others bring tables of numbers, which are no images: of these
# BitFeatures' are above, and BitClassifier shares its code with the probes of tables.
WITHOUT_DATA = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
)


@pytest.mark.parametrize("check", WITHOUT_DATA)
@pytest.mark.parametrize("kind", [BitFeatures, BitClassifier])
def test_checks_without_data_pass(kind: Any, check: str) -> None:
    getattr(estimator_checks, check)(kind.__name__, kind())


# ---- images
def test_features_are_those_of_embed_for_every_kind_of_sample(case: Case) -> None:
    path, paths, _ = case
    model = pybit.load(path)
    wanted = model.embed(paths).features
    pixels = np.stack([pybit.data.read_image(p) for p in paths])
    encoded = [Path(p).read_bytes() for p in paths]
    column = np.array(paths, object)[:, None]
    for samples in (paths, tuple(map(Path, paths)), np.array(paths), column, encoded, pixels):
        found = BitFeatures(path).fit_transform(samples)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, wanted)
    grey = BitFeatures(path).transform(pixels[..., 0])
    np.testing.assert_array_equal(grey, model.embed(list(pixels[..., :1])))
    assert BitFeatures(path).transform([]).shape == (0, 1024)
    assert list(BitFeatures(path).get_feature_names_out()[:2]) == ["bitfeatures0", "bitfeatures1"]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ("photos/", "read_collection"),
        (b"\x89PNG", "got bytes"),
        (np.zeros((5, 64)), r"x.reshape\(len\(x\), height, width\)"),
        (np.zeros((8, 8, 3)), r"image\[None\]"),
        (np.zeros((2, 8, 8, 7)), "channels"),
        (np.zeros((2, 2), object), r"an array of shape \(2, 2\)"),
        (iter([]), "one image per sample"),
        ([["a.png", "b.png"]], "1 samples hold 2 images"),
        ([1.0, 2.0], "one image per sample"),
    ],
)
def test_what_is_not_one_image_per_sample_is_refused_with_the_cure(samples: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BitFeatures(small_model()).fit(samples)
    labels = [0] * len(samples) if hasattr(samples, "__len__") else [0]
    with pytest.raises(ValueError, match=message):
        BitClassifier(small_model()).fit(samples, labels)


def test_a_folder_among_the_samples_is_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(pybit.ConfigError, match="sample 1 is the folder"):
        BitFeatures(case[0]).transform([case[1][0], tmp_path])


def test_other_models_are_refused() -> None:
    with pytest.raises(pybit.ConfigError, match="a path, the name of a released model"):
        BitFeatures(7).fit(["a.png"])  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        BitFeatures("no/such/file.npz").fit(["a.png"])


# ---- copies and pickles
def test_pickles_hold_the_path_alone_and_clones_share_the_model(case: Case) -> None:
    path, paths, _ = case
    features = BitFeatures(path).fit(paths)
    assert len(pickle.dumps(features)) < 1000
    back = pickle.loads(pickle.dumps(features))
    assert np.array_equal(back.transform(paths[:2]), features.transform(paths[:2]))
    assert clone(features).loaded_model() is features.loaded_model()
    held = BitFeatures(small_model())
    assert clone(held).loaded_model().loaded.network is held.loaded_model().loaded.network


def test_a_file_that_changes_is_loaded_anew(case: Case, tmp_path: Path) -> None:
    _, paths, _ = case
    file = tmp_path / "model.safetensors"
    features = BitFeatures(file, preprocessing=pybit.PreprocessSpec(32), cache=tmp_path / "cache")
    rows = []
    for seed in (0, 1):
        small_model(seed=seed).save(file)
        rows.append(features.transform(paths[:1]))
    assert not np.array_equal(rows[0], rows[1])


def test_pipelines_and_grid_searches_in_processes(case: Case, tmp_path: Path) -> None:
    path, paths, names = case
    pipeline = make_pipeline(BitFeatures(path, cache=tmp_path / "cache"), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.01, 1.0]}, n_jobs=2, cv=2, error_score="raise")
    search.fit(paths, names)
    assert set(search.predict(paths)) <= {"cat", "dog"}
    assert len(list((tmp_path / "cache").rglob("*/*/*"))) == 12  # each image once, whichever process computed it
    in_one = GridSearchCV(pipeline, search.param_grid, cv=2).fit(paths, names)
    assert np.array_equal(in_one.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])
    scores = cross_val_score(BitClassifier(path, cache=tmp_path / "cache"), paths, names, cv=2, n_jobs=2)
    assert scores.shape == (2,)


# ---- the cache
def test_features_are_kept_by_the_content_of_images(case: Case, tmp_path: Path) -> None:
    path, paths, _ = case
    cache = tmp_path / "cache"
    first = BitFeatures(path, cache=cache, batch_size=1).transform([*paths, paths[0]])
    copies = [tmp_path / f"{i}.bin" for i in range(12)]
    for copy, original in zip(copies, paths, strict=True):
        copy.write_bytes(Path(original).read_bytes())
    files = sorted(cache.rglob("*/*/*"))
    assert len(files) == 12 and np.array_equal(first[0], first[12])
    for file in files:  # rows that only the cache can have given
        values = np.zeros(1024, "<f4").tobytes()
        file.write_bytes(values + zlib.crc32(values).to_bytes(4, "little"))
    assert not BitFeatures(path, cache=cache).transform(copies).any()
    files[0].write_bytes(files[0].read_bytes()[:-1])
    files[1].write_bytes(b"\1" + files[1].read_bytes()[1:])
    again = BitFeatures(path, cache=cache, batch_size=1).transform(copies)
    assert np.flatnonzero(again.any(axis=1)).size == 2  # a damaged row is computed anew, and right
    assert {tuple(row) for row in again if row.any()} <= {tuple(row) for row in first}
    other = BitFeatures(path, cache=cache, preprocessing=pybit.PreprocessSpec(40)).transform(paths[:1])
    assert other.any()


def test_a_cache_that_cannot_be_written_costs_nothing_but_a_warning(case: Case, tmp_path: Path) -> None:
    path, paths, _ = case
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="features are not kept") as told:
        found = BitFeatures(path, cache=tmp_path / "file" / "cache").transform(paths)
    assert len(told) == 1 and np.array_equal(found, BitFeatures(path).transform(paths))


def test_damaged_images_are_named_with_and_without_cache(case: Case, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(write_png(tmp_path / "whole.png", 3).read_bytes()[:200])
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(pybit.FormatError, match=r"bad\.png"):
            BitFeatures(case[0], cache=cache).transform([case[1][0], bad])


# ---- classifiers
def test_probes_equal_pybits_own(case: Case) -> None:
    path, paths, names = case
    table, numbers = pybit.load(path).embed(paths).features, (np.array(names) == "dog").astype(int)
    ridge = BitClassifier(path, ridge=3.0).fit(paths, names)
    own = pybit.probe.fit_linear(table, numbers, ridge=3.0)
    np.testing.assert_array_equal(ridge.decision_function(paths), np.diff(own.scores(table))[:, 0])
    assert list(ridge.predict(paths)) == ["dog" if score > 0 else "cat" for score in ridge.decision_function(paths)]
    assert not hasattr(ridge, "predict_proba")
    knn = BitClassifier(path, method="knn", k=3).fit(paths, names)
    assert np.array_equal(knn.predict(paths) == "dog", pybit.probe.knn_predict(table, numbers, table, 3) == 1)
    assert set(np.unique(knn.predict_proba(paths) * 3)) <= {0, 1, 2, 3} and not hasattr(knn, "decision_function")


@pytest.mark.parametrize("method", ["head", "fine_tune"])
def test_training_equals_fine_tune(case: Case, method: str) -> None:
    path, paths, names = case
    options: dict[str, Any] = {"steps": 4, "batch": 6, "resolution": (32, 32), "base_lr": 0.01}
    found = BitClassifier(path, method=method, training=options, seed=3).fit(paths, names)
    data = pybit.datasets.open((paths, names), validation_fraction=0).train
    only = {"train": ["resnet/head/*"]} if method == "head" else {}
    wanted = pybit.fine_tune(path, data, seed=3, **options, **only).model
    for name, value in wanted.state_dict().items():
        assert np.array_equal(found.model_.state_dict()[name], value), name
    probabilities = found.predict_proba(paths)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert list(found.predict(paths)) == [p.label for p in wanted.predict(paths)]
    assert found.decision_function(paths).shape == (12,)
    moved = found.model_.state_dict()["resnet/root_block/standardized_conv2d/kernel"]
    start = pybit.load(path).state_dict()["resnet/root_block/standardized_conv2d/kernel"]
    assert np.array_equal(moved, start) == (method == "head")
    back = pickle.loads(pickle.dumps(found))
    assert np.array_equal(back.predict_proba(paths), probabilities)


def test_options_that_do_not_fit_are_refused(case: Case) -> None:
    path, paths, names = case
    for options, message in (
        ({"method": "svm"}, "expected method ridge, knn, head, fine_tune"),
        ({"training": {"steps": 3}}, "training= with methods head and fine_tune"),
        ({"method": "knn", "k": 13}, "1 <= k <= 12"),
        ({"model": None, "method": "head"}, "expected a model to train"),
    ):
        with pytest.raises(pybit.ConfigError, match=message):
            BitClassifier(**{"model": path, **options}).fit(paths, names)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        BitClassifier(path).fit(paths, names[1:])


def test_without_scikit_learn_the_error_names_it() -> None:
    script = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import pybit\n"
        "try:\n    pybit.sklearn\nexcept ImportError as e:\n    print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install scikit-learn" in done.stdout
    script = "import sys, pybit; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
