# SPDX-License-Identifier: Apache-2.0
"""Measures one case: all contenders in turns, round after round, so that drifts of the clock meet all of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, Entrant
from figures import gflop, parameters, summary
from machine import Neighbours, Peak, available_memory, versions
from prepare import losses_path, reference_path
from workers import HERE, ContenderError, Worker

# Largest deviation from the float64 reference, relative to its largest logit, with which a contender takes part:
# float32 networks deviate by 2e-6 to 3e-5, bfloat16 ones by up to 6e-2, a wrong network by about 1. Training is checked
# by its first losses: float32 deviates by 1e-5 to 1e-4, an update left out by 2e-2.
TOLERANCE = {"fp32": 2e-4, "bf16": 0.2}
LOSS_TOLERANCE = {"fp32": 2e-4, "bf16": 1e-2}
SLOT = 0.5  # seconds that a contender's turn should last, beside its warm-up
Say = Callable[[str], None]


def make_files(work: Path, model: str, families: list[str]) -> None:
    """Makes the files that contenders read, once and outside of all measurements. Raises CalledProcessError."""
    for family in families:
        subprocess.run([sys.executable, HERE / "prepare.py", work, model, family], check=True)


def check(worker: Worker, case: Case, work: Path) -> float:
    """Returns how far a contender's logits of the first and last image, or its first losses, are from the reference.

    The largest difference is divided by the largest logit of the reference. Raises ContenderError above TOLERANCE.
    """
    path = work / "logits.npy"
    worker.ask("logits", path=str(path))
    found = np.load(path)
    what, tolerance = ("losses", LOSS_TOLERANCE) if case.training else ("logits", TOLERANCE)
    if case.training:
        pairs = [(found, np.load(losses_path(work, case.model, case.height, case.width, case.batch)))]
    else:
        wanted = {i: np.load(reference_path(work, case.model, case.height, case.width, i)) for i in {0, case.batch - 1}}
        pairs = [(found[i], logits) for i, logits in wanted.items()]
    worst = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
    if not worst <= tolerance[case.precision]:
        raise ContenderError(f"refused: its {what} deviate by {worst:.1e} from the float64 reference")
    return worst


def enter(entrant: Entrant, case: Case, work: Path, stack: ExitStack) -> tuple[Worker, dict[str, Any]]:
    """Starts a contender, loads, checks and warms it up. Returns it with its times and the calls that fill its slot."""
    worker = stack.enter_context(Worker(entrant.script, entrant.variant, case.threads, work, case.avx2))
    found = worker.ask("load", files=str(work), model=case.model, threads=case.threads)
    found |= worker.ask("shape", shape=case.shape, seconds=1800)
    found["error"] = check(worker, case, work)
    if case.training:
        found["peak"] = worker.ask("memory")["peak"]
    trial = min(worker.ask("run", warm=0, times=2)["seconds"])
    found["times"] = max(1, min(50, round(SLOT / trial)))
    return worker, found


def turn(worker: Worker, times: int, neighbours: Neighbours) -> dict[str, Any]:
    """Times one contender in one round, on a machine that is idle if it gets so in time."""
    worker.resume()
    neighbours.wait()
    neighbours.start(worker.ticks())
    reply = worker.ask("run", warm=max(1, times // 4), times=times)
    others, steal = neighbours.share(worker.ticks())
    worker.pause()
    return {"seconds": reply["seconds"], "others": round(others, 4), "steal": round(steal, 4)}


def fits(case: Case) -> bool:
    """Returns whether all contenders of a case fit into memory at once."""
    factor = sum(e.memory for e in case.entrants()) + 0.3 * len(case.entrants()) / (4e-9 * parameters(case.model))
    return factor * 4 * parameters(case.model) < 0.7 * available_memory()


def measure(case: Case, work: Path, rounds: int, say: Say) -> dict[str, Any]:
    """Measures a case with its contenders in turns; where memory does not hold all, each is started in its turn."""
    start = time.perf_counter()
    families = {"npz", *(e.family for e in case.entrants())}
    say(f"{case.name}: files and reference")
    make_files(work, case.model, [f for f in ("npz", "torch", "onnx", "openvino") if f in families] + case.references)
    together = fits(case)
    rounds = rounds if together else min(rounds, 3)
    found: dict[str, dict[str, Any]] = {}
    turns: dict[str, list[dict[str, Any]]] = {}
    peaks: list[float] = []
    neighbours, peak = Neighbours(), Peak(work)
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for number in range(rounds):
            peaks.append(peak.measure(case.peak, case.threads))
            for entrant in case.entrants():
                name = entrant.name
                if "note" in found.get(name, {}):
                    continue
                with ExitStack() as own:
                    try:
                        if name not in workers or not together:
                            say(f"{case.name}: {name} starts")
                            worker, facts = enter(entrant, case, work, stack if together else own)
                            found.setdefault(name, facts)
                            workers[name] = worker
                            worker.pause()
                        turns.setdefault(name, []).append(turn(workers[name], found[name]["times"], neighbours))
                    except ContenderError as error:
                        say(f"{case.name}: {name}: {error}")
                        found[name] = {"note": str(error)}
            say(f"{case.name}: round {number + 1} of {rounds}")
    peak.close()
    for name, facts in found.items():
        if "note" not in facts:
            facts["time"] = summary(turns[name])
            facts["steal"] = max(t["steal"] for t in turns[name])
    return {
        "case": case.name,
        "title": case.title,
        # Backward multiplies twice as much as forward: once for the kernels, once for the maps.
        "gflop": (3 if case.training else 1) * gflop(case.model, case.batch, case.height, case.width),
        "peak": {"kind": case.peak, "gflops": max(peaks)},
        "interleaved": together,
        "contenders": found,
        "took": time.perf_counter() - start,
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        **versions(),
    }
