"""Build and repair the messages of a request; read and write the outcome of a tool call in its message."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import count
from typing import Any, Literal

import openai  # whole, then its parts: importing `openai.resources…` by itself costs 45 ms more CPU

from ..types import Message, ToolRun, replace_surrogates
from ..wire.accumulator import part_texts
from ..wire.call_accumulator import split_objects
from ..wire.thinking import split_thinking

__all__ = [
    "Conversation",
    "RecordedOutcome",
    "add_images",
    "assistant_message",
    "decode_outcome",
    "encode_denial",
    "encode_edit",
    "encode_result",
    "ensure_call_ids",
    "extend",
    "image_messages",
    "messages_for",
    "own_fields",
    "split_params",
    "tool_messages",
    "without_own_fields",
]

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
_KNOWN_FIELDS = (
    *("role", "content", "refusal", "tool_calls", "function_call", "audio", "annotations", "images", "parsed"),
    *("citations", "sources", "context", "logprobs", "grounding_metadata", "search_results", "index"),
)
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
# The SDK's own options of a call, which are not part of the body.
OPTIONS = ("extra_headers", "extra_query", "extra_body", "timeout")
# Parameters that `ask` names differently, or decides.
RENAMED = {
    "messages": "the prompt (a string or a list of messages) is the first argument",
    "stream": "ask always streams; for chunks of your own use amber.openai",
    "timeout": "the name is timeout_s, in seconds",
}
_IN_ASK = {
    **dict.fromkeys(("mcp", "mcp_servers", "servers"), "MCP servers go into tools=, as in tools=amber.mcp"),
    **dict.fromkeys(
        ("only", "exclude", "prefix"), "a server's tools are chosen as in tools=amber.mcp.select(only='search')"
    ),
}
_OWN = ("system", "timeout_s", "footer", "show", "model", "images", "thumbnails")
_IN_MAP = {
    "messages": "a prompt that is a function of a row may return messages",
    "stream": "amber decides that; for chunks of your own use amber.openai",
    **dict.fromkeys(
        ("max_workers", "n_workers", "workers", "num_workers", "n_jobs", "max_concurrency", "max_parallel"),
        "the name is concurrency, the requests at once",
    ),
}


def messages_for(prompt: str | Iterable[Message], system: str | None, role: str = "developer") -> list[dict[str, Any]]:
    """Return the messages to send; `system` goes first, in the role `developer`, as the vendor's page does it.

    Raises:
        TypeError: the prompt is neither a string nor message dicts.
        ValueError: there is no message, or one without a known role.
    """
    if system is not None and not isinstance(system, str):
        raise TypeError(f"system must be a str, not {type(system).__name__}")
    first = [] if system is None else [{"role": role, "content": system}]
    if isinstance(prompt, str):
        return [*first, {"role": "user", "content": prompt}]
    wanted = "prompt must be a str or a list of message dicts"
    if isinstance(prompt, (bytes, Mapping)) or not isinstance(prompt, Iterable):
        raise TypeError(f"{wanted}, not {type(prompt).__name__}")
    messages: list[Any] = []
    for number, message in enumerate(prompt):
        if not isinstance(message, Mapping):
            raise TypeError(f"{wanted}; item {number} is a {type(message).__name__}")
        if message.get("role") not in ROLES:
            raise ValueError(f"message {number} needs a 'role', one of {', '.join(ROLES)}")
        # A copy, since the caller may change the message later; one of a server's prompt stays known as such.
        is_of_server = getattr(message, "group", None) is not None
        messages.append(deepcopy(message if is_of_server else dict(message)))
    if not messages:
        raise ValueError("the list of messages is empty")
    return first + messages


def add_images(messages: list[dict[str, Any]], parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add images to the last message, after its text.

    Raises:
        ValueError: the last message is not a user's, so that no image can be part of it.
    """
    if not parts:
        return messages
    last = messages[-1]
    content = last.get("content")
    if last["role"] != "user" or not isinstance(content, (str, list)):
        raise ValueError("images belong to a user's message: the last message must be one, with content")
    content = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [*messages[:-1], {**last, "content": [*content, *map(dict, parts)]}]


