# SPDX-License-Identifier: Apache-2.0
"""Our own checkpoint files: written with labels and preprocessing, which are read back from their metadata."""

from __future__ import annotations

import dataclasses

from pybit import _core
from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError, FormatError
from pybit.network.names import check
from pybit.network.source import Loaded


def save(model: Loaded, path: str, names: str) -> None:
    """Write a model to `path`, .npz or .safetensors, under the names `names`; see `pybit.Model.save`."""
    import json  # imported when first used, as below: most programs write no files

    naming = check(names)
    network = model.network
    if path.endswith(".npz"):
        _core.write_npz(path, network.tensors(), naming)
        return
    if not path.endswith(".safetensors"):
        raise ConfigError(f"expected a file name that ends in .safetensors or .npz, got {path!r}")
    spec = dataclasses.asdict(model.preprocessing) if model.preprocessing_is_known else None
    about = {"name": model.name, "labels": model.labels, "preprocessing": spec}
    if model.activation != "softmax":
        about["activation"] = model.activation
    metadata = {**_core.config_metadata(network.config), "pybit": json.dumps(about)}
    if model.labels is not None:  # what bit::io::read_card() reads in C++
        metadata["bit.labels"] = json.dumps(model.labels)
    if spec is not None and spec["mode"] == "squash" and isinstance(spec["size"], int):
        metadata["bit.input_size"] = str(spec["size"])
    if names != "official":
        metadata["format"] = "pt"  # transformers refuses files without it
    _core.write_safetensors(path, network.tensors(), naming, metadata)


def read_metadata(checkpoint: _core.Checkpoint) -> tuple[str | None, tuple[str, ...] | None, PreprocessSpec | None]:
    """Name, labels and preprocessing that `save` put into the file; None for what is not there.

    Raises FormatError if the entry is there but malformed.
    """
    text = checkpoint.metadata.get("pybit")
    if text is None:
        return None, None, None
    import json

    try:
        about = json.loads(text)
        name, labels, spec = about.get("name"), about.get("labels"), about.get("preprocessing")
        if not isinstance(name, (str, type(None))) or not all(isinstance(v, str) for v in labels or ()):
            raise TypeError("the name and the labels must be text")
        if labels is not None and len(labels) != checkpoint.config.num_classes:
            raise TypeError(f"{len(labels)} labels for {checkpoint.config.num_classes} classes")
        if spec is not None and isinstance(spec.get("size"), list):  # JSON has no tuples
            spec["size"] = tuple(spec["size"])
        return name, None if labels is None else tuple(labels), None if spec is None else PreprocessSpec(**spec)
    except (ValueError, TypeError, AttributeError) as e:
        raise FormatError(f"{checkpoint.source}: the metadata entry `pybit` is malformed: {e}") from e


def read_activation(checkpoint: _core.Checkpoint) -> str:
    """What makes probabilities of the network's logits, as `save` or a training run wrote it: "sigmoid" or "softmax".

    Raises FormatError if the entry is there but malformed.
    """
    import json

    try:
        about = json.loads(checkpoint.metadata.get("pybit", "{}"))
        flags = json.loads(checkpoint.metadata.get("bit.training.flags", "{}"))
        sigmoid = "sigmoid" in (about.get("activation"), flags.get("loss"))
    except (ValueError, AttributeError) as e:
        raise FormatError(f"{checkpoint.source}: the metadata entry `bit.training.flags` is malformed: {e}") from e
    return "sigmoid" if sigmoid else "softmax"
