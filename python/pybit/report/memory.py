# SPDX-License-Identifier: Apache-2.0
"""What a training step takes in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pybit import _core
from pybit.base.sizes import byte_text, height_width
from pybit.errors import ConfigError
from pybit.network.source import Loaded


@dataclass(frozen=True, repr=False)
class TrainingMemory:
    """Bytes of a training step by what they are for; prints as a table."""

    model: str
    shape: tuple[int, int, int]  #: images of a part, height, width
    batch: int
    batch_split: int
    recompute: str
    threads: int
    rows: dict[str, int]
    """Bytes of values, gradients, optimizer (its state), packed (parameters in the layouts that convolutions read),
    maps, scratch (of the threads) and images (the caller's array). The model's own network is dropped before a step."""

    @property
    def total(self) -> int:
        """The bytes in all, without what Python and the package take."""
        return sum(self.rows.values())

    def as_dict(self) -> dict[str, Any]:
        """All fields and the total, as values that JSON has."""
        return {**self.__dict__, "rows": dict(self.rows), "total": self.total}

    def __str__(self) -> str:
        n, h, w = self.shape
        parts = f" in {self.batch_split} parts" if self.batch_split > 1 else ""
        title = f"{self.model}, a step of {self.batch} x {h} x {w} pixels{parts}, recompute {self.recompute}"
        cells = [(name, byte_text(size), f"{size / self.total:.1%}") for name, size in self.rows.items()]
        cells.append(("all", byte_text(self.total), ""))
        widths = [max(len(row[i]) for row in cells) for i in range(3)]
        lines = [f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.rjust(widths[2])}".rstrip() for a, b, c in cells]
        lines.insert(-1, "-" * max(map(len, lines)))
        return "\n".join([title, *lines])

    __repr__ = __str__


def plan_training(
    model: Loaded,
    size: int | tuple[int, int],
    batch: int,
    *,
    batch_split: int = 1,
    recompute: str = "none",
    optimizer: str = "sgd",
    threads: int = 0,
    **rules: Any,
) -> TrainingMemory:
    """The memory of one step on `batch` images, see `pybit.Model.memory_plan`; `rules`: train and freeze.

    Raises ConfigError for a model without a head and for options that are none.
    """
    if not 1 <= batch_split <= batch or recompute not in ("none", "units"):
        raise ConfigError(
            f"[memory_plan] expected a batch_split in 1..{batch} and recompute 'none' or 'units', got {batch_split} "
            f"and {recompute!r}"
        )
    if model.num_classes == 0:
        raise ConfigError("[memory_plan] expected a model with a head, got 0 classes")
    height, width = height_width(size)
    part = -(-batch // batch_split)
    rows = _core.training_memory(
        model.config, model.network.dtype, part, height, width, recompute, optimizer, threads, **rules
    )
    rows["images"] = rows["images"] // part * batch
    return TrainingMemory(
        model.name, (part, height, width), batch, batch_split, recompute, threads or _core.get_num_threads(), rows
    )
