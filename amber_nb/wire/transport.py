"""httpx2 transports of the modes. Live is the SDK's own client, untouched; simulate answers in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import httpx2

from .. import simulator

__all__ = ["SimulatorTransport"]


class SimulatorTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers every request from the simulator, in the caller's own thread or task: no port, no thread.

    Args:
        chunks_per_s: pace of a streamed reply, 0 for no waiting.
    """

    def __init__(self, *, chunks_per_s: float) -> None:
        self._chunks_per_s = chunks_per_s

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The sync door."""
        return self._answer(request, request.read())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The async door."""
        return self._answer(request, await request.aread())

    def _answer(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        path = request.url.raw_path.decode("ascii").partition("?")[0].removeprefix(simulator.BASE_PATH)
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = simulator.respond(simulator.Request(method=request.method, path=path, headers=headers, body=body))
        stream = _Events(reply, self._chunks_per_s) if reply.events is not None else None
        content = None if stream else reply.body
        return httpx2.Response(
            reply.status, headers=dict(reply.headers), content=content, stream=stream, request=request
        )


class _Events(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, reply: simulator.Response, chunks_per_s: float) -> None:
        self._steps = simulator.delays(reply.events or (), chunks_per_s)

    def __iter__(self) -> Iterator[bytes]:
        for delay_s, event in self._steps:
            if delay_s:
                time.sleep(delay_s)
            yield event

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for delay_s, event in self._steps:
            await asyncio.sleep(delay_s)
            yield event
