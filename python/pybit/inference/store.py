# SPDX-License-Identifier: Apache-2.0
"""Features that are written while they are computed: in little memory, and with what is done kept whatever happens."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pybit.base.arrays import Array
from pybit.base.files import complete_file
from pybit.data.batches import Skipped
from pybit.data.folders import Labelled
from pybit.data.inputs import collect
from pybit.data.options import ImageOptions
from pybit.data.sources import printable
from pybit.inference.run import balanced_batch, outputs_of_batches
from pybit.inference.tables import write_parquet
from pybit.network.source import Loaded

ENDINGS = (".npz", ".npy", ".parquet")
_ROWS_IN_A_PART = 8192  # of a Parquet file: 64 MB of R50x1's 2,048 features


class FeatureStore:
    """The folder FILE.part beside the file to be: raw float32 rows, and a line for each batch.

    A store of the same model, preprocessing and files goes on after its last complete batch; one of others is emptied.
    """

    def __init__(self, path: str, about: dict[str, Any], width: int) -> None:
        self.path = path
        self.folder = Path(f"{path}.part")
        self.width = width
        self.positions: list[int] = []
        """The input that each row is of."""
        self.skipped: list[Skipped] = []
        """The inputs that were left out so far."""
        self.next = 0
        """The input to go on from."""
        self.replaced = False
        """Whether a store of another run was emptied."""
        known = json.loads(json.dumps(about))
        if self.folder.is_dir():
            self.replaced = not self._resume(known)
        if not self.folder.is_dir() or self.replaced:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            (self.folder / "about.json").write_text(json.dumps(known), encoding="utf-8")

    def _resume(self, about: dict[str, Any]) -> bool:
        rows, lines = self.folder / "features.f32", self.folder / "batches.jsonl"
        try:
            if json.loads((self.folder / "about.json").read_text(encoding="utf-8")) != about:
                return False
            if not rows.exists() or not lines.exists():
                return True
            complete, kept = rows.stat().st_size // (4 * self.width), []
            for line in lines.read_text(encoding="utf-8").splitlines():
                batch = json.loads(line)
                if len(self.positions) + len(batch["rows"]) > complete:
                    break
                self.positions += batch["rows"]
                self.skipped += [Skipped(*entry) for entry in batch["skipped"]]
                self.next = batch["next"]
                kept.append(line)
        except (OSError, ValueError, KeyError, TypeError):  # of a line that was not finished
            if not self.positions:
                return False
        os.truncate(rows, 4 * self.width * len(self.positions))
        lines.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        return True

    def add(self, positions: list[int], features: Array, skipped: list[Skipped], following: int) -> None:
        """Add the rows of a batch, what was left out before and in it, and the input that follows."""
        with open(self.folder / "features.f32", "ab") as file:
            file.write(np.ascontiguousarray(features, np.float32).tobytes())
        line = json.dumps({"rows": positions, "skipped": [list(entry) for entry in skipped], "next": following})
        with open(self.folder / "batches.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.positions += positions
        self.skipped += skipped
        self.next = following

    def finish(self, labelled: Labelled | None, files: list[Path]) -> None:
        """Write the file that was asked for and remove the folder. Raises OSError if it cannot be written."""
        shape = (len(self.positions), self.width)
        rows = self.folder / "features.f32"
        features: Array = np.memmap(rows, np.float32, "r", shape=shape) if shape[0] else np.empty(shape, np.float32)
        paths = [str(files[i]) for i in self.positions]
        classes = None if labelled is None else np.array([labelled.labels[i] for i in self.positions], np.int64)
        names = None if labelled is None else labelled.class_names
        if self.path.lower().endswith(".parquet"):
            write_parquet(self.path, _parts(features, paths, classes, names))
        elif self.path.lower().endswith(".npy"):
            with complete_file(self.path, "wb") as file:
                np.lib.format.write_array(file, features, allow_pickle=False)
            _write_paths(f"{self.path}.csv", paths, classes, names)
        else:
            arrays: dict[str, Any] = {"features": features, "paths": np.array(paths, np.str_)}
            if classes is not None and names is not None:
                arrays |= {"classes": classes, "class_names": np.array(names, np.str_)}
            with complete_file(self.path, "wb") as file:
                np.savez(file, **arrays)
        del features
        shutil.rmtree(self.folder)


def _parts(
    features: Array, paths: list[str], classes: Array | None, names: list[str] | None
) -> Iterator[dict[str, Any]]:
    for first in range(0, max(len(paths), 1), _ROWS_IN_A_PART):
        part = slice(first, first + _ROWS_IN_A_PART)
        columns: dict[str, Any] = {"path": paths[part]}
        if classes is not None and names is not None:
            columns["label"] = [names[i] for i in classes[part]]
        yield columns | {"features": np.asarray(features[part])}


def _write_paths(path: str, paths: list[str], classes: Array | None, names: list[str] | None) -> None:
    with complete_file(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        if classes is None or names is None:
            writer.writerows([["path"], *([path] for path in paths)])
        else:
            labels = [names[i] for i in classes]
            writer.writerows([["path", "label"], *zip(paths, labels, strict=True)])


def embed_to_store(
    model: Loaded, files: list[Path], labelled: Labelled | None, options: ImageOptions, path: str
) -> Iterator[FeatureStore]:
    """Compute the features of files, batch by batch, into a store for `path`, which is yielded first and after each.

    The batches are those of one run over all files, so that a run that was stopped and went on gives the same bits.
    Raises what reading images raises; what was done before is then in the store.
    """
    size = options.batch_size or balanced_batch(model, options.preprocessing, len(files))
    store = FeatureStore(path, _about(model, files, labelled, options, size), model.config.num_features)
    yield store
    base = store.next
    skipped: list[Skipped] = []
    options = dataclasses.replace(options, batch_size=size)
    remaining = collect([str(file) for file in files[base:]])
    reported = 0
    for indices, _, features in outputs_of_batches(model, remaining, options, "pooled", skipped, "embed"):
        new = [Skipped(s.path, s.reason, base + s.position) for s in skipped[reported:]]
        reported = len(skipped)
        following = 1 + max([base + indices[-1], *(entry.position for entry in new)])
        store.add([base + i for i in indices], features, new, following)
        yield store
    if len(skipped) > reported:
        new = [Skipped(s.path, s.reason, base + s.position) for s in skipped[reported:]]
        store.add([], np.empty((0, store.width), np.float32), new, len(files))
        yield store


def _about(
    model: Loaded, files: list[Path], labelled: Labelled | None, options: ImageOptions, size: int
) -> dict[str, Any]:
    """All that features depend on; the network by what it makes of one small image."""
    network = model.network
    image = np.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32).astype(network.array_dtype)
    seen = network.run(image, "nchw", ["pooled"], options.threads)["pooled"]
    names = "\0".join(printable(str(file)) for file in files)
    labels = b"" if labelled is None else np.asarray(labelled.labels, np.int64).tobytes()
    return {
        "version": 1,
        "network": zlib.crc32(np.ascontiguousarray(seen).tobytes()),
        "preprocessing": dataclasses.asdict(options.preprocessing),
        "batch_size": size,
        "files": zlib.crc32(labels, zlib.crc32(names.encode())),
    }
