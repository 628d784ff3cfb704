# SPDX-License-Identifier: Apache-2.0
"""Images to network input: decoding, exact resizing, normalisation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.data.batches import batches_of, decoding_threads
from pybit.data.collection import ClassOrder, other_suffixes, read_collection
from pybit.data.inputs import collect, is_path
from pybit.data.options import (
    ImageOptions,
    Interpolation,
    Layout,
    Mode,
    PreprocessSpec,
    Resampling,
    check_max_pixels,
)
from pybit.data.sources import load_frames, load_info, load_rgb, read_file
from pybit.errors import ConfigError, ShapeError


class ImageInfo(NamedTuple):
    """What a file's header says; sizes as stored, before the orientation (1..8) turns them."""

    format: str
    height: int
    width: int
    orientation: int


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
    max_pixels: int | None = None,
) -> NDArray[np.float32]:
    """Network input for one or many images.

    Args:
        images: as `pybit.data` says.
        size, mode, interpolation, crop_pct, resampling, layout: see :class:`PreprocessSpec`.
        threads, progress, max_pixels: see :func:`iterate_batches`.

    Returns:
        float32 (N,3,H,W), or (N,H,W,3) with layout="nhwc", in [-1,1]; N is 1 for one image. Bicubic resizing of float
        images may overshoot that range; 8-bit images are clipped as Pillow does.

    Raises:
        ShapeError: arrays of another dtype, shape or range.
        ConfigError: unknown options. FormatError: damaged files.
        OSError: files that cannot be read.

    Example:
        >>> import numpy as np
        >>> preprocess(np.zeros((480, 640, 3), np.uint8), size=224).shape
        (1, 3, 224, 224)
    """
    spec = PreprocessSpec(size, mode, interpolation, crop_pct, resampling, layout)
    options = ImageOptions(spec, 8, decoding_threads(threads), progress=progress, max_pixels=max_pixels)
    found = collect(images)
    if found.report is not None:
        found.report.warn()
    with batches_of(found, options, "images") as batches:
        if found.total is None:
            return np.concatenate([np.empty(spec.shape(0), np.float32), *(batch.images for batch in batches)])
        result = np.empty(spec.shape(found.total), np.float32)
        for batch in batches:
            result[batch.indices] = batch.images
    return result


@overload
def read_image(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    apply_orientation: bool = True,
    max_pixels: int | None = None,
    frames: Literal["first"] = "first",
) -> NDArray[np.uint8]: ...


@overload
def read_image(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    apply_orientation: bool = True,
    max_pixels: int | None = None,
    frames: Literal["all"],
) -> list[NDArray[np.uint8]]: ...


def read_image(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    apply_orientation: bool = True,
    max_pixels: int | None = None,
    frames: Literal["first", "all"] = "first",
) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
    """Decode an image file, one opened for reading, or the bytes of one, to uint8 (H,W,3).

    Equal to `PIL.ImageOps.exif_transpose(PIL.Image.open(source)).convert("RGB")`, but for grey of more than 8 bits,
    which Pillow clips at 255: here it keeps its highest 8 bits. docs/images.md has the ranges of all kinds.

    Args:
        source: JPEG, PNG, BMP or WebP, or with Pillow what it reads; HEIC with pillow-heif.
        apply_orientation: turn the image upright, as EXIF or XMP says.
        max_pixels: larger images are refused before anything is allocated; None: BIT_MAX_PIXELS of the environment, or
            178,956,970.
        frames: "first" of an animation or a document, or "all" as a list of arrays; the limit is for all together.

    Raises:
        FormatError: not an image, truncated, damaged, outside its kind's range or too large.
        ConfigError: options that are none of these; a decoder that is not installed.
        OSError: the file cannot be read.
    """
    if frames not in ("first", "all"):
        raise ConfigError(f"[image] expected frames 'first' or 'all', got {frames!r}")
    check_max_pixels(max_pixels)
    if not is_path(source) and hasattr(source, "read"):
        source = read_file(source, "image data")
    if frames == "all":
        return load_frames(source, apply_orientation, max_pixels)
    return load_rgb(source, apply_orientation, max_pixels)


def read_image_info(path: str | os.PathLike[str], *, max_pixels: int | None = None) -> ImageInfo:
    """The format, size and orientation of an image file, without decoding its pixels.

    Raises OSError if the file cannot be read, FormatError if it is no image, damaged or larger than `max_pixels`, which
    is as in :func:`read_image`.
    """
    check_max_pixels(max_pixels)
    return ImageInfo(*load_info(path, max_pixels))


def resize(
    image: NDArray[Any],
    size: int | tuple[int, int],
    interpolation: Interpolation = "bilinear",
    resampling: Resampling = "pillow",
) -> NDArray[Any]:
    """Resize one array (H,W,3) to `size`, an int or (height, width).

    uint8 stays uint8 and equals Pillow's result, except with resampling="tf", which gives float32 in 0..255. Float
    arrays of any range give float32, nothing is clipped. Raises ShapeError for another shape or dtype, ConfigError for
    unknown options.
    """
    height, width = PreprocessSpec(size).sizes()
    pixels = np.ascontiguousarray(image)
    if pixels.dtype == np.uint8 and resampling != "tf":
        return _core.resize_image(pixels, height, width, interpolation, resampling)
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise ShapeError(f"[resize] expected a uint8 or float array, got {pixels.dtype}")
    return _core.resize_float_image(pixels.astype(np.float32), height, width, interpolation, resampling)


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files of :func:`read_collection`, in natural order of their paths ("img2" before "img10").

    Raises OSError if the folder cannot be read.
    """
    return _core.list_images(folder, other_suffixes())


def list_labelled_images(
    folder: str | os.PathLike[str], order: ClassOrder = "natural"
) -> tuple[list[Path], list[int], list[str]]:
    """Paths, labels and class names of a folder with one subfolder per class, all its splits together.

    `order` numbers the classes: "natural" as timm ("2" before "10"), "lexical" as torchvision's ImageFolder. Raises
    OSError if the folder cannot be read, ConfigError if its images have no classes and for another order.
    """
    found = read_collection(folder, order)
    labels = [label for label in found.labels if label is not None]
    if not found.class_names or len(labels) < len(found.paths):
        seen = f" ({found.report.summary})" if found.report.summary else ""
        raise ConfigError(
            f"[data] expected one subfolder per class in {os.fspath(folder)}, found {len(found.paths)} images without "
            f"classes{seen}"
        )
    return found.paths, labels, found.class_names
