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
from itertools import chain, cycle
from typing import Any, TypeAlias

from .api import DONE, Cut, Response, completion_events, encode_event

__all__ = ["FAULTS", "PREFIX", "STREAM_HEADERS", "Fault", "Reply"]

PREFIX = "fault/"
PING_S = 0.05
FOREVER = float("inf")
Piece: TypeAlias = bytes | float
Chunk: TypeAlias = dict[str, Any]
STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply without the fault, and how the request wants it.

    Attributes:
        include_usage: whether a usage chunk was asked for.
        litellm: whether the dialect is LiteLLM's.
        attempt: number of earlier attempts.
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
    """A fault: one line for the list of faults, and what makes the faulty response of the reply without it."""

    description: str
    respond: Respond


# --- builders: each returns a response, or the function that makes one of a reply


def _body(value: Any, status: int = 200, headers: Mapping[str, str] | None = None, cut: Cut = "") -> Response:
    body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    return Response(status, {**_JSON, **(headers or {})}, body, cut=cut)


def _stream(pieces: Iterable[Piece], cut: Cut = "") -> Response:
    return Response(200, STREAM_HEADERS, events=pieces, cut=cut)


def _send_body(change: Callable[[dict[str, Any]], Any], headers: Mapping[str, str] | None = None) -> Respond:
    """Send one body, made from the completion, whether or not a stream was asked for."""
    return lambda reply: _body(change(reply.completion), headers=headers)


def _refuse(status: int, body: Any, headers: Mapping[str, str] | None = None, *, times: float = FOREVER) -> Respond:
    """Refuse the first `times` attempts."""
    return lambda reply: _body(body, status, headers) if reply.attempt < times else reply.response()


def _break_off(*tail: Piece, cut: Cut = "", whole: Any = None) -> Respond:
    """Send half of the stream, then `tail`; unstreamed, `whole`, or else half of the ordinary body."""

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


def _insert(data: Any, name: str = "", *, whole: Any = None) -> Respond:
    """Send half of the stream, then an event; unstreamed, what the event holds, or `whole`."""
    return _break_off(encode_event(data, name), whole=data if whole is None else whole)


def _send(change: Callable[[Reply], Iterable[Piece]]) -> Respond:
    """Send other pieces where a stream was asked for, else the ordinary reply."""
    return lambda reply: _stream(change(reply)) if reply.streamed else reply.response()


def _send_as(**options: bool) -> Respond:
    """Send the stream with other options of `completion_events`."""
    return _send(lambda reply: reply.events(**options))


def _change_choices(change: Callable[[dict[str, Any]], object]) -> Respond:
    """Alter each choice of each chunk in place."""
    return _send(lambda reply: reply.changed_events(lambda chunk: [change(choice) for choice in chunk["choices"]]))


def _interleave(ping: bytes) -> Respond:
    """Send `ping` before each event."""
    return _send(lambda reply: [piece for event in reply.events() for piece in (ping, event)])


def _replace_newlines(newline: bytes) -> Respond:
    return _send(lambda reply: [event.replace(b"\n", newline) for event in reply.events()])


def _ping_for_ever(*pings: Piece) -> Respond:
    """Send half of the stream, then `pings` again and again."""
    return _send(lambda reply: chain(reply.first_half(), cycle(pings)))


def _end_early(reason: str, *, empty: bool = False, **fields: Any) -> Respond:
    """End the reply half-way, or without content, with a finish reason and further fields of the choice."""

    def respond(reply: Reply) -> Response:
        content = [] if empty else reply.first_half()
        text = "".join(json.loads(event[6:])["choices"][0]["delta"].get("content") or "" for event in content)
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "logprobs": None, **fields}
        if not reply.streamed:
            message = {"role": "assistant", "content": text}
            return _body({**reply.completion, "choices": [{**choice, "message": message}]})
        return _stream([*content, _chunk(reply, {**choice, "delta": {}}, object="chat.completion.chunk"), DONE])

    return respond


def _chunk(reply: Reply, choice: dict[str, Any], **fields: str) -> bytes:
    head = {key: reply.completion[key] for key in ("id", "created", "model")}
    return encode_event({**head, **fields, "choices": [choice]})


