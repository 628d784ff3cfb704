# SPDX-License-Identifier: Apache-2.0
"""Logits, pooled features and activations against float64 values of the reference mathematics (tests/golden).

The checkpoints are synthetic, made from a seed in the official layout; the expected values come from PyTorch in float64
on the same mathematics. `float32_error` of a case is what PyTorch's own float32 loses on it: the network amplifies
rounding, so a fixed bound would be either blind for small nets or unfair to deep ones.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pybit import _core

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
import make_checkpoint  # noqa: E402

CASES: list[dict[str, Any]] = json.loads((GOLDEN / "forward.json").read_text())
QUICK = [0, 1, 2, 3]
SLOW = [4, 5]  # R152x2 with 21,843 classes and R152x4: 1.3 and 3.7 GB of weights


def case_name(index: int) -> str:
    case = CASES[index]
    return f"{case['model']}-{'x'.join(map(str, case['input_shape']))}"


def parametrize(indices: list[int]) -> Any:
    return pytest.mark.parametrize("index", indices, ids=case_name)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Path of a case's checkpoint, made once; only the last two stay on disk."""
    folder, made = tmp_path_factory.mktemp("golden"), []

    def make(index: int) -> Path:
        case = CASES[index]
        path: Path = folder / f"BiT-{case['model'].rsplit('-', 1)[-1]}-seed{case['seed']}.npz"
        if not path.exists():
            for old in made[:-1]:
                old.unlink(missing_ok=True)
            units, width = make_checkpoint.parse_model(case["model"])
            np.savez(path, **make_checkpoint.checkpoint(units, width, case["classes"], case["seed"]))
            made.append(path)
        return path

    return make


def images_of(index: int, dtype: str) -> Any:
    case = CASES[index]
    return make_checkpoint.image_batch(tuple(case["input_shape"]), case["seed"]).astype(dtype)


def relative_error(got: Any, expected: Any) -> float:
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@functools.lru_cache(maxsize=1)  # tests that differ in the threads alone follow each other
def network(path: Path, dtype: str, backend: str, isa: str) -> _core.Network:
    return _core.Network.from_checkpoint(_core.open_checkpoint(path), dtype, backend=backend)


def check_forward(index: int, path: Path, dtype: str, backend: str, logits_bound: float, threads: int) -> None:
    net = network(path, dtype, backend, _core.build_info()["isa"])
    golden, x = np.load(GOLDEN / CASES[index]["file"]), images_of(index, dtype)
    taps = [name for name in CASES[index]["activations"] if name not in ("pooled", "logits")]
    out = net.run(x, "nchw", ["logits", "pooled", *taps], threads=threads)
    assert relative_error(out["logits"], golden["logits"]) < logits_bound
    # Pooled features carry the error of the last map, which the head averages out: three times the bound.
    assert relative_error(out["pooled"], golden["pooled"]) < 3 * logits_bound
    for name in taps:
        y, (mean, std, largest) = out[name].astype(np.float64), golden[f"stats/{name}"]
        assert list(y.shape) == CASES[index]["activations"][name]
        assert abs(y.mean() - mean) < logits_bound * std
        assert abs(y.std() - std) < logits_bound * std
        assert np.abs(y.reshape(len(y), -1)[:, :8] - golden[f"first8/{name}"]).max() < 10 * logits_bound * largest
    if backend == "reference":  # slow, and NHWC is compared in tests/cpp/backend/test_cpu_networks.cpp
        return
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(net.run(channels_last, "nhwc", ["logits"], threads=threads)["logits"], out["logits"])


def float32_bound(index: int) -> float:
    return max(1e-5, 1.5 * float(CASES[index]["float32_error"]))


@pytest.mark.parametrize("threads", [1, 2])
@parametrize(QUICK)
def test_cpu_float32(index: int, threads: int, checkpoints: Any) -> None:
    check_forward(index, checkpoints(index), "float32", "cpu", float32_bound(index), threads)


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_cpu_float32_on_every_instruction_set(isa: str, checkpoints: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if isa not in _core.build_info()["isas"]:
        pytest.skip(f"this CPU has no {isa}")
    monkeypatch.setenv("BIT_ISA", isa)
    check_forward(1, checkpoints(1), "float32", "cpu", float32_bound(1), 2)


def test_reference_float32(checkpoints: Any) -> None:
    check_forward(1, checkpoints(1), "float32", "reference", float32_bound(1), 1)


def test_reference_float64(checkpoints: Any) -> None:
    check_forward(1, checkpoints(1), "float64", "reference", 1e-10, 1)


@pytest.mark.slow
@parametrize(SLOW)
def test_cpu_float32_large(index: int, checkpoints: Any) -> None:
    check_forward(index, checkpoints(index), "float32", "cpu", float32_bound(index), 2)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@parametrize([0, 2, 3, 4, 5])
def test_reference_large(index: int, dtype: str, checkpoints: Any) -> None:
    bound = 1e-10 if dtype == "float64" else float32_bound(index)
    check_forward(index, checkpoints(index), dtype, "reference", bound, 1)


def test_the_bounds_notice_another_eps_and_one_changed_gamma(checkpoints: Any) -> None:
    """Negative controls: what a wrong constant or one wrong parameter does is far outside the bounds."""
    checkpoint = _core.open_checkpoint(checkpoints(1))
    golden, x = np.load(GOLDEN / CASES[1]["file"]), images_of(1, "float32")
    fields = {n: getattr(checkpoint.config, n) for n in ("units", "stem_channels", "in_channels", "num_classes")}
    other_eps = _core.Network.from_checkpoint(checkpoint, config=_core.Config(**fields, group_norm_eps=1e-3))
    assert relative_error(other_eps.run(x, "nchw", ["logits"])["logits"], golden["logits"]) > float32_bound(1)
    tensors = {name: checkpoint.read(name) for name, _, _ in checkpoint.tensors}
    tensors["resnet/block4/unit03/c/group_norm/gamma"] = tensors[
        "resnet/block4/unit03/c/group_norm/gamma"
    ] + np.float32(1e-3)
    changed = _core.Network.from_checkpoint(_core.recognise(list(tensors.items()), "changed"))
    assert relative_error(changed.run(x, "nchw", ["logits"])["logits"], golden["logits"]) > float32_bound(1)


@pytest.mark.slow
def test_r152x4_peak_memory(checkpoints: Any) -> None:
    """Loading 936 million parameters and running a 64x64 image takes at most 1.25 times the weights' own bytes."""
    import subprocess

    path = checkpoints(5)
    program = (
        "import sys, numpy as np; from pybit import _core;"
        "net = _core.Network.from_checkpoint(_core.open_checkpoint(sys.argv[1]));"
        "net.run(np.zeros((1, 3, 64, 64), np.float32), 'nchw', ['logits']);"
        "print(open('/proc/self/status').read())"
    )
    # VmHWM, as ru_maxrss begins with the peak of the process that started this one: 15.8 GB after other golden tests.
    status = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True).stdout
    peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
    weights = 4 * 936_533_224
    print(f"peak {peak / 1e6:.0f} MB for {weights / 1e6:.0f} MB of weights: {peak / weights:.3f}")
    assert weights < peak <= 1.25 * weights
