# SPDX-License-Identifier: Apache-2.0
"""What `import pybit` does: names the other project, loads nothing heavy, offers what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pybit
from pybit.base import clash


def import_with(folder: Path) -> str:
    """Standard error of an import with one more folder of installed distributions."""
    path = os.pathsep.join([*sys.path, str(folder)])
    command = [sys.executable, "-c", "import pybit"]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    ).stderr


def test_the_other_project_called_pybit_is_named(tmp_path: Path) -> None:
    assert clash.other_version() is None
    assert import_with(tmp_path) == ""
    info = tmp_path / "pybit-9.8.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pybit\nVersion: 9.8.7\n")
    warning = import_with(tmp_path)
    assert "UserWarning: another project called pybit (9.8.7" in warning and "pip install big-transfer" in warning


def test_every_promised_name_is_there() -> None:
    for name in pybit.__all__:
        assert getattr(pybit, name) is not None
    for name in ("hub", "labels", "formats"):
        assert getattr(pybit, name).__name__ == f"pybit.{name}"
    assert not hasattr(pybit, "no_such_name")


def test_errors_are_the_usual_python_kinds() -> None:
    for error in (pybit.ShapeError, pybit.ConfigError, pybit.FormatError):
        assert issubclass(error, ValueError)
    assert issubclass(pybit.DeviceError, RuntimeError)


def test_the_import_loads_no_library_for_networks_or_files() -> None:
    code = """
import sys
import numpy
before = set(sys.modules)
import pybit
found = set(sys.modules) - before
heavy = {"http.client", "ssl", "urllib.request", "zipfile", "tarfile", "tempfile", "json", "html", "logging",
         "concurrent.futures", "importlib.resources", "h5py", "PIL", "tqdm", "torch", "matplotlib"}
assert not found & heavy, found & heavy
assert not found & {"pybit.hub", "pybit.formats", "pybit.cli", "pybit.registry.cards"}
assert pybit.hub.download and "http.client" in sys.modules  # the check above would see it
"""
    subprocess.run([sys.executable, "-c", code], check=True)
