# SPDX-License-Identifier: Apache-2.0
"""pybit export"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pybit.base.sizes import byte_text
from pybit.cli import _common
from pybit.errors import ConfigError
from pybit.export.onnx import export_onnx

NAME = "export"
HELP = "write a model as an ONNX file, with a test vector, and check it with the runtimes that are installed"
_EXAMPLES = """examples:
  pybit export BiT-M-R50x1-ILSVRC2012 -o r50x1.onnx
  pybit export r50x1.npz -o features.onnx --outputs pooled --batch-size 1 --size 224
  pybit export r50x1.npz -o photos.onnx --preprocessing

Nothing is needed to write the file. ONNX Runtime and OpenVINO, where they are installed, run the test vector."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EXAMPLES
    parser.add_argument("model", metavar="NAME_OR_FILE", help="a name from `pybit list` or a checkpoint file")
    parser.add_argument("--output", "-o", metavar="FILE.onnx", required=True, help="the new file")
    parser.add_argument("--force", action="store_true", help="replace FILE.onnx if it is there")
    parser.add_argument("--untrained", action="store_true", help="random weights: only to try the command out")
    parser.add_argument(
        "--outputs",
        metavar="NAMES",
        help="logits, pooled, features, stem, root, block1..4 or units such as block1/unit01, separated by commas "
        "(default: logits, or pooled without a head)",
    )
    parser.add_argument("--opset", type=_common.positive, default=18, metavar="N", help="13 to 23 (default: 18)")
    parser.add_argument(
        "--batch-size", type=_common.positive, metavar="N", help="fixed number of images (default: any)"
    )
    parser.add_argument("--size", type=_common.image_size, metavar="HxW", help="fixed size of images (default: any)")
    parser.add_argument(
        "--preprocessing",
        action="store_true",
        help="the model's preprocessing is part of the graph: its input is uint8 pixels (n,h,w,3)",
    )
    parser.add_argument(
        "--external-data", action="store_true", help="weights in FILE.onnx.data (default: only above 1.9 GB)"
    )
    parser.add_argument("--no-test-vector", action="store_true", help="do not write FILE.onnx.npz")
    parser.add_argument("--no-check", action="store_true", help="do not run the file with ONNX Runtime and OpenVINO")


def run(args: argparse.Namespace) -> int:
    """Export; prints the path of the new file. The exit code is 1 if a runtime's results are off."""
    if Path(args.output).exists() and not args.force:
        raise FileExistsError(f"{args.output} is there already; --force replaces it")
    if not args.output.endswith(".onnx"):
        raise ConfigError(f"{args.output}: expected a file that ends in .onnx")
    _common.check_output(args.output)
    args.dtype, args.algorithm = "float32", "auto"
    done = export_onnx(
        _common.open_model(args),
        args.output,
        outputs=None if args.outputs is None else args.outputs.split(","),
        opset=args.opset,
        batch=args.batch_size,
        size=args.size,
        preprocessing=args.preprocessing,
        external_data=args.external_data or None,
        test_vector=not args.no_test_vector,
        check=not args.no_check,
    )
    files = [path for path in (done.path, done.data, done.test_vector) if path is not None]
    for path in files:
        print(f"pybit: {path}: {byte_text(path.stat().st_size)}", file=sys.stderr)
    for name, error in done.errors.items():
        print(f"pybit: {name}: largest difference {error:.1e} of the largest value", file=sys.stderr)
    if not done.errors:
        print("pybit: not checked" + ("" if args.no_check else ": no runtime is installed"), file=sys.stderr)
    print(done.path)
    return 0 if done.agrees else 1
