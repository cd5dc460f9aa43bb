"""The connection to one MCP server: opened on first use, kept, and opened anew once it broke."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import httpx2
from mcp import Client, MCPError

from ..errors import ProtocolError, ToolError
from ..redact import scrub
from .calls import Listener
from .failures import asks_by_result, closed_error, is_answer, is_closed, ran_nothing, refuses_handshake
from .link import ANY_PROTOCOL, HANDSHAKE_ONLY, Link, join_all
from .stderr import StderrTail
from .target import Target

__all__ = ["Connection"]

T = TypeVar("T")


class Connection:
    """The connection to a server, for all threads and event loops of this process.

    The protocols with a handshake come first: a tool that asks the reader while it runs, as most that ask do, can do so
    only there, also where its server speaks the protocol of 2026 as well. That one is for servers which refuse the
    handshake, or have tools that ask by their results.

    Args:
        target: where the server is.
        open_http: makes the HTTP client of a server with a URL; called on the connection's own loop.
        timeout_s: seconds of silence after which a request has failed.

    Attributes:
        opened: how often it was opened.
    """

    def __init__(self, target: Target, open_http: Callable[[], httpx2.AsyncClient], timeout_s: float = 0.0) -> None:
        self._target = target
        self._open_http = open_http
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._link: Link | None = None
        self._links: dict[Link, int] = {}  # also those that end, each with the calls that run on it
        self._stderr: StderrTail | None = None  # of the newest link
        self._protocols = HANDSHAKE_ONLY
        self.opened = 0

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
            link = self._take_link()
            try:
                ready = asyncio.wrap_future(link.ready)
                ready.add_done_callback(_read_exception)  # where nobody waits any more, asyncio would print it
                client = await asyncio.shield(ready)
                return await _await_work(link.submit(work, client, listener))
            except (MCPError, OSError, httpx2.HTTPError, RuntimeError, ValueError, ExceptionGroup) as error:
                # ValueError: pydantic's, where an answer is not of the protocol's form.
                is_broken = not link.is_open or is_closed(error)
                if is_broken or not link.is_ready:
                    self._forget(link)
                    link.stop()
                if self._choose_protocols(link, error):
                    continue
                if tries and link.is_ready and is_broken and (repeat or ran_nothing(error)):
                    tries -= 1
                    continue
                message = await link.describe(error)
                kind = ProtocolError if link.is_ready and is_answer(error) else ToolError
                raise kind(
                    f"The MCP server {self._target.name!r} {message}", name=what or self._target.name, arguments={}
                ) from None
            finally:
                self._release_link(link)

    @property
    def stderr(self) -> str:
        """What the newest process has written to its standard error, its end; also after the process ended."""
        return scrub(self._stderr.text, self._target.secrets) if self._stderr is not None else ""

    @property
    def tools_version(self) -> tuple[int, int] | None:
        """What changes when the server says that its tools changed, and with each connection; None without one."""
        link = self._link
        return (self.opened, link.changes) if link is not None and link.is_open else None

    def close(self, *, wait: bool = False) -> None:
        """Begin to close the connection; the next call opens it again.

        Args:
            wait: block until the server's process has ended, for a few seconds at most.
        """
        with self._lock:
            self._link = None
            links = [link for link in self._links if not link.is_over]
        for link in links:
            link.stop()
        if wait:
            join_all(links)

    def _take_link(self) -> Link:
        """Return the link for a call, which is to release it."""
        with self._lock:
            if self._pid != os.getpid():  # a forked child has neither the thread nor a right to the sockets
                self._pid, self._link = os.getpid(), None
                self._links.clear()
            if self._link is None or not self._link.is_open:
                if self._link is not None:
                    self._link.stop()  # its server ended: the thread and the pipes are still there
                for link in [link for link, n_calls in self._links.items() if not n_calls and link.is_over]:
                    del self._links[link]
                self._link = Link(self._target, self._open_http, self._protocols, self._timeout_s)
                self._stderr = self._link.stderr
                self.opened += 1
            self._links[self._link] = self._links.get(self._link, 0) + 1
            return self._link

    def _release_link(self, link: Link) -> None:
        """Note the end of a call; a link that is kept for no other one is stopped with its last."""
        with self._lock:
            n_calls = self._links.get(link, 0) - 1
            if link in self._links:
                self._links[link] = n_calls
            is_last = link is not self._link and n_calls <= 0
        if is_last:
            link.stop()

    def _choose_protocols(self, link: Link, error: BaseException) -> bool:
        """Choose the protocols for the next connection; return whether the handshake is to be left out at once."""
        if link.protocols == ANY_PROTOCOL:
            if not link.is_ready:  # the address may have been wrong, and not the protocol
                self._protocols = HANDSHAKE_ONLY
            return False
        if not link.is_ready:
            if refuses_handshake(error):
                self._protocols = ANY_PROTOCOL
                return True
        elif asks_by_result(error):
            # The call has run once, and runs no second time unasked. Others may run on this link: they end first.
            self._protocols = ANY_PROTOCOL
            self._forget(link)
        return False

    def _forget(self, link: Link) -> None:
        with self._lock:
            if self._link is link:
                self._link = None


async def _await_work(future: Future[T]) -> T:
    """Return what was done on the loop of a link; where that loop has ended meanwhile, nobody here was cancelled."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise closed_error() from None
    except (KeyboardInterrupt, SystemExit):  # raised on that loop, by code of a server in this process
        raise closed_error() from None


def _read_exception(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


async def _return_nothing(_: Client) -> None:
    return None
