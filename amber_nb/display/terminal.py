"""Show an answer in a terminal while it is written: its text, as text."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping

from ..types import ChatEvent, TextDelta, ToolProgress, ToolRun, Waiting, replace_surrogates
from .cards import tools_text
from .escape import show_controls

__all__ = ["TerminalDisplay"]

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
        self._fresh: list[str] = []
        self._notices: deque[str] = deque()
        self._write_is_due = False
        self._whole: list[str] = []
        self._held = ""
        self._end: str | None = None
        self._column = 0
        self._is_waiting = False
        self._runs: dict[int, ToolRun] = {}
        self._next_run = 0  # runs are listed in the order of the model
        with _lock:
            _queue.append(self)

    def handle(self, event: ChatEvent) -> None:
        """Show an event: text, the end of a tool call, and once that there is a wait; from any thread."""
        if type(event) is TextDelta:
            self._fresh.append(event.text)
        elif isinstance(event, ToolProgress) and event.run is not None:
            self._runs[event.index] = event.run
            while (run := self._runs.get(self._next_run)) is not None:
                self._next_run += 1
                self._notices.append(tools_text([run]))
        elif isinstance(event, Waiting) and not self._is_waiting:
            self._notices.append(show_controls(f"waiting {event.seconds} s ({event.reason})"))
        self._is_waiting = isinstance(event, Waiting)
        if not self._write_is_due and (self._fresh or self._notices):
            self._write_is_due = True
            self._call_in_cell(self._write_pending)

    def settle(self, bundle: Mapping[str, str]) -> None:
        """Write the rest, and then the answers that have waited for it."""
        with _lock:
            self._write_notices()
            self._end = bundle["text/plain"]
            while _queue and (end := _queue[0]._end) is not None:
                _queue.popleft()._finish(end)
            if _queue:
                _queue[0]._write_fresh()

    def _write_pending(self) -> None:
        self._write_is_due = False  # before the reading: what comes from here on is due again
        with _lock:
            if _queue and _queue[0] is self:
                self._write_fresh()
            self._write_notices()

    def _write_notices(self) -> None:
        while self._notices:
            print(f"amber: {self._notices.popleft()}", file=sys.stderr, flush=True)

    def _write_fresh(self) -> None:
        self._write(self._head)
        self._head = ""
        count = len(self._fresh)
        text = self._held + "".join(self._fresh[:count])
        self._whole += self._fresh[:count]
        del self._fresh[:count]
        self._held = text[-1:] if text[-1:] == "\r" or "\ud800" <= text[-1:] <= "\udbff" else ""  # its half is to come
        self._write(text[: len(text) - len(self._held)])

    def _finish(self, whole: str) -> None:
        self._write_fresh()
        self._write(self._held)
        written = replace_surrogates("".join(self._whole))
        if whole.startswith(written):
            self._write(whole[len(written) :])
        elif whole:
            self._write(("\n" if self._column else "") + whole)
        if self._column:
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        shown = show_controls(replace_surrogates(text).replace("\r\n", "\n"))
        sys.stdout.write(shown)
        sys.stdout.flush()
        self._column = 0 if shown.endswith("\n") else 1
