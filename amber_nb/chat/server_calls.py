"""Calls of MCP servers' tools: which of them ask the reader, and how they are run.

What a server says and returns is somebody else's text, which may try to have the model call other tools. So what a
server says of itself counts only where it is trusted; and once a result of one server is in the conversation, a call of
another asks: private text together with somebody else's tool is how data leaves.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import mcp_servers
from .. import tools as toolbox
from ..errors import ToolError
from ..types import Message, ToolRun, replace_surrogates
from .messages import encode_result

__all__ = ["CallReporter", "KnownResults", "Origin", "ServerApprovals", "run_remote"]

_MAX_ERROR_CHARS = 2_000  # of a tool's own error, as the model gets it


@dataclass(frozen=True)
class Origin:
    """Whose a result is: its group, see `RemoteTool.group`, and the group's name for readers."""

    group: str
    name: str


# Of a result that this client does not know: of another client, or written by hand.
_UNKNOWN = Origin("", "an earlier tool")


class KnownResults:
    """Whose the results are that a client has had, by the result itself: a name may be another tool's tomorrow."""

    def __init__(self) -> None:
        self._origins: dict[str, set[Origin]] = {}

    def add(self, call_id: str, content: str, origin: Origin | None) -> None:
        """Note whose a result is; None: of a function of the caller's, or no result."""
        self._origins.setdefault(_digest(call_id, content), set()).update([origin] if origin is not None else [])

    def add_prompt(self, prompt: Any) -> None:
        """Note whose the messages of a server's prompt are, from `McpServer.prompt`; any other prompt is the user's."""
        group = getattr(prompt, "group", None)  # of PromptMessages, whose module a plain ask does not load
        if group is None:
            return
        for message in prompt:
            self.add("", str(message.get("content")), Origin(group, prompt.server))

    def find(self, message: Message) -> set[Origin]:
        """Return whose the result or the prompt in a message is; empty for a function's, and for the user's words."""
        is_result = message.get("role") in ("tool", "function")
        key = _digest(str(message.get("tool_call_id")) if is_result else "", str(message.get("content")))
        return self._origins.get(key, {_UNKNOWN} if is_result else set())


def _digest(call_id: str, content: str) -> str:
    text = f"{call_id}\n{content}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class ServerApprovals:
    """Which calls of servers' tools ask the reader, in one answer.

    Args:
        tools: by name, as they are offered.
        messages: the conversation so far, whose results count, too.
        known: the client's results; extended here.
    """

    def __init__(self, tools: Mapping[str, toolbox.Tool], messages: Sequence[Message], known: KnownResults) -> None:
        self._known = known
        self._seen: dict[Origin, None] = {}  # whose results, and prompts, are in the conversation
        self._granted: dict[tuple[str, str, str], frozenset[str]] = {}  # by the tool, with the groups seen then
        own_calls = _calls_of(messages, {name for name, tool in tools.items() if not tool.runs_here})
        for message in messages:
            origins = known.find(message)
            if message.get("tool_call_id") in own_calls:  # the caller has run it, and given its result
                origins = origins - {_UNKNOWN}
            self._seen.update(dict.fromkeys(sorted(origins, key=lambda origin: origin.name)))

    def must_ask(self, tool: toolbox.Tool) -> bool:
        """Return whether a call asks the reader, where `ask` says nothing else."""
        if tool.remote is None or tool.require_approval:
            return bool(tool.require_approval)
        if self._others(tool):
            return True
        if tool.require_approval is False:
            return False
        return not (tool.remote.is_trusted and tool.read_only is True)

    def warnings(self, tool: toolbox.Tool) -> list[str]:
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

    def add_result(self, tool: toolbox.Tool | None, run: ToolRun) -> None:
        """Note that the conversation holds the result of a call."""
        origin = None
        if tool is not None and tool.remote is not None and run.status in ("ran", "failed"):
            origin = Origin(tool.remote.group, tool.remote.group_name)
            self._seen[origin] = None
        self._known.add(run.call_id, replace_surrogates(run.sent), origin)

    def grant_of(self, tool: toolbox.Tool) -> tuple[Any, ...] | None:
        """Return what an "Allow all" holds for: one tool of one definition, and what the reader knew then."""
        return None if tool.remote is None else (*_identity(tool), self._groups_beside(tool))

    def grant(self, tool: toolbox.Tool) -> None:
        """Allow all calls of a tool, as long as its definition stays, and no other server's result comes."""
        self._granted[_identity(tool)] = self._groups_beside(tool)

    def is_granted(self, tool: toolbox.Tool) -> bool:
        """Return whether all calls of a tool were allowed, when all that it could pass on was there."""
        granted = self._granted.get(_identity(tool)) if tool.remote is not None else None
        return granted is not None and self._groups_beside(tool) <= granted

    def _groups_beside(self, tool: toolbox.Tool) -> frozenset[str]:
        return frozenset(origin.group for origin in self._seen if origin.group != tool.remote.group)

    def _others(self, tool: toolbox.Tool) -> list[str]:
        return [origin.name for origin in self._seen if origin.group != tool.remote.group]


def _identity(tool: toolbox.Tool) -> tuple[str, str, str]:
    return tool.remote.group, tool.remote.listed.name, tool.remote.listed.definition


def _calls_of(messages: Sequence[Message], names: set[str]) -> set[Any]:
    """Return the ids of the calls of these tools in a conversation."""
    calls = [call for message in messages for call in message.get("tool_calls") or () if isinstance(call, Mapping)]
    return {call.get("id") for call in calls if (call.get("function") or {}).get("name") in names}


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


async def run_remote(tool: toolbox.Tool, arguments: Mapping[str, Any], reporter: CallReporter) -> dict[str, Any]:
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
