# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that fails what was skipped for want of another implementation (pytest -p require_oracles).

`make test` runs without torch, timm and transformers and skips the comparisons with them. Where they are meant to run
(`make test-oracle`, nightly), a skip would hide that nothing was compared.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import pytest

PACKAGES = "torch|timm|transformers|huggingface_hub|onnx|onnxruntime|openvino|fastapi|uvicorn"
ORACLES = re.compile(rf"\b({PACKAGES})\b|test-oracle")


def require(report: Any) -> None:
    """Makes a failure of a report that was skipped because of a missing oracle."""
    # A skip is reported as (file, line, reason).
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple) and ORACLES.search(report.longrepr[2]):
        report.outcome = "failed"
        report.longrepr = f"an oracle is missing where it is required: {report.longrepr[2]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Looks at the report of each test."""
    report = yield
    require(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """Looks at the report of each file, which may be skipped as a whole."""
    report = yield
    require(report)
    return report
