"""Images in, answers out: predictions with labels, tables of features with their paths."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pybit._arrays import Array
from pybit._folders import labelled_files
from pybit._images import Source, collect
from pybit.data import Batch, PreprocessSpec, Skipped, iterate_batches
from pybit.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from pybit.model import Model


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
        """For JSON."""
        top = [
            {"class": c, "label": n, "probability": p}
            for c, n, p in zip(self.classes, self.labels, self.probabilities, strict=True)
        ]
        return {"index": self.index, "path": self.path, "predictions": top}

    def __repr__(self) -> str:
        where = self.path if self.path is not None else f"image {self.index}"
        top = ", ".join(f"{n} {p:.3f}" for n, p in zip(self.labels, self.probabilities, strict=True))
        return f"<{where}: {top}>"


@dataclass(frozen=True, repr=False)
class Embeddings:
    """Features of image files; behaves as its array `features` where NumPy asks for one."""

    features: Array  # (N, num_features), or maps
    paths: tuple[str, ...]  # (N) files in the order of the rows
    classes: Array | None = None  # (N) int64 numbers of the folders that the files lie in; None without such folders
    class_names: tuple[str, ...] | None = None
    skipped: tuple[Skipped, ...] = ()  # files that could not be read and were left out

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features."""
        return self.features.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number format of the features."""
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
        """Write an npz file with `features`, `paths` and, where known, `classes` and `class_names`; nothing pickled."""
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
    """Read what `Embeddings.save` wrote. Raises OSError, or ValueError for another kind of file."""
    import zipfile
    import zlib

    try:
        with open(path, "rb") as file:
            if not file.read(4).startswith((b"PK", b"\x93NUM")):  # np.load would take anything else for a pickle
                raise ValueError("its first bytes are those of another kind of file")
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


def softmax(logits: Array) -> Array:
    """Probabilities of each row, in double precision."""
    e = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def sigmoid(logits: Array) -> Array:
    """Independent probabilities, in double precision."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64))))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"softmax": softmax, "sigmoid": sigmoid}


def _is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike))


def balanced_batch(model: Model, spec: PreprocessSpec, count: int) -> int:
    """Images per batch where the caller does not say: the cost model's choice, `count` images shared out evenly."""
    best = model._network.throughput_batch(*spec.sizes())
    batches = -(-count // best)
    return max(1, -(-count // max(batches, 1)))


def _batches(
    model: Model,
    sources: list[Source],
    spec: PreprocessSpec,
    batch_size: int | None,
    threads: int,
    skip_corrupt: bool,
    progress: bool | None,
    skipped: list[Skipped],
    what: str,
) -> Iterator[Batch]:
    """Preprocessed batches; `skipped` is filled and a warning names the first files left out.

    The next images are decoded by as many threads as compute. That costs little against the best that two cores could
    do, the sum of both times: 18.2 ms an image where decoding alone takes 1.6 and computing alone 16.1.
    """
    if model.config.in_channels != 3:
        raise ConfigError(f"images have 3 channels, the model takes {model.config.in_channels}: call it with arrays")
    with iterate_batches(
        [s.value for s in sources],
        spec,
        balanced_batch(model, spec, len(sources)) if batch_size is None else batch_size,
        threads=threads or None,
        skip_corrupt=skip_corrupt,
        progress=progress,
        description=what,
    ) as batches:
        yield from batches
        skipped.extend(batches.skipped)
    if skipped:
        named = "; ".join(s.reason for s in skipped[:3]) + (
            f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        )
        warnings.warn(f"{len(skipped)} of {len(sources)} images were left out: {named}", UserWarning, stacklevel=4)


def predict(
    model: Model,
    inputs: Any,
    topk: int,
    batch_size: int | None,
    threads: int,
    skip_corrupt: bool,
    progress: bool | None,
    activation: str,
    spec: PreprocessSpec,
    skipped: list[Skipped] | None = None,
) -> list[Prediction]:
    """See Model.predict; `skipped` receives what was left out."""
    if not model.num_classes:
        raise ConfigError("the model has no head to predict with: use embed, or reset_classifier and train it")
    if topk < 1 or activation not in ACTIVATIONS:
        raise ConfigError(
            f"expected topk of at least 1 and activation {' or '.join(ACTIVATIONS)}, got {topk} and {activation!r}"
        )
    sources, found = collect(inputs), []
    names = model.labels or tuple(f"class {i}" for i in range(model.num_classes))
    left: list[Skipped] = [] if skipped is None else skipped
    for batch in _batches(model, sources, spec, batch_size, threads, skip_corrupt, progress, left, "predict"):
        logits = model._network.run(as_network_input(model, batch.images), spec.layout, ["logits"], threads)["logits"]
        for index, row in zip(batch.indices, ACTIVATIONS[activation](logits), strict=True):
            order = np.argsort(-row, kind="stable")[: min(topk, len(row))]
            path = os.fspath(sources[index].value) if _is_path(sources[index].value) else None
            found.append(
                Prediction(
                    index,
                    path,
                    tuple(map(int, order)),
                    tuple(names[i] for i in order),
                    tuple(float(row[i]) for i in order),
                )
            )
    return found


def as_network_input(model: Model, images: Array) -> Array:
    """Preprocessed images in the model's number format."""
    return images.astype(np.float64) if model._network.array_dtype == "float64" else images


def embed(
    model: Model,
    inputs: Any,
    batch_size: int | None,
    pool: bool,
    threads: int,
    skip_corrupt: bool,
    progress: bool | None,
    spec: PreprocessSpec,
) -> Array | Embeddings:
    """See Model.embed."""
    labelled = labelled_files(inputs)
    sources, rows, kept = collect(inputs if labelled is None else labelled.paths), [], []
    output, skipped = "pooled" if pool else "features", []  # type: tuple[str, list[Skipped]]
    for batch in _batches(model, sources, spec, batch_size, threads, skip_corrupt, progress, skipped, "embed"):
        rows.append(model._network.run(as_network_input(model, batch.images), spec.layout, [output], threads)[output])
        kept.extend(batch.indices)
    features = np.concatenate(rows) if rows else np.empty((0, model.num_features), np.float32)
    if not sources or not all(_is_path(s.value) for s in sources):
        return features
    paths = tuple(os.fspath(sources[i].value) for i in kept)
    if labelled is None:
        return Embeddings(features, paths, skipped=tuple(skipped))
    classes = np.array([labelled.labels[i] for i in kept], dtype=np.int64)
    return Embeddings(features, paths, classes, tuple(labelled.class_names), tuple(skipped))
