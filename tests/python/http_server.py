# SPDX-License-Identifier: Apache-2.0
"""A local HTTP server that misbehaves on request, for the tests of pybit.hub."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Behaviour:
    """How one path answers. `faults` are taken one per request; when they are used up the server is honest."""

    content: bytes
    etag: str | None = '"v1"'
    content_type: str = "application/octet-stream"
    ranges: bool = True
    md5: bytes | None = None
    chunked: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    faults: list[Callable[[BaseHTTPRequestHandler, Behaviour], bool]] = field(default_factory=list)
    delay: float = 0.0
    requests: list[dict[str, str]] = field(default_factory=list)


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler, Behaviour], bool]:
    """Answers with an error page."""

    def fault(handler: BaseHTTPRequestHandler, behaviour: Behaviour) -> bool:
        body = b"<html>error</html>"
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return True

    return fault


def cut(after: int, reset: bool = False) -> Callable[[BaseHTTPRequestHandler, Behaviour], bool]:
    """Sends honest headers and `after` bytes of the body, then closes (or resets) the connection."""

    def fault(handler: BaseHTTPRequestHandler, behaviour: Behaviour) -> bool:
        start = send_headers(handler, behaviour)
        handler.wfile.write(behaviour.content[start : start + after])
        handler.wfile.flush()
        if reset:
            import socket
            import struct

            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        return True

    return fault


def stall(seconds: float) -> Callable[[BaseHTTPRequestHandler, Behaviour], bool]:
    """Sends headers, then nothing for a while."""

    def fault(handler: BaseHTTPRequestHandler, behaviour: Behaviour) -> bool:
        send_headers(handler, behaviour)
        handler.wfile.flush()
        time.sleep(seconds)
        handler.connection.close()
        return True

    return fault


def change(**values: Any) -> Callable[[BaseHTTPRequestHandler, Behaviour], bool]:
    """Changes the file on the server before it is sent."""

    def fault(handler: BaseHTTPRequestHandler, behaviour: Behaviour) -> bool:
        for name, value in values.items():
            setattr(behaviour, name, value)
        return False

    return fault


def send_headers(handler: BaseHTTPRequestHandler, behaviour: Behaviour) -> int:
    """Status line and headers of an honest answer; returns the first byte to send, or -1 if there is no body."""
    start = 0
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    fresh = handler.headers.get("If-Range") in (None, behaviour.etag)
    if wanted and behaviour.ranges and fresh:
        start = int(wanted.group(1))
        if start >= len(behaviour.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(behaviour.content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return -1
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(behaviour.content) - 1}/{len(behaviour.content)}")
    else:
        handler.send_response(200)
    handler.send_header("Content-Type", behaviour.content_type)
    if behaviour.etag:
        handler.send_header("ETag", behaviour.etag)
    if behaviour.md5 is not None:
        handler.send_header("x-goog-hash", "crc32c=AAAAAA==")
        handler.send_header("x-goog-hash", "md5=" + base64.b64encode(behaviour.md5).decode())
    for name, value in behaviour.headers.items():
        handler.send_header(name, value)
    if behaviour.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.send_header("Content-Length", str(len(behaviour.content) - start))
    handler.end_headers()
    return start


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: dict[str, Behaviour]

    def do_GET(self) -> None:
        self.close_connection = True
        behaviour = self.files.get(self.path)
        if behaviour is None:
            status(404)(self, Behaviour(b""))
            return
        behaviour.requests.append(dict(self.headers.items()))
        try:
            if behaviour.faults and behaviour.faults.pop(0)(self, behaviour):
                return
            start = send_headers(self, behaviour)
            if start < 0:
                return
            body = behaviour.content[start:]
            for at in range(0, len(body), 4096):
                piece = body[at : at + 4096]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if behaviour.chunked else piece)
                if behaviour.delay:
                    time.sleep(behaviour.delay)
            if behaviour.chunked:
                self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a connection that a test cut off


@contextmanager
def serving(files: dict[str, Behaviour]) -> Iterator[str]:
    """The base address (without a slash at the end) of a server for these paths."""
    handler = type("Handler", (_Handler,), {"files": files})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def md5_of(content: bytes) -> bytes:
    """As object stores state it."""
    return hashlib.md5(content, usedforsecurity=False).digest()
