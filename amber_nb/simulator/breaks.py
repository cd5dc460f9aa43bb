"""The ways in which a reply goes wrong, each made from the reply that would have come; `faults` names them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .deltas import sse
from .exchange import Cut, Response

__all__ = [
    "DONE",
    "FOREVER",
    "Make",
    "Piece",
    "Plain",
    "answer",
    "arriving",
    "breaking_off",
    "endless",
    "event",
    "refusing",
    "saying",
    "streamed",
    "told",
]

Piece: TypeAlias = bytes | float
DONE = b"data: [DONE]\n\n"
FOREVER = float("inf")
_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Plain:
    """The reply that would come without the fault, and what the request says of how it is to come."""

    completion: dict[str, Any]
    streamed: bool
    include_usage: bool
    litellm: bool
    attempt: int  # 0 for the first; clients tell it in `x-stainless-retry-count`

    def events(self, **how: Any) -> list[bytes]:
        """Give the events of the whole stream."""
        return list(sse(self.completion, **{"include_usage": self.include_usage, "litellm": self.litellm} | how))

    def half(self) -> list[bytes]:
        """Give the first half of the events that carry something."""
        ends = 1 + self.include_usage + len(self.completion["choices"])
        carrying = self.events()[:-ends]
        return carrying[: max(1, len(carrying) // 2)]

    def chunks(self, change: Callable[[dict[str, Any]], object], **how: Any) -> list[bytes]:
        """Give the events with a change made to each chunk's JSON."""
        changed = []
        for one in self.events(**how)[:-1]:
            chunk = json.loads(one[6:])
            change(chunk)
            changed.append(event(chunk))
        return [*changed, DONE]


Make: TypeAlias = Callable[[Plain], Response]


def event(data: Any, name: str = "") -> bytes:
    """Give one server-sent event; what is not bytes goes as JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + raw + b"\n\n"


def answer(plain: Plain) -> Response:
    """Give the reply without a fault."""
    return streamed(plain.events()) if plain.streamed else told(plain.completion)


def told(value: Any, status: int = 200, headers: Mapping[str, str] | None = None, cut: Cut = "") -> Response:
    """Give a body: bytes as they are, anything else as JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    return Response(status, {**_JSON, **(headers or {})}, body, cut=cut)


def streamed(pieces: Iterable[Piece], cut: Cut = "") -> Response:
    """Give a stream of these pieces."""
    return Response(200, _STREAM, events=pieces, cut=cut)


def saying(make: Callable[[dict[str, Any]], Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Make:
    """A body that is made from the completion and comes whether a stream was asked for or not."""
    return lambda plain: told(make(plain.completion), status, headers)


def refusing(status: int, body: Any, headers: Mapping[str, str] | None = None, *, times: int | None = None) -> Make:
    """A refusal; after so many `times` the reply comes."""

    def make(plain: Plain) -> Response:
        if times is not None and plain.attempt >= times:
            return answer(plain)
        return told(body, status, headers)

    return make


def breaking_off(*tail: Piece, cut: Cut = "", whole: Any = None) -> Make:
    """Half the stream, then `tail`.

    Args:
        tail: comes after it.
        cut: how the connection breaks then.
        whole: the body where no stream was asked for; without it, that too breaks off half-way.
    """

    def make(plain: Plain) -> Response:
        if plain.streamed:
            return streamed([*plain.half(), *tail], cut)
        if whole is not None:
            return told(whole)
        body = json.dumps(plain.completion, ensure_ascii=False).encode()
        half = body[: len(body) // 2]
        if FOREVER in tail:
            return Response(200, _JSON, events=[half, FOREVER])
        return told(half, cut=cut or "fin")

    return make


def arriving(change: Callable[[Plain], Iterable[Piece]]) -> Make:
    """A whole reply in unusual dress; where no stream was asked for, it is an ordinary one."""
    return lambda plain: streamed(change(plain)) if plain.streamed else answer(plain)


def endless(*pieces: Piece) -> Iterator[Piece]:
    """Give the pieces again and again."""
    while True:
        yield from pieces
