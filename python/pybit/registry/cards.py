# SPDX-License-Identifier: Apache-2.0
"""The data of pybit.registry: cards of all released models, each fact with the place it was taken from.

Sources: README, bit_hyperrule.py and colabs of google-research/big_transfer @140de6e;
results/results-imagenet.csv of timm @aa4b585; big_vision configs/proj/distill.
"""

from __future__ import annotations

from pybit.registry.card import Accuracy, Download, ModelCard
from pybit.registry.cards_hubs import FINE_TUNED, TIMM, bit_50, timm_cards

_BUCKET = "https://storage.googleapis.com/bit_models/"
_ARCHITECTURES = ("R50x1", "R101x1", "R50x3", "R101x3", "R152x2", "R152x4")
_SETS = {"S": "ILSVRC-2012", "M": "ImageNet-21k"}

_README = "big_transfer README"
_UPSTREAM_TRANSFORM = (
    "timm resnetv2.py, tags goog_in21k (the release itself gives no evaluation transform for upstream heads)"
)
_RULE_TRANSFORM = (
    "bit_hyperrule.py and bit_pytorch/train.py: evaluation squashes to the crop size; timm evaluates the same weights "
    "at 448 (R152x4: 480) with the shorter edge and a centre crop"
)
_KNOWN_BAD_H5 = {
    "BiT-S-R50x3": "BiT-S-R50x3.h5 holds a network of width 1 (big_transfer issue 47): use the npz file",
    "BiT-S-R101x1": "BiT-S-R101x1.h5 holds a network of width 4 (big_transfer issue 47): use the npz file",
}
# README, tables "CIFAR results" (median of the PyTorch column, full training sets) and "ImageNet results".
_CIFAR = {"R50x1": (97.4, 86.6), "R152x2": (98.5, 91.3), "R101x3": (98.6, 91.2)}
_IMAGENET_FULL = {"R50x1": 80.68, "R152x2": 85.15}
_VTAB_SCORES = {"R152x4": 73.51, "R101x3": 72.65}

# Number of classes of each VTAB-1k task: arXiv:1910.04867, appendix A; task_adaptation/data.
# fmt: off
VTAB_TASKS = {
    "caltech101": 102, "diabetic_retinopathy": 5, "dtd": 47, "oxford_flowers102": 102, "oxford_iiit_pet": 37,
    "resisc45": 45, "sun397": 397, "cifar100": 100, "eurosat": 10, "patch_camelyon": 2, "smallnorb-elevation": 9,
    "svhn": 10, "dsprites-orientation": 16, "smallnorb-azimuth": 18, "clevr-distance": 6, "clevr-count": 8,
    "dmlab": 6, "kitti-distance": 4, "dsprites-xpos": 16,
}
# fmt: on


def _release(format: str, *paths: str) -> Download:
    return Download(format, _BUCKET, paths)


def _imagenet_top1(value: float, protocol: str, source: str) -> Accuracy:
    return Accuracy("ILSVRC-2012", "top-1", value, protocol, source)


def _upstream(size: str, architecture: str) -> ModelCard:
    name = f"BiT-{size}-{architecture}"
    downloads = [_release("npz", f"{name}.npz")]
    notes = (
        ["sigmoid cross-entropy in pre-training: the outputs are no softmax scores (big_transfer issue 26)"]
        if size == "M"
        else []
    )
    if architecture == "R152x2":
        notes.append("released as npz only")
    else:
        downloads.append(_release("h5", f"{name}.h5"))
        if name in _KNOWN_BAD_H5:
            notes.append(_KNOWN_BAD_H5[name])
    expected = []
    if size == "M" and architecture in _CIFAR:
        for dataset, value in zip(("CIFAR-10", "CIFAR-100"), _CIFAR[architecture], strict=True):
            expected.append(
                Accuracy(
                    dataset,
                    "top-1",
                    value,
                    "after fine-tuning on the full training set with --batch 128 --base_lr 0.001 (PyTorch, median)",
                    f"{_README}, CIFAR results",
                )
            )
    if size == "M" and architecture in _IMAGENET_FULL:
        expected.append(
            _imagenet_top1(
                _IMAGENET_FULL[architecture],
                "after fine-tuning on the full training set by BiT-HyperRule",
                f"{_README}, ImageNet results",
            )
        )
    return ModelCard(
        name=name,
        family="official",
        architecture=architecture,
        num_classes=1000 if size == "S" else 21843,
        pretraining=_SETS[size],
        finetuning=None,
        train_size=224 if size == "M" else None,
        input_size=224,
        crop_mode="center_crop",
        crop_pct=0.875,
        interpolation="bilinear",
        transform_source=_UPSTREAM_TRANSFORM,
        labels="imagenet-1k" if size == "S" else "imagenet-21k",
        downloads=tuple(downloads),
        expected=tuple(expected),
        hub_id=f"tfhub.dev/google/bit/{size.lower()}-{architecture.lower()}/1" if size == "M" else None,
        notes=tuple(notes),
    )


