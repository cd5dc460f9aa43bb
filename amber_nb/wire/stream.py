"""Read the bytes of a streamed reply: server-sent events, and the chat completion that they add up to; sans-IO.

Whatever is not in order is an exception: `IncompleteStream`, `MalformedEvent` or `GatewayError`, which `completion.py`
turns into the public errors.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from typing import Any

import jiter
from openai.types.chat import ChatCompletion

from ..types import Delta, ReasoningDelta, TextDelta, ToolCallDelta

__all__ = [
    "CompletionAccumulator",
    "Event",
    "GatewayError",
    "IncompleteStream",
    "MalformedEvent",
    "SSEDecoder",
    "error_message",
    "parse_json",
    "summarize",
]

_QUOTED_CHARS = 200  # of an event or a body, in an error message
_HIGH_SURROGATE = re.compile("[\ud800-\udbff]")
_SUMMARY_CHARS = 500
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_INVISIBLE = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event.

    Attributes:
        data: the data lines joined by LF, as UTF-8 bytes.
        name: the `event` field, mostly empty.
        foreign: it begins with a line that SSE does not know, so this may be a body that is no stream.
    """

    data: bytes
    name: bytes = b""
    foreign: bool = field(default=False, repr=False)


class SSEDecoder:
    r"""Decode a body, which comes in pieces of any size, into its events.

    Follows the WHATWG HTML standard, section 9.2.6 (UTF-8, an optional byte-order mark, LF, CRLF or CR ends a line, a
    blank line ends an event, a line that begins with a colon is a comment). One thing is stricter, since a reply must
    never be cut unseen: `close` returns what follows the last blank line instead of dropping it.

    Example:
        >>> SSEDecoder().feed(b"data: 1\n\n: ping\n\ndata: 2\n\n")
        [Event(data=b'1', name=b''), Event(data=b'2', name=b'')]

    Attributes:
        activity: grows with each piece that carries data; not with comments, empty events and pings.
    """

    def __init__(self) -> None:
        self._open_line: list[bytes] = []  # the line not yet ended, in its pieces: joining each time is quadratic
        self._after_cr = False  # the last byte was CR: a LF that follows belongs to it
        self._first = True
        self._data: list[bytes] = []
        self._name = b""
        self._open_bytes = 0  # bytes of the line not yet ended
        self._foreign = False  # of the event not yet ended, never of what else is in the same piece
        self.activity = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that this piece of the body completes."""
        if chunk and (b"\r" in chunk or self._after_cr):
            chunk = self._normalize_newlines(chunk)
        if not chunk:
            return []
        self._open_line.append(chunk)
        if b"\n" not in chunk:
            self._count_open_line(len(chunk))
            return []
        *lines, rest = b"".join(self._open_line).split(b"\n")
        self._open_bytes = 0
        self._open_line = [rest] if rest else []
        if rest:
            self._count_open_line(len(rest))
        return [event for line in lines if (event := self._decode_line(line)) is not None]

    def close(self) -> Event | None:
        """Return what follows the last blank line: an event that was cut, or that lacks its blank line."""
        if self._open_line:
            self._decode_line(b"".join(self._open_line))  # with no event, since it is not blank
            self._open_line = []
        return self._decode_line(b"")

    def _count_open_line(self, more: int) -> None:
        # A long line is data long before it ends. Not what may still become a comment, another field or empty data.
        self._open_bytes += more
        if self._open_bytes > 6 and self._name != b"ping" and self._open_line[0][:1] not in (b":", b"e", b"i", b"r"):
            self.activity += 1

    def _normalize_newlines(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _decode_line(self, line: bytes) -> Event | None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            event = Event(b"\n".join(self._data), self._name, self._foreign) if self._data or self._name else None
            self._data, self._name, self._foreign = [], b"", False
            return event
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            self._data.append(value)
            if value and self._name != b"ping":
                self.activity += 1
        elif key == b"event":
            self._name = value
        elif key and key not in (b"id", b"retry"):
            # Not SSE at all (HTML, plain JSON): kept, so that the reader sees it instead of nothing.
            self._foreign = self._foreign or not self._data
            self._data.append(line)
            self.activity += 1
        return None


class IncompleteStream(Exception):
    """The stream ended before the reply did; the message says how."""


class MalformedEvent(Exception):
    """An event or a body is not part of a chat completion; the message begins with the bytes that came."""


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
    """

    def __init__(self) -> None:
        self.done = False
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._choices: dict[int, _Choice] = {}

    def feed(self, event: Event) -> list[Delta]:
        """Add an event, and return what it adds to the first choice; its text is content or refusal.

        Raises:
            MalformedEvent: the event is not a JSON object of a chat completion.
            GatewayError: it is an error object.
            IncompleteStream: the reply goes on after `[DONE]`.
        """
        data = event.data.strip()
        if not data or event.name == b"ping":
            return []  # a keep-alive
        if data == b"[DONE]":
            self.done = True
            return []
        try:
            chunk = parse_json(data)
        except MalformedEvent:
            if event.name == b"error":
                raise GatewayError({"message": summarize(data, _QUOTED_CHARS)}) from None
            raise
        if not isinstance(chunk, dict):
            raise MalformedEvent(summarize(data, _QUOTED_CHARS))
        choices = chunk.get("choices")
        failed = chunk.get("object") == "error" or (chunk.get("detail") and not choices)
        if chunk.get("error") or event.name == b"error" or failed:
            error = chunk.get("error", chunk)
            raise GatewayError(error if isinstance(error, dict) else {"message": str(error)})
        if not self._head:
            self._head = {name: value for name, value in chunk.items() if name not in ("choices", "usage", "object")}
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        if not isinstance(choices, list):
            raise MalformedEvent(summarize(data, _QUOTED_CHARS))
        try:
            if self.done and any(_adds_to_reply(raw) for raw in choices):
                raise IncompleteStream("[DONE] came in the middle of the reply")
            if len(choices) == 1:
                return self._add(choices[0])
            return [delta for raw in choices for delta in self._add(raw)]
        except (AttributeError, KeyError, TypeError, ValueError):  # some field is not of its kind
            raise MalformedEvent(summarize(data, _QUOTED_CHARS)) from None

    def _add(self, raw: dict[str, Any]) -> list[Delta]:
        index = int(raw.get("index") or 0)
        added = self._choices.setdefault(index, _Choice(index)).add(raw)
        return added if index == 0 else []

    @property
    def started(self) -> bool:
        """Whether a part of a reply has come."""
        return bool(self._choices)

    def close(self, choices: int = 1) -> None:
        """Check that the reply is whole, with as many choices as were asked for, now that the body has ended.

        Raises:
            IncompleteStream: it ended before the reply did.
        """
        if not self._choices:
            if self.done:
                raise MalformedEvent("[DONE], and nothing before it")
            raise IncompleteStream("nothing of a reply came")
        if any(choice.finish_reason is None for choice in self._choices.values()):
            raise IncompleteStream("no finish_reason came")
        if len(self._choices) < choices or 0 not in self._choices:
            raise IncompleteStream(f"{len(self._choices)} of {choices} choices came")

    @property
    def text(self) -> str:
        """The content of the first choice so far."""
        return _join(self._first.texts["content"])

    @property
    def refusal(self) -> str | None:
        return _join(self._first.texts["refusal"]) or None

    @property
    def reasoning(self) -> str | None:
        """The text of `reasoning_content`, which is not among the documented fields."""
        return _join(self._first.texts["reasoning_content"]) or None

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments of the first choice's tool calls, as far as they are written."""
        return [(call["function"]["name"], _join(call["function"]["arguments"])) for call in self._first.calls]

    @property
    def finish_reason(self) -> str | None:
        return self._first.finish_reason

    @property
    def _first(self) -> _Choice:
        return self._choices.get(0) or _Choice(0)

    def completion(self) -> ChatCompletion:
        """Build the completion as the SDK builds it from a reply that is not streamed."""
        choices = [choice.build() for _, choice in sorted(self._choices.items())]
        fields: dict[str, Any] = {"id": "", "created": 0, "model": "", **self._head}
        fields |= {"object": "chat.completion", "choices": choices, "usage": self._usage}
        return ChatCompletion.model_construct(None, **fields)


