# SPDX-License-Identifier: Apache-2.0
"""Threads and the facts of this build and machine: what `pybit info` shows and what bug reports need."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pybit import _core
from pybit.base.sizes import whole_number
from pybit.base.version import __version__
from pybit.errors import ConfigError

_OPTIONAL = ("torch", "PIL", "h5py", "tqdm", "matplotlib", "timm", "transformers", "safetensors")
_RUNTIMES = ("libgomp", "libomp", "libiomp")


def check_threads(threads: int) -> int:
    """The argument `threads` of a call as an int. Raises ConfigError unless it is a whole number of at least 0."""
    if not isinstance(threads, bool) and isinstance(threads, (int, np.integer)) and threads < 0:
        raise ConfigError(f"expected 0 or more threads, got {threads}")
    return whole_number(threads, "threads", 0)


def set_num_threads(n: int) -> None:
    """Use at most `n` threads per call from now on; 0 restores the default.

    The default honours OMP_NUM_THREADS, the affinity mask and the control group's CPU quota. Every method with a
    `threads` argument can be given another number for one call. Raises ConfigError for a negative number.
    """
    _core.set_num_threads(check_threads(n))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.after_fork)


def get_num_threads() -> int:
    """The number of threads that a call uses unless it is told otherwise; always 1 in a forked process."""
    return _core.get_num_threads()


def openmp_runtimes() -> list[str]:
    """The paths of the OpenMP runtimes that this process has loaded; more than one can make programs slow or crash.

    The list is empty where the system has no /proc.
    """
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[-1] for line in maps.splitlines() if "/" in line}
    return sorted(p for p in paths if os.path.basename(p).startswith(_RUNTIMES))


def build_info() -> dict[str, Any]:
    """What this installation is, as a dict: versions, compiler, instruction sets, threads, OpenMP runtimes and
    packages.

    `pybit info` prints it. Values are text, numbers, lists and dicts, so that JSON can hold them.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    runtimes = openmp_runtimes()
    info: dict[str, Any] = {
        "version": __version__,
        **_core.build_info(),
        "threads": get_num_threads(),
        "cpus_allowed": affinity,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "openmp_runtimes": runtimes,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "optional": {n: n in sys.modules or importlib.util.find_spec(n) is not None for n in _OPTIONAL},
    }
    if len(runtimes) > 1:
        info["advice"] = (
            "more than one OpenMP runtime is loaded: import pybit before the others, or set threads=1 in one"
        )
    return info
