# SPDX-License-Identifier: Apache-2.0
"""One image that is not read yet to pixels: files, bytes, PIL images and arrays to uint8 or float32 (H,W,3)."""

from __future__ import annotations

import inspect
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.errors import ConfigError, FormatError, ShapeError

if TYPE_CHECKING:
    from PIL.Image import Image


class Source(NamedTuple):
    """One image that is not read yet: a path, an opened file, bytes, a PIL image or a checked array (H,W,3)."""

    name: str
    value: Any


def printable(path: str) -> str:
    r"""A path as text that every encoding has room for: bytes that are not UTF-8 become escapes such as \xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def prepare(source: Source) -> Source:
    """The source with a PIL image turned into an array and an opened file into bytes.

    The calling thread alone may use that image or file meanwhile. Raises OSError for a file that cannot be read.
    """
    if not _is_path(source.value) and hasattr(source.value, "read"):
        return Source(source.name, read_file(source.value, source.name))
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


class ImageReader:
    """Pixels of images that were collected: what a data set calls for those that it does not read itself."""

    def __init__(self, images: list[Source]) -> None:
        self._images = images

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Pixels (H,W,3) of one image; threads may call it at the same time. Raises as `pybit.data.read_image`."""
        name, value = self._images[index]
        if isinstance(value, np.ndarray):
            return value
        return load_rgb(value, True, _core.MAX_IMAGE_PIXELS, name)


def read_file(file: Any, name: str) -> bytes:
    """All bytes of a file that was opened for reading, from its start, as Pillow reads it.

    `file` is anything with read(), also an upload that is read in the background, of which `.file` is taken. Raises
    ConfigError for a file that is closed or was opened as text, OSError if it cannot be read.
    """
    if inspect.iscoroutinefunction(file.read):
        file = getattr(file, "file", None)
        if file is None:
            raise ConfigError(f"[image] {name}: its read() has to be awaited: pass `await file.read()`")
    try:
        if hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable()):
            file.seek(0)
        data = file.read()
    except ValueError as error:  # what Python's own files say where they are closed or of another kind
        raise ConfigError(f"[image] {name}: cannot be read: {error}") from None
    if isinstance(data, str):
        raise ConfigError(f'[image] {name}: expected a file of bytes, got one of text: open it with mode "rb"')
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ConfigError(f"[image] {name}: expected read() to return bytes, got {type(data).__name__}")
    return bytes(data)


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _is_pil(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


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
    """True for all but our own formats, and of these for animated WebP and run-length coded bitmaps.

    What else we refuse of our own formats is damaged.
    """
    if _is_path(source):
        if not os.path.isfile(source):  # a pipe can be read once only
            return False
        with open(source, "rb") as file:
            head = file.read(34)
    else:
        head = bytes(source[:34])
    webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    return (
        not (webp or head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")))
        or (webp and head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 2 != 0)
        or (head[:2] == b"BM" and head[30:31] in (b"\1", b"\2"))
    )
