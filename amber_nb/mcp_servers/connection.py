"""The connection to one MCP server, by the official SDK: opened on first use, kept, and opened anew once it broke.

Each has an event loop and a thread of its own: what a server sends is read there, so that one which sends endless or
broken data holds up no answer and no other server.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import PurePath
from typing import Any, TypeVar

import httpx2
import mcp_types
from mcp import Client, InputRequiredRoundsExceededError, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from .. import clock
from ..display.escape import show_controls
from ..errors import ProtocolError, ToolError
from ..redact import scrub
from .calls import Listener
from .http import UNREACHABLE, UNUSABLE
from .stderr import StderrTail
from .target import Target
from .wire_filter import SAMPLING_IN_SDK, SAMPLING_REFUSED, Filter

__all__ = ["Connection"]

T = TypeVar("T")
CONNECT_S = 30.0  # to start a server and shake hands; npx may have to fetch it
_CLOSE_S = 6.0  # the SDK gives a process 2 s to end, then 2 s after SIGTERM
_LAST_WORDS_S = 0.5  # what a process that has ended wrote last may still be on its way
_MAX_MESSAGE = 500
_MAX_LINES = 12  # of the standard error, in an error
_CLOSED = "Connection closed"  # the SDK's words for a session that has ended
_REPEATABLE = ("Session terminated",)  # the SDK's words where a server has forgotten a session, and run nothing
# The protocols with a handshake first: a tool that asks the reader while it runs, as most that ask do, can do so only
# there, also where its server speaks the protocol of 2026 as well. That one is for servers which refuse the handshake,
# or have tools that ask by their results.
_HANDSHAKE, _ANY = "legacy", "auto"  # the SDK's names
_NO_HANDSHAKE = (
    mcp_types.UNSUPPORTED_PROTOCOL_VERSION,
    mcp_types.METHOD_NOT_FOUND,
    mcp_types.INVALID_REQUEST,
    mcp_types.INVALID_PARAMS,
)
_ASKS_BY_RESULT = "InputRequiredResult"  # FastMCP's error names it; such a tool begins anew with each answer
_ASKS_PERHAPS = "Handler returned an invalid result"  # the SDK's words for the same, and for other faults

# The SDK logs what a server sent where that cannot be read; nothing of it is to reach a notebook's stderr unasked.
logging.getLogger("mcp").addHandler(logging.NullHandler())

_links: weakref.WeakSet[_Link] = weakref.WeakSet()
_LISTENER: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("amber_mcp_listener", default=None)


class Connection:
    """The connection to a server, for all threads and event loops of this process.

    Args:
        target: where the server is.
        open_http: makes the HTTP client of a server with a URL; called on the connection's own loop.
    """

    def __init__(self, target: Target, open_http: Callable[[], httpx2.AsyncClient]) -> None:
        self._target = target
        self._open_http = open_http
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._link: _Link | None = None
        self._protocols = _HANDSHAKE
        self.opened = 0  # how often

    async def open(self) -> None:
        """Open the connection, where it is not open; raise a ToolError where that fails."""
        await self.run(_return_nothing, repeat=True)

    async def run(
        self,
        work: Callable[[Client], Awaitable[T]],
        *,
        repeat: bool = False,
        listener: Listener | None = None,
        what: str = "",
    ) -> T:
        """Run a function of the SDK's client; cancelling it tells the server.

        Args:
            work: makes the coroutine, which runs on the connection's loop.
            repeat: whether it may run again, on a new connection, where the first broke meanwhile.
            listener: hears of progress, and asks the reader.
            what: the tool that is called, for errors.

        Raises:
            ProtocolError: the server answered with an error.
            ToolError: it cannot be reached, or its answer cannot be read.
        """
        tries = 1  # left after this one
        while True:
            link = self._current_link()
            try:
                ready = asyncio.wrap_future(link.ready)
                ready.add_done_callback(_read_exception)  # where nobody waits any more, asyncio would print it
                client = await asyncio.shield(ready)
                return await _await_work(link.submit(work, client, listener))
            except (MCPError, OSError, httpx2.HTTPError, RuntimeError, ValueError, ExceptionGroup) as error:
                # ValueError: pydantic's, where an answer is not of the protocol's form.
                is_broken = not link.is_open or _is_closed(error)
                if is_broken or not link.is_ready:
                    self._drop(link)
                if self._take_other_protocols(link, error):
                    continue
                if tries and link.is_ready and is_broken and (repeat or _ran_nothing(error)):
                    tries -= 1
                    continue
                message = await link.describe(error)
                kind = ProtocolError if link.is_ready and _is_answer(error) else ToolError
                raise kind(
                    f"The MCP server {self._target.name!r} {message}", name=what or self._target.name, arguments={}
                ) from None

    @property
    def stderr(self) -> str:
        """What the newest process has written to its standard error, its end."""
        return scrub(self._link.stderr.text, self._target.secrets) if self._link is not None else ""

    def take_change(self) -> bool:
        """Return whether the server has said that its tools changed, and forget it; True on another connection, too."""
        link = self._link
        if link is None or not link.is_open:
            return True
        changed, link.tools_changed = link.tools_changed, False
        return changed

    def close(self) -> None:
        """Begin to close the connection; the next call opens it again."""
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.stop()

    def _current_link(self) -> _Link:
        with self._lock:
            if self._pid != os.getpid():  # a forked child has neither the thread nor a right to the sockets
                self._pid, self._link = os.getpid(), None
            if self._link is None or not self._link.is_open:
                if self._link is not None:
                    self._link.stop()  # its server ended: the thread and the pipes are still there
                self._link = _Link(self._target, self._open_http, self._protocols)
                self.opened += 1
            return self._link

    def _take_other_protocols(self, link: _Link, error: BaseException) -> bool:
        """Choose the protocols for the next connection; return whether the request is to be sent again there."""
        error = _cause(error)
        if link.protocols == _ANY:
            if not link.is_ready:  # the address may have been wrong, and not the protocol
                self._protocols = _HANDSHAKE
            return False
        if not isinstance(error, MCPError):
            return False
        if not link.is_ready:
            is_other = is_repeatable = error.code in _NO_HANDSHAKE
        else:
            is_repeatable = _ASKS_BY_RESULT in error.message
            is_other = is_repeatable or error.message == _ASKS_PERHAPS
        if is_other:
            self._protocols = _ANY
            self._drop(link)
        return is_repeatable

    def _drop(self, link: _Link) -> None:
        with self._lock:
            if self._link is link:
                self._link = None
        link.stop()


class _Link:
    """One opened session with a server, until it breaks or is closed.

    Attributes:
        protocols: those that may be spoken, by the SDK's name for them.
        ready: the client, once the handshake is over.
        is_open: whether it can still answer.
    """

    def __init__(self, target: Target, open_http: Callable[[], httpx2.AsyncClient], protocols: str) -> None:
        self.protocols = protocols
        self.ready: Future[Client] = Future()
        self.is_open = True
        self.tools_changed = False  # since they were listed last, as the server says
        self.stderr = StderrTail()
        self._pid = os.getpid()
        self._target = target
        self._open_http = open_http
        self._listeners: list[Listener] = []
        self._filter = Filter(self._close_from_server)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"amber-mcp-{target.name}", daemon=True)
        _links.add(self)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether the handshake succeeded."""
        return self.ready.done() and self.ready.exception() is None

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
        _LISTENER.set(listener)
        if listener is not None:
            self._listeners.append(listener)
        try:
            return await work(client)
        finally:
            if listener is not None:
                self._listeners.remove(listener)

    def stop(self) -> None:
        """Begin to end the session, its process and its thread; from any thread."""
        self.is_open = False
        if self._pid != os.getpid():  # in a forked child, whose parent goes on with it
            return
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
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._task = asyncio.current_task()
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with clock.timeout(CONNECT_S):
                    client = await self._connect(stack)
                self.ready.set_result(client)
                await self._stopping.wait()
        except BaseException as error:  # of the handshake; or of a transport that failed as a whole
            self.is_open = False
            if not self.ready.done():
                self.ready.set_exception(_cause(error))
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
                sse_client(target.url, httpx_client_factory=self._open_other_http)
                if kind == "sse"
                else streamable_http_client(target.url, http_client=http)
            )
            try:
                return await _enter(stack, self._client(self._filter.around(transport)))
            except (MCPError, httpx2.HTTPError, ExceptionGroup) as error:
                failure = failure or _cause(error)  # what the newer transport says
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
        target = self._target
        parameters = StdioServerParameters(
            command=target.command[0], args=list(target.command[1:]), env=dict(target.env), cwd=target.folder
        )
        stack.callback(self.stderr.close)
        with self.stderr.open() as errlog:
            return await _enter(stack, self._client(self._filter.around(stdio_client(parameters, errlog))))

    def _client(self, server: Any) -> Client:
        info = mcp_types.Implementation(name="amber_nb", version="1")
        return Client(
            server,
            client_info=info,
            mode=self.protocols,
            elicitation_callback=self._elicit,
            message_handler=self._hear,
            cache=None,
        )

    async def _hear(self, message: Any) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.tools_changed = True

    async def _elicit(self, context: Any, params: Any) -> mcp_types.ElicitResult | mcp_types.ErrorData:
        """Ask the reader what a server asks, on the card of the call that runs; decline where that may be another."""
        listener = _LISTENER.get()
        if listener is None and len(self._listeners) > 1:
            for each in self._listeners:
                each.report("the server asked a question, which was declined: it cannot be told which call it is of")
            return mcp_types.ElicitResult(action="decline")
        listener = listener or (self._listeners[0] if self._listeners else None)
        schema = getattr(params, "requested_schema", None)
        if listener is None or not isinstance(schema, dict):  # an address that is to be opened has no schema
            if listener is not None:
                listener.report("it wanted a page to be opened, which was refused")
            return mcp_types.ElicitResult(action="decline")
        try:
            content: Any = await listener.ask_reader(params.message, schema)
        except TimeoutError:
            return mcp_types.ElicitResult(action="cancel")
        if content is None:
            return mcp_types.ElicitResult(action="decline")
        return mcp_types.ElicitResult(action="accept", content=dict(content))

    async def describe(self, error: BaseException) -> str:
        """Describe a failure: what the server did, what it said, and the end of its standard error."""
        error = _cause(error)
        if self.protocols == _HANDSHAKE and isinstance(error, MCPError) and error.message == _ASKS_PERHAPS:
            return f"answered with an error: {error.message}. Call it again: the newest protocol is used from now on."
        if isinstance(error, FileNotFoundError) and self._target.command:
            text = f"cannot be started: there is no command {PurePath(self._target.command[0]).name!r}."
        elif isinstance(error, OSError) and not isinstance(error, TimeoutError):
            text = f"cannot be started ({error.strerror or type(error).__name__})."
        elif isinstance(error, TimeoutError):
            text = f"did not answer within {CONNECT_S:g} s."
        elif isinstance(error, MCPError) and error.code == mcp_types.METHOD_NOT_FOUND and not self.is_ready:
            text = "is not there: nothing of the protocol answers at this address."
        elif isinstance(error, MCPError) and error.code == UNREACHABLE:
            text = f"{_one_line(error.message)}: is the address right, and does the server run?"
        elif isinstance(error, MCPError) and error.code == UNUSABLE:
            text = f"{_one_line(error.message)}."
        elif isinstance(error, MCPError) and not _is_closed(error):
            message = SAMPLING_REFUSED if error.message == SAMPLING_IN_SDK else error.message
            text = f"answered with an error: {_one_line(message)}"
        elif self._filter.has_given_up or (self._filter.rubbish and not self.is_ready):
            text = "sends what is no message of the protocol."
        elif isinstance(error, InputRequiredRoundsExceededError):
            text = "asked without end in one call."
        elif isinstance(error, ValueError) and not self.is_ready and self._target.command:
            text = f"cannot be started ({type(error).__name__})."
        elif isinstance(error, ValueError):
            text = f"sent an answer that is not of the protocol's form ({type(error).__name__})."
        else:
            text = "ended." if self._target.command else "ended the connection."
        if self._target.command and not self.is_open:
            with contextlib.suppress(TimeoutError):
                async with clock.timeout(_LAST_WORDS_S):
                    await asyncio.shield(asyncio.wrap_future(self.stderr.ended))
        words = "\n".join(self.stderr.text.strip().splitlines()[-_MAX_LINES:])
        text += f" Its standard error ends in:\n{words}" if words and not self.is_open else ""
        return str(scrub(text, self._target.secrets))


