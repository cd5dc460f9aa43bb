"""The tools that an ask offers: functions, and what MCP servers list, by names that the endpoint takes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .. import tools as toolbox
from ..cassettes.session import CassetteSession
from ..display.escape import shorten, show_controls
from ..errors import ConfigError, ToolError
from ..wire import event_loop
from .argument_schema import fit_schema
from .calls import NO_LISTENER, Listener
from .factory import McpServers, mcp
from .listing import ListedTool
from .notices import tell
from .results import ServerResult
from .server import COMPANY_SEARCH, McpServer

__all__ = ["RemoteTool", "load_tools", "split_tools"]

MAX_TOOLS = 128  # of a request, as OpenAI takes them
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME = 64
_DIGEST = 6  # characters at the end of a name that was cut
_MAX_SCHEMA = 50_000  # characters; each request holds it
_MAX_REASON = 300
_MAX_CHECKED = 256  # tools that are kept checked
_MAX_TOLD = 1_000  # tools that were left out, of a session


@dataclass(frozen=True)
class RemoteTool:
    """A tool of an MCP server as one ask offers it.

    Attributes:
        server: whose tool it is.
        listed: as the server listed it.
        session: the recordings of the ask.
    """

    server: McpServer
    listed: ListedTool
    session: CassetteSession | None

    @property
    def server_name(self) -> str:
        """The server's name, for readers."""
        return self.server.name

    @property
    def is_trusted(self) -> bool:
        """Whether what the server says of the tool is believed."""
        return self.server.options.trust

    @property
    def group(self) -> str:
        """The group whose tools may see each other's results without asking.

        What a trusted server's tool sends out of its own domain, as a search of the web does, is a group of its own.
        """
        return f"{self.server.key} open" if self._is_open else self.server.key

    @property
    def _is_open(self) -> bool:
        """Return whether a trusted tool sends data beyond its server.

        Every tool of amber's but `search` does, unless the server denies it.
        """
        if not self.is_trusted or self.listed.open_world is not None:
            return self.is_trusted and self.listed.open_world is True
        return self.server.is_amber and self.listed.name != COMPANY_SEARCH

    @property
    def group_name(self) -> str:
        """The name of the group, for readers."""
        return f"{self.server_name}, {self.listed.name}" if self._is_open else self.server_name

    async def call(self, arguments: Mapping[str, Any], listener: Listener = NO_LISTENER) -> ServerResult:
        """Call the tool, see `McpServer.call_tool`."""
        return await self.server.call_tool(self.session, self.listed.name, arguments, listener)

    def find_call(self, arguments: Mapping[str, Any], *, has_failed: bool) -> ServerResult | None:
        """Return the recorded result of a call, see `McpServer.find_call`."""
        if self.session is None:
            return None
        return self.server.find_call(self.session, self.listed.name, arguments, has_failed=has_failed)

    async def has_changed(self) -> bool:
        """Return whether the server defines the tool otherwise now than it was offered."""
        return await self.server.changed_tool(self.session, self.listed)


def split_tools(tools: Any) -> tuple[list[Any], list[McpServer]]:
    """Divide `tools=` into functions and the like, and MCP servers.

    Args:
        tools: of `ask`.

    Raises:
        TypeError: it is the function `mcp` itself, or a method of a server such as `call`: calls of a function run
            unasked.
    """
    if not _is_several(tools):
        tools = [tools]
    servers: list[McpServer] = []
    others = []
    for source in tools:
        if isinstance(source, McpServer):
            servers.append(source)
        elif isinstance(source, McpServers):
            servers += source
        elif source is mcp:
            raise TypeError("mcp is a function: tools=mcp('npx', …) is a server, and amber.mcp is that of your domain.")
        elif isinstance(server := getattr(source, "__self__", None), McpServer):
            raise TypeError(_describe_method(server, getattr(source, "__name__", "call")))
        else:
            others.append(source)
    return others, servers


def _describe_method(server: McpServer, method: str) -> str:
    """Return what to write instead of a method of a server in `tools=`."""
    name = "amber.mcp" if server.is_amber else server.name if server.name.isidentifier() else "server"
    return (
        f"{name}.{method} is for you; for the model, tools={name} offers all tools of the MCP server, and "
        f"tools={name}.select(only='…') one of them."
    )


def _is_several(tools: Any) -> bool:
    return isinstance(tools, Iterable) and not isinstance(tools, (Mapping, str, bytes, toolbox.Tool, McpServers))


