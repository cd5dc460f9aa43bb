"""StreamView: an answer in the cell while it is being written. How its text travels: feed.py."""

from __future__ import annotations

import contextvars
import logging
import pathlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import anywidget
import traitlets

from .cards import StripItem
from .feed import Feed, pump
from .hearing import Ear, let_through

__all__ = ["StreamView"]

_log = logging.getLogger(__name__)
_STATIC = pathlib.Path(__file__).parent / "static"


class StreamView(anywidget.AnyWidget):
    """A live view of one answer. Made, displayed, fed from any thread, and closed once the answer is settled.

    Args:
        model: The model's name, for the status line.
        badge: A word shown as a pill, such as "simulated".
        strip: The images that were sent, as `strip_items` makes them.
        on_stop: Called once, on whichever thread hears the reader's Stop.

    Attributes:
        hello: Set when a browser has the view on its page.
        hears: Whether the kernel hears that by itself in a cell that is running. ipykernel 6 does not: there the text
            is sent unasked, and whoever made the view calls `listen` now and then.

    Example:
        >>> view = StreamView(model="azure/gpt-5.4", on_stop=task.cancel)
        >>> handle = display(view, display_id=True)
        >>> view.feed("Hello"), view.hello.wait(1.0)
    """

    _esm: ClassVar[pathlib.Path] = _STATIC / "stream_view.js"
    _css: ClassVar[pathlib.Path] = _STATIC / "stream_view.css"
    title = traitlets.Unicode().tag(sync=True)
    badge = traitlets.Unicode().tag(sync=True)
    strip: traitlets.List[Any] = traitlets.List().tag(sync=True)
    # A Layout is a widget of its own: two more messages for each answer, and one object more to close.
    layout = traitlets.Any(None, allow_none=True).tag(sync=True)

    def __init__(
        self,
        *,
        model: str,
        badge: str | None = None,
        strip: Sequence[StripItem] = (),
        on_stop: Callable[[], None],
    ) -> None:
        self.hello = threading.Event()
        self._on_stop = on_stop
        self._stopped = threading.Lock()
        self._closing = threading.RLock()  # reentrant: the collector may come by while it is held
        context = contextvars.copy_context()
        super().__init__(title=model, badge=badge or "", strip=list(strip))
        self.hears = let_through(self.comm)
        self._ear = None if self.hears else Ear(self.comm)
        # The context may be entered by one thread at a time: only the pump does.
        self._feed = Feed(lambda message: context.run(self._post, message), hears=self.hears)
        self._append = self._feed.fresh.append
        self.on_msg(self._heard)
        pump.open(self._feed)

    def __repr__(self) -> str:
        return f"StreamView(model={self.title!r})"

    def feed(self, text: str) -> None:
        """Add text; any thread, about a tenth of a microsecond. After `close` it is ignored."""
        self._append(text)
        if not self._feed.ringing:
            self._ring()

    def note(self, text: str) -> None:
        """Show a note in the status line, such as "waiting 12 s (Retry-After)"; the next text takes it away."""
        self._feed.note(text)
        self._ring()

    def listen(self) -> bool:
        """Hear what the browser has said, where the kernel does not by itself; False where that is impossible too."""
        if self._ear is None:
            return True
        said = self._ear.listen()
        for content in said or ():
            self._heard(self, content, ())
        return said is not None

    def close(self) -> None:
        """Stop sending and take the view off the page. May be called again, and from any thread."""
        feed = self.__dict__.get("_feed")
        if feed is not None:  # None: the constructor has failed, and this is the collector
            pump.close(feed)
            feed.close()
            with self._closing:
                super().close()

    def _ring(self) -> None:
        self._feed.ringing = True
        if self.hello.is_set() or not self.hears:  # else nobody listens, and whoever says hello gets everything
            pump.ring(self._feed)

    def _post(self, message: Mapping[str, Any]) -> None:
        self.send(message)

    def _heard(self, _widget: object, content: object, _buffers: object) -> None:
        if not isinstance(content, dict):
            return
        if "hello" in content:
            self.hello.set()
        for key in ("hello", "have"):
            have = content.get(key)
            if isinstance(have, int):
                self._feed.rewind(have, greet=key == "hello")
                self._ring()
        if content.get("stop"):
            self._feed.send({"stopping": 1})
            if self._stopped.acquire(blocking=False):  # once; never released
                try:
                    self._on_stop()
                except Exception as error:
                    # Nobody would see it raised in a message handler.
                    _log.exception("Stop failed")
                    self.note(f"could not stop: {type(error).__name__}")
