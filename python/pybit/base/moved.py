# SPDX-License-Identifier: Apache-2.0
"""Modules that have moved: their old paths work for one release, with a DeprecationWarning that names the new one.

Pickles name classes and functions by their modules, so those of earlier versions are read by way of this table, too.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Old module -> the modules that hold its names today, looked at in this order.
MODULES: dict[str, tuple[str, ...]] = {
    "pybit._arrays": ("pybit.base.arrays",),
    "pybit._batches": ("pybit.data.batches", "pybit.data.options"),
    "pybit._build": (
        "pybit.network.build",
        "pybit.network.heads",
        "pybit.network.options",
        "pybit.model.files",
        "pybit.model.pickles",
        "pybit.base.architectures",
    ),
    "pybit._cache": ("pybit.hub.cache",),
    "pybit._card": ("pybit.registry.card",),
    "pybit._chart": ("pybit.report.chart",),
    "pybit._clash": ("pybit.base.clash",),
    "pybit._create": ("pybit.model.create", "pybit.model.released"),
    "pybit._dataset": ("pybit.data.dataset",),
    "pybit._describe": ("pybit.report.describe", "pybit.base.sizes"),
    "pybit._download_bar": ("pybit.hub.reporter", "pybit.base.sizes"),
    "pybit._evaluate": ("pybit.evaluation.accuracy",),
    "pybit._fine_tune": ("pybit.train.fine_tuning",),
    "pybit._folders": ("pybit.data.folders",),
    "pybit._images": ("pybit.data.sources",),
    "pybit._levels": ("pybit.network.levels",),
    "pybit._lock": ("pybit.hub.lock",),
    "pybit._memory": ("pybit.report.memory",),
    "pybit._names": ("pybit.network.names",),
    "pybit._plan": ("pybit.report.plan",),
    "pybit._predict": ("pybit.inference.run", "pybit.inference.results"),
    "pybit._progress": ("pybit.base.progress",),
    "pybit._tensorboard": ("pybit.train.tensorboard",),
    "pybit._threads": ("pybit.base.threads",),
    "pybit._train_log": ("pybit.train.log",),
    "pybit._transfer": ("pybit.hub.transfer",),
    "pybit._version": ("pybit.base.version",),
    "pybit.cards_hubs": ("pybit.registry.cards_hubs",),
    "pybit.formats.bundle": ("pybit.formats.keras.bundle",),
    "pybit.formats.crc32c": ("pybit.formats.keras.crc32c",),
    "pybit.formats.h5": ("pybit.formats.keras.h5",),
    "pybit.formats.keras_names": ("pybit.formats.keras.names",),
    "pybit.formats.table": ("pybit.formats.keras.table",),
    "pybit.formats.tfhub": ("pybit.formats.keras.tfhub",),
    "pybit.formats.torch_container": ("pybit.formats.torch.container",),
    "pybit.formats.torch_pickle": ("pybit.formats.torch.state",),
    "pybit.formats.wire": ("pybit.formats.keras.wire",),
}
# Names of those modules that are called otherwise today.
NAMES = {
    "pybit._build.Freezing": "ComputeOptions",
    "pybit._describe.byte_count": "byte_text",
    "pybit._download_bar.human_bytes": "byte_text",
}


def _look_up(old: str, name: str) -> Any:
    """The value of `name` in the modules that hold the names of `old` today."""
    wanted = NAMES.get(f"{old}.{name}", name)
    if not name.startswith("__"):
        for path in MODULES[old]:
            module = importlib.import_module(path)
            if hasattr(module, wanted):
                return getattr(module, wanted)
    raise AttributeError(f"module {old!r}, which has moved to {', '.join(MODULES[old])}, has no attribute {name!r}")


# Without the base classes of importlib.abc, which pulls in 15 modules: an eighth of the time of `import pybit`.
class _Loader:
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        warnings.warn(
            f"{old} has moved to {', '.join(MODULES[old])}; the old path goes with the next release",
            DeprecationWarning,
            stacklevel=2,  # the frames of the import system between here and the import do not count
        )
        module.__getattr__ = functools.partial(_look_up, old)  # type: ignore[method-assign]


class _Finder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Loader()) if fullname in MODULES else None  # type: ignore[arg-type]


def install() -> None:
    """Let the import system find the old paths, after all else; calling it again changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
