"""Show an answer in a cell while it is written, and put its settled form in the place of that.

How text travels to a page: comm.py.
"""

from __future__ import annotations

import contextvars
import logging
import pathlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, ClassVar

import ipywidgets  # type: ignore[import-untyped]
import traitlets

from .. import clock
from ..types import (
    Allow,
    ChatEvent,
    Deny,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolProgress,
    Waiting,
    replace_surrogates,
)
from . import comm
from .answer_html import answer_html
from .cards import StripItem, tools_html
from .escape import shorten, show_controls
from .tool_inspector import ToolInspector

__all__ = ["NotebookDisplay", "StreamView"]

_log = logging.getLogger(__name__)
_STATIC = pathlib.Path(__file__).parent / "static"

CARD_S = 2.0  # a card that no page has shown by then has to be asked about in another way
HELLO_S = 1.0  # a view that no page has shown by then has no front end that can show it
BUSY_S = 10.0  # the same, where another view was shown: this front end can, and is only slow with many at once
REFRESH_S = 0.5  # of the safe HTML that stands in for it
_STATUS_CHARS = 60
NO_VIEW = "The live view is not available here: install amber_nb where JupyterLab's server runs, and reload the page."


class StreamView(comm.LiveWidget):
    """A live view of one answer's text. Made, displayed, fed from any thread, and closed once the answer is settled.

    Args:
        model: the model's name, for the status line.
        badge: a word shown as a pill, such as "simulated".
        strip: the images that were sent, as `strip_items` makes them.
        on_stop: called once, on whichever thread receives the reader's Stop.

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

    def __init__(
        self,
        *,
        model: str,
        badge: str | None = None,
        strip: Sequence[StripItem] = (),
        on_stop: Callable[[], None],
    ) -> None:
        self._on_stop = on_stop
        self._stopped = threading.Lock()
        self._closing = threading.RLock()  # reentrant: the collector may come by while it is held
        super().__init__(title=model, badge=badge or "", strip=list(strip))
        self._stream = comm.DeltaStream(self._post, hears=self.hears)
        self._append = self._stream.fresh.append
        comm.scheduler.open(self._stream)

    def __repr__(self) -> str:
        return f"StreamView(model={self.title!r})"

    def feed(self, text: str) -> None:
        """Add text; any thread, about a tenth of a microsecond. After `close` it is ignored."""
        self._append(text)
        if not self._stream.notified:
            self._notify()

    def set_note(self, text: str) -> None:
        """Show a note in the status line, such as "waiting 12 s (Retry-After)"; the next text takes it away."""
        self._stream.set_note(text)
        self._notify()

    def close(self) -> None:
        """Stop sending and take the view off the page. May be called again, and from any thread."""
        stream = self.__dict__.get("_stream")
        if stream is not None:  # None: the constructor has failed, and this is the collector
            comm.scheduler.close(stream)
            stream.close()
            with self._closing:
                super().close()

    def _notify(self) -> None:
        self._stream.notified = True
        if self.can_send:  # else no page is there, and the first one gets everything
            comm.scheduler.notify(self._stream)

    def _receive(self, content: object) -> None:
        if not isinstance(content, dict):
            return
        if "hello" in content:
            self.hello.set()
        for key in ("hello", "have"):
            have = content.get(key)
            if isinstance(have, int):
                self._stream.rewind(have, greeting=key == "hello")
                self._notify()
        if content.get("stop"):
            self._stream.send({"stopping": 1})
            if self._stopped.acquire(blocking=False):  # once; never released
                try:
                    self._on_stop()
                except Exception as error:
                    # Nobody would see it raised in a message handler.
                    _log.exception("Stop failed")
                    self.set_note(f"could not stop: {type(error).__name__}")


class _Column(ipywidgets.VBox):  # type: ignore[misc]
    """The tools above the text, as one output: what settles is one bundle in one place."""

    layout = traitlets.Any(None, allow_none=True).tag(sync=True)  # a Layout is one more object to close


class NotebookDisplay:
    """An answer in the output of a cell: live views, or safe HTML where no page shows them, then its settled form.

    Made and settled in the thread of the cell.

    Args:
        model: for the status line.
        badge: such as "simulated".
        strip: the images that were sent, as the live view shows them.
        head: the same as safe HTML, for where no page shows the view.
        tools: whether tool calls may come, and have to be decided on.
        on_stop: called once, in any thread, when the reader stops the answer.
    """

    rest_s = 0.15  # seconds between two reads that the view makes one movement of
    _greeted: ClassVar[bool] = False  # a page has shown a view of this kernel before

    def __init__(
        self,
        *,
        model: str,
        badge: str | None,
        strip: Sequence[StripItem] = (),
        head: str = "",
        tools: bool = False,
        on_stop: Callable[[], None],
    ) -> None:
        self._badge = badge
        self._head = head
        self._view = StreamView(model=model, badge=badge, strip=strip, on_stop=on_stop)
        self._context = contextvars.copy_context()
        self._pieces: list[str] = []
        self._tools: dict[int, ToolProgress] = {}
        self._status = ""
        self._can_listen = self._view.hears
        self._began = clock.monotonic()
        self._shown = (0, 0)  # pieces of text and ended tool calls in the HTML that stands in
        self._settled = False
        self._lock = threading.RLock()  # around updates of the output, so that the settled form is the last
        self._inspector = ToolInspector() if tools else None
        self._page: Any = self._view
        if self._inspector is not None:
            self._page = _Column([self._inspector, self._view], _dom_classes=("amber-both",))
        self._handle = sys.modules["IPython"].display.display(self._page, display_id=True)
        self.next_at = self._began + (BUSY_S if NotebookDisplay._greeted else HELLO_S)
        comm.scheduler.open(self)
        comm.scheduler.notify(self)

    @property
    def poll_s(self) -> float:
        """How often the thread of the cell has to call `listen`, in seconds; 0: never."""
        return 0.0 if self._view.hears else 0.1

    def listen(self) -> None:
        """Read the page's messages where the kernel does not while a cell runs."""
        self._can_listen = self._view.listen()
        if self._inspector is not None:
            self._inspector.listen()

    def handle(self, event: ChatEvent) -> None:
        """Show an event; from any thread."""
        if type(event) is TextDelta:
            self._status = ""  # as the view takes it away by itself
            self._pieces.append(event.text)
            self._view.feed(event.text)
            return
        if self._inspector is not None and isinstance(event, (ToolCallDelta, ToolProgress)):
            self._inspector.handle(event)
        if isinstance(event, ToolProgress):
            self._tools[event.index] = event
        status = show_controls(shorten(self._describe(event), _STATUS_CHARS))
        if status != self._status:
            self._status = status
            self._view.set_note(status)

    def _describe(self, event: ChatEvent) -> str:
        """Return what goes on, for the status line."""
        if isinstance(event, ToolProgress):
            return _describe_tools(list(self._tools.values()))
        if isinstance(event, ToolCallDelta):
            return f"calling {event.name}"
        if isinstance(event, Waiting):
            return f"waiting {event.seconds} s ({event.reason})"
        return "thinking" if isinstance(event, ReasoningDelta) else ""

    def deliver(self, now: float) -> float | None:
        """Show the answer so far as safe HTML, if no page shows the live view; called by the scheduler."""
        if self._view.hello.is_set():
            NotebookDisplay._greeted = True
            if any(self._shown):  # the page came late, on a busy machine: back to the live view
                self._update(self._page)
            return None
        if not self._can_listen:  # ipykernel 6, asked in a thread: a greeting could not be heard
            return now + REFRESH_S
        count, runs = len(self._pieces), [call.run for call in list(self._tools.values()) if call.run is not None]
        if (count, len(runs)) == self._shown:
            return now + REFRESH_S
        self._shown = (count, len(runs))
        text = "".join(self._pieces[:count])
        head = self._head + (tools_html(runs) if runs else "")
        html = answer_html(text, badge=self._badge, head=head, notice=NO_VIEW)
        self._update({"text/html": html, "text/plain": replace_surrogates(text[-2_000:])}, raw=True)
        took = clock.monotonic() - now  # of a long answer, seconds: most of the time belongs to the reading
        return now + max(REFRESH_S, 10 * took)

    def _update(self, output: Any, **options: Any) -> None:
        with self._lock:
            if not self._settled:
                self._context.copy().run(self._handle.update, output, **options)

    def ask(
        self,
        call: ToolCall,
        index: int,
        *,
        spec: Mapping[str, Any],
        check: Callable[[Mapping[str, Any]], str],
    ) -> Future[tuple[Allow | Deny, bool]]:
        """Ask the reader about a call, as `ToolInspector.ask` does; cancelled at once on a display without tools."""
        if self._inspector is not None:
            return self._inspector.ask(call, index, spec=spec, check=check)
        future: Future[tuple[Allow | Deny, bool]] = Future()
        future.cancel()
        return future

    @property
    def patience_s(self) -> float:
        """How long a page may take to show a card, in seconds."""
        return BUSY_S if NotebookDisplay._greeted else CARD_S

    def is_seen(self, index: int) -> bool:
        """Return whether a page has shown the card of this call and said so."""
        return self._inspector is not None and self._inspector.is_seen(index)

    def withdraw(self, index: int) -> None:
        """Take a card off the page; what waits for its decision is cancelled."""
        if self._inspector is not None:
            self._inspector.withdraw(index)

    def settle(self, bundle: Mapping[str, str]) -> None:
        """Put the static form in the view's place, and close the view."""
        comm.scheduler.close(self)
        NotebookDisplay._greeted = NotebookDisplay._greeted or self._view.hello.is_set()
        with self._lock:
            self._settled = True
            self._handle.update(dict(bundle), raw=True)
        self._view.close()
        if self._inspector is not None:
            self._page.close()
            self._inspector.close()


def _describe_tools(calls: Sequence[ToolProgress]) -> str:
    """Return what the tools do, in a few words; "" where none does anything."""
    for state, words in (("waiting", "waiting for your decision on"), ("running", "running")):
        names = [call.name for call in calls if call.state == state]
        if names:
            return f"{words} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    return ""
