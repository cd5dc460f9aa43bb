"""The events of a streamed chat completion, folded into one completion; sans-IO and strict.

A stream is whole when a finish_reason came for every choice that was asked for. `[DONE]` is not needed and makes
nothing whole; but a reply that goes on after it is not in order. Anything else is a `Cut`, and what is not a chat
completion at all is `Garbled`. Both are turned into the public errors by `call`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jiter
from openai.types.chat import ChatCompletion

from .gist import gist, message
from .sse import Event

__all__ = ["Cut", "Fold", "Garbled", "GatewayFault", "parsed"]

_START = 200  # characters of what came, for a message
_HALF = re.compile("[\ud800-\udbff]")


class Cut(Exception):
    """The stream ended early."""


class Garbled(Exception):
    """An event or a body is not part of a chat completion; the argument begins with what came."""


class GatewayFault(Exception):
    """The gateway reported an error in the middle of the stream. `.error`: its JSON object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(message(error) or gist(json.dumps(error)))
        self.error = error


class Fold:
    """Adds up the deltas of a stream.

    `feed` takes one event after the other, `close` tells whether the reply is whole, `completion` builds it – at any
    time, so that what had arrived of a stopped reply is not lost.
    """

    def __init__(self) -> None:
        self.done = False
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._choices: dict[int, _Choice] = {}

    def feed(self, event: Event) -> str:
        """Add one event; returns the text it adds to the first choice (content or refusal).

        Raises:
            Garbled: the event is no JSON object of the stream's kind.
            GatewayFault: it is an error object.
            Cut: it goes on with a reply that was said to be done.
        """
        data = event.data.strip()
        if not data or event.name == b"ping":
            return ""  # a keep-alive
        if data == b"[DONE]":
            self.done = True
            return ""
        try:
            chunk = parsed(data)
        except Garbled:
            if event.name == b"error":
                raise GatewayFault({"message": gist(data, _START)}) from None
            raise
        if not isinstance(chunk, dict):
            raise Garbled(gist(data, _START))
        choices = chunk.get("choices")
        failed = chunk.get("object") == "error" or (chunk.get("detail") and not choices)
        if chunk.get("error") or event.name == b"error" or failed:
            error = chunk.get("error", chunk)
            raise GatewayFault(error if isinstance(error, dict) else {"message": str(error)})
        if not self._head:
            self._head = {name: value for name, value in chunk.items() if name not in ("choices", "usage", "object")}
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        if not isinstance(choices, list):
            raise Garbled(gist(data, _START))
        try:
            if self.done and any(_says(raw) for raw in choices):
                raise Cut("[DONE] came in the middle of the reply")
            return "".join(self._add(raw) for raw in choices)
        except (AttributeError, KeyError, TypeError, ValueError):  # some field is not of its kind
            raise Garbled(gist(data, _START)) from None

    def _add(self, raw: dict[str, Any]) -> str:
        index = int(raw.get("index") or 0)
        added = self._choices.setdefault(index, _Choice(index)).add(raw)
        return added if index == 0 else ""

    @property
    def begun(self) -> bool:
        """Whether something of a reply has come."""
        return bool(self._choices)

    def close(self, choices: int = 1) -> None:
        """The body has ended.

        Args:
            choices: how many were asked for (`n`).

        Raises:
            Cut: it ended before the reply did.
        """
        if not self._choices:
            if self.done:
                raise Garbled("[DONE], and nothing before it")
            raise Cut("nothing of a reply came")
        if any(choice.finish_reason is None for choice in self._choices.values()):
            raise Cut("no finish_reason came")
        if len(self._choices) < choices or 0 not in self._choices:
            raise Cut(f"{len(self._choices)} of {choices} choices came")

    @property
    def text(self) -> str:
        """Content of the first choice so far."""
        return _joined(self._first.content)

    @property
    def refusal(self) -> str | None:
        return _joined(self._first.refusal) or None

    @property
    def reasoning(self) -> str | None:
        """What a gateway sends as `reasoning_content`, beside the documented fields."""
        return _joined(self._first.reasoning) or None

    @property
    def activity(self) -> str:
        """What the model does now that adds no text: a word or two for a status line, or ""."""
        first = self._first
        if first.calls:
            return f"calling {first.calls[-1]['function']['name']}"
        return "thinking" if first.reasoning and not first.content else ""

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments, as far as they are written, of the first choice's tool calls."""
        return [(call["function"]["name"], _joined(call["function"]["arguments"])) for call in self._first.calls]

    @property
    def finish_reason(self) -> str | None:
        return self._first.finish_reason

    @property
    def _first(self) -> _Choice:
        return self._choices.get(0) or _Choice(0)

    def completion(self) -> ChatCompletion:
        """The completion as the SDK would have built it from a reply that is not streamed."""
        choices = [choice.whole() for _, choice in sorted(self._choices.items())]
        whole: dict[str, Any] = {"id": "", "created": 0, "model": "", **self._head}
        whole |= {"object": "chat.completion", "choices": choices, "usage": self._usage}
        return ChatCompletion.model_construct(None, **whole)


