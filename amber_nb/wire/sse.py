"""Server-sent events, sans-IO: bytes in, the data of whole events out.

Follows the WHATWG HTML standard, section 9.2.6 (UTF-8, an optional byte-order mark, LF, CRLF or CR ends a line, a blank
line ends an event, a line that begins with a colon is a comment). One thing is stricter, since a reply must never be
cut unseen: what follows the last blank line is not dropped but handed out by `close`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Decoder", "Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        data: its data lines joined by LF, as UTF-8 bytes.
        name: the event field, mostly empty.
        alien: it begins with a line that is none of an event's, so it may be a body that is no stream.
    """

    data: bytes
    name: bytes = b""
    alien: bool = field(default=False, repr=False)


class Decoder:
    r"""Feed it the body as it comes, in pieces of any size.

    Example:
        >>> Decoder().feed(b"data: 1\n\n: ping\n\ndata: 2\n\n")
        [Event(data=b'1', name=b''), Event(data=b'2', name=b'')]

    Attributes:
        heard: grows with each piece that carries data; comments, empty events and pings leave it as it is.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # the line not yet ended, in the pieces it came in: joining each time is quadratic
        self._cr = False  # the last byte was CR: a LF that follows belongs to it
        self._first = True
        self._data: list[bytes] = []
        self._name = b""
        self._held = 0  # bytes of the line not yet ended
        self._alien = False  # of the event not yet ended, never of what else is in the same piece
        self.heard = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this piece of the body completes."""
        if not chunk:
            return []
        if b"\r" in chunk or self._cr:
            chunk = self._newlines(chunk)
            if not chunk:
                return []
        if b"\n" not in chunk:
            self._rest.append(chunk)
            self._hold(len(chunk))
            return []
        self._rest.append(chunk)
        *lines, rest = b"".join(self._rest).split(b"\n")
        self._held = 0
        self._rest = [rest] if rest else []
        if rest:
            self._hold(len(rest))
        events: list[Event] = []
        for line in lines:
            self._line(line, events)
        return events

    def close(self) -> Event | None:
        """What stood after the last blank line: an event that was cut, or that lacks its blank line."""
        events: list[Event] = []
        if self._rest:
            self._line(b"".join(self._rest), events)
            self._rest = []
        self._line(b"", events)
        return events[0] if events else None

    def _hold(self, more: int) -> None:
        # A long line is data long before it ends. Not what may still become a comment, another field or empty data.
        self._held += more
        if self._held > 6 and self._name != b"ping" and self._rest[0][:1] not in (b":", b"e", b"i", b"r"):
            self.heard += 1

    def _newlines(self, chunk: bytes) -> bytes:
        if self._cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _line(self, line: bytes, events: list[Event]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data or self._name:
                events.append(Event(b"\n".join(self._data), self._name, self._alien))
            self._data, self._name, self._alien = [], b"", False
            return
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            self._data.append(value)
            if value and self._name != b"ping":
                self.heard += 1
        elif key == b"event":
            self._name = value
        elif key and key not in (b"id", b"retry"):
            # Not SSE at all (HTML, plain JSON): kept, so that the reader sees it instead of nothing.
            self._alien = self._alien or not self._data
            self._data.append(line)
            self.heard += 1
