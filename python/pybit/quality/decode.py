# SPDX-License-Identifier: Apache-2.0
"""Every image of a data set decoded once, before a run begins."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from pybit.base.progress import progress_bar
from pybit.data.dataset import Dataset
from pybit.errors import BitError


def unreadable(data: Dataset, progress: bool | None = None) -> list[tuple[str, str]]:
    """Name and reason of each image of a data set that cannot be decoded, in its order; decoded by all processors."""

    def reason(index: int) -> str | None:
        try:
            data[index]
        except (BitError, OSError, ValueError) as error:
            return str(error)
        return None

    found = []
    bar = progress_bar(len(data), progress, "checking")
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), 16)) as pool:
        try:
            for index, text in enumerate(pool.map(reason, range(len(data)))):
                bar.update(1)
                if text is not None:
                    found.append((data.name(index), text))
        finally:
            bar.close()
            pool.shutdown(cancel_futures=True)
    return found
