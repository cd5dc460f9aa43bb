"""An answer on the pages of this kernel while it is written: an item of the live layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import comm
from .cards import StripItem
from .layer import LiveLayer, StoppableItem
from .rich_text import RichText
from .tool_inspector import ToolInspector

__all__ = ["LiveAnswer"]


class LiveAnswer(StoppableItem):
    """An answer on the pages of this kernel while it is written: its text, its tool calls, its Stop button.

    Args:
        title: the model's name, for the status line.
        badge: a word shown as a pill, such as "simulated".
        strip: the images that were sent, as `strip_items` makes them.
        tools: whether tool calls may come.
        on_stop: called once, on whichever thread receives the reader's Stop.

    Attributes:
        calls: its tool calls, or None.

    Example:
        >>> answer = LiveAnswer(title="azure/gpt-5.4", on_stop=task.cancel)
        >>> answer.feed("Hello")
        >>> answer.close({"text/html": "…", "text/plain": "Hello"})
    """

    def __init__(
        self,
        *,
        title: str,
        badge: str | None = None,
        strip: Sequence[StripItem] = (),
        tools: bool = False,
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(on_stop=on_stop, title=title, badge=badge or "", strip=list(strip), tools=tools)
        self._sources: list[tuple[str, str]] = []
        self._stream = comm.DeltaStream(lambda message: self._post({"s": message}), hears=self.layer.hears)
        self._append = self._stream.fresh.append
        self._rich_text = RichText(self._stream.send)
        self.calls = ToolInspector(lambda message: self._post({"c": message}), self.layer) if tools else None
        comm.scheduler.open(self._stream)
        self.join()

    def move_to(self, layer: LiveLayer) -> None:
        """Have another layer draw it."""
        super().move_to(layer)
        if self.calls is not None:
            self.calls.pages = layer

    def feed(self, text: str) -> None:
        """Add text; any thread, about a tenth of a microsecond. After `close` it is ignored."""
        self._append(text)
        if not self._stream.notified:
            self._notify()

    def set_note(self, text: str) -> None:
        """Show a note in the status line, such as "waiting 12 s (Retry-After)"; the next text takes it away."""
        self._stream.set_note(text)
        self._notify()

    def set_sources(self, sources: Sequence[tuple[str, str]]) -> None:
        """List the sources that the answer has named so far: title and address, "" where there is none."""
        self._sources = list(sources)
        if self._layer.can_send:  # else the first page that comes gets them
            self._post({"s": {"sources": self._sources}})

    def announce(self) -> None:
        """Tell a new page all that has come."""
        super().announce()
        if self._sources:
            self._post({"s": {"sources": self._sources}})
        self._stream.rewind(0, greeting=True)
        self._notify()
        if self.calls is not None:
            self.calls.send_whole()

    def receive(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Handle a message of a page."""
        text, calls = content.get("s"), content.get("c")
        if isinstance(text, dict):
            if text.get("drawn"):
                self._note_drawn()
            have = text.get("have")
            if isinstance(have, int):
                self._stream.rewind(have)
                self._notify()
            if text.get("stop"):
                self.stop()
            self._rich_text.ask(text.get("blocks"))
        if isinstance(calls, dict) and self.calls is not None:
            self.calls.receive(calls)

    def detach(self) -> None:
        """Send nothing any more."""
        comm.scheduler.close(self._stream)
        self._stream.close()
        self._rich_text.close()
        if self.calls is not None:
            self.calls.close()

    def _tell_stopping(self) -> None:
        self._stream.send({"stopping": 1})

    def _notify(self) -> None:
        self._stream.notified = True
        if self._layer.can_send:  # else no page is there, and the first one gets everything
            comm.scheduler.notify(self._stream)
