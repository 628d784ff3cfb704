"""The house rules hold in this checkout, and the script that checks them sees every kind of violation."""

from __future__ import annotations

from pathlib import Path

import pytest
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
        ("model/config.hpp", "#include <bit/resnet.hpp>", "includes the front door resnet.hpp"),
        ("backend/cpu/isa/avx2.hpp", "#include <bit/backend/cuda/conv.hpp>", "may not include each other"),
        ("backend/cuda/conv.cuh", "#include <bit/backend/cpu.hpp>", "may not include each other"),
        ("backend/cpu/gemm.hpp", "xt::xtensor<float, 2> a;", "xtensor outside the door"),
        ("model/head.hpp", "#include <Eigen/Dense>", "Eigen outside eval/"),
        ("nn/conv.hpp", "  #pragma omp parallel for", "an OpenMP pragma"),
        ("backend/cpu/gemm.hpp", "#include <immintrin.h>", "intrinsics outside"),
        ("backend/cpu/gemm.hpp", "auto v = _mm256_loadu_ps(p);", "intrinsics outside"),
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
        ("resnet.hpp", "#pragma once\n#include <bit/io/npz.hpp>\n#include <bit/data.hpp>"),
        ("io/npz.hpp", "#pragma once\n#include <bit/model/config.hpp>\n#include <sys/mman.hpp>"),
    ],
)
def test_what_the_rules_allow_is_not_reported(path: str, text: str) -> None:
    assert violations(path, text) == []
