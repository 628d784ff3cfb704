# SPDX-License-Identifier: Apache-2.0
"""pybit.torch beside timm's own BiT models with the same random weights: values, gradients, features, state dicts."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import peer_models
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
peer_models.stand_in_for_torchvision()
timm = pytest.importorskip("timm", reason="needs timm")
timm_optim = pytest.importorskip("timm.optim", reason="needs timm")

from pybit.torch import BitModule, create_model  # noqa: E402

NAME = "resnetv2_50x1_bit"
ULPS = 2e-4  # of the largest value: float32 roundings of 53 layers on either side


@pytest.fixture(scope="module")
def pair() -> tuple[Any, BitModule]:
    torch.manual_seed(0)
    theirs = timm.create_model(NAME, num_classes=7).eval()
    with torch.no_grad():
        theirs.head.fc.weight.normal_(0, 0.05)
    ours = create_model("resnetv2_50x1_bit.goog_in21k", num_classes=7, head="zero", eps=1e-8).eval()
    print(ours.load_state_dict(theirs.state_dict()))
    return theirs, ours


def x(n: int = 2, size: int = 96) -> Any:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def close(a: Any, b: Any, tolerance: float = ULPS) -> bool:
    return float((a - b).abs().max()) <= tolerance * float(b.abs().max())


def test_state_dicts_go_both_ways(pair: tuple[Any, BitModule]) -> None:
    theirs, ours = pair
    assert list(ours.state_dict()) and set(ours.state_dict()) == set(theirs.state_dict())
    again = timm.create_model(NAME, num_classes=7)
    assert str(again.load_state_dict(ours.state_dict())) == "<All keys matched successfully>"
    for name, value in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_logits_and_features(pair: tuple[Any, BitModule]) -> None:
    theirs, ours = pair
    with torch.no_grad():
        assert close(ours(x()), theirs(x()))
        assert not close(ours(-x()), theirs(x()))  # the negative control
        assert close(ours.forward_features(x()), theirs.forward_features(x()))
        features = theirs.forward_features(x())
        assert close(ours.forward_head(features), theirs.forward_head(features))
        assert close(ours.forward_head(features, pre_logits=True), theirs.forward_head(features, pre_logits=True))


def test_intermediates(pair: tuple[Any, BitModule]) -> None:
    theirs, ours = pair
    with torch.no_grad():
        for indices in (None, 2, [0, -1]):
            last, maps = ours.forward_intermediates(x(), indices)
            their_last, their_maps = theirs.forward_intermediates(x(), indices)
            assert close(last, their_last)
            assert [m.shape for m in maps] == [m.shape for m in their_maps]
            assert all(close(a, b) for a, b in zip(maps, their_maps, strict=True))


def test_features_only_as_timm() -> None:
    theirs = timm.create_model(NAME, features_only=True, out_indices=(1, 2, 4)).eval()
    ours = create_model(
        "resnetv2_50x1_bit.goog_in21k", num_classes=0, eps=1e-8, features_only=True, out_indices=(1, 2, 4)
    )
    own = {name.replace("stages_", "stages."): value for name, value in theirs.state_dict().items()}
    own = {name.replace("stem_conv", "stem.conv"): value for name, value in own.items()}
    missing, unexpected = ours.load_state_dict(own, strict=False)
    assert not unexpected
    assert all(name.startswith("norm.") for name in missing)  # timm's features end before the last norm
    with torch.no_grad():
        found, expected = ours(x()), theirs(x())
    assert theirs.feature_info.channels() == [i["num_chs"] for i in ours.feature_info]
    assert theirs.feature_info.reduction() == [i["reduction"] for i in ours.feature_info]
    assert all(close(a, b) for a, b in zip(found, expected, strict=True))


def test_gradients_are_closer_to_double_precision_than_timms(pair: tuple[Any, BitModule]) -> None:
    theirs, ours = pair
    exact = copy.deepcopy(theirs).double()
    y = torch.tensor([1, 5])
    for model, images in ((theirs, x()), (ours, x()), (exact, x().double())):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(images), y).backward()

    def errors(model: Any) -> list[float]:
        own = dict(model.named_parameters())
        return [float((own[n].grad - p.grad).norm() / p.grad.norm()) for n, p in exact.named_parameters()]

    # ReLUs that open by rounding put a per cent into gradients of any float32 implementation (HACKING.md).
    assert np.median(errors(ours)) <= np.median(errors(theirs))
    assert max(errors(ours)) < 0.05


def test_data_config_and_optimizer_groups(pair: tuple[Any, BitModule]) -> None:
    theirs, ours = pair
    config = timm.data.resolve_data_config({}, model=ours)
    assert config["mean"] == config["std"] == (0.5, 0.5, 0.5)
    assert config["input_size"][0] == 3
    groups = timm.models.group_parameters(ours, ours.group_matcher(coarse=False))
    assert sum(len(names) for names in groups.values()) == len(list(ours.parameters()))
    optimizer = timm_optim.create_optimizer_v2(ours, opt="sgd", lr=0.1, layer_decay=0.75)
    assert len({g["lr_scale"] for g in optimizer.param_groups}) > 5
