# SPDX-License-Identifier: Apache-2.0
"""Cards of the models on the Hugging Face hub: timm's 15 tags and transformers' google/bit-50.

Sources: timm/models/resnetv2.py and results/results-imagenet.csv of timm @aa4b585; transformers models/bit.
"""

from __future__ import annotations

from pybit.registry.card import Accuracy, Download, ModelCard

_HUB = "https://huggingface.co/"

# timm resnetv2.py, results-imagenet.csv: model, tag, input size, crop_pct, interpolation, top-1 in percent, old name.
_IN1K, _IN21K, FINE_TUNED = "goog_distilled_in1k", "goog_in21k", "goog_in21k_ft_in1k"
_TEACHER = "goog_teacher_in21k_ft_in1k"
TIMM: tuple[tuple[str, str, int, float, str, float | None, str], ...] = (
    ("50x1", _IN1K, 224, 0.875, "bicubic", 82.820, "resnetv2_50x1_bit_distilled"),
    ("152x2", _TEACHER, 224, 0.875, "bicubic", 82.918, "resnetv2_152x2_bit_teacher"),
    ("152x2", _TEACHER + "_384", 384, 1.0, "bicubic", 83.858, "resnetv2_152x2_bit_teacher_384"),
    ("50x1", FINE_TUNED, 448, 1.0, "bilinear", 80.386, "resnetv2_50x1_bitm"),
    ("50x3", FINE_TUNED, 448, 1.0, "bilinear", 83.982, "resnetv2_50x3_bitm"),
    ("101x1", FINE_TUNED, 448, 1.0, "bilinear", 82.332, "resnetv2_101x1_bitm"),
    ("101x3", FINE_TUNED, 448, 1.0, "bilinear", 84.430, "resnetv2_101x3_bitm"),
    ("152x2", FINE_TUNED, 448, 1.0, "bilinear", 84.468, "resnetv2_152x2_bitm"),
    ("152x4", FINE_TUNED, 480, 1.0, "bilinear", 84.936, "resnetv2_152x4_bitm"),
    *(
        (width, _IN21K, 224, 0.875, "bilinear", None, f"resnetv2_{width}_bitm_in21k")
        for width in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4")
    ),
)


def _hub_downloads(hub_id: str) -> tuple[Download, ...]:
    return (
        Download("safetensors", _HUB, (f"{hub_id}/resolve/main/model.safetensors",)),
        Download("torch", _HUB, (f"{hub_id}/resolve/main/pytorch_model.bin",)),
    )


def timm_cards() -> list[ModelCard]:
    """Cards of timm's 15 tags."""
    cards = []
    seen: set[str] = set()
    for arch, tag, size, pct, interpolation, top1, old in TIMM:
        model = f"resnetv2_{arch}_bit"
        name = f"{model}.{tag}"
        hub_id = f"timm/{name}"
        # timm takes the first tag of a model that is named without one.
        aliases = (old, hub_id) if model in seen else (old, hub_id, model)
        seen.add(model)
        upstream = tag == _IN21K
        distilled = tag == _IN1K
        cards.append(
            ModelCard(
                name=name,
                aliases=aliases,
                family="timm",
                architecture="R" + arch,
                num_classes=21843 if upstream else 1000,
                pretraining="ILSVRC-2012, distilled from BiT-M-R152x2" if distilled else "ImageNet-21k",
                finetuning=None if upstream or distilled else "ILSVRC-2012",
                train_size=None,
                input_size=size,
                crop_mode="center_crop",
                crop_pct=pct,
                interpolation=interpolation,
                transform_source="timm resnetv2.py",
                labels="imagenet-21k" if upstream else "imagenet-1k",
                downloads=_hub_downloads(hub_id),
                hub_id=hub_id,
                weight_eps=1e-8,
                license_source="timm pretrained_cfg",
                expected=(
                    Accuracy("ILSVRC-2012", "top-1", top1, f"at {size}, crop_pct {pct}", "timm results-imagenet.csv"),
                )
                if top1 is not None
                else (),
            )
        )
    return cards


def bit_50() -> ModelCard:
    """The card of transformers' only BiT."""
    return ModelCard(
        name="google/bit-50",
        aliases=("bit-50",),
        family="transformers",
        architecture="R50x1",
        num_classes=1000,
        pretraining="ImageNet-21k",
        finetuning="ILSVRC-2012",
        train_size=None,
        input_size=448,
        crop_mode="center_crop",
        crop_pct=1.0,
        interpolation="bilinear",
        transform_source="transformers' converter copies timm's values of resnetv2_50x1_bitm; the processor file on "
        "the hub was not checked",
        labels="imagenet-1k",
        downloads=_hub_downloads("google/bit-50"),
        hub_id="google/bit-50",
        weight_eps=1e-8,
        license_source="the values are the release's: LICENSE of google-research/big_transfer",
        notes=("BitImageProcessor's class defaults are CLIP's mean and deviation, wrong for BiT: use 0.5 and 0.5",),
    )
