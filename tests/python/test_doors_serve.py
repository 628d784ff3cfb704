# SPDX-License-Identifier: Apache-2.0
"""examples/serve.py as a process: concurrent clients, bad uploads, oversized bodies, clients that go away."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pybit
import pytest
from small_models import small_model

pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("fastapi", reason="fastapi, which brings starlette, is not installed")
image_module = pytest.importorskip("PIL.Image", reason="Pillow writes the images")

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve.py"
LIMIT = 1_000_000


class Server:
    """A server process and its model."""

    def __init__(self, folder: Path) -> None:
        model = small_model()
        model.labels, model.preprocessing = ("ant", "bee", "cat", "dog", "eel"), pybit.PreprocessSpec(32)
        model.save(folder / "m.safetensors")
        self.model = model
        options = ["--port", "0", "--max-batch", "8", "--max-wait-ms", "200", "--max-bytes", str(LIMIT)]
        command = [sys.executable, str(EXAMPLE), str(folder / "m.safetensors"), *options, "--max-pixels", "250000"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://127.0.0.1:(\d+)", self.process.stdout.readline())
        assert found is not None
        self.port = int(found[1])

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("serve"))
    yield found
    assert found.process.poll() is None  # nothing that clients did has ended it
    found.process.terminate()
    found.process.communicate(timeout=60)


def encoded(tmp_path: Path, seed: int, size: tuple[int, int]) -> bytes:
    """A PNG of one colour gradient, so that images differ."""
    path = tmp_path / f"{seed}.png"
    gradient = image_module.linear_gradient("L").resize(size).rotate(15 * seed)
    image_module.merge("RGB", [gradient, gradient.rotate(90), gradient.rotate(45)]).save(path)
    return path.read_bytes()


def test_sixteen_clients_share_batches_and_get_their_own_answers(server: Server, tmp_path: Path) -> None:
    images = [encoded(tmp_path, i, (20 + 7 * i, 90 - 3 * i)) for i in range(16)]
    before = server.call("GET", "/status")[1]
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda data: server.call("POST", "/predict", data), images * 2))
    after = server.call("GET", "/status")[1]
    assert after["images"] - before["images"] == 32
    assert after["batches"] - before["batches"] < 32 and 2 <= after["largest"] <= 8
    for data, (status, found) in zip(images * 2, answers, strict=True):
        assert status == 200
        (wanted,) = server.model.predict([data])
        # Batches of another size may be computed by another algorithm, in the last digits.
        assert {p["label"]: p["probability"] for p in found} == pytest.approx(
            dict(zip(wanted.labels, wanted.probabilities, strict=True)), abs=1e-5
        )
    assert len({tuple(p["probability"] for p in found) for _, found in answers}) >= 16  # not one answer for all


def test_bad_uploads_are_refused_alone(server: Server, tmp_path: Path) -> None:
    good = encoded(tmp_path, 1, (40, 40))
    bad = [b"", b"no image", good[:100], encoded(tmp_path, 2, (600, 600))]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda data: server.call("POST", "/predict", data), [*bad, good, good]))
    assert [status for status, _ in answers] == [400, 400, 400, 400, 200, 200]
    assert all(answer["error"] for _, answer in answers[:4]) and "max_pixels" in answers[3][1]["error"]


def test_oversized_bodies_are_refused_early(server: Server, tmp_path: Path) -> None:
    status, answer = server.call("POST", "/predict", bytes(LIMIT + 1))
    assert status == 413 and str(LIMIT) in answer["error"]
    # Without a length and without an end: refused once there is too much.
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        part = b"%x\r\n%s\r\n" % (100_000, bytes(100_000))
        for _ in range(11):
            client.sendall(part)
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    assert server.call("POST", "/predict", encoded(tmp_path, 1, (40, 40)))[0] == 200


def test_clients_that_go_away_disturb_nothing(server: Server, tmp_path: Path) -> None:
    good = encoded(tmp_path, 1, (40, 40))
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(good)}\r\n\r\n".encode()
    for sent in (head[:20], head, head + good[:50], head + good):
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
                client.sendall(sent)
    assert server.call("POST", "/predict", good)[0] == 200
