# SPDX-License-Identifier: Apache-2.0
"""Preprocessing as part of an ONNX graph: pixels of one size in, network input out.

Each pass of resizing is a product with a matrix of the filter's weights, which the graph makes from the image's size.
The operator Resize is not used: OpenVINO 2026.4 does not widen its cubic filter with the reduction (logits were off by
19 %), ONNX Runtime's logits were off by 0.6 % with it, and it needs opset 18.

Weights are rounded to 22 bits and pixels to whole grey levels after each pass, as Pillow does; sums in double precision
are then exact. OpenVINO takes them in float, which rounds single pixels the other way.
"""

from __future__ import annotations

import math

from pybit.data.options import PreprocessSpec
from pybit.errors import ConfigError
from pybit.export.onnx_file import TYPES, Graph

_FLOAT, _INTEGER, _DOUBLE = TYPES["float32"], TYPES["int64"], TYPES["float64"]


def add_preprocessing(graph: Graph, spec: PreprocessSpec, pixels: str) -> str:
    """Add nodes from `pixels`, uint8 (n,h,w,3), to the network's input, float32 (n,3,height,width) in [-1,1].

    Raises ConfigError for a centre crop that is not square.
    """
    height, width = spec.sizes()
    real = _FLOAT if spec.resampling == "tf" else _DOUBLE
    x = graph.node("Cast", [graph.node("Transpose", [pixels], perm=[0, 3, 1, 2])], to=real)
    sides = _part(graph, graph.node("Shape", [x]), 2, 4)
    wanted = graph.integers(height, width)
    if spec.mode == "squash":
        return _to_input(graph, spec, _resize(graph, spec, x, sides, wanted))
    if height != width:
        raise ConfigError(f"[onnx] expected a square size for center_crop inside the graph, got {height} x {width}")
    # The shortest edge becomes `edge`, the other one in proportion, rounded down: edge * (h, w) // min(h, w).
    edge = graph.integers(math.floor(height / spec.crop_pct))
    shortest = graph.node("ReduceMin", [sides], keepdims=1)
    resized = graph.node("Div", [graph.node("Mul", [sides, edge]), shortest])
    x = _resize(graph, spec, x, sides, resized)
    # The centre, where halves go to the even neighbour, as ONNX's Round does.
    spare = graph.node("Cast", [graph.node("Sub", [resized, wanted])], to=_FLOAT)
    offset = graph.node("Round", [graph.node("Mul", [spare, graph.constant("half", 0.5)])])
    start = graph.node("Cast", [offset], to=_INTEGER)
    end = graph.node("Add", [start, wanted])
    return _to_input(graph, spec, graph.node("Slice", [x, start, end, graph.integers(2, 3)]))


def _part(graph: Graph, vector: str, begin: int, end: int) -> str:
    return graph.node("Slice", [vector, graph.integers(begin), graph.integers(end)])


def _resize(graph: Graph, spec: PreprocessSpec, x: str, sides: str, wanted: str) -> str:
    """x (n,3,h,w), whose (h,w) is the vector `sides`, resized to the vector `wanted`."""
    lengths = [(_part(graph, sides, i, i + 1), _part(graph, wanted, i, i + 1)) for i in (0, 1)]
    rows, columns = (_weights(graph, spec, old, new) for old, new in lengths)
    columns = graph.node("Transpose", [columns], perm=[1, 0])
    horizontal_first = _passes(graph, spec, x, (None, columns), (rows, None))
    if spec.resampling != "pillow":
        return horizontal_first
    # Pillow 13 begins with the vertical pass if it removes rows, and over twice as many as the other removes columns.
    # Both orders are computed, since OpenVINO 2026.4 gives wrong results for them in the branches of an If.
    fewer_rows, fewer_columns = (graph.node("Sub", pair) for pair in lengths)
    bound = graph.node("Max", [graph.node("Mul", [fewer_columns, graph.integers(2)]), graph.integers(0)])
    vertical = graph.node("Greater", [fewer_rows, bound])
    return graph.node("Where", [vertical, _passes(graph, spec, x, (rows, None), (None, columns)), horizontal_first])


