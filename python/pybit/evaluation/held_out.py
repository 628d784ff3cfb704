# SPDX-License-Identifier: Apache-2.0
"""Which images a training run left out, so that it is measured on those and on no others."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pybit.base.files import complete_file
from pybit.data.dataset import Dataset

NAME = "held_out.json"
"""The file in a run's folder that names the images."""

_LAST = 4096  # bytes of a file that are read: a page


@dataclass(frozen=True)
class Parts:
    """A data set divided as a run divided it, or not divided."""

    train: Dataset
    """What the run was trained on, and images that it never saw; all if the data are not the run's."""
    held_out: Dataset | None
    """What the run left out; None if the data are not the run's, or if it left out nothing."""
    note: str
    """A sentence on what is measured and why; empty if there is nothing to say."""


def write(folder: Path, examples: int, validation: Dataset) -> None:
    """Write the names, sizes and checksums of the images of `validation`, held out of `examples`, into a run's folder.

    Raises OSError if the file cannot be written.
    """
    import json  # imported when first used, as below: training imports this module

    images = [
        {"name": name, "bytes": size, "crc32": _checksum(validation.name(i))}
        for i, (name, size) in enumerate(_images(validation))
    ]
    with complete_file(str(folder / NAME), "w", encoding="utf-8") as file:
        json.dump({"examples": examples, "images": images}, file)


def divide(whole: Dataset, checkpoint: str, flags: Mapping[str, str]) -> Parts:
    """Divide a data set as the run divided it that wrote `checkpoint`, if the data are that run's.

    The run's folder tells it by the held-out images' names, sizes and checksums. For a checkpoint alone, `flags`, its
    bit.training.flags, tell how the run split its data and the CRC-32 of the labels that it was trained on.
    """
    import json

    record = Path(checkpoint).parent / NAME
    if record.is_file():
        found = _by_record(whole, json.loads(record.read_text(encoding="utf-8")))
        if found is not None:
            return found
    if float(flags.get("validation_fraction", 0)) == 0:
        return Parts(whole, None, "")
    train, validation = whole.split(float(flags["validation_fraction"]), int(flags["split_seed"]))
    labels = _trained_on(train, flags).labels
    if zlib.crc32(np.ascontiguousarray(labels, "<i8").tobytes()) != int(flags.get("labels_crc32", -1)):
        return Parts(whole, None, _others(len(whole), f"the run was trained on {flags.get('examples')} others"))
    note = f"measured on the {len(validation)} images that training left out, if these are the run's data"
    return Parts(train, validation, f"{note}: they have as many images of each class")


def _by_record(whole: Dataset, record: dict[str, Any]) -> Parts | None:
    """By the names in the run's folder; None if the run held out nothing."""
    wanted = {(image["name"], image["bytes"]): image["crc32"] for image in record["images"]}
    if not wanted:
        return None
    position = {image: i for i, image in enumerate(_images(whole))}
    found = sorted(
        position[image]
        for image, checksum in wanted.items()
        if image in position and _checksum(whole.name(position[image])) == checksum
    )
    if 2 * len(found) < len(wanted):
        # Perhaps the run's data were a folder above: then class and file name are the same.
        tails = {(_tail(name), size, checksum) for (name, size), checksum in wanted.items()}
        known_below = ((_tail(name), size, _checksum(whole.name(i))) in tails for (name, size), i in position.items())
        if len(whole) and all(known_below):
            return Parts(whole, None, f"measured on all {len(whole)} images, which training left out")
        known = f"{len(found)} of them are among those that training left out" if found else "none of them is known"
        return Parts(whole, None, _others(len(whole), known))
    rest = np.setdiff1d(np.arange(len(whole)), found)
    if len(found) == len(wanted):
        note = f"measured on the {len(found)} images that training left out"
    else:
        note = f"measured on {len(found)} of the {len(wanted)} images that training left out, the others are gone"
    if len(whole) != record["examples"]:
        note += (
            f"; the data have changed since, {record['examples']} images then and {len(whole)} today: --split all "
            "measures all, of which some were trained on"
        )
    return Parts(whole.subset(rest), whole.subset(found), note)


def _tail(name: str) -> str:
    return "/".join(name.split("/")[-2:])


def _others(count: int, why: str) -> str:
    return f"the data are not those that the run was trained on ({why}): all {count} images are measured"


def _trained_on(train: Dataset, flags: Mapping[str, str]) -> Dataset:
    """The images of each class that a few-shot run took."""
    few = re.fullmatch(r"(\d+) per class, seed (\d+)", flags.get("few_shot", ""))
    if few is None or min(train.core.counts, default=0) < int(few[1]):
        return train
    compat = flags.get("compat", "none")
    rule: Any = "exact" if compat == "none" else compat
    return train.few_shot(int(few[1]), int(few[2]), rule)


def _checksum(path: str) -> int | None:
    """The CRC-32 of a file's last bytes, which differ where pixels do, whatever the header; None without a file."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST))
            return zlib.crc32(file.read(_LAST))
    except OSError:
        return None


def _images(data: Dataset) -> list[tuple[str, int | None]]:
    """The name of each image, below the folder or the list's folder, and the bytes of its file; None without one."""
    base = data.source if os.path.isdir(data.source) else os.path.dirname(data.source)
    found: list[tuple[str, int | None]] = []
    for i in range(len(data)):
        name = data.name(i)
        try:
            size = os.stat(name).st_size
            found.append((Path(os.path.relpath(name, base or ".")).as_posix(), size))
        except (OSError, ValueError):
            found.append((name, None))
    return found
