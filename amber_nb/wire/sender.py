"""Send request bodies that are ready, and return the bodies of the replies: for maps of many rows.

The SDK's objects cost thirty times what the sending itself does. What is sent stays what the SDK sends; whether a try
is repeated, and what a reply says, others decide.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import openai
from openai._models import FinalRequestOptions

from .. import clock
from ..config import Config
from ..errors import ConfigError
from . import event_loop
from .clients import Clients, naming_network_problems, sdk_settings
from .connection import BrokenExchange, ConnectionPool, NoConnection

__all__ = ["RawReply", "RequestSender", "open_sender", "status_error"]

_PATH = "/chat/completions"
# The length and the framing are those of the body that is sent, whatever a setting says.
_FRAMING = ("content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer")
_ILLEGAL = re.compile(r"[\r\n\0]")


@dataclass(slots=True)
class RawReply:
    """The response to a request, whatever its status.

    Attributes:
        status: of HTTP; a redirect is not followed.
        headers: by their names in lower case.
        content: the body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class RequestSender(Protocol):
    """Send requests for chat completions, on the loop that it was opened on."""

    async def post(self, body: bytes, *, timeout_s: float | None, retries: int = 0) -> RawReply:
        """Send one request; cancelling this closes its connection.

        Args:
            body: the JSON.
            timeout_s: how long the gateway may be silent, and a connection take; None as the client's settings say.
            retries: how often this body was sent before, which the gateway is told.

        Raises:
            openai.APITimeoutError: nothing came for so long.
            openai.APIConnectionError: there was no connection, or it broke before the reply was whole.
        """

    async def close(self) -> None:
        """Close all connections."""


def open_sender(
    clients: Clients, config: Config, *, connections: int, headers: Mapping[str, str] | None = None
) -> RequestSender:
    """Return a sender for the mode's transport; to be called on the loop that will use it.

    Args:
        clients: make the HTTP client.
        config: the settings.
        connections: how many requests may be on their way at once.
        headers: of each request, beside those of the settings, and before them.

    Raises:
        ConfigError: a setting of the network is wrong, or a header holds a line break.
    """
    for name, value in {**config.headers, **(headers or {})}.items():
        if _ILLEGAL.search(name + value):
            raise ConfigError("A header (headers=…) holds a line break or a null character: leave that out.")
    options: dict[str, Any] = {
        "limits": httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    }
    if config.mode == "live":
        with naming_network_problems():
            options["verify"] = httpx2.create_ssl_context()
    http = clients.open_http(**options)
    prepared = _PreparedRequest(http, config, headers)
    # Other transports, and proxies, are httpx2's business.
    is_direct = type(http._transport) is httpx2.AsyncHTTPTransport and (
        http._transport_for_url(prepared.url) is http._transport
    )
    sender: RequestSender
    if config.mode == "live" and is_direct:
        sender = _LeanSender(prepared, connections, options["verify"])
    else:
        sender = _HttpxSender(prepared, http)
    event_loop.close_at_exit(sender)
    return sender


def status_error(clients: Clients, body: bytes, reply: RawReply) -> openai.APIStatusError:
    """Return the SDK's error for a reply whose status is not 2xx.

    Args:
        clients: of the sender.
        body: of the request, which is not kept: it holds the prompt.
        reply: what came.
    """
    client = clients.private()
    # Without the headers of the request: they hold the key.
    request = httpx2.Request("POST", f"{str(client.base_url).rstrip('/')}{_PATH}")
    headers = [item for item in reply.headers.items() if item[0] not in ("content-encoding", "content-length")]
    response = httpx2.Response(reply.status, headers=headers, content=reply.content, request=request)
    return client._make_status_error_from_response(response)


