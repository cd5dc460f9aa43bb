"""What can go wrong with a reply, by name: the model `fault/<name>` answers with that fault.

The table follows what is known of the gateway and its dialect, those forms included that look odd and are right. One
is missing, since no client can see it: a stream that was cut above the proxy, and that the proxy ends as if it were
whole.

A fault of streams alone leaves a reply that is not streamed as it is; where a body can break in the same way, it does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from .breaks import (
    DONE,
    FOREVER,
    Make,
    Piece,
    Plain,
    answer,
    arriving,
    breaking_off,
    endless,
    event,
    refusing,
    saying,
    streamed,
    told,
)
from .exchange import Response

__all__ = ["FAULTS", "PREFIX", "Fault", "near"]

PREFIX = "fault/"
PING_S = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: a line that tells it, and what it makes of the reply that would have come."""

    tells: str
    make: Make


def near(name: str) -> list[str]:
    """The names that somebody may have meant."""
    return get_close_matches(name, FAULTS, n=3, cutoff=0.5)


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


def _ended(plain: Plain, reason: str, *, empty: bool = False, nested: bool = False) -> Response:
    """The reply ends half-way, or before it began, for a reason that it tells."""
    carried = [] if empty else plain.half()
    text = "".join(json.loads(one[6:])["choices"][0]["delta"].get("content") or "" for one in carried)
    choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "logprobs": None}
    if nested:
        choice["provider_specific_fields"] = {"content_filter_results": {"violence": {"filtered": True}}}
    completion = {**plain.completion, "choices": [{**choice, "message": {"role": "assistant", "content": text}}]}
    if not plain.streamed:
        return told(completion)
    end = {key: plain.completion[key] for key in ("id", "created", "model")}
    end |= {"object": "chat.completion.chunk", "choices": [{**choice, "delta": {}}]}
    return streamed([*carried, event(end), DONE])


def _tool_call(plain: Plain, *, index: bool, cut: bool) -> Response:
    """A call instead of the text, whatever was asked."""
    call: dict[str, Any] = {"index": 0} if index else {}
    function = {"name": "get_current_weather", "arguments": '{"location":"Aachen"}'}
    deltas: list[dict[str, Any]] = [{**call, "id": "call_1", "type": "function", "function": function}]
    if plain.streamed:
        deltas = [{**deltas[0], "function": {**function, "arguments": ""}}]
        deltas += [{**call, "function": {"arguments": piece}} for piece in ('{"loc', 'ation":"A', 'achen"}')]
    message = {"role": "assistant", "content": None, "tool_calls": deltas}
    reason = None if cut else "tool_calls"
    if not plain.streamed:
        return told({**plain.completion, "choices": [{"index": 0, "finish_reason": reason, "message": message}]})
    head = {key: plain.completion[key] for key in ("id", "created", "model")}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        return event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    pieces = [chunk({"tool_calls": [delta]}) for delta in deltas]
    return streamed(pieces[:-1] if cut else [*pieces, chunk({}, reason), DONE])


def _with_first(plain: Plain, first: bytes) -> list[bytes]:
    return [first, *plain.events()]


def _between(plain: Plain, ping: bytes) -> list[bytes]:
    return [piece for one in plain.events() for piece in (ping, one)]


def _lines(plain: Plain, end: bytes) -> list[bytes]:
    return [one.replace(b"\n", end) for one in plain.events()]


def _bytewise(plain: Plain) -> list[bytes]:
    # Some letter of more than one byte is always among them.
    body = b"".join(plain.chunks(lambda chunk: chunk.update(provider="Zürich 🌍")))
    return [body[at : at + 1] for at in range(len(body))]


def _choices(change: Callable[[dict[str, Any]], object]) -> Callable[[Plain], list[bytes]]:
    return lambda plain: plain.chunks(lambda chunk: [change(choice) for choice in chunk["choices"]])


def _null_delta(choice: dict[str, Any]) -> None:
    if not choice["delta"]:
        choice["delta"] = None


def _pings(plain: Plain) -> Iterator[Piece]:
    yield from plain.half()
    yield from endless(PING_S, b": ping\n\n")


def _event_pings(plain: Plain) -> Iterator[Piece]:
    yield from plain.half()
    yield from endless(PING_S, event({"type": "ping"}, "ping"), PING_S, b"data:\n\n")


def _early_done(plain: Plain) -> list[bytes]:
    half = plain.half()
    return [*half, DONE, *plain.events()[len(half) :]]