def _imagenet(architecture: str) -> ModelCard:
    name = f"BiT-M-{architecture}-ILSVRC2012"
    expected = []
    if architecture in _IMAGENET_FULL:
        expected.append(
            _imagenet_top1(
                _IMAGENET_FULL[architecture],
                "a run of the released code by BiT-HyperRule",
                f"{_README}, ImageNet results",
            )
        )
    for arch, tag, size, _, _, top1, _ in TIMM:
        if "R" + arch == architecture and tag == FINE_TUNED and top1 is not None:
            expected.append(
                _imagenet_top1(
                    top1, f"this file at {size} with the shorter edge and a centre crop", "timm results-imagenet.csv"
                )
            )
    return ModelCard(
        name=name,
        family="official",
        architecture=architecture,
        num_classes=1000,
        pretraining=_SETS["M"],
        finetuning="ILSVRC-2012",
        train_size=480,
        input_size=480,
        crop_mode="squash",
        crop_pct=None,
        interpolation="bilinear",
        transform_source=_RULE_TRANSFORM,
        labels="imagenet-1k",
        downloads=(_release("npz", f"{name}.npz"),),
        expected=tuple(expected),
        hub_id=f"tfhub.dev/google/bit/m-{architecture.lower()}/ilsvrc2012_classification/1",
        notes=(
            "the paper fine-tunes at 384 (R152x4: 480), the released code at 480; which one made this file is not told",
        ),
    )


def _cifar10() -> ModelCard:
    name = "BiT-M-R50x1-CIFAR10"
    colab = "colabs/big_transfer_pytorch.ipynb"
    return ModelCard(
        name=name,
        family="official",
        architecture="R50x1",
        num_classes=10,
        pretraining=_SETS["M"],
        finetuning="CIFAR-10",
        train_size=128,
        input_size=128,
        crop_mode="squash",
        crop_pct=None,
        interpolation="bilinear",
        transform_source="bit_hyperrule.py (32x32 images: resize 160, crop 128) and " + colab,
        labels="cifar-10",
        downloads=(_release("npz", f"{name}.npz"),),
        expected=(Accuracy("CIFAR-10", "top-1", 97.61, "this file on the 10,000 test images", colab),),
        notes=("the only -CIFAR10 file that the release's colabs name",),
    )


def _vtab(architecture: str, run: int, task: str) -> ModelCard:
    name = f"BiT-M-{architecture}-run{run}-{task}"
    folder = f"vtab/{name}.tfhub/variables/variables"
    expected: tuple[Accuracy, ...] = ()
    if architecture in _VTAB_SCORES:
        expected = (
            Accuracy(
                "VTAB-1k",
                "mean top-1 over 19 tasks",
                _VTAB_SCORES[architecture],
                "all models of this architecture",
                f"{_README}, VTAB-1k results",
            ),
        )
    return ModelCard(
        name=name,
        family="vtab",
        architecture=architecture,
        num_classes=VTAB_TASKS[task],
        pretraining=_SETS["M"],
        finetuning=f"VTAB-1k {task}",
        train_size=None,
        input_size=None,
        crop_mode=None,
        crop_pct=None,
        interpolation=None,
        transform_source="not told by the release; BiT-HyperRule would squash images below 96x96 to 128, others to 480",
        labels=None,
        downloads=(_release("npz", f"vtab/{name}.npz"), _release("tfhub", f"{folder}.index", f"{folder}.data@1")),
        expected=expected,
    )


