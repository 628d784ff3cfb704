# SPDX-License-Identifier: Apache-2.0
"""create_model and load: the two ways to a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pybit import _core
from pybit.errors import ConfigError
from pybit.model.files import read_activation, read_metadata
from pybit.model.model import Model
from pybit.model.released import architecture_of, card_of_file, config_of, labels_of, preprocessing_of
from pybit.model.source import checkpoint_path
from pybit.network.build import changed, network_from_checkpoint, require_same
from pybit.network.heads import adapt_head, replace_head
from pybit.network.options import ComputeOptions
from pybit.registry import ModelCard


@dataclass(frozen=True)
class _Options:
    """What `create_model` and `load` let a caller choose about a network, beside where it comes from."""

    num_classes: int | None
    head: str | None
    seed: int
    output_stride: int | None
    eps: float | None
    compute: ComputeOptions

    def __post_init__(self) -> None:
        for value in (self.num_classes, self.seed, self.output_stride):
            if value is not None and value < 0:
                raise ConfigError(f"expected 0 or more classes, seeds and strides, got {value}")


def create_model(
    name: str,
    num_classes: int | None = None,
    pretrained: bool = False,
    weights: str | os.PathLike[str] | None = None,
    dtype: str = "float32",
    seed: int = 0,
    in_chans: int = 3,
    output_stride: int = 32,
    eps: float | None = None,
    units: Sequence[int] | None = None,
    stem_channels: int | None = None,
    head: str | None = None,
    algorithm: str = "auto",
) -> Model:
    """Make a model by name.

    Without `weights` and `pretrained` its values are random, a function of `seed` alone: features of such a network
    are no better than random ones, it is a start for training.

    Args:
        name: A name from `list_models()`, of timm or of transformers, or an architecture such as "R50x1". With `units`
            and `stem_channels` any name will do.
        num_classes: Classes of the head; 0 for none; None for those of the checkpoint or the card.
        pretrained: Take the released weights from the cache, or download them.
        weights: A checkpoint file of any supported format instead. It must hold the named architecture.
        dtype: "float32"; "bfloat16": half the memory and up to twice the speed for two to three digits, images and
            results stay float32; or "float64": the reference backend, slow and exact.
        seed: Of random values.
        in_chans: Input channels.
        output_stride: 32, 16 or 8; below 32 the last blocks dilate instead of striding.
        eps: Added to the kernels' variance in standardisation; None: the card's, 1e-10 for the release's files.
        units: Residual units of the four blocks, for networks that were not released.
        stem_channels: Channels of the first convolution, 64 times the width factor.
        head: What to do if the checkpoint's class count is not `num_classes`: "keep" refuses, "zero" starts from
            zeros as the release's fine-tuning does, "new" from seeded random values, "drop" leaves the head out. None
            keeps a fitting head and otherwise takes zeros, with a warning that says so; it never takes random values.
        algorithm: Of 3x3 convolutions: "auto" chooses per layer, batch and size; "direct"; "winograd", or one of its
            tile sizes "winograd_2x2" and "winograd_4x4". It changes the last digits of results and their speed.

    Raises ConfigError for unknown names and impossible combinations, FormatError for a file that is no BiT checkpoint
    or one of another architecture, OSError for files and downloads.
    """
    if in_chans < 0:
        raise ConfigError(f"expected 0 or more input channels, got {in_chans}")
    options = _Options(num_classes, head, seed, output_stride, eps, ComputeOptions(dtype, algorithm))
    if pretrained and weights is not None:
        raise ConfigError("expected pretrained=True or weights=..., got both")
    card, base_units, base_stem = architecture_of(name, units, stem_channels)
    if pretrained:
        if card is None:
            raise ConfigError(
                f"{name!r} is an architecture, not a released model: expected weights=... or a name from "
                "pybit.list_models()"
            )
        from pybit import hub

        weights = hub.download(card.name)
    if weights is not None:
        if card is not None and eps is None:
            options = replace(options, eps=card.weight_eps)
        wanted = _core.Config(units=base_units, stem_channels=base_stem, in_channels=in_chans)
        return _from_file(weights, options, wanted=wanted, name=name, card=card)
    if head not in (None, "zero", "new", "drop"):
        raise ConfigError(f'without a checkpoint expected head to be "zero", "new" or "drop", got {head!r}')
    classes = 0 if head == "drop" else num_classes
    config = config_of(name, classes, in_chans, output_stride, eps, units, stem_channels)
    network = _core.Network.random(config, dtype, seed, algorithm=algorithm)
    origin = f"random, seed {seed}"
    if head == "zero" and config.num_classes:
        network = replace_head(network, config.num_classes, "zero", seed)
        origin += ", head of zeros"
    labels = labels_of(card, config.num_classes)
    return Model(network, name=name, origin=origin, preprocessing=preprocessing_of(card), labels=labels, trained=False)


def load(
    path: str | os.PathLike[str],
    num_classes: int | None = None,
    head: str | None = None,
    dtype: str = "float32",
    seed: int = 0,
    output_stride: int | None = None,
    eps: float | None = None,
    algorithm: str = "auto",
) -> Model:
    """Load a checkpoint of any supported format: npz, safetensors, h5, a TFHub folder, or a torch file.

    A training run's folder stands for its best checkpoint, and a released model's name for its file, which is taken
    from the cache or downloaded.

    Architecture, class count and head are found from the tensors; nothing in the file is executed. Labels and
    preprocessing come from the file if pybit wrote it, or from the card of the released model whose name and content
    the file has. The arguments are those of `create_model`. Raises OSError if the file cannot be read, FormatError if
    it is no BiT checkpoint, ConfigError for options that are none.
    """
    return _from_file(path, _Options(num_classes, head, seed, output_stride, eps, ComputeOptions(dtype, algorithm)))


def _from_file(
    path: str | os.PathLike[str],
    options: _Options,
    *,
    wanted: _core.Config | None = None,
    name: str | None = None,
    card: ModelCard | None = None,
) -> Model:
    """The model in a checkpoint, which must have the architecture `wanted`; `name` and `card` if they are known."""
    from pybit.formats import open_any

    text = checkpoint_path(path)
    checkpoint = open_any(text)
    if wanted is not None:
        require_same(
            checkpoint.config,
            changed(wanted, num_classes=checkpoint.config.num_classes),
            text,
            f"the model {name!r} that was asked for",
            ("units", "stem_channels", "in_channels"),
        )
    own_name, labels, spec = read_metadata(checkpoint)
    if card is None:
        card = card_of_file(text, checkpoint.config)
    adapted, done = adapt_head(checkpoint, options.num_classes, options.head, options.seed)
    if done:
        labels = None
    elif labels is None:
        labels = labels_of(card, adapted.config.num_classes)
    eps = options.eps
    if eps is None and card is not None and "pybit" not in checkpoint.metadata:
        eps = card.weight_eps
    config = changed(adapted.config, weight_eps=eps, output_stride=options.output_stride)
    network = network_from_checkpoint(adapted, options.compute, config)
    return Model(
        network,
        name=name or own_name or (card.name if card else os.path.basename(text)),
        origin=os.path.basename(os.path.normpath(text)) + (f", {done}" if done else ""),
        preprocessing=spec or preprocessing_of(card),
        labels=labels,
        file=None if done else os.path.abspath(text),
        activation="softmax" if done else read_activation(checkpoint),
    )
