# SPDX-License-Identifier: Apache-2.0
"""Classify images in four lines.

python examples/classify.py BiT-M-R50x1-ILSVRC2012.npz cat.jpg
"""

import sys

import pybit


def main(weights: str, *images: str) -> None:
    model = pybit.load(weights)
    for prediction in model.predict(list(images), topk=5):
        print(prediction.path)
        for label, probability in zip(prediction.labels, prediction.probabilities, strict=True):
            print(f"  {probability:.4f}  {label}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: classify.py CHECKPOINT IMAGE...")
    main(*sys.argv[1:])
