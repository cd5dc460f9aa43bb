"""An MCP server as a notebook has it: its tools for `ask`, its resources and prompts."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, overload

from ..cassettes.session import CassetteSession, newest_session
from ..config import Config
from ..display.answer_html import answer_html
from ..display.escape import escape_text, shorten, show_controls
from ..errors import CassetteMiss, ConfigError, ToolError
from ..tracebacks import short_traceback
from ..wire import event_loop
from .calls import NO_LISTENER, Listener, SilenceError
from .frames import prompts_frame, resources_frame, tools_frame
from .listing import ListedTool, describe_changes, listing_html, listing_text, read_tools
from .notices import tell
from .options import ServerOptions, change_options
from .prompts import PromptMessages, read_contents, read_messages
from .requests import ServerRequests
from .results import ServerResult, read_result, replace_inner_surrogates
from .target import Target

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COMPANY_SEARCH", "McpServer"]

_SALT = os.urandom(16)
_count = count()
_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # of servers in this process

# What the vendor documents as a search, whatever else the server says of it.
COMPANY_SEARCH = "search"
_SEARCHES = (COMPANY_SEARCH, "web_search")
_MAX_ERROR = 2_000  # characters of what a server says, in an error
_MAX_NAME = 128
_MAX_NAMED = 20  # tools, in an error
# What an ask uses of a server, and no reader: completion leaves it out.
_FOR_ASKS = {"is_amber", "options", "key"} | {
    *("prepare", "list_tools", "offered_tools", "call_tool", "find_call", "changed_tool"),
}
_OWN_TARGET = Target(name="amber").digest  # of the domain's own server in recordings: its URL is a setting


class McpServer:
    """An MCP server: its tools for `ask(tools=…)`, its resources and prompts.

    As the last expression of a cell it lists its tools. The connection is opened on first use, shared by all asks, and
    opened anew where it broke; it is closed when nothing refers to the server any more, and at the end of the process.

    Args:
        target: where it is.
        options: how its tools are offered.
        config: the settings of the client whose domain's server this is; None for any other server.
        session: returns the recordings to use.
        requests: send to the server, where it shares the connection of another.
    """

    def __init__(
        self,
        target: Target,
        options: ServerOptions,
        *,
        config: Config | None = None,
        session: Callable[[], CassetteSession | None] = newest_session,
        requests: ServerRequests | None = None,
    ) -> None:
        self._target = target
        self._options = options
        self._config = config
        self._session = session
        self._requests = requests or ServerRequests(target, options.timeout_s, config)

    @property
    def name(self) -> str:
        """The name of the server here."""
        return self._target.name

    @property
    def is_amber(self) -> bool:
        """Whether it is the server of the gateway's own domain."""
        return self._config is not None

    @property
    def options(self) -> ServerOptions:
        """How its tools are offered."""
        return self._options

    @property
    def key(self) -> str:
        """A digest of where the server is, and who is asked there: two objects for the same have the same.

        With other headers or another environment it may be another tenant's. Salted, since it covers keys.
        """
        target = self._target
        parts = [target.url, target.command, target.folder, sorted(target.headers.items()), sorted(target.env.items())]
        here = None if target.server is None else _numbers.setdefault(target.server, next(_count))
        text = json.dumps([*parts, here])
        return hashlib.blake2b(text.encode(), key=_SALT, digest_size=8).hexdigest()

    @short_traceback
    def select(
        self,
        *,
        only: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        prefix: str | None = None,
        require_approval: bool | Literal["unchanged"] | None = "unchanged",
    ) -> McpServer:
        """Return the same server, on the same connection, of which other tools are offered; see `mcp`.

        Args:
            only: as `mcp` has it; None leaves what is set, here and below.
            exclude: the same; () excludes none.
            prefix: the same; "" is none.
            require_approval: the same; None is the default of `mcp` again.

        Raises:
            TypeError: an argument has the wrong type.
        """
        options = change_options(
            self._options,
            only=only,
            exclude=exclude,
            prefix=prefix,
            require_approval=self._options.require_approval if require_approval == "unchanged" else require_approval,
        )
        return McpServer(self._target, options, config=self._config, session=self._session, requests=self._requests)

    # --- for readers

    @short_traceback
    def tools(self) -> pd.DataFrame:
        """Return the tools as a frame, a row for each.

        Returns:
            Columns `name` (the server's), `description`, `read_only` (boolean, as the server says; missing where it
            says nothing), `destructive` (the same), `parameters` (the JSON schema of the arguments, a dict).

        Raises:
            ToolError: the server cannot be reached.
            CassetteMiss: replay, and its tools are not recorded.
        """
        return tools_frame(self._wait(self.list_tools(self._session())))

    @overload
    def call(self, name: str, /, **arguments: Any) -> ServerResult: ...
    @overload
    def call(self, name: str, arguments: Mapping[str, Any], /) -> ServerResult: ...
    @short_traceback
    def call(self, name: str, given: Mapping[str, Any] | None = None, /, **arguments: Any) -> ServerResult:
        """Call a tool yourself, without a model; nobody is asked.

        Args:
            name: of the tool, as the server has it.
            given: the arguments as a dict, where a name is none of Python's.
            arguments: the arguments by their names.

        What you paste of the result into a question yourself is not watched: only results of calls by a model are
        known as a server's.

        Raises:
            TypeError: the arguments are given by their positions.
            ToolError: the server cannot be reached, or the tool failed.
            CassetteMiss: replay, and this call is not recorded.

        Example:
            >>> amber.mcp.call("search", query="ACME").frame()
        """
        result: ServerResult = self._wait(self._call(name, _join_arguments(name, given, arguments)))
        return result

    @short_traceback
    async def call_async(self, name: str, given: Mapping[str, Any] | None = None, /, **arguments: Any) -> ServerResult:
        """Call a tool as `call` does, without blocking the event loop."""
        joined = _join_arguments(name, given, arguments)
        self.prepare(self._session())
        return await event_loop.wait_async(event_loop.submit(self._call(name, joined)))

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> ServerResult:
        try:
            result = await self.call_tool(self._session(), name, arguments)
        except SilenceError:
            raise
        except ToolError as error:
            if hint := self._similar_names(name):
                raise ToolError(f"{error}{hint}", name=name, arguments={}) from None
            raise
        if result.is_error:
            said = show_controls(shorten(result.text, _MAX_ERROR))
            text = f"{_shown(name)} of the MCP server {self.name!r} failed: {said}{self._similar_names(name)}"
            raise ToolError(text, name=name, arguments={})
        return result

    def _similar_names(self, name: str) -> str:
        """Return a sentence on the listed tools whose names are like one that is not listed; "" without any."""
        listed = [tool.name for tool in self._requests.listed or ()]
        near = get_close_matches(name, listed) if name not in listed else []
        return f" No tool has this name; there is {' and '.join(map(_shown, near))}." if near else ""

    @short_traceback
    def resources(self) -> pd.DataFrame:
        """Return the resources as a frame: `uri`, `name`, `description`, `mime_type`, `size` in bytes.

        Templates of URIs stand at its end: their `uri` holds `{…}`.
        """
        return resources_frame(self._fetch("/resources/list", {}, self._requests.list_resources))

    @short_traceback
    def read(self, uri: str) -> Any:
        """Read a resource.

        What you paste of it into a question yourself is not watched, as with `call`.

        Returns:
            The text; or bytes, where it is none; of several, a list.
        """
        send = partial(self._requests.read_resource, uri)
        return read_contents(self._fetch("/resources/read", {"uri": uri}, send))

    @short_traceback
    def prompts(self) -> pd.DataFrame:
        """Return the prompts as a frame: `name`, `description`, `arguments` (names; required ones are marked *)."""
        return prompts_frame(self._fetch("/prompts/list", {}, self._requests.list_prompts))

    @short_traceback
    def prompt(self, name: str, /, **arguments: str) -> PromptMessages:
        """Return the messages of a prompt, for `ask`; a list that knows which server wrote them.

        Example:
            >>> amber.ask(server.prompt("summary", topic="ACME"))
        """
        texts = {key: str(value) for key, value in arguments.items()}
        send = partial(self._requests.get_prompt, name, texts)
        body = {"name": name, "arguments": texts}
        return PromptMessages(read_messages(self._fetch("/prompts/get", body, send)), server=self.name, group=self.key)

    @property
    def stderr(self) -> str:
        """The end of what the server's process has written to its standard error; "" for a server with a URL."""
        return self._requests.stderr

    def close(self) -> None:
        """Begin to close the connection and to end the server's process; the next use opens it again.

        The end of a `with` block does the same, and waits until the process has ended.
        """
        self._requests.close()

    def __enter__(self) -> McpServer:
        return self

    def __exit__(self, *error: object) -> None:
        self._requests.close(wait=event_loop.can_block())

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _FOR_ASKS]

    def __reduce__(self) -> Any:
        raise TypeError("an MCP server is never pickled: it is a connection and may hold keys; make it anew with mcp()")

    def __copy__(self) -> McpServer:
        return self

    def __deepcopy__(self, memo: Any) -> McpServer:
        return self

    def __repr__(self) -> str:
        if self._requests.listed is None:  # a debugger and a verbose traceback ask, too: nothing is connected for that
            return f"McpServer({self.name!r})"
        return listing_text(self.name, self._chosen(self._requests.listed), self._options.trust)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        try:
            tools = self._chosen(self._wait(self.list_tools(self._session())))
        except (ToolError, ConfigError, CassetteMiss) as error:  # a last expression that fails would fail no cell
            text = show_controls(str(error))
            html = f'<div style="white-space:pre-wrap">{escape_text(text)}</div>'
            return {"text/html": answer_html("", head=html), "text/plain": text}
        trust = self._options.trust
        return {
            "text/html": listing_html(self.name, tools, trust),
            "text/plain": listing_text(self.name, tools, trust),
        }

    # --- for an ask, on the private loop

    def prepare(self, session: CassetteSession | None) -> None:
        """Load the SDK in this thread, where the server may be asked: it takes half a second.

        Raises:
            ConfigError: it is not installed.
        """
        if session is None or session.servers.may_ask:
            self._requests.prepare()
        # Loads what a result takes, so that the first call does not wait for it.
        read_result({}, server=self.name, tool="")

    async def list_tools(self, session: CassetteSession | None, *, recorded: bool = True) -> list[ListedTool]:
        """List all tools of the server, and say where they differ from those of the time before."""
        source = session if recorded else None
        payload = await self._exchange("/tools/list", {}, self._requests.list_tools, source)
        tools = read_tools(payload)
        if self.is_amber and self._options.trust:
            tools = [
                replace(tool, read_only=True) if tool.name in _SEARCHES and tool.read_only is None else tool
                for tool in tools
            ]
        before, self._requests.listed = self._requests.listed, tools
        if before is not None and (changes := describe_changes(before, tools)):
            tell(session, f"the MCP server {self.name!r} lists other tools than before: {changes}")
        return tools

    async def offered_tools(self, session: CassetteSession | None) -> list[ListedTool]:
        """List the tools that only= and exclude= leave.

        Raises:
            ConfigError: only= or exclude= names a tool that the server does not list, or none is left that can be
                called.
        """
        tools = await self.list_tools(session)
        options = self._options
        patterns = [*(("only", each) for each in options.only or ()), *(("exclude", each) for each in options.exclude)]
        for argument, pattern in patterns:
            if not any(fnmatchcase(tool.name, pattern) for tool in tools):
                names = _enumerate(tools) or "none"
                text = f"{argument}={pattern!r}: the MCP server {self.name!r} has no such tool. It has: {names}."
                raise ConfigError(text)
        chosen = self._chosen(tools)
        offered = [tool for tool in chosen if not tool.needs_task]
        if chosen and not offered:
            names = _enumerate(chosen)
            raise ConfigError(f"The MCP server {self.name!r} offers none of {names}: they need tasks, unknown here.")
        return offered

    def _chosen(self, tools: Sequence[ListedTool]) -> list[ListedTool]:
        only, exclude = self._options.only, self._options.exclude
        return [
            tool
            for tool in tools
            if (only is None or any(fnmatchcase(tool.name, pattern) for pattern in only))
            and not any(fnmatchcase(tool.name, pattern) for pattern in exclude)
        ]

    async def call_tool(
        self,
        session: CassetteSession | None,
        name: str,
        arguments: Mapping[str, Any],
        listener: Listener = NO_LISTENER,
    ) -> ServerResult:
        """Call a tool.

        Raises:
            ToolError: the server cannot be reached, was silent for too long (`SilenceError`), or answered with an error
                of the protocol.
        """
        body = {"name": name, "arguments": dict(arguments)}
        send = partial(self._requests.call_tool, name, replace_inner_surrogates(arguments), listener)
        payload = await self._exchange("/tools/call", body, send, session)
        # In a thread: a picture, or a table of thousands of rows, takes a while, and this loop reads all answers.
        return await event_loop.run_in_thread(
            partial(read_result, payload, server=self.name, tool=name, arguments=arguments)
        )

    def find_call(
        self, session: CassetteSession, name: str, arguments: Mapping[str, Any], *, has_failed: bool
    ) -> ServerResult | None:
        """Return the recorded result of a call; None where there is none, or where the call had failed.

        What is recorded counts as used then, also of a call that had failed.
        """
        body = {**self._identity(), "name": name, "arguments": dict(arguments)}
        secrets = self._target.rare_secrets
        payload = session.servers.find("/tools/call", body, has_failed=has_failed, secrets=secrets)
        if payload is None or has_failed:
            return None
        return read_result(payload, server=self.name, tool=name, arguments=arguments)

    async def changed_tool(self, session: CassetteSession | None, tool: ListedTool) -> bool:
        """Return whether the server defines a tool otherwise now than when it was offered.

        Raises:
            ToolError: it cannot be told, since the tools cannot be listed; the next call asks again.
        """
        if session is not None and session.mode == "replay":
            return False
        if session is not None and session.mode == "cache" and not any(each.opened for each in self._requests.opened):
            return False  # all has come from the recording so far: that alone opens no connection
        async with self._requests.listing_lock():  # of two calls at once, the second compares with the new list, too
            if self._requests.may_have_changed_tools:
                # Not recorded: a replay asks for no list in the middle of an ask, and would give it to the next one.
                await self.list_tools(session, recorded=False)
        now = {each.name: each.definition for each in self._requests.listed or ()}
        return now.get(tool.name, tool.definition) != tool.definition

    async def _exchange(
        self,
        path: str,
        body: Mapping[str, Any],
        send: Callable[[], Awaitable[dict[str, Any]]],
        session: CassetteSession | None,
    ) -> dict[str, Any]:
        if session is None:
            return await send()
        whole = {**self._identity(), **body}
        return await session.servers.exchange(path, whole, send, secrets=self._target.rare_secrets)

    def _identity(self) -> dict[str, str]:
        """Return what tells the server from others in recordings; the domain's own is one server, wherever it is."""
        return {"server": self.name, "target": _OWN_TARGET if self.is_amber else self._target.digest}

    def _fetch(
        self, path: str, body: Mapping[str, Any], send: Callable[[], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        answer: dict[str, Any] = self._wait(self._exchange(path, body, send, self._session()))
        return answer

    def _wait(self, coroutine: Any) -> Any:
        try:
            if not event_loop.can_block():
                raise RuntimeError(
                    "This would wait for amber's own event loop, on which it runs: of an MCP server's methods only "
                    "call can be awaited there, as `await server.call_async(…)`."
                )
            self.prepare(self._session())
        except BaseException:
            coroutine.close()
            raise
        return event_loop.wait(event_loop.submit(coroutine))


def _join_arguments(name: str, given: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call, its texts such that they can be sent.

    Raises:
        TypeError: they are given by their positions.
    """
    if not isinstance(given, (Mapping, type(None))):
        raise TypeError(
            f"The arguments of a tool are given by their names, as in call({name!r}, query=…), or as one dict; "
            f"not as {type(given).__name__}."
        )
    joined: dict[str, Any] = replace_inner_surrogates({**(given or {}), **arguments})
    return joined


def _shown(name: str) -> str:
    return show_controls(shorten(name, _MAX_NAME))


def _enumerate(tools: Sequence[ListedTool]) -> str:
    return ", ".join(_shown(tool.name) for tool in tools[:_MAX_NAMED])
