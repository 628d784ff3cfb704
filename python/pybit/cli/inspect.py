# SPDX-License-Identifier: Apache-2.0
"""pybit inspect"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pybit import formats, registry
from pybit.base.architectures import architecture_name
from pybit.base.sizes import byte_text
from pybit.errors import FormatError
from pybit.model.source import checkpoint_path

NAME = "inspect"
HELP = "tell what a checkpoint holds and what is wrong with it"
_EXAMPLES = """examples:
  pybit inspect BiT-M-R50x1.npz
  pybit inspect --values --json model.safetensors
  pybit inspect BiT-M-R50x1-run0-caltech101.tfhub/

Exit code 1 if there is a problem with one of the files."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="a checkpoint of any supported format, a TFHub folder, a run's folder (its best "
        "checkpoint), or a released model's name",
    )
    parser.add_argument("--json", action="store_true", help="print JSON: an object per file (a list for several)")
    parser.add_argument("--tensors", action="store_true", help="list all tensors")
    parser.add_argument(
        "--values", action="store_true", help="read everything and look for NaN, infinities and dead filters"
    )


def describe(path: str, values: bool = False, tensors: bool = False) -> dict[str, Any]:
    """What the command prints, as JSON-ready values; FormatError becomes an entry of "problems", OSError is thrown."""
    place = Path(checkpoint_path(path))
    about: dict[str, Any] = {"file": path, "size": formats.byte_count(place)}
    try:
        checkpoint = formats.open_any(place, allow_extra_tensors=True, allow_name_mismatch=True)
    except FormatError as error:
        return about | {"format": None, "problems": [str(error)]}
    config = checkpoint.config
    shapes = checkpoint.tensors
    card = registry.find_card(place.name)
    about |= {
        "format": checkpoint.format,
        "names": checkpoint.naming,
        "architecture": _architecture(config),
        "units": list(config.units),
        "stem_channels": config.stem_channels,
        "in_channels": config.in_channels,
        "classes": config.num_classes,
        "dtype": sorted({dtype for _, _, dtype in shapes}),
        "tensors": len(shapes),
        "parameters": checkpoint.num_parameters,
        "released_as": card.name if card else None,
        "metadata": dict(checkpoint.metadata),
        "problems": list(checkpoint.problems),
    }
    if values:
        about["problems"] += checkpoint.find_bad_values()
    if card is not None and card.num_classes not in (None, config.num_classes):
        about["problems"].append(
            f"{card.name} was released with {card.num_classes} classes, this file has {config.num_classes}"
        )
    if tensors:
        about["tensor_list"] = [{"name": name, "shape": list(shape), "dtype": dtype} for name, shape, dtype in shapes]
    return about


def _architecture(config: Any) -> str:
    if name := architecture_name(config.units, config.stem_channels):
        return name
    return f"units {', '.join(map(str, config.units))}, stem of {config.stem_channels} channels"


def _lines(about: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("file", about["file"]), ("size", byte_text(about["size"]))]
    if about["format"] is not None:
        lines += [
            ("format", f"{about['format']}, {about['names']} names"),
            ("architecture", about["architecture"]),
            ("classes", str(about["classes"]) if about["classes"] else "none (no head)"),
            ("input channels", str(about["in_channels"])),
            ("dtype", ", ".join(about["dtype"])),
            ("tensors", str(about["tensors"])),
            ("parameters", f"{about['parameters']:,}"),
        ]
        if about["released_as"]:
            lines.append(("released as", f"{about['released_as']} (by its name)"))
        # Labels of 21,843 classes would fill the screen.
        lines += [
            (f"metadata {key}", value if len(value) <= 100 else f"{value[:97]}...")
            for key, value in about["metadata"].items()
        ]
    lines += [("problem", text) for text in about["problems"]] or [("problems", "none found")]
    return lines


def run(args: argparse.Namespace) -> int:
    """Describe every file; 1 if one of them has a problem."""
    found = [describe(path, args.values, args.tensors) for path in args.files]
    if args.json:
        json.dump(found[0] if len(found) == 1 else found, sys.stdout, indent=2)
        print()
    else:
        for number, about in enumerate(found):
            if number:
                print()
            for key, value in _lines(about):
                print(f"{key:<14}  {value}")
            for tensor in about.get("tensor_list", ()):
                print(f"  {tensor['dtype']:<9} {'x'.join(map(str, tensor['shape'])):<16} {tensor['name']}")
    return 1 if any(about["problems"] for about in found) else 0
