"""Messages and parameters of a request, checked before anything is sent; no display."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from itertools import count
from typing import Any

import openai  # whole, then its parts: importing `openai.resources…` by itself costs 45 ms more CPU

from ..types import Message, ToolRun, encodable

__all__ = [
    "assistant_message",
    "continued",
    "messages_for",
    "numbered_calls",
    "pictures",
    "split_params",
    "tool_messages",
    "with_images",
]

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")
# The SDK's own options of a call, which are not part of the body.
OPTIONS = ("extra_headers", "extra_query", "extra_body", "timeout")
# Named otherwise by `ask`, or decided by it.
RENAMED = {
    "messages": "the prompt (a string or a list of messages) is the first argument",
    "stream": "ask always streams; for chunks of your own use amber.openai",
    "stream_options": "ask always asks for the usage; for chunks of your own use amber.openai",
    "timeout": "the name is timeout_s, in seconds",
}


def messages_for(prompt: str | Iterable[Message], system: str | None) -> list[dict[str, Any]]:
    """The messages to send. `system` goes first, in the role `developer`, as the vendor's page does it.

    Raises:
        TypeError: the prompt is neither a string nor message dicts.
        ValueError: there is no message, or one without a known role.
    """
    if system is not None and not isinstance(system, str):
        raise TypeError(f"system must be a str, not {type(system).__name__}")
    first = [] if system is None else [{"role": "developer", "content": system}]
    if isinstance(prompt, str):
        return [*first, {"role": "user", "content": prompt}]
    wanted = "prompt must be a str or a list of message dicts"
    if isinstance(prompt, (bytes, Mapping)) or not isinstance(prompt, Iterable):
        raise TypeError(f"{wanted}, not {type(prompt).__name__}")
    messages = []
    for number, message in enumerate(prompt):
        if not isinstance(message, Mapping):
            raise TypeError(f"{wanted}; item {number} is a {type(message).__name__}")
        if message.get("role") not in ROLES:
            raise ValueError(f"message {number} needs a 'role', one of {', '.join(ROLES)}")
        messages.append(deepcopy(dict(message)))  # what the caller does with it afterwards stays the caller's
    if not messages:
        raise ValueError("the list of messages is empty")
    return first + messages


def with_images(messages: list[dict[str, Any]], parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with images in the last of them, after its text.

    Raises:
        ValueError: the last message is not a user's, so that no image can be part of it.
    """
    if not parts:
        return messages
    last = messages[-1]
    said = last.get("content")
    if last["role"] != "user" or not isinstance(said, (str, list)):
        raise ValueError("images belong to a user's message: the last message must be one, with content")
    said = [{"type": "text", "text": said}] if isinstance(said, str) else said
    return [*messages[:-1], {**last, "content": [*said, *map(dict, parts)]}]


