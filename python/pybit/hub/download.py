# SPDX-License-Identifier: Apache-2.0
"""`download`: which files a name means, where they come from, and how they enter the cache."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pybit import registry
from pybit.errors import ConfigError, FormatError
from pybit.hub.cache import Record, cache_folder, damage, file_for, md5_of, sha256_of, store_record, wrong_start
from pybit.hub.lock import FileLock
from pybit.hub.reporter import Progress, reporter
from pybit.hub.transfer import Transfer, TransferError, fetch

LABEL_FILES = {
    "imagenet-1k-labels": "https://storage.googleapis.com/bit_models/ilsvrc2012_wordnet_lemmas.txt",
    "imagenet-21k-labels": "https://storage.googleapis.com/bit_models/imagenet21k_wordnet_lemmas.txt",
}


@dataclass(frozen=True)
class _Request:
    """One file to get: where from, what it is called, where it goes."""

    url: str
    target: Path


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def _mirrored(base: str, path: str, mirror: str | None) -> str:
    mirror = mirror or os.environ.get("PYBIT_MIRROR") or None
    if mirror is None:
        return base + path
    if not _is_url(mirror):
        raise ConfigError(f"mirror '{mirror}': expected an address that starts with http:// or https://")
    return mirror.rstrip("/") + "/" + path


def _plan(name: str, format: str | None, folder: Path, mirror: str | None) -> list[tuple[list[_Request], Path]]:
    """Ways to get what is asked for, in order of preference: files to fetch and the path to hand back."""
    if _is_url(name):
        target = file_for(name, folder)
        return [([_Request(name, target)], target)]
    if name in LABEL_FILES:
        url = LABEL_FILES[name]
        base, _, last = url.rpartition("/")
        target = file_for(url, folder)
        return [([_Request(_mirrored(base + "/", last, mirror), target)], target)]
    card = registry.model_info(name)
    ending = re.search(r"\.(npz|h5|tfhub)$", name)
    format = format or (ending.group(1) if ending else None)
    chosen = [download for download in card.downloads if format in (None, download.format)]
    if not chosen:
        raise ConfigError(f"{card.name} was not released as {format}; there is {', '.join(card.formats)}")
    ways = []
    for download in chosen:
        files = [
            _Request(_mirrored(download.base, path, mirror), file_for(download.base + path, folder))
            for path in download.paths
        ]
        ways.append((files, files[0].target.parent.parent if download.format == "tfhub" else files[0].target))
    # Only the hub's repositories may hold either of two formats; the release's files are what their cards say.
    return ways if format is None and card.family in ("timm", "transformers") else ways[:1]


def cached(name_or_url: str, cache_dir: str | os.PathLike[str] | None = None, format: str | None = None) -> Path | None:
    """The path in the cache if everything is there (no checksum is computed), else None; never touches the network."""
    for files, result in _plan(name_or_url, format, cache_folder(cache_dir), None):
        if all(file.target.is_file() for file in files):
            return result
    return None


def download(
    name_or_url: str,
    cache_dir: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    offline: bool | None = None,
    progress: Progress | bool | None = None,
    *,
    format: str | None = None,
    sha256: str | None = None,
    full_check: bool = False,
    transfer: Transfer | None = None,
) -> Path:
    """Path of a released model (or any http address) in the cache, downloaded unless it is there and unharmed.

    Args:
        name_or_url: a name of pybit.list_models(), "imagenet-1k-labels", "imagenet-21k-labels", or an http(s) address.
        cache_dir: instead of PYBIT_CACHE or the user's cache folder.
        mirror: base address that replaces `https://storage.googleapis.com/bit_models/` and
            `https://huggingface.co/`; PYBIT_MIRROR by default.
        offline: never touch the network; PYBIT_OFFLINE=1 by default.
        progress: called with (file name, bytes, bytes in all or None); True for a bar on stderr; None for a bar on
            terminals.
        format: "npz", "h5", "tfhub", "safetensors" or "torch"; by default the first that the server has.
        sha256: what the file must hash to (single files only).
        full_check: recompute the SHA-256 of a cached file instead of trusting its unchanged size and time.
        transfer: timeouts and retries.

    Several processes may ask for one file at once: one fetches, the others wait. Interrupted downloads are continued
    next time. Raises ConfigError for unknown names, FormatError for wrong content, OSError (TransferError) if it
    cannot be had.
    """
    folder = cache_folder(cache_dir)
    if offline is None:
        offline = os.environ.get("PYBIT_OFFLINE", "").lower() not in ("", "0", "no", "false")
    ways = _plan(name_or_url, format, folder, mirror)
    settings = transfer or Transfer()
    present = [way for way in ways if all(file.target.is_file() for file in way[0])]
    missing: TransferError | None = None
    for files, result in present[:1] or (ways[:1] if offline else ways):
        try:
            for file in files:
                _provide(file, offline, progress, sha256 if len(files) == 1 else None, full_check, settings)
            return result
        except TransferError as error:
            if error.status != 404:
                raise
            missing = missing or error
    raise missing or TransferError(f"{name_or_url}: nothing to download", url=name_or_url)


def _provide(
    file: _Request, offline: bool, progress: Progress | bool | None, sha256: str | None, full: bool, settings: Transfer
) -> None:
    target = file.target
    present = target.is_file()
    problem = damage(target, full, sha256) if present else None
    if present and problem is None:
        return
    if offline:
        if present:
            raise FormatError(f"{target} is damaged ({problem}); remove it, or go online to download it again")
        raise TransferError(
            f"{target.name} is not in the cache ({target}), and this process is offline (offline=True or "
            f"PYBIT_OFFLINE); download it from {file.url} and put it there",
            url=file.url,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock"), settings.lock_timeout):
        if target.is_file():  # looked at again, since another process may have been quicker
            problem = damage(target, full, sha256)
            if problem is None:
                return
            warnings.warn(f"{target} is damaged ({problem}); downloading it again", stacklevel=4)
            target.unlink()
        with reporter(target.name, progress) as report:
            _fetch_and_commit(file, settings, report, sha256)


def _fetch_and_commit(
    file: _Request, settings: Transfer, report: Callable[[int, int | None], None], sha256: str | None
) -> None:
    part = file.target.with_name(file.target.name + ".part")
    outcome = fetch(file.url, part, settings, report)
    found = sha256_of(part)
    problem = wrong_start(part, outcome.content_type)
    if problem is None and sha256 is not None and found != sha256.lower():
        problem = f"expected SHA-256 {sha256}, got {found}"
    if problem is None and outcome.md5 is not None and outcome.md5 != md5_of(part):
        problem = "its MD5 is not the one that the server states"
    if problem is not None:
        _discard(part)
        raise FormatError(f"{file.url}: {problem}; nothing was kept")
    state = part.stat()
    # The sidecar first: a file without one would be taken for one that was put there by hand.
    store_record(file.target, Record(file.url, state.st_size, found, state.st_mtime_ns, outcome.etag))
    os.replace(part, file.target)
    _discard(part)


def _discard(part: Path) -> None:
    for path in (part, part.with_name(part.name + ".json")):
        path.unlink(missing_ok=True)
