# SPDX-License-Identifier: Apache-2.0
"""run.py's side of a contender's process: it sends orders, receives answers, and stops it while others are timed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from figures import stat_ticks

HERE = Path(__file__).parent
# Libraries outside ours have no common switch for instruction sets; ONNX Runtime has none at all.
AVX2 = {
    "BIT_ISA": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


class ContenderError(RuntimeError):
    """A contender could not carry out an order; the message is its own."""


class Worker:
    """A contender in its own process. Use as a context manager: the process ends with the block."""

    def __init__(self, script: str, variant: str, threads: int, work: Path, avx2: bool = False) -> None:
        environment = dict(os.environ) | {"OMP_NUM_THREADS": str(threads), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"TORCHINDUCTOR_CACHE_DIR": str(work / ("inductor-avx2" if avx2 else "inductor"))}
        environment |= AVX2 if avx2 else {}
        self.started = time.perf_counter()
        (work / "logs").mkdir(parents=True, exist_ok=True)
        with open(work / "logs" / f"{Path(script).stem}-{variant.replace(' ', '-')}.log", "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / script), variant, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                bufsize=0,  # so that `select` sees all that has come
            )
        self.paused = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def send(self, order: dict[str, Any]) -> None:
        """Writes an order without waiting for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise ContenderError("its process ended") from None

    def receive(self, seconds: float = 900) -> dict[str, Any]:
        """Returns the next answer. Raises ContenderError if it is an error or comes too late, or the process ended."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            raise ContenderError(f"no answer within {seconds:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise ContenderError(f"its process ended with status {self.process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise ContenderError(reply["error"])
        return reply

    def ask(self, do: str, seconds: float = 900, **parts: Any) -> dict[str, Any]:
        """Sends an order and returns its answer."""
        self.send({"do": do, **parts})
        return self.receive(seconds)

    def pause(self) -> None:
        """Stops the process, with all its threads, until `resume`."""
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.process.send_signal(signal.SIGCONT)
            self.paused = False

    def ticks(self) -> int:
        """Returns the CPU time that the process has used, in clock ticks."""
        return stat_ticks(Path(f"/proc/{self.process.pid}/stat").read_text())
