"""What is sent to the live views of a kernel, and when.

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

import logging
import threading
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from .. import clock
from ..types import replace_surrogates

__all__ = ["Feed", "Message", "Pump", "pump"]

_log = logging.getLogger(__name__)

VIEW_GAP_S = 0.05  # at most 20 sends a second for one view
TRICKLE_GAP_S = 0.1  # ten while there is little to say: a send costs as much as reading twenty chunks
TRICKLE = 100  # characters
KERNEL_GAP_S = 0.01  # and 100 for all of them
TAIL_CHECK_S = 1.0  # silence after which the view is told once how far the text goes: a lost end is noticed
UNHEARD_S = (0.3, 0.7, 1.2, 2.0, 3.0)  # ages at which all is sent again to views that cannot ask
MAX_SEND = 262_144  # characters in one message: more would hold up the page that reads it

Message = dict[str, Any]


class Feed:
    """The text of one answer on its way to its views: what came, what was sent, what has to be sent again."""

    def __init__(self, send: Callable[[Message], None], *, hears: bool = True) -> None:
        self.fresh: list[str] = []  # appended to by any thread; a list's append and slice deletion are atomic
        self.ringing = False  # the pump knows that there is something to send
        self.closed = False
        self.next_at = float("-inf")  # a first text is never kept waiting
        self.lock = threading.Lock()  # around everything below, and around each send: messages keep their order
        self._send = send
        self._began = clock.monotonic()
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
            message: Message = {"e": self._length}
            text = self._slice()
            if text:
                message = {"o": self._cursor, "e": self._cursor + len(text), "t": text}
                self._cursor += len(text)
            if self._note_due:
                message["n"] = self._note or ""
                self._note_due = False
            if self._greet:
                at = clock.monotonic()
                first = None if self._first is None else round(at - self._first, 1)
                message["age"] = [round(at - self._began, 1), first]
                self._greet = False
            self.next_at = now + (VIEW_GAP_S if len(text) > TRICKLE else TRICKLE_GAP_S)
            self._send(message)
            return bool(text), self._cursor < self._length

    def send(self, message: Message) -> None:
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
            text = replace_surrogates(text)
        if text:
            self._first = clock.monotonic() if self._first is None else self._first
            self._note = None  # text has come: nothing is being waited for
            self._pieces.append(text)
            self._starts.append(self._length)
            self._length += len(text)

    def _repeat(self) -> None:
        age = clock.monotonic() - self._began
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


class Pump:
    """Sends for all open views, each in its turn: the one that has waited longest, a first text before all others."""

    def __init__(self) -> None:
        # Reentrant: garbage collection may close a view in the middle of anything.
        self._bell = threading.Condition(threading.RLock())
        self._open: set[Feed] = set()
        self._due: dict[Feed, float] = {}
        self._free_at = float("-inf")
        self._thread: threading.Thread | None = None

    def open(self, feed: Feed) -> None:
        with self._bell:
            self._open.add(feed)

    def ring(self, feed: Feed) -> None:
        """A feed has something to send."""
        with self._bell:
            if feed not in self._open:
                return
            self._put(feed, feed.next_at)
            if self._thread is None or not self._thread.is_alive():  # a fork inherits the object, not the thread
                self._thread = threading.Thread(target=self._run, name="amber-views", daemon=True)
                self._thread.start()
            self._bell.notify()

    def close(self, feed: Feed) -> None:
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
            now = clock.monotonic()
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

    def _put(self, feed: Feed, at: float) -> None:
        self._due[feed] = min(at, self._due.get(feed, at))

    def _run(self) -> None:
        while True:
            with self._bell:
                if not self._open:
                    self._thread = None
                    return
                pause = self._pause()
                if pause is None or pause > 0:
                    clock.wait(self._bell, pause)
                    continue
            self.turn()

    def _pause(self) -> float | None:
        if not self._due:
            return None
        return max(min(self._due.values()), self._free_at) - clock.monotonic()


pump = Pump()