class _Choice:
    def __init__(self, index: int) -> None:
        self.index = index
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.finish_reason: str | None = None
        self._by_index: dict[int, dict[str, Any]] = {}
        self._said_content = False

    def add(self, raw: dict[str, Any]) -> str:
        self.finish_reason = raw.get("finish_reason") or self.finish_reason
        # Some gateways send the whole message as one chunk.
        delta = raw.get("delta") or ("delta" not in raw and raw.get("message")) or {}
        shown = ""
        if (text := _text(delta, "content")) is not None:
            self._said_content = True
            self.content.append(text)
            shown = text
        if text := _text(delta, "refusal"):
            self.refusal.append(text)
            shown += text
        if text := _text(delta, "reasoning_content"):
            self.reasoning.append(text)
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        return shown

    def _add_call(self, raw: dict[str, Any]) -> None:
        index = raw.get("index")
        if index is None:  # some gateways leave it out: a new id begins a new call, no id goes on with the last one
            known = next((i for i, call in self._by_index.items() if raw.get("id") and call["id"] == raw["id"]), None)
            index = known if known is not None else len(self.calls) if raw.get("id") else max(len(self.calls) - 1, 0)
        call = self._by_index.get(index)
        if call is not None and call["id"] and _text(raw, "id") not in ("", None, call["id"]) and _begins(raw):
            call = None  # some gateways give all calls of a reply the same index
        if call is None:
            call = {"id": "", "type": "function", "function": {"name": "", "arguments": []}}
            self._by_index[index] = call
            self.calls.append(call)
        function = raw.get("function") or {}
        call["id"] = _text(raw, "id") or call["id"]
        call["type"] = _text(raw, "type") or call["type"]
        call["function"]["name"] = _text(function, "name") or call["function"]["name"]
        if text := _text(function, "arguments"):
            call["function"]["arguments"].append(text)  # joined at the end: adding to a string each time is quadratic

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": _joined(self.content)
            if self._said_content and (self.content != [""] or not self.calls)
            else None,
            "refusal": _joined(self.refusal) or None,
            "tool_calls": [_called(call) for call in self.calls] or None,
        }
        if self.reasoning:
            message["reasoning_content"] = _joined(self.reasoning)
        return {"index": self.index, "finish_reason": self.finish_reason, "logprobs": None, "message": message}


def _says(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    return bool(choice.get("finish_reason") or delta.get("content") or delta.get("tool_calls"))


def _begins(raw: dict[str, Any]) -> bool:
    function = raw.get("function")
    return isinstance(function, dict) and bool(function.get("name"))


def _called(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {**call, "function": {**function, "arguments": _joined(function["arguments"])}}


def _joined(pieces: list[str]) -> str:
    """The pieces as one text: where a character outside the BMP was cut into its two surrogates, it is whole again."""
    text = "".join(pieces)
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _text(part: dict[str, Any], name: str) -> str | None:
    value = part.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(name)
    return value


def parsed(data: bytes) -> Any:
    """The JSON value of an event or a body.

    Raises:
        Garbled: it is none.
    """
    try:
        return jiter.from_json(data, cache_mode="keys")
    except ValueError:
        pass
    try:
        return json.loads(data)  # jiter rejects lone surrogates, which JSON permits
    except (ValueError, RecursionError):
        raise Garbled(gist(data, _START)) from None
