"""How images become batches: the options of preprocessing and the iterator that prepares ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._images import Source, fill, prepare
from ._progress import progress_bar

if TYPE_CHECKING:  # imported when first used: it takes longer than the rest of this package
    from concurrent.futures import Future, ThreadPoolExecutor

Mode = Literal["squash", "center_crop"]
Interpolation = Literal["bilinear", "bicubic"]
Resampling = Literal["pillow", "pillow12", "tf"]
Layout = Literal["nchw", "nhwc"]


@dataclass(frozen=True)
class PreprocessSpec:
    """How images become network input; values outside [-1,1] cannot come out of 8-bit images.

    Args:
        size: height and width of the result, or one number for both.
        mode: "squash" resizes to `size` whatever the aspect (bit_pytorch, bit_tf2, bit_jax); "center_crop" resizes the
            shortest edge to floor(size / crop_pct) and cuts the centre (timm, transformers).
        interpolation: "bilinear" or "bicubic".
        crop_pct: only for "center_crop": kept part of the resized shortest edge, in (0,1].
        resampling: "pillow" equals Image.resize of Pillow 13 and later bit for bit, "pillow12" that of Pillow up to 12
            (it rounds between the passes in another order), "tf" equals tf.image.resize without antialiasing.
        layout: "nchw" or "nhwc", the memory order of batches.

    Raises:
        ValueError: an option that is none of these.
    """

    size: int | tuple[int, int] = 224
    mode: Mode = "squash"
    interpolation: Interpolation = "bilinear"
    crop_pct: float = 0.875
    resampling: Resampling = "pillow"
    layout: Layout = "nchw"

    def __post_init__(self) -> None:
        self.core()

    @property
    def height(self) -> int:
        """Rows of the result."""
        return self.sizes()[0]

    @property
    def width(self) -> int:
        """Columns of the result."""
        return self.sizes()[1]

    def shape(self, n: int) -> tuple[int, int, int, int]:
        """Shape of a batch of `n` images."""
        height, width = self.sizes()
        return (n, 3, height, width) if self.layout == "nchw" else (n, height, width, 3)

    def core(self) -> _core.PreprocessSpec:
        """The checked options as the extension module takes them."""
        height, width = self.sizes()
        return _core.PreprocessSpec(
            height=height,
            width=width,
            mode=self.mode,
            crop_pct=self.crop_pct,
            interpolation=self.interpolation,
            resampling=self.resampling,
            layout=self.layout,
        )

    def sizes(self) -> tuple[int, int]:
        """Height and width of the result."""
        sizes = self.size if isinstance(self.size, (tuple, list)) else (self.size, self.size)
        if len(sizes) != 2 or not all(isinstance(s, (int, np.integer)) and s > 0 for s in sizes):
            raise ValueError(f"[preprocess] expected size as a positive int or (height, width), got {self.size!r}")
        return int(sizes[0]), int(sizes[1])


class Batch(NamedTuple):
    """Preprocessed images and which inputs they are."""

    images: NDArray[np.float32]
    """(n,3,H,W) or (n,H,W,3), in [-1,1]."""
    indices: list[int]
    """Position of each image among the inputs, increasing."""
    names: list[str]
    """Path of each image, or "image 3" for arrays and PIL images."""


class Skipped(NamedTuple):
    """An input that could not be read and was left out."""

    path: str
    """Its path, or "image 3"."""
    reason: str
    position: int
    """Among the inputs."""


def _load(source: Source, spec: PreprocessSpec, core_spec: _core.PreprocessSpec) -> NDArray[np.float32]:
    out = np.empty(spec.shape(1)[1:], np.float32)
    fill(source, core_spec, out)
    return out


class BatchIterator(Iterator[Batch]):
    """Batches in input order, prepared ahead by threads; made by :func:`iterate_batches`.

    Use it in a for loop or as a context manager; threads end with the last batch, with an exception and with close().
    """

    total: int
    """Number of inputs."""
    skipped: list[Skipped]
    """Inputs left out so far; grows only with skip_corrupt."""

    def __init__(
        self,
        sources: list[Source],
        spec: PreprocessSpec,
        batch_size: int,
        threads: int,
        skip_corrupt: bool,
        progress: bool | None,
        description: str,
    ) -> None:
        self.total = len(sources)
        self.skipped = []
        self._sources = sources
        self._spec = spec
        self._core_spec = spec.core()
        from concurrent.futures import ThreadPoolExecutor

        self._batch_size = batch_size
        self._skip_corrupt = skip_corrupt
        self._ahead = max(2 * batch_size, threads)
        self._started = 0
        self._taken = 0
        self._waiting: deque[Future[NDArray[np.float32]]] = deque()
        # One image is not worth a thread.
        self._pool = ThreadPoolExecutor(threads, "pybit-images") if self.total > 1 else None
        self._bar = progress_bar(self.total, progress, description)

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
        """Ends the threads and waits for them; images not handed out yet are dropped."""
        self._taken = self._started = self.total
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._bar.close()

    def _start(self) -> None:
        """Hands images to the threads until enough are on their way."""
        from concurrent.futures import Future

        while self._started < self.total and len(self._waiting) < self._ahead:
            source = self._sources[self._started]
            self._started += 1
            future: Future[NDArray[np.float32]] = Future()
            try:
                # PIL images are read here: one may stand in the list twice, and PIL's loading is not thread-safe.
                value = prepare(source)
                # The threads must not hold this iterator, or dropping it could not end them.
                if self._pool is None:
                    future.set_result(_load(value, self._spec, self._core_spec))
                else:
                    future = self._pool.submit(_load, value, self._spec, self._core_spec)
            except Exception as error:
                future.set_exception(error)
            self._waiting.append(future)

    def _next(self) -> Batch:
        images: list[NDArray[np.float32]] = []
        indices: list[int] = []
        while self._taken < self.total and len(images) < self._batch_size:
            self._start()
            index = self._taken
            future = self._waiting.popleft()
            try:
                images.append(future.result())
                indices.append(index)
            except (OSError, _core.FormatError) as error:
                if not self._skip_corrupt:
                    raise
                self.skipped.append(Skipped(self._sources[index].name, str(error), index))
            self._taken += 1
            self._bar.update(1)
        self._start()
        if not images:
            raise StopIteration
        return Batch(np.stack(images), indices, [self._sources[i].name for i in indices])