async def load_tools(
    functions: Mapping[str, toolbox.Tool], servers: Sequence[McpServer], session: CassetteSession | None
) -> dict[str, toolbox.Tool]:
    """List the tools of servers, and return them beside functions, by the names that the model calls them by.

    A server that cannot be listed is left out, with a warning, as long as other tools are left; so is a tool whose name
    or schema cannot be used.

    Args:
        functions: the functions and the like, by their names.
        servers: the servers; one that is given twice is listed once.
        session: the recordings of the ask.

    Raises:
        CassetteMiss: replay, and the tools of a server are not recorded.
        ConfigError: there are more tools than a request takes, or only= names none.
        ToolError: no server can be listed, and there is no function; or one cannot in a replay.
        ValueError: a tool of the domain's server has the name of a function.
    """
    unique = list({id(server): server for server in servers}.values())
    outcomes = await asyncio.gather(*(server.offered_tools(session) for server in unique), return_exceptions=True)
    listings = [[] if isinstance(outcome, BaseException) else outcome for outcome in outcomes]
    must_list = session is not None  # a recording is whole, and so is its replay
    failures = [(server, error) for server, error in zip(unique, outcomes, strict=True) if not isinstance(error, list)]
    for _, error in sorted(failures, key=lambda failure: isinstance(failure[1], ToolError)):
        if not isinstance(error, ToolError) or must_list or not (functions or any(listings)):
            raise error
    for server, error in failures:
        tell(session, f"the tools of the MCP server {server.name!r} are left out: {_reason(error)}")
    for server, listed in zip(unique, listings, strict=True):
        for tool in (tool for tool in listed if tool.unusable):
            _tell_once(RemoteTool(server, tool, session), show_controls(tool.name), tool.unusable)
    listings = [[tool for tool in listed if not tool.unusable] for listed in listings]
    offered = [(server, tool) for server, listed in zip(unique, listings, strict=True) for tool in listed]
    if offered and len(functions) + len(offered) > MAX_TOOLS:
        most, largest = max(zip(map(len, listings), (server.name for server in unique), strict=True))
        raise ConfigError(
            f"{len(functions) + len(offered):,} tools are offered, and a request takes {MAX_TOOLS}. Choose with only=: "
            f"the MCP server {largest!r} has {most:,}."
        )
    names = choose_names(functions, offered)
    remotes = [RemoteTool(server, listed, session) for server, listed in offered]
    specs = [_spec(remote, name) for remote, name in zip(remotes, names, strict=True)]
    # Schemas of a thousand fields take seconds, and this loop reads all answers.
    checked = await event_loop.run_in_thread(partial(_check_specs, specs))
    tools = [_make_tool(remote, spec, found) for remote, spec, found in zip(remotes, specs, checked, strict=True)]
    return {**functions, **{tool.name: tool for tool in tools if tool is not None}}


def _reason(error: BaseException) -> str:
    return show_controls(shorten(" ".join(str(error).split()), _MAX_REASON))


def choose_names(taken: Iterable[str], offered: Sequence[tuple[McpServer, ListedTool]]) -> list[str]:
    """Return a name for each tool: its own, as far as the endpoint takes it; in a collision the stranger is renamed.

    Args:
        taken: the names of functions, which stay.
        offered: the tools of servers; those of the domain's own are named first.

    Raises:
        ValueError: a tool of the domain's server has the name of a function.
    """
    functions = set(taken)
    used = set(functions)
    names = [""] * len(offered)
    for at, (server, tool) in sorted(enumerate(offered), key=lambda item: not item[1][0].is_amber):
        prefix, plain = server.options.prefix, _plain(tool.name, "tool")
        own = _fit(prefix + plain, prefix + tool.name)
        if own in functions and server.is_amber:
            raise ValueError(
                f"Two tools are called {own!r}, a function and one of amber.mcp: give one another name with "
                "@tool(name=…) or amber.mcp.select(prefix=…)."
            )
        name, number = own, 1
        while name in used:
            suffix = f"_{number}" if number > 1 else ""
            longer = f"{_plain(server.name, 'server')}_{plain}{suffix}"
            name = _fit(longer, f"{server.name}_{tool.name}{suffix}")
            number += 1
        used.add(name)
        names[at] = name
    return names


