"""Faults by name: the model `fault/<name>` answers with that fault.

The table follows what is known of the gateway and its dialect, and includes forms that look odd and are valid. One
fault is missing, because no client can see it: a stream that was cut above the proxy and that the proxy ends as if it
were whole.

A fault of streams leaves an unstreamed reply as it is, unless a body can break in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, cycle
from typing import Any, TypeAlias

from .api import DONE, Cut, Response, completion_events, encode_event

__all__ = ["FAULTS", "PREFIX", "Fault", "Reply", "near_names"]

PREFIX = "fault/"
PING_S = 0.05
FOREVER = float("inf")
Piece: TypeAlias = bytes | float
Chunk: TypeAlias = dict[str, Any]
_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply without the fault, and how the request wants it.

    Attributes:
        completion: the completion.
        streamed: whether a stream was asked for.
        include_usage: whether a usage chunk was asked for.
        litellm: whether the dialect is LiteLLM's.
        attempt: number of earlier attempts, from the header `x-stainless-retry-count`.
    """

    completion: dict[str, Any]
    streamed: bool
    include_usage: bool
    litellm: bool
    attempt: int

    def events(self, **options: Any) -> list[bytes]:
        """Return the events of the whole stream; `options` are those of `completion_events`."""
        defaults = {"include_usage": self.include_usage, "litellm": self.litellm}
        return list(completion_events(self.completion, **{**defaults, **options}))

    def first_half(self) -> list[bytes]:
        """Return the first half of the events that carry content."""
        end_count = 1 + self.include_usage + len(self.completion["choices"])
        content = self.events()[:-end_count]
        return content[: max(1, len(content) // 2)]

    def changed_events(self, change: Callable[[Chunk], object]) -> list[bytes]:
        """Return the events after `change` has altered each chunk in place."""
        chunks = [json.loads(event[6:]) for event in self.events()[:-1]]
        for chunk in chunks:
            change(chunk)
        return [*map(encode_event, chunks), DONE]

    def response(self) -> Response:
        """Return the response without a fault."""
        return _stream(self.events()) if self.streamed else _body(self.completion)


Respond: TypeAlias = Callable[[Reply], Response]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Attributes:
        description: one line for the list of faults.
        respond: turns the reply without the fault into the faulty response.
    """

    description: str
    respond: Respond


def near_names(name: str) -> list[str]:
    """Return up to three names of faults that resemble `name`."""
    return get_close_matches(name, FAULTS, n=3, cutoff=0.5)


# --- builders: each returns a response, or the function that makes one of a reply


def _body(value: Any, status: int = 200, headers: Mapping[str, str] | None = None, cut: Cut = "") -> Response:
    body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    return Response(status, {**_JSON, **(headers or {})}, body, cut=cut)


def _stream(pieces: Iterable[Piece], cut: Cut = "") -> Response:
    return Response(200, _STREAM, events=pieces, cut=cut)


def body_of(change: Callable[[dict[str, Any]], Any], headers: Mapping[str, str] | None = None) -> Respond:
    """Send one body, made from the completion, whether or not a stream was asked for."""
    return lambda reply: _body(change(reply.completion), headers=headers)


def refuse(status: int, body: Any, headers: Mapping[str, str] | None = None, *, times: int | None = None) -> Respond:
    """Refuse every attempt, or only the first `times` attempts."""

    def respond(reply: Reply) -> Response:
        if times is not None and reply.attempt >= times:
            return reply.response()
        return _body(body, status, headers)

    return respond


def break_off(*tail: Piece, cut: Cut = "", whole: Any = None) -> Respond:
    """Send half of the stream, then `tail`.

    Args:
        tail: pieces to send after the first half.
        cut: how the connection breaks then.
        whole: the unstreamed body; by default half of the ordinary one.
    """

    def respond(reply: Reply) -> Response:
        if reply.streamed:
            return _stream([*reply.first_half(), *tail], cut)
        if whole is not None:
            return _body(whole)
        body = json.dumps(reply.completion, ensure_ascii=False).encode()
        half = body[: len(body) // 2]
        if FOREVER in tail:
            return Response(200, _JSON, events=[half, FOREVER])
        return _body(half, cut=cut or "fin")

    return respond


def stream_of(change: Callable[[Reply], Iterable[Piece]]) -> Respond:
    """Send other pieces where a stream was asked for, else the ordinary reply."""
    return lambda reply: _stream(change(reply)) if reply.streamed else reply.response()


def change_choices(change: Callable[[dict[str, Any]], object]) -> Respond:
    """Alter each choice of each chunk in place."""
    return stream_of(lambda reply: reply.changed_events(lambda chunk: [change(choice) for choice in chunk["choices"]]))


def interleave(ping: bytes) -> Respond:
    """Send `ping` before each event."""
    return stream_of(lambda reply: [piece for event in reply.events() for piece in (ping, event)])


def replace_newlines(newline: bytes) -> Respond:
    """Send a stream whose lines end otherwise."""
    return stream_of(lambda reply: [event.replace(b"\n", newline) for event in reply.events()])


def end_early(reason: str, *, empty: bool = False, nested: bool = False) -> Respond:
    """End the reply half-way with a finish reason.

    Args:
        reason: the finish reason.
        empty: send no content at all.
        nested: add the filter's results in `provider_specific_fields`.
    """

    def respond(reply: Reply) -> Response:
        content = [] if empty else reply.first_half()
        text = "".join(json.loads(event[6:])["choices"][0]["delta"].get("content") or "" for event in content)
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "logprobs": None}
        if nested:
            choice["provider_specific_fields"] = {"content_filter_results": {"violence": {"filtered": True}}}
        if not reply.streamed:
            message = {"role": "assistant", "content": text}
            return _body({**reply.completion, "choices": [{**choice, "message": message}]})
        end = {key: reply.completion[key] for key in ("id", "created", "model")}
        end |= {"object": "chat.completion.chunk", "choices": [{**choice, "delta": {}}]}
        return _stream([*content, encode_event(end), DONE])

    return respond


def call_tool(*, index: bool, cut: bool) -> Respond:
    """Send a tool call instead of the text, whatever the prompt.

    Args:
        index: give the call its index.
        cut: end the stream within the call.
    """

    def respond(reply: Reply) -> Response:
        call: dict[str, Any] = {"index": 0} if index else {}
        function = {"name": "get_current_weather", "arguments": '{"location":"Aachen"}'}
        deltas: list[dict[str, Any]] = [{**call, "id": "call_1", "type": "function", "function": function}]
        if reply.streamed:
            deltas = [{**deltas[0], "function": {**function, "arguments": ""}}]
            deltas += [{**call, "function": {"arguments": piece}} for piece in ('{"loc', 'ation":"A', 'achen"}')]
        reason = None if cut else "tool_calls"
        if not reply.streamed:
            message = {"role": "assistant", "content": None, "tool_calls": deltas}
            choice = {"index": 0, "finish_reason": reason, "message": message}
            return _body({**reply.completion, "choices": [choice]})
        head = {key: reply.completion[key] for key in ("id", "created", "model")}

        def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
            return encode_event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

        pieces = [chunk({"tool_calls": [delta]}) for delta in deltas]
        return _stream(pieces[:-1] if cut else [*pieces, chunk({}, reason), DONE])

    return respond


# --- single faults


def _error(message: str, kind: str | None = "server_error", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_PAGE = b"<html>\r\n<head><title>%b</title></head>\r\n<body>\r\n<center><h1>%b</h1></center>\r\n</body>\r\n</html>\r\n"
_BAD_GATEWAY = _PAGE % (b"502 Bad Gateway", b"502 Bad Gateway")
_SIGN_IN = _PAGE % (b"Sign in", b"Sign in to continue")
_HTML = {"content-type": "text/html; charset=utf-8"}
_OVERLOADED = _error("The model is overloaded. Please try again later.")
_BUSY = _error("Rate limit reached for requests.", "requests", "rate_limit_exceeded")
_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
    "Please modify your prompt and retry."
)
_PROMPT_FILTER = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]
_AZURE_FIRST = {
    "choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": _PROMPT_FILTER
}  # fmt: skip


def _single_bytes(reply: Reply) -> list[bytes]:
    # A letter of more than one byte is always among them.
    body = b"".join(reply.changed_events(lambda chunk: chunk.update(provider="Zürich 🌍")))
    return [body[at : at + 1] for at in range(len(body))]


def _null_delta(choice: dict[str, Any]) -> None:
    if not choice["delta"]:
        choice["delta"] = None


def _done_in_the_middle(reply: Reply) -> list[bytes]:
    half = reply.first_half()
    return [*half, DONE, *reply.events()[len(half) :]]


def _without_last_newlines(reply: Reply) -> list[bytes]:
    events = reply.events(include_usage=False)
    return [*events[:-2], events[-2].rstrip(b"\n")]


def _first_choice(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda completion: {**completion, "choices": [{**completion["choices"][0], **fields}]}


def _silence(reply: Reply) -> Response:
    response = reply.response()
    return Response(response.status, response.headers, response.body, response.events, wait_s=FOREVER)


FAULTS: dict[str, Fault] = {
    # the body or the connection ends early
    "cut-end": Fault("the body ends half-way, in good order", break_off()),
    "cut-fin": Fault("the connection is closed half-way", break_off(cut="fin")),
    "cut-reset": Fault("the connection is reset half-way", break_off(cut="reset")),
    "cut-mid-line": Fault("the body ends in the middle of a line", break_off(b'data: {"id":"chatcmpl-1","choi')),
    "cut-json": Fault("an event holds half a JSON object", break_off(encode_event(b'{"id":"chatcmpl-1","choi'))),
    "cut-tool-call": Fault("the body ends within a tool call", call_tool(index=True, cut=True)),
    "broken-gzip": Fault(
        "the body says it is gzip and is not",
        body_of(lambda _: b"no gzip at all", headers={"content-encoding": "gzip"}),
    ),
    "only-done": Fault("a stream of [DONE] alone", stream_of(lambda _: [DONE])),
    "early-done": Fault("[DONE] comes in the middle", stream_of(_done_in_the_middle)),
    "empty-body": Fault("a stream without a byte", lambda _: _body(b"", headers={"content-type": "text/event-stream"})),
    "no-content": Fault("204, no content", lambda _: Response(204, {})),
    # something else comes
    "single-newlines": Fault(
        "no blank line between events", stream_of(lambda reply: [event[:-1] for event in reply.events()])
    ),
    "json-error": Fault("200 with an error as its JSON body", body_of(lambda _: _OVERLOADED)),
    "json-detail": Fault(
        "200 with a detail as its JSON body", body_of(lambda _: {"detail": "The model is overloaded."})
    ),
    "html-page": Fault("200 with a web page", body_of(lambda _: _SIGN_IN, headers=_HTML)),
    "html-in-stream": Fault(
        "an error whose message is a 502 page",
        break_off(encode_event(_error(_BAD_GATEWAY.decode())), whole=_error(_BAD_GATEWAY.decode())),
    ),
    "server-error-text": Fault(
        "an event that says Internal Server Error",
        break_off(encode_event(b"Internal Server Error"), whole=b"Internal Server Error"),
    ),
    "error-object": Fault("an error object in the stream", break_off(encode_event(_OVERLOADED), whole=_OVERLOADED)),
    "event-error": Fault(
        "event: error with a message",
        break_off(encode_event({"message": "The model is overloaded."}, "error"), whole={"message": "overloaded"}),
    ),
    "detail-event": Fault(
        "a detail in the stream",
        break_off(encode_event({"detail": "The model is overloaded."}), whole={"detail": "overloaded"}),
    ),
    "object-error": Fault(
        'an object of kind "error" in the stream',
        break_off(
            encode_event({"object": "error", "message": "The model is overloaded."}),
            whole={"object": "error", "message": "The model is overloaded."},
        ),
    ),
    "invalid-utf8": Fault(
        "bytes that are no UTF-8",
        break_off(
            encode_event(b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}'), whole=b'{"choices":[{"x":"\xff"}]}'
        ),
    ),
    "choices-null": Fault("a JSON body with choices null", body_of(lambda completion: {**completion, "choices": None})),
    "choices-empty": Fault("a JSON body with no choices", body_of(lambda completion: {**completion, "choices": []})),
    "message-null": Fault("a JSON body with message null", body_of(_first_choice(message=None))),
    "finish-null": Fault("a JSON body with finish_reason null", body_of(_first_choice(finish_reason=None))),
    # nothing comes
    "silence": Fault("nothing comes, not even a status", _silence),
    "stalled": Fault("the stream falls silent half-way", break_off(FOREVER)),
    "only-pings": Fault("only comments come, from the beginning", stream_of(lambda _: cycle((PING_S, b": ping\n\n")))),
    "endless-pings": Fault(
        "only comments come from half-way on",
        stream_of(lambda reply: chain(reply.first_half(), cycle((PING_S, b": ping\n\n")))),
    ),
    "endless-event-pings": Fault(
        "only empty events and pings come from half-way on",
        stream_of(
            lambda reply: chain(
                reply.first_half(), cycle((PING_S, encode_event({"type": "ping"}, "ping"), PING_S, b"data:\n\n"))
            )
        ),
    ),
    # the reply ends for a reason
    "length": Fault("cut off at the limit of tokens", end_early("length")),
    "content-filter": Fault("cut off by the content filter", end_early("content_filter")),
    "content-filter-empty": Fault("nothing but the content filter", end_early("content_filter", empty=True)),
    "content-filter-nested": Fault(
        "the filter's verdict in provider_specific_fields", end_early("content_filter", nested=True)
    ),
    # refusals
    "redirect": Fault("302 to another host", refuse(302, b"", {"location": "https://elsewhere.invalid/v1?x=1"})),
    "retry-after-1": Fault("429, wait 1 s; then the reply", refuse(429, _BUSY, {"retry-after": "1"}, times=1)),
    "retry-after-61": Fault("429, wait 61 s", refuse(429, _BUSY, {"retry-after": "61"})),
    "retry-after-long": Fault("429, wait 300 s", refuse(429, _BUSY, {"retry-after": "300"})),
    "no-retry-after": Fault("429 that names no time; then the reply", refuse(429, _BUSY, times=1)),
    "insufficient-quota": Fault(
        "429, the quota is used up", refuse(429, _error(_QUOTA, "insufficient_quota", "insufficient_quota"))
    ),
    "insufficient-quota-litellm": Fault(
        "the same as LiteLLM tells it",
        refuse(429, _error(f"litellm.RateLimitError: RateLimitError: OpenAIException - {_QUOTA}", None, "429")),
    ),
    "overloaded": Fault("503; then the reply", refuse(503, _OVERLOADED, times=1)),
    "bad-gateway-html": Fault("502 with a web page", refuse(502, _BAD_GATEWAY, _HTML)),
    "key-not-accepted": Fault("401", refuse(401, _error("Authentication Error, Invalid key.", "auth_error", "401"))),
    "no-connected-db": Fault("400 for a key that is not known", refuse(400, _error("No connected db.", None, "400"))),
    "content-policy": Fault("400, the prompt was filtered", refuse(400, _error(_FILTERED, None, "content_filter"))),
    # odd, and right
    "keep-alives": Fault("comments between the events", interleave(b": ping\n\n")),
    "empty-data": Fault("events without data between the others", interleave(b"data:\n\n")),
    "event-ping": Fault("ping events", interleave(encode_event({"type": "ping"}, "ping"))),
    "crlf": Fault("lines end in CRLF", replace_newlines(b"\r\n")),
    "cr": Fault("lines end in CR", replace_newlines(b"\r")),
    "bom": Fault("a byte-order mark comes first", stream_of(lambda reply: [b"\xef\xbb\xbf", *reply.events()])),
    "split-utf8": Fault("every byte comes by itself", stream_of(_single_bytes)),
    "azure-first-chunk": Fault(
        "the filter's results for the prompt come first",
        stream_of(lambda reply: [encode_event(_AZURE_FIRST), *reply.events()]),
    ),
    "usage-without-choices": Fault(
        "a usage chunk without choices", stream_of(lambda reply: reply.events(include_usage=True, litellm=False))
    ),
    "usage-with-choices": Fault(
        "a usage chunk with a choice", stream_of(lambda reply: reply.events(include_usage=True, litellm=True))
    ),
    "usage-after-done": Fault(
        "the usage chunk comes after [DONE]",
        stream_of(lambda reply: [*reply.events(include_usage=False), reply.events(include_usage=True)[-2]]),
    ),
    "no-index": Fault("choices without an index", change_choices(lambda choice: choice.pop("index"))),
    "tool-call-no-index": Fault("a tool call without an index", call_tool(index=False, cut=False)),
    "null-delta": Fault("the last delta is null", change_choices(_null_delta)),
    "litellm": Fault("LiteLLM's dialect", stream_of(lambda reply: reply.events(litellm=True))),
    "no-done": Fault("no [DONE]", stream_of(lambda reply: reply.events()[:-1])),
    "no-blank-line": Fault("the last event lacks its blank line", stream_of(_without_last_newlines)),
    "json-body": Fault("the whole reply at once, as JSON", body_of(lambda completion: completion)),
    "strange-values": Fault(
        "the same, with values nobody knows",
        body_of(lambda completion: {**_first_choice(finish_reason="end_turn")(completion), "service_tier": "gold"}),
    ),
    "one-event": Fault("the whole reply as one event", stream_of(lambda reply: [encode_event(reply.completion), DONE])),
    "always-streamed": Fault("a stream also where none was asked for", lambda reply: _stream(reply.events())),
}
