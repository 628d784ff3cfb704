# SPDX-License-Identifier: Apache-2.0
"""Fetches one http(s) address into a `.part` file: resumes by range, retries with growing pauses, bounds sizes.

Rules from RFC 9110: a part is continued only with If-Range and a validator of the first answer (strong ETag, else
Last-Modified), so that halves of two versions never meet; 200 to a range request starts over; 416 with the part's
own length means that it was complete.
"""

from __future__ import annotations

import base64
import errno
import http.client
import json
import os
import random
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from pybit.errors import ConfigError

_BLOCK = 1 << 18
_RETRY_STATUS = {408, 425, 429, 500, 502, 503, 504}
_KEPT_PROGRESS = 1 << 20  # an attempt that brought this much does not count as a failure
_MAX_PAUSE = 60.0
_ELSEWHERE = "or name a mirror (PYBIT_MIRROR), or fetch the file on another machine and give its path"


class TransferError(OSError):
    """A file could not be fetched. `url` is its address, `status` the server's answer if there was one."""

    def __init__(self, message: str, url: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.url, self.status, self.retry_after = url, status, retry_after


@dataclass(frozen=True)
class Transfer:
    """Limits of a download. Times are in seconds."""

    timeout: float = 30.0  #: without a connection or a byte
    retries: int = 5  #: further attempts after the first, not counting those that brought a megabyte
    pause: float = 1.0  #: before the second attempt; doubles each time, times 0.5..1 at random
    max_bytes: int = 16 << 30  #: larger files are refused; the largest checkpoint released has 4.4 GB
    lock_timeout: float = 24 * 3600.0  #: for another process that fetches the same file
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Outcome:
    """What the server said about the whole file."""

    content_type: str | None
    etag: str | None
    md5: bytes | None  #: from x-goog-hash


@dataclass
class _Part:
    """State of an unfinished download, kept beside the part file."""

    url: str = ""
    validator: str | None = None
    total: int | None = None

    @staticmethod
    def load(path: Path, url: str) -> _Part:
        try:
            values = json.loads(path.read_text())
            part = _Part(values["url"], values["validator"], values["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return _Part(url)
        valid = part.url == url and isinstance(part.validator, str) and isinstance(part.total, (int, type(None)))
        return part if valid else _Part(url)

    def store(self, path: Path) -> None:
        path.write_text(json.dumps(vars(self)))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to something weaker."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.lower().startswith("https://"):
            raise TransferError(f"{req.full_url}: the server redirects to {newurl}, which is not https", req.full_url)
        if not newurl.lower().startswith(("http://", "https://")):
            raise TransferError(
                f"{req.full_url}: the server redirects to {newurl}, which is no http address", req.full_url
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, part: Path, settings: Transfer, report: Callable[[int, int | None], None]) -> Outcome:
    """Fetches `url` into `part`, continuing what is already there; `report` gets (bytes, bytes in all or None).

    Raises TransferError with the last reason. On any exception, KeyboardInterrupt included, the part stays for the
    next call.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"'{url}': expected an address that starts with http:// or https://")
    failures = 0
    while True:
        before = _size(part)
        try:
            return _attempt(url, part, settings, report)
        except TransferError as error:
            if error.status is None or error.status not in _RETRY_STATUS:
                raise
            reason = error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = TransferError(f"{url}: {_plain(error)}", url)
            if _is_final(error):
                raise TransferError(f"{reason}; {_ELSEWHERE}", url) from error
        failures = 1 if _size(part) - before >= _KEPT_PROGRESS else failures + 1
        if failures > settings.retries:
            raise TransferError(
                f"{reason}; gave up after {failures} attempts, run it again to continue; {_ELSEWHERE}",
                url,
                reason.status,
            ) from reason
        pause = min(_MAX_PAUSE, settings.pause * 2 ** (failures - 1)) * random.uniform(0.5, 1.0)
        settings.sleep(pause if reason.retry_after is None else min(_MAX_PAUSE, reason.retry_after))


def _plain(error: BaseException) -> str:
    reason: Any = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, http.client.IncompleteRead):
        return "the connection ended before the file did"
    return f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__


def _is_final(error: BaseException) -> bool:
    """Whether trying again cannot help: a certificate that does not hold, a host that does not exist."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return True
    return isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _attempt(url: str, part: Path, settings: Transfer, report: Callable[[int, int | None], None]) -> Outcome:
    state_path = part.with_name(part.name + ".json")
    state = _Part.load(state_path, url)
    have = _size(part) if state.validator else 0
    if state.total is not None and have > state.total:
        have = 0
    request = urllib.request.Request(url, headers={"User-Agent": "pybit", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", state.validator or "")
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=settings.timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and have:
                return _after_416(error, url, part, state, have, settings, report)
            raise _refusal(url, error) from None
    with response:
        start, total = _extent(url, response, have)
        if start == 0:
            state = _Part(url, _validator(response.headers), total)
        elif total is not None and state.total is not None and total != state.total:
            part.unlink()
            raise ConnectionError("the file changed on the server while it was being fetched")
        if max(total or 0, start) > settings.max_bytes:
            raise TransferError(f"{url} has {total} bytes, more than the limit of {settings.max_bytes}", url)
        if total is not None and shutil.disk_usage(part.parent).free < total - start:
            raise OSError(
                errno.ENOSPC, f"{url} needs {total - start} more bytes, the disk has fewer", os.fspath(part.parent)
            )
        state.store(state_path)
        done = _copy(url, response, part, start, total, settings, report)
    if total is not None and done != total:
        raise ConnectionError(f"the connection ended at byte {done} of {total}")
    return _outcome(response.headers)


def _copy(
    url: str,
    response: Any,
    part: Path,
    start: int,
    total: int | None,
    settings: Transfer,
    report: Callable[[int, int | None], None],
) -> int:
    done = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        report(done, total)
        # read1 hands over what has come, so that a cut connection loses nothing.
        while block := response.read1(_BLOCK):
            done += len(block)
            if done > (settings.max_bytes if total is None else total):
                raise TransferError(
                    f"{url}: the server sends more than the {total or settings.max_bytes} bytes expected", url
                )
            file.write(block)
            report(done, total)
        file.flush()
        os.fsync(file.fileno())
    return done


def _after_416(
    error: urllib.error.HTTPError,
    url: str,
    part: Path,
    state: _Part,
    have: int,
    settings: Transfer,
    report: Callable[[int, int | None], None],
) -> Outcome:
    stated = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    unchanged = _validator(error.headers) in (None, state.validator)
    if stated and int(stated.group(1)) == have and state.total in (None, have) and unchanged:
        report(have, have)
        return Outcome(None, state.validator, None)
    part.unlink()
    return _attempt(url, part, settings, report)  # without a part there is no range, hence no second 416


def _refusal(url: str, error: urllib.error.HTTPError) -> TransferError:
    advice = {
        401: "; it needs a login",
        403: "; it needs a login or is not public",
        404: "; it may have moved: try another mirror (PYBIT_MIRROR) or format",
    }.get(error.code, "")
    after = error.headers.get("Retry-After", "")
    wait = float(after) if after.isdecimal() and len(after) < 10 else None
    return TransferError(f"{url}: the server answers {error.code} {error.reason}{advice}", url, error.code, wait)


def _extent(url: str, response: Any, have: int) -> tuple[int, int | None]:
    """First byte and total length of what the server is about to send."""
    headers = response.headers
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise TransferError(f"{url}: the server insists on encoding the file as {headers['Content-Encoding']}", url)
    length = headers.get("Content-Length")
    length = int(length) if length is not None and length.isdigit() else None
    if response.status == 206:
        stated = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", ""))
        if not have or not stated or int(stated.group(1)) != have:
            raise TransferError(
                f"{url}: asked for bytes from {have}, the server sends "
                f"'{headers.get('Content-Range', 'no Content-Range')}'",
                url,
            )
        total = int(stated.group(2)) + 1 if stated.group(3) == "*" else int(stated.group(3))
        return have, total
    if response.status != 200:
        raise TransferError(f"{url}: the server answers {response.status}, expected 200 or 206", url, response.status)
    return 0, length


def _validator(headers: Message) -> str | None:
    etag: str | None = headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")


def _outcome(headers: Message) -> Outcome:
    md5 = None
    for value in headers.get_all("x-goog-hash") or []:
        for item in value.split(","):
            kind, _, digest = item.strip().partition("=")
            if kind == "md5":
                try:
                    md5 = base64.b64decode(digest, validate=True)
                except ValueError:
                    md5 = None
    return Outcome(headers.get("Content-Type"), headers.get("ETag"), md5)
