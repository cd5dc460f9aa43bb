"""Read the bytes of a reply: server-sent events, JSON, and what a body that is neither says; sans-IO."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import jiter

from ..error_body import summarize

__all__ = [
    "Event",
    "MalformedEvent",
    "SSEDecoder",
    "parse_json",
]

_QUOTED_CHARS = 200  # of an event or a body, in an error message


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
        activity: grows with each piece of a line that is long, and with each line of a body that is no stream; what an
            event says that is whole, is for whoever reads it to tell.
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
        elif key == b"event":
            self._name = value
        elif key and key not in (b"id", b"retry"):
            # Not SSE at all (HTML, plain JSON): kept, so that the reader sees it instead of nothing.
            self._foreign = self._foreign or not self._data
            self._data.append(line)
            self.activity += 1
        return None


class MalformedEvent(Exception):
    """An event or a body is not part of a chat completion; the message begins with the bytes that came."""


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
