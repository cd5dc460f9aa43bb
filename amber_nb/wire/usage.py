"""One row a request, filled while its reply passes by.

It listens through httpx2's event hooks, so that the SDK's transports, proxies and retries stay as they are, and sees
`.openai`, `.async_openai` and `ask` alike. A reply is never held back or read ahead: the tap sits on the byte stream.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx2
import jiter

from .. import clock
from ..types import Charge, RequestRow, read_cached_tokens, read_tokens

__all__ = ["UsageLog"]

TAIL_BYTES = 65_536  # the usage of a stream stands in its last events
BODY_BYTES = 16_000_000  # a whole reply above this is passed on, but not parsed for its usage
_TOKEN = re.compile(rb'"(?:content|refusal|reasoning_content|arguments|name)"\s*:\s*"[^"]')
# A key named "model" whose value is a string: inside a prompt the quotes would be escaped.
_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.){1,200})"')


class UsageLog:
    """The rows of one `Amber`, oldest first."""

    def __init__(self, mode: str) -> None:
        self.rows: list[RequestRow] = []
        self.mode = mode

    def hooks(self) -> dict[str, list[Any]]:
        """Event hooks for a `httpx2.Client`."""
        return {"request": [self._sent], "response": [self._received]}

    def async_hooks(self) -> dict[str, list[Any]]:
        """Event hooks for a `httpx2.AsyncClient`."""

        async def sent(request: httpx2.Request) -> None:
            self._sent(request)

        async def received(response: httpx2.Response) -> None:
            self._received(response)

        return {"request": [sent], "response": [received]}

    def _sent(self, request: httpx2.Request) -> None:
        row = RequestRow(time=clock.time(), mode=self.mode, started=clock.monotonic())
        with contextlib.suppress(httpx2.RequestNotRead):  # an upload that is streamed itself
            if found := _MODEL.search(request.content):
                row.model = row.asked_model = found[1].decode("utf-8", "replace")
        request.extensions["amber_row"] = row
        self.rows.append(row)

    def _received(self, response: httpx2.Response) -> None:
        row: RequestRow = response.request.extensions["amber_row"]
        row.status = response.status_code
        row.latency_s = clock.monotonic() - row.started
        tap = _Tap(row, response)
        if response.is_stream_consumed:  # a transport that answers with the whole body at once
            tap.see(response.content)
            tap.end()
        else:
            response.stream = tap


class _Tap(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The stream of a response, which fills the row while it passes by."""

    def __init__(self, row: RequestRow, response: httpx2.Response) -> None:
        encoding = response.headers.get("content-encoding", "").lower()
        self._row = row
        self._stream: Any = response.stream
        self._streamed = response.headers.get("content-type", "").startswith("text/event-stream")
        self._inflate = zlib.decompressobj(wbits=47) if encoding in ("gzip", "deflate") else None
        self._blind = bool(encoding) and self._inflate is None  # only the time can be noted
        self._limit = TAIL_BYTES if self._streamed else BODY_BYTES
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._waiting = self._streamed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # `elapsed`, which the response reads back from its stream

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self.see(chunk)
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self.see(chunk)
            yield chunk

    def close(self) -> None:
        self._stream.close()
        self.end()

    async def aclose(self) -> None:
        await self._stream.aclose()
        self.end()

    def see(self, chunk: bytes) -> None:
        if self._blind:
            return
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk)
            except zlib.error:
                self._blind = True  # the SDK will say so; the log only listens
                return
        if self._waiting and _TOKEN.search(chunk):
            self._row.first_token_s = clock.monotonic() - self._row.started
            self._waiting = False
        self._kept.append(chunk)
        self._size += len(chunk)
        while self._size > self._limit and len(self._kept) > 1:
            self._size -= len(self._kept.popleft())

    def end(self) -> None:
        self._row.latency_s = clock.monotonic() - self._row.started
        body = b"".join(self._kept)
        self._kept.clear()
        if self._blind:
            return
        pieces = reversed(list(_telling_events(body))) if self._streamed else [(b"", body)]
        for name, piece in pieces:
            if _note(self._row, piece, name):
                break
        if (charge := self._row.charge) is not None:
            names = dict.fromkeys(filter(None, (self._row.asked_model, self._row.model)))
            self._row.charge = replace(charge, models=tuple(names))


def _telling_events(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and data of the events that may hold a usage or a model's name."""
    name = b""
    for line in body.splitlines():
        if not line:
            name = b""
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif line.startswith(b"data:") and (name == b"usage" or b'"usage"' in line or b'"model"' in line):
            yield name, line[5:].strip()


def _note(row: RequestRow, data: bytes, event: bytes) -> bool:
    """Whether the row now has its usage and the model of the reply; an event that has the one may lack the other."""
    try:
        reply = jiter.from_json(data)
    except ValueError:
        return False
    if not isinstance(reply, dict):
        return False
    model = reply.get("model")
    named = isinstance(model, str) and model != ""
    if named:
        row.model = model
    usage = _find_usage(reply, event)
    if row.total_tokens is not None or usage is None:
        return named and row.total_tokens is not None
    row.prompt_tokens, row.completion_tokens, row.total_tokens = read_tokens(usage)
    row.cached_tokens = read_cached_tokens(usage, None)
    tier = reply.get("service_tier")
    row.charge = Charge(models=(), usage=usage, service_tier=tier if isinstance(tier, str) else None)
    return named and row.total_tokens is not None


def _find_usage(reply: dict[str, Any], event: bytes) -> dict[str, Any] | None:
    """Return the usage in a reply or an event: Groq has it in a field of its own, Moonshot in the choice."""
    choices = reply.get("choices")
    holders = [reply, reply.get("x_groq"), *(choices if isinstance(choices, list) else ())]
    found = [usage for each in holders if isinstance(each, dict) and isinstance(usage := each.get("usage"), dict)]
    if not found and event == b"usage" and "choices" not in reply:
        return reply
    return next(filter(None, found), found[0] if found else None)
