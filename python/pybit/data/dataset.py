# SPDX-License-Identifier: Apache-2.0
"""The data set class of pybit.datasets, its batches, and few-shot selection."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.data.collection import Report
from pybit.data.options import Layout, Resampling
from pybit.data.sources import printable
from pybit.errors import ConfigError

Flip = Literal["random", "always", "never"]
FewShotRule = Literal["exact", "pytorch", "jax", "tf2"]
# The reference's TF2 and JAX pipelines look for few-shot examples in their shuffle buffer only.
_TF_BUFFER = 200_000


class LabelledBatch(NamedTuple):
    """Augmented images and what they show."""

    number: int
    """The number of the batch, counted from 0 through all epochs."""
    images: NDArray[np.float32]
    """The augmented images, float32 (n,3,crop,crop), or (n,crop,crop,3) with layout="nhwc", in [-1,1]."""
    labels: NDArray[np.int64]
    """The class of each image, (n,)."""
    indices: NDArray[np.int64]
    """The position of each image in the data set, (n,)."""


class SkippedExample(NamedTuple):
    """An image that could not be read and was left out of its batch."""

    batch: int
    """The number of the batch that it would have been in."""
    position: int
    """Its position in the data set."""
    name: str
    """Its path, or what messages call it."""
    reason: str
    """What was wrong with it."""


class BatchLoader(Iterator[LabelledBatch]):
    """Batches prepared ahead by threads; made by :meth:`Dataset.batches`. The threads end with this object.

    One thread at a time may iterate. Iterating raises FormatError for damaged images and OSError for files that cannot
    be read, when their batch's turn comes.
    """

    def __init__(self, loader: _core.BatchLoader) -> None:
        self._loader = loader
        # Threads that decode with Pillow must end while Python is still there for them.
        weakref.finalize(self, loader.stop)

    def __next__(self) -> LabelledBatch:
        batch = self._loader.next()
        if batch is None:
            raise StopIteration
        return LabelledBatch(*batch)

    @property
    def waited_seconds(self) -> float:
        """The seconds that the caller has waited for images so far."""
        return self._loader.waited_seconds

    @property
    def skipped(self) -> list[SkippedExample]:
        """The images left out so far; there are some only with skip_corrupt."""
        return [SkippedExample(*row) for row in self._loader.skipped]


class Dataset:
    """A fixed list of labelled images; made by :func:`open`. Immutable, usable by several threads at once."""

    def __init__(self, core: _core.Dataset, source: str, report: Report | None = None) -> None:
        self._core = core
        self._labels = core.labels
        self._labels.setflags(write=False)
        self.source = source
        """Where the images come from, for messages."""
        self.report = report
        """What was taken from the folder that the set is of, and what was left out; None for other sources."""

    @property
    def core(self) -> _core.Dataset:
        """The set as the extension module knows it."""
        return self._core

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each image, (n,), read-only."""
        return self._labels

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, by label."""
        return self._core.class_names

    @property
    def counts(self) -> dict[str, int]:
        """The number of images of each class, by its name."""
        return dict(zip(self.class_names, self._core.counts.tolist(), strict=True))

    @property
    def image_size(self) -> tuple[int, int]:
        """The (height, width) of the image with the median area among a sample of 101, which BiT-HyperRule asks for.

        Raises OSError or FormatError for images that cannot be read.
        """
        return self._core.typical_size()

    def __len__(self) -> int:
        return len(self._core)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        """Pixels (H,W,3), 0..255, and label of one image; a negative index counts from the end."""
        i = index + len(self) if index < 0 else index
        return self._core.image(i), int(self.labels[i])

    def __repr__(self) -> str:
        return f"<Dataset: {len(self)} images of {len(self.class_names)} classes from {self.source}>"

    def name(self, index: int) -> str:
        """The path of an image, or what messages call it. Raises IndexError for an index outside the set."""
        return self._core.name(index)

    def check_trainable(self) -> None:
        """Raise ConfigError if there are fewer than two classes or classes without images, which the message names."""
        self._core.check_trainable(printable(self.source))

    def subset(self, indices: Any) -> Dataset:
        """The images at `indices`, whole numbers (n,), with all classes of this set.

        `range(int(0.98 * len(d)))` gives the reference's train[:98%]. Raises ShapeError for an index outside the set.
        """
        return Dataset(self._core.subset(np.asarray(indices, np.int64)), self.source, self.report)

    def with_classes(self, class_names: Sequence[str]) -> Dataset:
        """The same images, their classes numbered by `class_names`, which may have more of them.

        Classes of this set without images may be missing. Raises ConfigError, with its name, for another that is, and
        for a class of this set that is there more than once.
        """
        number = {name: i for i, name in enumerate(class_names)}
        missing = [name for name, images in self.counts.items() if images and name not in number]
        if missing:
            raise ConfigError(
                f"[data] expected the classes of {printable(self.source)} among the {len(number)} given, got also "
                f"'{missing[0]}'"
            )
        double = [name for name in self.class_names if list(class_names).count(name) > 1]
        if double:
            raise ConfigError(f"[data] expected each class once, got '{double[0]}' more than once")
        numbers = np.array([number.get(name, 0) for name in self.class_names], np.int64)
        return Dataset(self._core.relabelled(numbers, list(class_names)), self.source, self.report)

    def split(self, fraction: float, seed: int = 0) -> Splits:
        """Split off `fraction` of each class for validation, at least one image where it has two, by the seed.

        `fraction` lies in [0, 1); the validation set is empty for 0. Raises ConfigError for another fraction.
        """
        return splits_of(self._core.split(fraction, seed), self.source, self.report)

    def few_shot(self, per_class: int, seed: int = 0, rule: FewShotRule = "exact") -> Dataset:
        """`per_class` images of each class.

        Args:
            per_class: how many.
            seed: chooses which.
            rule: "exact" makes every choice equally likely; "jax" and "tf2" choose what the reference's
                `--examples_per_class_seed` chooses (NumPy's legacy generator, first 200,000 images only); "pytorch"
                chooses as bit_pytorch does, the last ones seen on a random walk, but by the seed.

        Raises:
            ConfigError: another rule, or classes with fewer images, with their names and counts.
        """
        labels, classes = self.labels, self.class_names
        if rule in ("exact", "pytorch"):
            return self.subset(_core.few_shot(labels, classes, per_class, seed, rule == "pytorch"))
        if rule not in ("jax", "tf2"):
            raise ConfigError(f"[few_shot] expected rule 'exact', 'pytorch', 'jax' or 'tf2', got '{rule}'")
        seen = labels[:_TF_BUFFER]
        _core.few_shot(seen, classes, per_class, seed, False)  # its checks, with names and counts
        random = np.random.RandomState(seed)
        return self.subset(
            np.concatenate(
                [random.choice(np.flatnonzero(seen == c), per_class, replace=False) for c in range(len(classes))]
            )
        )

    def batches(
        self,
        batch_size: int,
        *,
        resize: int,
        crop: int,
        seed: int = 0,
        first: int = 0,
        last: int | None = None,
        flip: Flip = "random",
        carry_over: bool = False,
        resampling: Resampling = "pillow",
        layout: Layout = "nchw",
        threads: int = 0,
        prefetch: int = 2,
        skip_corrupt: bool = False,
    ) -> BatchLoader:
        """Training batches: epochs in a random order, images squashed, cropped at random and perhaps mirrored.

        Args:
            batch_size: images per batch; one larger than the set draws with replacement unless carry_over.
            resize, crop: side lengths in pixels, `hyper_rule(...).resolution`.
            seed: of order and augmentation.
            first, last: numbers of the first batch and of the one after the last; None: one epoch.
            flip: "random" mirrors every second image, "always" as bit_jax and bit_tf2 do, "never".
            carry_over: batches go on with the next epoch (bit_jax, bit_tf2); else an epoch's last batch is smaller.
            resampling: "pillow", "pillow12" or "tf" (bit_jax, bit_tf2), as in pybit.PreprocessSpec.
            layout: "nchw" or "nhwc".
            threads: that decode; 0: one per processor, at most 8. Results do not depend on it.
            prefetch: batches prepared ahead, within 512 MB.
            skip_corrupt: leave out images that cannot be read and list them in `.skipped` instead of raising.

        Raises:
            ConfigError: options that are none of these.
            FormatError: damaged images, when their batch's turn comes, with their path.
            OSError: images that cannot be read, in the same way.
        """
        sampler = _core.Sampler(
            examples=len(self),
            batch_size=batch_size,
            seed=seed,
            order="shuffled",
            epoch_end="carry_over" if carry_over else "short_batch",
        )
        augmentation = _core.Augmentation(resize=resize, crop=crop, flip=flip, resampling=resampling, layout=layout)
        last = first + sampler.batches_per_epoch if last is None else last
        return self._loader(
            sampler,
            augmentation,
            seed=seed,
            first=first,
            last=last,
            threads=threads,
            prefetch=prefetch,
            skip_corrupt=skip_corrupt,
        )

    def evaluation_batches(
        self,
        batch_size: int,
        *,
        crop: int,
        resampling: Resampling = "pillow",
        layout: Layout = "nchw",
        threads: int = 0,
        prefetch: int = 2,
        skip_corrupt: bool = False,
    ) -> BatchLoader:
        """All images in order, squashed to crop x crop as the reference evaluates; arguments as in :meth:`batches`."""
        sampler = _core.Sampler(
            examples=len(self), batch_size=batch_size, seed=0, order="sequential", epoch_end="short_batch"
        )
        augmentation = _core.Augmentation(resize=crop, crop=crop, flip="never", resampling=resampling, layout=layout)
        return self._loader(
            sampler,
            augmentation,
            seed=0,
            first=0,
            last=sampler.batches_per_epoch,
            threads=threads,
            prefetch=prefetch,
            skip_corrupt=skip_corrupt,
        )

    def _loader(self, sampler: _core.Sampler, augmentation: _core.Augmentation, **how: Any) -> BatchLoader:
        return BatchLoader(_core.BatchLoader(self._core, sampler, augmentation, **how))


class Splits(NamedTuple):
    """A training set and what to measure it on."""

    train: Dataset
    validation: Dataset


def splits_of(pair: tuple[_core.Dataset, _core.Dataset], source: str, report: Report | None = None) -> Splits:
    """Both sets of a pair that the extension module made; `source` says in messages where they come from."""
    return Splits(Dataset(pair[0], source, report), Dataset(pair[1], source, report))
