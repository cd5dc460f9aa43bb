"""Show an answer in a terminal while it is written: its text, as text."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence

from .. import clock
from ..types import ChatEvent, TextDelta, ToolProgress, ToolRun, Waiting, replace_surrogates
from .cards import progress_note, tools_text
from .escape import shorten, show_controls

__all__ = ["TerminalDisplay"]

_FIRST_GAP_S, _MAX_GAP_S = 2.0, 60.0  # between two lines about the progress of a call; each gap is twice the last

_lock = threading.RLock()  # an interrupt may come while it is held, and settle
_queue: deque[TerminalDisplay] = deque()  # there is one page for all: the first answer is written first


class TerminalDisplay:
    """An answer in a terminal, as text.

    Written in the thread that asks. Control characters are shown as signs: a model's text may not move the cursor, set
    the window's title or write to the clipboard.

    Args:
        call_in_cell: has a function called in the thread that asks.
        head: what is written before the answer, and is no part of it.
    """

    rest_s = 0.05  # seconds between two reads: nothing smooths the steps here

    def __init__(self, call_in_cell: Callable[[Callable[[], None]], object], head: str = "") -> None:
        self._call_in_cell = call_in_cell
        self._head = f"{head}\n" if head else ""
        self._fresh: list[str | _Notice] = []  # texts and notices, in their order
        self._write_is_due = False
        self._written: list[str] = []
        self._held = ""
        self._end: tuple[str, str] | None = None
        self._column = 0
        self._is_broken = False  # a notice stands before what comes next
        self._is_waiting = False
        self._runs: dict[int, ToolRun] = {}
        self._progress: dict[int, tuple[str, float, float]] = {}  # of each call: last note, next time, gap
        self._next_run = 0  # runs are listed in the order of the model
        with _lock:
            _queue.append(self)

    def handle(self, event: ChatEvent) -> None:
        """Show an event: text, progress and end of a tool call, and once that there is a wait; from any thread."""
        if type(event) is TextDelta:
            self._fresh.append(event.text)
        elif isinstance(event, ToolProgress) and event.run is not None:
            self._runs[event.index] = event.run
            while (run := self._runs.get(self._next_run)) is not None:
                self._next_run += 1
                self._fresh.append(_Notice(tools_text([run])))
        elif isinstance(event, ToolProgress) and event.note:
            self._tell_progress(event)
        elif isinstance(event, Waiting) and not self._is_waiting:
            self._fresh.append(_Notice(show_controls(f"waiting {event.seconds} s ({event.reason})")))
        self._is_waiting = isinstance(event, Waiting)
        if not self._write_is_due and self._fresh:
            self._write_is_due = True
            self._call_in_cell(self._write_pending)

    def _tell_progress(self, event: ToolProgress) -> None:
        """Tell what a server says of its progress: the first at once, and then the rarer the longer it takes."""
        now = clock.monotonic()
        before, due, gap = self._progress.get(event.index, ("", now, _FIRST_GAP_S))
        if now < due or not (note := progress_note(event)) or note == before:
            return
        self._progress[event.index] = note, now + gap, min(2 * gap, _MAX_GAP_S)
        name = show_controls(replace_surrogates(shorten(event.name, 100)))
        self._fresh.append(_Notice(f"running {name}: {note}"))

    def settle(self, text: str = "", *, runs: Sequence[ToolRun] = (), end: str = "") -> None:
        """Write the rest, and then the answers that have waited for it.

        Args:
            text: the whole text; what is written of it already is not written again.
            runs: all tool calls; those that were not told yet, since they were stopped, are told now.
            end: what stands below the text.
        """
        with _lock:
            try:
                self._fresh += [_Notice(tools_text([run])) for run in runs[self._next_run :]]
                self._end = text, end
                while _queue and (last := _queue[0]._end) is not None:
                    _queue.popleft()._finish(*last)
                if _queue:
                    _queue[0]._write_fresh()
            except BaseException:  # such as an interrupt: those behind it would wait for ever
                if self in _queue:
                    _queue.remove(self)
                raise

    def _write_pending(self) -> None:
        self._write_is_due = False  # before the reading: what comes from here on is due again
        with _lock:
            if _queue and _queue[0] is self:
                self._write_fresh()
            elif self in _queue:
                self._tell_notices()

    def _tell_notices(self) -> None:
        """Tell what goes on while another answer is written; the text has to wait."""
        count = len(self._fresh)
        items = self._fresh[:count]
        self._fresh[:count] = [item for item in items if not isinstance(item, _Notice)]
        for item in items:
            if isinstance(item, _Notice):
                _queue[0]._tell(item)

    def _write_fresh(self) -> None:
        self._write(self._head)
        self._head = ""
        count = len(self._fresh)
        items = self._fresh[:count]
        del self._fresh[:count]
        text = ""
        for item in items:
            if isinstance(item, _Notice):
                self._write_text(text)
                self._tell(item)
                text = ""
            else:
                text += item
        self._write_text(text)

    def _write_text(self, text: str) -> None:
        self._written.append(text)
        text = self._held + text
        self._held = text[-1:] if text[-1:] == "\r" or "\ud800" <= text[-1:] <= "\udbff" else ""  # its half is to come
        text = text[: len(text) - len(self._held)]
        if self._is_broken:  # what begins a new line there would leave empty ones here
            text = text.lstrip("\n")
            self._is_broken = not text
        self._write(text)

    def _tell(self, notice: _Notice) -> None:
        if self._column:
            self._write("\n")
        self._is_broken = True
        print(f"amber: {notice}", file=sys.stderr, flush=True)

    def _finish(self, whole: str, end: str) -> None:
        self._write_fresh()
        self._write(self._held)
        self._held = ""
        written = replace_surrogates("".join(self._written))
        if whole.startswith(written):
            self._write_text(whole[len(written) :])
        elif not written.rstrip("\n").endswith(whole):  # a first try, of another form, stands before the last
            self._write(("\n" if self._column else "") + whole)
        self._write(("\n" if self._column and end else "") + end)
        if self._column:
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        shown = show_controls(replace_surrogates(text).replace("\r\n", "\n"))
        sys.stdout.write(shown)
        sys.stdout.flush()
        self._column = 0 if shown.endswith("\n") else 1


class _Notice(str):
    """What is told beside the answer, on stderr."""

    __slots__ = ()