class _Choice:
    def __init__(self, index: int) -> None:
        self.index = index
        self.texts: dict[str, list[str]] = {"content": [], "refusal": [], "reasoning_content": []}
        self.calls: list[dict[str, Any]] = []
        self.finish_reason: str | None = None
        self._by_index: dict[int, dict[str, Any]] = {}

    def add(self, raw: dict[str, Any]) -> list[Delta]:
        self.finish_reason = raw.get("finish_reason") or self.finish_reason
        # Some gateways send the whole message as one chunk.
        delta = raw.get("delta") or ("delta" not in raw and raw.get("message")) or {}
        added: list[Delta] = []
        for name, pieces in self.texts.items():
            if name in delta and (text := _text(delta, name)) is not None:
                pieces.append(text)
                if text:
                    added.append(ReasoningDelta(text) if name == "reasoning_content" else TextDelta(text))
        if calls := delta.get("tool_calls"):
            added += map(self._add_call, calls)
        return added

    def _add_call(self, raw: dict[str, Any]) -> ToolCallDelta:
        index = raw.get("index")
        if index is None:  # some gateways leave it out: a new id begins a new call, no id goes on with the last one
            known = next((i for i, call in self._by_index.items() if raw.get("id") and call["id"] == raw["id"]), None)
            index = known if known is not None else len(self.calls) if raw.get("id") else max(len(self.calls) - 1, 0)
        call = self._by_index.get(index)
        function = raw.get("function") or {}
        other = call is not None and call["id"] and _text(raw, "id") not in ("", None, call["id"])
        if other and _text(function, "name"):
            call = None  # some gateways give all calls of a reply the same index
        if call is None:
            call = {"id": "", "type": "function", "function": {"name": "", "arguments": []}}
            self._by_index[index] = call
            self.calls.append(call)
        call["id"] = _text(raw, "id") or call["id"]
        call["type"] = _text(raw, "type") or call["type"]
        call["function"]["name"] = _text(function, "name") or call["function"]["name"]
        text = _text(function, "arguments") or ""
        if text:
            call["function"]["arguments"].append(text)  # joined at the end: adding to a string each time is quadratic
        place = next(place for place in reversed(range(len(self.calls))) if self.calls[place] is call)
        return ToolCallDelta(place, call["function"]["name"], text)

    def build(self) -> dict[str, Any]:
        content = self.texts["content"]
        calls = [
            {**call, "function": {**call["function"], "arguments": _join(call["function"]["arguments"])}}
            for call in self.calls
        ]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": _join(content) if content and (content != [""] or not self.calls) else None,
            "refusal": _join(self.texts["refusal"]) or None,
            "tool_calls": calls or None,
        }
        if reasoning := _join(self.texts["reasoning_content"]):
            message["reasoning_content"] = reasoning
        return {"index": self.index, "finish_reason": self.finish_reason, "logprobs": None, "message": message}


