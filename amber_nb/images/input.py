"""ImageInput: images that the reader chooses, drops or pastes in the notebook, and the widget that takes them.

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
                    {"entries": [[id, name, [fact], buffer or null]], "finished": bool} + thumbnails

A line's name begins with its view's.
"""

from __future__ import annotations

import logging
import pathlib
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import anywidget
import traitlets

from .. import config
from ..display import kernel
from ..display.cards import image_facts, strip_html
from ..display.comm import allow_messages_while_busy
from ..display.escape import shorten, show_controls
from ..errors import AmberError, ImageError
from ..types import replace_surrogates
from .part import ImagePart, ImageSource, check_options, collect_images, image_part, make_part, without_thumbnail

__all__ = ["MAX_FILE_BYTES", "MAX_PIECE_BYTES", "ImageEntry", "ImageInput", "ImageView"]

_log = logging.getLogger(__name__)
_STATIC = pathlib.Path(__file__).parents[1] / "display" / "static"

MAX_PIECE_BYTES = 4_000_000  # in one message
MAX_FILE_BYTES = 64_000_000
_MAX_LINES = 40  # two for each view that is open
_MAX_NAME, _MAX_MESSAGE = 200, 600  # characters


class ImageInput(ImageSource):
    """Drop, paste or choose images in a cell; ask about them in the next one.

    Shown as the last expression of a cell. The browser shrinks large photos before it sends them. With **Done**, or as
    soon as `ask` uses it, it becomes a static strip of thumbnails, in the same place; `edit()` opens it again. Where
    nobody can choose (nbconvert, nbval, CI) it is that strip of its `initial` images from the start.

    Args:
        initial: one image or an iterable of them, as `ask(images=…)` takes them.
        max_side_px: the longer side of what is sent, at most, in pixels.
        detail: `"auto"`, `"low"`, `"high"` or `"original"`, as the endpoint has it.
        most: how many images it takes.
        thumbnails: False keeps the pictures themselves out of the strip, and so out of the notebook's file.

    Raises:
        ImageError: an initial image cannot be sent, or there are more than `most`.
        ValueError: a parameter has a value that is not allowed.

    Example:
        >>> photos = ImageInput()
        >>> photos
        >>> amber.ask("What is on these?", images=photos)
    """

    def __init__(
        self,
        initial: Any = None,
        *,
        max_side_px: int = 2048,
        detail: str = "auto",
        most: int = 20,
        thumbnails: bool = True,
    ) -> None:
        check_options(max_side_px=max_side_px, detail=detail)
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ValueError("most must be a whole number of images, 1 or more.")
        parts = collect_images(initial, max_side_px=max_side_px, detail=detail).parts
        if len(parts) > most:
            raise ImageError(f"{len(parts)} images, and this ImageInput takes {most}: ImageInput(most={len(parts)}).")
        self._max_side_px, self._detail, self._most, self._thumbnails = max_side_px, detail, most, thumbnails
        self._lock = threading.RLock()  # the browser's messages come on a thread of their own
        self._parts = dict(enumerate(parts))  # by id
        self._next_id = len(parts)
        self._listed_ids = set(self._parts)  # those that the page knows
        self._view: ImageView | None = None
        self._handles: list[Any] = []

    @property
    def images(self) -> list[ImagePart]:
        """The images in their order, as content parts for `ask`, without those still on their way."""
        with self._lock:
            parts = list(self._parts.values())
        return parts if self._thumbnails else [without_thumbnail(part) for part in parts]

    def __len__(self) -> int:
        return len(self._parts)

    def __bool__(self) -> bool:
        return True  # also an empty one is an input

    def __repr__(self) -> str:
        names = ", ".join(repr(part.sent.name) for part in self.images)
        return f"ImageInput({names})"

    def check_ready(self) -> None:
        """Raise an ImageError if an image is still on its way from the browser."""
        view = self._view
        if view is not None and view.busy:
            raise ImageError(
                "An image is still on its way from the browser. Wait until it is listed, and run the cell again."
            )

    def mark_used(self, *, thumbnails: bool = True) -> None:
        """Become a static strip, because a question is about to be sent with the images.

        Args:
            thumbnails: False takes the pictures themselves out of the strip.
        """
        self._thumbnails = self._thumbnails and thumbnails
        self.done()

    def done(self) -> None:
        """End the input: where it is shown, a static strip takes its place, as with the button."""
        with self._lock:
            view, self._view = self._view, None
            handles, self._handles = self._handles, []
            bundle = self._repr_mimebundle_()
        for handle in handles:
            handle.update(bundle, raw=True)
        if view is not None:
            view.finish()

    def edit(self) -> None:
        """Open the input again, in the cell that calls this, with the images it holds."""
        self.done()
        self._ipython_display_()

    def clear(self) -> None:
        """Remove all images."""
        with self._lock:
            self._parts.clear()
        self._refresh()

    def _ipython_display_(self) -> None:
        setting = config.read_display()
        if not kernel.in_kernel() or not (setting == "live" or (setting == "auto" and kernel.has_front_end())):
            kernel.show_bundle(self._repr_mimebundle_())
            return
        with self._lock:
            if self._view is None:
                self._view = ImageView(
                    take=self._take,
                    link=self._link,
                    arrange=self._arrange,
                    done=self.done,
                    max_side_px=self._max_side_px,
                    most=self._most,
                )
            view = self._view
        self._handles.append(sys.modules["IPython"].display.display(view, display_id=True))
        self._refresh()

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, str]:
        html = strip_html([part.sent for part in self.images])
        return {"text/html": html or "<div>No image yet.</div>", "text/plain": repr(self)}

    def _take(self, name: str, data: bytes, original_size: tuple[int, int] | None) -> None:
        part = make_part(data, name, max_side_px=self._max_side_px, detail=self._detail)
        if original_size:
            part.sent = replace(part.sent, original_size=original_size)
        self._add(part)

    def _link(self, url: str) -> None:
        if not url.lower().startswith(("http://", "https://")):  # a path would be one of the kernel's machine
            raise ImageError("Only http and https addresses are taken.")
        self._add(image_part(url, detail=self._detail))

    def _add(self, part: ImagePart) -> None:
        with self._lock:
            if len(self._parts) >= self._most:
                raise ImageError(f"{part.sent.name} is one too many: this input takes {self._most}.")
            self._parts[self._next_id] = part
            self._next_id += 1
        self._refresh()

    def _arrange(self, ids: list[int]) -> None:
        with self._lock:
            unlisted = [id for id in self._parts if id not in self._listed_ids]  # the page could not name them
            self._parts = {id: self._parts[id] for id in (*ids, *unlisted) if id in self._parts}
            self._refresh()

    def _refresh(self) -> None:
        with self._lock:  # also around the sending: the newest list comes last
            self._listed_ids = set(self._parts)
            if self._view is not None:
                sent = [(id, part.sent) for id, part in self._parts.items()]
                self._view.show([ImageEntry(id, image.name, image_facts(image), image.thumbnail) for id, image in sent])


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


