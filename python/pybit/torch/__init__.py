# SPDX-License-Identifier: Apache-2.0
"""BiT networks as modules of torch: forward and backward on this library's engine, parameters of torch's own.

Importing this needs torch; nothing else in pybit does.
"""

from __future__ import annotations

from pybit.torch.module import BitModule, create_model

__all__ = ["BitModule", "create_model"]
