# SPDX-License-Identifier: Apache-2.0
"""The README runner runs the blocks that are marked, and only those, and notices when one fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from run_readme import Block, Runner, blocks  # noqa: E402

README = """# Title
```sh
exit 1
```
<!-- ci -->
```sh
$ echo hello > said
```
<!-- ci -->

```python
a = 1
```
"""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    one = Runner(tmp_path, Path(sys.executable), Path("/nowhere"))
    yield one
    one.close()


def test_only_marked_blocks_are_found() -> None:
    assert blocks(README) == [Block("sh", "$ echo hello > said\n", 6), Block("python", "a = 1\n", 10)]


def test_a_mark_without_a_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2: expected a fenced block"):
        blocks("<!-- ci -->\ntext\n")


def test_shell_blocks_run_in_the_folder(tmp_path: Path, runner: Runner) -> None:
    runner.run(blocks(README)[0])
    assert (tmp_path / "said").read_text() == "hello\n"


def test_python_blocks_see_what_earlier_ones_defined(runner: Runner) -> None:
    runner.run(Block("python", "a = 1\n", 1))
    runner.run(Block("python", "assert a == 1\n", 5))


@pytest.mark.parametrize(
    ("language", "text"),
    [("sh", "false\ntrue\n"), ("python", "1 / 0\n"), ("python", "import warnings\nwarnings.warn('x')")],
)
def test_a_failing_block_is_noticed(runner: Runner, language: str, text: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        runner.run(Block(language, text, 1))


def test_an_unknown_language_is_an_error(runner: Runner) -> None:
    with pytest.raises(ValueError, match="got perl"):
        runner.run(Block("perl", "1", 1))