class _PreparedRequest:
    """The URL and the headers of the SDK's request for a chat completion, made once.

    Args:
        http: decides which encodings are asked for.
        config: the settings.
        headers: beside those of the settings, and before them.
    """

    def __init__(self, http: httpx2.AsyncClient, config: Config, headers: Mapping[str, str] | None) -> None:
        self._client = openai.AsyncOpenAI(http_client=http, **sdk_settings(config))
        self._given = dict(headers or {})
        self._by_settings: dict[tuple[float | None, int], list[tuple[bytes, bytes]]] = {}
        self._timeouts: dict[float | None, httpx2.Timeout] = {None: httpx2.Timeout(self._client.timeout)}
        self.url = self._build(None, 0).url

    def headers(self, timeout_s: float | None, retries: int) -> list[tuple[bytes, bytes]]:
        """Return the headers but for those of the body's length."""
        known = self._by_settings.get((timeout_s, retries))
        if known is None:
            raw = self._build(timeout_s, retries).headers.raw
            known = [(name, value) for name, value in raw if name.decode("latin-1").lower() not in _FRAMING]
            self._by_settings[timeout_s, retries] = known
        return known

    def timeout(self, timeout_s: float | None) -> httpx2.Timeout:
        """Return the limits of each step."""
        known = self._timeouts.get(timeout_s)
        if known is None:
            known = self._timeouts[timeout_s] = httpx2.Timeout(timeout_s)
        return known

    def _build(self, timeout_s: float | None, retries: int) -> httpx2.Request:
        options = FinalRequestOptions.construct(method="post", url=_PATH, headers=self._given, json_data={})
        if timeout_s is not None:
            options.timeout = timeout_s
        return self._client._build_request(options, retries_taken=retries)

    def connection_error(self, text: str) -> openai.APIConnectionError:
        """Return the SDK's error, whose request has no headers: they hold the key."""
        return openai.APIConnectionError(message=text, request=httpx2.Request("POST", self.url))

    def timeout_error(self) -> openai.APITimeoutError:
        """Return the SDK's error for a silence, likewise."""
        return openai.APITimeoutError(request=httpx2.Request("POST", self.url))


class _HttpxSender:
    """Send through a transport of httpx2's, without what its client and the SDK add."""

    def __init__(self, prepared: _PreparedRequest, http: httpx2.AsyncClient) -> None:
        self._prepared = prepared
        self._http = http
        self._transport = http._transport_for_url(prepared.url)
        self._is_closed = False

    async def post(self, body: bytes, *, timeout_s: float | None, retries: int = 0) -> RawReply:
        prepared = self._prepared
        if self._is_closed:
            raise prepared.connection_error("Connection error: the sender was closed.")
        timeout = prepared.timeout(timeout_s)
        request = httpx2.Request(
            "POST",
            prepared.url,
            headers=prepared.headers(timeout_s, retries),
            content=body,
            extensions={"timeout": timeout.as_dict()},
        )
        try:
            response = await self._transport.handle_async_request(request)
            try:
                content = await _read_body(response, timeout.read)
            except BaseException:  # httpx2 2.16 closes it by itself
                await response.aclose()
                raise
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise prepared.timeout_error() from error
        except httpx2.RequestError as error:
            raise prepared.connection_error("Connection error.") from error
        return RawReply(response.status_code, response.headers, content)

    async def close(self) -> None:
        self._is_closed = True
        await self._http.aclose()


async def _read_body(response: httpx2.Response, silence_s: float | None) -> bytes:
    """Return the body, decompressed.

    Raises:
        TimeoutError: for so long nothing but blanks came, by which a gateway only keeps the connection open.
    """
    pieces = []
    async with clock.timeout(silence_s) as limit:
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            if silence_s is not None and piece.strip() and not limit.expired():
                limit.extend(silence_s)
    return b"".join(pieces)


class _LeanSender:
    """Send over connections of our own, by the same rules on TLS, where nothing stands in between."""

    def __init__(self, prepared: _PreparedRequest, connections: int, context: ssl.SSLContext) -> None:
        url = prepared.url
        is_https = url.scheme == "https"
        if is_https:
            context.set_alpn_protocols(["http/1.1"])
        self._prepared = prepared
        self._pool = ConnectionPool(
            host=url.raw_host.decode("ascii"),
            port=url.port or (443 if is_https else 80),
            target=url.raw_path,
            context=context if is_https else None,
            connections=connections,
        )
        self._headers: dict[tuple[float | None, int], list[tuple[bytes, bytes]]] = {}

    async def post(self, body: bytes, *, timeout_s: float | None, retries: int = 0) -> RawReply:
        prepared = self._prepared
        headers = self._headers.get((timeout_s, retries))
        if headers is None:
            headers = [each for each in prepared.headers(timeout_s, retries) if each[0].lower() != b"accept-encoding"]
            headers.append((b"Accept-Encoding", b"gzip, deflate"))  # what `connection.py` can decompress
            self._headers[timeout_s, retries] = headers
        timeout = prepared.timeout(timeout_s)
        try:
            return RawReply(*await self._pool.post(headers, body, connect_s=timeout.connect, silence_s=timeout.read))
        except TimeoutError as error:
            raise prepared.timeout_error() from error
        except (NoConnection, BrokenExchange) as error:
            raise prepared.connection_error(f"Connection error: {error}.") from error

    async def close(self) -> None:
        await self._pool.close()
