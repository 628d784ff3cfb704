# SPDX-License-Identifier: Apache-2.0
"""What stands for a checkpoint wherever one is asked for: a file, a run's folder, or a released model's name."""

from __future__ import annotations

import errno
import glob
import os

from pybit.errors import ConfigError
from pybit.registry import model_info

SUFFIXES = (".npz", ".safetensors", ".h5", ".pth", ".pt", ".bin", ".tar")


def checkpoint_path(source: str | os.PathLike[str]) -> str:
    """The path of the checkpoint that `source` stands for; a released model's is taken from the cache or downloaded.

    Other paths are returned as they are. Raises ConfigError for a folder that only holds runs, FileNotFoundError for a
    name that is neither a file's nor a released model's, and OSError for a failed download.
    """
    text = os.fspath(source)
    if looks_like_file(text) or not isinstance(source, str):
        return run_checkpoint(text)
    try:
        name = model_info(text).name
    except ConfigError as error:
        text = f"expected a checkpoint file, a run's folder or a released model's name: {error}"
        raise FileNotFoundError(errno.ENOENT, text, str(source)) from None
    from pybit import hub

    return os.fspath(hub.download(name))


def run_checkpoint(path: str) -> str:
    """`path`, or of a training run's folder its best checkpoint, or its last one if nothing was evaluated."""
    for name in ("best.safetensors", "last.safetensors"):
        if os.path.exists(inside := os.path.join(path, name)):
            return inside
        runs = sorted(glob.glob(os.path.join(glob.escape(path), "*", name)))
        if runs:
            names = ", ".join(os.path.dirname(run) for run in runs[:5])
            raise ConfigError(f"{path} is no run's folder but holds some: give one of {names}")
    return path


def looks_like_file(source: str) -> bool:
    """Whether a text means a file: it exists, or only a path is written like this."""
    return os.path.exists(source) or os.sep in source or source.lower().endswith(SUFFIXES)
