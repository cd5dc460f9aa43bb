"""Send text and tool calls to the pages of a kernel, and hear those pages while a cell runs.

Text travels as deltas with offsets and is coalesced, because Jupyter drops messages silently when there are many: at
most 20 sends a second for a view and 100 for the kernel, and none before a view is there to receive them. The browser
asks for what it misses, and for everything when it comes late. The protocol, in full:

    kernel → view   {"o": start, "e": end, "t": text}   offsets count code points; without o and t: "the text goes to e"
                    {"n": note}                         the status line's note; "" takes it away
                    {"age": [s, s since first text]}    the answer to a greeting
                    {"stopping": 1}                     Stop has arrived
    view → kernel   {"hello": have} · {"have": have}    send (again) from there
                    {"stop": true}

Which thread sends: one of ours, for all views, alive only while a view is open. The caller's loop must not pay for a
send (0.25 ms), and ipykernel's iopub socket may be used from any thread. Only the parent header is bound to a context,
so each view sends in a copy of the context in which it was made: its messages belong to the cell that shows it.

How messages arrive: ipykernel 7 has subshells: Lab sends widgets' messages to one, a thread of its own. 7.1–7.3 need
nothing more; 7.4 is held back from sending them to the busy shell again (`allow_messages_while_busy`). ipykernel 6
reads one message after the other, and none while a cell runs, also one that awaits: there the thread that runs the cell
looks for itself (`BusyCellListener`). Tried with ipykernel 6.29 to 7.4.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import anywidget
import traitlets

from .. import clock
from ..types import replace_surrogates
from . import kernel

__all__ = [
    "BusyCellListener",
    "DeltaStream",
    "LiveWidget",
    "SendScheduler",
    "allow_messages_while_busy",
    "page_sessions",
    "pages_are_deaf",
    "scheduler",
    "snapshots",
]

_log = logging.getLogger(__name__)

VIEW_GAP_S = 0.05  # at most 20 sends a second for one view
SLOW_GAP_S = 0.16  # six while there is little to send: a send costs as much as reading twenty chunks
FEW_CHARS = 100
KERNEL_GAP_S = 0.01  # and 100 for all of them
END_CHECK_S = 1.0  # silence after which the view is told once how far the text goes: a lost end is noticed
REPEATS_S = (0.3, 0.7, 1.2, 2.0, 3.0)  # ages at which all is sent again to views that cannot ask
MAX_SEND_CHARS = 262_144  # in one message: more would hold up the page that reads it
_POLLIN = 1  # zmq.POLLIN; a process without a kernel has no zmq
_DELIMITER = b"<IDS|MSG>"  # before it addresses; after it signature, header, parent header, metadata, content

Message = dict[str, Any]


class Channel(Protocol):
    """A sender of messages, which the scheduler calls when it is due.

    Attributes:
        next_at: the time before which it must not send, on the monotonic clock.
    """

    next_at: float

    def deliver(self, now: float) -> float | None:
        """Send one message; return the time of the next, or None until the scheduler is notified."""


class DeltaStream:
    """Send the text of one answer to its view: what came, what was sent, what has to be sent again.

    Args:
        send: sends a message.
        hears: whether the view can ask for what it misses.
    """

    def __init__(self, send: Callable[[Message], None], *, hears: bool = True) -> None:
        self.fresh: list[str] = []  # appended to by any thread; a list's append and slice deletion are atomic
        self.notified = False  # the scheduler knows that there is something to send
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
        self._age_due = False
        self._repeats = [] if hears else list(REPEATS_S)

    def deliver(self, now: float) -> float | None:
        """Send what is new, and return the time of the next message, or None."""
        with self.lock:
            if self.closed:
                return None
            self.notified = False  # before the drain: what is added from here on notifies again
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
            if self._age_due:
                at = clock.monotonic()
                first = None if self._first is None else round(at - self._first, 1)
                message["age"] = [round(at - self._began, 1), first]
                self._age_due = False
            self.next_at = now + (VIEW_GAP_S if len(text) > FEW_CHARS else SLOW_GAP_S)
            self._send(message)
            if self._cursor < self._length:
                return self.next_at
            return now + END_CHECK_S if text else None

    def send(self, message: Message) -> None:
        """Send at once, past the limits: for the rare message that a reader waits for."""
        with self.lock:
            if not self.closed:
                self._send(message)

    def set_note(self, text: str) -> None:
        """Set the status line's note, until text comes."""
        with self.lock:
            self._drain()  # text that came before the note must not take it away
            self._note = text
            self._note_due = True

    def rewind(self, have: int, *, greeting: bool = False) -> None:
        """Send again from there; views that have the text already ignore it."""
        with self.lock:
            self._cursor = min(self._cursor, max(0, have))
            self._age_due = self._age_due or greeting
            self._repeats.clear()  # the view can ask after all
            self._note_due = self._note_due or (greeting and bool(self._note))

    def close(self) -> None:
        """Send nothing any more, and forget the text."""
        with self.lock:  # a send that is under way on the scheduler's thread ends first
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
        parts = [self._pieces[at][self._cursor - self._starts[at] :][:MAX_SEND_CHARS]]
        room = MAX_SEND_CHARS - len(parts[0])
        for piece in self._pieces[at + 1 :] if room else ():
            parts.append(piece[:room])
            room -= len(parts[-1])
            if not room:
                break
        return "".join(parts)


