"""MCP servers as a notebook has them: `mcp(…)`, and `amber.mcp`, the domain's own."""

from __future__ import annotations

import hashlib
import json
import warnings
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .. import mcp_servers
from ..cassettes.session import CassetteSession, newest_session
from ..checks import check_seconds
from ..config import Config
from ..errors import ConfigError, ToolError
from ..redact import SecretHeaders
from ..tracebacks import short_traceback
from ..types import Message
from ..wire import event_loop
from .calls import NO_LISTENER, Listener, SilenceError, SilenceLimit, limit_silence
from .frames import prompts_frame, resources_frame, tools_frame
from .listing import ListedTool, describe_changes, listing_html, listing_text, read_tools
from .prompts import read_contents, read_messages
from .results import ServerResult, read_result
from .target import Target, read_targets

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["McpServer", "McpServers", "amber_server", "mcp"]

T = TypeVar("T")
AMBER = "amber"
SILENCE_S = 60.0  # of a call, where timeout_s= says nothing
_MAX_PAGES = 1_000
_METHOD_NOT_FOUND = -32601  # of JSON-RPC
_MAX_REDIRECTS = 5  # within the origin of a server; the domain's own is followed nowhere
_NOT_INSTALLED = "MCP servers need the extra: pip install 'amber_nb[mcp]'."
# What the vendor documents as a search, whatever else the server says of it.
_SEARCHES = ("search", "web_search")


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How the tools of a server are offered, see `mcp`."""

    only: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    require_approval: bool | None = None
    timeout_s: float = SILENCE_S
    trust: bool = False


def mcp(
    target: Any,
    *arguments: str,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    only: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    prefix: str | None = None,
    require_approval: bool | None = None,
    timeout_s: float | None = None,
    trust: bool = False,
) -> Any:
    """Return an MCP server whose tools `ask(tools=…)` offers.

    Nothing is connected here: the first use opens the connection, which is then kept. What a server says of itself and
    returns is a stranger's text; each call asks the reader first, unless `require_approval=False` is said.

    Args:
        target: a URL (streamable HTTP, or SSE where the server is old); a command; the path of a JSON file with
            `mcpServers`, or a dict of that form; or an `MCPServer` of the SDK in this process.
        arguments: of the command; or the names of entries of the file.
        headers: sent with each request to the URL.
        env: variables for the command's process, beside PATH, HOME and the few that the SDK hands on.
        only: the tools that are offered, by the server's own names, or patterns such as "read_*".
        exclude: tools that are not.
        prefix: put before the tools' names, for the model.
        require_approval: True: each call asks the reader; False: none asks, unless results of another server are in
            the conversation; None: each asks, but those of a trusted server that are read-only.
        timeout_s: seconds of silence after which a call has failed; default 60. Progress that the server tells is no
            silence.
        trust: whether what the server says of its tools (read-only, destructive) is believed.

    Returns:
        An `McpServer`; of a file with several entries, `McpServers`, a sequence of them.

    Raises:
        ConfigError: the target is none; the file cannot be read; a setting of amber_nb would go to the server.
        TypeError: an argument has the wrong type.

    Example:
        >>> files = mcp("npx", "-y", "@modelcontextprotocol/server-filesystem", ".")
        >>> amber.ask("Which notebooks are here?", tools=[amber.mcp, files])
    """
    # At once, under the same name: a verbose traceback prints a frame's variables.
    headers = SecretHeaders(headers) if isinstance(headers, Mapping) else headers
    env = SecretHeaders(env) if isinstance(env, Mapping) else env
    with short_traceback:
        check_seconds("timeout_s", timeout_s)
        if not isinstance(require_approval, (bool, type(None))) or not isinstance(trust, bool):
            raise TypeError("require_approval must be True, False or None, and trust True or False")
        if not isinstance(prefix, (str, type(None))):
            raise TypeError(f"prefix must be a text, not {type(prefix).__name__}")
        options = ServerOptions(
            only=None if only is None else _names(only, "only"),
            exclude=_names(exclude or (), "exclude"),
            prefix=prefix or "",
            require_approval=require_approval,
            timeout_s=timeout_s or SILENCE_S,
            trust=trust,
        )
        targets = read_targets(target, arguments, headers=headers, env=env)
        servers = [McpServer(each, options) for each in targets]
        return servers[0] if len(servers) == 1 else McpServers(servers)


def amber_server(config: Config, session: CassetteSession | None) -> McpServer:
    """Return the MCP server that the gateway's domain serves, reached with the gateway's key."""
    headers = SecretHeaders({"Authorization": f"Bearer {config.api_key.reveal()}"})
    target = Target(name=AMBER, url=config.mcp_url, headers=headers, transport="http")
    return McpServer(target, ServerOptions(trust=True), config=config, session=lambda: session)


def _names(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(each, str) for each in names):
        raise TypeError(f"{name} must be the name of a tool, or several")
    return names


class McpServer:
    """An MCP server: its tools for `ask(tools=…)`, its resources and prompts.

    As the last expression of a cell it lists its tools. The connection is opened on first use, shared by all asks, and
    opened anew where it broke; it is closed when nothing refers to the server any more, and at the end of the process.

    Args:
        target: where it is.
        options: how its tools are offered.
        config: the settings of the client whose domain's server this is; None for any other server.
        session: returns the recordings to use.
    """

    def __init__(
        self,
        target: Target,
        options: ServerOptions,
        *,
        config: Config | None = None,
        session: Callable[[], CassetteSession | None] = newest_session,
    ) -> None:
        self._target = target
        self._options = options
        self._config = config
        self._session = session
        self._opened: list[Any] = []  # the connection, once there is one; shared by selections
        self._listed: list[ListedTool] | None = None
        weakref.finalize(self, _close, self._opened).atexit = False

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
        """A digest of where the server is: two objects for the same server have the same."""
        target = self._target
        parts = [target.url, target.command, target.folder, id(target.server) if target.server is not None else None]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @short_traceback
    def select(
        self,
        *,
        only: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        prefix: str | None = None,
        require_approval: bool | None = None,
    ) -> McpServer:
        """Return the same server, on the same connection, of which other tools are offered; see `mcp`."""
        changes: dict[str, Any] = {
            "only": None if only is None else _names(only, "only"),
            "exclude": None if exclude is None else _names(exclude, "exclude"),
            "prefix": prefix,
            "require_approval": require_approval,
        }
        options = replace(self._options, **{name: value for name, value in changes.items() if value is not None})
        chosen = McpServer(self._target, options, config=self._config, session=self._session)
        chosen._opened = self._opened
        chosen._owner = self  # type: ignore[attr-defined]  # which closes the connection when it goes
        return chosen

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

        Raises:
            ToolError: the server cannot be reached, or the tool failed.
            CassetteMiss: replay, and this call is not recorded.

        Example:
            >>> amber.mcp.call("search", query="ACME").frame()
        """
        result: ServerResult = self._wait(self._call(name, {**(given or {}), **arguments}))
        return result

    @short_traceback
    async def call_async(self, name: str, given: Mapping[str, Any] | None = None, /, **arguments: Any) -> ServerResult:
        """Call a tool as `call` does, without blocking the event loop."""
        self.prepare(self._session())
        return await event_loop.wait_async(event_loop.submit(self._call(name, {**(given or {}), **arguments})))

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> ServerResult:
        result = await self.call_tool(self._session(), name, arguments)
        if result.is_error:
            raise ToolError(f"{name} of the MCP server {self.name!r} failed: {result.text}", name=name, arguments={})
        return result

    @short_traceback
    def resources(self) -> pd.DataFrame:
        """Return the resources as a frame: `uri`, `name`, `description`, `mime_type`, `size` in bytes.

        Templates of URIs stand at its end: their `uri` holds `{…}`.
        """
        return resources_frame(self._wait(self._exchange("/resources/list", {}, self._list_resources, self._session())))

    @short_traceback
    def read(self, uri: str) -> Any:
        """Read a resource.

        Returns:
            The text; or bytes, where it is none; of several, a list.
        """
        send = partial(self._run, lambda client, _: client.read_resource(uri), repeat=True)
        return read_contents(self._wait(self._exchange("/resources/read", {"uri": uri}, send, self._session())))

    @short_traceback
    def prompts(self) -> pd.DataFrame:
        """Return the prompts as a frame: `name`, `description`, `arguments` (names; required ones are marked *)."""
        return prompts_frame(self._wait(self._exchange("/prompts/list", {}, self._list_prompts, self._session())))

    @short_traceback
    def prompt(self, name: str, /, **arguments: str) -> list[Message]:
        """Return the messages of a prompt, for `ask`.

        Example:
            >>> amber.ask(server.prompt("summary", topic="ACME"))
        """
        texts = {key: str(value) for key, value in arguments.items()}
        send = partial(self._run, lambda client, _: client.get_prompt(name, texts), repeat=True)
        body = {"name": name, "arguments": texts}
        return read_messages(self._wait(self._exchange("/prompts/get", body, send, self._session())))

    @property
    def stderr(self) -> str:
        """The end of what the server's process has written to its standard error; "" for a server with a URL."""
        return self._opened[0].stderr if self._opened else ""

    def close(self) -> None:
        """Close the connection, and end the server's process; the next use opens it again."""
        _close(self._opened)

    def __enter__(self) -> McpServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._listed is None:  # a debugger and a verbose traceback ask, too: nothing is connected for that
            return f"McpServer({self.name!r})"
        return listing_text(self.name, self._chosen(self._listed), self._options.trust)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        tools = self._chosen(self._wait(self.list_tools(self._session())))
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
            self._connection()

    async def list_tools(self, session: CassetteSession | None) -> list[ListedTool]:
        """List all tools of the server, and say where they differ from those of the time before."""
        payload = await self._exchange("/tools/list", {}, self._list_tools, session)
        tools = read_tools(payload)
        if self.is_amber:
            tools = [
                replace(tool, read_only=True) if tool.name in _SEARCHES and tool.read_only is None else tool
                for tool in tools
            ]
        if self._listed is not None and (changes := describe_changes(self._listed, tools)):
            text = f"amber: the MCP server {self.name!r} lists other tools than before: {changes}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self._listed = tools
        return tools

    async def offered_tools(self, session: CassetteSession | None) -> list[ListedTool]:
        """List the tools that only= and exclude= leave.

        Raises:
            ConfigError: only= names a tool that the server does not list.
        """
        tools = await self.list_tools(session)
        for pattern in self._options.only or ():
            if not any(fnmatchcase(tool.name, pattern) for tool in tools):
                names = ", ".join(tool.name for tool in tools[:20]) or "none"
                raise ConfigError(f"only={pattern!r}: the MCP server {self.name!r} has no such tool. It has: {names}.")
        return [tool for tool in self._chosen(tools) if not tool.needs_task]

    def _chosen(self, tools: Sequence[ListedTool]) -> list[ListedTool]:
        only, exclude = self._options.only, self._options.exclude
        return [
            tool
            for tool in tools
            if not tool.needs_task
            and (only is None or any(fnmatchcase(tool.name, pattern) for pattern in only))
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

        async def send() -> dict[str, Any]:
            return await self._run(
                lambda client, heard: client.call_tool(name, dict(arguments), progress_callback=heard.progress),
                listener=listener,
                what=name,
            )

        body = {"name": name, "arguments": dict(arguments)}
        payload = await self._exchange("/tools/call", body, send, session)
        # In a thread: a picture, or a table of thousands of rows, takes a while, and this loop reads all answers.
        return await event_loop.run_in_thread(
            partial(read_result, payload, server=self.name, tool=name, arguments=arguments)
        )

    def find_call(self, session: CassetteSession, name: str, arguments: Mapping[str, Any]) -> ServerResult | None:
        """Return the recorded result of a call, None where there is none."""
        payload = session.servers.find("/tools/call", {"server": self.name, "name": name, "arguments": dict(arguments)})
        if payload is None:
            return None
        return read_result(payload, server=self.name, tool=name, arguments=arguments)

    async def changed_tool(self, session: CassetteSession | None, tool: ListedTool) -> bool:
        """Return whether the server defines a tool otherwise now than when it was offered."""
        if session is not None and session.mode == "replay":
            return False
        if self._opened and self._opened[0].take_change():
            await self.list_tools(session)
        now = {each.name: each.definition for each in self._listed or ()}
        return now.get(tool.name, tool.definition) != tool.definition

    # --- requests

    async def _exchange(
        self,
        path: str,
        body: Mapping[str, Any],
        send: Callable[[], Awaitable[dict[str, Any]]],
        session: CassetteSession | None,
    ) -> dict[str, Any]:
        if session is None:
            return await send()
        return await session.servers.exchange(path, {"server": self.name, **body}, send, secrets=self._target.secrets)

    async def _run(
        self,
        work: Callable[[Any, SilenceLimit], Awaitable[Any]],
        *,
        listener: Listener = NO_LISTENER,
        repeat: bool = False,
        what: str = "",
    ) -> dict[str, Any]:
        """Send a request with the SDK's client, and return its result as JSON, see `Connection.run`."""
        seconds = self._options.timeout_s
        connection = self._connection()
        await connection.open()  # which takes its own time: a server may have to be fetched
        try:
            async with limit_silence(seconds, listener) as heard:
                result = await connection.run(
                    lambda client: work(client, heard), listener=heard, repeat=repeat, what=what
                )
        except TimeoutError:
            raise SilenceError(
                f"The MCP server {self.name!r} gave no sign of life for {seconds:g} s.",
                name=what or self.name,
                arguments={},
            ) from None
        return {} if result is None else dict(result.model_dump(by_alias=True, mode="json", exclude_none=True))

    def _connection(self) -> Any:
        if not self._opened:
            try:
                self._opened.append(mcp_servers.Connection(self._target, self._http_opener()))
            except ModuleNotFoundError as error:
                raise ConfigError(_NOT_INSTALLED) from error
        return self._opened[0]

    def _http_opener(self) -> Callable[[], Any]:
        """Return what makes an HTTP client; it does not refer to the server, whose end closes the connection."""
        config, headers = self._config, self._target.headers
        if config is None:
            return partial(mcp_servers.open_http, headers, redirects=_MAX_REDIRECTS)
        simulated = config if config.mode == "simulate" else None
        return partial(mcp_servers.open_http, headers, redirects=0, simulated=simulated)

    async def _list_tools(self) -> dict[str, Any]:
        if self._opened:
            self._opened[0].take_change()
        return {"tools": await self._pages("tools", lambda client, cursor: client.list_tools(cursor=cursor))}

    async def _list_prompts(self) -> dict[str, Any]:
        return {"prompts": await self._pages("prompts", lambda client, cursor: client.list_prompts(cursor=cursor))}

    async def _list_resources(self) -> dict[str, Any]:
        return {
            "resources": await self._pages("resources", lambda client, cursor: client.list_resources(cursor=cursor)),
            "resourceTemplates": await self._pages(
                "resourceTemplates", lambda client, cursor: client.list_resource_templates(cursor=cursor)
            ),
        }

    async def _pages(self, field: str, ask: Callable[[Any, str | None], Awaitable[Any]]) -> list[Any]:
        """Return the items of all pages of a list; a server that lists without end is left after 1,000 pages."""
        items: list[Any] = []
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(_MAX_PAGES):
            page = await self._run(partial(_ask_page, ask, cursor), repeat=True)
            items += page.get(field) or []
            cursor = page.get("nextCursor")
            if not cursor or cursor in seen:
                break
            seen.add(cursor)
        return items

    def _wait(self, coroutine: Any) -> Any:
        try:
            if not event_loop.can_block():
                raise RuntimeError(
                    "This runs on amber's own event loop, which it would wait for: await the async method."
                )
            self.prepare(self._session())
        except BaseException:
            coroutine.close()
            raise
        return event_loop.wait(event_loop.submit(coroutine))


async def _ask_page(
    ask: Callable[[Any, str | None], Awaitable[T]], cursor: str | None, client: Any, _: SilenceLimit
) -> T | None:
    """Return a page of a list; None where the server has no such list."""
    try:
        return await ask(client, cursor)
    except Exception as error:
        if getattr(error, "code", None) == _METHOD_NOT_FOUND:
            return None
        raise


def _close(opened: list[Any]) -> None:
    for connection in opened:
        connection.close()


class McpServers(Sequence[McpServer]):
    """Several MCP servers, such as all of a file: they go into `tools=` as one."""

    def __init__(self, servers: Iterable[McpServer]) -> None:
        self._servers = tuple(servers)

    @overload
    def __getitem__(self, index: int | str) -> McpServer: ...
    @overload
    def __getitem__(self, index: slice) -> McpServers: ...
    def __getitem__(self, index: int | str | slice) -> McpServer | McpServers:
        if isinstance(index, slice):
            return McpServers(self._servers[index])
        if isinstance(index, str):
            found = next((server for server in self._servers if server.name == index), None)
            if found is None:
                raise KeyError(f"{index!r}; there are: {', '.join(server.name for server in self._servers)}")
            return found
        return self._servers[index]

    def __len__(self) -> int:
        return len(self._servers)

    def __iter__(self) -> Iterator[McpServer]:
        return iter(self._servers)

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self._servers))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        bundles = [server._repr_mimebundle_() for server in self._servers]
        return {
            "text/html": "".join(bundle["text/html"] for bundle in bundles),
            "text/plain": "\n\n".join(bundle["text/plain"] for bundle in bundles),
        }

    def close(self) -> None:
        """Close the connections of all."""
        for server in self._servers:
            server.close()
