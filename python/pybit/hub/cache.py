# SPDX-License-Identifier: Apache-2.0
"""Files in the cache: where they lie, the record beside each (address, size, SHA-256), whether they are unharmed."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
from dataclasses import asdict, dataclass
from pathlib import Path

from pybit.errors import ConfigError

# First bytes of what may be asked for; a web page or an LFS pointer under such a name is refused before it enters
# the cache.
_SIGNATURES = {
    ".npz": (b"PK\x03\x04", b"PK\x05\x06"),
    ".h5": (b"\x89HDF\r\n\x1a\n",),
    ".pth": (b"PK\x03\x04", b"\x80"),
    ".bin": (b"PK\x03\x04", b"\x80"),
    ".pt": (b"PK\x03\x04", b"\x80"),
}


@dataclass(frozen=True)
class Record:
    """The sidecar of a cached file."""

    url: str
    size: int
    sha256: str
    mtime_ns: int
    etag: str | None = None


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder that downloads go to: the argument, else PYBIT_CACHE, else the user's cache folder."""
    chosen = os.fspath(cache_dir) if cache_dir is not None else os.environ.get("PYBIT_CACHE", "")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "pybit"


def file_for(url: str, folder: Path) -> Path:
    """Where an address lies in the cache; parts that a file system could misread are percent-encoded."""
    parts = urllib.parse.urlsplit(url)
    path = [part for part in parts.path.split("/") if part]
    if not path or not parts.netloc:
        raise ConfigError(f"'{url}' names no file; expected an address such as https://host/folder/file.npz")
    if parts.query:
        path.insert(-1, "query-" + hashlib.sha256(parts.query.encode()).hexdigest()[:16])
    return folder.joinpath(*map(_safe_name, (parts.netloc, *path)))


def _safe_name(part: str) -> str:
    clean = urllib.parse.quote(urllib.parse.unquote(part), safe="@+=~ ,()")
    if len(clean) > 200:  # file systems end at 255, and ".part.json" comes behind it
        clean = hashlib.sha256(clean.encode()).hexdigest()[:16] + clean[-120:]
    return clean.replace(".", "%2E") if clean in (".", "..") else clean


def load_record(target: Path) -> Record | None:
    try:
        values = json.loads(_sidecar(target).read_text())
        record = Record(**{key: values[key] for key in ("url", "size", "sha256", "mtime_ns", "etag")})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if isinstance(record.size, int) and isinstance(record.sha256, str) else None


def _sidecar(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def store_record(target: Path, record: Record) -> None:
    if not os.access(target.parent, os.W_OK):
        return  # a cache shared read-only stays usable, only without the memory of its checks
    temporary = _sidecar(target).with_name(f"{target.name}.json.{os.getpid()}")
    temporary.write_text(json.dumps(asdict(record), indent=1) + "\n")
    os.replace(temporary, _sidecar(target))


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify(path: str | os.PathLike[str], full: bool = True) -> str | None:
    """What is wrong with a cached file, as a sentence, or None.

    Size and time are compared with the sidecar; if they do not tell (or with `full`) the SHA-256 is computed again.
    A file that was put there by hand has no sidecar yet: it is taken as it is and recorded.
    """
    target = Path(path)
    state = target.stat()
    record = load_record(target)
    if record is None:
        problem = wrong_start(target, None)
        if problem is None:
            store_record(target, Record("", state.st_size, sha256_of(target), state.st_mtime_ns))
        return problem
    if state.st_size != record.size:
        return f"expected {record.size} bytes, found {state.st_size}"
    if not full and state.st_mtime_ns == record.mtime_ns:
        return None
    found = sha256_of(target)
    if found != record.sha256:
        return f"expected SHA-256 {record.sha256}, found {found}"
    if state.st_mtime_ns != record.mtime_ns:
        store_record(target, Record(**{**asdict(record), "mtime_ns": state.st_mtime_ns}))
    return None


def wrong_start(path: Path, content_type: str | None) -> str | None:
    """Why the file's first bytes cannot be what its name promises, or None."""
    with path.open("rb") as file:
        head = file.read(256)
    suffix = Path(path.name.removesuffix(".part")).suffix
    signatures = _SIGNATURES.get(suffix)
    if suffix == ".safetensors":
        right = len(head) > 8 and int.from_bytes(head[:8], "little") <= 100 << 20 and head[8:9] == b"{"
    else:
        right = signatures is None or head.startswith(signatures)
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")) or (not right and content_type and "html" in content_type):
        return "it is a web page, not a checkpoint; the address may have moved or need a login"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git-LFS pointer, not the file itself"
    return None if right else f"its first bytes {head[:8].hex(' ')} are not those of such a file"


def damage(target: Path, full: bool, sha256: str | None) -> str | None:
    problem = verify(target, full)
    if problem is None and sha256 is not None:
        found = record.sha256 if (record := load_record(target)) else sha256_of(target)
        if found != sha256.lower():
            problem = f"expected SHA-256 {sha256}, found {found}"
    return problem


def md5_of(path: Path) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()
