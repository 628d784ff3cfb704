"""Images to network input: decoding, exact resizing, normalisation, batches prepared ahead by threads.

An image is, in every function of this module:

- a path (JPEG, PNG, BMP or WebP; GIF, TIFF, AVIF and rarer kinds through Pillow if it is there) or the file as bytes;
- a PIL image of any mode;
- an array: uint8 in 0..255 or float in [0,1], shape (H,W), (H,W,1), (H,W,3) or (H,W,4), alpha is dropped.

Several images are a folder (searched recursively, natural order), an array (N,H,W,C), or any iterable of the above.
EXIF orientation is applied; 16-bit samples keep their high byte; grey is repeated to RGB.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._batches import Batch, BatchIterator, Interpolation, Layout, Mode, PreprocessSpec, Resampling, Skipped
from ._images import collect, load_rgb

__all__ = [
    "Batch",
    "BatchIterator",
    "ImageInfo",
    "PreprocessSpec",
    "Skipped",
    "iterate_batches",
    "list_images",
    "list_labelled_images",
    "preprocess",
    "read_image",
    "read_image_info",
    "resize",
]


class ImageInfo(NamedTuple):
    """What a file's header says; sizes as stored, before the EXIF orientation (1..8) turns them."""

    format: str
    height: int
    width: int
    orientation: int


def iterate_batches(
    inputs: Any,
    spec: PreprocessSpec,
    batch_size: int = 32,
    *,
    threads: int | None = None,
    skip_corrupt: bool = False,
    progress: bool | None = None,
    description: str = "images",
) -> BatchIterator:
    """Batches of preprocessed images, the next ones decoded by threads while the caller works on the last.

    Args:
        inputs: images as the module's docstring says.
        spec: how to preprocess.
        batch_size: images per batch; the last batch may be smaller.
        threads: that decode and resize; None: one per available processor, at most 8. Results do not depend on it.
        skip_corrupt: leave out files that cannot be read and list them in `.skipped` instead of raising.
        progress: show a progress bar on stderr; None: on a terminal or in a notebook, if it takes over a second.
        description: the progress bar's label.

    Returns:
        An iterator of :class:`Batch` with `.total`, `.skipped` and `.close()`. At most two batches wait ahead.

    Raises:
        ValueError: inputs that are no images (at once), files that are damaged (when their turn comes).
        OSError: files that cannot be read (when their turn comes).
    """
    if batch_size < 1:
        raise ValueError(f"[preprocess] expected batch_size of at least 1, got {batch_size}")
    if threads is not None and threads < 1:
        raise ValueError(f"[preprocess] expected threads of at least 1, got {threads}")
    return BatchIterator(
        collect(inputs), spec, batch_size, threads or min(8, _processors()), skip_corrupt, progress, description
    )


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def preprocess(
    images: Any,
    size: int | tuple[int, int] = 224,
    mode: Mode = "squash",
    interpolation: Interpolation = "bilinear",
    *,
    crop_pct: float = 0.875,
    resampling: Resampling = "pillow",
    layout: Layout = "nchw",
    threads: int | None = None,
    progress: bool | None = None,
) -> NDArray[np.float32]:
    """Network input for one or many images.

    Args:
        images: as the module's docstring says.
        size, mode, interpolation, crop_pct, resampling, layout: see :class:`PreprocessSpec`.
        threads, progress: see :func:`iterate_batches`.

    Returns:
        float32 (N,3,H,W), or (N,H,W,3) with layout="nhwc", in [-1,1]; N is 1 for one image. Bicubic resizing of float
        images may overshoot that range; 8-bit images are clipped as Pillow does.

    Raises:
        ValueError: arrays of another dtype, shape or range, damaged files, unknown options.
        OSError: files that cannot be read.

    Example:
        >>> import numpy as np
        >>> preprocess(np.zeros((480, 640, 3), np.uint8), size=224).shape
        (1, 3, 224, 224)
    """
    spec = PreprocessSpec(size, mode, interpolation, crop_pct, resampling, layout)
    with iterate_batches(images, spec, 8, threads=threads, progress=progress) as batches:
        result = np.empty(spec.shape(batches.total), np.float32)
        for batch in batches:
            result[batch.indices] = batch.images
    return result


def read_image(
    source: str | os.PathLike[str] | bytes, *, apply_orientation: bool = True, max_pixels: int = _core.MAX_IMAGE_PIXELS
) -> NDArray[np.uint8]:
    """Decodes an image file, or the bytes of one, to uint8 (H,W,3).

    Equal to `PIL.ImageOps.exif_transpose(PIL.Image.open(source)).convert("RGB")`, but for 16-bit grey, which keeps its
    high byte. Images of more than `max_pixels` are refused before anything is allocated.

    Raises:
        ValueError: not an image, truncated, damaged or too large.
        OSError: the file cannot be read.
    """
    return load_rgb(source, apply_orientation, max_pixels)


def read_image_info(path: str | os.PathLike[str]) -> ImageInfo:
    """Format, size and orientation of a JPEG, PNG, BMP or WebP file without decoding its pixels."""
    return ImageInfo(**_core.read_image_info(path))


def resize(
    image: NDArray[Any],
    size: int | tuple[int, int],
    interpolation: Interpolation = "bilinear",
    resampling: Resampling = "pillow",
) -> NDArray[Any]:
    """Resizes one array (H,W,3) to `size`, an int or (height, width).

    uint8 stays uint8 and equals Pillow's result, except with resampling="tf", which gives float32 in 0..255. Float
    arrays of any range give float32, nothing is clipped.
    """
    height, width = PreprocessSpec(size).sizes()
    pixels = np.ascontiguousarray(image)
    if pixels.dtype == np.uint8 and resampling != "tf":
        return _core.resize_image(pixels, height, width, interpolation, resampling)
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise ValueError(f"[resize] expected a uint8 or float array, got {pixels.dtype}")
    return _core.resize_float_image(pixels.astype(np.float32), height, width, interpolation, resampling)


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Image files below a folder by their suffix, recursively, in natural order ("img2" before "img10")."""
    return _core.list_images(folder)


def list_labelled_images(
    folder: str | os.PathLike[str], order: Literal["natural", "lexical"] = "natural"
) -> tuple[list[Path], list[int], list[str]]:
    """Paths, labels and class names of a folder with one subfolder per class.

    `order` numbers the classes: "natural" as timm ("2" before "10"), "lexical" as torchvision's ImageFolder.
    """
    return _core.list_labelled_images(folder, order)