class SendScheduler:
    """Call the open channels in their turn: the one that has waited longest, a first text before all others.

    Args:
        name: of its thread.
    """

    def __init__(self, name: str = "amber-views") -> None:
        self._name = name
        # Reentrant: garbage collection may close a view in the middle of anything.
        self._changed = threading.Condition(threading.RLock())
        self._open: set[Channel] = set()
        self._due: dict[Channel, float] = {}
        self._free_at = float("-inf")
        self._thread: threading.Thread | None = None

    def open(self, channel: Channel) -> None:
        """Accept a channel."""
        with self._changed:
            self._open.add(channel)

    def notify(self, channel: Channel) -> None:
        """Have an open channel send as soon as it may."""
        with self._changed:
            if channel not in self._open:
                return
            self._put(channel, channel.next_at)
            if self._thread is None or not self._thread.is_alive():  # a fork inherits the object, not the thread
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, channel: Channel) -> None:
        """Call a channel no more."""
        with self._changed:
            self._open.discard(channel)
            self._due.pop(channel, None)
            self._changed.notify()

    def send_due(self) -> float | None:
        """Have one channel send that is due; return the seconds to wait then, None: until somebody notifies."""
        with self._changed:
            if not self._due:
                return None
            channel = min(self._due, key=self._due.__getitem__)
            now = clock.monotonic()
            wait = max(self._due[channel], self._free_at) - now
            if wait > 0:
                return wait
            del self._due[channel]
            self._free_at = now + KERNEL_GAP_S
        try:
            next_at = channel.deliver(now)
        except Exception:
            # The kernel's socket is gone, or cannot pack this: the settled answer will show it.
            _log.exception("A live view could not be updated")
            self.close(channel)
            return 0
        with self._changed:
            if next_at is not None and channel in self._open:
                self._put(channel, next_at)
        return 0

    def _put(self, channel: Channel, at: float) -> None:
        self._due[channel] = min(at, self._due.get(channel, at))

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._open:
                    self._thread = None
                    return
                pause = self._pause()
                if pause is None or pause > 0:
                    clock.wait(self._changed, pause)
                    continue
            self.send_due()

    def _pause(self) -> float | None:
        if not self._due:
            return None
        return max(min(self._due.values()), self._free_at) - clock.monotonic()


scheduler = SendScheduler()
snapshots = SendScheduler("amber-snapshots")  # what takes long to make, on a thread of its own
# Of the front ends that have sent a widget's message, and so are pages: whether they are heard while a cell runs.
page_sessions: dict[str, bool] = {}


def pages_are_deaf() -> bool:
    """Return whether no known page is heard while a cell runs: then its silence says nothing."""
    return bool(page_sessions) and not any(list(page_sessions.values()))


