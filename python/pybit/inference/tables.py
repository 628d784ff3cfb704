# SPDX-License-Identifier: Apache-2.0
"""Tables in Parquet, where pyarrow is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from pybit.base.files import complete_file
from pybit.data.sources import printable


def pyarrow() -> Any:
    """The library that writes Parquet. Raises ImportError with what to install."""
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow: pip install 'big-transfer[parquet]', or pyarrow") from error
    return importlib.import_module("pyarrow")


def write_parquet(path: str, parts: Iterable[dict[str, Any]]) -> None:
    """Write a table whose columns come in parts, one in memory at a time; there is at least one.

    Columns are lists of text or arrays (n) or (n, width). The file is complete or not there. Raises ImportError without
    pyarrow, OSError if the file cannot be written.
    """
    arrow = pyarrow()
    writer = None
    with complete_file(path, "wb") as file:
        try:
            for columns in parts:
                table = arrow.table({name: _column(arrow, values) for name, values in columns.items()})
                if writer is None:
                    writer = arrow.parquet.ParquetWriter(file, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()


def _column(arrow: Any, values: Any) -> Any:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = arrow.array(np.ascontiguousarray(values).reshape(-1))
        return arrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
    if isinstance(values, np.ndarray):
        return arrow.array(values)
    return arrow.array([printable(value) for value in values], arrow.string())
