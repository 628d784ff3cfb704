# SPDX-License-Identifier: Apache-2.0
"""Images that Pillow decodes for us: formats that only it reads, animations, and PIL images, to uint8 (H,W,3)."""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pybit import _core
from pybit.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from PIL.Image import Image

# ISO/IEC 23008-12 (HEIF) and AV1 Image File Format: the brands of still images and sequences.
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_AVIF = (b"avif", b"avis")
_EXTRAS = {
    "Pillow": "`pip install pillow` (the extra `images`) reads more formats",
    "HEIF": "`pip install pillow-heif` (the extra `heif`) reads HEIC",
    "AVIF": "`pip install 'pillow>=11.3'` (the extra `avif`) reads AVIF",
}
# Images above Pillow's limit are decoded one at a time.
_HUGE = threading.Lock()
_WIDTH, _HEIGHT, _BITS_PER_SAMPLE, _ORIENTATION, _SAMPLE_FORMAT = 256, 257, 258, 274, 339  # tags of TIFF 6.0


def register_plugins() -> None:
    """Make what packages beside Pillow read known to it: HEIC, where pillow-heif is installed.

    Raises ImportError without Pillow.
    """
    import PIL.Image

    PIL.Image.init()
    if "HEIF" not in PIL.Image.OPEN:
        try:
            import pillow_heif
        except ImportError:
            return
        pillow_heif.register_heif_opener()


def missing_extras(suffixes: set[str]) -> str:
    """What to install to read files with these suffixes, lower case, that are not read here; empty for nothing."""
    try:
        register_plugins()
    except ImportError:
        return _EXTRAS["Pillow"] if suffixes else ""
    from PIL import Image

    wanted = {"HEIF": {".heic", ".heif", ".hif"}, "AVIF": {".avif"}}
    return "; ".join(_EXTRAS[kind] for kind, known in wanted.items() if kind not in Image.OPEN and known & suffixes)


def from_pil(image: Image, name: str) -> NDArray[np.uint8]:
    """Upright pixels (H,W,3) of a PIL image of any mode; what `pixels` says of ranges holds."""
    from PIL import ImageOps

    depth = _depth(image)
    with _as_format_errors(name):
        return pixels(ImageOps.exif_transpose(image), name, depth)


def pixels(image: Image, name: str, depth: int = 16) -> NDArray[np.uint8]:
    """The pixels (H,W,3) of a PIL image as they lie, 0..255.

    Grey of more than 8 bits keeps the highest 8 of its `depth` bits; in PIL's 32-bit mode I these are samples in
    0..65535. Floats (mode F) are 0..1, or 0..255 if one is above 1, which Pillow rounds down. Alpha is dropped,
    palettes are looked up, all else is Pillow's convert("RGB"). Raises FormatError for samples outside these ranges.
    """
    if image.mode.startswith("I"):
        samples = np.asarray(image)
        _check_range(samples, (1 << depth) - 1, name, f"integers of 0..{(1 << depth) - 1}")
        return _grey((samples >> (depth - 8)).astype(np.uint8))
    if image.mode == "F":
        values = np.asarray(image)
        _check_range(values, 255, name, "floats of 0..1 or 0..255")
        return _grey(np.rint(values * 255).astype(np.uint8) if values.max() <= 1 else values.astype(np.uint8))
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # Pillow would warn that the palette's transparency is lost: alpha is dropped on purpose.
        image = image.copy()
        del image.info["transparency"]
    return np.asarray(image.convert("RGB"))


def decode(
    source: Any, name: str, refusal: ValueError, apply_orientation: bool, max_pixels: int | None
) -> NDArray[np.uint8]:
    """Decode a path or bytes to uint8 (H,W,3), the first frame of an animation; `refusal` is why bit itself did not.

    Raises FormatError, with `name`, for what is damaged, no image, out of range or too large, and the kind of `refusal`
    where Pillow or a plugin is not installed.
    """
    with _opened(source, name, refusal, max_pixels) as image:
        return _frame(image, name, apply_orientation)


def decode_all(source: Any, name: str, apply_orientation: bool, max_pixels: int | None) -> list[NDArray[np.uint8]]:
    """All frames of an animation or pages of a document, each as `decode` gives it. Raises as `decode`.

    The limit of pixels is for all frames together.
    """
    with _opened(source, name, FormatError(f"[image] {name}: animations are read by Pillow"), max_pixels) as image:
        count = getattr(image, "n_frames", 1)
        _check_size(image, name, max_pixels, count)
        frames = []
        for number in range(count):
            image.seek(number)
            frames.append(_frame(image, f"{name}, frame {number}", apply_orientation))
        return frames


