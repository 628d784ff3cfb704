# SPDX-License-Identifier: Apache-2.0
"""One image that is not read yet to pixels: files, bytes, PIL images and arrays to uint8 or float32 (H,W,3)."""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.data import pillow
from pybit.errors import ConfigError, FormatError


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
        return Source(source.name, pillow.from_pil(source.value, source.name))
    return source


def fill(source: Source, spec: _core.PreprocessSpec, out: NDArray[np.float32], max_pixels: int | None = None) -> None:
    """Preprocess one source that `prepare` has seen into `out`, float32 of the spec's shape (3,H,W) or (H,W,3).

    Threads may call it at the same time. Raises OSError or FormatError for a file that cannot be read.
    """
    value = source.value
    if _is_path(value):
        try:
            _core.preprocess_file(value, max_pixels, spec, out)
            return
        except (FormatError, ConfigError) as error:
            value = _with_pillow(value, source.name, error, True, max_pixels)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        value = load_rgb(value, True, max_pixels, source.name)
    _core.preprocess_array(value, spec, out)


def load_rgb(
    source: Any, apply_orientation: bool = True, max_pixels: int | None = None, name: str | None = None
) -> NDArray[np.uint8]:
    """Decode a path or bytes to uint8 pixels (H,W,3): the one way from a file to pixels, see `pybit.data.read_image`.

    `name` stands in messages; None: the path. `max_pixels` is None for the limit of the environment. Threads may call
    it at the same time.
    """
    try:
        if _is_path(source):
            return _core.read_image(source, apply_orientation, max_pixels)
        return _core.decode_image(source, apply_orientation, max_pixels, name or "image data")
    except (FormatError, ConfigError) as error:
        return _with_pillow(source, name or name_of(source), error, apply_orientation, max_pixels)


def load_frames(
    source: Any, apply_orientation: bool, max_pixels: int | None, name: str | None = None
) -> list[NDArray[np.uint8]]:
    """All frames of a path or bytes, each as `load_rgb` gives it; one of what has no more."""
    if not _may_have_frames(source):
        return [load_rgb(source, apply_orientation, max_pixels, name)]
    return pillow.decode_all(source, name or name_of(source), apply_orientation, max_pixels)


def load_info(source: Any, max_pixels: int | None) -> tuple[str, int, int, int]:
    """Format, height and width as stored, and orientation of a path, by its header."""
    try:
        found = _core.read_image_info(source, max_pixels)
        return found["format"], found["height"], found["width"], found["orientation"]
    except (FormatError, ConfigError) as error:
        if isinstance(error, FormatError) and not _only_pillow_reads(source):
            raise
        return pillow.info(source, name_of(source), error, max_pixels)


def name_of(source: Any) -> str:
    """What messages call a path or bytes."""
    return printable(os.fspath(source)) if _is_path(source) else "image data"


def _with_pillow(
    source: Any, name: str, error: ValueError, apply_orientation: bool, max_pixels: int | None
) -> NDArray[np.uint8]:
    """Decodes what this build cannot, if Pillow can; otherwise raises `error`."""
    if isinstance(error, FormatError) and not _only_pillow_reads(source):
        raise error
    return pillow.decode(source, name, error, apply_orientation, max_pixels)


class ImageReader:
    """Pixels of images that were collected: what a data set calls for those that it does not read itself."""

    def __init__(self, images: list[Source], max_pixels: int | None = None) -> None:
        self._images = images
        self._max_pixels = max_pixels

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Pixels (H,W,3) of one image; threads may call it at the same time. Raises as `pybit.data.read_image`."""
        name, value = self._images[index]
        if isinstance(value, np.ndarray):
            return value
        return load_rgb(value, True, self._max_pixels, name)


class FileReader:
    """Pixels of files that the extension module does not read: what its data sets call for these."""

    def __init__(self, max_pixels: int | None) -> None:
        self._max_pixels = max_pixels

    def __call__(self, path: str | os.PathLike[str]) -> NDArray[np.uint8]:
        """Pixels (H,W,3) of one file; threads may call it at the same time. Raises as `pybit.data.read_image`."""
        return load_rgb(path, True, self._max_pixels)


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


def _only_pillow_reads(source: Any) -> bool:
    """True for all but our own formats, and of these for animated WebP and run-length coded bitmaps.

    What else we refuse of our own formats is damaged.
    """
    head = _head(source, 34)
    webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    return (
        not (webp or head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")))
        or (webp and _is_animated_webp(head))
        or (head[:2] == b"BM" and head[30:31] in (b"\1", b"\2"))
    )


def _may_have_frames(source: Any) -> bool:
    """False for files of one frame: JPEG, whose other images are previews, BMP, and PNG and WebP without animation."""
    head = _head(source, 1 << 16)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"acTL" in head.partition(b"IDAT")[0]
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _is_animated_webp(head)
    return not head.startswith((b"\xff\xd8\xff", b"BM"))


def _is_animated_webp(head: bytes) -> bool:
    return head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 2 != 0


def _head(source: Any, size: int) -> bytes:
    """The first bytes of a path or bytes; none of a pipe, which can be read once only."""
    if not _is_path(source):
        return bytes(source[:size])
    if not os.path.isfile(source):
        return b""
    with open(source, "rb") as file:
        return file.read(size)
