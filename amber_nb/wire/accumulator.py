"""Add up the events of a streamed reply to a chat completion, as if it had not been streamed; sans-IO.

What can only mean one thing is read, whatever its form, and nothing that a gateway says is dropped. What is broken is
an exception, which `completion.py` turns into a public one: `IncompleteStream`, `MalformedEvent` or `GatewayError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from openai.types.chat import ChatCompletion

from ..error_body import error_message, summarize
from ..types import Delta, ReasoningDelta, Source, TextDelta, ToolCallDelta, finish_kind
from .call_accumulator import CallAccumulator
from .merge import merge, set_first
from .sources import SOURCE_FIELDS, read_sources
from .stream import Event, MalformedEvent, parse_json
from .thinking import ThinkingSplitter, split_thinking

__all__ = ["CompletionAccumulator", "GatewayError", "IncompleteStream", "part_texts", "read_tool_names"]

_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")  # of a message; of two, the first that came counts
_REASONING_PARTS = ("thinking_blocks", "reasoning_details")  # the same in parts, with signatures
_SOURCE_HOLDERS = (*SOURCE_FIELDS, "context", "grounding_metadata", "groundingMetadata", "provider_specific_fields")
_PINGS = re.compile(rb"ping|pong|heart[ -]?beat|keep[ -_]?alive|", re.IGNORECASE)
_EVENTS = (b"", b"message", b"error", b"data", b"delta", b"completion", b"chunk", b"chat.completion.chunk", b"done")
_QUOTED_CHARS = 200  # of an event, in an error message
_HIGH_SURROGATE = re.compile("[\ud800-\udbff]")


class IncompleteStream(Exception):
    """The stream ended before the reply did; the message says how."""


class GatewayError(Exception):
    """The gateway reported an error in the middle of the stream. `.error`: its JSON object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error_message(error) or summarize(json.dumps(error)))
        self.error = error


