# SPDX-License-Identifier: Apache-2.0
"""The house rules hold in this checkout, and the script that checks them sees every kind of violation."""

from __future__ import annotations

from pathlib import Path

import pytest
import python_rooms
from check_house import check, violations

ROOT = Path(__file__).parents[2]


def test_the_checkout_keeps_the_house_rules() -> None:
    assert check(ROOT) == []


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("tensor.hpp", "#include <bit/nn/conv.hpp>", "tensor may not include nn"),
        ("program/step.hpp", "#include <bit/backend/cpu.hpp>", "program may not include backend"),
        ("backend/cpu.hpp", '#include "bit/model/resnet_v2.hpp"', "backend may not include model"),
        ("data/image.hpp", "#include <bit/program/step.hpp>", "data may not include program"),
        ("nn/conv.ipp", "#  include <bit/io/npz.hpp>", "nn may not include io"),
        ("model/config.hpp", "#include <bit/resnet.hpp>", "includes the public header resnet.hpp"),
        ("model/frozen.hpp", "#include <bit/backend/cpu/threads.hpp>", "may name backend/cpu"),
        ("train/sgd.hpp", "#include <bit/backend/cpu.hpp>", "may name backend/cpu"),
        (
            "train/sgd.hpp",
            "#include <bit/implementation/train.hpp>",
            "includes the public header implementation",
        ),
        ("eval/knn.hpp", "#include <bit/eval.hpp>", "includes the public header eval.hpp"),
        ("backend/cpu/isa/avx2.hpp", "#include <bit/backend/cuda/conv.hpp>", "may not include each other"),
        ("backend/cuda/conv.cuh", "#include <bit/backend/cpu.hpp>", "may not include each other"),
        ("train/optimizer.hpp", "#include <bit/backend/cpu/update.hpp>", "may name backend/cpu"),
        ("model/trainable.hpp", "#include <bit/backend/cpu.hpp>", "may name backend/cpu"),
        ("backend/cpu/gemm.hpp", "xt::xtensor<float, 2> a;", "xtensor outside the door"),
        ("model/head.hpp", "#include <Eigen/Dense>", "Eigen outside eval/"),
        ("nn/conv.hpp", "  #pragma omp parallel for", "an OpenMP pragma"),
        ("backend/cpu/gemm.hpp", "#include <immintrin.h>", "intrinsics outside"),
        ("backend/cpu/gemm.hpp", "auto v = _mm256_loadu_ps(p);", "intrinsics outside"),
        ("io/zip.ipp", "return __builtin_ia32_crc32qi(x, y);", "intrinsics outside"),
        ("io/npz.hpp", "#include <pybind11/pybind11.h>", "Python in a header"),
        ("io/npz.ipp", 'std::cout << "reading";', "output to the console"),
        ("io/npz.ipp", 'printf("reading");', "output to the console"),
        ("model/config.hpp", "#define BIT_X 1", "a macro defined outside config.hpp"),
        ("model/network.ipp", "if (std::get_if<conv_step>(&s)) return;", "without a visitor"),
        ("program/backward.ipp", "return std::holds_alternative<bit::head_step>(s);", "without a visitor"),
        ("io/npz.hpp", "int a;\n" * 301, "over 300 lines"),
    ],
)
def test_a_violation_is_reported(path: str, text: str, message: str) -> None:
    found = violations(path, "#pragma once\n" + text)
    assert len(found) == 1
    assert message in found[0]


def test_a_header_without_include_guard_is_reported() -> None:
    assert violations("io/npz.hpp", "int a;") == ["io/npz.hpp: no #pragma once"]


def test_a_file_that_could_hide_a_standard_header_is_reported(tmp_path: Path) -> None:
    (tmp_path / "include/bit").mkdir(parents=True)
    (tmp_path / "include/bit/version").touch()
    assert "without extension" in check(tmp_path)[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("io/npz.ipp", "// std::cout << printf(\n/* #define\nxt::view */ int a;"),
        ("io/npz.ipp", 'std::snprintf(buffer, size, "%d", n);'),
        ("backend/cpu/isa/avx2.hpp", "#pragma once\n#include <immintrin.h>\n#define LANES 8"),
        ("model/trainable_cpu.hpp", "#pragma once\n#include <bit/backend/cpu/training.hpp>"),
        ("resnet.hpp", "#pragma once\n#include <bit/io/npz.hpp>\n#include <bit/data.hpp>"),
        ("detail/crc32.ipp", "__builtin_ia32_pclmulqdq128(x, y, 0);"),
        ("model/resnet_v2.hpp", "#pragma once\n#include <bit/backend/cpu.hpp>"),
        ("implementation/io.hpp", "#pragma once\n#include <bit/io/npz.ipp>"),
        ("io/npz.hpp", "#pragma once\n#include <bit/model/config.hpp>\n#include <sys/mman.hpp>"),
    ],
)
def test_what_the_rules_allow_is_not_reported(path: str, text: str) -> None:
    assert violations(path, text) == []


