# SPDX-License-Identifier: Apache-2.0
"""The examples and the notebook run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pybit
import pytest
from small_models import class_folder, small_model, write_png

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*arguments: str | Path) -> str:
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def small_file(folder: Path) -> None:
    model = small_model()
    model.preprocessing = pybit.PreprocessSpec(32)
    model.save(folder / "small.safetensors")


def test_classify(tmp_path: Path) -> None:
    small_file(tmp_path)
    png = write_png(tmp_path / "a.png", 1)
    lines = run(EXAMPLES / "classify.py", tmp_path / "small.safetensors", png).splitlines()
    assert lines[0] == str(png) and len(lines) == 6
    assert abs(sum(float(line.split()[0]) for line in lines[1:]) - 1) < 5e-4  # five numbers of four decimals
    found = subprocess.run([sys.executable, EXAMPLES / "classify.py"], capture_output=True, text=True, check=False)
    assert found.returncode == 1 and "usage" in found.stderr


def test_embed(tmp_path: Path) -> None:
    small_file(tmp_path)
    class_folder(tmp_path / "pets", each=4)
    out = run(EXAMPLES / "embed.py", tmp_path / "small.safetensors", tmp_path / "pets", tmp_path / "features.npz")
    assert "(8, 1024)" in out and "most like" in out and "shots per class" in out
    assert (tmp_path / "features.npz").exists()


def test_the_notebook_runs_and_shows_its_results(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    for name in ("nbclient", "ipykernel", "matplotlib", "sklearn"):
        pytest.importorskip(name)
    path = EXAMPLES / "notebooks" / "first_steps.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)  # stored without results
    # A process of its own, so that Jupyter's own warnings are not ours.
    script = (
        "import sys, nbformat, nbclient\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "nbclient.NotebookClient(notebook, timeout=200, kernel_name='python3').execute()\n"
        "nbformat.write(notebook, sys.argv[2])\n"
    )
    environment = os.environ | {"JUPYTER_PLATFORM_DIRS": "1", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    subprocess.run([sys.executable, "-c", script, path, tmp_path / "out.ipynb"], check=True, env=environment)
    cells = [c for c in nbformat.read(tmp_path / "out.ipynb", as_version=4).cells if c.cell_type == "code"]
    kinds = [{kind for output in c.outputs for kind in output.get("data", {})} for c in cells]
    assert "text/html" in kinds[0] and sum("image/png" in k for k in kinds) == 3
    assert "shots per class" in cells[2].outputs[0]["data"]["text/plain"]