class CompletionAccumulator:
    """Add up the deltas of a stream to a completion.

    A stream is whole when a finish_reason came for every choice that was asked for. `[DONE]` is not needed and makes
    nothing whole; but a reply that goes on after it is not in order. `completion` builds what has come at any time, so
    that nothing of a stopped reply is lost.

    Args:
        tool_names: of the functions that the model may call: they tell a name in pieces from the name of another call.

    Attributes:
        done: whether `[DONE]` came.
        activity: grows with each event that is part of a reply; not with pings.
        named_sources: whether an event since `take_sources` may have named sources.
    """

    def __init__(self, tool_names: Collection[str] = ()) -> None:
        self.done = False
        self.activity = 0
        self.named_sources = False
        self._tool_names = tool_names
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._foreign = b""  # the first event that is no part of a reply

    def feed(self, event: Event) -> list[Delta]:
        """Add an event, and return what it adds to the first choice; its text is content or refusal.

        Raises:
            MalformedEvent: the event is not JSON, or a field of it is not of its kind.
            GatewayError: it is an error object.
            IncompleteStream: the reply goes on after `[DONE]`.
        """
        data = event.data.strip()
        if event.name == b"ping" or _PINGS.fullmatch(data):
            return []
        if data == b"[DONE]":
            self.done = True
            return []
        try:
            value = parse_json(data)
        except MalformedEvent:
            if event.name == b"error":
                raise GatewayError({"message": summarize(data, _QUOTED_CHARS)}) from None
            if self._is_whole or event.name not in _EVENTS:
                return []  # noise: behind the end, or of another kind by its name
            raise
        added: list[Delta] = []
        for chunk in value if _are_chunks(value) else [value]:
            added += self._add_chunk(chunk, event.name, data)
        return added

    def _add_chunk(self, chunk: Any, name: bytes, data: bytes) -> list[Delta]:
        if not isinstance(chunk, dict):
            self._foreign = self._foreign or data
            return []
        choices = chunk.get("choices")
        _raise_if_error(chunk, name)
        if not choices:
            self._foreign = self._foreign or data
            if "type" in chunk and _PINGS.fullmatch(str(chunk["type"]).encode("utf-8", "replace")):
                return []
            if name not in _EVENTS:  # of an event of another kind only what is known
                chunk = {field: value for field, value in chunk.items() if field in ("usage", *SOURCE_FIELDS)}
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage |= {field: value for field, value in usage.items() if value is not None}
        for field, value in chunk.items():
            if field not in ("choices", "usage", "object", "obfuscation") and self._head.get(field, self) != value:
                set_first(self._head, field, value)
                self.named_sources = self.named_sources or bool(value and field in _SOURCE_HOLDERS)
        if not choices:
            return []
        self.activity += 1
        choices = [choices] if isinstance(choices, dict) else choices
        if not isinstance(choices, list):
            raise MalformedEvent(summarize(data, _QUOTED_CHARS))
        try:
            if self.done and any(_adds_to_reply(raw, is_finished=self._is_finished) for raw in choices if raw):
                raise IncompleteStream("[DONE] came in the middle of the reply")
            return [delta for raw in choices if raw is not None for delta in self._add(raw)]
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # some field is not of its kind
            raise MalformedEvent(summarize(data, _QUOTED_CHARS)) from None

    def _add(self, raw: dict[str, Any]) -> list[Delta]:
        index = int(raw.get("index") or 0)
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(index, self._tool_names)
        added = choice.add(raw)
        self.named_sources = self.named_sources or choice.take_named_sources()
        return added if index == 0 else []

    def take_sources(self) -> tuple[Source, ...]:
        """Return the sources that the reply has named so far."""
        self.named_sources = False
        return read_sources({**self._head, "choices": [self._first.without_text()]})

    @property
    def started(self) -> bool:
        """Whether a part of a reply has come."""
        return bool(self._choices)

    @property
    def _is_finished(self) -> bool:
        choices = self._choices.values()
        return bool(choices) and all(choice.finish_reason is not None for choice in choices)

    @property
    def _is_whole(self) -> bool:
        return self.done or self._is_finished

    def close(self, choices: int = 1) -> None:
        """Check that the reply is whole, with as many choices as were asked for, now that the body has ended.

        Raises:
            IncompleteStream: it ended before the reply did.
            MalformedEvent: what came is no reply at all.
        """
        if not self._choices:
            if self._foreign:
                raise MalformedEvent(summarize(self._foreign, _QUOTED_CHARS))
            if self.done:
                raise MalformedEvent("[DONE], and nothing before it")
            raise IncompleteStream("nothing of a reply came")
        if any(choice.finish_reason is None for choice in self._choices.values()):
            raise IncompleteStream("no finish_reason came")
        if len(self._choices) < choices or (choices > 1 and 0 not in self._choices):
            hint = ", and maybe this gateway cannot stream several: ask several times, or unstreamed with amber.openai"
            raise IncompleteStream(f"{len(self._choices)} of {choices} choices came{hint if choices > 1 else ''}")

    @property
    def text(self) -> str:
        """The text of the first choice so far, without the thinking that a model wrote into it."""
        return self._first.split()[1]

    @property
    def refusal(self) -> str | None:
        return join_text(self._first.texts.get("refusal", ())) or None

    @property
    def reasoning(self) -> str | None:
        """The model's thinking: of a field of its own, of parts of the content, or written into the text."""
        texts = dict.fromkeys((join_text(self._first.reasoning), self._first.split()[0]))  # some send it twice
        return "\n\n".join(filter(None, texts)) or None

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments of the first choice's tool calls, as far as they are written."""
        older = self._first.calls.function_call()
        functions = [call["function"] for call in self._first.calls.build()] or ([older] if older else [])
        return [(function["name"], function["arguments"]) for function in functions]

    @property
    def finish_reason(self) -> str | None:
        return self._first.finish_reason

    @property
    def _first(self) -> _Choice:
        if len(self._choices) == 1:  # by whatever number
            return next(iter(self._choices.values()))
        return self._choices.get(0) or _Choice(0, ())

    @property
    def usage(self) -> dict[str, Any] | None:
        """The usage so far, without the counts that are null."""
        # Some tell it in a choice, or in a field of their own.
        inner = self._head.get("x_groq")
        first = self._choices[min(self._choices)] if self._choices else None
        others = (first and first.usage, inner.get("usage") if isinstance(inner, dict) else None)
        return self._usage or next((other for other in others if isinstance(other, dict)), {}) or None

    def label(self, field: str) -> str | None:
        """Return a text that stands beside the choices, as the model's name; None where it is none, or empty."""
        value = self._head.get(field)
        return value if isinstance(value, str) and value else None

    def completion(self) -> ChatCompletion:
        """Build the completion as the SDK builds it from a reply that is not streamed."""
        choices = [choice.build() for _, choice in sorted(self._choices.items())]
        fields: dict[str, Any] = {"id": "", "created": 0, "model": "", **self._head}
        fields |= {"object": "chat.completion", "choices": choices, "usage": self.usage}
        return ChatCompletion.model_construct(None, **fields)


