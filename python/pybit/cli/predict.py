# SPDX-License-Identifier: Apache-2.0
"""pybit predict"""

from __future__ import annotations

import argparse
import dataclasses
import sys

from pybit import registry
from pybit.cli import _common, _inputs, _options, _predict_output
from pybit.data.batches import Skipped
from pybit.data.folders import Labelled
from pybit.data.inputs import collect
from pybit.data.options import ImageOptions
from pybit.inference import run as inference

NAME = "predict"
HELP = "classify images"
_EPILOG = """Predictions are written as soon as they are known. "-" stands for an image on standard input.

examples:
  pybit predict cat.jpg dog.png --model BiT-M-R50x1-ILSVRC2012
  pybit predict photos/ --model finetuned.safetensors --topk 1 --json
  pybit predict photos/ --model runs/photos --csv predictions.csv
  curl -s https://example.org/cat.jpg | pybit predict -
  pybit predict cat.jpg --model r50x1.npz --labels ilsvrc2012_wordnet_lemmas.txt"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMG",
        help="image files, folders, lists (.csv, .tsv), or - for standard input",
    )
    parser.add_argument("--topk", type=_common.positive, default=5, metavar="K", help="classes per image (default: 5)")
    parser.add_argument("--labels", metavar="FILE", help="class names, one per line, instead of the model's own")
    _options.add_activation(parser)
    _predict_output.add_options(parser)
    _common.add_model_options(parser)
    _common.add_image_options(parser)
    _inputs.add_list_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the likeliest classes of each image."""
    from pybit.hub import labels  # which pulls in the network libraries

    _common.check_inputs(args)
    _predict_output.check(args)
    given = _inputs.inputs_of(args.images, args, stdin=True)
    images = collect(given.paths if isinstance(given, Labelled) else given)
    model = _common.open_model(args)
    if args.labels:
        model.labels = labels.load(args.labels, model.num_classes)
    in_json = args.json or args.json_lines or args.json_report
    if model.labels is None and not in_json:
        card = registry.find_card(model.name)
        fetch = (
            f"`pybit download {card.labels}-labels` once, or " if card and card.labels in labels.DOWNLOADABLE else ""
        )
        print(f"pybit: note: class names are not known, numbers follow; {fetch}give --labels FILE", file=sys.stderr)
    skipped: list[Skipped] = []
    # On a terminal the predictions themselves show that the work goes on; a bar would be written between them.
    shown = not (args.csv or args.parquet) and sys.stdout is not None and sys.stdout.isatty()
    options = ImageOptions(
        _common.preprocessing_of(model, args),
        args.batch_size,
        args.threads,
        args.skip_corrupt,
        False if args.quiet or shown else None,
        args.max_pixels,
    )
    predictions = inference.iter_predict(
        model.loaded, images, options, topk=args.topk, activation=args.activation, skipped=skipped
    )
    done = 0
    try:
        with _predict_output.outputs(args, min(args.topk, model.num_classes), images, skipped) as outputs:
            for p in predictions:
                for output in outputs:
                    output.add(p if p.path is not None else dataclasses.replace(p, path=_inputs.STDIN))
                done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{done} of {images.total} predictions were written") from None
    _inputs.write_report(args, images.report)
    return 1 if skipped else 0