def info(source: Any, name: str, refusal: ValueError, max_pixels: int | None) -> tuple[str, int, int, int]:
    """Format, height, width and orientation (1..8) of a path or bytes by its header. Raises as `decode`."""
    with _opened(source, name, refusal, max_pixels) as image:
        found = image.getexif().get(_ORIENTATION, 1)
        tags = getattr(image, "tag_v2", {})  # newer Pillows give a TIFF's size upright
        height, width = tags.get(_HEIGHT, image.height), tags.get(_WIDTH, image.width)
        kind = "WebP" if image.format == "WEBP" else str(image.format)
        return kind, height, width, found if found in range(1, 9) else 1


@contextmanager
def _opened(source: Any, name: str, refusal: ValueError, max_pixels: int | None) -> Iterator[Image]:
    """The image that Pillow makes of a path or bytes, of an allowed size; all errors name it."""
    try:
        register_plugins()
    except ImportError:
        raise type(refusal)(f"{refusal}; {_EXTRAS['Pillow']}") from None
    is_path = isinstance(source, (str, os.PathLike))
    with open(source, "rb") if is_path else io.BytesIO(source) as file, _as_format_errors(name):
        head = file.read(16)
        image = _identify(file, head, os.fspath(source) if is_path else "")
        if image is None:
            raise type(refusal)(f"{refusal}{_missing_plugin(head) or '; Pillow does not know it either'}")
        with image:
            _check_size(image, name, max_pixels)
            with _pillows_limit_raised(image.width * image.height):
                yield image


def _identify(file: Any, head: bytes, path: str) -> Image | None:
    """What PIL.Image.open makes of a file; None if no plugin knows it. That function refuses by a limit of its own."""
    from PIL import Image

    for kind in list(Image.ID):
        factory, accept = Image.OPEN[kind]
        try:
            accepted = accept is None or accept(head)
            if not accepted or isinstance(accepted, str):  # a text says what is missing
                continue
            file.seek(0)
            image: Image.Image = factory(file, path)
            return image
        except (SyntaxError, IndexError, TypeError, struct.error):  # how a plugin says that it was mistaken
            continue
    return None


def _missing_plugin(head: bytes) -> str:
    if head[4:8] != b"ftyp":
        return ""
    if head[8:12] in _HEIF:
        return "; " + _EXTRAS["HEIF"]
    if head[8:12] in _AVIF:
        return "; " + _EXTRAS["AVIF"]
    return ""


def _frame(image: Image, name: str, apply_orientation: bool) -> NDArray[np.uint8]:
    from PIL import ImageOps

    depth = _depth(image)
    if apply_orientation:
        return pixels(ImageOps.exif_transpose(image), name, depth)
    turned = image.getexif().get(_ORIENTATION, 1) if image.format == "TIFF" else 1
    image.load()
    return pixels(image if turned == 1 else _turned_back(image, turned), name, depth)


def _turned_back(image: Image, orientation: int) -> Image:
    """A TIFF image as it is stored: Pillow turns it upright while it loads it."""
    from PIL.Image import Transpose

    back = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_90,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_270,
    }
    return image.transpose(back[orientation]) if orientation in back else image


def _depth(image: Image) -> int:
    """How many bits the grey samples of a PIL image in a mode of integers have, as far as its file says so."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if bits == 16 and tags.get(_SAMPLE_FORMAT, (1,))[0] == 2:  # signed: what is below 0 is no light
        return 15
    return bits if 8 < bits < 16 else 16


def _grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(values[:, :, None], 3, axis=2)


def _check_range(samples: NDArray[Any], largest: int, name: str, expected: str) -> None:
    low, high = samples.min(), samples.max()
    if not (low >= 0 and high <= largest):  # NaN fails the comparison
        raise FormatError(
            f"[image] {name}: expected grey samples as {expected}, got {low:g}..{high:g}: scale them and save 8 bits, "
            "or pass an array"
        )


def _check_size(image: Image, name: str, max_pixels: int | None, frames: int = 1) -> None:
    limit = _core.default_max_pixels() if max_pixels is None else max_pixels
    wanted = image.width * image.height * frames
    if wanted > limit:
        several = f"{frames} frames " if frames > 1 else ""
        size = f"{several}of {image.width} x {image.height} pixels (width x height)"
        raise FormatError(
            f"[image] {name}: {image.format} {size} exceeds the limit of {limit} pixels; if you trust the file, raise "
            f"it: {_core.raised_limit(wanted)}"
        )


@contextmanager
def _pillows_limit_raised(wanted: int) -> Iterator[None]:
    """Lets Pillow decode an image that we allow: its limit, above which it warns, is one for the whole process."""
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or wanted <= limit:
        yield
        return
    with _HUGE:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, wanted
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _as_format_errors(name: str) -> Iterator[None]:
    """Turns what Pillow's plugins raise for damaged files, which is of many kinds, into FormatError with the name."""
    try:
        yield
    except (FormatError, ConfigError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:  # the system's, not Pillow's
            raise
        raise FormatError(f"[image] {name}: {error}") from None
    except Exception as error:
        raise FormatError(f"[image] {name}: {type(error).__name__}: {error}") from None