class _Choice:
    """One choice: its texts in pieces, since adding to a string each time is quadratic, and all other fields merged."""

    def __init__(self, index: int, tool_names: Collection[str]) -> None:
        self.index = index
        self.texts: dict[str, list[str]] = {}
        self.reasoning: list[str] = []
        self.calls = CallAccumulator(tool_names)
        self.finish_reason: str | None = None
        self._content_parts: list[dict[str, Any]] = []  # where content came as parts: all of it, texts merged
        self._reasoning_field: str | None = None
        self._message: dict[str, Any] = {}
        self._fields: dict[str, Any] = {}  # of the choice, beside its message
        self._thinking = ThinkingSplitter()
        self._named_sources = False

    def take_named_sources(self) -> bool:
        """Return whether sources may have been named since the last time."""
        named, self._named_sources = self._named_sources, False
        return named

    def add(self, raw: dict[str, Any]) -> list[Delta]:
        if raw.get("error"):
            _raise_if_error(raw, b"")
        reason = raw.get("finish_reason")
        if isinstance(reason, dict):
            reason = reason.get("type")
        if reason and not isinstance(reason, str):
            raise TypeError("finish_reason")
        self.finish_reason = reason or self.finish_reason
        if finish_kind(self.finish_reason) == "error":
            raise GatewayError({"message": f"the model failed (finish_reason {self.finish_reason!r})"})
        for field, value in raw.items():
            if field == "logprobs":
                self._add_logprobs(value)
            elif field not in ("index", "delta", "message", "finish_reason", "text", "error"):
                merge(self._fields, field, value)
        # Some gateways send the whole message as one chunk, also at the end once more; and some what the older endpoint
        # for text sends.
        delta = raw.get("delta") or raw.get("text") or {}
        if not delta and "delta" not in raw and isinstance(raw.get("message"), dict):
            delta = {field: self._news(field, value) for field, value in raw["message"].items()}
        if isinstance(delta, str):
            delta = {"content": delta}
        elif "text" in delta and "content" not in delta:
            delta = {**delta, "content": delta["text"]}
            del delta["text"]
        added: list[Delta] = []
        for field, value in delta.items():
            added += self._add_field(field, value)
        return added

    def _news(self, field: str, value: Any) -> Any:
        """Return what a text that comes whole adds to what has come of it."""
        known = join_text(self.texts.get(field, ()))
        return value[len(known) :] if known and isinstance(value, str) and value.startswith(known) else value

    def _add_field(self, field: str, value: Any) -> list[Delta]:
        if field == "content":
            return self._add_content(value)
        if field == "tool_calls":
            calls = [value] if isinstance(value, dict) else value
            return [ToolCallDelta(*call) for raw in calls or () for call in self.calls.add(raw)]
        if field == "function_call" and isinstance(value, dict):
            return [ToolCallDelta(*call) for call in self.calls.add_function_call(value)]
        if field == "refusal" or (field in _REASONING_FIELDS and not isinstance(value, (dict, list))):
            if not value and value != "":
                return []
            if not isinstance(value, str):
                raise TypeError(field)
            self.texts.setdefault(field, []).append(value)
            if field == "refusal":
                return [TextDelta(value)] if value else []
            return self._add_reasoning(field, value)
        if field in _REASONING_PARTS and isinstance(value, list):
            value = [part for part in value if part is not None]
            text = "".join(map(_reasoning_text, value))
            merge(self._message, field, value)
            return self._add_reasoning(field, text)
        if self._message.get(field, self) != value:
            merge(self._message, field, value)
            self._named_sources = self._named_sources or bool(value and field in _SOURCE_HOLDERS)
        return []

    def _add_reasoning(self, field: str, text: str) -> list[Delta]:
        """Add a piece of thinking; gateways send the same under several names, of which one counts."""
        self._reasoning_field = self._reasoning_field or (field if text else None)
        if not text or field != self._reasoning_field:
            return []
        self.reasoning.append(text)
        return [ReasoningDelta(text)]

    def _add_content(self, value: Any) -> list[Delta]:
        if not value and value != "":
            return []
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str):
            self.texts.setdefault("content", []).append(value)
            if self._content_parts:
                _add_part(self._content_parts, {"type": "text", "text": value})
            return self._thinking.feed(value)
        added: list[Delta] = []
        if not self._content_parts and (before := join_text(self.texts.get("content", ()))):
            self._content_parts.append({"type": "text", "text": before})
        for part in [value] if isinstance(value, dict) else filter(None, value):
            part = {"type": "text", "text": part} if isinstance(part, str) else part
            text, thinking = part_texts([part])
            _add_part(self._content_parts, part)
            self.texts.setdefault("content", []).append(text)
            if thinking:
                added += self._add_reasoning("content", thinking)
            added += self._thinking.feed(text)
        return added

    def _add_logprobs(self, value: Any) -> None:
        if not isinstance(value, dict):
            return
        known = self._fields.setdefault("logprobs", {})
        for field, tokens in value.items():
            if not isinstance(tokens, list):
                known.setdefault(field, tokens)
            elif isinstance(known.get(field), list):
                known[field].extend(tokens)
            else:
                known[field] = list(tokens)

    @property
    def usage(self) -> Any:
        return self._fields.get("usage")

    def content_text(self) -> str:
        return join_text(self.texts.get("content", ()))

    def split(self) -> tuple[str, str]:
        """Return the thinking that was written into the text, and the rest."""
        return split_thinking(self.content_text(), is_whole=finish_kind(self.finish_reason) == "stop")

    def without_text(self) -> dict[str, Any]:
        """Return the choice as far as it holds something beside its texts."""
        return {**self._fields, "message": {**self._message, "content": self._content_parts}}

    def build(self) -> dict[str, Any]:
        content: Any = self.content_text() if "content" in self.texts else None
        calls = self.calls.build()
        if any(part.get("type") != "text" for part in self._content_parts):
            content = self._content_parts
        elif content == "" and calls:
            content = None
        texts = {field: join_text(pieces) for field, pieces in self.texts.items() if field != "content"}
        message = {"role": "assistant", **self._message, **{field: text for field, text in texts.items() if text}}
        message |= {"content": content, "refusal": texts.get("refusal") or None, "tool_calls": calls or None}
        if (older := self.calls.function_call()) is not None:
            message["function_call"] = older
        head = {"index": self.index, "finish_reason": self.finish_reason, "message": message}
        return {"logprobs": None, **self._fields, **head}


