# SPDX-License-Identifier: Apache-2.0
"""pybit download"""

from __future__ import annotations

import argparse
import re

from pybit import hub
from pybit.errors import ConfigError

NAME = "download"
HELP = "fetch released models into the cache and print where they are"
_EXAMPLES = """examples:
  pybit download BiT-M-R50x1-ILSVRC2012 imagenet-1k-labels
  pybit download BiT-M-R50x1 --format h5
  pybit download BiT-M-R50x1 --mirror https://mirror.example.org/bit_models
  pybit download https://example.org/my_model.npz

An interrupted download goes on where it stopped. Environment: PYBIT_CACHE (folder), PYBIT_MIRROR (address),
PYBIT_OFFLINE=1."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="a model of `pybit list`, imagenet-1k-labels, imagenet-21k-labels, or an http(s) address",
    )
    parser.add_argument(
        "--format", choices=("npz", "h5", "tfhub", "safetensors", "torch"), help="instead of the preferred one"
    )
    parser.add_argument(
        "--mirror", metavar="URL", help="base address to use instead of the release's bucket and the hub"
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="folder to use instead of the user's cache")
    parser.add_argument("--offline", action="store_true", help="only look into the cache and verify")
    parser.add_argument("--check", action="store_true", help="recompute the SHA-256 of what is already in the cache")
    parser.add_argument("--sha256", metavar="HEX", help="what the file must hash to (one NAME only)")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Fetch what is missing; prints one path per name."""
    if args.sha256 and len(args.names) != 1:
        raise ConfigError("--sha256 goes with one NAME")
    if args.sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", args.sha256):
        raise ConfigError(f"expected --sha256 of 64 hexadecimal digits, got {args.sha256!r}")
    for name in args.names:
        path = hub.download(
            name,
            args.cache_dir,
            args.mirror,
            True if args.offline else None,
            False if args.quiet else None,
            format=args.format,
            sha256=args.sha256,
            full_check=args.check,
        )
        print(path, flush=True)
    return 0