def split_params(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide the keywords of `ask` into the endpoint's parameters and the SDK's options.

    Raises:
        TypeError: a name that the endpoint does not have, with the nearest that it has.
    """
    known = _endpoint_parameters()
    for name in params:
        if name in RENAMED:
            raise TypeError(f"ask() takes no {name!r}: {RENAMED[name]}")
        if name not in known:
            near = get_close_matches(
                name, [*known, "system", "timeout_s", "footer", "show", "model", "images", "thumbnails"], n=1
            )
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise TypeError(
                f"ask() got an unknown parameter {name!r}.{hint} What amber_nb does not know goes into extra_body."
            )
    options = {name: value for name, value in params.items() if name in OPTIONS}
    return {name: value for name, value in params.items() if name not in OPTIONS}, options


def assistant_message(completion: openai.types.chat.ChatCompletion) -> dict[str, Any] | None:
    """The reply as a message to go on with; None where nothing was said."""
    if not completion.choices:
        return None
    said = completion.choices[0].message
    content = None if said.content is None else encodable(said.content)
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if said.refusal:
        message["refusal"] = encodable(said.refusal)
    if said.tool_calls:
        message["tool_calls"] = [_function_call(call.to_dict(exclude_unset=True)) for call in said.tool_calls]
    return message


def _function_call(call: dict[str, Any]) -> dict[str, Any]:
    """A tool call as a request may hold it, whatever a reply that was not streamed has left out or calls otherwise."""
    call.pop("index", None)  # amber's replies carry it; requests have no such field
    said = call.get("function") or call.pop("custom", None) or {}
    function = {"name": said.get("name") or "", "arguments": said.get("arguments") or said.get("input") or ""}
    return {**call, "type": "function", "function": {**(call.get("function") or {}), **function}}


def numbered_calls(said: Mapping[str, Any], round: int) -> dict[str, Any]:
    """An assistant's message whose tool calls have ids, each its own, names that may be sent, and arguments of JSON.

    Some gateways leave ids out or repeat them, and then no result could be told from another; and a conversation that
    holds a name which no tool may have, or arguments which are no JSON, is turned down.
    """
    given = {call.get("id") for call in said.get("tool_calls") or ()}
    calls, seen = [], set()
    for number, call in enumerate(said.get("tool_calls") or (), start=1):
        own = encodable(call.get("id") or "")
        if not own or own in seen:
            made = (f"call_{round}_{number}{'_' * more}" for more in count())
            own = next(one for one in made if one not in given)
        seen.add(own)
        said_of = call["function"]
        # What was wrong is told in the tool's message.
        name = _NO_NAME.sub("_", said_of["name"])[:64] or "unnamed"
        arguments = said_of["arguments"] if _is_object(said_of["arguments"]) else "{}"
        calls.append({**call, "id": own, "function": {**said_of, "name": name, "arguments": arguments}})
    return {**said, "tool_calls": calls}


def _is_object(arguments: Any) -> bool:
    try:
        return isinstance(json.loads(arguments), dict) and encodable(arguments) == arguments
    except (TypeError, ValueError, RecursionError):
        return False


def tool_messages(runs: Sequence[ToolRun]) -> list[dict[str, Any]]:
    """What the tools told, in the order of their calls; pictures follow in a message of the user's."""
    messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": run.call_id, "content": encodable(run.sent)} for run in runs
    ]
    for run in runs:
        if run.told is not None and run.told.images:
            parts = [dict(part) for part, _ in run.told.images]
            said = {"type": "text", "text": f"The picture{'s' if len(parts) > 1 else ''} that {run.name} gave:"}
            messages.append({"role": "user", "content": [said, *parts]})
    return messages


def pictures(messages: Sequence[Message], runs: Sequence[ToolRun]) -> list[dict[str, Any]]:
    """Those messages of `tool_messages` that hold pictures which these runs gave."""
    starts = tuple(f"The picture{more} that {run.name} gave:" for run in runs for more in ("", "s"))
    return [dict(one) for one in messages if one.get("role") == "user" and _says(one.get("content"), starts)]


def _says(content: Any, starts: tuple[str, ...]) -> bool:
    first = content[0] if isinstance(content, list) and content else {}
    return isinstance(first, Mapping) and first.get("text") in starts


def continued(earlier: Sequence[Message], prompt: str | Iterable[Message], *, system: bool) -> list[Message]:
    """A conversation with more at its end.

    Args:
        earlier: its messages so far.
        prompt: what is added.
        system: whether new instructions replace the earlier ones.

    Raises:
        ValueError: the model waits for the result of a tool call, and the prompt does not give it.
    """
    more = messages_for(prompt, None)
    last = max((at for at, message in enumerate(earlier) if message.get("role") == "assistant"), default=len(earlier))
    calls = earlier[last].get("tool_calls") or () if last < len(earlier) else ()
    given = {message.get("tool_call_id") for message in (*earlier[last:], *more) if message["role"] == "tool"}
    if missing := [call for call in calls if call.get("id") not in given]:
        names = ", ".join(call.get("function", {}).get("name", "?") for call in missing)
        raise ValueError(
            f"The model waits for the result of {names}. Give it first: "
            "answer.ask([{'role': 'tool', 'tool_call_id': call['id'], 'content': result}, …])"
        )
    start = 1 if system and earlier and earlier[0].get("role") in ("developer", "system") else 0
    if not calls:
        return [*earlier[start:], *more]
    # Results stand right behind the calls; what else there is, such as pictures that tools gave, comes after them.
    ids = {call.get("id") for call in calls}
    behind = sorted([*earlier[last + 1 :], *more], key=lambda message: message.get("tool_call_id") not in ids)
    return [*earlier[start : last + 1], *behind]


@cache
def _endpoint_parameters() -> frozenset[str]:
    return frozenset(inspect.signature(openai.resources.chat.AsyncCompletions.create).parameters) - {"self"}
