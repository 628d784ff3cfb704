# SPDX-License-Identifier: Apache-2.0
"""Training step by step: `pybit.Trainer`."""

from pybit.train.trainer import Trainer

__all__ = ["Trainer"]
