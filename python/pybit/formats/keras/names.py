# SPDX-License-Identifier: Apache-2.0
"""Gives TensorFlow's variables the names and layout of the release's npz files.

Three ways, tried in this order: the variable's own path ("block1/unit01/a/group_norm/gamma:0", with or without
prefixes); the attribute path of a Keras object graph ("_blocks/0/layer_with_weights-0/_unit_a/..."; attributes of
bit_tf2/models.py); the order of creation together with the shapes, which is how Keras itself loads the official h5
files.
"""

from __future__ import annotations

import re

from pybit.formats.raw import Array, fail

_OWN_NAMES = (
    (
        re.compile(r"block(\d)/unit(\d\d)/([abc])/(proj/)?standardized_conv2d(?:_\d+)?/kernel$"),
        r"resnet/block\1/unit\2/\3/\4standardized_conv2d/kernel",
    ),
    (
        re.compile(r"block(\d)/unit(\d\d)/([abc])/group_norm(?:_\d+)?/(gamma|beta)$"),
        r"resnet/block\1/unit\2/\3/group_norm/\4",
    ),
    (
        re.compile(r"(?:^|/)root_block/standardized_conv2d(?:_\d+)?/kernel$"),
        "resnet/root_block/standardized_conv2d/kernel",
    ),
    (re.compile(r"^(?:(?!block\d|unit\d).)*?group_norm(?:_\d+)?/(gamma|beta)$"), r"resnet/group_norm/\1"),
    (re.compile(r"(?:^|/)head/(?:conv2d|dense)(?:_\d+)?/(kernel|bias)$"), r"resnet/head/conv2d/\1"),
)
_GRAPH_NAMES = (
    (re.compile(r"(?:^|/)_root/layer_with_weights-0/kernel$"), "resnet/root_block/standardized_conv2d/kernel"),
    (
        re.compile(r"(?:^|/)_blocks/(\d)/layer_with_weights-(\d+)/_unit_([abc])/layer_with_weights-0/_(gamma|beta)$"),
        r"resnet/block{0}/unit{1}/\3/group_norm/\4",
    ),
    (
        re.compile(
            r"(?:^|/)_blocks/(\d)/layer_with_weights-(\d+)/_unit_([abc])(?:_conv|/layer_with_weights-1)/kernel$"
        ),
        r"resnet/block{0}/unit{1}/\3/standardized_conv2d/kernel",
    ),
    (
        re.compile(r"(?:^|/)_blocks/(\d)/layer_with_weights-(\d+)/_proj/kernel$"),
        r"resnet/block{0}/unit{1}/a/proj/standardized_conv2d/kernel",
    ),
    (re.compile(r"(?:^|/)_pre_head/0/_(gamma|beta)$"), r"resnet/group_norm/\1"),
    (re.compile(r"(?:^|/)_head/(kernel|bias)$"), r"resnet/head/conv2d/\1"),
)
# What training leaves in a file beside the network.
_NOT_THE_NETWORK = re.compile(
    r"(?:^|/)(?:global_step|save_counter|keras_api|optimizer|\.?OPTIMIZER_SLOT|(?:SGD|Adam|training)\b.*|Momentum)(?:/|$)",
    re.I,
)


def official_tensors(path: object, tensors: list[tuple[str, Array]]) -> list[tuple[str, Array]]:
    """The tensors under official names, vectors 1-D and the head's kernel (1, 1, channels, classes).

    Names are without Keras's ":0". Raises FormatError saying where names and order stop to fit a BiT network.
    """
    network = [
        (name.removesuffix(":0"), array)
        for name, array in tensors
        if array.dtype.kind == "f" and not _NOT_THE_NETWORK.search(name)
    ]
    found = _by_pattern(network, _OWN_NAMES) or _by_pattern(network, _GRAPH_NAMES) or _ByOrder(path, network).parse()
    return [(name, _official_layout(name, array)) for name, array in found]


def _official_layout(name: str, array: Array) -> Array:
    if name == "resnet/head/conv2d/kernel" and array.ndim == 2:
        return array.reshape(1, 1, *array.shape)
    if name.rsplit("/", 1)[-1] in ("gamma", "beta", "bias") and array.ndim > 1 and array.size == array.shape[-1]:
        return array.reshape(-1)
    return array


def _by_pattern(
    tensors: list[tuple[str, Array]], patterns: tuple[tuple[re.Pattern[str], str], ...]
) -> list[tuple[str, Array]]:
    """All tensors renamed, or nothing if one of them does not fit a pattern or two get the same name."""
    result: dict[str, Array] = {}
    for name, array in tensors:
        official = None
        for pattern, template in patterns:
            match = pattern.search(name)
            if match:
                numbers = [int(text) + 1 for text in match.groups()[:2]] if "{0}" in template else []
                official = match.expand(template).replace("{0}", str(numbers[0]) if numbers else "")
                official = official.replace("{1}", f"{numbers[1]:02d}" if numbers else "")
                break
        if official is None or official in result:
            return []
        result[official] = array
    return list(result.items())


