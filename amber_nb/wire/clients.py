"""The SDK's clients for one `Config`, and the transport that answers from the simulator.

They are configured by the `Config` alone, never by `OPENAI_*` variables.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import AsyncIterator, Iterator
from types import MethodType
from typing import Any, Protocol

import httpx2
import openai

from .. import clock, simulator
from ..config import Config, network_problem
from ..errors import ConfigError, annotate
from ..tracebacks import short_traceback
from . import event_loop
from .usage import UsageLog

__all__ = ["Clients", "SimulatorTransport", "Transports", "naming_network_problems", "sdk_settings"]

_PARENTS_CLIENTS: list[Any] = []
_NO_TIMEOUT_S = 86_400.0  # stands for a silence without end where no timeout is set


class _HttpClient(openai.DefaultHttpxClient):
    """The SDK's own HTTP client, closed when neither `.openai` nor a copy of it refers to it any more."""

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be half gone
            self.close()


class Transports(Protocol):
    """Wrap transports, to record what passes or to play it back."""

    offline: bool  # whether nothing may be sent: then there is no transport to wrap

    def wrap(self, inner: httpx2.BaseTransport | None) -> httpx2.BaseTransport:
        """Wrap a sync transport."""

    def wrap_async(self, inner: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncBaseTransport:
        """Wrap an async transport."""


class Clients:
    """The real `openai.OpenAI` and `openai.AsyncOpenAI` on the mode's transport, each made on first use.

    Args:
        config: the settings.
        log: gets a row for each of their requests.
        transports: wrap those of the SDK, in the modes that record or replay.
    """

    def __init__(self, config: Config, log: UsageLog, transports: Transports | None = None) -> None:
        self._config = config
        self._log = log
        self._transports = transports
        self._pid = os.getpid()
        self._sync: openai.OpenAI | None = None
        self._private: openai.AsyncOpenAI | None = None
        self._without_loop: openai.AsyncOpenAI | None = None
        self._by_loop = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, openai.AsyncOpenAI]()

    def sync(self) -> openai.OpenAI:
        """Return the sync client."""
        self._after_fork()
        if self._sync is None or self._sync.is_closed():
            self._sync = openai.OpenAI(http_client=self._http(is_async=False), **sdk_settings(self._config))
            _shorten_tracebacks(self._sync, self._config)
        return self._sync

    def for_running_loop(self) -> openai.AsyncOpenAI:
        """Return the async client of the running loop: a pool's connections must not be used from another loop."""
        self._after_fork()
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            self._without_loop = self._without_loop or self._new_async()
            return self._without_loop
        return self._by_loop.setdefault(running, self._by_loop.get(running) or self._new_async())

    def private(self) -> openai.AsyncOpenAI:
        """Return the async client of the private loop; to be called on that loop only."""
        self._after_fork()
        if self._private is None:
            self._private = self._new_async().with_options(max_retries=0)  # `ask` tries again by itself
            # Instrumentations wrap this method of the class, and cannot read a reply that is opened this way: each
            # would end in a warning, or in an error. `ask` has spans of its own.
            completions = self._private.chat.completions
            completions.create = _unwrap(completions.create)  # type: ignore[method-assign]
            event_loop.close_at_exit(self._private)
        return self._private

    def open_http(self, **options: Any) -> httpx2.AsyncClient:
        """Return an async HTTP client on the mode's transport, whose requests are not logged; the caller closes it.

        Args:
            options: of `httpx2.AsyncClient`, for its own transports: `limits`, `verify`.
        """
        http: httpx2.AsyncClient = self._http(is_async=True, is_logged=False, **options)
        return http

    def close(self) -> None:
        """Close the idle connections of `ask`; the next `ask` opens new ones.

        The clients that `sync` and `for_running_loop` returned stay open: the sync client closes when it is no longer
        used, the async clients belong to the caller's loops.
        """
        private, self._private = self._private, None
        if private is not None:
            event_loop.submit(private.close())

    def _after_fork(self) -> None:
        # A forked child shares its parent's sockets: it leaves them unclosed, and opens its own.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            _PARENTS_CLIENTS.append((self._sync, self._private, self._without_loop))
            self._sync = self._private = self._without_loop = None

    def _new_async(self) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(http_client=self._http(is_async=True), **sdk_settings(self._config))
        _shorten_tracebacks(client, self._config)
        return client

    def _http(self, *, is_async: bool, is_logged: bool = True, **options: Any) -> Any:
        """Return an HTTP client on the mode's transport."""
        config, transports = self._config, self._transports
        plain: Any = httpx2.AsyncClient if is_async else httpx2.Client
        hooks = {} if not is_logged else self._log.async_hooks() if is_async else self._log.hooks()
        if config.mode == "simulate":
            simulated = SimulatorTransport(chunks_per_s=config.sim_chunks_per_s, drift=config.sim_drift)
            return plain(transport=simulated, event_hooks=hooks)
        wrap: Any = transports and (transports.wrap_async if is_async else transports.wrap)
        if transports is not None and transports.offline:
            return plain(transport=wrap(None), event_hooks=hooks, trust_env=False)
        # Redirects are refused: a POST would become a GET, and the key would travel on.
        default: Any = openai.DefaultAsyncHttpxClient if is_async else _HttpClient
        with naming_network_problems():
            http = default(event_hooks=hooks, follow_redirects=False, **options)
        if transports is not None:  # its own transports stay, with the environment's proxies and certificates
            http._transport = wrap(http._transport)
            http._mounts = {url: inner and wrap(inner) for url, inner in http._mounts.items()}
        return http