def split_params(
    params: Mapping[str, Any], caller: str = "ask", own: Sequence[str] = _OWN
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide keyword arguments of `ask` or `map` into the endpoint's parameters and the SDK's options.

    Args:
        params: by their names.
        caller: the method, for messages.
        own: names of its own arguments, which may have been meant.

    Raises:
        TypeError: the endpoint has no such parameter; the message names the nearest.
    """
    known = _endpoint_parameters()
    reasons = RENAMED | (_IN_ASK if caller == "ask" else _IN_MAP)
    for name in params:
        if name in reasons:
            raise TypeError(f"{caller}() takes no {name!r}: {reasons[name]}")
        if name not in known:
            near = get_close_matches(name, [*known, *own], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise TypeError(
                f"{caller}() got an unknown parameter {name!r}.{hint} What amber_nb does not know goes into extra_body."
            )
    options = {name: value for name, value in params.items() if name in OPTIONS}
    return {name: value for name, value in params.items() if name not in OPTIONS}, options


def assistant_message(completion: openai.types.chat.ChatCompletion) -> dict[str, Any] | None:
    """Return the reply as a message to go on with; None where it has no choice.

    Fields that nobody here knows, such as a model's thinking and its signature, go back; what only tells of the reply
    (annotations, sources, the data of audio) stays in the completion.
    """
    if not completion.choices:
        return None
    reply = completion.choices[0].message.to_dict(exclude_unset=True, warnings=False)
    own = {field: _clean(value) for field, value in reply.items() if field not in _KNOWN_FIELDS and value is not None}
    message: dict[str, Any] = {"role": "assistant", "content": _content(reply.get("content")), **own}
    if refusal := reply.get("refusal"):
        message["refusal"] = replace_surrogates(str(refusal))
    if isinstance(audio := reply.get("audio"), dict) and audio.get("id"):
        message["audio"] = {"id": audio["id"]}
    calls: Any = reply.get("tool_calls") or ([{"function": call}] if (call := reply.get("function_call")) else [])
    if calls:
        functions = [each for call in calls if isinstance(call, dict) for each in _function_calls(call)]
        # Beside a text, a call without a name is nothing; alone, the model is told what is wrong with it.
        named = [each for each in functions if each["function"]["name"] or each["function"]["arguments"]]
        kept = named or ([] if reply.get("content") else functions)
        message |= {"tool_calls": kept} if kept else {}
    return message


def _clean(value: Any) -> Any:
    """Return JSON without half characters, which cannot be sent."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _content(content: Any) -> Any:
    """Return the content of a reply without thinking that was written into it; as parts where they are not all text."""
    if isinstance(content, list):
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in content):
            return _clean(content)
        content = part_texts(content)[0]
    return None if content is None else replace_surrogates(split_thinking(str(content), is_whole=True)[1])