class ImageView(anywidget.AnyWidget):
    """The widget in which a reader chooses, drops and pastes images; its owner holds them, and lists them by `show`.

    The callbacks run on whichever thread receives the page's messages, one at a time. The reader is shown the message
    of an AmberError that they raise, and the class of any other exception.

    Args:
        take: called with a file's name, its bytes, and its (width, height) before the browser shrank it, or None.
        link: called with a dropped or pasted http(s) address.
        arrange: called with the ids that stay, in their order.
        done: called when the reader says that these are all.
        max_side_px: the browser shrinks images with a longer side.
        most: how many images it takes.

    Attributes:
        hello: set when a browser has the view on its page.
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
        self._receive_lock = threading.RLock()  # one message at a time; a callback may let the next one in
        self._lines: dict[str, _Line] = {}
        self._decoding = False  # `take` has a whole file
        self._views: set[str] = set()
        self._send_lock = threading.RLock()  # around what follows, and its sending: the newest list comes last
        self._entries: tuple[ImageEntry, ...] = ()
        self._sent_thumbnails: set[int] = set()  # ids, since the last hello
        self._finished = False
        super().__init__(max_side_px=max_side_px, most=most)
        allow_messages_while_busy(self.comm)
        self.on_msg(self._on_message)

    def __repr__(self) -> str:
        return f"ImageView(images={len(self._entries)})"

    @property
    def busy(self) -> bool:
        """Whether a file is on its way: received in part, or being decoded."""
        return self._decoding or any(line.pieces for line in list(self._lines.values()))

    def show(self, entries: Sequence[ImageEntry]) -> None:
        """List these images on the page, instead of those before; from any thread."""
        with self._send_lock:
            self._entries = tuple(entries)
            self._send_entries()

    def finish(self) -> None:
        """Take no more images: the page shows the list alone, and the view closes once every page has dropped it."""
        with self._send_lock:
            self._finished = True
            self._send_entries()
        self._close_if_unused()

    def close(self) -> None:
        """Take the view off the page; from any thread, and more than once without harm."""
        if "_send_lock" in self.__dict__:  # else the constructor has failed, and this is the collector
            with self._send_lock:
                super().close()

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
        self.send({"entries": rows, "finished": self._finished}, thumbnails)

    def _on_message(self, _widget: object, content: object, buffers: Sequence[Any]) -> None:
        if not isinstance(content, dict):
            return
        with self._receive_lock:
            view = content.get("hello")
            if isinstance(view, str):
                for line in self._lines.values():
                    line.pieces, line.n_bytes = [], 0
                self._views.add(view)
                self.hello.set()
                with self._send_lock:
                    self._sent_thumbnails.clear()
                    self._send_entries()
            elif "gone" in content:
                view = str(content["gone"])
                self._views.discard(view)
                self._lines = {name: line for name, line in self._lines.items() if not name.startswith(f"{view}-")}
                self._close_if_unused()
            elif isinstance(content.get("line"), str) and isinstance(content.get("put"), int):
                answer = self._answer(content, buffers)
                self.send({name: content.get(name) for name in ("line", "put", "turn")} | answer)

    def _close_if_unused(self) -> None:
        if self._finished and self.hello.is_set() and not self._views:
            self.close()

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
