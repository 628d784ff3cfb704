# SPDX-License-Identifier: Apache-2.0
"""What a run begins with: weights and data sets of all that stands for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pybit import _core
from pybit.data import datasets
from pybit.data.dataset import Dataset
from pybit.errors import ConfigError
from pybit.model.files import read_metadata
from pybit.model.model import Model
from pybit.model.released import card_of_file
from pybit.model.source import checkpoint_path
from pybit.network.build import changed


def start_of(model: Any) -> tuple[_core.Checkpoint, str, tuple[str, ...] | None]:
    """Weights to start from, what the run calls them, and the classes of the head."""
    if isinstance(model, Model):
        return model.loaded.network.checkpoint(), model.name, model.loaded.labels
    if not isinstance(model, (str, os.PathLike)):
        raise ConfigError(
            f"[fine_tune] expected a model, a checkpoint file, a run's folder or a name, got {type(model).__name__}"
        )
    from pybit.formats import open_any

    path = checkpoint_path(model)
    checkpoint = open_any(path)
    name, labels, _ = read_metadata(checkpoint)
    card = card_of_file(path, checkpoint.config)
    if card is not None and "pybit" not in checkpoint.metadata:
        checkpoint = checkpoint.with_config(changed(checkpoint.config, weight_eps=card.weight_eps))
    return checkpoint, name or (card.name if card else Path(path).name), labels


def sets_of(data: Any) -> tuple[Dataset, Dataset | None]:
    """The training and the validation set of what `pybit.datasets.open` takes or returns."""
    if isinstance(data, Dataset):
        return data, None
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Dataset) for part in data):
        return data[0], data[1]
    return tuple(datasets.open(data))  # type: ignore[return-value]


def some(names: tuple[str, ...]) -> str:
    """The first three names, for messages."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
