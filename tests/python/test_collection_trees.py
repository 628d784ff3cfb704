# SPDX-License-Identifier: Apache-2.0
"""Random messy trees of folders: nothing is lost, nothing counts twice, every command takes the same images."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pybit import _core, cli
from pybit.data import list_images, read_collection
from pybit.data.collection import other_suffixes

FOLDERS = (
    ["train", "Training", "VAL", "dev", "test_images"]
    + ["cat", "Cat", "dog", "2", "10", "caf\u00e9", "cafe\u0301", "caf\udce9", "new\nline"]
    + ["@eaDir", "__MACOSX", ".hidden", ".ipynb_checkpoints"]
)


def _encoded(format: str, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    to = io.BytesIO()
    Image.fromarray(pixels).save(to, format)
    return to.getvalue()


FILES: dict[str, bytes] = {
    "1.jpg": _encoded("JPEG", 1),
    "2.JPEG": _encoded("JPEG", 2),
    "10.png": _encoded("PNG", 3),
    "wrong.jpg": _encoded("GIF", 4),
    "micro.tif": _encoded("TIFF", 5),
    "moving.gif": _encoded("GIF", 6),
    "bare": _encoded("PNG", 7),
    "cut.jpg": _encoded("JPEG", 8)[:200],
    "empty.png": b"",
    "notes.txt": b"no image",
    "Thumbs.db": b"left behind",
    ".DS_Store": b"left behind",
    "1.jpg~": b"left behind",
    "pr\udcffint.jpg": _encoded("JPEG", 9),
}
LINKS = ("to file", "to folder", "to root", "to nothing", "pipe")

Node = tuple[tuple[str, ...], str]
places = st.lists(st.sampled_from(FOLDERS), max_size=3).map(tuple)
trees = st.lists(st.tuples(places, st.sampled_from([*FILES, *LINKS])), min_size=1, max_size=14, unique=True)


def grow(root: Path, nodes: list[Node]) -> None:
    """Makes the files first, then the links, whose targets depend on the names alone."""
    for folders, name in nodes:
        (root / Path(*folders)).mkdir(parents=True, exist_ok=True)
        if name in FILES:
            (root / Path(*folders) / name).write_bytes(FILES[name])
    files = sorted(Path(*folders) / name for folders, name in nodes if name in FILES)
    for folders, name in nodes:
        at = root / Path(*folders) / f"link {name}.jpg"
        if name == "pipe":
            os.mkfifo(at)
        elif name in LINKS:
            first = files[0] if files else Path("nothing")
            to = {"to file": first, "to folder": first.parent, "to root": Path()}.get(name, Path("nothing"))
            at.symlink_to(os.path.relpath(root / to, at.parent))


@contextmanager
def tree(nodes: list[Node]) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tree"))
    try:
        root = folder / "root"
        root.mkdir()
        grow(root, nodes)
        yield root
    finally:
        shutil.rmtree(folder)


def walked(folder: Path, left_out: set[str]) -> Iterator[str]:
    """Every entry that is no folder, as one who follows links and enters nothing that was left out."""
    for entry in folder.iterdir():
        if str(entry) in left_out or not entry.is_dir():
            yield str(entry)
        else:
            yield from walked(entry, left_out)


@given(trees)
@settings(max_examples=150)
def test_what_was_taken_and_what_was_left_out_are_all_files(nodes: list[Node]) -> None:
    with tree(nodes) as root:
        found = read_collection(root)
        taken = [os.fspath(path) for path in found.paths]
        left_out = {entry.path for entry in found.report.left_out}
        assert sorted([*taken, *left_out]) == sorted(walked(root, left_out))
        real = {os.path.realpath(path) for path in taken}
        assert len(real) == len(taken) == found.report.taken
        assert sum(found.report.splits.values()) == len(taken)
        assert found.class_names == [] or sum(found.report.classes.values()) == len(taken)
        visible = [entry for entry in found.report.left_out if entry.reason != "hidden"]
        assert not visible or f"{len(visible)} of {len(taken) + len(visible)} entries" in found.report.summary
        json.dumps(found.report.as_dict())


@given(trees, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_nothing_depends_on_the_order_of_the_file_system(nodes: list[Node], shuffling: random.Random) -> None:
    def answer(root: Path) -> tuple[Any, ...]:
        found = read_collection(root)
        left_out = [(os.path.relpath(path, root), reason) for path, reason in found.report.left_out]
        paths = [os.path.relpath(path, root) for path in found.paths]
        return paths, found.splits, found.labels, found.class_names, found.by_path, left_out, found.report.notes

    shuffled = nodes.copy()
    shuffling.shuffle(shuffled)
    with tree(nodes) as one, tree(shuffled) as other:
        assert answer(one) == answer(other)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    model = pybit.create_model("small", units=(1, 1, 1, 1), stem_channels=32, num_classes=3)
    model.preprocessing = pybit.PreprocessSpec(size=32)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    model.save(path)
    return str(path)


def reported(root: Path, *arguments: str) -> dict[str, Any] | None:
    """What a command says that it took, by --report; None if it refused the folder."""
    report = root.parent / "report.json"
    report.unlink(missing_ok=True)
    code = cli.main([*arguments, "--report", str(report)])
    assert report.exists() or code in (1, 2)
    return json.loads(report.read_text()) if report.exists() else None


@given(trees)
@settings(max_examples=40)
def test_every_door_takes_the_same_images(weights: str, nodes: list[Node]) -> None:
    with tree(nodes) as root, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = read_collection(root)
        core = _core.read_collection(root, "natural", other_suffixes())
        assert core[:3] == (found.paths, found.splits, found.labels)
        paths = sorted(map(os.fspath, found.paths))
        assert sorted(map(os.fspath, list_images(root))) == paths
        model = pybit.load(weights)
        if not paths:
            with pytest.raises(pybit.FormatError, match="found none"):
                model.embed(root)
            return
        embedded = model.embed(root, skip_corrupt=True)
        assert sorted([*embedded.paths, *(s.path for s in embedded.skipped)]) == paths
        named = {
            os.fspath(p): None if n is None else found.class_names[n]
            for p, n in zip(found.paths, found.labels, strict=True)
        }
        if embedded.classes is not None:
            classes = [embedded.class_names[c] for c in embedded.classes]
            assert classes == [named[path] for path in embedded.paths]
        left = {s.path for s in embedded.skipped}
        predicted = [p.path for p in model.predict(root, skip_corrupt=True)]
        assert sorted(p for p in predicted if p is not None) == sorted(set(paths) - left)

        common = ["--model", weights, "--skip-corrupt", "--quiet"]
        expected = found.report.as_dict()
        assert reported(root, "predict", str(root), *common) == expected
        assert reported(root, "embed", str(root), "-o", str(root.parent / "f.npz"), *common) == expected
        run = ["--name", "r", "--logdir", str(root.parent / "runs"), "--model", weights, "--steps", "1", "--dry_run"]
        classed = bool(found.class_names) and None not in found.labels
        evaluated = reported(root, "eval", weights, str(root), "--skip-corrupt")
        trained = reported(root, "train", *run, "--data", str(root), "--batch", "2", "--resize", "32", "--crop", "32")
        assert (evaluated is not None) == classed
        assert trained is None or classed
        for answer in (evaluated, trained):
            if answer is not None:  # a test set that is not used is a note of these two
                assert {k: answer[k] for k in ("taken", "splits", "classes", "left_out")} == {
                    k: expected[k] for k in ("taken", "splits", "classes", "left_out")
                }
        if not classed:
            with pytest.raises(pybit.ConfigError):
                pybit.datasets.open(root, needs_train=False)
            return
        train, validation = pybit.datasets.open(root, needs_train=False)
        held = {d.name(i): d.class_names[d.labels[i]] for d in (train, validation) for i in range(len(d))}
        used = {"whole", "train", "validation" if "validation" in found.splits else "test"}
        wanted = [p for p, split in zip(found.paths, found.splits, strict=True) if split in used]
        assert held == {os.fspath(p): named[os.fspath(p)] for p in wanted}


def test_the_property_would_notice_a_file_that_is_lost(tmp_path: Path) -> None:
    """The negative control: the walk of the first test sees what a reader that forgets a file does not."""
    grow(tmp_path, [(("cat",), "1.jpg"), (("cat",), "micro.tif"), (("cat", "@eaDir"), "1.jpg"), ((), "notes.txt")])
    found = read_collection(tmp_path)
    left_out = {entry.path for entry in found.report.left_out}
    assert len(found.paths) == 2 and len(left_out) == 2
    complete = sorted(walked(tmp_path, left_out))
    assert sorted([*map(str, found.paths[1:]), *left_out]) != complete
    assert sorted([*map(str, found.paths), *left_out]) == complete
