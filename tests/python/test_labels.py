# SPDX-License-Identifier: Apache-2.0
"""Class names: from files, from the cache, from installed packages; errors that say how to get them."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
from pathlib import Path

import pytest
from pybit import hub, labels
from pybit.errors import FormatError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYBIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that takes the place of all installed packages."""
    root = tmp_path / "packages"
    root.mkdir()

    def find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
        if not (root / name).is_dir():
            return None
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(root / name)]
        return spec

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    return root


def test_one_name_per_line_is_read_as_the_release_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("tench, Tinca tinca\r\ngoldfish\nHähnchen\n\n", encoding="utf-8")
    assert labels.load(path) == ["tench, Tinca tinca", "goldfish", "Hähnchen"]
    assert labels.load(path, 3)[2] == "Hähnchen"
    with pytest.raises(FormatError, match="names.txt: expected 4 class names, got 3"):
        labels.load(path, 4)


@pytest.mark.parametrize(
    "content",
    [["cat", "dog"], {"0": "cat", "1": "dog"}, {"0": ["n1", "cat"], "1": ["n2", "dog"]}, {"1": "dog", "0": "cat"}],
)
def test_json_lists_and_index_objects_are_read(tmp_path: Path, content: object) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps(content))
    assert labels.load(path) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "one class name per line"),
        (b"cat\n\ndog\n", "without empty lines"),
        (b"\xff\xfe", "UTF-8"),
        (b"[1, 2]", "list of class"),
        (b'{"0": "a", "2": "b"}', "'1' is missing"),
        (b"[", "starts like JSON"),
        (b"[]", "list of class"),
        (b"a\0b\n", "one class name"),
        (b"[" * 100_000, "starts like JSON"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(FormatError, match=expected):
        labels.load(tmp_path / "names.txt")


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        labels.load(tmp_path / "none.txt")


def test_without_any_source_the_error_says_how_to_get_the_names(packages: Path) -> None:
    with pytest.raises(ImportError, match=r"pybit download imagenet-1k-labels.*pip install timm.*--labels"):
        labels.load("imagenet-1k")
    assert labels.find("imagenet-1k", 3) == ["class 0", "class 1", "class 2"]
    assert labels.find(None, 2) == ["class 0", "class 1"]


def test_names_come_from_timms_data_files_in_the_order_of_the_heads(packages: Path) -> None:
    folder = packages / "timm/data/_info"
    folder.mkdir(parents=True)
    (folder / "imagenet21k_goog_synsets.txt").write_text("".join(f"n{index:08d}\n" for index in range(21843)))
    (folder / "imagenet_synset_to_lemma.txt").write_text("n00000001\tone, first\n")
    names = labels.load("imagenet-21k")
    assert len(names) == 21843 and names[:2] == ["n00000000", "one, first"]


def test_names_come_from_torchvision_without_running_it(packages: Path) -> None:
    folder = packages / "torchvision/models"
    folder.mkdir(parents=True)
    names = [f"name {index}" for index in range(1000)]
    (folder / "_meta.py").write_text(f"raise SystemExit\n_IMAGENET_CATEGORIES = {names!r}\n")
    assert labels.load("imagenet-1k") == names


def test_the_releases_own_file_in_the_cache_goes_first(packages: Path, empty_cache: Path) -> None:
    target = empty_cache / "storage.googleapis.com/bit_models/ilsvrc2012_wordnet_lemmas.txt"
    target.parent.mkdir(parents=True)
    target.write_text("".join(f"class number {index}\n" for index in range(1000)))
    assert hub.cached("imagenet-1k-labels") == target
    assert labels.load("imagenet-1k")[999] == "class number 999"
    target.write_text("only one\n")
    with pytest.raises(FormatError, match="expected 1000 class names, got 1"):
        labels.load("imagenet-1k")


def test_the_installed_timm_gives_the_known_first_classes() -> None:
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    assert labels.load("imagenet-1k", 1000)[:2] == ["tench, Tinca tinca", "goldfish, Carassius auratus"]
    assert labels.load("imagenet-21k", 21843)[0] == "organism, being"


def test_cifar10_has_its_ten_classes() -> None:
    assert labels.load("cifar-10", 10)[3] == "cat"
