"""The input for images on the pages of a kernel: what it takes in, and how files travel.

Jupyter loses messages over 10 MB silently, so a file travels in pieces, and none is sent before the one before it was
acknowledged. Each view has two lines, one for files and links, one for everything else; on a line one operation happens
at a time. Each message of a line has the number of its operation (`put`) and a number of its own (`turn`); the answer
repeats both. An operation is carried out once, however often the view asks for it. The whole protocol:

    view → kernel   {"hello": view}                             drops files half sent; answered by the entries
                    {"line", "put", "turn", "name", "size", "at", "before"} + bytes    a piece of a file, from `at`
                    {"line", "put", "turn", "link": address}
                    {"line", "put", "turn", "order": [id], "removed": [id]}
                    {"line", "put", "turn", "done": 1}
                    {"line", "put", "turn", "ask": 1}           how far is it? Instead of sending it again
                    {"gone": view}                              the view has left the page
    kernel → view   {"line", "put", "turn", "have": bytes}      send from there
                    {"line", "put", "turn", "end": 1, "said": message or ""}
                    {"entries": [[id, name, [fact], buffer or null]], "finished": bool, "revision"} + thumbnails
                    the outputs' static form has the class amber-revision-<revision> once it shows this list

A line's name begins with its view's. The messages are those of an item of the live layer, in its key `i`.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import clock
from ..display import comm
from ..display.cards import QUIET_STYLE
from ..display.escape import shorten, show_controls
from ..display.layer import LiveItem
from ..errors import AmberError
from ..types import replace_surrogates

__all__ = ["MAX_FILE_BYTES", "MAX_PIECE_BYTES", "ImageEntry", "ImageView"]

_log = logging.getLogger(__name__)

MAX_PIECE_BYTES = 4_000_000  # in one message
MAX_FILE_BYTES = 64_000_000
_MAX_LINES = 40  # two for each view that is open
_MAX_NAME, _MAX_MESSAGE = 200, 600  # characters
_HELLO_S = 1.0  # where no page has the layer by then, this front end cannot have it
_REFRESH_S = 0.5  # between two updates of the static form
_OPEN = "open for more images when this was saved"
_NO_LAYER = "Images cannot be chosen here: install amber_nb where JupyterLab's server runs, and reload the page."


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image in the list on the page."""

    id: int
    name: str
    facts: tuple[str, ...] = ()  # lines below the name, made by `strip.facts`
    thumbnail: bytes = field(default=b"", repr=False)  # a WebP, JPEG or PNG file of at most 160 × 160 pixels; b"": none


@dataclass(slots=True)
class _Line:
    """The state of one line of a view."""

    put: int = 0  # number of the operation under way, or of the last one
    pieces: list[bytes] = field(default_factory=list)
    n_bytes: int = 0  # received
    result: str | None = None  # the message at the end of the operation, "" for success; None while it lasts