def _call_tool(*, index: bool, cut: bool) -> Respond:
    """Send a tool call instead of the text, with its index or not, and end within it or not."""

    def respond(reply: Reply) -> Response:
        call: dict[str, Any] = {"index": 0} if index else {}
        function = {"name": "get_current_weather", "arguments": '{"location":"Aachen"}'}
        first = {**call, "id": "call_1", "type": "function", "function": function}
        reason = None if cut else "tool_calls"
        if not reply.streamed:
            message = {"role": "assistant", "content": None, "tool_calls": [first]}
            choice = {"index": 0, "finish_reason": reason, "message": message}
            return _body({**reply.completion, "choices": [choice]})
        deltas = [{**first, "function": {**function, "arguments": ""}}]
        deltas += [{**call, "function": {"arguments": piece}} for piece in ('{"loc', 'ation":"A', 'achen"}')]
        pieces = [
            _chunk(reply, {"index": 0, "delta": {"tool_calls": [delta]}, "finish_reason": None}) for delta in deltas
        ]
        end = _chunk(reply, {"index": 0, "delta": {}, "finish_reason": reason})
        return _stream(pieces[:-1] if cut else [*pieces, end, DONE])

    return respond


# --- single faults


def _error(message: str, kind: str | None = "server_error", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_PAGE = b"<html>\r\n<head><title>%b</title></head>\r\n<body>\r\n<center><h1>%b</h1></center>\r\n</body>\r\n</html>\r\n"
_BAD_GATEWAY = _PAGE % (b"502 Bad Gateway", b"502 Bad Gateway")
_SIGN_IN = _PAGE % (b"Sign in", b"Sign in to continue")
_HTML = {"content-type": "text/html; charset=utf-8"}
_BUSY_MODEL = "The model is overloaded."
_OVERLOADED = _error("The model is overloaded. Please try again later.")
_BUSY = _error("Rate limit reached for requests.", "requests", "rate_limit_exceeded")
_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
    "Please modify your prompt and retry."
)
_PROMPT_FILTER = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]
_VERDICT = {"content_filter_results": {"violence": {"filtered": True}}}
_PING = encode_event({"type": "ping"}, "ping")
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


