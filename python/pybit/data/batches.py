# SPDX-License-Identifier: Apache-2.0
"""Images in batches: the iterator that prepares the next ones ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.base.progress import progress_bar
from pybit.data.inputs import Inputs, collect, is_path
from pybit.data.options import ImageOptions, PreprocessSpec
from pybit.data.sources import Source, fill, prepare
from pybit.errors import ConfigError, FormatError

if TYPE_CHECKING:  # imported when first used: it takes longer than the rest of this package
    from concurrent.futures import Future, ThreadPoolExecutor


class Batch(NamedTuple):
    """Preprocessed images and which inputs they are."""

    images: NDArray[np.float32]
    """The images, float32 (n,3,H,W) or (n,H,W,3) by the spec's layout, in [-1,1]."""
    indices: list[int]
    """The position of each image among the inputs, increasing."""
    names: list[str]
    """The path of each image, or "image 3" for arrays and PIL images."""


class Skipped(NamedTuple):
    """An input that could not be read and was left out."""

    path: str
    """The path of the input, or "image 3" for arrays and PIL images."""
    reason: str
    """What was wrong with it."""
    position: int
    """Its position among the inputs."""


def _load(
    source: Source, spec: PreprocessSpec, core_spec: _core.PreprocessSpec, max_pixels: int | None
) -> NDArray[np.float32]:
    out = np.empty(spec.shape(1)[1:], np.float32)
    fill(source, core_spec, out, max_pixels)
    return out


