# SPDX-License-Identifier: Apache-2.0
"""Several threads and processes that ask for one file, and some that die on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_server import Behaviour, serving
from hub_support import CONTENT, Pauses, get
from pybit import hub
from pybit.hub import cache

pytestmark = pytest.mark.usefixtures("clean_cache")


def test_several_threads_that_ask_for_one_file_fetch_it_once(pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT, delay=0.002)
    results: list[bytes] = []
    with serving({"/model.npz": behaviour}) as base:
        threads = [
            threading.Thread(target=lambda: results.append(get(f"{base}/model.npz", pauses).read_bytes()))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert results == [CONTENT] * 8 and len(behaviour.requests) == 1


SCRIPT = """
import sys
from pybit import hub
from pybit.hub import cache
from pybit.hub.transfer import Transfer
print(hub.download(sys.argv[1], progress=False, transfer=Transfer(timeout=10)))
"""


@pytest.fixture
def slow_server() -> Iterator[tuple[str, Behaviour]]:
    behaviour = Behaviour(CONTENT, delay=0.05)
    with serving({"/model.npz": behaviour}) as base:
        yield f"{base}/model.npz", behaviour


def start(url: str) -> subprocess.Popen[str]:
    """Another process that downloads `url`."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_part(url: str) -> None:
    """Until the first bytes of `url` have arrived in the cache."""
    target = cache.file_for(url, hub.cache_folder())
    part = target.with_name(target.name + ".part")
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 8192):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_dies_leaves_a_part_that_the_next_one_continues(
    slow_server: tuple[str, Behaviour], number: int, pauses: Pauses
) -> None:
    url, behaviour = slow_server
    with start(url) as process:
        wait_for_part(url)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode != 0 and hub.cached(url) is None
    behaviour.delay = 0.0
    assert get(url, pauses).read_bytes() == CONTENT
    assert int(behaviour.requests[1]["Range"].removeprefix("bytes=").removesuffix("-")) > 0


def test_two_processes_share_one_download(slow_server: tuple[str, Behaviour]) -> None:
    url, behaviour = slow_server
    behaviour.delay = 0.01
    with start(url) as first, start(url) as second:
        outputs = [process.communicate(timeout=60) for process in (first, second)]
    assert outputs[0][0] == outputs[1][0] != "" and outputs[0][1] == outputs[1][1] == ""
    assert len(behaviour.requests) == 1 and Path(outputs[0][0].strip()).read_bytes() == CONTENT


def test_waiting_for_another_process_ends_with_an_error(pauses: Pauses) -> None:
    from pybit.hub.lock import FileLock

    url = "http://127.0.0.1:9/model.npz"
    target = cache.file_for(url, hub.cache_folder())
    target.parent.mkdir(parents=True)
    with FileLock(target.with_name(target.name + ".lock"), 1.0), pytest.raises(TimeoutError, match="another process"):
        get(url, pauses, settings={"lock_timeout": 0.1})
