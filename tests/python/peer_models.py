# SPDX-License-Identifier: Apache-2.0
"""Runs as its own process: writes small BiTs of timm or transformers as safetensors files, with the peer's own names,
and what the peer computes with the weights of FOLDER/ours.safetensors on FOLDER/x.npy.

    python peer_models.py timm|transformers FOLDER

A process of its own, because timm imports torchvision, of which its models need only names: a stand-in gives them.
"""

import importlib.machinery
import importlib.util
import json
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


def stand_in_for_torchvision() -> None:
    """Give timm a stand-in if there is no torchvision, or one that was built for another torch."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.meta_path.insert(0, _StandInFinder())  # type: ignore[arg-type]


def timm_models() -> dict[str, Any]:
    """R50 of half width with five classes, and without a head."""
    stand_in_for_torchvision()
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


def write_ours(models: dict[str, Any], peer: str, folder: str) -> None:
    """What the peer's own code makes, in double precision, of the weights and images that pybit wrote to `folder`."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    net = models["whole"]
    net.load_state_dict(load_file(f"{folder}/ours.safetensors"), strict=True)
    net.eval().double()
    x = torch.from_numpy(np.load(f"{folder}/x.npy")).double()
    with torch.no_grad():
        if peer == "timm":
            features, maps = net.forward_intermediates(x)
            out = {"logits": net(x), "features": features, "pooled": net.forward_head(features, pre_logits=True)}
            out |= {f"level{i}": m for i, m in enumerate(maps)}
            with open(f"{folder}/info.json", "w") as file:
                json.dump(net.feature_info, file)
        else:
            out = {"logits": net(x).logits}
    np.savez(f"{folder}/theirs.npz", **{k: v.numpy() for k, v in out.items()})


if __name__ == "__main__":
    peer, folder = sys.argv[1:]
    from safetensors.torch import save_file

    models = timm_models() if peer == "timm" else transformers_models()
    for name, model in models.items():
        tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(tensors, f"{folder}/{name}.safetensors")
    write_ours(models, peer, folder)
