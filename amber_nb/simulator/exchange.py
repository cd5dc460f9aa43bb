"""What the doors of the simulator take and give: a request as it came, a response as it is to go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["BROKEN_OFF", "Cut", "Request", "Response"]

Cut = Literal["", "fin", "reset"]
BROKEN_OFF = 1_000  # bytes that a body which is cut announces beyond those that come


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: `path` is what follows the base URL, the names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A response: its body, or, when it is streamed, its server-sent events, the last of them `data: [DONE]`.

    A faulty one may hold anything else among its events, without end too; a number there is a pause in seconds.

    Attributes:
        events: pieces of the body, each of them sent by itself.
        cut: how the connection breaks after what is there: closed in the middle of the body, or reset.
        wait_s: seconds of silence before anything is said.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    events: Iterable[bytes | float] | None = None
    cut: Cut = ""
    wait_s: float = 0.0