def _students() -> list[ModelCard]:
    paper = "arXiv:2106.05237, README section Distilled models"
    cards = []
    for size, top1, pct in ((224, 82.8, 0.875), (160, 80.5, None)):
        cards.append(
            ModelCard(
                name=f"R50x1_{size}",
                aliases=(f"BiT-R50x1-{size}", f"distill/R50x1_{size}"),
                family="distill",
                architecture="R50x1",
                num_classes=1000,
                pretraining="ILSVRC-2012, distilled from BiT-M-R152x2",
                finetuning=None,
                train_size=size,
                input_size=size,
                crop_mode="center_crop",
                crop_pct=pct,
                interpolation="bicubic" if pct else None,
                transform_source="big_vision configs/proj/distill/bit_i1k.py (224: shorter edge 256, centre 224), "
                "interpolation as in timm; for 160 the edge before the crop is not told",
                labels="imagenet-1k",
                downloads=(_release("npz", f"distill/R50x1_{size}.npz"),),
                expected=(_imagenet_top1(top1, f"at {size}", paper),),
            )
        )
    return cards


def _teachers() -> list[ModelCard]:
    cards = []
    for size, top1, pct in ((224, 83.0, 0.875), (384, 84.3, 1.0)):
        cards.append(
            ModelCard(
                name=f"R152x2_T_{size}",
                aliases=(f"distill/R152x2_T_{size}",),
                family="distill",
                architecture="R152x2",
                num_classes=1000,
                pretraining=_SETS["M"],
                finetuning="ILSVRC-2012 (teacher)",
                train_size=size,
                input_size=size,
                crop_mode="center_crop",
                crop_pct=pct,
                interpolation="bicubic",
                transform_source="timm resnetv2.py, tags goog_teacher_*; big_vision evaluates the 224 teacher alike",
                labels="imagenet-1k",
                downloads=(_release("npz", f"distill/R152x2_T_{size}.npz"),),
                expected=(_imagenet_top1(top1, f"at {size}", "big_vision configs/proj/distill/README.md"),),
            )
        )
    teachers = {
        "flowers": ("Oxford Flowers-102", 102),
        "pet": ("Oxford-IIIT Pet", 37),
        "food": ("Food-101", 101),
        "sun": ("SUN397", 397),
    }
    for short, (dataset, classes) in teachers.items():
        cards.append(
            ModelCard(
                name=f"R152x2_T_{short}128",
                aliases=(f"distill/R152x2_T_{short}128",),
                family="distill",
                architecture="R152x2",
                num_classes=classes,
                pretraining=_SETS["M"],
                finetuning=f"{dataset} (teacher)",
                train_size=128,
                input_size=128,
                crop_mode="center_crop",
                crop_pct=0.8,
                interpolation=None,
                transform_source="big_vision configs/proj/distill/bigsweep_*.py: shorter edge 160, centre 128",
                labels=None,
                downloads=(_release("npz", f"distill/R152x2_T_{short}128.npz"),),
            )
        )
    return cards


def vtab_cards() -> list[ModelCard]:
    """The cards of the 285 models that were fine-tuned on VTAB-1k, in no particular order."""
    return [
        _vtab(architecture, run, task)
        for architecture in _ARCHITECTURES
        if architecture != "R152x2"
        for run in range(3)
        for task in VTAB_TASKS
    ]


def other_cards() -> list[ModelCard]:
    """All other cards, in no particular order."""
    cards = [_upstream(size, architecture) for size in _SETS for architecture in _ARCHITECTURES]
    cards += [_imagenet(architecture) for architecture in _ARCHITECTURES]
    return [*cards, _cifar10(), *_students(), *_teachers(), *timm_cards(), bit_50()]