@contextlib.contextmanager
def naming_network_problems() -> Iterator[None]:
    """Raise a ConfigError where a client cannot be made since a variable of the network's settings is wrong."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        if (problem := network_problem(error)) is None:
            raise
        raise ConfigError(problem) from error


def _shorten_tracebacks(client: Any, config: Config) -> None:
    """Have a client raise its errors with a remedy and without the frames of the SDK's inside.

    The method is replaced on the object, since the client is to stay of the SDK's own class; it refers to the client
    weakly, since a circle would keep the connections of a client that is no longer used. Copies have the SDK's own.
    """
    owner, request = weakref.ref(client), type(client).request

    @contextlib.contextmanager
    def annotated() -> Iterator[None]:
        try:
            yield
        except openai.OpenAIError as error:
            annotate(error, base_url=config.base_url, key=config.api_key.reveal())
            raise

    @short_traceback
    def send(*args: Any, **kwargs: Any) -> Any:
        with annotated():
            return request(owner(), *args, **kwargs)

    async def send_async(*args: Any, **kwargs: Any) -> Any:
        with short_traceback, annotated():
            return await request(owner(), *args, **kwargs)

    client.request = send_async if isinstance(client, openai.AsyncOpenAI) else send


def _unwrap(method: Any) -> Any:
    """Return a method without the objects that were wrapped around it."""
    while type(method) is not MethodType and hasattr(method, "__wrapped__"):  # isinstance would believe a proxy
        method = method.__wrapped__
    return method


def sdk_settings(config: Config) -> dict[str, Any]:
    """Return the arguments of the SDK's clients, which leave nothing for `OPENAI_*` variables to fill in."""
    key = config.api_key.reveal()
    # The SDK fills what it is not given from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS. An explicit
    # header wins over those, also in copies made by `with_options`, and `omit` leaves it out.
    shield: dict[str, Any] = {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}
    for name in config.ambient_headers:
        shield[name] = f"Bearer {key}" if name.lower() == "authorization" else openai.omit
    return {
        "base_url": config.base_url,
        "api_key": key,
        "admin_api_key": "",
        "webhook_secret": "",
        "max_retries": config.max_retries,
        "default_headers": shield | dict(config.headers),
        "timeout": openai.not_given if config.timeout_s is None else config.timeout_s,
    }


class SimulatorTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answer every request from the simulator, in the caller's own thread or task.

    Args:
        chunks_per_s: pace of a streamed reply in chunks a second, 0 for no waiting.
        drift: above 0, the simulator answers as another version of its model would.
    """

    def __init__(self, *, chunks_per_s: float, drift: int = 0) -> None:
        self._chunks_per_s = chunks_per_s
        self._drift = drift

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        reply = self._reply(request, request.read())
        if reply.wait_s:
            _sleep(reply.wait_s, request)
        return self._response(request, reply)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        reply = self._reply(request, await request.aread())
        if reply.wait_s:
            await _sleep_async(reply.wait_s, request)
        return self._response(request, reply)

    def _reply(self, request: httpx2.Request, body: bytes) -> simulator.Response:
        path = request.url.raw_path.decode("ascii").partition("?")[0]
        path = simulator.relative_path(path, (simulator.BASE_PATH, ""))
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = simulator.Request(method=request.method, path=path, headers=headers, body=body)
        return simulator.respond(call, drift=self._drift)

    def _response(self, request: httpx2.Request, reply: simulator.Response) -> httpx2.Response:
        # Always a stream that is read later, as on a network: else `elapsed`, `iter_raw` and `is_closed` differ.
        headers = dict(reply.headers)
        if reply.events is None and not reply.cut:
            headers["content-length"] = str(len(reply.body))
            stream: Any = httpx2.ByteStream(reply.body)
        else:
            headers["transfer-encoding"] = "chunked"
            stream = _SimulatedBody(reply, self._chunks_per_s, request)
        return httpx2.Response(reply.status, headers=headers, request=request, stream=stream)


class _SimulatedBody(httpx2.SyncByteStream, httpx2.AsyncByteStream):
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
        self._raise_cut()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for delay_s, event in self._steps:
            await _sleep_async(delay_s, self._request)
            if event:
                yield event
        self._raise_cut()

    def _raise_cut(self) -> None:
        if self._cut == "reset":
            raise httpx2.ReadError("Connection reset by peer", request=self._request)
        if self._cut:
            text = "peer closed connection without sending complete message body"
            raise httpx2.RemoteProtocolError(text, request=self._request)


def _sleep(seconds: float, request: httpx2.Request) -> None:
    with _within_timeout(seconds, request) as permitted_s:
        clock.sleep(permitted_s)


async def _sleep_async(seconds: float, request: httpx2.Request) -> None:
    if not seconds:
        return await clock.sleep_async(0)
    with _within_timeout(seconds, request) as permitted_s:
        await clock.sleep_async(permitted_s)


@contextlib.contextmanager
def _within_timeout(seconds: float, request: httpx2.Request) -> Iterator[float]:
    """Yield how much of the wait the request's timeout permits, and raise that timeout if it is less than all."""
    read_s = (request.extensions.get("timeout") or {}).get("read")
    limit = _NO_TIMEOUT_S if read_s is None else float(read_s)
    yield min(seconds, limit)
    if seconds > limit:
        raise httpx2.ReadTimeout("The read operation timed out", request=request)
