# SPDX-License-Identifier: Apache-2.0
"""One pass through the network as a function that torch differentiates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from pybit.base.arrays import Array
from pybit.torch.engine import Engine
from pybit.torch.parameters import ParameterTable


def as_tensor(array: Array, layout: str) -> torch.Tensor:
    """An output of the engine as a tensor (N, C, H, W) or (N, C), which shares its memory."""
    tensor = torch.from_numpy(array)
    return tensor.permute(0, 3, 1, 2) if layout == "nhwc" and array.ndim == 4 else tensor


def as_output_gradient(gradient: torch.Tensor | None, layout: str, dtype: np.dtype[Any]) -> Array | None:
    """The gradient of an output as the engine reads it."""
    if gradient is None:
        return None
    if layout == "nhwc" and gradient.ndim == 4:
        gradient = gradient.permute(0, 2, 3, 1)
    return np.ascontiguousarray(gradient.numpy(), dtype)


class NetworkPass(torch.autograd.Function):
    """apply(engine, table, outputs, layout, recompute, x, *parameters) -> the outputs."""

    @staticmethod
    def forward(
        ctx: Any,
        engine: Engine,
        table: ParameterTable,
        outputs: list[str],
        layout: str,
        recompute: str,
        x: torch.Tensor,
        *parameters: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """The forward pass, of which the context keeps what going back needs."""
        ctx.set_materialize_grads(False)
        # Saved so that torch refuses to go back after a change of one in place, as after its own operations.
        ctx.save_for_backward(x, *parameters)

        def record() -> tuple[Any, list[Array]]:
            return engine.record(
                table,
                parameters,
                x.detach().numpy(),
                outputs,
                layout,
                recompute=recompute,
                image_gradient=x.requires_grad,
            )

        ctx.recording, arrays = record()
        ctx.engine, ctx.table, ctx.layout, ctx.record = engine, table, layout, record
        ctx.version, ctx.dtype = engine.version, parameters[0].dtype
        return tuple(as_tensor(a, layout) for a in arrays)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        """Gradients of the images and of the parameters that learn."""
        engine: Engine = ctx.engine
        table: ParameterTable = ctx.table
        _ = ctx.saved_tensors  # which raises if one was changed in place
        if ctx.version != engine.version:
            # Other values were taken and put back meanwhile, as torch.autograd.gradcheck does: once more with these.
            ctx.recording, _ = ctx.record()
        first_parameter = 6
        given = [as_output_gradient(g, ctx.layout, engine.array_dtype) for g in gradients]
        image = ctx.recording.backward(given, ctx.needs_input_grad[first_parameter - 1])
        table.went_back += 1
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[first_parameter:]) if needed]
        dtype = torch.float64 if engine.array_dtype == np.float64 else torch.float32
        found = dict(zip(wanted, engine.gradients(table, wanted, dtype), strict=True))
        of_parameters = [found.get(i) for i in range(len(table.official))]
        if ctx.dtype != dtype:
            of_parameters = [g if g is None else g.to(ctx.dtype) for g in of_parameters]
        of_image = None if image is None else as_tensor(image, ctx.layout)
        return (*(None,) * (first_parameter - 1), of_image, *of_parameters)