def _function_calls(call: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a tool call in the form of a request; replies that are not streamed may lack or rename fields."""
    source = call.get("function") or call.get("custom") or {}
    if not source.get("name") and call.get("type") not in (None, "", "function", "custom"):
        return []  # one of the gateway's own tools
    call.pop("index", None)  # amber's replies have it, requests must not
    call.pop("custom", None)
    arguments = source.get("arguments") or source.get("input") or ""
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    function = {**(call.get("function") or {}), "name": source.get("name") or ""}
    first, *others = (
        {**call, "type": "function", "function": {**function, "arguments": each}} for each in split_objects(arguments)
    )
    return [first, *({**each, "id": ""} for each in others)]  # two calls may not have one id


def own_fields(messages: Iterable[Message]) -> set[str]:
    """Return the names of the fields that `without_own_fields` would leave out."""
    names: set[str] = set()
    for message in messages:
        if message.get("role") != "assistant":
            continue
        names |= message.keys() - {*_KNOWN_FIELDS, "name"}
        for call in message.get("tool_calls") or ():
            names |= call.keys() - {"id", "type", "function"}
    return names


def without_own_fields(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return messages without the fields that only the model that wrote them knows."""
    return [_without_own(message) if message.get("role") == "assistant" else dict(message) for message in messages]


def _without_own(message: Message) -> dict[str, Any]:
    known = {field: value for field, value in message.items() if field in (*_KNOWN_FIELDS, "name")}
    if isinstance(content := known.get("content"), list) and any(
        "thinking" in str(part.get("type")) for part in content
    ):
        known["content"] = part_texts(content)[0]
    if known.get("tool_calls"):
        kept = ("id", "type", "function")
        known["tool_calls"] = [{name: call[name] for name in kept if name in call} for call in known["tool_calls"]]
    return known


def ensure_call_ids(message: Mapping[str, Any], round: int) -> dict[str, Any]:
    """Return an assistant message whose tool calls have unique ids, valid names and JSON arguments.

    Some gateways leave ids out or repeat them, and then results could not be told apart; and a gateway refuses a
    conversation that holds an invalid tool name, or arguments that are not JSON.
    """
    old = message.get("tool_calls") or ()
    ids = {call.get("id") for call in old}
    calls, seen = [], set()
    for number, call in enumerate(old, start=1):
        own = replace_surrogates(call.get("id") or "")
        if not own or own in seen:
            candidates = (f"call_{round}_{number}{'_' * more}" for more in count())
            own = next(candidate for candidate in candidates if candidate not in ids)
        seen.add(own)
        function = call["function"]
        # The tool's message says what was wrong.
        name = _NOT_IN_NAMES.sub("_", function["name"])[:64] or "unnamed"
        arguments = function["arguments"] if _is_object(function["arguments"]) else "{}"
        calls.append({**call, "id": own, "function": {**function, "name": name, "arguments": arguments}})
    return {**message, "tool_calls": calls}


def _is_object(arguments: Any) -> bool:
    try:
        return isinstance(json.loads(arguments), dict) and replace_surrogates(arguments) == arguments
    except (TypeError, ValueError, RecursionError):
        return False


def tool_messages(runs: Sequence[ToolRun]) -> list[dict[str, Any]]:
    """Return the tool messages in the order of the calls; their images follow in messages of the user."""
    messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": run.call_id, "content": replace_surrogates(run.sent)} for run in runs
    ]
    for run in runs:
        if run.content is not None and run.content.images:
            parts = [dict(part) for part, _ in run.content.images]
            text = f"The picture{'s' if len(parts) > 1 else ''} that {run.name} gave:"
            messages.append({"role": "user", "content": [{"type": "text", "text": text}, *parts]})
    return messages


def image_messages(messages: Sequence[Message], runs: Sequence[ToolRun]) -> list[dict[str, Any]]:
    """Return those messages of `tool_messages` that hold the images of these runs."""
    starts = tuple(f"The picture{more} that {run.name} gave:" for run in runs for more in ("", "s"))
    return [dict(each) for each in messages if each.get("role") == "user" and _starts_with(each.get("content"), starts)]


def _starts_with(content: Any, starts: tuple[str, ...]) -> bool:
    first = content[0] if isinstance(content, list) and content else {}
    return isinstance(first, Mapping) and first.get("text") in starts


class Conversation(list[Message]):
    """The messages of a conversation that goes on, from `extend`."""


