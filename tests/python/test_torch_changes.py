# SPDX-License-Identifier: Apache-2.0
"""Parameters of pybit.torch that change, by an optimizer or by hand: the next call computes with them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from torch_modules import images, small  # noqa: E402


def changes() -> dict[str, Callable[[Any], None]]:
    def by_optimizer(module: Any) -> None:
        optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
        module(images(seed=3)).square().mean().backward()
        optimizer.step()

    def by_fused_optimizer(module: Any) -> None:  # which does not count in a tensor's version
        optimizer = torch.optim.Adam(module.parameters(), lr=0.1, fused=True)
        module(images(seed=3)).square().mean().backward()
        optimizer.step()

    def by_state_dict(module: Any) -> None:
        module.load_state_dict(small(seed=9).state_dict())

    def by_data(module: Any) -> None:
        module.get_parameter("head.fc.weight").data.mul_(2.0)

    def by_new_data(module: Any) -> None:
        p = module.get_parameter("head.fc.weight")
        p.data = p.detach() * 2

    def in_place(module: Any) -> None:
        with torch.no_grad():
            module.get_parameter("norm.bias").add_(0.5)

    def new_parameter(module: Any) -> None:
        branch = module.get_submodule("norm")
        branch.weight = torch.nn.Parameter(branch.weight.detach() * 2)

    return {
        f.__name__: f
        for f in (by_optimizer, by_fused_optimizer, by_state_dict, by_data, by_new_data, in_place, new_parameter)
    }


@pytest.mark.parametrize("how", list(changes()))
@pytest.mark.parametrize("learning", [False, True])
def test_a_changed_parameter_is_seen_at_the_next_call(how: str, learning: bool) -> None:
    module, x = small(head="new"), images()
    with torch.set_grad_enabled(learning):
        before = module(x).detach().clone()
        changes()[how](module) if learning else torch.enable_grad()(changes()[how])(module)
        after = module(x).detach()
        fresh = copy.deepcopy(module)(x).detach()
    assert torch.equal(after, fresh)
    assert not torch.equal(after, before)


def test_data_that_is_kept_and_changed_later_is_seen() -> None:
    module, x = small(head="new"), images()
    alias = module.get_parameter("head.fc.weight").data
    with torch.no_grad():
        values = []
        for _ in range(3):
            values.append(module(x).clone())
            alias.mul_(1.5)
    assert not torch.equal(values[0], values[1])
    assert not torch.equal(values[1], values[2])


def test_parameters_changed_between_the_passes_are_an_error() -> None:
    module, x = small(), images()
    loss = module(x).square().mean()
    with torch.no_grad():
        module.get_parameter("norm.bias").add_(0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
