"""httpx2 transports of the modes. Live is the SDK's own client, untouched; simulate answers in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import NoReturn

import httpx2

from .. import clock, simulator

__all__ = ["SimulatorTransport"]

_LONGEST_S = 86_400.0  # a silence without end, for who set no timeout


class SimulatorTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers every request from the simulator, in the caller's own thread or task: no port, no thread.

    Args:
        chunks_per_s: pace of a streamed reply, 0 for no waiting.
        drift: above 0, the model has changed since, and answers otherwise.
    """

    def __init__(self, *, chunks_per_s: float, drift: int = 0) -> None:
        self._chunks_per_s = chunks_per_s
        self._drift = drift

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The sync door."""
        reply = self._reply(request, request.read())
        if reply.wait_s:
            _sleep(reply.wait_s, request)
        return self._response(request, reply)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The async door."""
        reply = self._reply(request, await request.aread())
        if reply.wait_s:
            await _sleep_async(reply.wait_s, request)
        return self._response(request, reply)

    def _reply(self, request: httpx2.Request, body: bytes) -> simulator.Response:
        path = request.url.raw_path.decode("ascii").partition("?")[0].removeprefix(simulator.BASE_PATH)
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = simulator.Request(method=request.method, path=path, headers=headers, body=body)
        return simulator.respond(asked, drift=self._drift)

    def _response(self, request: httpx2.Request, reply: simulator.Response) -> httpx2.Response:
        # A stream, too, for a body that cannot be read: it has to fail where it is read, as on a network.
        plain = reply.events is None and not reply.cut and "content-encoding" not in reply.headers
        stream = None if plain else _Events(reply, self._chunks_per_s, request)
        content = None if stream else reply.body
        return httpx2.Response(
            reply.status, headers=dict(reply.headers), content=content, stream=stream, request=request
        )


class _Events(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, reply: simulator.Response, chunks_per_s: float, request: httpx2.Request) -> None:
        events = reply.events if reply.events is not None else (reply.body,)
        self._steps = simulator.delays(events, chunks_per_s)
        self._cut = reply.cut
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        for delay_s, event in self._steps:
            if delay_s:
                _sleep(delay_s, self._request)
            if event:
                yield event
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for delay_s, event in self._steps:
            await _sleep_async(delay_s, self._request)
            if event:
                yield event
        self._end()

    def _end(self) -> None:
        if self._cut == "reset":
            raise httpx2.ReadError("Connection reset by peer", request=self._request)
        if self._cut:
            text = "peer closed connection without sending complete message body"
            raise httpx2.RemoteProtocolError(text, request=self._request)


def _sleep(seconds: float, request: httpx2.Request) -> None:
    limit = _patience_s(request)
    clock.sleep(min(seconds, limit))
    if seconds > limit:
        _give_up(request)


async def _sleep_async(seconds: float, request: httpx2.Request) -> None:
    limit = _patience_s(request)
    await clock.sleep_async(min(seconds, limit))
    if seconds > limit:
        _give_up(request)


def _patience_s(request: httpx2.Request) -> float:
    read_s = (request.extensions.get("timeout") or {}).get("read")
    return float(read_s) if read_s is not None else _LONGEST_S


def _give_up(request: httpx2.Request) -> NoReturn:
    raise httpx2.ReadTimeout("The read operation timed out", request=request)
