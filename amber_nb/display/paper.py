"""Paper of a fixed size: what is written on it stays balanced HTML wherever the size runs out."""

from collections.abc import Callable

from .escape import utf8_size

__all__ = ["Paper", "PaperFull"]


class PaperFull(Exception):
    """The piece does not fit any more."""


class Paper:
    """Collects pieces of HTML up to a size in bytes and remembers which tags are open."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._pieces: list[str] = []
        self._open: list[str] = []

    @property
    def left(self) -> int:
        """Bytes that still fit."""
        return self._left

    def put(self, html: str) -> None:
        """Add a balanced piece, or raise PaperFull and add nothing."""
        size = utf8_size(html)
        if size > self._left:
            raise PaperFull
        self._left -= size
        self._pieces.append(html)

    def put_head(self, text: str, write: Callable[[str], str]) -> int:
        """Add as much of a text as fits, in the form `write` gives it; raise PaperFull unless it is all of it."""
        html = write(text)
        if utf8_size(html) <= self._left:
            self.put(html)
            return len(text)
        head = text[: self._left]
        while head and (size := utf8_size(write(head))) > self._left:
            head = head[: min(len(head) - 1, len(head) * self._left // size)]
        self.put(write(head))
        raise PaperFull

    def open(self, tag: str, attributes: str = "") -> None:
        """Open a tag; room for its closing tag is set aside."""
        close = f"</{tag}>"
        if utf8_size(attributes) + 2 * len(close) > self._left:
            raise PaperFull
        self._left -= len(close)
        self._open.append(close)
        self.put(f"<{tag}{attributes}>")

    def close(self) -> None:
        """Close the tag opened last."""
        self._pieces.append(self._open.pop())

    def mark(self) -> tuple[int, int, int]:
        """A place to come back to."""
        return len(self._pieces), len(self._open), self._left

    def back_to(self, mark: tuple[int, int, int]) -> None:
        """Take away what was written since the mark."""
        pieces, opened, self._left = mark
        del self._pieces[pieces:]
        del self._open[opened:]

    def html(self) -> str:
        """All of it, with the tags that are still open closed."""
        return "".join(self._pieces) + "".join(reversed(self._open))