def _passes(graph: Graph, spec: PreprocessSpec, x: str, *passes: tuple[str | None, str | None]) -> str:
    """x after products with matrices from the left or from the right, rounded after each."""
    for i, (left, right) in enumerate(passes):
        x = graph.node("MatMul", [left or x, right or x])
        x = _rounded(graph, spec, x, again=i + 1 < len(passes))
    return x


def _weights(graph: Graph, spec: PreprocessSpec, old: str, new: str) -> str:
    """The matrix (new, old) of the filter's weights, each row of sum 1; `old`, `new`: vectors of one length each."""

    def number(value: float) -> str:
        return graph.constant(f"float64_{value}", value, "float64")

    def call(op: str, *inputs: str) -> str:
        return graph.node(op, inputs)

    def centres(count: str, axis: int) -> str:
        """0.5, 1.5, ... as a column or a row."""
        scalar = graph.node("Reshape", [count, graph.constant("no_axes", [], "int64")])
        zero, one = graph.constant("int64_zero", 0, "int64"), graph.constant("int64_one", 1, "int64")
        steps = graph.node("Cast", [graph.node("Range", [zero, scalar, one])], to=_DOUBLE)
        return call("Unsqueeze", call("Add", steps, number(0.5)), graph.integers(axis))

    scale = call("Div", *(graph.node("Cast", [count], to=_DOUBLE) for count in (old, new)))
    distance = call("Sub", centres(old, 0), call("Mul", centres(new, 1), scale))
    if spec.resampling != "tf":  # antialiasing widens the filter with the reduction
        distance = call("Div", distance, call("Max", scale, number(1.0)))
    t = call("Abs", distance)
    if spec.interpolation == "bilinear":
        weights = call("Max", call("Sub", number(1.0), t), number(0.0))
    else:  # Keys's cubic with a = -1/2: 1.5 t^3 - 2.5 t^2 + 1 up to 1, then -0.5 t^3 + 2.5 t^2 - 4 t + 2 up to 2
        near = call("Mul", call("Mul", call("Sub", call("Mul", number(1.5), t), number(2.5)), t), t)
        near = call("Add", near, number(1.0))
        far = call("Mul", call("Add", call("Mul", number(-0.5), t), number(2.5)), t)
        far = call("Add", call("Mul", call("Sub", far, number(4.0)), t), number(2.0))
        far = call("Where", call("Less", t, number(2.0)), far, number(0.0))
        weights = call("Where", call("Less", t, number(1.0)), near, far)
    total = graph.node("ReduceSum", [weights, graph.integers(1)], keepdims=1)
    weights = call("Div", weights, total)
    if spec.resampling == "tf":
        return graph.node("Cast", [weights], to=_FLOAT)
    whole = call("Floor", call("Add", call("Mul", call("Abs", weights), number(2.0**22)), number(0.5)))
    return call("Mul", call("Mul", call("Sign", weights), whole), number(2.0**-22))


def _rounded(graph: Graph, spec: PreprocessSpec, x: str, again: bool = False) -> str:
    """Whole grey levels, in double precision if there is a pass to come; for tf, which does not round, x itself."""
    if spec.resampling == "tf":
        return x
    whole = graph.node("Floor", [graph.node("Add", [x, graph.constant("float64_0.5", 0.5, "float64")])])
    whole = graph.node("Cast", [whole], to=_FLOAT)
    whole = graph.node("Clip", [whole, graph.constant("zero", 0.0), graph.constant("white", 255.0)])
    return graph.node("Cast", [whole], to=_DOUBLE) if again else whole


def _to_input(graph: Graph, spec: PreprocessSpec, x: str) -> str:
    """The same arithmetic as include/bit/data/preprocess.ipp, in its order."""
    if spec.resampling == "tf":
        grey = graph.constant("grey", 127.5)
        return graph.node("Div", [graph.node("Sub", [x, grey]), grey])
    half, white = graph.constant("half", 0.5), graph.constant("white", 255.0)
    return graph.node("Div", [graph.node("Sub", [graph.node("Div", [x, white]), half]), half])
