# SPDX-License-Identifier: Apache-2.0
"""The options of preprocessing and of batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pybit import _core
from pybit.base.sizes import whole_number
from pybit.base.threads import check_threads
from pybit.errors import ConfigError

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
        ConfigError: an option that is none of these.
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
        """The number of rows of the result."""
        return self.sizes()[0]

    @property
    def width(self) -> int:
        """The number of columns of the result."""
        return self.sizes()[1]

    def shape(self, n: int) -> tuple[int, int, int, int]:
        """The shape of a batch of `n` images, in the spec's layout."""
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
        """The height and width of the result in pixels. Raises ConfigError unless both are positive whole numbers."""
        sizes = self.size if isinstance(self.size, (tuple, list)) else (self.size, self.size)
        if len(sizes) != 2 or not all(isinstance(s, (int, np.integer)) and s > 0 for s in sizes):
            raise ConfigError(f"[preprocess] expected size as a positive int or (height, width), got {self.size!r}")
        return int(sizes[0]), int(sizes[1])


@dataclass(frozen=True)
class ImageOptions:
    """How the images of a call are read, prepared and put into batches.

    Args:
        preprocessing: how each image becomes network input.
        batch_size: images per batch; None: chosen for the model and the size where there is a model, otherwise 32.
        threads: that decode and resize, and that compute where there is a model; 0: the default of each.
        skip_corrupt: leave out files that cannot be read instead of raising.
        progress: show a progress bar on standard error; None: on a terminal or in a notebook, if it takes a second.
        max_pixels: larger images are refused; None: BIT_MAX_PIXELS of the environment, or 178,956,970.

    Raises:
        ConfigError: a batch without images, a negative number of threads or a limit below 1.
    """

    preprocessing: PreprocessSpec
    batch_size: int | None = None
    threads: int = 0
    skip_corrupt: bool = False
    progress: bool | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        check_max_pixels(self.max_pixels)
        if self.batch_size is not None:
            whole_number(self.batch_size, "batch_size", 1)
        check_threads(self.threads)


def check_max_pixels(max_pixels: int | None) -> None:
    """Raise ConfigError for a limit of pixels that is neither None nor a whole number of at least 1."""
    if max_pixels is not None and (not isinstance(max_pixels, (int, np.integer)) or max_pixels < 1):
        raise ConfigError(f"[image] expected max_pixels as a whole number of at least 1, got {max_pixels!r}")
