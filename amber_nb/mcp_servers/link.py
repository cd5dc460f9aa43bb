"""One opened session with an MCP server, by the official SDK, until it breaks or is closed.

Each has an event loop and a thread of its own: what a server sends is read there, so that one which sends endless or
broken data holds up no answer and no other server.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import mcp_types
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from .. import clock
from ..redact import scrub
from ..wire import event_loop
from .calls import Listener
from .elicitation import Elicitor
from .failures import asks_by_result, cause, closed_error, describe_failure, forget_tracebacks
from .http import READ_S, UNREACHABLE
from .stderr import StderrTail
from .target import Target
from .wire_filter import Filter

__all__ = ["ANY_PROTOCOL", "HANDSHAKE_ONLY", "Link", "join_all"]

T = TypeVar("T")
CONNECT_S = 30.0  # to start a server and shake hands; npx may have to fetch it
_CLOSE_S = 6.0  # the SDK gives a process 2 s to end, then 2 s after SIGTERM
_LAST_WORDS_S = 0.5  # what a process that has ended wrote last may still be on its way
_MAX_LINES = 12  # of the standard error, in an error
HANDSHAKE_ONLY, ANY_PROTOCOL = "legacy", "auto"  # the SDK's names

# The SDK logs what a server sent where that cannot be read; nothing of it is to reach a notebook's stderr unasked.
logging.getLogger("mcp").addHandler(logging.NullHandler())

_links: weakref.WeakSet[Link] = weakref.WeakSet()
_links_lock = threading.Lock()  # any thread opens sessions


class Link:
    """One opened session with a server, until it breaks or is closed.

    Args:
        target: where the server is.
        open_http: makes the HTTP client of a server with a URL; called on the loop of this link.
        protocols: those that may be spoken, by the SDK's name for them.
        timeout_s: seconds of silence after which a request has failed.

    Attributes:
        protocols: as above.
        ready: the client, once the handshake is over.
        is_open: whether it can still answer.
        changes: how often the server has said that its tools changed.
        stderr: the end of what the server's process has written to its standard error.
    """

    def __init__(
        self, target: Target, open_http: Callable[[], httpx2.AsyncClient], protocols: str, timeout_s: float
    ) -> None:
        self.protocols = protocols
        self.ready: Future[Client] = Future()
        self.is_open = True
        self.changes = 0
        self.stderr = StderrTail()
        self._pid = os.getpid()
        self._target = target
        self._open_http = open_http
        self._connect_s = max(CONNECT_S, timeout_s)
        self._elicitor = Elicitor()
        self._filter = Filter(self._close_from_server)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._is_stopped = False  # by ourselves
        self._is_stopped_early = False  # before its handshake was over
        self._ending: BaseException | None = None  # what has ended the session after its handshake
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"amber-mcp-{target.name}", daemon=True)
        with _links_lock:
            _links.add(self)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether the handshake succeeded."""
        return self.ready.done() and self.ready.exception() is None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of it: neither its process nor its thread."""
        return self._pid != os.getpid() or not self._thread.is_alive()

    def submit(self, work: Callable[[Client], Awaitable[T]], client: Client, listener: Listener | None) -> Future[T]:
        """Run a function of the client on the loop of this link."""
        coroutine = self._listen(work, client, listener)
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the loop has ended
            coroutine.close()
            self.is_open = False
            raise

    async def _listen(self, work: Callable[[Client], Awaitable[T]], client: Client, listener: Listener | None) -> T:
        with self._elicitor.listen(listener):
            return await work(client)

    def stop(self) -> None:
        """Begin to end the session, its process and its thread; from any thread."""
        self.is_open = False
        if self._pid != os.getpid():  # in a forked child, whose parent goes on with it
            return
        self._is_stopped = True
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stop)

    def join(self, seconds: float) -> None:
        """Wait for the end of a session that was stopped."""
        self._thread.join(seconds)

    def _stop(self) -> None:
        self._stopping.set()
        if not self.ready.done() and self._task is not None:
            self._task.cancel()

    def _close_from_server(self) -> None:
        """Note the end of the server; nobody may ever call it again, so the session ends by itself."""
        self.is_open = False
        self._loop.call_later(_LAST_WORDS_S, self._stopping.set)

    def _run(self) -> None:
        event_loop.forbid_blocking()
        # What a tool of a server in this process raises ends this thread, and no other.
        with (
            contextlib.suppress(KeyboardInterrupt, SystemExit),
            asyncio.Runner(loop_factory=lambda: self._loop) as loop,
        ):
            loop.run(self._serve())

    async def _serve(self) -> None:
        self._task = asyncio.current_task()
        try:
            if self._stopping.is_set():  # it was stopped before this ran
                raise closed_error()
            async with contextlib.AsyncExitStack() as stack:
                async with clock.timeout(self._connect_s):
                    client = await self._connect(stack)
                self.ready.set_result(client)
                await self._stopping.wait()
        except BaseException as error:  # of the handshake; or of a transport that failed as a whole
            self.is_open = False
            first = forget_tracebacks(cause(forget_tracebacks(error)))
            if self.ready.done():
                self._ending = None if self._is_stopped else first
            else:  # whoever waits is not cancelled or interrupted with it
                self._is_stopped_early = self._is_stopped
                self.ready.set_exception(first if isinstance(first, Exception) else closed_error())
        finally:
            self.is_open = False

    async def _connect(self, stack: contextlib.AsyncExitStack) -> Client:
        target = self._target
        if target.server is not None:
            return await stack.enter_async_context(self._client(target.server))
        if target.url is None:
            return await self._start_process(stack)
        http = await stack.enter_async_context(self._open_http())  # closed by the stack, after the transport
        kinds = [target.transport] if target.transport else ["http", "sse"]
        failure: BaseException | None = None
        for kind in kinds:
            transport = (
                sse_client(
                    target.url,
                    sse_read_timeout=READ_S,
                    httpx_client_factory=self._open_other_http,
                )
                if kind == "sse"
                else streamable_http_client(target.url, http_client=http)
            )
            try:
                return await _enter(stack, self._client(self._filter.around(transport)))
            except (MCPError, httpx2.HTTPError, ExceptionGroup) as error:
                failure = failure or cause(error)  # what the newer transport says
                if isinstance(failure, MCPError) and failure.code == UNREACHABLE:
                    break  # nobody is there
        assert failure is not None
        raise failure

    def _open_other_http(
        self, headers: Any = None, timeout: httpx2.Timeout | None = None, auth: Any = None
    ) -> httpx2.AsyncClient:
        """Return a client that the SDK's older transport opens and closes by itself."""
        http = self._open_http()
        if timeout is not None:
            http.timeout = timeout
        return http

    async def _start_process(self, stack: contextlib.AsyncExitStack) -> Client:
        stack.callback(self.stderr.close)
        with self.stderr.open() as errlog:
            transport = stdio_client(_process_parameters(self._target), errlog)
            return await _enter(stack, self._client(self._filter.around(transport)))

    def _client(self, server: Any) -> Client:
        info = mcp_types.Implementation(name="amber_nb", version="1")
        return Client(
            server,
            client_info=info,
            mode=self.protocols,
            elicitation_callback=self._elicitor.elicit,
            message_handler=self._on_notification,
            cache=None,
        )

    async def _on_notification(self, message: Any) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.changes += 1

    async def describe(self, error: BaseException) -> str:
        """Describe a failure: what the server did, what it said, and the end of its standard error."""
        target, is_ready = self._target, self.is_ready
        if self._is_stopped_early:
            return "was closed while it started."
        text = describe_failure(
            error,
            command=target.command[0] if target.command else None,
            is_folder_missing=bool(target.folder) and not Path(target.folder or "").is_dir(),
            is_ready=is_ready,
            sends_rubbish=self._filter.has_given_up or (self._filter.rubbish > 0 and not is_ready),
            connect_s=self._connect_s,
            ending=self._ending,
        )
        if self.protocols == HANDSHAKE_ONLY and is_ready and asks_by_result(error):
            text = f"{text.rstrip('.')}. Call it again: the newest protocol is used from now on."
        if target.command and not self.is_open:
            with contextlib.suppress(TimeoutError):
                async with clock.timeout(_LAST_WORDS_S):
                    await asyncio.shield(asyncio.wrap_future(self.stderr.ended))
            words = "\n".join(self.stderr.text.strip().splitlines()[-_MAX_LINES:])
            text += f" Its standard error ends in:\n{words}" if words else ""
        return str(scrub(text, target.secrets))


def _process_parameters(target: Target) -> StdioServerParameters:
    """Return what the SDK starts; nobody keeps it, since it holds the environment in clear."""
    return StdioServerParameters(
        command=target.command[0], args=list(target.command[1:]), env=dict(target.env), cwd=target.folder
    )


async def _enter(stack: contextlib.AsyncExitStack, client: Client) -> Client:
    """Enter a client; what it has opened is closed at once where it fails."""
    async with contextlib.AsyncExitStack() as own:
        entered = await own.enter_async_context(client)
        stack.push_async_exit(own.pop_all())
        return entered


def join_all(links: list[Link]) -> None:
    """Wait for the end of sessions that were stopped, for a few seconds at most."""
    deadline = clock.monotonic() + _CLOSE_S
    for link in links:
        link.join(max(0.0, deadline - clock.monotonic()))


@atexit.register
def _close_all() -> None:
    """End all sessions at the end of the process: no process of a server is left behind."""
    with _links_lock:
        links = list(_links)
    for link in links:
        link.stop()
    join_all(links)
