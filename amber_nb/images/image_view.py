"""ImageView: images chosen, dropped or pasted in the page, on their way into the kernel.

Jupyter loses messages over 10 MB without a word, so a file travels in pieces, and none is sent before the one before it
was acknowledged. A view has two lines, one for files and links, one for what else it asks for; on a line one thing
happens at a time. All that is said on a line has the number of the deed (`put`) it belongs to and a number of its own
(`turn`); an answer repeats both. A deed is done once, however often it is asked for. The protocol, in full:

    view → kernel   {"hello": view}                             what was half sent is forgotten; answered by the entries
                    {"line", "put", "turn", "name", "size", "at", "before"} + bytes    a piece of a file, from `at`
                    {"line", "put", "turn", "link": address}
                    {"line", "put", "turn", "order": [id], "removed": [id]}
                    {"line", "put", "turn", "done": 1}
                    {"line", "put", "turn", "ask": 1}           how far is it? Instead of sending it again
                    {"gone": view}                              the view has left the page
    kernel → view   {"line", "put", "turn", "have": bytes}      send from there
                    {"line", "put", "turn", "end": 1, "said": message or ""}
                    {"entries": [[id, name, [fact], buffer or null]], "finished": bool} + thumbnails

A line's name begins with its view's.
"""

from __future__ import annotations

import logging
import pathlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import anywidget
import traitlets

from ..display.escape import shorten, visible
from ..display.hearing import let_through
from ..errors import AmberError
from ..types import encodable

__all__ = ["MAX_FILE", "MAX_PIECE", "Entry", "ImageView"]

_log = logging.getLogger(__name__)
_STATIC = pathlib.Path(__file__).parents[1] / "display" / "static"

