# SPDX-License-Identifier: Apache-2.0
"""What is measured: the cases, and who takes part in each."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FP32, BF16 = "fp32", "bf16"


@dataclass(frozen=True)
class Entrant:
    """One contender: its name in tables, its worker script and variant, and the files it reads."""

    name: str
    script: str
    variant: str
    family: str
    memory: float  # peak in multiples of the checkpoint: decides whether all contenders fit into memory together


def entrant(name: str, script: str, variant: str, memory: float) -> Entrant:
    family = {
        "contend_torch.py": "torch",
        "train_torch.py": "torch",
        "contend_onnxruntime.py": "onnx",
        "contend_openvino.py": "openvino",
    }
    return Entrant(name, script, variant, family.get(script, "npz"), memory)


PYBIT = entrant("pybit", "contend_pybit.py", "float32", 1.5)
CONTENDERS: dict[str, tuple[Entrant, ...]] = {
    FP32: (
        PYBIT,
        entrant("pybit, direct", "contend_pybit.py", "float32 direct", 1.5),
        entrant("OpenVINO", "contend_openvino.py", "f32", 2.5),
        entrant("OpenVINO, streams", "contend_openvino.py", "f32 streams", 2.5),
        entrant("ONNX Runtime", "contend_onnxruntime.py", "", 2.5),
        entrant("torch.compile", "contend_torch.py", "compile", 3.0),
        entrant("PyTorch, standardised once", "contend_torch.py", "once", 2.0),
        entrant("PyTorch, as released", "contend_torch.py", "released", 2.0),
    ),
    BF16: (
        entrant("pybit", "contend_pybit.py", "bfloat16", 1.0),
        entrant("OpenVINO", "contend_openvino.py", "bf16", 2.0),
        entrant("OpenVINO, streams", "contend_openvino.py", "bf16 streams", 2.0),
        entrant("torch.compile", "contend_torch.py", "compile bf16", 3.0),
        entrant("PyTorch, standardised once", "contend_torch.py", "once bf16", 2.5),
    ),
}
TRAINERS: dict[str, tuple[Entrant, ...]] = {
    FP32: (
        entrant("pybit", "train_pybit.py", "float32", 8),
        entrant("torch.compile", "train_torch.py", "compile", 8),
        entrant("PyTorch, channels last", "train_torch.py", "last", 8),
        entrant("PyTorch, as released", "train_torch.py", "released", 8),
    ),
    BF16: (
        entrant("pybit", "train_pybit.py", "bfloat16", 8),
        entrant("torch.compile", "train_torch.py", "compile bf16", 8),
        entrant("PyTorch, channels last", "train_torch.py", "last bf16", 8),
    ),
}
STARTERS = (
    PYBIT,
    entrant("OpenVINO", "contend_openvino.py", "f32", 0),
    entrant("OpenVINO, cached", "contend_openvino.py", "f32 cached", 0),
    entrant("ONNX Runtime", "contend_onnxruntime.py", "", 0),
    entrant("PyTorch, standardised once", "contend_torch.py", "once", 0),
    entrant("PyTorch, as released", "contend_torch.py", "released", 0),
)


@dataclass(frozen=True)
class Case:
    """One row of the tables."""

    model: str
    precision: str
    height: int
    width: int
    batch: int
    threads: int = 2
    avx2: bool = False
    training: bool = False  # a step of SGD instead of a call

    @property
    def name(self) -> str:
        """The name that `--cases` takes, for example R50x1-fp32-224x224-b1-t2 or train-R50x1-fp32-128x128-b16-t2."""
        size = f"{self.height}x{self.width}"
        name = f"{self.model}-{self.precision}-{size}-b{self.batch}-t{self.threads}"
        return ("train-" if self.training else "") + name + ("-avx2" if self.avx2 else "")

    @property
    def title(self) -> str:
        """The name in tables and charts; it tells the dtype where a section holds both."""
        size = f"{self.height}²" if self.height == self.width else f"{self.height}×{self.width}"
        parts = [self.model, size, f"batch {self.batch}"]
        if self.precision == BF16 and (self.training or self.threads == 1):
            parts.append("bfloat16")
        if self.threads == 1:
            parts.append("1 thread")
        if self.avx2:
            parts.append("AVX2")
        return ", ".join(parts)

    @property
    def peak(self) -> str:
        """The kind of multiply-add that bounds this case (peak.cpp)."""
        return "avx2" if self.avx2 else "bf16" if self.precision == BF16 else "avx512"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.batch, 3, self.height, self.width

    @property
    def references(self) -> list[str]:
        """What prepare.py makes for the check: logits of the first and the last image, or the first losses."""
        size = f"{self.height}x{self.width}"
        if self.training:
            return [f"losses:{size}:{self.batch}"]
        return [f"reference:{size}:{i}" for i in sorted({0, self.batch - 1})]

    def entrants(self) -> tuple[Entrant, ...]:
        """Streams need images to share; ONNX Runtime cannot be held back from AVX-512, so it misses the AVX2 cases."""
        if self.training:
            return TRAINERS[self.precision]
        left_out = {"OpenVINO, streams"} if self.batch < 8 or self.threads < 2 else set()
        left_out |= {"ONNX Runtime"} if self.avx2 else set()
        # Compiling keeps a second copy of weights that are 3.7 GB, and each turn there would compile anew.
        left_out |= {"torch.compile"} if self.model == "R152x4" else set()
        if self.model != "R50x1" or self.height != 224:
            left_out.add("pybit, direct")
        return tuple(e for e in CONTENDERS[self.precision] if e.name not in left_out)


def _sizes(precision: str) -> list[Case]:
    r50 = [Case("R50x1", precision, 224, 224, batch) for batch in (1, 8, 32)]
    r50 += [Case("R50x1", precision, h, w, 1) for h, w in ((480, 480), (128, 128), (33, 65))]
    return r50 + [Case(model, precision, 224, 224, 1) for model in ("R101x1", "R50x3", "R101x3", "R152x2")]


ALL: tuple[Case, ...] = (
    *_sizes(FP32),
    *_sizes(BF16),
    *(Case("R50x1", precision, 224, 224, batch, threads=1) for precision in (FP32, BF16) for batch in (1, 8)),
    *(Case("R50x1", FP32, 224, 224, batch, threads, avx2=True) for batch, threads in ((1, 2), (8, 2), (1, 1))),
    Case("R152x4", FP32, 224, 224, 1),
    Case("R152x4", FP32, 480, 480, 1),
    *(
        Case(*c, training=True)
        for c in (
            ("R50x1", FP32, 128, 128, 16),
            ("R50x1", FP32, 224, 224, 4),
            ("R101x1", FP32, 128, 128, 16),
            ("R50x3", FP32, 128, 128, 8),
            ("R50x1", BF16, 128, 128, 16),
        )
    ),
)
OTHER_JOBS = ("startup", "memory", "sizes")  # of R50x1, measured otherwise than by rounds
QUICK = ("R50x1-fp32-224x224-b1-t2", "R50x1-fp32-224x224-b8-t2", "R50x1-bf16-224x224-b1-t2", "startup", "memory")


def select(patterns: str) -> list[Case | str]:
    """Jobs that a comma-separated list of names or wildcards means; "all" and "quick" are lists of their own.

    Raises ValueError if one means nothing.
    """
    jobs: dict[str, Case | str] = {case.name: case for case in ALL} | {name: name for name in OTHER_JOBS}
    wanted = list(jobs) if patterns == "all" else list(QUICK) if patterns == "quick" else patterns.split(",")
    found: dict[str, Case | str] = {}
    for pattern in wanted:
        hits = fnmatch.filter(jobs, pattern.strip())
        if not hits:
            raise ValueError(f'expected "all", "quick" or names of `--list` (wildcards allowed), got {pattern!r}')
        found |= {hit: jobs[hit] for hit in hits}
    return list(found.values())


def title_of(job: Mapping[str, Any]) -> str:
    """The title of what was measured: of its case as it is called now, or as its results call it."""
    return next((case.title for case in ALL if case.name == job.get("case")), job["title"])
