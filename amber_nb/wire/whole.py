"""Read the body of a reply to a chat completion, streamed or in one piece, whatever its label says; sans-IO.

`ReplyReader` reads a body as it comes, for `completion.py`; `read_reply` one that has come, for maps of many rows.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import jiter
from openai.types.chat import ChatCompletion

from ..error_body import error_message, summarize
from ..types import Delta, finish_kind
from .accumulator import CompletionAccumulator, GatewayError, IncompleteStream
from .stream import Event, MalformedEvent, SSEDecoder, parse_json
from .thinking import split_thinking

__all__ = ["ReplyReader", "WholeReply", "read_reply"]

_BLANK = b"\xef\xbb\xbf \t\r\n"
_STREAM_STARTS = (b"data:", b"event:", b":", b"id:", b"retry:")
_HEAD_PIECES = 10  # of a body, in which one of these stands, if each is a byte
_STREAM_END = re.compile(rb"\s+data: ?\[DONE\]\s*\Z")
_QUOTED_CHARS = 200  # of a body, in an error message
# Fields of a choice and of its message that the ordinary form may have; with any other, it is read with more care.
_ORDINARY_CHOICE = {"index", "message", "finish_reason", "logprobs", "content_filter_results", "stop_reason"}
_ORDINARY_MESSAGE = {"role", "content", "refusal", "annotations"}
# Those that mean something here only where they hold something.
_ORDINARY_IF_EMPTY = {"audio", "function_call", "reasoning", "reasoning_content", "thinking", "tool_calls"}


@dataclass(frozen=True, slots=True)
class WholeReply:
    """What a whole chat completion says in its first choice.

    Attributes:
        text: without the thinking that a model wrote into it.
        refusal: the model's words where it refused, or None.
        reasoning: the model's thinking, or None.
        finish_reason: as the gateway words it.
        model: the name that the reply has, or None.
        service_tier: which prices it has, or None.
        usage: the counts of tokens, without those that are null; None where there are none.
    """

    text: str
    refusal: str | None
    reasoning: str | None
    finish_reason: str | None
    model: str | None
    service_tier: str | None
    usage: Mapping[str, Any] | None


def read_reply(content: bytes, content_type: str, n: int = 1) -> WholeReply:
    """Read the body of a response to a chat completion.

    Args:
        content: all of the body.
        content_type: of the response's header, as it is.
        n: how many choices were asked for.

    Raises:
        MalformedEvent: it is no chat completion.
        IncompleteStream: it ends before the reply does.
        GatewayError: it tells an error.
    """
    if n == 1 and content_type.startswith("application/json") and (reply := _read_ordinary(content)) is not None:
        return reply
    accumulator = CompletionAccumulator()
    reader = ReplyReader(content_type, accumulator, n)
    reader.feed(content)
    reader.close()
    return WholeReply(
        text=accumulator.text,
        refusal=accumulator.refusal,
        reasoning=accumulator.reasoning,
        finish_reason=accumulator.finish_reason,
        model=accumulator.label("model"),
        service_tier=accumulator.label("service_tier"),
        usage=accumulator.usage,
    )


def _read_ordinary(content: bytes) -> WholeReply | None:
    """Read the form that nearly all replies have, in a tenth of the time; None where it is another."""
    try:
        reply = jiter.from_json(content, cache_mode="keys")
    except ValueError:
        return None
    # A field that is not of its kind is a reason to look closer, as is one that is missing.
    try:
        (choice,) = reply["choices"]
        message, finish_reason, usage = choice["message"], choice["finish_reason"], reply.get("usage")
        text, refusal = message["content"], message.get("refusal")
        others = message.keys() - _ORDINARY_MESSAGE
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    ordinary = (
        type(reply) is type(choice) is dict
        and type(text) is str
        and (refusal is None or type(refusal) is str)
        and type(finish_reason) is str
        and finish_reason
        and (others <= _ORDINARY_IF_EMPTY and not any(message[field] for field in others))
        and choice.keys() <= _ORDINARY_CHOICE
        and not reply.get("error")
        and reply.get("object") != "error"
        and reply.get("type") != "error"
        and (type(usage) is dict or "x_groq" not in reply)
        and type(choice.get("index", 0)) is int
    )
    if not ordinary or (kind := finish_kind(finish_reason)) == "error":
        return None
    thinking, text = split_thinking(text, is_whole=kind == "stop")
    model, tier = reply.get("model"), reply.get("service_tier")
    return WholeReply(
        text=text,
        refusal=refusal or None,
        reasoning=thinking or None,
        finish_reason=finish_reason,
        model=model if type(model) is str and model else None,
        service_tier=tier if type(tier) is str and tier else None,
        usage={field: value for field, value in usage.items() if value is not None} or None
        if type(usage) is dict
        else None,
    )


class ReplyReader:
    """Read a body that comes in pieces: a stream, or a reply in one piece; which it is, its first bytes decide.

    Args:
        content_type: of the response's header.
        accumulator: adds up what is read.
        choices: how many were asked for.
        add: called with what each event adds, before the next one is read; what it returns is summed up by `feed`.

    Attributes:
        completion: of a reply in one piece, once it is read.
    """

    def __init__(
        self,
        content_type: str,
        accumulator: CompletionAccumulator,
        choices: int = 1,
        add: Callable[[list[Delta]], int] = len,
    ) -> None:
        self.completion: ChatCompletion | None = None
        self._accumulator = accumulator
        self._choices = choices
        self._add_deltas = add
        self._decoder = SSEDecoder()
        is_json = content_type.partition(";")[0].strip().lower() == "application/json"
        # The pieces of a reply that is labelled as JSON; None once it is known to be a stream.
        self._whole: list[bytes] | None = [] if is_json else None
        self._whole_bytes = 0

    @property
    def activity(self) -> int:
        """A number that grows with what is part of a reply, and not with pings."""
        return self._decoder.activity + self._accumulator.activity + self._whole_bytes

    def feed(self, chunk: bytes) -> int:
        """Read one more piece.

        Raises:
            MalformedEvent, IncompleteStream, GatewayError: as `CompletionAccumulator.feed` says.
        """
        if self._whole is not None:
            self._whole_bytes += len(chunk.strip(_BLANK))  # by blanks a gateway only keeps the connection open
            if self._whole or (chunk := chunk.lstrip(_BLANK)):
                self._whole.append(chunk)
            if len(self._whole) > _HEAD_PIECES or not b"".join(self._whole).startswith(_STREAM_STARTS):
                return 0
            chunk, self._whole = b"".join(self._whole), None  # labelled as JSON, and a stream all the same
        return sum([self._add(event) for event in self._decoder.feed(chunk)])

    def close(self) -> None:
        """Read the rest, now that the body has ended, and check that the reply is whole.

        Raises:
            MalformedEvent, IncompleteStream, GatewayError: as `CompletionAccumulator.close` says.
        """
        if self._whole is not None:
            return self._read_whole(b"".join(self._whole))
        # What no blank line follows: a last event, a piece of an event, or a body that is no stream at all.
        if last := self._decoder.close():
            started = self._accumulator.started
            try:
                self._add(last)
            except MalformedEvent:
                if started:
                    raise IncompleteStream("it breaks off in the middle of an event") from None
                raise
        if self.completion is None:
            self._accumulator.close(self._choices)

    def _add(self, event: Event) -> int:
        if event.foreign and not self._accumulator.started and event.data.startswith(b"{"):
            self._read_whole(event.data)
            return 0
        try:
            deltas = self._accumulator.feed(event)
        except MalformedEvent:
            if b"\n" in event.data:
                self._salvage(event)
            raise
        return self._add_deltas(deltas)

    def _salvage(self, event: Event) -> None:
        """Keep the text of several events that no blank line separates, as far as they can be read."""
        with contextlib.suppress(IncompleteStream, MalformedEvent, GatewayError):
            for line in event.data.split(b"\n"):
                self._add_deltas(self._accumulator.feed(Event(line, event.name)))
        if self._accumulator.started:
            raise MalformedEvent("events that no blank line separates") from None

    def _read_whole(self, body: bytes) -> None:
        """Read a reply that is no stream: some gateways do not stream for some models."""
        # Behind it may stand what ends a stream.
        body = _STREAM_END.sub(b"", body.removeprefix(b"\xef\xbb\xbf"))
        try:
            reply = parse_json(body) if body.strip() else None
        except MalformedEvent:
            if not self._read_lines(body):
                raise
            return
        if isinstance(reply, list) and len(reply) == 1:
            reply = reply[0]
        for wrapper in ("result", "data", "response"):
            if isinstance(reply, dict) and "choices" not in reply and isinstance(reply.get(wrapper), dict):
                reply = reply[wrapper]
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if not choices and (reported := error_message(reply)) is not None:
            raise MalformedEvent(reported)
        # Values that nobody knows do no harm; what is not there at all does.
        if not isinstance(reply, dict) or not _are_messages(choices):
            what = "JSON with no message in its choices, " if isinstance(reply, dict) else ""
            raise MalformedEvent(f"{what}{summarize(body, _QUOTED_CHARS)}" if body.strip() else "nothing")
        numbered = [{"index": place, **choice, "message": _message(choice)} for place, choice in enumerate(choices)]
        whole = {**reply, "choices": numbered}
        self._accumulator.feed(
            Event(json.dumps({**whole, "choices": [_as_delta(choice) for choice in numbered]}).encode())
        )
        self._accumulator.close(self._choices)
        if not isinstance(whole.get("usage"), dict):
            whole["usage"] = self._accumulator.usage
        self.completion = ChatCompletion.model_construct(None, **{"object": "chat.completion", **whole})

    def _read_lines(self, body: bytes) -> bool:
        """Read chunks that come as lines of JSON; return whether it is that."""
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") and b'"choices"' in line for line in lines):
            return False
        for line in lines:
            self._add_deltas(self._accumulator.feed(Event(line)))
        self._accumulator.close(self._choices)
        return True


def _are_messages(choices: Any) -> TypeGuard[list[dict[str, Any]]]:
    if not isinstance(choices, list) or not choices:
        return False
    return all(isinstance(choice, dict) and isinstance(_message(choice), dict) for choice in choices)


def _message(choice: dict[str, Any]) -> Any:
    """Return the message of a choice, by whatever name it came."""
    text = choice.get("text")
    return choice.get("message") or choice.get("delta") or ({"content": text} if isinstance(text, str) else None)


def _as_delta(choice: dict[str, Any]) -> dict[str, Any]:
    message = _message(choice)
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        calls = [{**call, "index": place} if isinstance(call, dict) else call for place, call in enumerate(calls)]
    return {**choice, "delta": {**message, "tool_calls": calls}}
