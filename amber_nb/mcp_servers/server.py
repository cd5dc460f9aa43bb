"""An MCP server as a notebook has it: its tools for `ask`, its resources and prompts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .. import mcp_servers
from ..cassettes.session import CassetteSession, newest_session
from ..config import Config
from ..display.answer_html import answer_html
from ..display.escape import escape_text, show_controls
from ..errors import CassetteMiss, ConfigError, ToolError
from ..tracebacks import short_traceback
from ..wire import event_loop
from .calls import NO_LISTENER, Listener
from .choice import choose_tools, offer_tools
from .frames import tools_frame
from .hints import describe_attribute
from .listing import ListedTool, describe_changes, listing_html, listing_text, read_tools
from .notices import tell
from .options import ServerOptions, change_options, refuse_other_keywords
from .prompts import PromptMessages
from .queries import ServerQueries
from .requests import ServerRequests
from .results import ServerResult, read_result, replace_inner_surrogates
from .target import Target

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COMPANY_SEARCH", "McpServer"]

T = TypeVar("T")
# What the vendor documents as a search, whatever else the server says of it.
COMPANY_SEARCH = "search"
_SEARCHES = (COMPANY_SEARCH, "web_search")
# What an ask uses of a server, and no reader: completion leaves it out.
_FOR_ASKS = {"is_amber", "options", "key"} | {
    *("prepare", "list_tools", "offered_tools", "call_tool", "find_call", "changed_tool"),
}


class McpServer:
    """An MCP server: its tools for `ask(tools=…)`, its resources and prompts.

    As the last expression of a cell it lists its tools. For you there are:

        tools(), call(name, …)              what its tools are; call one without a model
        select(only=…, exclude=…, …)        the same server, of which `ask` offers other tools
        resources(), read(uri)              what can be read there
        prompts(), prompt(name, …)          what can be asked with `ask(server.prompt(…))`
        name, stderr, close()               what it is called here; what its process wrote; end it

    What asks has a twin to await: `tools_async`, `call_async` and so on. All other names are for `ask` itself.

    The connection is opened on first use, shared by all asks, and opened anew where it broke; it is closed when nothing
    refers to the server any more, and at the end of the process. Servers are made by `mcp`, and by `amber.mcp`.

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
        self._queries = ServerQueries(target, self._requests, session, is_amber=config is not None)

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
        """A salted digest of address and credentials. Equal for two objects of one server and tenant."""
        return self._queries.key

    @short_traceback
    @refuse_other_keywords
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

        Returns:
            Another `McpServer`; this one stays as it is.

        Raises:
            TypeError: an argument has the wrong type, or there is no such keyword.
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
        """Return the tools that are offered (see only=, exclude=) as a frame, a row for each.

        Returns:
            Columns `name` (the server's), `description`, `read_only` (boolean, as the server says; missing where it
            says nothing), `destructive` (the same), `parameters` (the JSON schema of the arguments, a dict). With
            prefix=, behind `name`, also `offered_as`: the name by which the model and policies know the tool; missing
            where it cannot be offered.

        Raises:
            ToolError: the server cannot be reached.
            ConfigError: the SDK is not installed.
            CassetteMiss: replay, and its tools are not recorded.
        """
        return self._wait(self._tools())

    async def tools_async(self) -> pd.DataFrame:
        """Return the tools as `tools` does, without blocking the event loop."""
        with short_traceback:
            return await self._wait_async(self._tools())

    async def _tools(self) -> pd.DataFrame:
        tools = self._chosen(await self.list_tools(self._session()))
        return await event_loop.run_in_thread(partial(self._frame, tools))

    def _frame(self, tools: Sequence[ListedTool]) -> pd.DataFrame:
        frame = tools_frame(tools)
        if self._options.prefix:
            offered = [tool for tool in tools if not tool.needs_task]
            names = mcp_servers.choose_names((), [(self, tool) for tool in offered])
            known = dict(zip((tool.name for tool in offered), names, strict=True))
            frame.insert(1, "offered_as", frame["name"].map(known).astype(frame["name"].dtype))
        return frame

    @overload
    def call(self, name: str, /, **arguments: Any) -> ServerResult: ...
    @overload
    def call(self, name: str, arguments: Mapping[str, Any], /) -> ServerResult: ...
    @short_traceback
    def call(self, name: str, given: Mapping[str, Any] | None = None, /, **arguments: Any) -> ServerResult:
        """Call a tool yourself, without a model; nobody is asked for approval.

        What the server asks meanwhile is declined, and you are told so: in an `ask` you would be asked.

        What you paste of the result into a question yourself is not watched: only results of calls by a model are
        known as a server's.

        Args:
            name: of the tool, as the server has it.
            given: the arguments as a dict, where a name is none of Python's.
            arguments: the arguments by their names.

        Returns:
            The result: its `text`, its `value`, and `frame()`, a table of it.

        Raises:
            TypeError: the name is no string, or the arguments are given by their positions.
            ToolError: the server cannot be reached, or the tool failed.
            ConfigError: the SDK is not installed.
            CassetteMiss: replay, and this call is not recorded.

        Example:
            >>> amber.mcp.call("search", query="ACME").frame()
        """
        return self._wait(self._queries.call(name, given, arguments, self.call_tool))

    @overload
    async def call_async(self, name: str, /, **arguments: Any) -> ServerResult: ...
    @overload
    async def call_async(self, name: str, arguments: Mapping[str, Any], /) -> ServerResult: ...
    async def call_async(self, name: str, given: Mapping[str, Any] | None = None, /, **arguments: Any) -> ServerResult:
        """Call a tool as `call` does, with the same arguments, without blocking the event loop."""
        with short_traceback:
            return await self._wait_async(self._queries.call(name, given, arguments, self.call_tool))

    @short_traceback
    def resources(self) -> pd.DataFrame:
        """Return the resources as a frame: `uri`, `name`, `description`, `mime_type`, `size` in bytes.

        Templates of URIs stand at its end: their `uri` holds `{…}`.

        Raises:
            ToolError: the server cannot be reached.
            ConfigError: the SDK is not installed.
            CassetteMiss: replay, and its resources are not recorded.
        """
        return self._wait(self._queries.resources())

    async def resources_async(self) -> pd.DataFrame:
        """Return the resources as `resources` does, without blocking the event loop."""
        with short_traceback:
            return await self._wait_async(self._queries.resources())

    @short_traceback
    def read(self, uri: str) -> Any:
        """Read a resource.

        What you paste of it into a question yourself is not watched, as with `call`.

        Args:
            uri: of the resource, as in `resources().uri[0]`; of a template, with its `{…}` filled in.

        Returns:
            The text; or bytes, where it is none; of several, a list.

        Raises:
            TypeError: the URI is no string.
            ToolError: the server cannot be reached, or has no such resource.
            ConfigError: the SDK is not installed.
            CassetteMiss: replay, and this resource is not recorded.
        """
        return self._wait(self._queries.read(uri))

    async def read_async(self, uri: str) -> Any:
        """Read a resource as `read` does, without blocking the event loop."""
        with short_traceback:
            return await self._wait_async(self._queries.read(uri))

    @short_traceback
    def prompts(self) -> pd.DataFrame:
        """Return the prompts as a frame: `name`, `description`, `arguments` (names; required ones are marked *).

        Raises:
            ToolError: the server cannot be reached.
            ConfigError: the SDK is not installed.
            CassetteMiss: replay, and its prompts are not recorded.
        """
        return self._wait(self._queries.prompts())

    async def prompts_async(self) -> pd.DataFrame:
        """Return the prompts as `prompts` does, without blocking the event loop."""
        with short_traceback:
            return await self._wait_async(self._queries.prompts())

    @short_traceback
    def prompt(self, name: str, /, **arguments: str) -> PromptMessages:
        """Return the messages of a prompt, for `ask`; a list that knows which server wrote them.

        Args:
            name: of the prompt, as in `prompts().name[0]`.
            arguments: the arguments by their names; what is no string is sent as its `str`.

        Raises:
            TypeError: the name is no string.
            ToolError: the server cannot be reached, has no such prompt, or an argument is missing.
            ConfigError: the SDK is not installed.
            CassetteMiss: replay, and this prompt is not recorded.

        Example:
            >>> amber.ask(server.prompt("summary", topic="ACME"))
        """
        return self._wait(self._queries.prompt(name, arguments))

    async def prompt_async(self, name: str, /, **arguments: str) -> PromptMessages:
        """Return the messages of a prompt as `prompt` does, without blocking the event loop."""
        with short_traceback:
            return await self._wait_async(self._queries.prompt(name, arguments))

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

    if not TYPE_CHECKING:  # a checker would take any attribute for one that is there

        @short_traceback
        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or hasattr(type(self), name):
                return object.__getattribute__(self, name)  # which raises Python's own error, or that of a property
            listed = [tool.name for tool in self._requests.listed or ()]
            text = describe_attribute(name, server=self._expression, methods=dir(self), tools=listed)
            raise AttributeError(text, name=None)  # None: Python adds no guess of its own

        @short_traceback
        def __call__(self, *_: Any, **__: Any) -> Any:
            server = self._expression
            choice = f"{server}.select(only=…) chooses its tools"
            raise TypeError(f"A server is not called: {choice}, and {server}.call('…', …) calls one.")

    @property
    def _expression(self) -> str:
        """How a reader may write this server."""
        return "amber.mcp" if self.is_amber else "server"

    def __reduce__(self) -> Any:
        raise TypeError("an MCP server is never pickled: it is a connection and may hold keys; make it anew with mcp()")

    def __copy__(self) -> McpServer:
        return self

    def __deepcopy__(self, memo: Any) -> McpServer:
        return self

    def __repr__(self) -> str:
        if self._requests.listed is None:  # a debugger and a verbose traceback ask, too: nothing is connected for that
            return f"McpServer({self.name!r})"
        return self._show(listing_text, self._chosen(self._requests.listed))

    def __str__(self) -> str:
        return repr(self) + (", not listed yet: .tools() lists its tools" if self._requests.listed is None else "")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        try:
            tools = self._chosen(self._wait(self.list_tools(self._session())))
        except (ToolError, ConfigError, CassetteMiss) as error:  # a last expression that fails would fail no cell
            text = show_controls(str(error))
            html = f'<div style="white-space:pre-wrap">{escape_text(text)}</div>'
            return {"text/html": answer_html("", head=html), "text/plain": text}
        return {"text/html": self._show(listing_html, tools), "text/plain": self._show(listing_text, tools)}

    def _show(self, show: Callable[[str, Sequence[ListedTool], bool], str], tools: Sequence[ListedTool]) -> str:
        prefix = self._options.prefix
        return show(f"{self.name}, prefix={prefix!r}" if prefix else self.name, tools, self._options.trust)

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
        payload = await self._queries.exchange("/tools/list", {}, self._requests.list_tools, source)
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
            ConfigError: only= or exclude= names a tool that the server does not list, or no tool is left, or none that
                can be called.
        """
        return offer_tools(await self.list_tools(session), self._options, self.name)

    def _chosen(self, tools: Sequence[ListedTool]) -> list[ListedTool]:
        return choose_tools(tools, self._options)

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
        payload = await self._queries.exchange("/tools/call", body, send, session)
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
        body = {**self._queries.identity, "name": name, "arguments": dict(arguments)}
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

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if not event_loop.can_block():
            work.close()
            raise RuntimeError(
                "This would wait for amber's own event loop, on which it runs: of an MCP server's methods those that "
                "end in _async can be awaited there, as `await server.call_async(…)`."
            )
        return event_loop.wait(self._submit(work))

    async def _wait_async(self, work: Coroutine[Any, Any, T]) -> T:
        return await event_loop.wait_async(self._submit(work))

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            self.prepare(self._session())
        except BaseException:
            work.close()
            raise
        return event_loop.submit(work)
