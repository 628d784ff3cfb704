# SPDX-License-Identifier: Apache-2.0
"""pybit embed"""

from __future__ import annotations

import argparse
import sys

from pybit.cli import _common, _inputs

NAME = "embed"
HELP = "compute features of images and write them to an npz file"
_EPILOG = """The file holds `features` (N, D), `paths` (N) and, for folders with one folder per class or for several
folders, `classes` (N) and `class_names`; `pybit probe` reads it, and so does numpy.load.

examples:
  pybit embed photos/ -o features.npz
  pybit embed cats/ dogs/ -o features.npz
  pybit embed a.jpg b.jpg --model r50x1.npz -o two.npz"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("images", nargs="+", metavar="PATH", help="folders, image files, or a list (.csv, .tsv)")
    parser.add_argument("--output", "-o", required=True, metavar="FILE", help="the npz file to write")
    _common.add_model_options(parser)
    _common.add_image_options(parser)
    _inputs.add_list_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write the features."""
    _common.require(args.output.endswith(".npz"), f"expected an output file that ends in .npz, got {args.output}")
    _common.check_output(args.output)
    _common.check_inputs(args)
    inputs = _inputs.inputs_of(args.images, args)
    model = _common.open_model(args)
    found = _common.embed_files(model, inputs, args)
    found.save(args.output)
    _inputs.write_report(args, found.report)
    print(f"pybit: wrote {found.shape[0]} x {found.shape[1]} features to {args.output}", file=sys.stderr)
    return 1 if found.skipped else 0