_FAULTS: dict[str, tuple[str, Respond]] = {
    # the body or the connection ends early
    "cut-end": ("the body ends half-way, in good order", _break_off()),
    "cut-fin": ("the connection is closed half-way", _break_off(cut="fin")),
    "cut-reset": ("the connection is reset half-way", _break_off(cut="reset")),
    "cut-mid-line": ("the body ends in the middle of a line", _break_off(b'data: {"id":"chatcmpl-1","choi')),
    "cut-json": ("an event holds half a JSON object", _break_off(encode_event(b'{"id":"chatcmpl-1","choi'))),
    "cut-tool-call": ("the body ends within a tool call", _call_tool(index=True, cut=True)),
    "broken-gzip": (
        "the body says it is gzip and is not",
        _send_body(lambda _: b"no gzip at all", headers={"content-encoding": "gzip"}),
    ),
    "only-done": ("a stream of [DONE] alone", _send(lambda _: [DONE])),
    "early-done": ("[DONE] comes in the middle", _send(_done_in_the_middle)),
    "empty-body": ("a stream without a byte", lambda _: _body(b"", headers={"content-type": "text/event-stream"})),
    "no-content": ("204, no content", lambda _: Response(204, {})),
    # something else comes
    "single-newlines": ("no blank line between events", _send(lambda reply: [event[:-1] for event in reply.events()])),
    "json-error": ("200 with an error as its JSON body", _send_body(lambda _: _OVERLOADED)),
    "json-detail": ("200 with a detail as its JSON body", _send_body(lambda _: {"detail": _BUSY_MODEL})),
    "html-page": ("200 with a web page", _send_body(lambda _: _SIGN_IN, headers=_HTML)),
    "html-in-stream": ("an error whose message is a 502 page", _insert(_error(_BAD_GATEWAY.decode()))),
    "server-error-text": ("an event that says Internal Server Error", _insert(b"Internal Server Error")),
    "error-object": ("an error object in the stream", _insert(_OVERLOADED)),
    "event-error": (
        "event: error with a message",
        _insert({"message": _BUSY_MODEL}, "error", whole={"message": "overloaded"}),
    ),
    "detail-event": ("a detail in the stream", _insert({"detail": _BUSY_MODEL}, whole={"detail": "overloaded"})),
    "object-error": ('an object of kind "error" in the stream', _insert({"object": "error", "message": _BUSY_MODEL})),
    "invalid-utf8": (
        "bytes that are no UTF-8",
        _insert(b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}', whole=b'{"choices":[{"x":"\xff"}]}'),
    ),
    "choices-null": ("a JSON body with choices null", _send_body(lambda completion: {**completion, "choices": None})),
    "choices-empty": ("a JSON body with no choices", _send_body(lambda completion: {**completion, "choices": []})),
    "message-null": ("a JSON body with message null", _send_body(_first_choice(message=None))),
    "finish-null": ("a JSON body with finish_reason null", _send_body(_first_choice(finish_reason=None))),
    # nothing comes
    "silence": ("nothing comes, not even a status", _silence),
    "stalled": ("the stream falls silent half-way", _break_off(FOREVER)),
    "only-pings": ("only comments come, from the beginning", _send(lambda _: cycle((PING_S, b": ping\n\n")))),
    "endless-pings": ("only comments come from half-way on", _ping_for_ever(PING_S, b": ping\n\n")),
    "endless-event-pings": (
        "only empty events and pings come from half-way on",
        _ping_for_ever(PING_S, _PING, PING_S, b"data:\n\n"),
    ),
    # the reply ends for a reason
    "length": ("cut off at the limit of tokens", _end_early("length")),
    "content-filter": ("cut off by the content filter", _end_early("content_filter")),
    "content-filter-empty": ("nothing but the content filter", _end_early("content_filter", empty=True)),
    "content-filter-nested": (
        "the filter's verdict in provider_specific_fields",
        _end_early("content_filter", provider_specific_fields=_VERDICT),
    ),
    # refusals
    "redirect": ("302 to another host", _refuse(302, b"", {"location": "https://elsewhere.invalid/v1?x=1"})),
    "retry-after-1": ("429, wait 1 s; then the reply", _refuse(429, _BUSY, {"retry-after": "1"}, times=1)),
    "retry-after-61": ("429, wait 61 s", _refuse(429, _BUSY, {"retry-after": "61"})),
    "retry-after-long": ("429, wait 300 s", _refuse(429, _BUSY, {"retry-after": "300"})),
    "no-retry-after": ("429 that names no time; then the reply", _refuse(429, _BUSY, times=1)),
    "insufficient-quota": (
        "429, the quota is used up",
        _refuse(429, _error(_QUOTA, "insufficient_quota", "insufficient_quota")),
    ),
    "insufficient-quota-litellm": (
        "the same as LiteLLM tells it",
        _refuse(429, _error(f"litellm.RateLimitError: RateLimitError: OpenAIException - {_QUOTA}", None, "429")),
    ),
    "overloaded": ("503; then the reply", _refuse(503, _OVERLOADED, times=1)),
    "bad-gateway-html": ("502 with a web page", _refuse(502, _BAD_GATEWAY, _HTML)),
    "key-not-accepted": ("401", _refuse(401, _error("Authentication Error, Invalid key.", "auth_error", "401"))),
    "no-connected-db": ("400 for a key that is not known", _refuse(400, _error("No connected db.", None, "400"))),
    "content-policy": ("400, the prompt was filtered", _refuse(400, _error(_FILTERED, None, "content_filter"))),
    # odd, and right
    "keep-alives": ("comments between the events", _interleave(b": ping\n\n")),
    "empty-data": ("events without data between the others", _interleave(b"data:\n\n")),
    "event-ping": ("ping events", _interleave(_PING)),
    "crlf": ("lines end in CRLF", _replace_newlines(b"\r\n")),
    "cr": ("lines end in CR", _replace_newlines(b"\r")),
    "bom": ("a byte-order mark comes first", _send(lambda reply: [b"\xef\xbb\xbf", *reply.events()])),
    "split-utf8": ("every byte comes by itself", _send(_single_bytes)),
    "azure-first-chunk": (
        "the filter's results for the prompt come first",
        _send(lambda reply: [encode_event(_AZURE_FIRST), *reply.events()]),
    ),
    "usage-without-choices": ("a usage chunk without choices", _send_as(include_usage=True, litellm=False)),
    "usage-with-choices": ("a usage chunk with a choice", _send_as(include_usage=True, litellm=True)),
    "usage-after-done": (
        "the usage chunk comes after [DONE]",
        _send(lambda reply: [*reply.events(include_usage=False), reply.events(include_usage=True)[-2]]),
    ),
    "no-index": ("choices without an index", _change_choices(lambda choice: choice.pop("index"))),
    "tool-call-no-index": ("a tool call without an index", _call_tool(index=False, cut=False)),
    "null-delta": ("the last delta is null", _change_choices(_null_delta)),
    "litellm": ("LiteLLM's dialect", _send_as(litellm=True)),
    "no-done": ("no [DONE]", _send(lambda reply: reply.events()[:-1])),
    "no-blank-line": ("the last event lacks its blank line", _send(_without_last_newlines)),
    "json-body": ("the whole reply at once, as JSON", _send_body(lambda completion: completion)),
    "strange-values": (
        "the same, with values nobody knows",
        _send_body(lambda completion: {**_first_choice(finish_reason="end_turn")(completion), "service_tier": "gold"}),
    ),
    "one-event": ("the whole reply as one event", _send(lambda reply: [encode_event(reply.completion), DONE])),
    "always-streamed": ("a stream also where none was asked for", lambda reply: _stream(reply.events())),
}
FAULTS = {name: Fault(description, respond) for name, (description, respond) in _FAULTS.items()}