def _adds_to_reply(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    return bool(choice.get("finish_reason") or delta.get("content") or delta.get("tool_calls"))


def _join(pieces: list[str]) -> str:
    """Join pieces of text; the two surrogates of a character outside the BMP become that character again."""
    text = "".join(pieces)
    if text.isascii() or not _HIGH_SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _text(part: dict[str, Any], name: str) -> str | None:
    value = part.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(name)
    return value


def parse_json(data: bytes) -> Any:
    """Parse the JSON of an event or a body.

    Raises:
        MalformedEvent: it is not JSON.
    """
    try:
        return jiter.from_json(data, cache_mode="keys")
    except ValueError:
        pass
    try:
        return json.loads(data)  # jiter rejects lone surrogates, which JSON permits
    except (ValueError, RecursionError):
        raise MalformedEvent(summarize(data, _QUOTED_CHARS)) from None


def error_message(error: Any) -> str | None:
    """Return the message of an error body in any of its forms; None where there is none.

    Example:
        `error_message({"error": {"message": "No such model"}})` → `"No such model"`
    """
    if isinstance(error, str):
        return summarize(error) if error.strip() else None
    if isinstance(error, list):  # FastAPI's: what is wrong with each field
        return error_message(error[0]) if error else None
    if isinstance(error, dict):
        for name in ("error", "message", "detail", "msg"):
            if error.get(name) and (found := error_message(error[name])):
                return found
    return None


def summarize(body: bytes | str, limit: int = _SUMMARY_CHARS) -> str:
    """Return the beginning of a text; of a web page, the beginning of what a reader would see."""
    text = body[:4_000].decode("utf-8", "replace") if isinstance(body, bytes) else body[:4_000]
    if start := re.search(r"<(!doctype )?html", text, re.IGNORECASE):
        before, page = text[: start.start()].strip(), text[start.start() :]
        visible = _visible_text(page)
        titled = _TITLE.search(page)
        title = _visible_text(titled[1]) if titled else ""
        summary = f"a web page, “{title or visible[:80]}”" if title or visible else "a web page"
        return f"{before} ({summary})"[:limit] if before else summary[:limit]
    return text.strip()[:limit]


def _visible_text(page: str) -> str:
    return " ".join(html.unescape(_INVISIBLE.sub(" ", page)).split())