def part_texts(parts: Any) -> tuple[str, str]:
    """Return the text and the thinking of content that came as parts."""
    text, thinking = "", ""
    for part in parts:
        if isinstance(part, str):
            text += part
        elif isinstance(found := part.get("text"), str) and part.get("type") not in ("thinking", "reasoning"):
            text += found
        else:
            thinking += _reasoning_text(part)
    return text, thinking


def _reasoning_text(part: Any) -> str:
    """Return the thinking in a part: a text, or parts of a text."""
    if isinstance(part, str):
        return part
    for field in ("thinking", "text", "summary", "reasoning"):
        value = part.get(field)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "".join(map(_reasoning_text, value))
    return ""


def _add_part(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Add a part; a text, and a thinking without a signature yet, goes on with the part before it."""
    last = parts[-1] if parts else {}
    kind = part.get("type")
    same = kind == last.get("type") and part.get("index") == last.get("index")
    if same and kind in ("text", "thinking", "reasoning"):
        for field, value in part.items():
            if field == "thinking" and isinstance(value, list) and isinstance(last.get(field), list):
                inner = [dict(each) for each in last[field]]
                for each in value:
                    _add_part(inner, each)
                last[field] = inner
            else:
                merge(last, field, value)
    else:
        parts.append(dict(part))


def _are_chunks(value: Any) -> bool:
    """Return whether this is a list of chunks, as some servers send several at once."""
    choices = [choice for chunk in value for choice in _choices(chunk)] if isinstance(value, list) else []
    return bool(choices) and all(isinstance(choice, dict) and "delta" in choice for choice in choices)


def _choices(chunk: Any) -> list[Any]:
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    return choices if isinstance(choices, list) else []


def _raise_if_error(chunk: Mapping[str, Any], name: bytes) -> None:
    error = chunk.get("error")
    if isinstance(error, Mapping) and (not any(error.values()) or error.get("code") in (0, 200, "0", "200")):
        error = None  # fields of an error, and nothing in them
    detail = chunk.get("detail") if not chunk.keys() & {"choices", "usage", "id", "object", "type"} else None
    failed = "error" in (chunk.get("object"), chunk.get("type")) or (detail and isinstance(detail, (str, list)))
    if error or name == b"error" or failed:
        error = error if error and error is not True else chunk
        if not isinstance(error, Mapping):
            error = {"message": error_message(error) or str(error)}
        raise GatewayError(dict(error))


def read_tool_names(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the functions that a request offers."""
    functions = (tool.get("function") for tool in body.get("tools") or () if isinstance(tool, Mapping))
    return frozenset(function["name"] for function in functions if isinstance(function, Mapping) and "name" in function)


def _adds_to_reply(choice: dict[str, Any], *, is_finished: bool) -> bool:
    delta = choice.get("delta") or {}
    ends = choice.get("finish_reason") and not is_finished  # some say the end twice
    return bool(ends or delta.get("content") or delta.get("tool_calls"))


def join_text(pieces: Collection[str]) -> str:
    """Join pieces of text; the two surrogates of a character outside the BMP become that character again."""
    text = "".join(pieces)
    if text.isascii() or not _HIGH_SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
