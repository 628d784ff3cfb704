# SPDX-License-Identifier: Apache-2.0
"""What an evaluation keeps of each image while it runs, and what follows from logits alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pybit.base.progress import Bar


class LogitsKeeper:
    """Takes batches of logits as they are computed; keeps the wanted columns of them."""

    def __init__(self, bar: Bar, columns: Sequence[int] | None, keep: bool) -> None:
        """`columns`: the classes to keep, None for all. `keep`: False counts images for the progress bar alone."""
        self._bar = bar
        self._columns = None if columns is None else np.asarray(columns, np.int64)
        self._keep = keep
        self._indices: list[NDArray[np.int64]] = []
        self._logits: list[NDArray[np.float32]] = []
        self.skipped: list[tuple[int, str, str]] = []
        """Position, name and reason of each image that was left out."""

    def on_batch(self, indices: NDArray[np.int64], logits: NDArray[np.float32]) -> None:
        """Take a batch: positions (n) in the data set and logits (n, classes)."""
        self._bar.update(len(indices))
        self._indices.append(indices)
        if self._keep:
            self._logits.append(logits if self._columns is None else logits[:, self._columns])

    def on_skipped(self, index: int, name: str, reason: str) -> None:
        """Take an image that was left out."""
        self.skipped.append((index, name, reason))

    @property
    def indices(self) -> NDArray[np.int64]:
        """The positions of the measured images in the data set, (n)."""
        return np.concatenate(self._indices) if self._indices else np.empty(0, np.int64)

    def logits(self) -> NDArray[np.float32]:
        """The kept logits (n, columns), which are then no longer kept here."""
        whole = np.concatenate(self._logits)
        self._logits.clear()
        return whole


def scores(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, Any]:
    """Loss, top1, top5 and (truth, predicted) pairs of logits (n, classes), as the extension module counts them.

    A class is among the first k if fewer than k come before it; of equal logits the lower class comes first.
    """
    x = logits.astype(np.float64)
    own = np.take_along_axis(x, truth[:, None], axis=1)
    top = x.max(axis=1, keepdims=True)
    loss = np.log(np.exp(x - top).sum(axis=1)) + (top - own)[:, 0]
    lower = np.arange(x.shape[1])[None, :] < truth[:, None]
    before = (~(x <= own) | ((x == own) & lower)).sum(axis=1) - np.isnan(own[:, 0])
    return {
        "examples": len(truth),
        "loss": float(loss.mean()),
        "top1": float((before < 1).mean()),
        "top5": float((before < 5).mean()),
        "pairs": np.stack([truth, x.argmax(axis=1)], axis=1),
    }
