# SPDX-License-Identifier: Apache-2.0
"""CIFAR in its four official forms: python and binary, packed and unpacked."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from data_folders import (
    cifar10_binary,
    cifar10_python,
    cifar100_python,
    python2_pickle,
    python3_pickle,
    write_archive,
    write_folder,
)
from pybit import datasets
from pybit.errors import FormatError


def same(a: datasets.Splits, b: datasets.Splits) -> bool:
    return all(
        x.class_names == y.class_names
        and np.array_equal(x.labels, y.labels)
        and all(np.array_equal(x[i][0], y[i][0]) for i in range(len(x)))
        for x, y in zip(a, b, strict=True)
    )


@pytest.fixture
def expected(tmp_path: Path) -> datasets.Splits:
    return datasets.open(write_folder(tmp_path / "expected" / "cifar-10-batches-bin", cifar10_binary()))


def test_the_tests_pickles_are_those_of_python_2():
    batch = pickle.loads(cifar10_python()["data_batch_2"], encoding="bytes")
    assert set(batch) == {b"batch_label", b"labels", b"data", b"filenames"}
    assert batch[b"data"].shape == (4, 3072) and batch[b"data"].dtype == np.uint8


def test_all_forms_of_cifar_10_are_the_same_set(tmp_path: Path, expected: datasets.Splits):
    assert [len(s) for s in expected] == [3 + 4 + 5 + 6 + 7, 8]
    assert expected.train.class_names[9] == "truck"
    for writer in (python2_pickle, python3_pickle):
        files = cifar10_python(writer=writer)
        root = tmp_path / writer.__name__
        inner = write_folder(root / "cifar-10-batches-py", files)
        packed = write_archive(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", files)
        for path in (root, inner, packed):
            assert same(datasets.open(path), expected)
    binary = write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", cifar10_binary())
    assert same(datasets.open(binary), expected)
    assert not same(datasets.open(write_folder(tmp_path / "other", cifar10_binary(seed=9))), expected)


def test_planes_become_pixels_and_labels_stay(tmp_path: Path):
    files = cifar10_python()
    raw = pickle.loads(files["test_batch"], encoding="bytes")
    test = datasets.open(write_folder(tmp_path / "c", files)).validation
    assert test.labels.tolist() == raw[b"labels"]
    for i in range(len(test)):
        np.testing.assert_array_equal(test[i][0], raw[b"data"][i].reshape(3, 32, 32).transpose(1, 2, 0))


def test_cifar_100_has_fine_and_coarse_labels(tmp_path: Path):
    packed = write_archive(tmp_path / "cifar-100-python.tar.gz", "cifar-100-python", cifar100_python())
    fine, coarse = datasets.open(packed), datasets.open(tmp_path, cifar_labels="coarse")
    assert [len(s) for s in fine] == [6, 7]
    assert fine.train.class_names[7] == "fine7" and len(fine.train.class_names) == 100
    assert coarse.train.labels.tolist() == (fine.train.labels % 20).tolist()
    assert coarse.train.class_names == [f"coarse{c}" for c in range(20)]
    with pytest.raises(ValueError, match="cifar_labels 'fine' or 'coarse', got 'rough'"):
        datasets.open(packed, cifar_labels="rough")


def test_pickles_execute_nothing(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    files = cifar10_python() | {"data_batch_3": pickle.dumps(Evil(), protocol=2)}
    with pytest.raises(FormatError, match="nothing was executed"):
        datasets.open(write_folder(tmp_path / "evil", files))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("data_batch_2", None, "expected the file data_batch_2, it is missing"),
        ("batches.meta", None, "expected the file batches.meta"),
        ("data_batch_2", b"", "truncated"),
        ("data_batch_2", b"no pickle", "damaged pickle"),
        ("data_batch_2", pickle.dumps([1], protocol=2), "expected a pickled dictionary, got list"),
        ("data_batch_2", python2_pickle({b"labels": [1]}), "expected an array 'data' in data_batch_2"),
        ("data_batch_2", python2_pickle({b"data": np.zeros((1, 3072), np.uint8)}), "expected a list 'labels'"),
        (
            "data_batch_2",
            python2_pickle({b"labels": [1, 10], b"data": np.zeros((2, 3072), np.uint8)}),
            "labels below 10 in data_batch_2, got 10 at position 1",
        ),
        (
            "data_batch_2",
            python2_pickle({b"labels": [1, 2], b"data": np.zeros((3, 3072), np.uint8)}),
            r"shape \(2, 3072\) in data_batch_2, as its labels say, got \(3, 3072\)",
        ),
        (
            "data_batch_2",
            python3_pickle({b"labels": [1], b"data": np.zeros((1, 3072), np.float32)}),
            "an array of bytes",
        ),
    ],
)
def test_damaged_folders_name_the_file_and_what_was_expected(tmp_path: Path, name, content, text):
    files = cifar10_python()
    if content is None:
        del files[name]
    else:
        files[name] = content
    with pytest.raises(FormatError, match=text):
        datasets.open(write_folder(tmp_path / "c", files))


@pytest.mark.parametrize("kind", ["python", "binary"])
def test_an_archive_cut_anywhere_is_an_error_that_names_it(tmp_path: Path, kind: str):
    files = cifar10_python() if kind == "python" else cifar10_binary()
    path = write_archive(tmp_path / f"cifar-10-{kind}.tar.gz", "cifar-10", files)
    whole = path.read_bytes()
    datasets.open(path)
    for size in [*range(0, len(whole), len(whole) // 37), len(whole) - 9, len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=rf"cifar-10-{kind}\.tar\.gz"):
            datasets.open(path)
    header = 10 + len(path.name)  # gzip's own, which holds the time and the file's name
    for at in range(header, len(whole), len(whole) // 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(FormatError, match=rf"cifar-10-{kind}\.tar\.gz"):
            datasets.open(path)