def _plain(name: str, kind: str) -> str:
    """Return a name of the characters that the endpoint takes; a digest of it where they leave too little of it.

    Example:
        >>> _plain("read.file", "tool"), _plain("検索", "tool")
        ('read_file', 'tool_1b6b1a')
    """
    plain = _NOT_IN_NAMES.sub("_", name)
    kept = sum(character.isalnum() for character in plain)
    lost = sum(character.isalnum() for character in name) - kept
    is_readable = plain == name or kept > max(lost, 0)
    return plain if is_readable else f"{kind}_{_digest(name)}"


def _fit(plain: str, name: str) -> str:
    """Return a name as the endpoint takes it: 1 to 64 of a-z, A-Z, 0-9, _ and -.

    Args:
        plain: the name, as far as its characters are taken.
        name: the name itself, from which the digest in a shorter one is made.
    """
    plain = _NOT_IN_NAMES.sub("_", plain)
    return plain if len(plain) <= _MAX_NAME else f"{plain[: _MAX_NAME - _DIGEST - 1]}_{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:_DIGEST]


_checked: OrderedDict[str, toolbox.Tool | ValueError] = OrderedDict()  # each ask offers the same ones again
_checked_lock = threading.Lock()


def _check_specs(specs: Iterable[dict[str, Any]]) -> list[toolbox.Tool | ValueError]:
    """Return for each tool as it is sent one that stands for none of a server yet, or why it cannot be used."""
    return [_check_once(spec) for spec in specs]


def _check_once(spec: dict[str, Any]) -> toolbox.Tool | ValueError:
    try:
        key = hashlib.sha256(json.dumps(spec).encode()).hexdigest()
    except RecursionError:
        return ValueError("it nests too deeply")
    with _checked_lock:
        found = _checked.pop(key, None)
    found = found or _check_spec(spec)
    with _checked_lock:
        _checked[key] = found  # as the newest
        while len(_checked) > _MAX_CHECKED:
            _checked.popitem(last=False)
    return found


def _check_spec(spec: dict[str, Any]) -> toolbox.Tool | ValueError:
    try:
        if len(json.dumps(spec["function"]["parameters"])) > _MAX_SCHEMA:
            return ValueError(f"it has more than {_MAX_SCHEMA:,} characters")
        # The server's own schema checks the arguments, and the model is told what endpoints take of it.
        checked = toolbox.tool_of_server(spec, None, require_approval=None, read_only=None)
        function = spec["function"] | {"parameters": fit_schema(spec["function"]["parameters"])}
        return replace(checked, spec={**spec, "function": function})
    except (ValueError, RecursionError) as error:
        return ValueError(str(error))  # without its traceback, which would keep the schema


def _spec(remote: RemoteTool, name: str) -> dict[str, Any]:
    """Return a tool as it would be sent with the server's own schema."""
    function: dict[str, Any] = {"name": name}
    if remote.listed.description:
        function["description"] = remote.listed.description
    function["parameters"] = {key: value for key, value in remote.listed.schema.items() if key != "$schema"}
    return {"type": "function", "function": function}


class _NoSession:
    """Stands for the session of an ask without recordings."""


_NO_SESSION = _NoSession()
# By session: what was told of which tool of which server, and its definition then.
_told: weakref.WeakKeyDictionary[Any, OrderedDict[tuple[str, str], str]] = weakref.WeakKeyDictionary()


def _tell_once(remote: RemoteTool, name: str, reason: str) -> None:
    """Tell the reader that a tool is left out, until its server changes it."""
    told = _told.setdefault(_NO_SESSION if remote.session is None else remote.session, OrderedDict())
    key = remote.server.key, remote.listed.name
    if told.get(key) != remote.listed.definition:
        told[key] = remote.listed.definition
        if len(told) > _MAX_TOLD:
            told.popitem(last=False)
        tell(remote.session, f"the tool {name} of the MCP server {remote.server_name!r} is left out, since {reason}")


def _make_tool(remote: RemoteTool, spec: dict[str, Any], checked: toolbox.Tool | ValueError) -> toolbox.Tool | None:
    """Make a tool; None, with a warning, where its schema cannot be used: that costs this tool alone."""
    if isinstance(checked, ValueError):
        _tell_once(remote, spec["function"]["name"], f"its schema cannot be used: {_reason(checked)}")
        return None
    return replace(
        checked,
        remote=remote,
        require_approval=remote.server.options.require_approval,
        read_only=_is_read_only(remote),
    )


def _is_read_only(remote: RemoteTool) -> bool | None:
    """Return what is believed of a call: of a stranger only that it changes something, never that it does not."""
    listed = remote.listed
    if listed.read_only is False or listed.destructive is True:  # the two may contradict each other
        return False
    return listed.read_only if remote.is_trusted else None
