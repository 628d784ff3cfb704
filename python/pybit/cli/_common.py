# SPDX-License-Identifier: Apache-2.0
"""Options and small helpers that several commands share; no command itself."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from pybit.data.folders import LISTS
from pybit.data.inputs import collect
from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError, FormatError
from pybit.inference.results import Embeddings
from pybit.inference.tables import pyarrow
from pybit.model import Model, create_model, load
from pybit.model.released import config_of
from pybit.model.source import looks_like_file as looks_like_file
from pybit.model.source import run_checkpoint as run_checkpoint
from pybit.network.options import ALGORITHMS, DTYPES
from pybit.registry import model_info
from pybit.report.describe import unknown_preprocessing

DEFAULT_MODEL = "BiT-M-R50x1-ILSVRC2012"


def positive(text: str) -> int:
    """An argparse type: a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return value


def image_size(text: str) -> tuple[int, int]:
    """An argparse type: "224" or "480x640" (height x width)."""
    parts = text.lower().split("x")
    if len(parts) in (1, 2) and all(p.isdecimal() and int(p) > 0 for p in parts):
        return int(parts[0]), int(parts[-1])
    raise argparse.ArgumentTypeError(f"expected a size like 224 or 480x640 (height x width), got {text!r}")


def fraction(text: str) -> float:
    """An argparse type: a number above 0 and at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and at most 1, got {text!r}")
    return value


def check_table(path: str, endings: tuple[str, ...]) -> None:
    """Raise ConfigError for a table of another kind, ImportError for Parquet without pyarrow."""
    require(path.lower().endswith(endings), f"expected a file that ends in {' or '.join(endings)}, got {path}")
    if path.lower().endswith(".parquet"):
        pyarrow()


def add_model_options(parser: argparse.ArgumentParser, default: str | None = DEFAULT_MODEL) -> None:
    """--model and what goes with it."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        "-m",
        metavar="NAME_OR_FILE",
        default=default,
        help="a checkpoint file of any supported format, or a name from `pybit list`, which is taken "
        f"from the cache or downloaded (default: {default})",
    )
    group.add_argument(
        "--untrained",
        action="store_true",
        help="use seeded random weights instead of trained ones: only to try the command out",
    )
    add_compute_options(group)


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """A network whose weights do not matter, and what it would be given: NAME_OR_FILE, --size, --batch-size, --json."""
    parser.add_argument("model", metavar="NAME_OR_FILE", help="a name from `pybit list` or a checkpoint file")
    parser.add_argument("--size", type=image_size, default=(224, 224), metavar="HxW", help="input size (default: 224)")
    parser.add_argument("--batch-size", type=positive, default=1, metavar="N", help="images (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_compute_options(group: Any) -> None:
    """How a network computes: --dtype, --algorithm, --threads; `group` is a parser or a group of its options."""
    group.add_argument("--dtype", default="float32", choices=DTYPES, help="what to compute in")
    group.add_argument(
        "--algorithm",
        default="auto",
        choices=ALGORITHMS,
        help="of 3x3 convolutions (default: auto, chosen per layer, batch and size)",
    )
    group.add_argument("--threads", type=positive, default=0, metavar="N", help="threads to use (default: all allowed)")


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """How images are read."""
    group = parser.add_argument_group("images")
    group.add_argument("--size", type=image_size, metavar="HxW", help="input size instead of the model's own")
    group.add_argument(
        "--mode",
        choices=("squash", "center_crop"),
        help="resize to the size whatever the aspect, or the shortest edge and cut the centre, instead of the model's "
        "own way",
    )
    group.add_argument("--interpolation", choices=("bilinear", "bicubic"), help="instead of the model's own")
    group.add_argument(
        "--crop-pct", type=fraction, metavar="P", help="part of the shortest edge that center_crop keeps, e.g. 0.875"
    )
    group.add_argument(
        "--batch-size", type=positive, metavar="N", help="images per batch (default: chosen for the model and the size)"
    )
    group.add_argument(
        "--skip-corrupt",
        action="store_true",
        help="leave out files that cannot be decoded and name them; the exit code is then 1",
    )
    group.add_argument("--quiet", "-q", action="store_true", help="no progress bar")


def checkpoint_file(source: str) -> str:
    """The file that NAME_OR_FILE means: that of a run's folder, or a released model's, from the cache or downloaded."""
    if looks_like_file(source):
        return run_checkpoint(source)
    name = model_info(source).name
    from pybit import hub

    return os.fspath(hub.download(name))


def open_model(args: argparse.Namespace) -> Model:
    """The model that the options ask for. Raises OSError or ValueError."""
    options = {"dtype": args.dtype, "algorithm": args.algorithm}
    if args.untrained:
        print("pybit: the weights are random: what follows shows the mechanics, it means nothing", file=sys.stderr)
        return create_model(args.model, **options)
    if looks_like_file(args.model):
        return load(run_checkpoint(args.model), **options)
    return create_model(args.model, pretrained=True, **options)


def preprocessing_of(model: Model, args: argparse.Namespace) -> PreprocessSpec:
    """The model's preprocessing with what the options change; a note says so if it is a guess."""
    given = {name: getattr(args, name) for name in ("size", "mode", "interpolation", "crop_pct")}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes and not args.untrained and not model.preprocessing_is_known:
        note = unknown_preprocessing(model.loaded, "give --size and --mode (--interpolation, --crop-pct)")
        print(f"pybit: note: {note}", file=sys.stderr)
    return dataclasses.replace(model.preprocessing, **changes)


def embed_files(model: Model, inputs: Any, args: argparse.Namespace) -> Embeddings:
    """Features of a folder or of image files as the options ask for."""
    found = model.embed(
        inputs,
        args.batch_size,
        threads=args.threads,
        skip_corrupt=args.skip_corrupt,
        progress=False if args.quiet else None,
        preprocessing=preprocessing_of(model, args),
        max_pixels=args.max_pixels,
    )
    assert isinstance(found, Embeddings)  # files always are
    return found


def check_inputs(args: argparse.Namespace) -> None:
    """Raise for images that are not there and for a model that cannot be meant, both at once if both are wrong."""
    problems: list[OSError | ValueError] = []
    checks: list[tuple[Callable[[Any], None], Any]] = [(check_images, args.images), (check_model, args)]
    for check, subject in checks:
        try:
            check(subject)
        except (OSError, ValueError) as e:
            problems.append(e)
    if len(problems) == 2:
        kind = OSError if isinstance(problems[0], OSError) else FormatError
        raise kind(f"{reason(problems[0])}; and {reason(problems[1])}")
    if problems:
        raise problems[0]


def check_model(args: argparse.Namespace) -> None:
    """Raise for a checkpoint file that is not there and for an unknown name; reads and fetches nothing."""
    if args.untrained:
        config_of(args.model)
    elif looks_like_file(args.model):
        os.stat(args.model)
    else:
        model_info(args.model)


def check_images(paths: Sequence[str]) -> None:
    """Raise for files that are not there and folders without images, before a large model is loaded or fetched."""
    files = [path for path in paths if path != "-"]
    for path in files:
        os.stat(path)
    collect([path for path in files if not path.lower().endswith(LISTS)])


def check_output(path: str) -> None:
    """Raise if a new file cannot be written at `path`, before long work is done for it."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "expected a file to write, this is a folder", path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "cannot write here: the folder does not exist", path)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        raise OSError(e.errno, f"cannot write here: {e.strerror}", path) from None


def print_json(value: Any) -> None:
    """One JSON document on standard output; in escapes if a file's name or a label does not fit its encoding."""
    print(json_text(value, 2))


def json_text(value: Any, indent: int | None) -> str:
    """A value as JSON that standard output can show."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent, allow_nan=False)
    return text


def require(holds: bool, message: str) -> None:
    """Raise a mistake in the command unless `holds`."""
    if not holds:
        raise ConfigError(message)


def reason(error: Exception) -> str:
    """One line on what went wrong, without the system's error number."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{os.fspath(error.filename)!r}: {error.strerror}" if error.filename else error.strerror
    return " ".join(text.split()) or type(error).__name__
