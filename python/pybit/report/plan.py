# SPDX-License-Identifier: Apache-2.0
"""Plans and profiles: what each step of a network does at one input shape, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pybit import _core
from pybit.base.arrays import as_batch
from pybit.base.sizes import byte_text, height_width
from pybit.errors import ConfigError
from pybit.network.source import Loaded

_NOTE = (
    "GFLOP counts a multiply-add as two and is that of the direct form; maps: bytes read and written, statistics "
    "included."
)
_RATE_NOTE = (
    "ms: the least of {runs} runs; GFLOP/s is the direct form's work over that time: Winograd's rows do less "
    "work and may exceed the peak."
)


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


@dataclass(frozen=True, repr=False)
class Plan:
    """How a model computes one batch shape; prints as a table, also in notebooks.

    `rows` has a dict per step: name, kind, algorithm ("" where there is no product), output (N, C, H, W), flops of the
    direct form (a multiply-add counts as two), weight_bytes as stored for this plan, read_bytes and written_bytes of
    maps, tables and statistics.
    """

    model: str
    dtype: str
    algorithm: str  #: as the model was told; the rows say what was chosen
    shape: tuple[int, int, int]  #: images, height, width
    threads: int
    isa: str  #: instruction set of the kernels
    rows: tuple[dict[str, Any], ...]
    weights_bytes: int  #: all packed parameters of the model
    arena_bytes: int  #: where maps lie during a call
    workspace_bytes: int  #: the arena and the threads' scratch: what one call holds

    @property
    def flops(self) -> int:
        """Floating-point operations of the direct form, for the whole batch."""
        return sum(row["flops"] for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON has."""
        return {**self.__dict__, "rows": [dict(row) for row in self.rows], "flops": self.flops}

    def _columns(self) -> list[tuple[str, bool, list[str]]]:
        """Heading, whether numbers stand right, and a cell for each row and the total."""
        rows = self.rows
        maps = [r["read_bytes"] + r["written_bytes"] for r in rows]
        weights = [r["weight_bytes"] for r in rows]
        flops = [*(r["flops"] for r in rows), self.flops]
        return [
            ("layer", False, [*(r["name"] for r in rows), "all"]),
            ("what", False, [*(r["kind"] for r in rows), ""]),
            ("algorithm", False, [*(r["algorithm"] or "-" for r in rows), ""]),
            ("output", False, [*("x".join(map(str, r["output"])) for r in rows), ""]),
            ("GFLOP", True, [f"{f / 1e9:.3f}" if f else "-" for f in flops]),
            ("weights", True, [byte_text(b) if b else "-" for b in [*weights, sum(weights)]]),
            ("maps", True, [byte_text(b) for b in [*maps, sum(maps)]]),
        ]

    @property
    def title(self) -> str:
        """One line: model, shape, dtype, algorithm, instruction set and threads."""
        n, h, w = self.shape
        threads = f"{self.threads} thread" + ("s" if self.threads > 1 else "")
        return f"{self.model}, {n} x {h} x {w} pixels, {self.dtype}, algorithm {self.algorithm}, {self.isa}, {threads}"

    def _notes(self) -> list[str]:
        return [
            f"weights {byte_text(self.weights_bytes)} in all, arena {byte_text(self.arena_bytes)}, workspace of a "
            f"call {byte_text(self.workspace_bytes)}",
            _NOTE,
        ]

    def __str__(self) -> str:
        columns = self._columns()
        widths = [max(map(len, [head, *cells])) for head, _, cells in columns]
        lines = [[head for head, _, _ in columns], *zip(*(cells for _, _, cells in columns), strict=True)]
        text = [
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, (_, right, _) in zip(line, widths, columns, strict=True)
            ).rstrip()
            for line in lines
        ]
        text.insert(-1, "-" * max(map(len, text)))
        return "\n".join([self.title, *text, *self._notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape as cell  # imported when first used: few programs show plans in notebooks

        columns = self._columns()

        def line(tag: str, cells: Sequence[str]) -> str:
            return "".join(
                f"<{tag} style='text-align:{'right' if right else 'left'}'>{cell(c)}</{tag}>"
                for c, (_, right, _) in zip(cells, columns, strict=True)
            )

        lines = zip(*(cells for _, _, cells in columns), strict=True)
        body = "".join(f"<tr>{line('td', cells)}</tr>" for cells in lines)
        head = line("th", [head for head, _, _ in columns])
        notes = "<br>".join(map(cell, self._notes()))
        return f"<table><caption>{cell(self.title)}</caption><tr>{head}</tr>{body}</table><p>{notes}</p>"


@dataclass(frozen=True, repr=False)
class Profile(Plan):
    """A plan with times. Each row has also min_seconds and median_seconds, gflops (per second, of the direct form, from
    the least time; None without a product), share of the whole time, and peak_share (None where no ceiling is known).
    """

    runs: int
    fma_gflops: float | None  #: of all threads together in this dtype, measured beside it; None for the reference
    read_gbytes: float | None  #: a second, from main memory

    @property
    def seconds(self) -> float:
        """Sum of the steps' least times. Getting images in and results out is not part of it."""
        return float(sum(row["min_seconds"] for row in self.rows))

    @property
    def median_seconds(self) -> float:
        """Sum of the steps' median times."""
        return float(sum(row["median_seconds"] for row in self.rows))

    @property
    def gflops(self) -> float:
        """1e9 operations of the direct form a second, whole network."""
        return self.flops / self.seconds / 1e9

    def as_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON has."""
        return {**super().as_dict(), "seconds": self.seconds, "gflops": self.gflops}

    def _columns(self) -> list[tuple[str, bool, list[str]]]:
        rows = self.rows
        rates = [*(r["gflops"] for r in rows), self.gflops]
        shares = [*(r["peak_share"] for r in rows), self.gflops / self.fma_gflops if self.fma_gflops else None]
        return [
            *super()._columns(),
            ("ms", True, [_number(1e3 * s) for s in [*(r["min_seconds"] for r in rows), self.seconds]]),
            ("median", True, [_number(1e3 * s) for s in [*(r["median_seconds"] for r in rows), self.median_seconds]]),
            ("time", True, [*(f"{r['share']:.1%}" for r in rows), "100.0%"]),
            ("GFLOP/s", True, ["-" if rate is None else f"{rate:.0f}" for rate in rates]),
            ("of peak", True, ["-" if share is None else f"{share:.0%}" for share in shares]),
        ]

    def _notes(self) -> list[str]:
        ceilings = (
            []
            if self.fma_gflops is None
            else [
                f"ceilings measured beside it: {self.fma_gflops:.0f} GFLOP/s of {self.dtype} multiply-adds, "
                f"{self.read_gbytes:.0f} GB/s read from memory"
            ]
        )
        return [*super()._notes(), _RATE_NOTE.format(runs=self.runs), *ceilings]


def _facts(model: Loaded, shape: tuple[int, int, int], threads: int) -> dict[str, Any]:
    memory = model.network.memory_plan(*shape, threads)
    reference = model.network.backend == "reference"
    return {
        "model": model.name,
        "dtype": model.network.dtype,
        "algorithm": model.network.algorithm,
        "shape": shape,
        "threads": 1 if reference else threads or _core.get_num_threads(),
        "isa": "reference" if reference else _core.build_info()["isa"],
        **{key: memory[key] for key in ("weights_bytes", "arena_bytes", "workspace_bytes")},
    }


def _check(n: int, threads: int) -> None:
    if n < 1 or threads < 0:
        raise ConfigError(f"expected at least 1 image and 0 or more threads, got {n} and {threads}")


def make_plan(model: Loaded, h: int, w: int | None, n: int, threads: int) -> Plan:
    """What `n` images of h x w pixels take, see `pybit.Model.plan`. Raises ConfigError for sizes that are none."""
    _check(n, threads)
    height, width = height_width(h if w is None else (h, w))
    rows = tuple(model.network.report(n, height, width))
    return Plan(rows=rows, **_facts(model, (n, height, width), threads))


def make_profile(model: Loaded, x: Any, w: int | None, n: int, runs: int, threads: int, layout: str) -> Profile:
    """A plan with times, see `pybit.Model.profile`. Raises ConfigError or ShapeError as a call does."""
    _check(n, threads)
    if runs < 1:
        raise ConfigError(f"expected at least 1 run, got {runs}")
    network = model.network
    channels = network.config.in_channels
    if isinstance(x, (int, np.integer)):
        height, width = height_width((int(x), int(x) if w is None else w))
        shape = (n, channels, height, width) if layout == "nchw" else (n, height, width, channels)
        x = np.random.default_rng(0).uniform(-1, 1, shape).astype(network.array_dtype)
    batch, _ = as_batch(x, channels=channels, layout=layout, dtype=network.array_dtype, what="images")
    count, height, width = (batch.shape[i] for i in ((0, 2, 3) if layout == "nchw" else (0, 1, 2)))
    _check(count, threads)
    # The clock moves: the better of the ceilings before and after is the one to hold against the best times.
    reference = network.backend == "reference"
    before = None if reference else _core.measure_peak(threads)
    rows = network.profile(batch, layout, runs, threads)
    after = None if reference else _core.measure_peak(threads)
    fma, read = None, None
    if before is not None and after is not None:
        key: Literal["fma_gflops", "bfloat16_gflops"] = (
            "bfloat16_gflops" if model.network.dtype == "bfloat16" else "fma_gflops"
        )
        fma = max(before[key], after[key])
        read = max(before["read_gbytes"], after["read_gbytes"])
    whole = sum(row["min_seconds"] for row in rows)
    for row in rows:
        row["gflops"] = row["flops"] / row["min_seconds"] / 1e9 if row["flops"] else None
        row["share"] = row["min_seconds"] / whole
        row["peak_share"] = row["gflops"] / fma if fma and row["flops"] else None
    facts = _facts(model, (count, height, width), threads)
    return Profile(rows=tuple(rows), runs=runs, fma_gflops=fma, read_gbytes=read, **facts)
