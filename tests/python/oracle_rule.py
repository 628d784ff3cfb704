"""With BIT_REQUIRE_ORACLES=1, as `make test-oracle` sets it, a test that would be skipped fails.

So a nightly run cannot pass by comparing with nothing. What a package cannot bring, such as an instruction set, is
skipped as before.
"""

from __future__ import annotations

import os

import pytest

# Reasons that no installation removes, by a part of their text.
OF_THE_MACHINE = (
    "this CPU has no",
    "no affinity masks on this system",
    "no fork here",
    "needs LLVM's libomp",
    "needs Linux's /proc",
    "POSIX signals",
    "root cannot be kept from writing",
)


def required() -> bool:
    return os.environ.get("BIT_REQUIRE_ORACLES") == "1"


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that says why, if oracles are required and the reason is a missing package."""
    if not report.skipped or hasattr(report, "wasxfail") or not required():
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(part in reason for part in OF_THE_MACHINE):
        report.outcome = "failed"
        report.longrepr = f"BIT_REQUIRE_ORACLES=1, but this was skipped: {reason.removeprefix('Skipped: ')}"
