"""httpx2 transports that record to a cassette, or replay from it.

The inner transport is the SDK's own, with its proxies and certificates. In replay there is none: nothing in this module
can open a connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx2
import openai

from .. import clock
from ..errors import AmberError
from ..wire.completion import CLOSE_REASON, ReaderClosed
from .file import Interaction
from .recording import Recording
from .session import CassetteSession

__all__ = ["CassetteTransport", "CassetteTransports"]

_BLOCK_BYTES = 16_384  # of a replay without waiting, sent in one piece
# Below 3.15 the SDK tells what a transport raises as an APIConnectionError, except its own errors.
_SDK_WRAPS = tuple(map(int, openai.__version__.split(".")[:2])) < (3, 15)


class CassetteTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Record what passes the inner transport, sync or async, or replay where there is none."""

    def __init__(self, session: CassetteSession, inner: Any) -> None:
        self._session = session
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with _pass_sdk():
            found = self._session.lookup(request, request.read())
        if isinstance(found, Interaction):
            return _replay(found, request, self._session.speed)
        with _end_on_error(found):
            return _record(self._inner.handle_request(request), found)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        with _pass_sdk():
            found = self._session.lookup(request, content)
        if isinstance(found, Interaction):
            return _replay(found, request, self._session.speed)
        with _end_on_error(found):
            return _record(await self._inner.handle_async_request(request), found)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()

    async def aclose(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()


class CassetteTransports:
    """Wrap a client's transports for a session; see `wire.clients.Transports`."""

    def __init__(self, session: CassetteSession) -> None:
        self._session = session
        self.offline = session.mode == "replay"

    def wrap(self, inner: httpx2.BaseTransport | None) -> httpx2.BaseTransport:
        return CassetteTransport(self._session, inner)

    def wrap_async(self, inner: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncBaseTransport:
        return CassetteTransport(self._session, inner)


@contextlib.contextmanager
def _pass_sdk() -> Iterator[None]:
    """Raise our errors in a form that every release of the SDK lets pass: as a class that is the SDK's, too."""
    try:
        yield
    except AmberError as error:
        if not _SDK_WRAPS:
            raise
        cls = type(error)
        members = {"__module__": cls.__module__, "__reduce__": lambda self: (cls, self.args)}
        raise type(cls.__name__, (cls, openai.OpenAIError), members)(*error.args) from None


@contextlib.contextmanager
def _end_on_error(recording: Recording) -> Iterator[None]:
    try:
        yield
    except httpx2.RequestError as error:
        recording.end("failed", error)
        raise
    except BaseException:  # cancelled, interrupted
        recording.end("closed")
        raise


def _record(response: httpx2.Response, recording: Recording) -> httpx2.Response:
    recording.begin_response(response)
    response.stream = _RecordedBody(response.stream, recording, response.extensions)
    return response


class _RecordedBody(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, stream: Any, recording: Recording, extensions: Mapping[str, Any]) -> None:
        self._stream = stream
        self._recording = recording
        self._extensions = extensions

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._stream:
                self._recording.add(piece)
                yield piece
        except httpx2.RequestError as error:
            self._recording.end("failed", error)
            raise
        self._recording.end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                self._recording.add(piece)
                yield piece
        except httpx2.RequestError as error:
            self._recording.end("failed", error)
            raise
        self._recording.end()

    def close(self) -> None:
        self._stream.close()
        self._recording.end("closed")

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            why = self._extensions.get(CLOSE_REASON, str)()
            self._recording.end("closed", ReaderClosed(why) if why else None)


def _replay(interaction: Interaction, request: httpx2.Request, speed: float) -> httpx2.Response:
    if interaction.status is None:
        raise _recorded_error(interaction, request)
    body = _ReplayedBody(interaction, request, speed)
    return httpx2.Response(interaction.status, headers=dict(interaction.headers or {}), stream=body)


def _recorded_error(interaction: Interaction, request: httpx2.Request) -> httpx2.RequestError:
    """Return the error that broke the interaction when it was recorded, as the same class."""
    name, message = interaction.error or ("", "")
    cls = getattr(httpx2, name, None)
    if not (isinstance(cls, type) and issubclass(cls, httpx2.RequestError)):
        cls = ReaderClosed
    error: httpx2.RequestError = cls(message, request=request)
    return error


class _ReplayedBody(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, interaction: Interaction, request: httpx2.Request, speed: float) -> None:
        self._interaction = interaction
        self._request = request
        self._speed = speed
        self._began = clock.monotonic()

    def __iter__(self) -> Iterator[bytes]:
        for wait_s, piece in self._pieces():
            if wait_s > 0:
                clock.sleep(wait_s)
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for wait_s, piece in self._pieces():
            await clock.sleep_async(max(0.0, wait_s))  # at 0 other tasks get their turn
            yield piece

    def _pieces(self) -> Iterator[tuple[float, bytes]]:
        """Yield each piece with the time to wait before it, and raise the error that was recorded."""
        if self._speed:
            for t, piece in self._interaction.steps:
                yield self._began + t / self._speed - clock.monotonic(), piece
        else:
            body = b"".join(piece for _, piece in self._interaction.steps)
            for start in range(0, len(body), _BLOCK_BYTES):
                yield 0.0, body[start : start + _BLOCK_BYTES]
        if self._interaction.how != "whole":
            raise _recorded_error(self._interaction, self._request)
