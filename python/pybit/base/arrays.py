# SPDX-License-Identifier: Apache-2.0
"""Arrays of any library in, arrays of the same library out; nothing is copied where the memory already fits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pybit.errors import ConfigError, ShapeError

Array = npt.NDArray[Any]
Restore = Callable[[Array], Any]


def is_torch(x: object) -> bool:
    """Whether `x` is a torch tensor; torch is not imported to find out."""
    return type(x).__module__.partition(".")[0] == "torch" and hasattr(x, "detach")


def _from_torch(x: Any) -> Array:
    if x.device.type != "cpu":
        raise ShapeError(f"expected a tensor in main memory, got one on {x.device}; call x.cpu() first")
    if x.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise ShapeError(
            "gradients do not flow through pybit: expected a tensor without requires_grad; call x.detach()"
        )
    x = x.detach()
    if str(x.dtype) == "torch.bfloat16":  # NumPy has no bfloat16; widening is exact
        x = x.float()
    return np.asarray(x.numpy())


def _widened(a: Array) -> Array:
    """`a`, or its values as float32 if they are the bfloat16 of JAX, which NumPy itself has not; exact."""
    return a.astype(np.float32) if a.dtype.name == "bfloat16" else a


def to_numpy(x: Any) -> tuple[Array, Restore]:
    """The values of `x` as a NumPy array, and a function that turns a result into the family of `x`.

    Understands NumPy, torch, everything with `__dlpack__`, the buffer protocol, `__array_interface__` or `__array__`,
    and nested sequences. Families other than NumPy and torch come back through their array-API namespace where they
    have one, otherwise as NumPy arrays. Raises ShapeError for arrays outside main memory.
    """
    if isinstance(x, np.ndarray):
        return _widened(x), lambda a: a
    if is_torch(x):
        torch = sys.modules["torch"]
        return _from_torch(x), lambda a: torch.from_numpy(a)
    restore: Restore = lambda a: a  # noqa: E731
    if hasattr(x, "__array_namespace__"):
        namespace = x.__array_namespace__()
        restore = lambda a: namespace.asarray(a)  # noqa: E731
    if hasattr(x, "__dlpack__"):
        try:
            return _widened(np.from_dlpack(x)), restore
        except (BufferError, RuntimeError, TypeError) as e:
            if not hasattr(x, "__array__"):
                raise ShapeError(f"expected an array in main memory with a NumPy dtype: {e}") from e
    try:
        return _widened(np.asarray(x)), restore
    except ValueError as e:
        raise ShapeError(f"expected an array of numbers, got {type(x).__name__}: {e}") from e


def check_floating(a: Array, what: str) -> None:
    """Raise ShapeError unless `a`, called `what` in the message, holds floating-point numbers of any shape."""
    if a.dtype == np.uint8:
        raise ShapeError(
            f"{what}: expected floats in [-1, 1], got uint8 of shape {a.shape}; for images use model.predict, "
            "model.embed or pybit.preprocess, or scale yourself: x / 127.5 - 1"
        )
    if a.dtype.kind in "USO":
        raise ShapeError(
            f"{what}: expected an array of floats, got {'text' if a.dtype.kind in 'US' else 'objects'}; "
            "for image files use model.predict or model.embed"
        )
    if a.dtype.kind != "f":
        raise ShapeError(f"{what}: expected an array of floats, got dtype {a.dtype} of shape {a.shape}")


def as_batch(x: Any, *, channels: int, layout: str, dtype: str, what: str) -> tuple[Array, Restore]:
    """A batch (N, C, H, W), or (N, H, W, C) with layout="nhwc", in the network's dtype, and a function
    that turns a result into the family of `x`.

    Views of any strides are used in place; only another dtype costs a copy. Raises ShapeError with the shape for
    anything that is no such batch, and ConfigError for another layout.
    """
    if layout not in ("nchw", "nhwc"):
        raise ConfigError(f'expected layout "nchw" or "nhwc", got {layout!r}')
    a, restore = to_numpy(x)
    check_floating(a, what)
    order = "(N, C, H, W)" if layout == "nchw" else "(N, H, W, C)"
    if a.ndim != 4:
        hint = "; add the batch axis with x[None]" if a.ndim == 3 else ""
        raise ShapeError(f"{what}: expected shape {order} with C = {channels}, got {a.shape}{hint}")
    if a.shape[1 if layout == "nchw" else 3] != channels:
        other = "nhwc" if layout == "nchw" else "nchw"
        hint = f'; pass layout="{other}"?' if a.shape[3 if layout == "nchw" else 1] == channels else ""
        raise ShapeError(f"{what}: expected shape {order} with C = {channels}, got {a.shape}{hint}")
    target = np.dtype(np.float64 if dtype == "float64" else np.float32)
    strided = a.flags.aligned and all(stride % a.itemsize == 0 for stride in a.strides)
    return (a if a.dtype == target and strided else np.ascontiguousarray(a, dtype=target)), restore


def as_targets(y: Any, n: int, classes: int) -> npt.NDArray[np.float64]:
    """Labels (n,), whole numbers from 0 to classes - 1, as probabilities (n, classes), or such probabilities as they
    are.

    Raises ShapeError for another shape or dtype and for labels that are no class.
    """
    a, _ = to_numpy(y)
    if a.shape == (n, classes) and a.dtype.kind == "f":
        return np.ascontiguousarray(a, dtype=np.float64)
    if a.shape != (n,) or a.dtype.kind not in "iu":
        raise ShapeError(
            f"expected {n} integer labels of shape ({n},) or probabilities of shape ({n}, {classes}), "
            f"got {a.dtype} of shape {a.shape}"
        )
    low, high = (int(a.min()), int(a.max())) if n else (0, 0)
    if low < 0 or high >= classes > 0:
        raise ShapeError(f"expected labels from 0 to {classes - 1}, got {low} to {high}")
    targets = np.zeros((n, classes))
    targets[np.arange(n), a] = 1
    return targets


def range_problem(a: Array) -> str | None:
    """What the values look like if they do not look like images in [-1, 1]; None if nothing is wrong.

    Small or constant batches are not judged: their values say too little.
    """
    if a.size < 3 * 16 * 16:
        return None
    low, high = float(a.min()), float(a.max())
    if not low < high:  # also false for NaN
        return None
    if low >= 0 and 2 < high <= 256:
        return f"values from {low:.3g} to {high:.3g} look like pixels in [0, 255]: use x / 127.5 - 1"
    if low >= 0 and high <= 1:
        return f"values from {low:.3g} to {high:.3g} look like pixels in [0, 1]: use 2 * x - 1"
    if -2.2 < low < -1.05 and 1.05 < high < 2.7:
        return f"values from {low:.3g} to {high:.3g} look normalised by ImageNet's mean and deviation: use 2 * x - 1"
    return None
