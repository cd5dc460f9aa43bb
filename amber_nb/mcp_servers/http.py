"""The HTTP client of a server with a URL: redirects are refused, and a failure costs the request alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp_types import INTERNAL_ERROR

from ..config import Config
from ..redact import SecretHeaders
from ..wire.clients import SimulatorTransport, naming_network_problems

__all__ = ["UNREACHABLE", "open_http"]

UNREACHABLE = -1  # our own code, which no server sends for this: those of JSON-RPC mean other things

_MAX_BODY = 65_536  # bytes of a refusal that are read
_READ_S = 300.0  # a server may keep a stream open without a word
_CONNECT_S = 30.0
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
    timeout = httpx2.Timeout(_CONNECT_S, read=_READ_S)
    options: Any = {"headers": SecretHeaders(headers), "timeout": timeout, "max_redirects": redirects}
    if simulated is not None:
        transport = SimulatorTransport(chunks_per_s=0, drift=simulated.sim_drift)
        return httpx2.AsyncClient(transport=_ErrorsAsReplies(transport, redirects), **options)
    with naming_network_problems():
        http = httpx2.AsyncClient(**options)
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
        if request.method != "POST":
            return await self._inner.handle_async_request(request)
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            what = "cannot be reached" if isinstance(error, _UNREACHED) else "did not answer"
            return _reply(502, f"{what} ({type(error).__name__})", UNREACHABLE)
        if response.has_redirect_location and not self._redirects:
            await response.aclose()
            return _reply(502, _describe_redirect(response))
        # 404 is a server's word for a session or a method that it does not know; 405 is that of an old transport.
        if response.status_code < 400 or response.status_code in (404, 405):
            return response
        body = await _read(response)
        if body is not None and _is_protocol_error(body):
            kept = {"content-type": "application/json"}
            return httpx2.Response(response.status_code, headers=kept, content=body)
        return _reply(response.status_code, _describe_status(response.status_code))

    async def aclose(self) -> None:
        await self._inner.aclose()


def _reply(status: int, message: str, code: int = INTERNAL_ERROR) -> httpx2.Response:
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(status, json=body)


async def _read(response: httpx2.Response) -> bytes | None:
    """Return the body of a refusal; None where it is long or cannot be read."""
    body = b""
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > _MAX_BODY:
                return None
        return body
    except (httpx2.HTTPError, httpx2.StreamError):
        return None
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
