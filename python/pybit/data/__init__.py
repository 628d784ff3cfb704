# SPDX-License-Identifier: Apache-2.0
"""Images to network input: decoding, exact resizing, normalisation, batches prepared ahead by threads.

An image is, in every function of this module:

- a path (JPEG, PNG, BMP or WebP; GIF, TIFF, AVIF and rarer kinds through Pillow, HEIC through pillow-heif, if they are
  there; of animations the first frame);
- the file as bytes, opened for reading (anything with `read()`, uploads too), or a dict `{"bytes": ..., "path": ...}`;
- a PIL image of any mode;
- an array: uint8 in 0..255 or float in [0,1], shape (H,W), (H,W,1), (H,W,3) or (H,W,4), alpha is dropped.

Several images are a folder (searched recursively, natural order), an array (N,H,W,C), a list (.csv, .tsv) with paths
and labels, a table's column, or any iterable of the above. What is no list or array is a stream: it is walked once, a
few batches at a time, and may reuse its buffers.
Images are turned upright by EXIF or XMP; grey is repeated to RGB; of more than 8 bits the highest 8 are kept
(docs/images.md).
"""

from pybit.data.batches import Batch, BatchIterator, Skipped, iterate_batches
from pybit.data.collection import Collection, LeftOut, Report, read_collection
from pybit.data.images import (
    ImageInfo,
    list_images,
    list_labelled_images,
    preprocess,
    read_image,
    read_image_info,
    resize,
)
from pybit.data.options import ImageOptions, Interpolation, Layout, Mode, PreprocessSpec, Resampling

__all__ = [
    "Batch",
    "BatchIterator",
    "Collection",
    "ImageInfo",
    "ImageOptions",
    "Interpolation",
    "Layout",
    "LeftOut",
    "Mode",
    "PreprocessSpec",
    "Report",
    "Resampling",
    "Skipped",
    "iterate_batches",
    "list_images",
    "list_labelled_images",
    "preprocess",
    "read_collection",
    "read_image",
    "read_image_info",
    "resize",
]