class BatchIterator(Iterator[Batch]):
    """Batches in input order, prepared ahead by threads; made by :func:`iterate_batches`.

    Use it in a for loop or as a context manager; threads end with the last batch, with an exception and with close().
    One thread at a time may use the iterator. Iterating raises OSError for files that cannot be read and FormatError
    for damaged ones, when their turn comes.
    """

    total: int | None
    """The number of inputs; None for a stream, whose images come into being while they are asked for."""
    skipped: list[Skipped]
    """The inputs left out so far; the list grows only with skip_corrupt."""

    paths: list[str | None]
    """The path of each image of the batch that was handed out last; None for images in memory."""

    def __init__(self, inputs: Inputs, options: ImageOptions, description: str) -> None:
        self.total = inputs.total
        self.skipped = []
        self.paths = []
        self._sources: Iterator[Source] | None = iter(inputs)
        self._stream_error: Exception | None = None
        self._spec = options.preprocessing
        self._core_spec = self._spec.core()
        from concurrent.futures import ThreadPoolExecutor

        threads = options.threads or min(8, _processors())
        self._batch_size = 32 if options.batch_size is None else options.batch_size
        self._skip_corrupt = options.skip_corrupt
        self._max_pixels = options.max_pixels
        self._ahead = max(2 * self._batch_size, threads)
        self._taken = 0
        self._waiting: deque[tuple[Source, Future[NDArray[np.float32]]]] = deque()
        # One image is not worth a thread.
        few = self.total is not None and self.total <= 1
        self._pool = None if few else ThreadPoolExecutor(threads, "pybit-images")
        self._bar = progress_bar(self.total, options.progress, description)

    def __next__(self) -> Batch:
        try:
            return self._next()
        except BaseException:  # also KeyboardInterrupt and the end
            self.close()
            raise

    def __enter__(self) -> BatchIterator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Garbage may be collected in one of the threads, which must not wait for itself.
        pool: ThreadPoolExecutor | None = getattr(self, "_pool", None)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End the threads and wait for them; images that were not handed out are dropped."""
        self._sources = self._stream_error = None
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._bar.close()

    def _draw(self) -> Source | None:
        """The next input; None at the end. An error of the stream itself waits until what came before is handed out."""
        if self._sources is None:
            return None
        try:
            return next(self._sources)
        except StopIteration:
            pass
        except Exception as error:
            self._stream_error = error
        self._sources = None
        return None

    def _start(self) -> None:
        """Hands images to the threads until enough are on their way."""
        from concurrent.futures import Future

        while len(self._waiting) < self._ahead and (source := self._draw()) is not None:
            future: Future[NDArray[np.float32]] = Future()
            try:
                # PIL images and opened files are read here: one may come twice, and they are not thread-safe.
                value = prepare(source)
                # The threads must not hold this iterator, or dropping it could not end them.
                if self._pool is None:
                    future.set_result(_load(value, self._spec, self._core_spec, self._max_pixels))
                else:
                    future = self._pool.submit(_load, value, self._spec, self._core_spec, self._max_pixels)
            except Exception as error:
                future.set_exception(error)
            kept = source.value if is_path(source.value) else None  # pixels are with the threads
            self._waiting.append((Source(source.name, kept), future))

    def _next(self) -> Batch:
        images: list[NDArray[np.float32]] = []
        indices: list[int] = []
        taken: list[Source] = []
        while len(images) < self._batch_size:
            self._start()
            if not self._waiting:
                break
            source, future = self._waiting.popleft()
            try:
                images.append(future.result())
                indices.append(self._taken)
                taken.append(source)
            except (OSError, FormatError) as error:
                if not self._skip_corrupt:
                    if not images:
                        raise
                    self._waiting.appendleft((source, future))  # raises at the next call, after what came before it
                    break
                self.skipped.append(Skipped(source.name, str(error), self._taken))
            self._taken += 1
            self._bar.update(1)
        self._start()
        if not images:
            if self._stream_error is not None:
                raise self._stream_error
            raise StopIteration
        self.paths = [None if s.value is None else os.fspath(s.value) for s in taken]
        return Batch(np.stack(images), indices, [s.name for s in taken])


def iterate_batches(
    inputs: Any,
    spec: PreprocessSpec,
    batch_size: int = 32,
    *,
    threads: int | None = None,
    skip_corrupt: bool = False,
    progress: bool | None = None,
    description: str = "images",
    max_pixels: int | None = None,
) -> BatchIterator:
    """Batches of preprocessed images, the next ones decoded by threads while the caller works on the last.

    A stream (a generator, a video's frames) is asked for a few batches at a time, in the calling thread. A UserWarning
    says what was left out of folders.

    Args:
        inputs: images as `pybit.data` says.
        spec: how to preprocess.
        batch_size: images per batch; the last batch may be smaller.
        threads: that decode and resize; None: one per available processor, at most 8. Results do not depend on it.
        skip_corrupt: leave out files that cannot be read and list them in `.skipped` instead of raising.
        progress: show a progress bar on stderr; None: on a terminal or in a notebook, if it takes over a second.
        description: the progress bar's label.
        max_pixels: larger images are refused; None: BIT_MAX_PIXELS of the environment, or 178,956,970.

    Returns:
        An iterator of :class:`Batch` with `.total`, `.skipped`, `.paths` and `.close()`. Two batches wait ahead.

    Raises:
        ConfigError, ShapeError: options or inputs that are none (at once).
        FormatError: files that are damaged (when their turn comes), a folder without images (at once).
        OSError: files that cannot be read (when their turn comes).
    """
    options = ImageOptions(spec, batch_size, decoding_threads(threads), skip_corrupt, progress, max_pixels)
    found = collect(inputs)
    if found.report is not None:
        found.report.warn()
    return batches_of(found, options, description)


def decoding_threads(threads: int | None) -> int:
    """A `threads` argument of this module, None or at least 1, as `ImageOptions` has it. Raises ConfigError."""
    if threads is not None and threads < 1:
        raise ConfigError(f"[preprocess] expected threads of at least 1, got {threads}")
    return threads or 0


def batches_of(inputs: Inputs, options: ImageOptions, description: str) -> BatchIterator:
    """`iterate_batches` of images that were collected, and so checked, before."""
    return BatchIterator(inputs, options, description)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux has it; macOS does not
        return os.cpu_count() or 1
