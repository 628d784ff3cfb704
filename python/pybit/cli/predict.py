# SPDX-License-Identifier: Apache-2.0
"""pybit predict"""

from __future__ import annotations

import argparse
import sys

from pybit import registry
from pybit.cli import _common, _inputs
from pybit.data.batches import Skipped
from pybit.data.folders import Labelled
from pybit.data.inputs import collect
from pybit.data.options import ImageOptions
from pybit.inference import run as inference

NAME = "predict"
HELP = "classify images"
_EPILOG = """examples:
  pybit predict cat.jpg dog.png --model BiT-M-R50x1-ILSVRC2012
  pybit predict photos/ --model finetuned.safetensors --topk 1 --json
  pybit predict cat.jpg --model r50x1.npz --labels ilsvrc2012_wordnet_lemmas.txt"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("images", nargs="+", metavar="IMG", help="image files, folders of them, or lists (.csv, .tsv)")
    parser.add_argument("--topk", type=_common.positive, default=5, metavar="K", help="classes per image (default: 5)")
    parser.add_argument("--labels", metavar="FILE", help="class names, one per line, instead of the model's own")
    parser.add_argument(
        "--sigmoid",
        action="store_true",
        help="independent probabilities per class, as the 21,843-class models were trained",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    _common.add_model_options(parser)
    _common.add_image_options(parser)
    _inputs.add_list_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the likeliest classes of each image."""
    from pybit.hub import labels  # which pulls in the network libraries

    _common.check_inputs(args)
    given = _inputs.inputs_of(args.images, args)
    images = collect(given.paths if isinstance(given, Labelled) else given)
    model = _common.open_model(args)
    if args.labels:
        model.labels = tuple(labels.load(args.labels, model.num_classes))
    if model.labels is None and not args.json:
        card = registry.find_card(model.name)
        fetch = (
            f"`pybit download {card.labels}-labels` once, or " if card and card.labels in labels.DOWNLOADABLE else ""
        )
        print(f"pybit: note: class names are not known, numbers follow; {fetch}give --labels FILE", file=sys.stderr)
    skipped: list[Skipped] = []
    options = ImageOptions(
        _common.preprocessing_of(model, args),
        args.batch_size,
        args.threads,
        args.skip_corrupt,
        False if args.quiet else None,
        args.max_pixels,
    )
    predictions = inference.predict(
        model.loaded,
        images,
        options,
        topk=args.topk,
        activation="sigmoid" if args.sigmoid else "softmax",
        skipped=skipped,
    )
    _inputs.write_report(args, images.report)
    if args.json:
        _common.print_json([p.as_dict() for p in predictions])
    else:
        for p in predictions:
            print(p.path)
            for label, probability in zip(p.labels, p.probabilities, strict=True):
                print(f"  {probability:8.4f}  {label}")
    return 1 if skipped else 0
