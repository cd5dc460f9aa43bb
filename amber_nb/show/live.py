"""StreamView: an answer in the cell while it is being written.

Text travels as deltas with offsets and is coalesced, because Jupyter drops messages silently when there are many: at
most 20 sends a second for a view and 100 for the kernel, and none before a view is there to hear them. The browser asks
for what it misses, and for everything when it comes late. The protocol, in full:

    kernel → view   {"o": start, "e": end, "t": text}   offsets count code points; without o and t: "the text goes to e"
                    {"n": note}                         the status line's note; "" takes it away
                    {"age": [s, s since first text]}    the answer to a greeting
                    {"stopping": 1}                     Stop was heard
    view → kernel   {"hello": have} · {"have": have}    send (again) from there
                    {"stop": true}

Which thread sends: one of ours, for all views, alive only while a view is open. The caller's loop must not pay for a
send (0.25 ms), and ipykernel's iopub socket may be used from any thread. Only the parent header is bound to a context,
so each view sends in a copy of the context in which it was made: its messages belong to the cell that shows it.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import pathlib
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import anywidget
import traitlets

__all__ = ["StreamView"]

_log = logging.getLogger(__name__)
_STATIC = pathlib.Path(__file__).parent / "static"

VIEW_GAP_S = 0.05  # at most 20 sends a second for one view
TRICKLE_GAP_S = 0.1  # ten while there is little to say: a send costs as much as reading twenty chunks
TRICKLE = 100  # characters
KERNEL_GAP_S = 0.01  # and 100 for all of them
TAIL_CHECK_S = 1.0  # silence after which the view is told once how far the text goes: a lost end is noticed
UNHEARD_S = (0.3, 0.7, 1.2, 2.0, 3.0)  # ages at which all is sent again to views that cannot ask
MAX_SEND = 262_144  # characters in one message: more would hold up the page that reads it

_LONE = re.compile("[\ud800-\udfff]")

_Message = dict[str, Any]


class _Feed:
    """The text of one answer on its way to its views: what came, what was sent, what has to be sent again."""

    def __init__(
        self, send: Callable[[_Message], None], clock: Callable[[], float] = time.monotonic, *, hears: bool = True
    ) -> None:
        self.fresh: list[str] = []  # appended to by any thread; a list's append and slice deletion are atomic
        self.ringing = False  # the pump knows that there is something to send
        self.closed = False
        self.next_at = float("-inf")  # a first text is never kept waiting
        self.lock = threading.Lock()  # around everything below, and around each send: messages keep their order
        self._send = send
        self._clock = clock
        self._began = clock()
        self._first: float | None = None
        self._pieces: list[str] = []
        self._starts: list[int] = []
        self._length = 0
        self._cursor = 0
        self._half = ""
        self._note: str | None = None
        self._note_due = False
        self._greet = False
        self._repeats = [] if hears else list(UNHEARD_S)

    def deliver(self, now: float) -> tuple[bool, bool]:
        """Send one message. Returns whether it carried text, and whether more is waiting."""
        with self.lock:
            if self.closed:
                return False, False
            self.ringing = False  # before the drain: what is fed from here on rings again
            self._drain()
            self._repeat()
            message: _Message = {"e": self._length}
            text = self._slice()
            if text:
                message = {"o": self._cursor, "e": self._cursor + len(text), "t": text}
                self._cursor += len(text)
            if self._note_due:
                message["n"] = self._note or ""
                self._note_due = False
            if self._greet:
                at = self._clock()
                first = None if self._first is None else round(at - self._first, 1)
                message["age"] = [round(at - self._began, 1), first]
                self._greet = False
            self.next_at = now + (VIEW_GAP_S if len(text) > TRICKLE else TRICKLE_GAP_S)
            self._send(message)
            return bool(text), self._cursor < self._length

    def send(self, message: _Message) -> None:
        """Send at once, past the limits: for the rare message that a reader waits for."""
        with self.lock:
            if not self.closed:
                self._send(message)

    def note(self, text: str) -> None:
        with self.lock:
            self._drain()  # text that came before the note must not take it away
            self._note = text
            self._note_due = True

    def rewind(self, have: int, *, greet: bool = False) -> None:
        """Send again from there; views that have the text already ignore it."""
        with self.lock:
            self._cursor = min(self._cursor, max(0, have))
            self._greet = self._greet or greet
            self._repeats.clear()  # it was heard after all
            self._note_due = self._note_due or (greet and bool(self._note))

    def close(self) -> None:
        with self.lock:  # a send that is under way on the pump's thread ends first
            self.closed = True
            self.fresh.clear()
            self._pieces.clear()
            self._starts.clear()

    def _drain(self) -> None:
        count = len(self.fresh)
        text = self._half + "".join(self.fresh[:count])
        del self.fresh[:count]
        self._half = ""
        if not text:
            return
        if not text.isascii():
            if "\ud800" <= text[-1] <= "\udbff":  # half a character: the other half comes with the next chunk
                self._half, text = text[-1], text[:-1]
            if _LONE.search(text):  # ipykernel cannot pack lone surrogates
                text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if text:
            self._first = self._clock() if self._first is None else self._first
            self._note = None  # text has come: nothing is being waited for
            self._pieces.append(text)
            self._starts.append(self._length)
            self._length += len(text)

    def _repeat(self) -> None:
        age = self._clock() - self._began
        while self._repeats and self._repeats[0] <= age:
            self._cursor = 0
            self._repeats.pop(0)

    def _slice(self) -> str:
        at = bisect_right(self._starts, self._cursor) - 1
        if at < 0 or self._cursor >= self._length:
            return ""
        parts = [self._pieces[at][self._cursor - self._starts[at] :][:MAX_SEND]]
        room = MAX_SEND - len(parts[0])
        for piece in self._pieces[at + 1 :] if room else ():
            parts.append(piece[:room])
            room -= len(parts[-1])
            if not room:
                break
        return "".join(parts)


class _Pump:
    """Sends for all open views, each in its turn: the one that has waited longest, a first text before all others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        # Reentrant: garbage collection may close a view in the middle of anything.
        self._bell = threading.Condition(threading.RLock())
        self._clock = clock
        self._open: set[_Feed] = set()
        self._due: dict[_Feed, float] = {}
        self._free_at = float("-inf")
        self._thread: threading.Thread | None = None

    def open(self, feed: _Feed) -> None:
        with self._bell:
            self._open.add(feed)

    def ring(self, feed: _Feed) -> None:
        """A feed has something to send."""
        with self._bell:
            if feed not in self._open:
                return
            self._put(feed, feed.next_at)
            if self._thread is None or not self._thread.is_alive():  # a fork inherits the object, not the thread
                self._thread = threading.Thread(target=self._run, name="amber-views", daemon=True)
                self._thread.start()
            self._bell.notify()

    def close(self, feed: _Feed) -> None:
        with self._bell:
            self._open.discard(feed)
            self._due.pop(feed, None)
            self._bell.notify()

    def turn(self) -> float | None:
        """Send what is due. Returns how long to wait then; None: until the bell rings."""
        with self._bell:
            if not self._due:
                return None
            feed = min(self._due, key=self._due.__getitem__)
            now = self._clock()
            wait = max(self._due[feed], self._free_at) - now
            if wait > 0:
                return wait
            del self._due[feed]
            self._free_at = now + KERNEL_GAP_S
        try:
            carried, more = feed.deliver(now)
        except Exception:
            # The kernel's socket is gone, or cannot pack this: the settled answer will show it.
            _log.exception("A live view could not be updated")
            self.close(feed)
            return 0
        with self._bell:
            if feed in self._open:
                if more:
                    self._put(feed, feed.next_at)
                elif carried:
                    self._put(feed, now + TAIL_CHECK_S)
        return 0

    def _put(self, feed: _Feed, at: float) -> None:
        self._due[feed] = min(at, self._due.get(feed, at))

    def _run(self) -> None:
        while True:
            with self._bell:
                if not self._open:
                    self._thread = None
                    return
                pause = self._pause()
                if pause is None or pause > 0:
                    self._bell.wait(pause)
                    continue
            self.turn()

    def _pause(self) -> float | None:
        if not self._due:
            return None
        return max(min(self._due.values()), self._free_at) - self._clock()


