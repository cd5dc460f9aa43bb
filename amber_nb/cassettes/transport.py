"""httpx2 transports on a cassette: they record what passes by, or play it back.

The inner transport is the SDK's own, with its proxies and certificates. In replay there is none: nothing in this module
can open a connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx2

from .. import clock
from .exchange import Exchange
from .session import Deck, Tape

__all__ = ["GIVEN_UP", "AsyncCassetteTransport", "CassetteTransport", "Closed"]

_BLOCK = 16_384  # bytes of a replay without waiting that go out at once


# A response's extension, called when it is closed: why its reader gives it up; "" by Stop, an interrupt, a break.
GIVEN_UP = "amber_given_up"


class Closed(httpx2.ReadError):
    """The recording ends here because its reader went away; the message says why, "" for Stop and interrupts."""


class CassetteTransport(httpx2.BaseTransport):
    """The sync one. `inner` is None in replay."""

    def __init__(self, deck: Deck, inner: httpx2.BaseTransport | None) -> None:
        self._deck = deck
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        found = self._deck.look(request, request.read())
        if isinstance(found, Exchange):
            return _played(found, request, self._deck.speed)
        assert self._inner is not None
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:
            _broke(found, error)
            raise
        found.answered(response)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Taped(response.stream, found)
        return response

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()


class AsyncCassetteTransport(httpx2.AsyncBaseTransport):
    """The async one."""

    def __init__(self, deck: Deck, inner: httpx2.AsyncBaseTransport | None) -> None:
        self._deck = deck
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        found = self._deck.look(request, await request.aread())
        if isinstance(found, Exchange):
            return _played(found, request, self._deck.speed)
        assert self._inner is not None
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            _broke(found, error)
            raise
        found.answered(response)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncTaped(response.stream, found, response.extensions)
        return response

    async def aclose(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()


def _broke(tape: Tape, error: BaseException) -> None:
    if isinstance(error, httpx2.RequestError):
        tape.end("failed", error)
    else:  # cancelled, interrupted
        tape.end("closed")


class _Taped(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, tape: Tape) -> None:
        self._stream = stream
        self._tape = tape

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._stream:
                self._tape.see(piece)
                yield piece
        except httpx2.RequestError as error:
            self._tape.end("failed", error)
            raise
        self._tape.end()

    def close(self) -> None:
        self._stream.close()
        self._tape.end("closed")


class _AsyncTaped(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, tape: Tape, extensions: Mapping[str, Any]) -> None:
        self._stream = stream
        self._tape = tape
        self._extensions = extensions

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                self._tape.see(piece)
                yield piece
        except httpx2.RequestError as error:
            self._tape.end("failed", error)
            raise
        self._tape.end()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            why = self._extensions.get(GIVEN_UP, str)()
            self._tape.end("closed", Closed(why) if why else None)


def _played(one: Exchange, request: httpx2.Request, speed: float) -> httpx2.Response:
    if one.status is None:
        raise _error(one, request)
    return httpx2.Response(one.status, headers=dict(one.headers or {}), stream=_Played(one, request, speed))


def _error(one: Exchange, request: httpx2.Request) -> httpx2.RequestError:
    """What broke the exchange when it was recorded, as the same kind of error."""
    name, message = one.error or ("", "")
    kind = getattr(httpx2, name, None)
    if not (isinstance(kind, type) and issubclass(kind, httpx2.RequestError)):
        kind = Closed
    error: httpx2.RequestError = kind(message, request=request)
    return error


class _Played(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, one: Exchange, request: httpx2.Request, speed: float) -> None:
        self._one = one
        self._request = request
        self._speed = speed
        self._began = clock.monotonic()

    def __iter__(self) -> Iterator[bytes]:
        for wait_s, piece in self._pieces():
            if wait_s > 0:
                clock.sleep(wait_s)
            yield piece
        self._last()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for wait_s, piece in self._pieces():
            await clock.sleep_async(max(0.0, wait_s))  # at 0 others get their turn
            yield piece
        self._last()

    def _pieces(self) -> Iterator[tuple[float, bytes]]:
        if self._speed:
            for t, piece in self._one.steps:
                yield self._began + t / self._speed - clock.monotonic(), piece
            return
        block: list[bytes] = []
        size = 0
        for _, piece in self._one.steps:
            block.append(piece)
            size += len(piece)
            if size >= _BLOCK:
                yield 0.0, b"".join(block)
                block, size = [], 0
        if block:
            yield 0.0, b"".join(block)

    def _last(self) -> None:
        if self._one.how != "whole":
            raise _error(self._one, self._request)
