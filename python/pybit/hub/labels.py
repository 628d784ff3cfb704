# SPDX-License-Identifier: Apache-2.0
"""Class names: from a file, from the release's label files in the cache, or from an installed package that ships them.

Nothing is copied into this package. ImageNet names come from WordNet; timm (Apache-2.0) ships them as data files,
torchvision (BSD-3-Clause) the 1,000 of ImageNet-1k; both are read without importing them, which would load torch.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
from pathlib import Path

from pybit.errors import FormatError
from pybit.hub.download import cached

__all__ = ["find", "load", "numbers", "synsets"]

_COUNTS = {"imagenet-1k": 1000, "imagenet-21k": 21843, "cifar-10": 10}
# Heads of BiT on ImageNet-21k have 21,843 outputs in the order of Google's list, two more than the images' 21,841
# classes (big_transfer issue 18). timm calls that list "goog".
_SYNSETS = {"imagenet-1k": "imagenet_synsets.txt", "imagenet-21k": "imagenet21k_goog_synsets.txt"}
DOWNLOADABLE = tuple(_SYNSETS)  # by `pybit download NAME-labels`
_CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
_MAX_FILE = 16 << 20


def numbers(count: int) -> list[str]:
    """ "class 0", "class 1", ...: what is shown where no names are known."""
    return [f"class {index}" for index in range(count)]


def find(name: str | None, count: int) -> list[str]:
    """The names of a label set if they are on this machine and `count` of them, otherwise numbers; raises nothing."""
    if name is not None:
        try:
            return load(name, count)
        except (ImportError, FormatError, OSError):
            pass
    return numbers(count)


def load(name_or_file: str | os.PathLike[str], count: int | None = None) -> list[str]:
    """Class names in the order of the model's outputs.

    Args:
        name_or_file: "imagenet-1k", "imagenet-21k", "cifar-10", or a file: one name per line (as the release's
            `ilsvrc2012_wordnet_lemmas.txt`), or JSON with a list or an object from index to name.
        count: number of classes that the model has; another number of names is an error.

    Raises ImportError if a named set is nowhere on this machine (it says how to get it), FormatError for a file of
    another kind or length, OSError if it cannot be read.
    """
    key = os.fspath(name_or_file)
    if key in _COUNTS:
        names = _named(key)
        expected = _COUNTS[key] if count is None else count
    else:
        names = _from_file(Path(key))
        expected = len(names) if count is None else count
    if len(names) != expected:
        raise FormatError(f"{key}: expected {expected} class names, got {len(names)}")
    return names


def synsets(name: str) -> list[str] | None:
    """The WordNet ids of a label set, in the order of the model's outputs, if an installed package ships them."""
    folder = _package_folder("timm")
    if folder is None or name not in _SYNSETS:
        return None
    try:
        return (folder / "data" / "_info" / _SYNSETS[name]).read_text(encoding="utf-8").split()
    except OSError:
        return None


def _named(name: str) -> list[str]:
    if name == "cifar-10":
        return list(_CIFAR10)
    released = cached(f"{name}-labels")
    if released is not None:
        return _from_file(released)
    names = _from_timm(name) or (_from_torchvision() if name == "imagenet-1k" else None)
    if names is None:
        raise ImportError(
            f"the class names of {name} are not on this machine: `pybit download {name}-labels` fetches them, "
            "`pip install timm` brings them, or give a file with one name per line (--labels FILE)"
        )
    return names


def _package_folder(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    return Path(places[0]) if places else None


def _from_timm(name: str) -> list[str] | None:
    folder, ids = _package_folder("timm"), synsets(name)
    if folder is None or ids is None:
        return None
    try:
        lines = (folder / "data" / "_info" / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    lemmas = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return [lemmas.get(wnid, wnid) for wnid in ids]


def _from_torchvision() -> list[str] | None:
    folder = _package_folder("torchvision")
    if folder is None:
        return None
    try:
        tree = ast.parse((folder / "models" / "_meta.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "_IMAGENET_CATEGORIES" for t in node.targets
        ):
            names = ast.literal_eval(node.value)
            return [str(item) for item in names]
    return None


def _from_file(path: Path) -> list[str]:
    size = path.stat().st_size
    if size > _MAX_FILE:
        raise FormatError(f"{path}: expected a text file with one class name per line, got {size} bytes")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected UTF-8 text with one class name per line") from error
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(path, text)
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or any(not line or "\0" in line for line in lines):
        raise FormatError(f"{path}: expected one class name per line without empty lines")
    return lines


def _from_json(path: Path, text: str) -> list[str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: starts like JSON, but is not: {error}") from error
    if isinstance(content, dict):
        try:
            content = [content[str(index)] for index in range(len(content))]
        except KeyError as error:
            raise FormatError(
                f'{path}: expected names under "0", "1", ... without a gap, {error} is missing'
            ) from error
    # torchvision's and Keras's index files keep [synset, name] pairs.
    content = [item[-1] if isinstance(item, list) and item else item for item in content]
    if not content or not all(isinstance(item, str) for item in content):
        raise FormatError(f"{path}: expected a JSON list of class names or an object from index to name")
    return [str(item) for item in content]
