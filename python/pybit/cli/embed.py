# SPDX-License-Identifier: Apache-2.0
"""pybit embed"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pybit.cli import _common, _inputs
from pybit.data.folders import Labelled, labelled_files
from pybit.data.inputs import collect
from pybit.data.options import ImageOptions
from pybit.errors import FormatError
from pybit.inference import store
from pybit.network.source import Loaded

NAME = "embed"
HELP = "compute features of images and write them to a file"
_EPILOG = """A .npz file holds `features` (N, D), `paths` (N) and, for folders with one folder per class or for several
folders, `classes` (N) and `class_names`; `pybit probe` reads it, and so does numpy.load. A .npy file holds the features
alone, FILE.npy.csv beside it the paths and classes. A .parquet file (needs pyarrow) has a row per image.

Features are kept in FILE.part while they are computed, whatever stops the command; the same command then goes on.

examples:
  pybit embed photos/ -o features.npz
  pybit embed cats/ dogs/ -o features.npz
  pybit embed a.jpg b.jpg --model r50x1.npz -o two.npy"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("images", nargs="+", metavar="PATH", help="folders, image files, or a list (.csv, .tsv)")
    parser.add_argument("--output", "-o", required=True, metavar="FILE", help="the file to write: .npz, .npy, .parquet")
    _common.add_model_options(parser)
    _common.add_image_options(parser)
    _inputs.add_list_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write the features."""
    _common.check_table(args.output, store.ENDINGS)
    _common.check_output(args.output)
    _common.check_inputs(args)
    inputs = _inputs.inputs_of(args.images, args)
    labelled = labelled_files(inputs)
    found = collect(inputs if labelled is None else labelled.paths)
    report = found.report if labelled is None else labelled.report
    if report is not None:
        report.warn()
    files = [Path(os.fspath(source.value)) for source in found]
    model = _common.open_model(args)
    options = ImageOptions(
        _common.preprocessing_of(model, args),
        args.batch_size,
        args.threads,
        args.skip_corrupt,
        False if args.quiet else None,
        args.max_pixels,
    )
    done = _embed(model.loaded, files, labelled, options, args)
    _inputs.write_report(args, report)
    print(f"pybit: wrote {len(done.positions)} x {done.width} features to {args.output}", file=sys.stderr)
    return 1 if done.skipped else 0


def _embed(
    model: Loaded, files: list[Path], labelled: Labelled | None, options: ImageOptions, args: argparse.Namespace
) -> store.FeatureStore:
    steps = store.embed_to_store(model, files, labelled, options, args.output)
    current = next(steps)
    if current.replaced:
        text = f"{current.folder} was of another model, preprocessing or set of files: it was emptied"
        print(f"pybit: note: {text}", file=sys.stderr)
    elif current.next:
        text = f"going on after {current.next} of {len(files)} images, as {current.folder} has them"
        print(f"pybit: note: {text}", file=sys.stderr)
    try:
        for _ in steps:
            pass
    except (KeyboardInterrupt, FormatError, OSError) as error:
        kept = f"{len(current.positions)} of {len(files)} are kept in {current.folder}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"{kept}; the same command goes on from there") from None
        print(f"pybit: note: {kept}; the same command with --skip-corrupt goes on from there", file=sys.stderr)
        raise
    current.finish(labelled, files)
    return current
