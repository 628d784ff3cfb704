# SPDX-License-Identifier: Apache-2.0
"""pybit convert"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pybit import _core, formats
from pybit.base.sizes import byte_text
from pybit.errors import ConfigError
from pybit.model.source import checkpoint_path

NAME = "convert"
HELP = "write a checkpoint of any format as .npz or .safetensors under another framework's names"
_NAMES = ("official", "timm", "transformers", "reference_torch")
_EXAMPLES = """examples:
  pybit convert BiT-M-R50x1.h5 r50x1.npz
  pybit convert BiT-M-R50x1-ILSVRC2012.npz model.safetensors --names timm
  pybit convert bit.pth.tar fine_tuned.npz --names official

Kernels and the head are laid out as the names' framework has them; values become float32 and change in nothing else."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EXAMPLES
    parser.add_argument("source", metavar="IN", help="a checkpoint of any supported format, or a TFHub folder")
    parser.add_argument("target", metavar="OUT", help="a file that ends in .npz or .safetensors")
    parser.add_argument(
        "--names",
        choices=_NAMES,
        default="official",
        help="whose names and layout to write (default: official, the release's)",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")
    parser.add_argument(
        "--allow-name-mismatch",
        action="store_true",
        help="accept a file whose name contradicts its content, such as the wrong files of the release",
    )


def run(args: argparse.Namespace) -> int:
    """Convert; prints the path of the new file."""
    target = Path(args.target)
    if target.suffix not in (".npz", ".safetensors"):
        raise ConfigError(f"{target}: expected a file that ends in .npz or .safetensors")
    if target.exists() and not args.force:
        raise FileExistsError(f"{target} is there already; --force replaces it")
    checkpoint = formats.open_any(checkpoint_path(args.source), allow_name_mismatch=args.allow_name_mismatch)
    for problem in checkpoint.problems:
        print(f"pybit: {args.source}: {problem}", file=sys.stderr)
    if target.suffix == ".npz":
        _core.write_npz(target, checkpoint, args.names)
        if checkpoint.metadata:
            print(
                f"pybit: .npz has no place for metadata; not written: {', '.join(sorted(checkpoint.metadata))}",
                file=sys.stderr,
            )
    else:
        metadata = dict(checkpoint.metadata) | _core.config_metadata(checkpoint.config)
        if args.names != "official":
            metadata.setdefault("format", "pt")  # transformers refuses safetensors files without it
        _core.write_safetensors(target, checkpoint, args.names, metadata)
    print(
        f"pybit: {len(checkpoint.tensors)} tensors, {byte_text(target.stat().st_size)}, {args.names} names",
        file=sys.stderr,
    )
    print(target)
    return 0
