"""Calls of MCP servers' tools: which of them ask the reader, and how they are run.

What a server says and returns is somebody else's text, which may try to have the model call other tools. So what a
server says of itself counts only where it is trusted; and once a result of one server is in the conversation, a call of
another asks: private text together with somebody else's tool is how data leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from .. import mcp_servers
from ..errors import ToolError
from ..tools import Tool
from ..types import Message, replace_surrogates
from .messages import encode_result

__all__ = ["CallReporter", "ServerApprovals", "run_remote"]

_MAX_ERROR_CHARS = 2_000  # of a tool's own error, as the model gets it


class ServerApprovals:
    """Which calls of servers' tools ask the reader, in one answer.

    Args:
        tools: by name, as they are offered.
        messages: the conversation so far, whose results count, too.
        known: the groups of tools that were offered before, by name; None for a function. Extended here.
    """

    def __init__(
        self, tools: Mapping[str, Tool], messages: Sequence[Message], known: dict[str, tuple[str, str] | None]
    ) -> None:
        for name, tool in tools.items():
            known[name] = None if tool.remote is None else (tool.remote.group, tool.remote.group_name)
        self._seen: dict[str, str] = {}  # groups whose results are in the conversation, with their names
        self._granted: set[tuple[str, str, str]] = set()
        for name in _called_tools(messages):
            group = known.get(name, ("", "an earlier tool"))
            if group is not None:
                self._seen[group[0]] = group[1]

    def must_ask(self, tool: Tool) -> bool:
        """Return whether a call asks the reader, where `ask` says nothing else."""
        if tool.remote is None or tool.require_approval:
            return bool(tool.require_approval)
        if self._others(tool):
            return True
        if tool.require_approval is False:
            return False
        return not (tool.remote.is_trusted and tool.read_only is True)

    def warnings(self, tool: Tool) -> list[str]:
        """Return what the reader should know before a call is allowed, a sentence each."""
        if tool.remote is None:
            return []
        lines = []
        if not tool.remote.is_trusted:
            lines.append(f"The MCP server '{tool.remote.server_name}' is not trusted: what it says may be false.")
        if others := self._others(tool):
            names = " and ".join(f"'{name}'" for name in others[:3])
            lines.append(
                f"Results of {names} are in this conversation: this call can pass them on to "
                f"'{tool.remote.group_name}'."
            )
        return lines

    def add_result(self, tool: Tool) -> None:
        """Note that the conversation holds a result of a tool."""
        if tool.remote is not None:
            self._seen[tool.remote.group] = tool.remote.group_name

    def grant(self, tool: Tool) -> None:
        """Allow all calls of a tool, as long as its definition stays."""
        self._granted.add(_identity(tool))

    def is_granted(self, tool: Tool) -> bool:
        """Return whether all calls of a tool were allowed."""
        return tool.remote is not None and _identity(tool) in self._granted

    def _others(self, tool: Tool) -> list[str]:
        return [name for group, name in self._seen.items() if group != tool.remote.group]


def _identity(tool: Tool) -> tuple[str, str, str]:
    return tool.remote.group, tool.remote.listed.name, tool.remote.listed.definition


def _called_tools(messages: Sequence[Message]) -> list[str]:
    """Return the names of the tools whose results are in a conversation."""
    names: dict[Any, str] = {}
    called = []
    for message in messages:
        for call in message.get("tool_calls") or ():
            function = call.get("function") if isinstance(call, Mapping) else None
            if isinstance(function, Mapping):
                names[call.get("id")] = str(function.get("name"))
        if message.get("role") in ("tool", "function"):
            called.append(names.get(message.get("tool_call_id"), str(message.get("name"))))
    return list(dict.fromkeys(called))


class CallReporter:
    """Hand on what a server tells of a call, from its own loop to the private one; notes that are late are left out.

    Args:
        note: called with the newest note, on the loop on which this was made.
        ask: asks the reader for input, there.
    """

    def __init__(
        self,
        note: Callable[[str], None],
        ask: Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]],
    ) -> None:
        self._note = note
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._newest: str | None = None

    def report(self, note: str) -> None:
        """Have the newest note shown."""
        is_under_way, self._newest = self._newest is not None, note
        if not is_under_way:
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        note, self._newest = self._newest, None
        if note is not None:
            self._note(note)

    async def ask_reader(self, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask the reader for input; None where it is refused."""
        question = asyncio.run_coroutine_threadsafe(_await(self._ask(message, schema)), self._loop)
        return await asyncio.wrap_future(question)


async def _await(value: Awaitable[Any]) -> Any:
    return await value


async def run_remote(tool: Tool, arguments: Mapping[str, Any], reporter: CallReporter) -> dict[str, Any]:
    """Run a call of a server's tool.

    Returns:
        The fields of `ToolRun` that the outcome decides.
    """
    try:
        result = await tool.remote.call(arguments, reporter)
    except mcp_servers.SilenceError:
        limit = f"no result within {tool.remote.server.options.timeout_s:g} s"
        return {"status": "timeout", "error": limit, "sent": f"Error: {limit}."}
    except ToolError as error:
        text = replace_surrogates(str(error))
        return {"status": "failed", "error": text, "sent": f"Error: {text.partition(' Its standard error')[0]}"}
    if result.is_error:
        text = result.text[:_MAX_ERROR_CHARS]
        return {"status": "failed", "error": text, "sent": f"Error: {text}", "result": result.value}
    return {"status": "ran", "result": result.value, "content": result.content, "sent": encode_result(result.text)}
