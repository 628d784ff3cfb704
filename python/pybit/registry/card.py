# SPDX-License-Identifier: Apache-2.0
"""What is known of a released model: its card, the files it comes in, the results it should reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pybit.base.architectures import UNITS, Units

__all__ = ["Accuracy", "Download", "ModelCard"]


@dataclass(frozen=True)
class Accuracy:
    """A published result. `value` is in percent; `protocol` says what was done to get it, `source` who printed it."""

    dataset: str
    metric: str
    value: float
    protocol: str
    source: str


@dataclass(frozen=True)
class Download:
    """One way to fetch a model: files below a base address, which a mirror may replace."""

    format: str  #: "npz", "h5", "tfhub", "safetensors" or "torch"
    base: str
    paths: tuple[str, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        """The full addresses of all files."""
        return tuple(self.base + path for path in self.paths)


@dataclass(frozen=True)
class ModelCard:
    """Facts about one released model; None where no source tells.

    Sizes are in pixels. `crop_mode` "squash" resizes to input_size x input_size whatever the proportions;
    "center_crop" resizes the shorter edge to int(input_size / crop_pct) and cuts the centre. Pixels go from 0..255
    to `input_range` linearly.
    """

    name: str
    family: str  #: "official", "vtab", "distill", "timm" or "transformers"
    architecture: str  #: e.g. "R50x1": depth and width factor
    num_classes: int | None
    pretraining: str
    finetuning: str | None
    train_size: int | None
    input_size: int | None
    crop_mode: str | None
    crop_pct: float | None
    interpolation: str | None
    transform_source: str
    labels: str | None  #: name for pybit.labels.load
    downloads: tuple[Download, ...]
    hub_id: str | None = None
    aliases: tuple[str, ...] = ()
    expected: tuple[Accuracy, ...] = ()
    notes: tuple[str, ...] = ()
    weight_eps: float = 1e-10  #: in weight standardisation, by the code that the weights were published for
    input_range: tuple[float, float] = (-1.0, 1.0)
    license: str = "Apache-2.0"
    license_source: str = "LICENSE of google-research/big_transfer; no separate statement on the weights was found"

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats that can be downloaded, the preferred one first."""
        return tuple(download.format for download in self.downloads)

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses of the preferred format; none if the model cannot be downloaded."""
        return self.downloads[0].urls if self.downloads else ()

    @property
    def depth(self) -> int:
        """The depth: 50, 101 or 152."""
        return int(self.architecture[1:].split("x")[0])

    @property
    def width(self) -> int:
        """The factor on all channels."""
        return int(self.architecture.split("x")[1])

    @property
    def units(self) -> Units:
        """The numbers of residual units of the four blocks."""
        return UNITS[self.depth]

    @property
    def num_features(self) -> int:
        """The length of the pooled features."""
        return 2048 * self.width

    @property
    def num_parameters(self) -> int | None:
        """The number of trained values, the head's included; None if the number of classes is unknown."""
        if self.num_classes is None:
            return None
        channels, total = 64 * self.width, 7 * 7 * 3 * 64 * self.width
        for block, units in enumerate(self.units):
            out = 256 * self.width << block
            middle = out // 4
            for unit in range(units):
                total += 2 * channels + channels * middle + 2 * middle + 9 * middle * middle + 2 * middle + middle * out
                total += channels * out if unit == 0 else 0
                channels = out
        return total + 2 * channels + (channels + 1) * self.num_classes

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON-ready values, computed ones included."""
        plain = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("downloads", "expected")
        }
        plain |= {"formats": list(self.formats), "urls": {d.format: list(d.urls) for d in self.downloads}}
        plain |= {"expected": [vars(item) for item in self.expected], "num_features": self.num_features}
        plain |= {"num_parameters": self.num_parameters, "units": list(self.units)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}
