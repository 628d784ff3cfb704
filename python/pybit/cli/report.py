# SPDX-License-Identifier: Apache-2.0
"""pybit report"""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pybit.cli import _common
from pybit.data import datasets
from pybit.data.dataset import Dataset
from pybit.model import load
from pybit.train.page import measure, page
from pybit.train.run_files import Run, read_run

NAME = "report"
HELP = "write a training run as one HTML page: recipe, curve, confusion, worst images"
_EPILOG = """With DATA, what the run was trained on or other images with its classes, the best checkpoint is measured:
on the images that training left out if DATA is what it was trained on, otherwise on all of it.

examples:
  pybit report runs/pets -o pets.html
  pybit report runs/pets photos/ -o pets.html"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("run_folder", metavar="RUN", help="the run's folder")
    parser.add_argument("data", metavar="DATA", nargs="?", help="labelled images to measure on")
    parser.add_argument("--output", "-o", metavar="FILE", required=True, help="the page to write")
    parser.add_argument(
        "--worst", type=_common.positive, default=24, metavar="N", help="mistakes to show (default: 24)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    _common.check_output(args.output)
    found = read_run(Path(args.run_folder))
    measured = None
    if args.data is not None:
        measured = measure(load(found.folder), _images(found, args.data), args.worst)
    temporary = f"{args.output}.{os.getpid()}.part"
    try:
        Path(temporary).write_text(page(found, measured), encoding="utf-8")
        os.replace(temporary, args.output)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    print(args.output)
    return 0


def _images(run: Run, path: str) -> Dataset:
    """What the run held out of its own data, or all images of others."""
    flags = run.flags
    how: dict[str, Any] = {"order": flags.get("class_order", "natural"), "needs_train": False}
    if "validation_fraction" in flags:
        how |= {"validation_fraction": float(flags["validation_fraction"]), "seed": int(flags["split_seed"])}
        parts = datasets.open(path, **how)
        if len(parts.validation) and _is_of(run, parts.train, parts.validation):
            return parts.validation
    print("pybit: note: measured on all images, some of which the run may have been trained on", file=sys.stderr)
    parts = datasets.open(path, **how | {"validation_fraction": 0.0})
    return parts.validation if len(parts.validation) else parts.train


def _is_of(run: Run, train: Dataset, held_out: Dataset) -> bool:
    """Whether a run was trained and measured on these sets: as many images, the trained ones with the same labels."""
    measured = [event.get("examples") for event in run.evaluations[-1:]]
    if measured and measured != [len(held_out)]:
        return False
    labels = np.asarray(train.labels, np.uint64).tobytes()
    return run.flags.get("examples") == str(len(train)) and run.flags.get("labels_crc32") == str(zlib.crc32(labels))
