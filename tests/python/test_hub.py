"""Downloads against a local server that truncates, resets, stalls, lies and changes files: always bounded."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_server import Behaviour, change, cut, md5_of, serving, stall, status
from pybit import _cache, hub
from pybit._core import ConfigError, FormatError
from pybit._transfer import Transfer, TransferError

# Starts like a zip archive; long enough for several pieces.
CONTENT = b"PK\x03\x04" + bytes(range(256)) * 400
OTHER = b"PK\x03\x04" + bytes(reversed(range(256))) * 400
NAME = "BiT-M-R50x1"


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYBIT_MIRROR", "PYBIT_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class Pauses(list[float]):
    """Records pauses instead of waiting."""

    def settings(self, **values: Any) -> Transfer:
        return Transfer(**{"timeout": 5.0, "retries": 3, "sleep": self.append, **values})


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


def get(url: str, pauses: Pauses, **values: Any) -> Path:
    """Downloads one address without a progress bar."""
    return hub.download(
        url, progress=values.pop("progress", False), transfer=pauses.settings(**values.pop("settings", {})), **values
    )


def leftovers(folder: Path) -> set[str]:
    """Endings of the files in the cache that are neither results nor records nor locks."""
    return {path.name for path in folder.rglob("*") if path.is_file() and ".part" in path.name}


def test_a_file_arrives_whole_with_its_record(tmp_path: Path, pauses: Pauses) -> None:
    with serving({"/a/model.npz": Behaviour(CONTENT, md5=md5_of(CONTENT))}) as base:
        path = get(f"{base}/a/model.npz", pauses)
    assert path.read_bytes() == CONTENT and path.name == "model.npz" and tmp_path / "cache" in path.parents
    record = json.loads(path.with_name("model.npz.json").read_text())
    assert (
        record["size"] == len(CONTENT)
        and record["sha256"] == hashlib.sha256(CONTENT).hexdigest()
        and record["etag"] == '"v1"'
    )
    assert leftovers(tmp_path) == set() and pauses == []


def test_the_second_time_nothing_is_fetched(pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT)
    with serving({"/model.npz": behaviour}) as base:
        first = get(f"{base}/model.npz", pauses)
        assert get(f"{base}/model.npz", pauses) == first and hub.cached(f"{base}/model.npz") == first
    assert len(behaviour.requests) == 1


def test_names_go_through_the_mirror_by_argument_and_by_environment(
    monkeypatch: pytest.MonkeyPatch, pauses: Pauses
) -> None:
    files = {
        "/x/BiT-M-R50x1.npz": Behaviour(CONTENT),
        "/y/BiT-M-R50x1.h5": Behaviour(b"\x89HDF\r\n\x1a\n" + bytes(100)),
        "/y/distill/R50x1_224.npz": Behaviour(OTHER),
    }
    with serving(files) as base:
        path = get(NAME, pauses, mirror=f"{base}/x/")
        monkeypatch.setenv("PYBIT_MIRROR", f"{base}/y")
        assert get(NAME + ".h5", pauses).suffix == ".h5"
        assert get("R50x1_224", pauses).read_bytes() == OTHER
    # A mirror changes where a file comes from, not where it is kept.
    assert path == hub.cache_folder() / "storage.googleapis.com/bit_models/BiT-M-R50x1.npz" == hub.cached(NAME)


def test_a_tfhub_module_brings_all_its_files(pauses: Pauses) -> None:
    place = "/vtab/BiT-M-R50x1-run0-dtd.tfhub/variables/variables"
    with serving({f"{place}.index": Behaviour(b"index"), f"{place}.data@1": Behaviour(b"data")}) as base:
        path = get("BiT-M-R50x1-run0-dtd", pauses, mirror=base, format="tfhub")
    assert path.name == "BiT-M-R50x1-run0-dtd.tfhub"
    assert (path / "variables/variables.data@1").read_bytes() == b"data" and (
        path / "variables/variables.index"
    ).is_file()
    assert hub.cached("BiT-M-R50x1-run0-dtd", format="tfhub") == path


def test_the_next_format_is_tried_when_the_first_does_not_exist(pauses: Pauses) -> None:
    name = "resnetv2_50x1_bit.goog_in21k"
    with serving({f"/timm/{name}/resolve/main/pytorch_model.bin": Behaviour(CONTENT)}) as base:
        assert get(name, pauses, mirror=base).name == "pytorch_model.bin"
        with pytest.raises(TransferError, match="404"):
            get(name, pauses, mirror=base, format="safetensors")
        assert get(name, pauses, offline=True).name == "pytorch_model.bin"  # what is there is taken
        with pytest.raises(TransferError, match=r"BiT-M-R50x1\.npz.*404"):
            get(NAME, pauses, mirror=base)
    assert pauses == []  # 404 is an answer, not a passing fault


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
    part = _cache.file_for(url, hub.cache_folder())
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
def test_case_13_wrong_content_never_enters_the_cache(
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


# --- the cache


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(pauses: Pauses) -> None:
    with serving({"/model.npz": Behaviour(CONTENT)}) as base:
        url = f"{base}/model.npz"
        path = get(url, pauses)
        for damaged in (CONTENT[:-1], b"PK\x03\x04" + CONTENT[4:-1] + b"!"):
            path.write_bytes(damaged)
            with pytest.raises(FormatError, match="is damaged.*go online"):
                get(url, pauses, offline=True)
            with pytest.warns(UserWarning, match="is damaged .*downloading it again"):
                assert get(url, pauses).read_bytes() == CONTENT


def test_only_the_full_check_sees_a_change_that_kept_size_and_time(pauses: Pauses) -> None:
    with serving({"/model.npz": Behaviour(CONTENT)}) as base:
        url = f"{base}/model.npz"
        path = get(url, pauses)
        state = path.stat()
        path.write_bytes(CONTENT[:-1] + b"!")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert get(url, pauses, offline=True) == path and hub.verify(path, full=False) is None
        assert "SHA-256" in (hub.verify(path) or "")
        with pytest.warns(UserWarning, match="SHA-256"):
            assert get(url, pauses, full_check=True).read_bytes() == CONTENT


def test_a_touched_but_unharmed_file_is_kept(pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT)
    with serving({"/model.npz": behaviour}) as base:
        path = get(f"{base}/model.npz", pauses)
        os.utime(path, (1, 1))
        assert get(f"{base}/model.npz", pauses) == path
    assert (
        len(behaviour.requests) == 1
        and json.loads(path.with_name("model.npz.json").read_text())["mtime_ns"] == 1_000_000_000
    )


def test_a_file_put_there_by_hand_is_taken_and_recorded() -> None:
    target = hub.cache_folder() / "storage.googleapis.com/bit_models/BiT-M-R50x1.npz"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    assert hub.download(NAME, offline=True) == target
    assert (
        json.loads(target.with_name(target.name + ".json").read_text())["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    )
    target.write_bytes(b"<html>")
    target.with_name(target.name + ".json").unlink()
    with pytest.raises(FormatError, match="web page"):
        hub.download(NAME, offline=True)


def test_offline_never_touches_the_network(monkeypatch: pytest.MonkeyPatch, pauses: Pauses) -> None:
    behaviour = Behaviour(CONTENT)
    with serving({"/BiT-M-R50x1.npz": behaviour}) as base:
        with pytest.raises(TransferError, match=r"npz is not in the cache.*offline.*put it there"):
            get(NAME, pauses, mirror=base, offline=True)
        monkeypatch.setenv("PYBIT_OFFLINE", "1")
        with pytest.raises(TransferError, match="PYBIT_OFFLINE"):
            get(NAME, pauses, mirror=base)
        monkeypatch.setenv("PYBIT_OFFLINE", "0")
        get(NAME, pauses, mirror=base)
    assert len(behaviour.requests) == 1


def test_the_cache_folder_follows_argument_and_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert hub.cache_folder("/a/b") == Path("/a/b")
    monkeypatch.setenv("PYBIT_CACHE", "/from/environment")
    assert hub.cache_folder() == Path("/from/environment")
    monkeypatch.delenv("PYBIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub.cache_folder() == tmp_path / "pybit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert hub.cache_folder() == Path.home() / ".cache/pybit"


@pytest.mark.parametrize(
    "url",
    [
        "http://host/../../etc/passwd",
        "http://host/%2e%2e/%2e%2e/x",
        "http://host//a/./b",
        "http://h:80/a?b=/../c",
        "http://host/a%2f..%2f..%2fb",
        "http://host/a\\..\\b",
        "http://host/a%00b",
        "http://../x",
        "http://host/" + "a" * 5000 + ".npz",
    ],
)
def test_case_16_no_address_leads_out_of_the_cache(url: str) -> None:
    folder = hub.cache_folder()
    target = _cache.file_for(url, folder)
    assert folder in Path(os.path.normpath(target)).parents and ".." not in target.parts and "\0" not in str(target)
    assert all(len(part) < 230 for part in target.parts)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("BiT-M-R50x7", {}, "did you mean"),
        ("BiT-L-R50x1", {}, "never released"),
        ("https://host", {}, "names no file"),
        ("BiT-M-R152x2.h5", {}, "not released as h5"),
        (NAME, {"format": "tfhub"}, "not released as tfhub"),
        (NAME, {"mirror": "ftp://x"}, "http://"),
        (NAME, {"mirror": "/some/folder"}, "http://"),
    ],
)
def test_mistakes_are_told_before_anything_is_fetched(name: str, values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        hub.download(name, **values)


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
from pybit import _cache, hub
from pybit._transfer import Transfer
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
    target = _cache.file_for(url, hub.cache_folder())
    part = target.with_name(target.name + ".part")
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 8192):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_case_18_a_process_that_dies_leaves_a_part_that_the_next_one_continues(
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


def test_case_20_two_processes_share_one_download(slow_server: tuple[str, Behaviour]) -> None:
    url, behaviour = slow_server
    behaviour.delay = 0.01
    with start(url) as first, start(url) as second:
        outputs = [process.communicate(timeout=60) for process in (first, second)]
    assert outputs[0][0] == outputs[1][0] != "" and outputs[0][1] == outputs[1][1] == ""
    assert len(behaviour.requests) == 1 and Path(outputs[0][0].strip()).read_bytes() == CONTENT


def test_waiting_for_another_process_ends_with_an_error(pauses: Pauses) -> None:
    from pybit._lock import FileLock

    url = "http://127.0.0.1:9/model.npz"
    target = _cache.file_for(url, hub.cache_folder())
    target.parent.mkdir(parents=True)
    with FileLock(target.with_name(target.name + ".lock"), 1.0), pytest.raises(TimeoutError, match="another process"):
        get(url, pauses, settings={"lock_timeout": 0.1})


def test_progress_is_reported_and_drawn_only_on_terminals(capsys: pytest.CaptureFixture[str], pauses: Pauses) -> None:
    seen: list[tuple[str, int, int | None]] = []
    with serving(
        {"/model.npz": Behaviour(CONTENT), "/b.npz": Behaviour(CONTENT), "/c.npz": Behaviour(CONTENT)}
    ) as base:
        get(f"{base}/model.npz", pauses, progress=lambda *state: seen.append(state))
        assert seen[0] == ("model.npz", 0, len(CONTENT)) and seen[-1] == ("model.npz", len(CONTENT), len(CONTENT))
        assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
        get(f"{base}/b.npz", pauses, progress=None)
        assert capsys.readouterr().err == ""  # pytest's stderr is no terminal
        get(f"{base}/c.npz", pauses, progress=True)
        captured = capsys.readouterr()
        assert "c.npz" in captured.err and "100%" in captured.err and captured.out == ""
