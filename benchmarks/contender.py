# SPDX-License-Identifier: Apache-2.0
"""The worker's side: one contender in its own process, which reads one JSON object per line and answers each with one.

{"do": "load", "files": FOLDER, "model": "R50x1", "threads": 2}   import and load, seconds of both, versions
{"do": "shape", "shape": [n, 3, h, w]}                            first call at a shape, with what it needs before
{"do": "run", "warm": 2, "times": 5}                              seconds of each timed call
{"do": "logits", "path": FILE}                                    saves the last logits
{"do": "memory"}                                                  peak resident memory of the process in bytes
{"do": "quit"}
"""

from __future__ import annotations

import abc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from figures import status_bytes
from weights import Array, images


class Contender(abc.ABC):
    """One contender of a family; `variant` is the family's own word for which of them is meant."""

    def __init__(self, variant: str, threads: int) -> None:
        self.variant, self.threads = variant, threads

    @abc.abstractmethod
    def imports(self) -> dict[str, str]:
        """Imports the library. Returns the names and versions of the packages that compute."""

    @abc.abstractmethod
    def load(self, files: Path, model: str) -> None:
        """Reads the weights, from the format in which this library reads them fastest."""

    @abc.abstractmethod
    def prepare(self, batch: Array) -> None:
        """Puts the input where `run` reads it, and does what a new shape needs before the first call."""

    @abc.abstractmethod
    def run(self) -> Any:
        """Makes one call on the prepared batch. Returns the logits in any form that `logits` understands."""

    def logits(self, result: Any) -> Array:
        """Returns the result of `run` as an array."""
        return np.asarray(result, np.float32)


def answer(contender: Contender, order: dict[str, Any]) -> dict[str, Any]:
    """Carries out one order and returns its answer."""
    start = time.perf_counter()
    match order["do"]:
        case "load":
            versions = contender.imports()
            imported = time.perf_counter()
            contender.load(Path(order["files"]), order["model"])
            loaded = time.perf_counter()
            return {"versions": versions, "import": imported - start, "load": loaded - imported}
        case "shape":
            batch = images(tuple(order["shape"]))
            start = time.perf_counter()
            contender.prepare(batch)
            contender.run()
            return {"first": time.perf_counter() - start}
        case "run":
            for _ in range(order["warm"]):
                contender.run()
            seconds = []
            for _ in range(order["times"]):
                start = time.perf_counter()
                contender.run()
                seconds.append(time.perf_counter() - start)
            return {"seconds": seconds}
        case "logits":
            np.save(order["path"], contender.logits(contender.run()))
            return {}
        case "memory":
            return {"peak": status_bytes(Path("/proc/self/status").read_text())}
        case other:
            raise ValueError(f"expected an order of this file's head, got {other!r}")


def serve(make: Callable[[str, int], Contender]) -> None:
    """Answers orders until the last. What libraries print goes to stderr, so that stdout has nothing but answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contender = make(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "quit":
            break
        try:
            reply = answer(contender, order)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}".split("\n")[0][:300]}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()
    os._exit(0)  # skips what libraries do at exit, which takes seconds