def extend(earlier: Sequence[Message], prompt: str | Iterable[Message], *, system: bool) -> Conversation:
    """Return a conversation with more messages at its end.

    Args:
        earlier: its messages so far.
        prompt: the question or messages to add.
        system: whether to drop the earlier instructions, since new ones replace them.

    Raises:
        ValueError: the model waits for the result of a tool call, and the prompt does not give it.
    """
    more = messages_for(prompt, None)
    # Many gateways refuse a message without content.
    earlier = [message for message in earlier if not _is_empty_reply(message)]
    last = max((at for at, message in enumerate(earlier) if message.get("role") == "assistant"), default=len(earlier))
    calls = earlier[last].get("tool_calls") or () if last < len(earlier) else ()
    results = {message.get("tool_call_id") for message in (*earlier[last:], *more) if message["role"] == "tool"}
    if missing := [call for call in calls if call.get("id") not in results]:
        names = ", ".join(call.get("function", {}).get("name", "?") for call in missing)
        raise ValueError(
            f"The model waits for the result of {names}. Give it first: "
            "answer.ask([{'role': 'tool', 'tool_call_id': call['id'], 'content': result}, …])"
        )
    start = 1 if system and earlier and earlier[0].get("role") in ("developer", "system") else 0
    if not calls:
        return Conversation([*earlier[start:], *more])
    # Results follow the calls at once; all else, such as images of tools, comes after them.
    ids = {call.get("id") for call in calls}
    rest = sorted([*earlier[last + 1 :], *more], key=lambda message: message.get("tool_call_id") not in ids)
    return Conversation([*earlier[start : last + 1], *rest])


def _is_empty_reply(message: Message) -> bool:
    said = any(message.get(field) for field in ("content", "refusal", "tool_calls", "function_call", "audio"))
    return message.get("role") == "assistant" and not said


@cache
def _endpoint_parameters() -> frozenset[str]:
    return frozenset(inspect.signature(openai.resources.chat.AsyncCompletions.create).parameters) - {"self"}


_DENIED = "Denied: this call was not allowed to run."
_REASON = " Reason: "
_EDITED = re.compile(r"\[The (reader|policy) changed the arguments to (?=\{)")
_FAILED = "Error: "
_RESULT = "[Result]\n"
_TIMEOUT = re.compile(r"Error: no (?:result within|sign of life for) [\d.e+]+ s\.")


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """The outcome of a call, read from a recorded tool message."""

    status: Literal["ran", "denied", "failed", "timeout"]
    text: str
    by: str | None = None
    arguments: dict[str, Any] | None = None
    reason: str = ""
    error: str | None = None


def encode_denial(reason: str) -> str:
    """Return the tool message of a call that was denied."""
    return f"{_DENIED}{_REASON}{reason}" if reason else _DENIED


def encode_edit(arguments: Mapping[str, Any], by: str) -> str:
    """Return what goes before the result of a call that ran with other arguments than the model's."""
    return f"[The {by} changed the arguments to {json.dumps(arguments, ensure_ascii=False)}]\n"


def encode_result(text: str) -> str:
    """Return a result as a tool message, marked where it reads like a denial, a failure or an edit."""
    return f"{_RESULT}{text}" if text.startswith((_RESULT, _DENIED, _FAILED, "[The reader ", "[The policy ")) else text


def decode_outcome(text: str) -> RecordedOutcome:
    """Read the outcome of a call from its tool message."""
    by, arguments = None, None
    if edited := _EDITED.match(text):
        try:
            value, end = json.JSONDecoder().raw_decode(text, edited.end())
        except (ValueError, RecursionError):  # a result that begins like an edit
            end = len(text)
        if text.startswith("]\n", end):
            by, arguments, text = edited[1], value, text[end + 2 :]
    if text.startswith(_RESULT):
        return RecordedOutcome("ran", text.removeprefix(_RESULT), by, arguments)
    if text.startswith(_DENIED):
        return RecordedOutcome("denied", text, by, arguments, reason=text.removeprefix(_DENIED).removeprefix(_REASON))
    if _TIMEOUT.fullmatch(text):
        return RecordedOutcome("timeout", text, by, arguments, error=text.removeprefix(_FAILED).rstrip("."))
    if text.startswith(_FAILED):
        return RecordedOutcome("failed", text, by, arguments, error=text.removeprefix(_FAILED))
    return RecordedOutcome("ran", text, by, arguments)
