"""Calls of MCP servers' tools: which of them ask the reader, and how they are run.

What a server says and returns is somebody else's text, which may try to have the model call other tools. So what a
server says of itself counts only where it is trusted; and once a result of one server is in the conversation, a call of
another asks: private text together with somebody else's tool is how data leaves.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import mcp_servers
from .. import tools as toolbox
from ..errors import ToolError
from ..types import Message, ToolRun, replace_surrogates
from .messages import encode_result

__all__ = ["CallReporter", "KnownResults", "Origin", "ServerApprovals", "describe_error", "run_remote"]

_MAX_RESULTS = 100_000  # that a client knows


@dataclass(frozen=True)
class Origin:
    """The server group that a result came from.

    Attributes:
        group: see `RemoteTool.group`.
        name: of the group, for readers.
    """

    group: str
    name: str


# Of a result that this client does not know: of another client, or written by hand.
_UNKNOWN = Origin("", "an earlier tool")


class KnownResults:
    """Remember which server each result of this client came from.

    Keyed by the result, since a tool's name may be reused. Of more than 100,000 results the oldest are forgotten, and
    count as results that this client does not know, after which calls ask; prompts, which are few, are kept.
    """

    def __init__(self) -> None:
        self._results: OrderedDict[bytes, frozenset[Origin]] = OrderedDict()  # the newest last
        self._prompts: dict[bytes, frozenset[Origin]] = {}
        self._lock = threading.Lock()  # asks run on the private loop, and begin in their callers' threads

    def add(self, call_id: str, content: str, origin: Origin | None) -> None:
        """Note which server a result came from.

        Args:
            call_id: of the call.
            content: of the tool's message.
            origin: None: a function of the caller's, or the call has not run.
        """
        key = _digest(call_id, content)
        with self._lock:
            origins = self._results.pop(key, frozenset())
            self._results[key] = origins if origin is None else origins | {origin}
            while len(self._results) > _MAX_RESULTS:
                self._results.popitem(last=False)

    def add_prompt(self, prompt: Any) -> None:
        """Note which messages of a prompt are of servers, from `McpServer.prompt`; any others are the user's words.

        Args:
            prompt: of `ask`: a question, or messages.
        """
        if isinstance(prompt, str) or not isinstance(prompt, Iterable) or isinstance(prompt, Iterator):
            return
        for message in prompt:
            # Marks of PromptMessage and PromptMessages, whose module a plain ask does not load.
            marked: Any = message if getattr(message, "group", None) is not None else prompt
            group = getattr(marked, "group", None)
            if group is None:
                continue
            with self._lock:
                for key in _prompt_keys(message):
                    self._prompts[key] = self._prompts.get(key, frozenset()) | {Origin(group, marked.server)}

    def find(self, message: Message) -> set[Origin]:
        """Return which servers the result or the prompt in a message came from.

        Returns:
            None of a function's result, and of the user's words.
        """
        if message.get("role") not in ("tool", "function"):
            keys = _prompt_keys(message) if self._prompts else ()  # images are large
            return set().union(*(self._prompts.get(key, ()) for key in keys))
        key = _digest(str(message.get("tool_call_id")), str(message.get("content")))
        with self._lock:
            if key not in self._results:
                return {_UNKNOWN}
            self._results.move_to_end(key)
            return set(self._results[key])


def _prompt_keys(message: Message) -> list[bytes]:
    """Return the keys of a prompt's message: of its content, and of its parts, beside which `ask` may put images."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") if isinstance(part, Mapping) else part for part in parts)
    inner = (text or str(part) for text, part in zip(texts, parts, strict=True))
    return [_digest("", str(each)) for each in (content, *inner)]


def _digest(call_id: str, content: str) -> bytes:
    text = f"{call_id}\n{content}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


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


def describe_error(error: ToolError) -> dict[str, Any]:
    """Return the outcome of a call without an answer, see `run_remote`; the standard error is for the reader alone."""
    text = replace_surrogates(str(error))
    return {"status": "failed", "error": text, "sent": f"Error: {text.partition(' Its standard error')[0]}"}


async def run_remote(tool: toolbox.Tool, arguments: Mapping[str, Any], reporter: CallReporter) -> dict[str, Any]:
    """Run a call of a server's tool.

    Args:
        tool: the tool.
        arguments: of the call, checked.
        reporter: hears what the server tells and asks meanwhile.

    Returns:
        The fields of `ToolRun` that the outcome decides.
    """
    try:
        result = await tool.remote.call(arguments, reporter)
    except mcp_servers.SilenceError:
        limit = f"no sign of life for {tool.remote.server.options.timeout_s:g} s"
        return {"status": "timeout", "error": limit, "sent": f"Error: {limit}."}
    except ToolError as error:
        return describe_error(error)
    if result.is_error:
        # The text of a failure is short already, see `read_result`.
        sent = f"Error: {result.text}"
        return {"status": "failed", "error": result.content.text, "sent": sent, "result": result.value}
    return {"status": "ran", "result": result.value, "content": result.content, "sent": encode_result(result.text)}