_pump = _Pump()


class StreamView(anywidget.AnyWidget):
    """A live view of one answer. Made, displayed, fed from any thread, and closed once the answer is settled.

    Args:
        model: The model's name, for the status line.
        badge: A word shown as a pill, such as "simulated".
        on_stop: Called once, on whichever thread hears the reader's Stop.
        clock: Seconds, for the times in the status line.

    Attributes:
        hello: Set when a browser has the view on its page.
        hears: Whether the kernel can hear that in a cell that is running. ipykernel 6 cannot: there `hello` stays unset
            until the cell is over, the text is sent unasked, and Stop is the front end's interrupt.

    Example:
        >>> view = StreamView(model="azure/gpt-5.4", on_stop=task.cancel)
        >>> handle = display(view, display_id=True)
        >>> view.feed("Hello"), view.hello.wait(1.0)
    """

    _esm: ClassVar[pathlib.Path] = _STATIC / "stream_view.js"
    _css: ClassVar[pathlib.Path] = _STATIC / "stream_view.css"
    title = traitlets.Unicode().tag(sync=True)
    badge = traitlets.Unicode().tag(sync=True)
    # A Layout is a widget of its own: two more messages for each answer, and one object more to close.
    layout = traitlets.Any(None, allow_none=True).tag(sync=True)

    def __init__(
        self,
        *,
        model: str,
        badge: str | None = None,
        on_stop: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hello = threading.Event()
        self._on_stop = on_stop
        self._stopped = threading.Lock()
        self._closing = threading.RLock()  # reentrant: the collector may come by while it is held
        context = contextvars.copy_context()
        super().__init__(title=model, badge=badge or "")
        self.hears = _hear_while_busy(self.comm)
        # The context may be entered by one thread at a time: only the pump does.
        self._feed = _Feed(lambda message: context.run(self._post, message), clock, hears=self.hears)
        self._append = self._feed.fresh.append
        self.on_msg(self._heard)
        _pump.open(self._feed)

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

    def close(self) -> None:
        """Stop sending and take the view off the page. May be called again, and from any thread."""
        feed = self.__dict__.get("_feed")
        if feed is not None:  # None: the constructor has failed, and this is the collector
            _pump.close(feed)
            feed.close()
            with self._closing:
                super().close()

    def _ring(self) -> None:
        self._feed.ringing = True
        if self.hello.is_set() or not self.hears:  # else nobody listens, and whoever says hello gets everything
            _pump.ring(self._feed)

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


def _hear_while_busy(comm: Any) -> bool:
    """Let the browser's messages through while the cell that shows the view is running; say whether they come.

    Lab sends widget messages to a subshell, a thread of their own. ipykernel 7.4 sends them back to the shell that used
    the comm last, the one our cell keeps busy (`_reply_subshell_for`); on our own comm they stay where Lab sent them.
    Kernels without it are left alone: 7.1–7.3 need nothing, 6.x has no subshells and hears nothing.

    And a message handler makes IPython fire `pre_execute` and `post_execute`. In the middle of a cell that would
    show and close the reader's unfinished matplotlib figures, so on our comm it does not.
    """
    with contextlib.suppress(AttributeError):
        if hasattr(comm, "_reply_subshell_for"):
            comm._reply_subshell_for = lambda _data, default: default
        if hasattr(comm, "_msg_callback"):
            comm.handle_msg = lambda msg: comm._msg_callback(msg) if comm._msg_callback else None
    kernel = getattr(comm, "kernel", None)
    return kernel is None or bool(getattr(kernel, "_supports_kernel_subshells", False))
