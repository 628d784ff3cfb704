"""Runs as its own process: writes small BiTs of timm or transformers as safetensors files, with the peer's own names.

    python peer_models.py timm|transformers FOLDER

A process of its own, because timm imports torchvision, of which its models need only names: a stand-in gives them.
"""

import importlib.machinery
import importlib.util
import sys
import types
from typing import Any


class _AnyAttribute(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _StandIn(types.ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyAttribute(name, (), {})


class _StandInFinder:
    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name.split(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def timm_models() -> dict[str, Any]:
    """R50 of half width with five classes, and without a head."""
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.insert(0, _StandInFinder())  # type: ignore[arg-type]
    import timm

    def make(classes: int) -> Any:
        return timm.create_model("resnetv2_50x1_bit", num_classes=classes, stem_chs=32, channels=(128, 256, 512, 1024))

    return {"whole": make(5), "body": make(0)}


def transformers_models() -> dict[str, Any]:
    """Units 1, 2, 1, 1 of half width with five classes, and without a head."""
    from transformers.models.bit import configuration_bit, modeling_bit

    settings: Any = {
        "embedding_size": 32,
        "hidden_sizes": [128, 256, 512, 1024],
        "depths": [1, 2, 1, 1],
        "num_labels": 5,
    }
    config = configuration_bit.BitConfig(**settings)
    return {"whole": modeling_bit.BitForImageClassification(config), "body": modeling_bit.BitModel(config)}


if __name__ == "__main__":
    peer, folder = sys.argv[1:]
    from safetensors.torch import save_file

    for name, model in (timm_models() if peer == "timm" else transformers_models()).items():
        tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(tensors, f"{folder}/{name}.safetensors")
