# SPDX-License-Identifier: Apache-2.0
"""What counts as an image: inputs of every kind to uint8 or float32 arrays (H,W,3)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.errors import ConfigError, FormatError, ShapeError

if TYPE_CHECKING:
    from PIL.Image import Image

_ACCEPTED = "a path, a folder, encoded bytes, a PIL image, or a uint8 or float array of shape (H,W,3)"


class Source(NamedTuple):
    """One image that is not read yet: a path, bytes, a PIL image or a checked array (H,W,3)."""

    name: str
    value: Any


def collect(inputs: Any) -> list[Source]:
    """The images that `inputs` stands for, in order; no file is opened.

    `inputs`: an image or several, as `pybit.data` says. Raises ConfigError for other types, ShapeError for arrays of
    another shape, dtype or range, FormatError for a folder without images.
    """
    found: list[Any] = []
    _flatten(inputs, found)
    return [Source(os.fspath(v) if _is_path(v) else f"image {i}", v) for i, v in enumerate(found)]


def prepare(source: Source) -> Source:
    """The source with a PIL image turned into an array; the calling thread alone may use that image meanwhile."""
    if _is_pil(source.value):
        return Source(source.name, _from_pil(source.value))
    return source


def fill(source: Source, spec: _core.PreprocessSpec, out: NDArray[np.float32]) -> None:
    """Preprocess one source that `prepare` has seen into `out`, float32 of the spec's shape (3,H,W) or (H,W,3).

    Threads may call it at the same time. Raises OSError or FormatError for a file that cannot be read.
    """
    value = source.value
    if _is_path(value):
        try:
            _core.preprocess_file(value, spec, out)
            return
        except (FormatError, ConfigError) as error:
            value = _with_pillow(value, error, True, _core.MAX_IMAGE_PIXELS)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        value = load_rgb(value, True, _core.MAX_IMAGE_PIXELS, source.name)
    _core.preprocess_array(value, spec, out)


def load_rgb(source: Any, apply_orientation: bool, max_pixels: int, name: str = "image data") -> NDArray[np.uint8]:
    """Decode a path or bytes, called `name` in messages, to uint8 pixels (H,W,3); see `pybit.data.read_image`."""
    try:
        if _is_path(source):
            return _core.read_image(source, apply_orientation, max_pixels)
        return _core.decode_image(source, apply_orientation, max_pixels, name)
    except (FormatError, ConfigError) as error:
        return _with_pillow(source, error, apply_orientation, max_pixels)


def _flatten(value: Any, found: list[Any]) -> None:
    if _is_path(value):
        if os.path.isdir(value):
            images = _core.list_images(value)
            if not images:
                raise FormatError(f"[image] expected image files in folder {os.fspath(value)}, found none")
            found.extend(images)
        else:
            found.append(value)
    elif isinstance(value, (bytes, bytearray, memoryview)) or _is_pil(value):
        found.append(value)
    elif hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        array = np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
        if array.ndim == 1 and array.dtype.kind in "UO":  # an array or a table's column of paths or images
            _flatten(array.tolist(), found)
        else:
            found.extend(_from_array(array))
    elif isinstance(value, Iterable):
        for item in value:
            _flatten(item, found)
    else:
        raise ConfigError(f"[image] expected {_ACCEPTED}, or several of these, got {type(value).__name__}")


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _is_pil(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def _from_array(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Checks an image (H,W[,C]) or a batch (N,H,W,C) and brings it to contiguous uint8 or float32 (H,W,3)."""
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        hint = "; 16-bit samples: pass (a >> 8).astype(np.uint8)" if array.dtype == np.uint16 else ""
        raise ShapeError(f"[image] expected dtype uint8 (0..255) or float ([0,1]), got {array.dtype}{hint}")
    shape = array.shape
    if array.ndim not in (2, 3, 4) or (array.ndim > 2 and shape[-1] not in (1, 3, 4)):
        hint = "; move the channels to the last axis" if array.ndim > 2 and shape[-3] in (1, 3, 4) else ""
        raise ShapeError(
            f"[image] expected shape (H,W), (H,W,C) or (N,H,W,C) with 1, 3 or 4 channels C, got {shape}{hint}"
        )
    batch = array if array.ndim == 4 else array[None] if array.ndim == 3 else array[None, :, :, None]
    if 0 in batch.shape[1:]:
        raise ShapeError(f"[image] expected images of at least 1 x 1 pixels, got shape {shape}")
    if batch.shape[-1] == 1:
        batch = np.broadcast_to(batch, (*batch.shape[:3], 3))
    images = [np.ascontiguousarray(image[..., :3]) for image in batch]
    return images if array.dtype == np.uint8 else [_checked_float(image) for image in images]


def _checked_float(image: NDArray[Any]) -> NDArray[np.float32]:
    low, high = float(image.min()), float(image.max())
    # Half a step of bfloat16 at 1 is rounding, not another range; NaN fails the comparison.
    if not (low >= -0.002 and high <= 1.002):
        raise ShapeError(
            f"[image] expected float pixels in [0,1], got {low:g}..{high:g}: divide by 255 or pass uint8; "
            "images that are already normalised go to the model itself"
        )
    return image.astype(np.float32)


def _from_pil(image: Image) -> NDArray[np.uint8]:
    from PIL import ImageOps

    return _rgb_of(ImageOps.exif_transpose(image))


def _rgb_of(image: Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16-bit grey, in some modes kept in 32 bits
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > 65535:
            raise ShapeError(f"[image] expected samples in 0..65535 in PIL mode {image.mode}: convert it to L first")
        grey = (samples >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise ShapeError("[image] PIL mode F has no fixed range: pass np.asarray(image) scaled to [0,1]")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # Pillow would warn that the palette's transparency is lost: alpha is dropped on purpose.
        image = image.copy()
        del image.info["transparency"]
    return np.asarray(image.convert("RGB"))


def _with_pillow(source: Any, error: ValueError, apply_orientation: bool, max_pixels: int) -> NDArray[np.uint8]:
    """Decodes what this build cannot, if Pillow can; otherwise raises `error`."""
    if isinstance(error, FormatError) and not _only_pillow_reads(source):
        raise error
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise type(error)(f"{error}; pip install big-transfer[images] for Pillow, which reads more formats") from None
    import io

    try:
        with Image.open(source if _is_path(source) else io.BytesIO(source)) as image:
            if image.width * image.height > max_pixels:
                raise FormatError(f"[image] {image.width} x {image.height} pixels exceed max_pixels = {max_pixels}")
            return _rgb_of(ImageOps.exif_transpose(image) if apply_orientation else image)
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as problem:
        raise FormatError(f"{error}; Pillow: {problem}") from None


def _only_pillow_reads(source: Any) -> bool:
    """True for GIF, TIFF, AVIF, animated WebP and run-length coded bitmaps; all else that we refuse is damaged."""
    if _is_path(source):
        if not os.path.isfile(source):  # a pipe can be read once only
            return False
        with open(source, "rb") as file:
            head = file.read(34)
    else:
        head = bytes(source[:34])
    return (
        head.startswith((b"GIF8", b"II*\0", b"MM\0*"))
        or head[4:8] == b"ftyp"
        or (head[8:16] == b"WEBPVP8X" and len(head) > 20 and head[20] & 2 != 0)
        or (head[:2] == b"BM" and head[30:31] in (b"\1", b"\2"))
    )
