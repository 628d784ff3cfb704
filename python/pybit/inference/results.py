# SPDX-License-Identifier: Apache-2.0
"""What comes out: predictions with labels, tables of features with their paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pybit.base.arrays import Array
from pybit.data.batches import Skipped
from pybit.data.collection import Report
from pybit.errors import FormatError


@dataclass(frozen=True, repr=False)
class Prediction:
    """The likeliest classes of one image, the likeliest first."""

    index: int  # position among the inputs
    path: str | None  # None for images in memory
    classes: tuple[int, ...]  # class numbers
    labels: tuple[str, ...]  # their names; "class 7" where the model knows none
    probabilities: tuple[float, ...]

    @property
    def label(self) -> str:
        """Name of the likeliest class."""
        return self.labels[0]

    @property
    def probability(self) -> float:
        """Probability of the likeliest class."""
        return self.probabilities[0]

    def as_dict(self) -> dict[str, Any]:
        """The prediction as values that JSON has: index, path, and a list of class, label and probability."""
        top = [
            {"class": c, "label": n, "probability": p}
            for c, n, p in zip(self.classes, self.labels, self.probabilities, strict=True)
        ]
        return {"index": self.index, "path": self.path, "predictions": top}

    def __repr__(self) -> str:
        where = self.path if self.path is not None else f"image {self.index}"
        # Names of ImageNet hold commas themselves.
        top = "; ".join(f"{n} {p:.3f}" for n, p in zip(self.labels, self.probabilities, strict=True))
        return f"<{where}: {top}>"


@dataclass(frozen=True, repr=False)
class Embeddings:
    """Features of image files; behaves as its array `features` where NumPy asks for one."""

    features: Array  # (N, num_features), or maps
    paths: tuple[str, ...]  # (N) files in the order of the rows
    classes: Array | None = None  # (N) int64 numbers of the folders that the files lie in; None without such folders
    class_names: tuple[str, ...] | None = None
    skipped: tuple[Skipped, ...] = ()  # files that could not be read and were left out
    report: Report | None = None  # what was taken from folders and what was left out; None without folders

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the features."""
        return self.features.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the features."""
        return self.features.dtype

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, key: Any) -> Any:
        return self.features[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if dtype is None or np.dtype(dtype) == self.features.dtype:
            return self.features.copy() if copy else self.features
        if copy is False:
            raise ValueError(f"cannot give {self.features.dtype} features as {np.dtype(dtype)} without a copy")
        return self.features.astype(dtype)

    def __repr__(self) -> str:
        kinds = "" if self.class_names is None else f", {len(self.class_names)} classes"
        left = f", {len(self.skipped)} files left out" if self.skipped else ""
        return f"<pybit.Embeddings {self.features.shape} {self.features.dtype}{kinds}{left}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an npz file with `features`, `paths` and, where known, `classes` and `class_names`.

        Nothing in it is pickled. The file is complete or not there: it is written beside `path` and renamed. Raises
        OSError if it cannot be written.
        """
        arrays: dict[str, Array] = {"features": self.features, "paths": np.array(self.paths, dtype=np.str_)}
        if self.classes is not None and self.class_names is not None:
            arrays |= {"classes": self.classes, "class_names": np.array(self.class_names, dtype=np.str_)}
        temporary = f"{os.fspath(path)}.{os.getpid()}.part"
        try:
            with open(temporary, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)


def load_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Read what `Embeddings.save` wrote.

    Raises OSError if the file cannot be read, FormatError if it is of another kind or damaged; nothing in it is
    executed.
    """
    import zipfile
    import zlib

    try:
        with open(path, "rb") as file:
            if not file.read(4).startswith((b"PK", b"\x93NUM")):  # np.load would take anything else for a pickle
                raise FormatError("its first bytes are those of another kind of file")
            file.seek(0)
            stored = np.load(file, allow_pickle=False)
            found = {} if isinstance(stored, np.ndarray) else {name: stored[name] for name in stored.files}
    except (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as e:
        raise FormatError(f"{os.fspath(path)}: expected an npz file of features, as pybit embed writes it: {e}") from e
    features = found.get("features")
    if features is None or features.ndim < 2 or features.dtype.kind != "f":
        raise FormatError(
            f"{os.fspath(path)}: expected an npz file with a float array `features` (N, D), found {sorted(found)}"
        )
    count = len(features)
    paths = found.get("paths", np.array([str(i) for i in range(count)]))
    classes = found.get("classes")
    if len(paths) != count or (classes is not None and (classes.shape != (count,) or classes.dtype.kind not in "iu")):
        raise FormatError(f"{os.fspath(path)}: expected one path and one whole-number class per row of `features`")
    names = found.get("class_names")
    if names is None and classes is not None:
        names = np.array([str(i) for i in range(int(classes.max(initial=-1)) + 1)])
    return Embeddings(
        features,
        tuple(map(str, paths)),
        None if classes is None else classes.astype(np.int64),
        None if names is None else tuple(map(str, names)),
    )