MODULES = {python_rooms.module_name(path) for path in python_rooms.read(ROOT)}


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("base/arrays.py", "from pybit.data.images import resize", "base may not import data"),
        ("inference/run.py", "def f():\n    from pybit.model import Model", "inference may not import model"),
        ("report/plan.py", "if TYPE_CHECKING:\n    from pybit.model.model import Model", "report may not import model"),
        ("network/build.py", "import pybit.formats.raw", "network may not import formats"),
        ("data/images.py", "from pybit import hub", "data may not import hub"),
        ("hub/cache.py", 'f = importlib.import_module("pybit.cli")', "hub may not import cli"),
        ("model/create.py", 'f = __import__(f"pybit.train.{name}")', "model may not import train"),
        ("cli/train.py", "from pybit import fine_tune", "imports the door pybit"),
        ("train/log.py", "import pybit", "imports the door pybit"),
        ("evaluation/probe.py", "from pybit.datasets import open", "imports the door pybit.datasets"),
        ("model/model.py", "from . import base", "a relative import"),
        ("train/trainer.py", "from pybit.model.model import _secret", "pybit.model.model._secret is private to model"),
        ("train/trainer.py", "from pybit.cli import _common", "train may not import cli"),
        ("errors.py", "from pybit.base.sizes import byte_text", "errors may not import base"),
        ("attic/old.py", "x = 1", "is in no room"),
        ("_helpers.py", "x = 1", "is in no room"),
        ("data/images.py", "x = 1\n" * 301, "over 300 lines"),
    ],
)
def test_a_violation_in_python_is_reported(path: str, text: str, message: str) -> None:
    found = python_rooms.violations(path, text, MODULES)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("base/arrays.py", "from pybit import _core\nfrom pybit._core import Config\nimport numpy as np"),
        ("train/log.py", "from pybit.evaluation.accuracy import Evaluation\nfrom pybit.train import recipe"),
        ("cli/__init__.py", 'from pybit.base.version import __version__\nm = import_module(f"pybit.cli.{name}")'),
        ("recipe.py", "from pybit.train.recipe import hyper_rule\nx = 1"),
        ("train/__main__.py", "from pybit.cli import main"),
        ("data/images.py", "x = 1\n" * 300),
    ],
)
def test_what_the_rules_allow_in_python_is_not_reported(path: str, text: str) -> None:
    assert python_rooms.violations(path, text, MODULES) == []


def test_a_circle_within_a_room_is_reported() -> None:
    files = {
        "data/a.py": "from pybit.data.b import x",
        "data/b.py": "def f():\n    from pybit.data import c",
        "data/c.py": "if TYPE_CHECKING:\n    import pybit.data.a",
        "data/d.py": "from pybit.data.a import x",
    }
    assert python_rooms.circles(files) == [["data.a", "data.b", "data.c"]]
    assert python_rooms.circles(files | {"data/c.py": "x = 1"}) == []


def test_no_room_sees_another_that_sees_it() -> None:
    for room, seen in python_rooms.ROOMS.items():
        assert room not in seen and not any(room in python_rooms.ROOMS[other] for other in seen)


def test_a_planted_violation_fails_the_whole_check(tmp_path: Path) -> None:
    package = tmp_path / "python/pybit"
    (package / "data").mkdir(parents=True)
    (tmp_path / "include").mkdir()
    (package / "data/images.py").write_text("x = 1\n")
    assert check(tmp_path) == []
    (package / "data/images.py").write_text("def f():\n    import pybit.cli\n")
    assert check(tmp_path) == ["pybit/data/images.py:2: data may not import cli (pybit.cli)"]
