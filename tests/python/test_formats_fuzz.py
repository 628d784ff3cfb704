# SPDX-License-Identifier: Apache-2.0
"""Properties of the readers on generated input: what is written is read back, what is damaged is refused."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import format_writers as w
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pybit.formats.keras.tfhub import read_bundle
from pybit.formats.torch.state import read_torch

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
import fuzz_formats  # noqa: E402

pytest.importorskip("h5py")  # one of the targets

# Each example writes files; fuzz_formats.py itself runs for as long as one likes.
FEW = settings(max_examples=60)
TARGETS = fuzz_formats.Targets()

arrays = hnp.arrays(
    st.sampled_from(["<f4", "<f8", "<f2", "<i8"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
# Names as networks have them; TensorFlow keeps the empty key for the header.
names = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_characters="\x7f"), min_size=1, max_size=30
)
networks = st.dictionaries(
    names.filter(lambda name: name != "_CHECKPOINTABLE_OBJECT_GRAPH"), arrays, min_size=1, max_size=8
)


def same(found: list[tuple[str, np.ndarray]], expected: w.Tensors) -> bool:
    """Whether names, shapes, types and bytes agree (bytes, so that NaN equals NaN)."""
    got = dict(found)
    return got.keys() == expected.keys() and all(
        got[name].shape == array.shape and got[name].dtype == array.dtype and got[name].tobytes() == array.tobytes()
        for name, array in expected.items()
    )


@FEW
@given(networks, st.integers(1, 3), st.booleans(), st.integers(1, 5))
def test_any_tensors_survive_a_bundle(network: w.Tensors, shards: int, snappy: bool, per_block: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = w.write_bundle(Path(folder) / "m", network, shards=shards, snappy=snappy, per_block=per_block)
        assert same(read_bundle(place).tensors, network)


@FEW
@given(networks, st.booleans())
def test_any_tensors_survive_a_torch_file(network: w.Tensors, legacy: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pth"
        (w.write_torch_legacy if legacy else w.write_torch_zip)(path, w.torch_state(network))
        assert same(read_torch(path).tensors, network)


@pytest.mark.parametrize("target", fuzz_formats.NAMES)
@FEW
@given(st.integers(0, 2**64 - 1))
def test_hostile_input_ends_in_an_error_or_in_tensors(target: str, seed: int) -> None:
    case, read = getattr(TARGETS, target)(random.Random(seed))
    assert fuzz_formats.check(case, read) is None


@pytest.mark.parametrize("target", fuzz_formats.NAMES)
def test_memory_on_hostile_input_stays_near_the_files_size(target: str) -> None:
    for seed in range(20):
        case, read = getattr(TARGETS, target)(random.Random(seed))
        assert fuzz_formats.check(case, read, measure=True) is None


def test_the_fuzzers_check_notices_exceptions_and_memory() -> None:
    def crash(case: bytes) -> None:
        raise KeyError("x")

    assert "KeyError" in (fuzz_formats.check(b"", crash) or "")
    assert "took" in (fuzz_formats.check(b"", lambda case: bytearray(80 << 20), measure=True) or "")