MAX_PIECE = 4_000_000  # bytes in one message
MAX_FILE = 64_000_000
_MOST_LINES = 40  # two for each view that is open
_LONGEST_NAME = 200
_LONGEST_MESSAGE = 600


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of the input, as the page is told it."""

    id: int
    name: str
    facts: tuple[str, ...] = ()  # lines below the name, made by `strip.facts`
    thumbnail: bytes = field(default=b"", repr=False)  # a WebP, JPEG or PNG file of at most 160 × 160 pixels; b"": none


@dataclass(slots=True)
class _Line:
    """What one line of a view is at."""

    put: int = 0  # the deed under way, or the last one
    pieces: list[bytes] = field(default_factory=list)
    have: int = 0
    said: str | None = None  # what was answered when it had ended


class ImageView(anywidget.AnyWidget):
    """Where a reader chooses, drops and pastes images. Whoever made it says what is in it: `show`.

    The callbacks run on whichever thread hears the page, one at a time. The message of an AmberError that they raise is
    shown to the reader, of any other exception the name.

    Args:
        take: Called with a file's name, its bytes, and its pixels before the browser shrank it (None: it did not).
        link: Called with a dropped or pasted http(s) address.
        arrange: Called with the ids that stay, in their order.
        done: Called when the reader says that these are all.
        max_side_px: The browser shrinks what is longer on a side.
        most: How many images it takes.

    Attributes:
        hello: Set when a browser has the view on its page.

    Example:
        >>> view = ImageView(take=print, link=print, arrange=print, done=print, max_side_px=2048, most=20)
        >>> display(view)
    """

    _esm: ClassVar[pathlib.Path] = _STATIC / "image_view.js"
    _css: ClassVar[pathlib.Path] = _STATIC / "image_view.css"
    max_side_px = traitlets.Int().tag(sync=True)
    most = traitlets.Int().tag(sync=True)
    # A Layout is a widget of its own: more messages, and one object more to close.
    layout = traitlets.Any(None, allow_none=True).tag(sync=True)

    def __init__(
        self,
        *,
        take: Callable[[str, bytes, tuple[int, int] | None], None],
        link: Callable[[str], None],
        arrange: Callable[[list[int]], None],
        done: Callable[[], None],
        max_side_px: int,
        most: int,
    ) -> None:
        self.hello = threading.Event()
        self._take, self._link, self._arrange, self._done = take, link, arrange, done
        self._hearing = threading.RLock()  # one message at a time; a callback may let the next one in
        self._lines: dict[str, _Line] = {}
        self._taking = False  # a whole file is being decoded
        self._views: set[str] = set()
        self._telling = threading.RLock()  # around what follows, and around its sending: the newest list comes last
        self._entries: tuple[Entry, ...] = ()
        self._pictured: set[int] = set()  # whose thumbnails were sent since the last greeting
        self._finished = False
        super().__init__(max_side_px=max_side_px, most=most)
        let_through(self.comm)
        self.on_msg(self._heard)

    def __repr__(self) -> str:
        return f"ImageView(images={len(self._entries)})"

    @property
    def busy(self) -> bool:
        """Whether a file is on its way: some of it has come, and some has not."""
        return self._taking or any(line.pieces for line in list(self._lines.values()))

    def show(self, entries: Sequence[Entry]) -> None:
        """Say what is in it now: the whole list. From any thread."""
        with self._telling:
            self._entries = tuple(entries)
            self._tell()

    def finish(self) -> None:
        """Take no more: the page shows the list alone, and the view is closed once the page has let it go."""
        with self._telling:
            self._finished = True
            self._tell()
        self._close_if_left()

    def close(self) -> None:
        """Take the view off the page. May be called again, and from any thread."""
        if "_telling" in self.__dict__:  # else the constructor has failed, and this is the collector
            with self._telling:
                super().close()

    def _tell(self) -> None:
        if not self.hello.is_set():  # nobody listens; whoever says hello is told
            return
        thumbnails: list[bytes] = []
        rows: list[tuple[int, str, list[str], int | None]] = []
        for entry in self._entries:
            index = None
            if entry.thumbnail and entry.id not in self._pictured:
                self._pictured.add(entry.id)
                index = len(thumbnails)
                thumbnails.append(entry.thumbnail)
            facts = [_shown(line, _LONGEST_NAME) for line in entry.facts]
            rows.append((entry.id, _shown(entry.name, _LONGEST_NAME), facts, index))
        self.send({"entries": rows, "finished": self._finished}, thumbnails)

    def _heard(self, _widget: object, content: object, buffers: Sequence[Any]) -> None:
        if not isinstance(content, dict):
            return
        with self._hearing:
            view = content.get("hello")
            if isinstance(view, str):
                for line in self._lines.values():
                    line.pieces, line.have = [], 0
                self._views.add(view)
                self.hello.set()
                with self._telling:
                    self._pictured.clear()
                    self._tell()
            elif "gone" in content:
                view = str(content["gone"])
                self._views.discard(view)
                self._lines = {name: line for name, line in self._lines.items() if not name.startswith(f"{view}-")}
                self._close_if_left()
            elif isinstance(content.get("line"), str) and isinstance(content.get("put"), int):
                answer = self._answer(content, buffers)
                self.send({name: content.get(name) for name in ("line", "put", "turn")} | answer)

    def _close_if_left(self) -> None:
        if self._finished and self.hello.is_set() and not self._views:
            self.close()

    def _answer(self, content: dict[str, Any], buffers: Sequence[Any]) -> dict[str, Any]:
        """What is said of one deed: how far it is, or how it ended."""
        put = content["put"]
        if content["line"] not in self._lines and len(self._lines) >= _MOST_LINES:
            return {"end": 1, "said": "too many views of this input are open"}
        line = self._lines.setdefault(content["line"], _Line())
        if put > line.put:
            line.put, line.pieces, line.have, line.said = put, [], 0, None
        if put < line.put:  # of long ago
            return {"end": 1, "said": ""}
        if line.said is None and "ask" not in content:
            line.said = self._carry_out(line, content, buffers)
        return {"have": line.have} if line.said is None else {"end": 1, "said": line.said}

    def _carry_out(self, line: _Line, content: dict[str, Any], buffers: Sequence[Any]) -> str | None:
        """Do what is asked; the message for the reader, empty where there is none, or None while more has to come."""
        if self._finished:
            return "no more images are taken here"
        if "done" in content:
            return self._try("", self._done)
        if "order" in content:
            ids = [entry.id for entry in self._entries]
            # What has come since the page was told stays, at the end.
            order = dict.fromkeys(one for one in (*_numbers(content["order"]), *ids) if one in ids)
            removed = _numbers(content.get("removed"))
            return self._try("", self._arrange, [one for one in order if one not in removed])
        if "link" in content:
            address = str(content["link"])
            # Not the address itself: it may hold what opens the picture to everybody.
            return self._full("this link") or self._try("this link", self._link, address)
        name = _name(content.get("name"))
        size, at = content.get("size"), content.get("at")
        piece = bytes(buffers[0]) if len(buffers) == 1 and isinstance(buffers[0], (bytes, memoryview)) else None
        if not isinstance(size, int) or not isinstance(at, int) or piece is None or len(piece) > MAX_PIECE:
            return f"{_shown(name, _LONGEST_NAME)}: the browser sent something else"
        if not 0 <= at <= size:
            return f"{_shown(name, _LONGEST_NAME)}: the browser sent something else"
        if size > MAX_FILE:
            return f"{_shown(name, _LONGEST_NAME)}: more than {MAX_FILE // 1_000_000} MB"
        if at != line.have or at + len(piece) > size or not (piece or not size):
            return None  # it has come before, or one before it has not
        line.pieces.append(piece)
        line.have += len(piece)
        if line.have < size:
            return None
        data = b"".join(line.pieces)
        line.pieces = []
        self._taking = True
        try:
            return self._full(name) or self._try(name, self._take, name, data, _pixels(content.get("before")))
        finally:
            self._taking = False

    def _full(self, name: str) -> str:
        room = len(self._entries) < self.most
        return "" if room else f"{_shown(name, _LONGEST_NAME)}: at most {self.most:,} images are taken"

    def _try(self, name: str, call: Callable[..., None], *arguments: object) -> str:
        try:
            call(*arguments)
        except AmberError as error:
            said = str(error)
        except Exception as error:
            # Nobody would see it raised in a message handler.
            _log.exception("an image could not be taken in")
            said = type(error).__name__
        else:
            return ""
        return _shown(said if not name or said.startswith(name) else f"{name}: {said}", _LONGEST_MESSAGE)


def _shown(text: str, most: int) -> str:
    return visible(shorten(text, most))


def _name(sent: object) -> str:
    """A file's name without folders, whatever the page says."""
    name = re.split(r"[/\\]", sent if isinstance(sent, str) else "")[-1]
    return encodable(shorten(name, _LONGEST_NAME)) or "image"


def _numbers(sent: object) -> list[int]:
    return [one for one in sent if isinstance(one, int)] if isinstance(sent, list) else []


def _pixels(sent: object) -> tuple[int, int] | None:
    numbers = _numbers(sent)
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) > 0 else None