class LiveWidget(anywidget.AnyWidget):
    """A widget that tells when a page shows it, and hears that page while a cell runs.

    Attributes:
        hello: set when a page has shown it.
        hears: whether the kernel reads the page's messages by itself while a cell runs. ipykernel 6 does not: there
            messages are sent unasked, and the thread of the cell calls `listen` now and then.
    """

    # A Layout is a widget of its own: two more messages for each answer, and one object more to close.
    layout = traitlets.Any(None, allow_none=True).tag(sync=True)

    def __init__(self, **state: Any) -> None:
        self.hello = threading.Event()
        self._context = contextvars.copy_context()
        super().__init__(**state)
        self.hears = allow_messages_while_busy(self.comm)
        self._listener = None if self.hears else BusyCellListener(self.comm)
        self.on_msg(self._handle)

    @property
    def can_send(self) -> bool:
        """Whether a page may be there to receive messages."""
        return self.hello.is_set() or not self.hears

    def listen(self) -> bool:
        """Read the page's messages where the kernel does not; return False where that is impossible too."""
        if self._listener is None:
            return True
        messages = self._listener.read()
        page_sessions.update(dict.fromkeys(self._listener.sessions, True))
        for content, buffers in messages or ():
            self._receive(content, buffers)
        return messages is not None

    def _handle(self, _widget: object, content: object, buffers: Sequence[Any]) -> None:
        session, is_heard_while_busy = kernel.message_origin()
        if session is not None:
            page_sessions[session] = is_heard_while_busy or not self.hears  # on ipykernel 6 the cell's thread listens
        self._receive(content, buffers)

    def _post(self, message: Mapping[str, Any]) -> None:
        self._context.copy().run(self.send, message)  # a copy: a context may be entered once at a time

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        raise NotImplementedError


def allow_messages_while_busy(comm: Any) -> bool:
    """Let the page's messages arrive while the cell that shows the view is running; return whether they do.

    ipykernel 7.4 sends them back to the shell that used the comm last, the one our cell keeps busy
    (`_reply_subshell_for`); on our own comm they stay where Lab sent them.

    And a message handler makes IPython fire `pre_execute` and `post_execute`. In the middle of a cell that would
    show and close the reader's unfinished matplotlib figures, so on our comm it does not.
    """
    with contextlib.suppress(AttributeError):
        if hasattr(comm, "_reply_subshell_for"):
            comm._reply_subshell_for = lambda _data, default: default
        if hasattr(comm, "_msg_callback"):
            comm.handle_msg = lambda msg: comm._msg_callback(msg) if comm._msg_callback else None
    owner = getattr(comm, "kernel", None)
    return owner is None or bool(getattr(owner, "_supports_kernel_subshells", False))


class BusyCellListener:
    """Read, on ipykernel 6, the messages of one comm among those that wait for the cell to end.

    They are left where they are: when their turn comes the view is closed, and nobody is left to read them twice.

    Attributes:
        sessions: of the front ends that sent them.
    """

    def __init__(self, comm: Any) -> None:
        self._comm_id = getattr(comm, "comm_id", None)
        self._kernel = getattr(comm, "kernel", None)
        self._last = -1
        self.sessions: set[str] = set()

    def read(self) -> list[tuple[dict[str, Any], list[bytes]]] | None:
        """Return the messages since the last time; None where this thread cannot read them."""
        if threading.current_thread() is not threading.main_thread():  # a zmq socket belongs to its thread
            return None
        try:
            self._kernel.shell_stream.flush(_POLLIN)  # type: ignore[union-attr]
            waiting = list(self._kernel.msg_queue._queue)  # type: ignore[union-attr]
        except AttributeError:
            return None
        return [
            message
            for number, _, arguments in waiting
            if number > self._last
            for message in self._messages(number, arguments)
        ]

    def _messages(self, number: int, arguments: Any) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
        self._last = number
        with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AttributeError):  # not of this kind
            frames = [bytes(frame) for frame in arguments[0]]
            after = frames[frames.index(_DELIMITER) + 1 :]
            header = json.loads(after[1])
            content = json.loads(after[4]) if header["msg_type"] == "comm_msg" else {}
            if content.get("comm_id") == self._comm_id and content["data"]["method"] == "custom":
                self.sessions.update(each for each in [header.get("session")] if isinstance(each, str))
                yield content["data"]["content"], after[5:]