def _is_vector(array: Array) -> bool:
    return array.ndim == 1 or (array.ndim == 4 and array.shape[:3] == (1, 1, 1))


class _ByOrder:
    """Walks the variables in order of creation: stem, units of norm-conv-norm-conv-norm-conv, last norm, head."""

    def __init__(self, path: object, tensors: list[tuple[str, Array]]) -> None:
        self._path, self._tensors, self._at = path, tensors, 0
        self._found: list[tuple[str, Array]] = []

    def parse(self) -> list[tuple[str, Array]]:
        """Official names and arrays; FormatError at the first variable that does not fit."""
        self._take_kernel("resnet/root_block/standardized_conv2d/kernel", 7)
        block, unit = 0, 0
        while len(self._tensors) - self._at > 4:
            block, unit = self._unit(block, unit)
        if block != 4:
            self._wrong(f"4 blocks, each starting with a unit that has a projection (found {block})")
        self._take_norm("resnet/group_norm")
        if self._at < len(self._tensors):
            self._head()
        return self._found

    def _unit(self, block: int, unit: int) -> tuple[int, int]:
        start = len(self._found)
        kernels: dict[str, tuple[str, Array]] = {}
        self._take_norm("a/group_norm")
        first = self._kernel("a/standardized_conv2d/kernel", 1)
        if self._next_is_kernel():  # the projection may stand before or after the first convolution
            second = self._kernel("a/standardized_conv2d/kernel", 1)
            wide, narrow = (first, second) if first[1].shape[-1] > second[1].shape[-1] else (second, first)
            kernels["proj"], kernels["a"] = wide, narrow
        else:
            kernels["a"] = first
        self._take_norm("b/group_norm")
        kernels["b"] = self._kernel("b/standardized_conv2d/kernel", 3)
        self._take_norm("c/group_norm")
        kernels["c"] = self._kernel("c/standardized_conv2d/kernel", 1)
        if "proj" not in kernels and self._next_is_kernel() and len(self._tensors) - self._at > 2:
            last = self._kernel("a/proj/standardized_conv2d/kernel", 1)
            swapped = "proj" in kernels["c"][0] and "proj" not in last[0]
            kernels["c"], kernels["proj"] = (last, kernels["c"]) if swapped else (kernels["c"], last)
        block, unit = (block + 1, 1) if "proj" in kernels else (block, unit + 1)
        if block == 0 or block > 4:
            self._wrong("4 blocks, each starting with a unit that has a projection")
        prefix = f"resnet/block{block}/unit{unit:02d}"
        self._found[start:] = [(f"{prefix}/{name}", array) for name, array in self._found[start:]]
        for part, (_, array) in kernels.items():
            place = "a/proj" if part == "proj" else part
            self._found.append((f"{prefix}/{place}/standardized_conv2d/kernel", array))
        return block, unit

    def _head(self) -> None:
        pair = [array for _, array in self._tensors[self._at :]]
        pair.sort(key=lambda array: array.size == array.shape[-1])  # kernel first
        if len(pair) != 2 or pair[0].ndim not in (2, 4) or pair[1].size != pair[0].shape[-1]:
            self._wrong("the head's kernel and bias at the end")
        self._found += [("resnet/head/conv2d/kernel", pair[0]), ("resnet/head/conv2d/bias", pair[1])]

    def _next(self, expected: str) -> tuple[str, Array]:
        if self._at >= len(self._tensors):
            self._wrong(expected)
        self._at += 1
        return self._tensors[self._at - 1]

    def _next_is_kernel(self) -> bool:
        return self._at < len(self._tensors) and not _is_vector(self._tensors[self._at][1])

    def _kernel(self, role: str, size: int) -> tuple[str, Array]:
        name, array = self._next(f"{role}, a {size}x{size} kernel")
        if array.ndim != 4 or array.shape[:2] != (size, size):
            self._at -= 1
            self._wrong(f"{role}, a kernel of shape ({size}, {size}, in, out)")
        return name, array

    def _take_kernel(self, role: str, size: int) -> None:
        self._found.append((role, self._kernel(role, size)[1]))

    def _take_norm(self, role: str) -> None:
        (first_name, first), (_, second) = self._next(f"{role}/gamma"), self._next(f"{role}/beta")
        if not _is_vector(first) or not _is_vector(second) or first.size != second.size:
            self._at -= 2
            self._wrong(f"{role}/gamma and beta, two vectors of one length")
        if re.search(r"(beta|bias|offset)$", first_name):
            first, second = second, first
        self._found += [(f"{role}/gamma", first), (f"{role}/beta", second)]

    def _wrong(self, expected: str) -> None:
        if self._at >= len(self._tensors):
            came = f"the end after {len(self._tensors)} variables"
        else:
            name, array = self._tensors[self._at]
            came = f"variable {self._at + 1} of {len(self._tensors)}, '{name}' of shape {array.shape}"
        fail(self._path, f"not a BiT network by order and shape: expected {expected}, got {came}")
