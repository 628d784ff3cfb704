"""What a training step takes in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pybit import _core
from pybit._describe import byte_count, height_width
from pybit.errors import ConfigError

if TYPE_CHECKING:
    from pybit.model import Model


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
    """values, gradients, optimiser, packed (parameters in the forms that the kernels read), maps, scratch (of the
    threads), images (the caller's array). The model's own network is dropped before a step."""

    @property
    def total(self) -> int:
        """Bytes in all, without what Python and the package take."""
        return sum(self.rows.values())

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {**self.__dict__, "rows": dict(self.rows), "total": self.total}

    def __str__(self) -> str:
        n, h, w = self.shape
        parts = f" in {self.batch_split} parts" if self.batch_split > 1 else ""
        title = f"{self.model}, a step of {self.batch} x {h} x {w} pixels{parts}, recompute {self.recompute}"
        cells = [(name, byte_count(size), f"{size / self.total:.1%}") for name, size in self.rows.items()]
        cells.append(("all", byte_count(self.total), ""))
        widths = [max(len(row[i]) for row in cells) for i in range(3)]
        lines = [f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.rjust(widths[2])}".rstrip() for a, b, c in cells]
        lines.insert(-1, "-" * max(map(len, lines)))
        return "\n".join([title, *lines])

    __repr__ = __str__


def plan(
    model: Model,
    size: int | tuple[int, int],
    batch: int,
    *,
    batch_split: int = 1,
    recompute: str = "none",
    optimiser: str = "sgd",
    threads: int = 0,
    **rules: Any,
) -> TrainingMemory:
    """See Model.memory_plan."""
    if not 1 <= batch_split <= batch or recompute not in ("none", "units"):
        raise ConfigError(
            f"[memory_plan] expected a batch_split in 1..{batch} and recompute 'none' or 'units', got {batch_split} "
            f"and {recompute!r}"
        )
    if model.num_classes == 0:
        raise ConfigError("[memory_plan] expected a model with a head, got 0 classes")
    height, width = height_width(size)
    part = -(-batch // batch_split)
    rows = _core.training_memory(model.config, model.dtype, part, height, width, recompute, optimiser, threads, **rules)
    rows["images"] = rows["images"] // part * batch
    return TrainingMemory(
        model.name, (part, height, width), batch, batch_split, recompute, threads or _core.get_num_threads(), rows
    )
