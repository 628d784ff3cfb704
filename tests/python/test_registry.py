# SPDX-License-Identifier: Apache-2.0
"""Cards of the released models: complete, consistent with each other and with the sources that are installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pybit import registry
from pybit.errors import ConfigError
from pybit.registry import list_models, model_info
from pybit.registry.cards import VTAB_TASKS

ARCHITECTURES = ("R50x1", "R101x1", "R50x3", "R101x3", "R152x2", "R152x4")


def test_all_released_models_have_a_card() -> None:
    names = set(list_models())
    assert {f"BiT-{size}-{architecture}" for size in "SM" for architecture in ARCHITECTURES} <= names
    assert {f"BiT-M-{architecture}-ILSVRC2012" for architecture in ARCHITECTURES} <= names
    assert "BiT-M-R50x1-CIFAR10" in names and "google/bit-50" in names
    assert {"R50x1_224", "R50x1_160", "R152x2_T_224", "R152x2_T_384"} <= names
    assert {f"R152x2_T_{task}128" for task in ("flowers", "pet", "food", "sun")} <= names
    vtab = {
        f"BiT-M-{architecture}-run{run}-{task}"
        for architecture in ARCHITECTURES
        if architecture != "R152x2"
        for run in range(3)
        for task in VTAB_TASKS
    }
    assert set(list_models(family="vtab")) == vtab and len(vtab) == 285
    assert len(list_models(family="timm")) == 15


def test_every_name_and_alias_leads_to_one_card() -> None:
    seen: dict[str, str] = {}
    for card in registry.iterate_cards():
        for name in (card.name, *card.aliases):
            assert seen.setdefault(name.lower(), card.name) == card.name
            assert model_info(name) is card and model_info(name.upper()) is card


def test_cards_are_complete_and_frozen() -> None:
    for card in registry.iterate_cards():
        assert re.fullmatch(r"R(50|101|152)x[1-4]", card.architecture)
        assert card.downloads and card.license and card.license_source and card.transform_source and card.pretraining
        assert all(url.startswith("https://") for download in card.downloads for url in download.urls)
        assert card.crop_mode in ("squash", "center_crop", None) and card.interpolation in ("bilinear", "bicubic", None)
        assert (card.input_size is None) == (card.crop_mode is None)
        assert card.input_range == (-1.0, 1.0) and card.weight_eps == (
            1e-8 if card.family in ("timm", "transformers") else 1e-10
        )
        assert all(item.source and 0 < item.value < 100 for item in card.expected)
        json.dumps(card.to_dict())
        hash(card)
    with pytest.raises(dataclasses.FrozenInstanceError):
        model_info("BiT-M-R50x1").num_classes = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # features of the networks as timm's table and the release give them
        ("BiT-S-R50x1", 25_549_352),
        ("BiT-M-R50x1", 68_256_659),
        ("BiT-S-R101x1", 44_541_480),
        ("BiT-M-R101x1", 87_248_787),
        ("BiT-S-R50x3", 217_319_080),
        ("BiT-S-R101x3", 387_934_888),
        ("BiT-S-R152x2", 236_335_208),
        ("BiT-S-R152x4", 936_533_224),
        ("BiT-M-R152x4", 1_107_299_923),
    ],
)
def test_parameter_counts_are_those_published(name: str, parameters: int) -> None:
    assert model_info(name).num_parameters == parameters


def test_addresses_are_those_of_the_releases_pages() -> None:
    bucket = "https://storage.googleapis.com/bit_models/"
    card = model_info("BiT-M-R50x1")
    assert card.urls == (bucket + "BiT-M-R50x1.npz",) and card.formats == ("npz", "h5")
    assert model_info("BiT-M-R152x2").formats == ("npz",)
    assert model_info("BiT-M-R50x1-ILSVRC2012").urls == (bucket + "BiT-M-R50x1-ILSVRC2012.npz",)
    assert model_info("R50x1_224").urls == (bucket + "distill/R50x1_224.npz",)
    vtab = model_info("BiT-M-R50x1-run0-caltech101")
    assert vtab.urls == (bucket + "vtab/BiT-M-R50x1-run0-caltech101.npz",)
    folder = bucket + "vtab/BiT-M-R50x1-run0-caltech101.tfhub/variables/variables."
    assert vtab.downloads[1].urls == (folder + "index", folder + "data@1")
    timm = model_info("resnetv2_50x1_bitm")
    assert timm.urls == (
        "https://huggingface.co/timm/resnetv2_50x1_bit.goog_in21k_ft_in1k/resolve/main/model.safetensors",
    )


def test_evaluation_transforms_are_kept_apart_by_origin() -> None:
    tuned, timm = model_info("BiT-M-R152x4-ILSVRC2012"), model_info("resnetv2_152x4_bit.goog_in21k_ft_in1k")
    assert (tuned.input_size, tuned.crop_mode, tuned.crop_pct) == (480, "squash", None)
    assert (timm.input_size, timm.crop_mode, timm.crop_pct, timm.interpolation) == (480, "center_crop", 1.0, "bilinear")
    distilled = model_info("R50x1_224")
    assert (distilled.input_size, distilled.crop_mode, distilled.crop_pct) == (224, "center_crop", 0.875)
    assert model_info("BiT-M-R50x1-CIFAR10").input_size == 128
    assert model_info("BiT-M-R50x1-run1-svhn").input_size is None  # the release does not tell


def test_wrong_files_of_the_release_are_noted() -> None:
    for name in ("BiT-S-R50x3", "BiT-S-R101x1"):
        assert any(f"{name}.h5" in note and "npz" in note for note in model_info(name).notes)
    assert not any(".h5" in note for note in model_info("BiT-S-R50x1").notes)


def test_names_are_matched_without_case_and_sorted_naturally() -> None:
    assert list_models("bit-m-r*x1") == ["BiT-M-R50x1", "BiT-M-R101x1"]
    assert list_models("*R50X1*") == list_models("*r50x1*") != []
    assert list_models("*_bitm", family="timm")[0] == "resnetv2_50x1_bit.goog_in21k_ft_in1k"  # by its old name
    assert list_models("nothing*") == []
    runs = list_models("BiT-M-R50x1-run?-dtd")
    assert runs == [f"BiT-M-R50x1-run{run}-dtd" for run in range(3)]


@pytest.mark.parametrize("name", ["BiT-L-R50x1", "bit-l-r152x4", "BiT-L", "BiT-L-R101x3-ILSVRC2012"])
def test_bit_l_was_never_released(name: str) -> None:
    with pytest.raises(ConfigError, match="never released.*JFT-300M"):
        model_info(name)


def test_unknown_names_suggest_close_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean BiT-M-R50x1-ILSVRC2012"):
        model_info("BiT-M-R50x1-ILSVRC-2012")
    with pytest.raises(ValueError, match=r"'xyz'; `pybit list` and pybit\.list_models"):
        model_info("xyz")


def test_file_names_and_hub_prefixes_are_understood() -> None:
    assert model_info("BiT-M-R50x1.npz").name == model_info("bit-m-r50x1.h5").name == "BiT-M-R50x1"
    assert model_info("hf-hub:timm/resnetv2_50x1_bit.goog_in21k").num_classes == 21843
    assert registry.find_card("my_own_model.npz") is None


_TIMM_TABLE = """
import json, sys
import peer_models
peer_models.timm_models()
from timm.models import get_pretrained_cfg
fields = "tag", "num_classes", "input_size", "crop_pct", "interpolation", "hf_hub_id", "license"
print(json.dumps({name: [getattr(get_pretrained_cfg(name), field) for field in fields] for name in sys.argv[1:]}))
"""


def test_timms_own_table_agrees() -> None:
    for package in ("torch", "timm"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    names = list_models(family="timm")
    untagged = sorted({name.split(".")[0] for name in names})
    command = [sys.executable, "-W", "ignore", "-c", _TIMM_TABLE, *names, *untagged]
    run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=120, check=True)
    table = json.loads(run.stdout)
    for name in names:
        card = model_info(name)
        tag, classes, size, crop_pct, interpolation, hub_id, license = table[name]
        assert (card.num_classes, card.input_size, card.crop_pct) == (classes, size[1], crop_pct)
        assert (card.interpolation, card.hub_id, card.license.lower()) == (interpolation, hub_id, license)
    for name in untagged:
        assert model_info(name).name == f"{name}.{table[name][0]}"
