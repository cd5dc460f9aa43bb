"""The requests to one MCP server, each within its time; their results as JSON, as recordings keep them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import weakref
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from .. import clock, mcp_servers
from ..config import Config
from ..errors import ConfigError
from ..redact import scrub
from ..wire import event_loop
from .calls import NO_LISTENER, Listener, SilenceError, SilenceLimit, limit_silence
from .listing import MAX_TOOLS, ListedTool
from .target import Target

__all__ = ["ServerRequests"]

T = TypeVar("T")
_MAX_PAGES = 1_000
_MAX_LISTING = 64_000_000  # characters of JSON, of all pages
_LISTING_TIMES = 2  # how often the silence of one request a whole listing may take
_MAX_REDIRECTS = 5  # within the origin of a server; the domain's own is followed nowhere
_NOT_INSTALLED = "MCP servers need the extra: pip install 'amber_nb[mcp]'."


class ServerRequests:
    """Send requests to a server, on one connection that is opened with the first of them.

    The connection is closed when nothing refers to this any more.

    Args:
        target: where the server is.
        timeout_s: seconds of silence after which a request has failed.
        config: the settings of the client whose domain's server this is; None for any other server.

    Attributes:
        opened: the connection, once there is one.
        listed: the tools as they were listed last, by any who share the connection; None before the first time.
    """

    def __init__(self, target: Target, timeout_s: float, config: Config | None) -> None:
        self.opened: list[Any] = []
        self.listed: list[ListedTool] | None = None
        self._target = target
        self._timeout_s = timeout_s
        self._listed_version: tuple[int, int] | None = None  # see `Connection.tools_version`
        self._listing_locks: weakref.WeakKeyDictionary[Any, asyncio.Lock] = weakref.WeakKeyDictionary()
        self._open_http = partial(_open_http, target.headers, config)
        weakref.finalize(self, _close, self.opened).atexit = False  # at exit, all connections are closed together

    def prepare(self) -> None:
        """Load the SDK, which takes half a second.

        Raises:
            ConfigError: it is not installed.
        """
        self._connection()

    @property
    def stderr(self) -> str:
        """The end of what the server's process has written to its standard error."""
        return self.opened[0].stderr if self.opened else ""

    def close(self, *, wait: bool = False) -> None:
        """Close the connection; the next request opens it again.

        Args:
            wait: block until the server's process has ended, for a few seconds at most.
        """
        for connection in self.opened:
            connection.close(wait=wait)

    @property
    def may_have_changed_tools(self) -> bool:
        """Whether the tools may be others than were listed last: the server says so, or the connection is another."""
        if not self.opened:
            return False
        version = self.opened[0].tools_version
        if self._listed_version is None:  # the list came from a recording
            return version is None or version[1] > 0
        return bool(version != self._listed_version)

    def listing_lock(self) -> asyncio.Lock:
        """Return the lock to hold while the tools are listed again and compared; of the running event loop."""
        return self._listing_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    async def list_tools(self) -> dict[str, Any]:
        """Return `{"tools": […]}`, of all pages."""
        connection = self._connection()
        await connection.open()  # which takes its own time
        version = connection.tools_version  # before: what changes meanwhile may be missing
        tools = await self._pages("tools", lambda client, cursor: client.list_tools(cursor=cursor))
        self._listed_version = version
        return {"tools": tools}

    async def list_prompts(self) -> dict[str, Any]:
        """Return `{"prompts": […]}`, of all pages."""
        return {"prompts": await self._pages("prompts", lambda client, cursor: client.list_prompts(cursor=cursor))}

    async def list_resources(self) -> dict[str, Any]:
        """Return `{"resources": […], "resourceTemplates": […]}`, of all pages."""
        return {
            "resources": await self._pages("resources", lambda client, cursor: client.list_resources(cursor=cursor)),
            "resourceTemplates": await self._pages(
                "resourceTemplates", lambda client, cursor: client.list_resource_templates(cursor=cursor)
            ),
        }

    async def call_tool(self, name: str, arguments: Mapping[str, Any], listener: Listener) -> dict[str, Any]:
        """Return what a tool returned, as `CallToolResult` has it."""
        return await self._run(
            lambda client, heard: client.call_tool(name, dict(arguments), progress_callback=heard.progress),
            listener=listener,
            what=name,
        )

    async def read_resource(self, uri: str) -> dict[str, Any]:
        """Return the contents of a resource, as `ReadResourceResult` has them."""
        return await self._run(lambda client, _: client.read_resource(uri), repeat=True)

    async def get_prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        """Return the messages of a prompt, as `GetPromptResult` has them."""
        return await self._run(lambda client, _: client.get_prompt(name, arguments), repeat=True)

    async def _run(
        self,
        work: Callable[[Any, SilenceLimit], Awaitable[Any]],
        *,
        listener: Listener = NO_LISTENER,
        repeat: bool = False,
        what: str = "",
    ) -> dict[str, Any]:
        """Send a request and return its result as JSON, see `_send`."""
        value, _ = await self._send(work, listener=listener, repeat=repeat, what=what)
        return value

    async def _send(
        self,
        work: Callable[[Any, SilenceLimit], Awaitable[Any]],
        *,
        listener: Listener = NO_LISTENER,
        repeat: bool = False,
        what: str = "",
        is_measured: bool = False,
    ) -> tuple[dict[str, Any], int]:
        """Send a request with the SDK's client, see `Connection.run`.

        Args:
            work: sends it.
            listener: hears of progress, and asks the reader.
            repeat: whether it may be sent again.
            what: the tool that is called, for errors.
            is_measured: whether the length is asked for.

        Returns:
            The result as JSON, and its length; 0 where it is not asked for, or cannot be told.

        Raises:
            SilenceError: the server gave no sign of life for too long.
            ToolError: it cannot be reached, or answered with an error of the protocol.
        """
        seconds, name = self._timeout_s, self._target.name
        connection = self._connection()
        await connection.open()  # which takes its own time: a server may have to be fetched
        try:
            async with limit_silence(seconds, listener, self._clean) as heard:
                result, size = await connection.run(
                    lambda client: _to_json(work(client, heard), is_measured=is_measured),
                    listener=heard,
                    repeat=repeat,
                    what=what,
                )
        except TimeoutError:
            message = f"The MCP server {name!r} gave no sign of life for {seconds:g} s."
            raise SilenceError(message, name=what or name, arguments={}) from None
        if not self._target.secrets:
            return result, size
        # Before anybody sees it: displays, requests and recordings then hold the same, and a replay finds them.
        scrubbed: dict[str, Any] = await event_loop.run_in_thread(partial(self._target.scrub, result))
        return scrubbed, size

    def _clean(self, text: str) -> str:
        return str(scrub(text, self._target.secrets))

    async def _pages(self, field: str, ask: Callable[[Any, str | None], Awaitable[Any]]) -> list[Any]:
        """Return the items of all pages of a list; one that does not end is left where it has become too long.

        Raises:
            SilenceError: it takes too long as a whole.
            ToolError: see `_run`.
        """
        seconds, name = _LISTING_TIMES * self._timeout_s, self._target.name
        await self._connection().open()  # which takes its own time
        items: list[Any] = []
        cursor: str | None = None
        seen: set[str] = set()
        n_pages = length = 0
        try:
            async with clock.timeout(seconds):
                while n_pages < _MAX_PAGES and len(items) < MAX_TOOLS and length < _MAX_LISTING:
                    page, size = await self._send(partial(_ask_page, ask, cursor), repeat=True, is_measured=True)
                    n_pages, length = n_pages + 1, length + size
                    items += page.get(field) or []
                    cursor = page.get("nextCursor")
                    if not cursor or cursor in seen:
                        break
                    seen.add(cursor)
        except TimeoutError:
            message = f"The MCP server {name!r} has not ended its list of {field} within {seconds:g} s."
            raise SilenceError(message, name=name, arguments={}) from None
        return items[:MAX_TOOLS]

    def _connection(self) -> Any:
        if not self.opened:
            try:
                self.opened.append(mcp_servers.Connection(self._target, self._open_http, self._timeout_s))
            except ModuleNotFoundError as error:
                raise ConfigError(_NOT_INSTALLED) from error
        return self.opened[0]


async def _to_json(answer: Awaitable[Any], *, is_measured: bool) -> tuple[dict[str, Any], int]:
    """Return a result as JSON, and its length; made on the connection's loop, since a long one takes a while."""
    result = await answer
    value = {} if result is None else dict(result.model_dump(by_alias=True, mode="json", exclude_none=True))
    size = 0
    if is_measured:
        with contextlib.suppress(RecursionError):  # of a server in this process
            size = len(json.dumps(value))
    return value, size


async def _ask_page(
    ask: Callable[[Any, str | None], Awaitable[T]], cursor: str | None, client: Any, _: SilenceLimit
) -> T | None:
    """Return a page of a list; None where the server has no such list."""
    try:
        return await ask(client, cursor)
    except Exception as error:
        if mcp_servers.is_unknown_method(error):
            return None
        raise


def _open_http(headers: Mapping[str, str], config: Config | None) -> Any:
    """Return the HTTP client of a connection."""
    if config is None:
        return mcp_servers.open_http(headers, redirects=_MAX_REDIRECTS)
    simulated = config if config.mode == "simulate" else None
    return mcp_servers.open_http(headers, redirects=0, simulated=simulated)


def _close(opened: list[Any]) -> None:
    for connection in opened:
        connection.close()
