"""The HTTP client of a server with a URL: redirects are refused, and a failure costs the request alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx2

from .. import clock
from ..config import Config
from ..redact import SecretHeaders
from ..wire.clients import SimulatorTransport, naming_network_problems

__all__ = ["READ_S", "REFUSED", "UNREACHABLE", "UNUSABLE", "open_http"]

# Our own codes, which no server sends for this: those of JSON-RPC mean other things.
UNREACHABLE = -1
UNUSABLE = -2  # the answer cannot be taken, and the message says why
REFUSED = -3  # a status of HTTP, which may be that of a proxy: the server itself may not have been asked

_MAX_BODY = 65_536  # bytes of a refusal that are read
_MAX_ANSWER = 64_000_000  # bytes of an answer, once it is unpacked
_PACKINGS = ("", "identity", "gzip", "deflate")  # others, and two of them, make gigabytes of a few bytes
_OF_TRANSFER = ("content-encoding", "content-length", "transfer-encoding")
# A day: each request has a limit of its own, which a question to the reader puts off.
READ_S = 86_400.0
_CONNECT_S = 30.0
_GOODBYE_S = 2.0  # to end a session that nobody needs any more
_UNREACHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol)


def open_http(headers: Mapping[str, str], *, redirects: int, simulated: Config | None = None) -> httpx2.AsyncClient:
    """Return an HTTP client for the SDK's transports.

    Args:
        headers: sent with each request.
        redirects: how many the SDK may follow, within the server's own origin.
        simulated: the settings of a client in mode simulate, whose server is the simulator.

    Raises:
        ConfigError: a variable of the network's settings is wrong.
    """
    timeout = httpx2.Timeout(_CONNECT_S, read=READ_S)
    own = SecretHeaders({"accept-encoding": "identity", **headers})
    options: Any = {"headers": own, "timeout": timeout, "max_redirects": redirects}
    if simulated is not None:
        transport = SimulatorTransport(chunks_per_s=0, drift=simulated.sim_drift)
        return httpx2.AsyncClient(transport=_ErrorsAsReplies(transport, redirects), **options)
    with naming_network_problems():
        http = httpx2.AsyncClient(**options)
    # Private attributes: a client that is given its transport leaves the environment's proxies out.
    http._transport = _ErrorsAsReplies(http._transport, redirects)
    http._mounts = {url: inner and _ErrorsAsReplies(inner, redirects) for url, inner in http._mounts.items()}
    return http


class _ErrorsAsReplies(httpx2.AsyncBaseTransport):
    """Answer a message that failed with an error of the protocol.

    The SDK would end the whole session where a request cannot be sent, and drop the status of a refusal; of a redirect
    that is not followed it would advise to use the address that it names.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, redirects: int) -> None:
        self._inner = inner
        self._redirects = redirects

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            return await self._end_session(request)
        if request.method != "POST":
            response = await self._inner.handle_async_request(request)
            return response if _is_readable(response) else await _refuse_packing(response)
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            what = "cannot be reached" if isinstance(error, _UNREACHED) else "did not answer"
            return _reply(502, f"{what} ({type(error).__name__})", UNREACHABLE)
        if not _is_readable(response):
            return await _refuse_packing(response)
        if response.has_redirect_location and not self._redirects:
            await response.aclose()
            return _reply(502, _describe_redirect(response))
        # 404 is a server's word for a session or a method that it does not know; 405 is that of an old transport.
        if response.status_code < 400 or response.status_code in (404, 405):
            return await _limit_answer(response)
        try:
            body = await _read(response, _MAX_BODY)
        except (httpx2.HTTPError, httpx2.StreamError):
            body = None
        if body is not None and _is_protocol_error(body):
            kept = {"content-type": "application/json"}
            return httpx2.Response(response.status_code, headers=kept, content=body)
        return _reply(response.status_code, _describe_status(response.status_code))

    async def _end_session(self, request: httpx2.Request) -> httpx2.Response:
        """Tell the server of the end of a session, and wait for its word a short time: only its status is read."""
        async with clock.timeout(_GOODBYE_S):
            response = await self._inner.handle_async_request(request)
            await response.aclose()
        location = response.headers.get("location")
        return httpx2.Response(response.status_code, headers={"location": location} if location else {})

    async def aclose(self) -> None:
        await self._inner.aclose()


def _reply(status: int, message: str, code: int = REFUSED) -> httpx2.Response:
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(status, json=body)


def _is_readable(response: httpx2.Response) -> bool:
    return response.headers.get("content-encoding", "").strip().lower() in _PACKINGS


async def _refuse_packing(response: httpx2.Response) -> httpx2.Response:
    await response.aclose()
    return _reply(502, "compresses its answer in a way that was not asked for", UNUSABLE)


async def _limit_answer(response: httpx2.Response) -> httpx2.Response:
    """Return an answer, which is read here as far as the SDK would read it whole, whatever its size."""
    kind = response.headers.get("content-type", "").lower()
    if not (kind.startswith("application/json") or response.has_redirect_location):
        return response  # a stream of events, of which the SDK limits each
    try:
        body = await _read(response, _MAX_ANSWER)
    except httpx2.HTTPError as error:
        return _reply(502, f"broke its answer off ({type(error).__name__})", UNUSABLE)
    if body is None:
        return _reply(502, f"sent more than {_MAX_ANSWER // 1_000_000:,} MB", UNUSABLE)
    kept = [pair for pair in response.headers.multi_items() if pair[0].lower() not in _OF_TRANSFER]
    return httpx2.Response(response.status_code, headers=kept, content=body, extensions=response.extensions)


async def _read(response: httpx2.Response, limit: int) -> bytes | None:
    """Return the body of a response; None where it is longer than the limit."""
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                return None
        return b"".join(pieces)
    finally:
        await response.aclose()


def _is_protocol_error(body: bytes) -> bool:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "jsonrpc" in value and isinstance(value.get("error"), dict)


def _describe_redirect(response: httpx2.Response) -> str:
    try:
        host = urlsplit(response.headers["location"]).hostname
    except ValueError:
        host = None
    return (
        f"HTTP {response.status_code}: it sends requests on to {host or 'another path'}, and redirects are refused, "
        "since the key goes nowhere else. Where the server has moved, set AMBER_MCP_URL."
    )


def _describe_status(status: int) -> str:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    hint = {401: ": the key or the headers= are not accepted", 403: ": this key may not use it"}.get(status, "")
    return f"HTTP {status} {phrase}".strip() + hint