def _unended(plain: Plain) -> list[bytes]:
    events = plain.events(include_usage=False)
    return [*events[:-2], events[-2].rstrip(b"\n")]


def _azure(plain: Plain) -> list[bytes]:
    results = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": results}
    return _with_first(plain, event(first))


def _first_choice(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda completion: {**completion, "choices": [{**completion["choices"][0], **fields}]}


def _silence(plain: Plain) -> Response:
    said = answer(plain)
    return Response(said.status, said.headers, said.body, said.events, wait_s=FOREVER)


FAULTS: dict[str, Fault] = {
    # the body or the connection ends early
    "cut-end": Fault("the body ends half-way, in good order", breaking_off()),
    "cut-fin": Fault("the connection is closed half-way", breaking_off(cut="fin")),
    "cut-reset": Fault("the connection is reset half-way", breaking_off(cut="reset")),
    "cut-mid-line": Fault("the body ends in the middle of a line", breaking_off(b'data: {"id":"chatcmpl-1","choi')),
    "cut-json": Fault("an event holds half a JSON object", breaking_off(event(b'{"id":"chatcmpl-1","choi'))),
    "cut-tool-call": Fault("the body ends within a tool call", lambda plain: _tool_call(plain, index=True, cut=True)),
    "broken-gzip": Fault(
        "the body says it is gzip and is not", saying(lambda _: b"no gzip at all", headers={"content-encoding": "gzip"})
    ),
    "only-done": Fault("a stream of [DONE] alone", arriving(lambda _: [DONE])),
    "early-done": Fault("[DONE] comes in the middle", arriving(_early_done)),
    "empty-body": Fault("a stream without a byte", lambda _: told(b"", headers={"content-type": "text/event-stream"})),
    "no-content": Fault("204, no content", lambda _: Response(204, {})),
    # something else comes
    "single-newlines": Fault(
        "no blank line between events", arriving(lambda plain: [one[:-1] for one in plain.events()])
    ),
    "json-error": Fault("200 with an error as its JSON body", saying(lambda _: _OVERLOADED)),
    "json-detail": Fault(
        "200 with a detail as its JSON body", saying(lambda _: {"detail": "The model is overloaded."})
    ),
    "html-page": Fault("200 with a web page", saying(lambda _: _SIGN_IN, headers=_HTML)),
    "html-in-stream": Fault(
        "an error whose message is a 502 page",
        breaking_off(event(_error(_BAD_GATEWAY.decode())), whole=_error(_BAD_GATEWAY.decode())),
    ),
    "server-error-text": Fault(
        "an event that says Internal Server Error",
        breaking_off(event(b"Internal Server Error"), whole=b"Internal Server Error"),
    ),
    "error-object": Fault("an error object in the stream", breaking_off(event(_OVERLOADED), whole=_OVERLOADED)),
    "event-error": Fault(
        "event: error with a message",
        breaking_off(event({"message": "The model is overloaded."}, "error"), whole={"message": "overloaded"}),
    ),
    "detail-event": Fault(
        "a detail in the stream",
        breaking_off(event({"detail": "The model is overloaded."}), whole={"detail": "overloaded"}),
    ),
    "object-error": Fault(
        'an object of kind "error" in the stream',
        breaking_off(
            event({"object": "error", "message": "The model is overloaded."}),
            whole={"object": "error", "message": "The model is overloaded."},
        ),
    ),
    "invalid-utf8": Fault(
        "bytes that are no UTF-8",
        breaking_off(
            event(b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}'), whole=b'{"choices":[{"x":"\xff"}]}'
        ),
    ),
    "choices-null": Fault("a JSON body with choices null", saying(lambda completion: {**completion, "choices": None})),
    "choices-empty": Fault("a JSON body with no choices", saying(lambda completion: {**completion, "choices": []})),
    "message-null": Fault("a JSON body with message null", saying(_first_choice(message=None))),
    "finish-null": Fault("a JSON body with finish_reason null", saying(_first_choice(finish_reason=None))),
    # nothing comes
    "silence": Fault("nothing comes, not even a status", _silence),
    "stalled": Fault("the stream falls silent half-way", breaking_off(FOREVER)),
    "only-pings": Fault("only comments come, from the beginning", arriving(lambda _: endless(PING_S, b": ping\n\n"))),
    "endless-pings": Fault("only comments come from half-way on", arriving(_pings)),
    "endless-event-pings": Fault("only empty events and pings come from half-way on", arriving(_event_pings)),
    # the reply ends for a reason
    "length": Fault("cut off at the limit of tokens", lambda plain: _ended(plain, "length")),
    "content-filter": Fault("cut off by the content filter", lambda plain: _ended(plain, "content_filter")),
    "content-filter-empty": Fault("nothing but the content filter", lambda p: _ended(p, "content_filter", empty=True)),
    "content-filter-nested": Fault(
        "the filter's verdict in provider_specific_fields", lambda p: _ended(p, "content_filter", nested=True)
    ),
    # refusals
    "redirect": Fault("302 to another host", refusing(302, b"", {"location": "https://elsewhere.invalid/v1?x=1"})),
    "retry-after-1": Fault("429, wait 1 s; then the reply", refusing(429, _BUSY, {"retry-after": "1"}, times=1)),
    "retry-after-61": Fault("429, wait 61 s", refusing(429, _BUSY, {"retry-after": "61"})),
    "retry-after-long": Fault("429, wait 300 s", refusing(429, _BUSY, {"retry-after": "300"})),
    "no-retry-after": Fault("429 that names no time; then the reply", refusing(429, _BUSY, times=1)),
    "insufficient-quota": Fault(
        "429, the quota is used up", refusing(429, _error(_QUOTA, "insufficient_quota", "insufficient_quota"))
    ),
    "insufficient-quota-litellm": Fault(
        "the same as LiteLLM tells it",
        refusing(429, _error(f"litellm.RateLimitError: RateLimitError: OpenAIException - {_QUOTA}", None, "429")),
    ),
    "overloaded": Fault("503; then the reply", refusing(503, _OVERLOADED, times=1)),
    "bad-gateway-html": Fault("502 with a web page", refusing(502, _BAD_GATEWAY, _HTML)),
    "key-not-accepted": Fault("401", refusing(401, _error("Authentication Error, Invalid key.", "auth_error", "401"))),
    "no-connected-db": Fault("400 for a key that is not known", refusing(400, _error("No connected db.", None, "400"))),
    "content-policy": Fault("400, the prompt was filtered", refusing(400, _error(_FILTERED, None, "content_filter"))),
    # odd, and right
    "keep-alives": Fault("comments between the events", arriving(lambda plain: _between(plain, b": ping\n\n"))),
    "empty-data": Fault("events without data between the others", arriving(lambda p: _between(p, b"data:\n\n"))),
    "event-ping": Fault("ping events", arriving(lambda plain: _between(plain, event({"type": "ping"}, "ping")))),
    "crlf": Fault("lines end in CRLF", arriving(lambda plain: _lines(plain, b"\r\n"))),
    "cr": Fault("lines end in CR", arriving(lambda plain: _lines(plain, b"\r"))),
    "bom": Fault("a byte-order mark comes first", arriving(lambda plain: _with_first(plain, b"\xef\xbb\xbf"))),
    "split-utf8": Fault("every byte comes by itself", arriving(_bytewise)),
    "azure-first-chunk": Fault("the filter's results for the prompt come first", arriving(_azure)),
    "usage-without-choices": Fault(
        "a usage chunk without choices", arriving(lambda plain: plain.events(include_usage=True, litellm=False))
    ),
    "usage-with-choices": Fault(
        "a usage chunk with a choice", arriving(lambda plain: plain.events(include_usage=True, litellm=True))
    ),
    "usage-after-done": Fault(
        "the usage chunk comes after [DONE]",
        arriving(lambda p: [*p.events(include_usage=False), p.events(include_usage=True)[-2]]),
    ),
    "no-index": Fault("choices without an index", arriving(_choices(lambda choice: choice.pop("index")))),
    "tool-call-no-index": Fault("a tool call without an index", lambda p: _tool_call(p, index=False, cut=False)),
    "null-delta": Fault("the last delta is null", arriving(_choices(_null_delta))),
    "litellm": Fault("LiteLLM's dialect", arriving(lambda plain: plain.events(litellm=True))),
    "no-done": Fault("no [DONE]", arriving(lambda plain: plain.events()[:-1])),
    "no-blank-line": Fault("the last event lacks its blank line", arriving(_unended)),
    "json-body": Fault("the whole reply at once, as JSON", saying(lambda completion: completion)),
    "strange-values": Fault(
        "the same, with values nobody knows",
        saying(lambda completion: {**_first_choice(finish_reason="end_turn")(completion), "service_tier": "gold"}),
    ),
    "one-event": Fault("the whole reply as one event", arriving(lambda plain: [event(plain.completion), DONE])),
    "always-streamed": Fault("a stream also where none was asked for", lambda plain: streamed(plain.events())),
}
