# SPDX-License-Identifier: Apache-2.0
"""Measures fresh processes: the time until the first logits, peak memory, and the disk space of an installation."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cases import BF16, CONTENDERS, FP32, STARTERS, Case, Entrant
from figures import parameters, summary
from machine import Neighbours, versions
from rounds import Say, check, make_files
from workers import HERE, ContenderError, Worker

MODEL = "R50x1"
SHAPE = (1, 3, 224, 224)
FAMILIES = ["npz", "torch", "onnx", "openvino", "reference:224x224:0"]
# What a user installs for each contender; all need the interpreter, which is not counted.
PACKAGES = {
    "pybit": ["big-transfer"],
    "OpenVINO": ["openvino"],
    "ONNX Runtime": ["onnxruntime"],
    "PyTorch": ["torch", "numpy"],
}


def closing(found: dict[str, Any], start: float) -> dict[str, Any]:
    """Returns the part that the results of all jobs have in common: contenders, duration, date and commit."""
    date = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return {"contenders": found, "took": time.perf_counter() - start, "date": date, **versions()}


def start_once(entrant: Entrant, work: Path, neighbours: Neighbours) -> dict[str, Any]:
    """Times one fresh process from its start to the first logits; all orders are sent at once."""
    neighbours.wait()
    neighbours.start(0)
    with Worker(entrant.script, entrant.variant, 2, work) as worker:
        worker.send({"do": "load", "files": str(work), "model": MODEL})
        worker.send({"do": "shape", "shape": SHAPE})
        loaded, called = worker.receive(), worker.receive()
        total = time.perf_counter() - worker.started
        others, _ = neighbours.share(worker.ticks())
        error = check(worker, Case(MODEL, FP32, 224, 224, 1), work)
    parts = {key: loaded[key] for key in ("import", "load")} | {"first": called["first"]}
    return {"seconds": [total], "others": others, "parts": parts, "error": error, "versions": loaded["versions"]}


def measure_start(work: Path, rounds: int, say: Say) -> dict[str, Any]:
    """Load and first logits of fresh processes, interleaved.

    Each start follows one that is not counted, so that its files are in the page cache.
    """
    begin = time.perf_counter()
    make_files(work, MODEL, FAMILIES)
    found: dict[str, dict[str, Any]] = {}
    runs: dict[str, list[dict[str, Any]]] = {}
    neighbours = Neighbours()
    for number in range(rounds):
        for entrant in STARTERS:
            if "note" in found.get(entrant.name, {}):
                continue
            try:
                start_once(entrant, work, neighbours)
                run = start_once(entrant, work, neighbours)
            except ContenderError as error:
                say(f"startup: {entrant.name}: {error}")
                found[entrant.name] = {"note": str(error)}
                continue
            runs.setdefault(entrant.name, []).append(run)
        say(f"startup: round {number + 1} of {rounds}")
    for name, those in runs.items():
        if name not in found:
            best = min(those, key=lambda run: float(run["seconds"][0]))
            found[name] = {key: best[key] for key in ("parts", "error", "versions")} | {"time": summary(those)}
    return {"title": f"{MODEL}, fresh process to first logits", **closing(found, begin)}


def measure_memory(work: Path, say: Say) -> dict[str, Any]:
    """Peak resident memory of fresh processes that load the network and call it three times."""
    begin = time.perf_counter()
    make_files(work, MODEL, FAMILIES)
    found: dict[str, dict[str, Any]] = {}
    entrants = [e for e in STARTERS if e.name != "OpenVINO, cached"]
    entrants += [e for e in CONTENDERS[FP32] if e.name == "torch.compile"]
    both = (e for e in CONTENDERS[BF16] if e.name in ("pybit", "OpenVINO"))
    half = [Entrant(f"{e.name}, bf16", e.script, e.variant, e.family, 0) for e in both]
    for entrant in (*entrants, *half):
        try:
            with Worker(entrant.script, entrant.variant, 2, work) as worker:
                worker.ask("load", files=str(work), model=MODEL)
                worker.ask("shape", shape=SHAPE)
                worker.ask("run", warm=0, times=3)
                found[entrant.name] = {"peak": worker.ask("memory")["peak"]}
        except ContenderError as error:
            found[entrant.name] = {"note": str(error)}
        say(f"memory: {entrant.name}: {found[entrant.name]}")
    content = 4 * parameters(MODEL) + 4 * SHAPE[1] * SHAPE[2] * SHAPE[3]
    return {"title": f"{MODEL}, peak memory, batch 1", "content": content, **closing(found, begin)}


def folder_bytes(folder: Path) -> int:
    """Returns the bytes of all files under a folder; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def measure_sizes(work: Path, say: Say) -> dict[str, Any]:
    """Installs each contender, with all that it needs, into an empty folder and counts the bytes."""
    begin = time.perf_counter()
    found: dict[str, dict[str, Any]] = {}
    for name, packages in PACKAGES.items():
        target = work / "install" / name.replace(" ", "-")
        shutil.rmtree(target, ignore_errors=True)
        wanted = [pinned(package) for package in packages]
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            found[name] = {"note": (done.stderr.strip().splitlines() or ["pip failed"])[-1][:300]}
        else:
            parts = {p.name: folder_bytes(p) if p.is_dir() else p.stat().st_size for p in target.iterdir()}
            found[name] = {
                "bytes": sum(parts.values()),
                "largest": dict(sorted(parts.items(), key=lambda p: -p[1])[:5]),
            }
        shutil.rmtree(target, ignore_errors=True)
        say(f"sizes: {name}: {found[name]}")
    return {"title": "disk space of an installation", **closing(found, begin)}


def pinned(package: str) -> str:
    """Returns the pip requirement of what is measured: this checkout's wheel, or the installed version of a peer."""
    if package == "big-transfer":
        wheels = sorted((HERE.parent / "build/wheel/dist").glob("big_transfer-*.whl"), key=lambda p: p.stat().st_mtime)
        return str(wheels[-1] if wheels else HERE.parent)
    from importlib.metadata import version

    return f"{package}=={version(package)}"
