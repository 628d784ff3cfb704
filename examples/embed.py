# SPDX-License-Identifier: Apache-2.0
"""Embed a folder with one folder per class, and see how far a few labels go.

python examples/embed.py BiT-M-R50x1.npz photos/ features.npz
"""

import sys

import pybit
from pybit import probe


def main(weights: str, folder: str, output: str) -> None:
    model = pybit.load(weights, head="drop")
    features = model.embed(folder, batch_size=16)
    features.save(output)
    print(features)
    if features.classes is not None:
        rows, similarity = probe.nearest(features.features, features.features[:1], k=2)
        print(f"most like {features.paths[0]}: {features.paths[rows[0, 1]]} (cosine {similarity[0, 1]:.3f})")
        print(probe.few_shot(features.features, features.classes, shots=(1, "full")))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: embed.py CHECKPOINT FOLDER OUTPUT.npz")
    main(*sys.argv[1:])