class ImageView(LiveItem):
    """What a reader chooses, drops and pastes images into; its owner holds them, and lists them by `show`.

    The callbacks run on whichever thread receives the page's messages, one at a time. The reader is shown the message
    of an AmberError that they raise, and the class of any other exception.

    Args:
        take: called with a file's name, its bytes, and its (width, height) before the browser shrank it, or None.
        link: called with a dropped or pasted http(s) address.
        arrange: called with the ids that stay, in their order.
        done: called when the reader says that these are all, or has deleted the cell.
        strip: returns the static form of the images, as a mime bundle.
        update: called with the view and the static form of the open input, to be put into its outputs.
        max_side_px: the browser shrinks images with a longer side.
        most: how many images it takes.

    Attributes:
        hello: set when a browser has the view on its page.
    """

    def __init__(
        self,
        *,
        take: Callable[[str, bytes, tuple[int, int] | None], None],
        link: Callable[[str], None],
        arrange: Callable[[list[int]], None],
        done: Callable[[], None],
        strip: Callable[[], Mapping[str, str]],
        update: Callable[[ImageView, Mapping[str, str]], None],
        max_side_px: int,
        most: int,
    ) -> None:
        super().__init__(max_side_px=max_side_px, most=most)
        self.hello = threading.Event()
        self.most = most
        self._take, self._link, self._arrange, self._done = take, link, arrange, done
        self._strip, self._update = strip, update
        self._receive_lock = threading.RLock()  # one message at a time; a callback may let the next one in
        self._lines: dict[str, _Line] = {}
        self._decoding = False  # `take` has a whole file
        self._send_lock = threading.RLock()  # around what follows, and its sending: the newest list comes last
        self._entries: tuple[ImageEntry, ...] = ()
        self._sent_thumbnails: set[int] = set()  # ids, since the last hello
        self._finished = False
        self._revision = self._shown_revision = 0  # of the list; of that in the outputs
        self.next_at = self._began + _HELLO_S
        self.join()
        self._plan_update()

    def __repr__(self) -> str:
        return f"ImageView(images={len(self._entries)})"

    @property
    def busy(self) -> bool:
        """Whether a file is on its way: received in part, or being decoded."""
        return self._decoding or any(line.pieces for line in list(self._lines.values()))

    @property
    def finished(self) -> bool:
        """Whether it takes no more images: it was ended, or all widgets were closed."""
        return self._finished

    def show(self, entries: Sequence[ImageEntry]) -> None:
        """List these images on the page, instead of those before; from any thread."""
        with self._send_lock:
            if tuple(entries) != self._entries:
                self._entries = tuple(entries)
                self._revision += 1
            self._send_entries()
        if self._revision != self._shown_revision and not self._finished:
            self._plan_update()

    def finish(self, bundle: Mapping[str, str]) -> None:
        """Take no more images: the outputs hold the static form.

        Args:
            bundle: that form.
        """
        with self._send_lock:
            self._finished = True
            self._send_entries()
        self.close(bundle)

    def detach(self) -> None:
        """Send nothing any more."""
        self._finished = True
        comm.snapshots.close(self)

    def leave(self) -> None:
        """End the input, because no page holds it any more."""
        with self._receive_lock:
            self._call("", self._done)

    def snapshot(self) -> Mapping[str, str]:
        """Return the static form of the open input, with the hook for the layer."""
        revision = self._revision  # before the strip: what comes in between is shown by the next
        bundle = dict(self._strip())
        is_live = self.layer.hello.is_set() or clock.monotonic() - self._began < _HELLO_S
        note = f'<div style="{QUIET_STYLE}">{_OPEN if is_live else _NO_LAYER}</div>'
        hook = f'<div class="{self.hook} amber-revision-{revision}">{bundle["text/html"]}{note}</div>'
        return bundle | {"text/html": f'<div class="amber-images">{hook}</div>'}

    def deliver(self, now: float) -> float | None:
        """Put the static form into the outputs: called by the scheduler after a change, and once no page has come."""
        comm.snapshots.close(self)
        self.next_at = now + _REFRESH_S
        if self._finished or (self._revision == self._shown_revision and self.layer.hello.is_set()):
            return None
        self._shown_revision = self._revision
        self._update(self, self.snapshot())
        return None

    def _plan_update(self) -> None:
        comm.snapshots.open(self)
        comm.snapshots.notify(self)

    def _send_entries(self) -> None:
        if not self.hello.is_set():  # nobody listens; a view that says hello gets the list
            return
        thumbnails: list[bytes] = []
        rows: list[tuple[int, str, list[str], int | None]] = []
        for entry in self._entries:
            index = None
            if entry.thumbnail and entry.id not in self._sent_thumbnails:
                self._sent_thumbnails.add(entry.id)
                index = len(thumbnails)
                thumbnails.append(entry.thumbnail)
            lines = [_clean(line, _MAX_NAME) for line in entry.facts]
            rows.append((entry.id, _clean(entry.name, _MAX_NAME), lines, index))
        content = {"entries": rows, "finished": self._finished, "revision": self._revision}
        self._post({"i": content}, thumbnails)

    def receive(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Handle a message of a page."""
        content = content.get("i", {})
        if not isinstance(content, dict):
            return
        with self._receive_lock:
            view = content.get("hello")
            if isinstance(view, str):
                for line in self._lines.values():
                    line.pieces, line.n_bytes = [], 0
                self.hello.set()
                with self._send_lock:
                    self._sent_thumbnails.clear()
                    self._send_entries()
            elif "gone" in content:
                view = str(content["gone"])
                self._lines = {name: line for name, line in self._lines.items() if not name.startswith(f"{view}-")}
            elif isinstance(content.get("line"), str) and isinstance(content.get("put"), int):
                answer = self._answer(content, buffers)
                self._post({"i": {name: content.get(name) for name in ("line", "put", "turn")} | answer})

    def _answer(self, content: dict[str, Any], buffers: Sequence[Any]) -> dict[str, Any]:
        """Carry out an operation, unless that is done; return how far it is, or how it ended."""
        put = content["put"]
        if content["line"] not in self._lines and len(self._lines) >= _MAX_LINES:
            return {"end": 1, "said": "too many views of this input are open"}
        line = self._lines.setdefault(content["line"], _Line())
        if put > line.put:
            line.put, line.pieces, line.n_bytes, line.result = put, [], 0, None
        if put < line.put:  # of long ago
            return {"end": 1, "said": ""}
        if line.result is None and "ask" not in content:
            line.result = self._carry_out(line, content, buffers)
        return {"have": line.n_bytes} if line.result is None else {"end": 1, "said": line.result}

    def _carry_out(self, line: _Line, content: dict[str, Any], buffers: Sequence[Any]) -> str | None:
        """Return the message for the reader, "" for success, or None while more of a file has to come."""
        if self._finished:
            return "no more images are taken here"
        if "done" in content:
            return self._call("", self._done)
        if "order" in content:
            ids = [entry.id for entry in self._entries]
            # What the page does not know yet stays, at the end.
            order = dict.fromkeys(id for id in (*_integers(content["order"]), *ids) if id in ids)
            removed = _integers(content.get("removed"))
            return self._call("", self._arrange, [id for id in order if id not in removed])
        if "link" in content:
            # Not the address itself: it may hold what opens the picture to everybody.
            return self._refuse_if_full("this link") or self._call("this link", self._link, str(content["link"]))
        return self._receive_piece(line, content, buffers)

    def _receive_piece(self, line: _Line, content: dict[str, Any], buffers: Sequence[Any]) -> str | None:
        name = _file_name(content.get("name"))
        size, at = content.get("size"), content.get("at")
        piece = bytes(buffers[0]) if len(buffers) == 1 and isinstance(buffers[0], (bytes, memoryview)) else None
        if piece is None or len(piece) > MAX_PIECE_BYTES or not (isinstance(size, int) and isinstance(at, int)):
            return f"{_clean(name, _MAX_NAME)}: the browser sent something else"
        if not 0 <= at <= size:
            return f"{_clean(name, _MAX_NAME)}: the browser sent something else"
        if size > MAX_FILE_BYTES:
            return f"{_clean(name, _MAX_NAME)}: more than {MAX_FILE_BYTES // 1_000_000} MB"
        if at != line.n_bytes or at + len(piece) > size or not (piece or not size):
            return None  # it has come before, or one before it has not
        line.pieces.append(piece)
        line.n_bytes += len(piece)
        if line.n_bytes < size:
            return None
        data = b"".join(line.pieces)
        line.pieces = []
        self._decoding = True
        try:
            size_before = _pixel_size(content.get("before"))
            return self._refuse_if_full(name) or self._call(name, self._take, name, data, size_before)
        finally:
            self._decoding = False

    def _refuse_if_full(self, name: str) -> str:
        full = len(self._entries) >= self.most
        return f"{_clean(name, _MAX_NAME)}: at most {self.most:,} images are taken" if full else ""

    def _call(self, name: str, callback: Callable[..., None], *arguments: object) -> str:
        """Call back; return the message for the reader, which begins with `name`, or "" for success."""
        try:
            callback(*arguments)
        except AmberError as error:
            message = str(error)
        except Exception as error:
            # Nobody would see it raised in a message handler.
            _log.exception("an image could not be taken in")
            message = type(error).__name__
        else:
            return ""
        return _clean(message if not name or message.startswith(name) else f"{name}: {message}", _MAX_MESSAGE)


def _clean(text: str, max_length: int) -> str:
    return show_controls(shorten(text, max_length))


def _file_name(value: object) -> str:
    """Return a file's name without folders, whatever the page sent."""
    name = re.split(r"[/\\]", value if isinstance(value, str) else "")[-1]
    return replace_surrogates(shorten(name, _MAX_NAME)) or "image"


def _integers(value: object) -> list[int]:
    return [number for number in value if isinstance(number, int)] if isinstance(value, list) else []


def _pixel_size(value: object) -> tuple[int, int] | None:
    numbers = _integers(value)
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) > 0 else None
