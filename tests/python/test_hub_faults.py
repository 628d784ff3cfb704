# SPDX-License-Identifier: Apache-2.0
"""Downloads against a local server that truncates, resets, stalls, lies and changes files: always bounded."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from http_server import Behaviour, change, cut, md5_of, serving, stall, status
from hub_support import CONTENT, OTHER, Pauses, get, leftovers
from pybit import hub
from pybit.errors import FormatError
from pybit.hub import cache
from pybit.hub.transfer import TransferError

pytestmark = pytest.mark.usefixtures("clean_cache")


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_connection_is_continued_by_range(pauses: Pauses, reset: bool) -> None:
    behaviour = Behaviour(CONTENT, faults=[cut(30_000, reset), cut(20_000, reset)])
    with serving({"/model.npz": behaviour}) as base:
        assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT
    ranges = [request.get("Range") for request in behaviour.requests]
    assert len(ranges) == 3 and ranges[0] is None
    if not reset:  # a reset may throw away what the kernel still held
        assert ranges == [None, "bytes=30000-", "bytes=50000-"]
        assert all(request["If-Range"] == '"v1"' for request in behaviour.requests[1:])
    assert len(pauses) == 2


def test_an_interrupted_download_is_continued_by_the_next_call(tmp_path: Path, pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT)
    url = ""

    def interrupt(name: str, done: int, total: int | None) -> None:
        if done > 40_000:
            raise KeyboardInterrupt

    with serving({"/model.npz": behaviour}) as base:
        url = f"{base}/model.npz"
        behaviour.delay = 0.001
        with pytest.raises(KeyboardInterrupt):
            get(url, pauses, progress=interrupt)
        assert "model.npz.part" in leftovers(tmp_path) and hub.cached(url) is None
        behaviour.delay = 0.0
        assert get(url, pauses).read_bytes() == CONTENT
    start = int(behaviour.requests[1]["Range"].removeprefix("bytes=").removesuffix("-"))
    assert 40_000 <= start < len(CONTENT) and leftovers(tmp_path) == set()


def test_a_file_that_changed_on_the_server_is_never_glued_together(pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT, faults=[cut(30_000), change(content=OTHER, etag='"v2"')])
    with serving({"/model.npz": behaviour}) as base:
        assert get(f"{base}/model.npz", pauses).read_bytes() == OTHER


def test_without_a_validator_or_ranges_the_download_starts_over(pauses: Pauses) -> None:
    for values in ({"etag": None}, {"etag": 'W/"weak"'}, {"ranges": False}):
        behaviour = Behaviour(CONTENT, faults=[cut(30_000)], **values)
        with serving({"/model.npz": behaviour}) as base:
            assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT
        assert len(behaviour.requests) == 2
        assert ("Range" in behaviour.requests[1]) == ("ranges" in values)


def test_last_modified_serves_as_validator(pauses: Pauses) -> None:
    day = "Wed, 21 Oct 2020 07:28:00 GMT"
    behaviour = Behaviour(CONTENT, etag=None, headers={"Last-Modified": day}, faults=[cut(30_000), change(etag=day)])
    with serving({"/model.npz": behaviour}) as base:
        assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT
    assert behaviour.requests[1]["If-Range"] == day


def part_of(url: str, content: bytes, total: int | None, etag: str = '"v1"') -> Path:
    """Puts an unfinished download into the cache."""
    part = cache.file_for(url, hub.cache_folder())
    part = part.with_name(part.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    part.with_name(part.name + ".json").write_text(json.dumps({"url": url, "validator": etag, "total": total}))
    return part


def test_416_on_a_complete_part_finishes_it(pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT)
    with serving({"/model.npz": behaviour}) as base:
        part_of(f"{base}/model.npz", CONTENT, None)
        assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT
    assert len(behaviour.requests) == 1


def test_416_otherwise_starts_over(pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT, faults=[status(416, Content_Range=f"bytes */{len(CONTENT)}")])
    with serving({"/model.npz": behaviour}) as base:
        part_of(f"{base}/model.npz", OTHER[:999], None)
        assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT
    assert len(behaviour.requests) == 2


@pytest.mark.parametrize("part", [CONTENT + b"too long", b"", CONTENT])
def test_a_part_of_any_length_ends_well(pauses: Pauses, part: bytes) -> None:
    with serving({"/model.npz": Behaviour(CONTENT)}) as base:
        part_of(f"{base}/model.npz", part, len(CONTENT))
        assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT


def test_a_record_of_a_part_that_is_damaged_is_ignored(pauses: Pauses) -> None:
    with serving({"/model.npz": Behaviour(CONTENT)}) as base:
        part = part_of(f"{base}/model.npz", OTHER[:5000], len(CONTENT))
        part.with_name(part.name + ".json").write_text("[1")
        assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT


@pytest.mark.parametrize("code", [500, 502, 503, 429, 408])
def test_passing_faults_of_the_server_are_retried_with_growing_pauses(pauses: Pauses, code: int) -> None:
    with serving({"/model.npz": Behaviour(CONTENT, faults=[status(code)] * 3)}) as base:
        assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT
    assert len(pauses) == 3 and all(0.5 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses))


def test_retry_after_is_honoured_up_to_a_minute(pauses: Pauses) -> None:
    faults = [status(503, Retry_After="7"), status(503, Retry_After="86400"), status(503, Retry_After="-3; drop table")]
    with serving({"/model.npz": Behaviour(CONTENT, faults=faults)}) as base:
        get(f"{base}/model.npz", pauses)
    assert pauses[:2] == [7.0, 60.0] and 2.0 <= pauses[2] <= 4.0


@pytest.mark.parametrize("fault", [status(500), cut(0), cut(10, reset=True)])
def test_attempts_are_bounded_and_the_error_tells_the_reason(tmp_path: Path, pauses: Pauses, fault: Any) -> None:
    behaviour = Behaviour(CONTENT, faults=[fault] * 50)
    with (
        serving({"/model.npz": behaviour}) as base,
        pytest.raises(OSError, match="model.npz.*gave up after 4 attempts"),
    ):
        get(f"{base}/model.npz", pauses)
    assert len(behaviour.requests) == 4 and hub.cached("http://x/model.npz") is None


@pytest.mark.parametrize(
    ("code", "advice"), [(404, "may have moved"), (403, "login"), (401, "login"), (410, "410"), (400, "400")]
)
def test_final_answers_are_not_retried(pauses: Pauses, code: int, advice: str) -> None:
    behaviour = Behaviour(CONTENT, faults=[status(code)] * 9)
    with serving({"/model.npz": behaviour}) as base, pytest.raises(TransferError, match=advice) as error:
        get(f"{base}/model.npz", pauses)
    assert error.value.status == code and len(behaviour.requests) == 1 and pauses == []


def test_a_stalled_server_runs_into_the_timeout(pauses: Pauses) -> None:
    with serving({"/model.npz": Behaviour(CONTENT, faults=[stall(3.0)])}) as base:
        assert get(f"{base}/model.npz", pauses, settings={"timeout": 0.2}).read_bytes() == CONTENT
    assert len(pauses) == 1


def test_a_closed_port_is_an_error_that_names_the_address(pauses: Pauses) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OSError, match=f"127.0.0.1:{port}/model.npz.*gave up"):
        get(f"http://127.0.0.1:{port}/model.npz", pauses)
    assert len(pauses) == 3


@pytest.mark.parametrize(
    "fault",
    [ssl.SSLCertVerificationError("self-signed"), socket.gaierror(socket.EAI_NONAME, "Name or service not known")],
)
def test_a_wrong_certificate_or_host_is_final(monkeypatch: pytest.MonkeyPatch, pauses: Pauses, fault: OSError) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError(fault)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    with pytest.raises(
        TransferError, match=r"https://example\.invalid/model\.npz: (SSLCertVerificationError|gaierror)"
    ):
        get("https://example.invalid/model.npz", pauses)
    assert pauses == []


@pytest.mark.parametrize(
    ("name", "content", "content_type", "expected"),
    [
        ("model.npz", b"<!DOCTYPE html><html>login</html>", "text/html", "web page"),
        ("model.npz", b"\n  <html>", "application/octet-stream", "web page"),
        ("model.npz", b"please log in", "text/html; charset=utf-8", "web page"),
        ("model.npz", b"version https://git-lfs.github.com/spec/v1\n", "text/plain", "Git-LFS pointer"),
        ("model.npz", b"garbage", "application/octet-stream", "first bytes"),
        ("model.npz", b"", "application/octet-stream", "first bytes"),
        ("model.h5", CONTENT, "application/octet-stream", "first bytes"),
        ("model.safetensors", b"\xff" * 20, "application/octet-stream", "first bytes"),
        ("model.pth", b"\x89HDF\r\n\x1a\n", "application/octet-stream", "first bytes"),
    ],
)
def test_wrong_content_never_enters_the_cache(
    tmp_path: Path, pauses: Pauses, name: str, content: bytes, content_type: str, expected: str
) -> None:
    with serving({f"/{name}": Behaviour(content, content_type=content_type)}) as base:
        with pytest.raises(FormatError, match=f"{name}.*{expected}.*nothing was kept"):
            get(f"{base}/{name}", pauses)
        assert hub.cached(f"{base}/{name}") is None and leftovers(tmp_path) == set()


def test_bytes_that_differ_from_the_servers_own_hash_are_refused(pauses: Pauses) -> None:
    with (
        serving({"/model.npz": Behaviour(CONTENT, md5=md5_of(OTHER))}) as base,
        pytest.raises(FormatError, match="MD5"),
    ):
        get(f"{base}/model.npz", pauses)


def test_a_stated_sha256_is_checked_on_arrival_and_in_the_cache(pauses: Pauses) -> None:
    right, wrong = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha256(OTHER).hexdigest()
    with serving({"/model.npz": Behaviour(CONTENT)}) as base:
        with pytest.raises(FormatError, match=f"expected SHA-256 {wrong}, got {right}"):
            get(f"{base}/model.npz", pauses, sha256=wrong)
        get(f"{base}/model.npz", pauses, sha256=right.upper())
        with pytest.raises(FormatError, match="is damaged.*SHA-256"):
            get(f"{base}/model.npz", pauses, sha256=wrong, offline=True)


def test_chunked_answers_without_a_length_work_and_are_bounded(pauses: Pauses) -> None:
    with serving({"/model.npz": Behaviour(CONTENT, chunked=True)}) as base:
        assert get(f"{base}/model.npz", pauses).read_bytes() == CONTENT
    with (
        serving({"/model.npz": Behaviour(CONTENT, chunked=True)}) as base,
        pytest.raises(TransferError, match="more than"),
    ):
        get(f"{base}/model.npz", pauses, settings={"max_bytes": 50_000})
    with serving({"/model.npz": Behaviour(CONTENT)}) as base, pytest.raises(TransferError, match="more than the limit"):
        get(f"{base}/model.npz", pauses, settings={"max_bytes": 50_000})


def test_an_encoded_answer_is_refused(pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT, headers={"Content-Encoding": "gzip"})
    with serving({"/model.npz": behaviour}) as base, pytest.raises(TransferError, match="encoding the file as gzip"):
        get(f"{base}/model.npz", pauses)
    assert behaviour.requests[0]["Accept-Encoding"] == "identity"


def test_redirects_are_followed_but_not_to_other_schemes(pauses: Pauses) -> None:
    with serving({"/model.npz": Behaviour(CONTENT)}) as base:
        files = {
            "/moved.npz": Behaviour(b"", faults=[status(302, Location=f"{base}/model.npz")]),
            "/local.npz": Behaviour(b"", faults=[status(302, Location="file:///etc/passwd")]),
        }
        with serving(files) as other:
            assert get(f"{other}/moved.npz", pauses).read_bytes() == CONTENT
            with pytest.raises(OSError, match="local.npz"):
                get(f"{other}/local.npz", pauses)


def test_a_disk_without_room_is_noticed_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: Pauses
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 99, 1))
    with (
        serving({"/model.npz": Behaviour(CONTENT)}) as base,
        pytest.raises(OSError, match="the disk has fewer") as error,
    ):
        get(f"{base}/model.npz", pauses)
    assert error.value.errno == errno.ENOSPC
