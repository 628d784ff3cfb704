# SPDX-License-Identifier: Apache-2.0
"""A server that classifies uploaded images in batches: serve.py MODEL [--port N].

    pip install starlette uvicorn
    python examples/serve.py BiT-M-R50x1-ILSVRC2012.npz
    curl --data-binary @cat.jpg http://127.0.0.1:8000/predict

Requests that arrive while a batch is computed, or within --max-wait-ms of the first one, share the next batch, whatever
the sizes of their images. Each image is decoded before it joins a batch, so a damaged one is refused alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pybit
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Batcher:
    """Collects images of concurrent callers into batches for one model."""

    def __init__(self, model: pybit.Model, max_batch: int, max_wait: float, max_waiting: int) -> None:
        self._model, self._max_batch, self._max_wait = model, max_batch, max_wait
        self._waiting: asyncio.Queue[tuple[np.ndarray, asyncio.Future[pybit.Prediction]]] = asyncio.Queue(max_waiting)
        self.images = self.batches = self.largest = 0

    async def predict(self, pixels: np.ndarray) -> pybit.Prediction:
        """The classes of one image. Raises asyncio.QueueFull if too many wait already."""
        future: asyncio.Future[pybit.Prediction] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((pixels, future))
        return await future

    async def run(self) -> None:
        """Compute batches until cancelled."""
        while True:
            batch = [item for item in await self._next() if not item[1].cancelled()]
            if not batch:
                continue
            try:
                # In a thread, where the interpreter's lock is released: the loop goes on receiving uploads.
                found = await asyncio.to_thread(
                    self._model.predict, [pixels for pixels, _ in batch], batch_size=len(batch), progress=False
                )
            except Exception as error:
                for _, future in batch:
                    if not future.cancelled():
                        future.set_exception(error)
                continue
            self.images, self.batches = self.images + len(batch), self.batches + 1
            self.largest = max(self.largest, len(batch))
            for (_, future), prediction in zip(batch, found, strict=True):
                if not future.cancelled():
                    future.set_result(prediction)

    async def _next(self) -> list[tuple[np.ndarray, asyncio.Future[pybit.Prediction]]]:
        """The first image that waits, and those that come within the latency bound."""
        batch = [await self._waiting.get()]
        end = asyncio.get_running_loop().time() + self._max_wait
        while len(batch) < self._max_batch:
            left = end - asyncio.get_running_loop().time()
            try:
                item = self._waiting.get_nowait() if left <= 0 else await asyncio.wait_for(self._waiting.get(), left)
            except (asyncio.QueueEmpty, TimeoutError, asyncio.TimeoutError):
                break
            batch.append(item)
        return batch


async def body_of(request: Request, limit: int) -> bytes | None:
    """The request's body; None, as soon as that is clear, if it has more than `limit` bytes."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        return None
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > limit:
            return None
    return bytes(data)


def refuse(status: int, reason: str) -> Response:
    """An error as JSON; the connection ends, since the rest of an upload may still be on its way."""
    return JSONResponse({"error": reason}, status, {"connection": "close"})


def make_app(model: pybit.Model, args: argparse.Namespace) -> Starlette:
    """The application: POST /predict, GET /status."""
    batcher = Batcher(model, args.max_batch, args.max_wait_ms / 1000, args.max_waiting)

    async def predict(request: Request) -> Response:
        try:
            data = await body_of(request, args.max_bytes)
        except ClientDisconnect:
            return Response(status_code=499)  # no caller reads it
        if data is None:
            return refuse(413, f"expected an image of at most {args.max_bytes} bytes")
        try:
            pixels = await asyncio.to_thread(pybit.data.read_image, data, max_pixels=args.max_pixels)
        except ValueError as error:
            return refuse(400, str(error))
        if await request.is_disconnected():
            return Response(status_code=499)
        try:
            return JSONResponse((await batcher.predict(pixels)).as_dict()["predictions"])
        except asyncio.QueueFull:
            return refuse(503, "too many images wait already: try again later")

    async def status(_: Request) -> Response:
        counts = {name: getattr(batcher, name) for name in ("images", "batches", "largest")}
        return JSONResponse({"model": model.name, **counts})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.run())
        yield
        task.cancel()

    routes = [Route("/predict", predict, methods=["POST"]), Route("/status", status)]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    """Load the model and serve until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="a checkpoint of any supported format")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one")
    parser.add_argument("--max-batch", type=int, default=16, help="images of a batch")
    parser.add_argument("--max-wait-ms", type=float, default=5, help="what the first image of a batch waits for others")
    parser.add_argument("--max-waiting", type=int, default=256, help="images that may wait; more are refused")
    parser.add_argument("--max-bytes", type=int, default=20_000_000, help="of an upload")
    parser.add_argument("--max-pixels", type=int, default=50_000_000, help="of an image")
    args = parser.parse_args()
    model = pybit.load(args.model)
    side: Any = model.preprocessing.sizes()
    model(np.zeros((1, 3, *side), np.float32))  # the first call makes the plan
    server = uvicorn.Server(uvicorn.Config(make_app(model, args), log_level="warning", timeout_graceful_shutdown=5))
    with socket.create_server((args.host, args.port)) as listening:
        print(f"serving {model.name} on http://{args.host}:{listening.getsockname()[1]}", flush=True)
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
