# SPDX-License-Identifier: Apache-2.0
"""Class names: from a file, from the release's label files in the cache, or from an installed package that ships them.

Nothing is copied into this package. ImageNet names come from WordNet; timm (Apache-2.0) ships them as data files,
torchvision (BSD-3-Clause) the 1,000 of ImageNet-1k; both are read without importing them, which would load torch.
"""

from pybit.hub.label_map import load_map
from pybit.hub.labels import DOWNLOADABLE, find, load, numbers, synsets

__all__ = ["DOWNLOADABLE", "find", "load", "load_map", "numbers", "synsets"]
