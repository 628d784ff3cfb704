# SPDX-License-Identifier: Apache-2.0
"""Downloads that go well, the cache, and what is refused before anything is fetched."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from http_server import Behaviour, md5_of, serving
from hub_support import CONTENT, OTHER, Pauses, get, leftovers
from pybit import hub
from pybit.errors import ConfigError, FormatError
from pybit.hub import cache
from pybit.hub.transfer import TransferError

NAME = "BiT-M-R50x1"

pytestmark = pytest.mark.usefixtures("clean_cache")


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
def test_no_address_leads_out_of_the_cache(url: str) -> None:
    folder = hub.cache_folder()
    target = cache.file_for(url, folder)
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