async def _await_work(future: Future[T]) -> T:
    """Return what was done on the loop of a link; where that loop has ended meanwhile, nobody here was cancelled."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise MCPError(mcp_types.CONNECTION_CLOSED, _CLOSED) from None


def _read_exception(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


async def _return_nothing(_: Client) -> None:
    return None


async def _enter(stack: contextlib.AsyncExitStack, client: Client) -> Client:
    """Enter a client; what it has opened is closed at once where it fails."""
    async with contextlib.AsyncExitStack() as own:
        entered = await own.enter_async_context(client)
        stack.push_async_exit(own.pop_all())
        return entered


def _cause(error: BaseException) -> BaseException:
    """Return the first error within groups: the SDK's task groups raise them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_answer(error: BaseException) -> bool:
    """Return whether an error is what a server answered, the same each time it is asked the same."""
    error = _cause(error)
    return isinstance(error, MCPError) and error.code not in (UNREACHABLE, UNUSABLE) and not _is_closed(error)


def _is_closed(error: BaseException) -> bool:
    error = _cause(error)
    if isinstance(error, MCPError):
        # By its words, too: many servers answer with the same code.
        is_closed = error.code == mcp_types.CONNECTION_CLOSED and error.message == _CLOSED
        return is_closed or _ran_nothing(error)
    if isinstance(error, InputRequiredRoundsExceededError):
        return False
    return isinstance(error, (RuntimeError, httpx2.TransportError))


def _ran_nothing(error: BaseException) -> bool:
    return isinstance(error, MCPError) and error.message in _REPEATABLE


def _one_line(text: str) -> str:
    line = show_controls(" ".join(text.split()))
    return line if len(line) <= _MAX_MESSAGE else line[: _MAX_MESSAGE - 1] + "…"


@atexit.register
def _close_all() -> None:
    """End all sessions at the end of the process: no process of a server is left behind."""
    links = list(_links)
    for link in links:
        link.stop()
    deadline = clock.monotonic() + _CLOSE_S
    for link in links:
        link.join(max(0.0, deadline - clock.monotonic()))
