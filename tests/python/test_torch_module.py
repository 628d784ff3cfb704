# SPDX-License-Identifier: Apache-2.0
"""pybit.torch.BitModule: values, gradients, changed parameters, and what torch's programs do with modules."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pybit
import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from pybit.torch import BitModule, create_model  # noqa: E402
from torch_modules import SMALL, images, small  # noqa: E402


def test_forward_is_the_models_own_with_and_without_gradients() -> None:
    model = pybit.create_model("small", **SMALL)
    module, x = BitModule(model), images()
    expected = model(x.numpy())
    with torch.no_grad():
        assert np.array_equal(module(x).numpy(), expected)
    # With gradients the forward pass keeps its maps and takes Winograd tiles of 2x2 at most: other roundings.
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=0, atol=1e-5)
    assert np.abs(module(-x).detach().numpy() - expected).max() > 1e-3  # the negative control


def test_gradients_are_the_models_own() -> None:
    model = pybit.create_model("small", **SMALL)
    module, x = BitModule(model), images(4)
    y = torch.tensor([0, 1, 2, 3])
    loss = torch.nn.functional.cross_entropy(module(x), y)
    loss.backward()
    expected_loss, expected = model.gradients(x.numpy(), y.numpy(), names="timm")
    assert abs(loss.item() - expected_loss) < 1e-6
    assert {name for name, _ in module.named_parameters()} == set(expected)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), expected[name], rtol=1e-4, atol=1e-6)


def test_gradcheck_in_double_through_all_outputs() -> None:
    module = create_model("tiny", units=(1, 1, 1, 1), stem_channels=32, num_classes=3, seed=2).double()
    x = images(1, 32, dtype=torch.float64).requires_grad_()
    learning = ["stages.1.blocks.0.conv2.weight", "norm.weight", "head.fc.bias"]
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in learning)
    parameters = [p for p in module.parameters() if p.requires_grad]

    def outputs(*_: Any) -> Any:
        features, maps = module.forward_intermediates(x, [1, -1])
        return (module(x).sum(), features.square().mean(), *(m.mean() for m in maps))

    # Some dozen values of each: the reference backend takes 30 ms a pass.
    assert torch.autograd.gradcheck(outputs, (x, *parameters), fast_mode=True, atol=1e-5, rtol=1e-3)


def test_accumulation_several_passes_and_zero_grad() -> None:
    module, x = small(), images(4)
    module(x).square().mean().backward()
    whole = {n: p.grad.clone() for n, p in module.named_parameters()}
    module.zero_grad()
    first, second = module(x[:2]), module(x[2:])
    (second.square().mean() / 2).backward()
    (first.square().mean() / 2).backward()
    for name, p in module.named_parameters():
        torch.testing.assert_close(p.grad, whole[name], rtol=1e-3, atol=1e-6)
    module.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in module.parameters())
    module(x).square().mean().backward()
    for name, p in module.named_parameters():
        assert torch.equal(p.grad, whole[name])


def test_frozen_parts_have_no_gradient_and_the_rest_the_same() -> None:
    module, x = small(), images()
    module(x).square().mean().backward()
    whole = {n: p.grad.clone() for n, p in module.named_parameters()}
    module.zero_grad()
    for name, p in module.named_parameters():
        p.requires_grad_(name.startswith(("stages.3", "norm", "head")))
    module(x).square().mean().backward()
    for name, p in module.named_parameters():
        assert (p.grad is not None) == p.requires_grad
        if p.grad is not None:
            assert torch.equal(p.grad, whole[name])


def test_gradient_of_images_with_all_parameters_frozen() -> None:
    module = small(head="new").requires_grad_(False)
    x = images().requires_grad_()
    module(x)[:, 1].sum().backward()
    assert x.grad is not None and x.grad.abs().max() > 0
    direction = images(seed=5)
    with torch.no_grad():  # as float64 would give it, to float32's rounding
        double = copy.deepcopy(module).double()
        h = 1e-6
        up, down = (double(x.double() + s * h * direction)[:, 1].sum() for s in (1, -1))
    expected = ((up - down) / (2 * h)).item()
    assert abs((x.grad * direction).sum().item() - expected) < 1e-3 * abs(expected) + 1e-6


def test_channels_last_goes_in_and_comes_out_without_other_values() -> None:
    module, x = small(features_only=True, out_indices=(1, -1)), images()
    last = x.contiguous(memory_format=torch.channels_last)
    for context in (torch.enable_grad(), torch.no_grad()):
        with context:
            for a, b in zip(module(x), module(last), strict=True):
                assert torch.equal(a, b)
                assert b.is_contiguous(memory_format=torch.channels_last)
    sum(m.square().mean() for m in module(last)).backward()
    gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    sum(m.square().mean() for m in module(x)).backward()
    for a, b in zip(gradients, [p.grad for p in module.parameters() if p.grad is not None], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_features_are_the_models_levels() -> None:
    model = pybit.create_model("small", **SMALL)
    x = images()
    module = BitModule(model, features_only=True, out_indices=[0, 2, -1])
    with torch.no_grad():
        found = module(x)
    expected = model.forward_intermediates(x.numpy(), [0, 2, -1], intermediates_only=True)
    for a, b, info in zip(found, expected, module.feature_info, strict=True):
        assert np.array_equal(a.numpy(), b)
        assert info["num_chs"] == a.shape[1]
        assert a.shape[2] == -(-x.shape[2] // info["reduction"])


def test_autocast_and_bfloat16_parameters_compute_in_bfloat16() -> None:
    module, x = small(head="new"), images()
    expected = pybit.create_model("small", **{**SMALL, "head": "new"}, dtype="bfloat16")(x.numpy())
    with torch.no_grad():
        exact = module(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert np.array_equal(module(x).numpy(), expected)
        assert not np.array_equal(exact.numpy(), expected)
        assert module(x).equal(exact)
        half = copy.deepcopy(module).bfloat16()(x.bfloat16())
    torch.testing.assert_close(half, exact, rtol=0.1, atol=0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        module(x).square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in module.parameters())


def test_inference_mode_and_eval() -> None:
    module, x = small().eval(), images()
    with torch.inference_mode():
        y = module(x)
    assert y.is_inference()
    with torch.no_grad():
        assert torch.equal(module(x), y)


def test_pickle_deepcopy_save_and_threads() -> None:
    module, x = small(head="new"), images()
    with torch.no_grad():
        expected = module(x)
        for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(twin(x), expected)
            twin.get_parameter("head.fc.bias").add_(1)
            assert not torch.equal(twin(x), expected)
        assert torch.equal(module(x), expected)
        file = io.BytesIO()
        torch.save(module.state_dict(), file)
        file.seek(0)
        other = small(seed=7)
        assert str(other.load_state_dict(torch.load(file, weights_only=True))) == "<All keys matched successfully>"
        assert torch.equal(other(x), expected)
        assert np.array_equal(other.to_model()(x.numpy()), expected.numpy())


def _work(module: Any, x: Any, queue: Any) -> None:
    module(x).square().mean().backward()
    queue.put([p.grad.numpy() for p in module.parameters()])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_module_in_another_process(method: str) -> None:
    module, x = small(head="new"), images()
    module(x).square().mean().backward()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_work, args=(copy.deepcopy(module).requires_grad_(), x, queue))
    process.start()
    found = queue.get(timeout=120)
    process.join(60)
    assert process.exitcode == 0
    for p, g in zip(module.parameters(), found, strict=True):
        assert np.array_equal(p.grad.numpy(), g)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's compiler looks at it itself
def test_compile_around_it_breaks_nothing() -> None:
    module, x = small(head="new"), images()

    class Around(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.scale = module, torch.nn.Parameter(torch.tensor(2.0))

        def forward(self, x: Any) -> Any:
            return self.backbone(x * 0.5) * self.scale

    around = Around()
    expected = around(x)
    expected.sum().backward()
    gradients = [p.grad.clone() for p in around.parameters()]
    around.zero_grad()
    compiled = torch.compile(around, backend="eager")
    found = compiled(x)
    found.sum().backward()
    assert torch.equal(found, expected)
    for p, g in zip(around.parameters(), gradients, strict=True):
        assert torch.equal(p.grad, g)


def test_reset_classifier_keeps_the_rest_and_the_optimizers_hold_on_it() -> None:
    module, x = small(), images()
    stem = module.get_parameter("stem.conv.weight")
    module.reset_classifier(3)
    assert module(x).shape == (2, 3)
    assert module.get_parameter("stem.conv.weight") is stem
    assert isinstance(module.get_classifier().weight, torch.nn.Parameter)
    module.reset_classifier(0)
    assert module(x).shape == (2, module.num_features)
    assert "head.fc.weight" not in dict(module.named_parameters())


def test_a_module_goes_back_to_a_model_with_all_that_it_knew(tmp_path: Path) -> None:
    model = pybit.create_model("small", **SMALL)
    model.labels = tuple("abcde")
    model.preprocessing = pybit.PreprocessSpec(40, resampling="tf")
    module = BitModule(model)
    module.to_model().save(tmp_path / "back.safetensors")
    back = pybit.load(tmp_path / "back.safetensors")
    assert (back.labels, back.preprocessing) == (model.labels, model.preprocessing)
    assert back.config == model.config
    assert np.array_equal(back(images().numpy()), model(images().numpy()))
    module.reset_classifier(3)
    assert module.to_model().labels is None


def test_forward_head_of_forward_features_is_forward() -> None:
    module, x = small(head="new"), images()
    torch.testing.assert_close(module.forward_head(module.forward_features(x)), module(x), rtol=0, atol=1e-5)
    assert module.forward_head(module.forward_features(x), pre_logits=True).shape == (2, module.num_features)


def test_checkpointing_gives_the_same_gradients() -> None:
    module, x = small(), images()
    module(x).square().mean().backward()
    whole = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    module.set_grad_checkpointing()
    module(x).square().mean().backward()
    assert all(torch.equal(p.grad, g) for p, g in zip(module.parameters(), whole, strict=True))


def test_wrong_inputs_are_refused_with_what_was_expected() -> None:
    module = small()
    with pytest.raises(pybit.ShapeError, match=r"float images \(N, 3, H, W\)"):
        module(torch.zeros(3, 8, 8))
    with pytest.raises(pybit.ShapeError, match="uint8"):
        module(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(pybit.ConfigError, match="on the CPU"):
        module(torch.zeros(1, 3, 8, 8, device="meta"))
    with pytest.raises(pybit.ConfigError, match="features_only"):
        small(out_indices=[1])
    with torch.no_grad():
        assert module(torch.zeros(0, 3, 8, 8)).shape == (0, 5)


def test_a_loop_of_plain_torch_learns_what_a_trainer_learns() -> None:
    model = pybit.create_model("small", **{**SMALL, "head": "zero"})
    module = BitModule(model)
    trainer = pybit.Trainer(model, momentum=0.9, recompute="none")
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    for step in range(5):
        x, y = images(8, seed=step), torch.arange(8) % 5
        loss = torch.nn.functional.cross_entropy(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert abs(trainer.step(x.numpy(), y.numpy(), lr=0.01) - loss.item()) < 1e-4
