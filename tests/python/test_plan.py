# SPDX-License-Identifier: Apache-2.0
"""Plans and profiles: their tables, their numbers, the command, the chart."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pybit
import pytest
from pybit import _core
from pybit.cli import main
from pybit.network.options import ALGORITHMS
from small_models import batch, small_model


def test_a_plan_agrees_with_the_summary() -> None:
    model = small_model()
    plan = model.plan(48, 64, 2)
    summary = model.summary((48, 64), 2)
    assert [row["name"] for row in plan.rows] == [row["name"] for row in summary]
    assert [row["output"] for row in plan.rows] == [row["output"] for row in summary]
    assert plan.flops == 2 * sum(row["macs"] for row in summary)
    assert {row["algorithm"] for row in plan.rows if row["flops"]} <= {"direct", "winograd_2x2", "winograd_4x4"}
    assert {row["algorithm"] for row in plan.rows if not row["flops"]} == {""}
    assert plan.rows[0]["read_bytes"] == 2 * 3 * 48 * 64 * 4
    assert plan.workspace_bytes > plan.arena_bytes > 0


def test_a_plan_prints_a_line_per_step_and_the_totals() -> None:
    model = small_model()
    plan = model.plan(32)
    lines = str(plan).splitlines()
    assert lines[0].startswith(f"{model.name}, 1 x 32 x 32 pixels, float32, algorithm auto, ")
    assert lines[1].split()[:4] == ["layer", "what", "algorithm", "output"]
    assert len(lines) == 2 + len(plan.rows) + 2 + 2
    assert repr(plan) == str(plan)
    assert f"{plan.flops / 1e9:.3f}" in lines[-3]
    html = plan._repr_html_()
    assert html.count("<tr>") == 1 + len(plan.rows) + 1
    assert html.count("<td") == 7 * (len(plan.rows) + 1)


def test_a_profile_has_times_rates_and_shares_that_add_up() -> None:
    model = small_model()
    profile = model.profile(32, runs=3, threads=1)
    assert profile.shape == (1, 32, 32)
    assert profile.threads == 1 and profile.runs == 3
    assert sum(row["share"] for row in profile.rows) == pytest.approx(1)
    assert profile.fma_gflops is not None and profile.fma_gflops > 0
    for row in profile.rows:
        assert 0 < row["min_seconds"] <= row["median_seconds"]
        if row["flops"]:
            assert row["gflops"] == pytest.approx(row["flops"] / row["min_seconds"] / 1e9)
            assert row["peak_share"] == pytest.approx(row["gflops"] / profile.fma_gflops)
        else:
            assert row["gflops"] is None and row["peak_share"] is None
    assert profile.seconds == pytest.approx(sum(row["min_seconds"] for row in profile.rows))
    assert json.loads(json.dumps(profile.as_dict()))["seconds"] == profile.seconds
    assert "100.0%" in str(profile) and "may exceed the peak" in str(profile)


def test_a_profile_takes_the_callers_images_in_both_layouts() -> None:
    model = small_model()
    assert model.profile(np.zeros((2, 3, 40, 36), np.float32), runs=1).shape == (2, 40, 36)
    assert model.profile(np.zeros((2, 40, 36, 3), np.float32), runs=1, layout="nhwc").shape == (2, 40, 36)
    with pytest.raises(pybit.ShapeError, match="3"):
        model.profile(np.zeros((2, 4, 40, 36), np.float32), runs=1)


def test_bfloat16_keeps_its_door_in_float32_and_halves_maps_and_weights() -> None:
    single, brain = small_model(algorithm="direct"), small_model(dtype="bfloat16", algorithm="direct")
    assert brain.dtype == "bfloat16" and "bfloat16" in repr(brain)
    x = batch()
    logits, rounded = single(x), brain(x)
    assert rounded.dtype == np.float32 and brain.forward_features(x).dtype == np.float32
    # Sixteen products of 8 significant bits deep, errors of 2^-9 average to about a hundredth of the largest logit.
    assert 1e-4 < np.abs(rounded - logits).max() / np.abs(logits).max() < 0.05
    for name, value in brain.state_dict().items():
        np.testing.assert_array_equal(value, single.state_dict()[name])
    wide, narrow = single.plan(160).rows, brain.plan(160).rows
    for a, b in zip(wide[1:-2], narrow[1:-2], strict=True):  # the stem's kernel stays in float
        assert b["weight_bytes"] * 2 == a["weight_bytes"]
    # Sums for group norm are double in both; they are a small part at this size.
    assert sum(b["written_bytes"] for b in narrow) < 0.6 * sum(a["written_bytes"] for a in wide)
    profile = brain.profile(32, runs=1)
    assert profile.fma_gflops is not None and "bfloat16 multiply-adds" in str(profile)
    assert pickle.loads(pickle.dumps(brain)).dtype == "bfloat16"


def test_the_reference_has_no_ceilings_and_no_instruction_set() -> None:
    profile = small_model(dtype="float64").profile(16, runs=1)
    assert profile.fma_gflops is None and profile.isa == "reference" and profile.threads == 1
    assert all(row["peak_share"] is None for row in profile.rows)
    assert "ceilings" not in str(profile)


@pytest.mark.parametrize("arguments", [{"h": 0}, {"h": 32, "n": 0}, {"h": 32, "threads": -1}, {"h": 32, "w": -3}])
def test_impossible_plans_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(pybit.ConfigError, match="expected"):
        small_model().plan(**arguments)


def test_profiles_of_no_run_or_no_image_are_refused() -> None:
    with pytest.raises(pybit.ConfigError, match="at least 1 run"):
        small_model().profile(32, runs=0)
    with pytest.raises(pybit.ConfigError, match="at least 1 image"):
        small_model().profile(np.zeros((0, 3, 8, 8), np.float32))


def test_measured_peaks_are_what_a_processor_can_do() -> None:
    """Units: a factor of a thousand, or seconds instead of rates, would leave these bounds."""
    peak = _core.measure_peak(1)
    assert set(peak) == {"fma_gflops", "bfloat16_gflops", "read_gbytes"}
    lanes = {"scalar": 4, "neon": 4, "avx2": 8}.get(_core.build_info()["isa"], 16)
    most = lanes * 2 * 2 * 6.5  # two fused multiply-adds per cycle, two operations each, at 6.5 GHz
    assert most / 500 < peak["fma_gflops"] < most
    assert most / 500 < peak["bfloat16_gflops"] < 2 * most  # an instruction multiplies pairs
    assert 0.1 < peak["read_gbytes"] < 200  # of one core from memory


# ---- the algorithm
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_model_keeps_its_algorithm_through_copies_and_new_heads(algorithm: str, tmp_path: Path) -> None:
    model = small_model(algorithm=algorithm)
    assert model.algorithm == algorithm
    assert pickle.loads(pickle.dumps(model)).algorithm == algorithm
    model.reset_classifier(3)
    model.load_state_dict(model.state_dict())
    assert model.algorithm == algorithm
    path = tmp_path / "m.safetensors"
    model.save(path)
    loaded = pybit.load(path, algorithm=algorithm)
    loaded.pickle_by = "path"
    assert pickle.loads(pickle.dumps(loaded)).algorithm == algorithm


def test_direct_means_direct() -> None:
    plan = small_model(algorithm="direct").plan(64)
    assert {row["algorithm"] for row in plan.rows if row["flops"]} == {"direct"}


@pytest.mark.parametrize(("algorithm", "products"), [("winograd_2x2", 16), ("winograd_4x4", 36)])
def test_winograd_takes_the_3x3_convolutions_of_stride_1_with_larger_weights(algorithm: str, products: int) -> None:
    direct, winograd = small_model(algorithm="direct").plan(64), small_model(algorithm=algorithm).plan(64)
    for a, b in zip(direct.rows, winograd.rows, strict=True):
        assert (b["algorithm"] == algorithm) == (a["kind"] == "conv 3x3")
        assert b["weight_bytes"] * 9 == a["weight_bytes"] * (products if b["algorithm"] == algorithm else 9)
        assert b["flops"] == a["flops"]  # of the direct form in both


def test_a_models_description_tells_an_algorithm_that_was_asked_for() -> None:
    assert "algorithm" not in repr(small_model())
    assert "algorithm winograd" in repr(small_model(algorithm="winograd"))


def test_unknown_algorithms_and_those_the_reference_lacks_are_refused() -> None:
    with pytest.raises(pybit.ConfigError, match=r"auto, direct, winograd.*'fft'"):
        small_model(algorithm="fft")
    with pytest.raises(pybit.ConfigError, match="auto, direct, winograd"):
        _core.Network.random(_core.Config(units=(1, 1, 1, 1), stem_channels=32), algorithm="fft")
    with pytest.raises(pybit.ConfigError, match="direct products only"):
        small_model(dtype="float64", algorithm="winograd")


# ---- the command
def test_profile_prints_the_table_and_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = f"{tmp_path}/m.npz"
    small_model().save(path)
    assert main(["profile", path, "--size", "32", "--runs", "2", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "block1/unit01/a" in out and re.search(r"ceilings measured beside it: \d+ GFLOP/s", out)
    assert (
        main(["profile", path, "--size", "32x48", "--batch-size", "2", "--plan", "--json", "--algorithm", "direct"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["shape"] == [2, 32, 48] and found["algorithm"] == "direct"
    assert "min_seconds" not in found["rows"][0]


def test_profile_draws_a_chart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model, chart = f"{tmp_path}/m.npz", f"{tmp_path}/chart.png"
    small_model().save(model)
    assert main(["profile", model, "--size", "32", "--runs", "1", "--png", chart]) == 0
    assert f"wrote {chart}" in capsys.readouterr().err
    with open(chart, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    assert main(["profile", model, "--plan", "--png", chart]) == 2
    assert "leave out --plan" in capsys.readouterr().err
    assert main(["profile", model, "--size", "8", "--runs", "1", "--dtype", "float64", "--png", chart]) == 2
    assert "the reference has none" in capsys.readouterr().err
