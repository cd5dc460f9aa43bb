"""An answer in a terminal while it is written: its text, as text."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence

from ..types import ToolStep, replace_surrogates
from .cards import tools_text
from .escape import show_controls

__all__ = ["TextStage"]

_lock = threading.RLock()  # an interrupt may come while it is held, and settle
_waiting: deque[TextStage] = deque()  # there is one page for all: the answer asked for first is written first


class TextStage:
    """Fed from any thread; written, by `tick` and `settle`, in the thread of the one who asked.

    Control characters are shown as signs: a model's text may not move the cursor, set the window's title or write to
    the clipboard.
    """

    every_s = 0.05  # seconds between two ticks
    rest_s = 0.05  # and between two reads: nothing smooths the steps here

    def __init__(self, head: str = "") -> None:
        self._head = f"{head}\n" if head else ""  # what is told before the answer, and is no part of it
        self._fresh: list[str] = []
        self._whole: list[str] = []
        self._held = ""
        self._end: str | None = None
        self._column = 0
        self._waits = False
        self._told = 0  # calls of tools
        with _lock:
            _waiting.append(self)

    def feed(self, text: str) -> None:
        """Add text."""
        self._fresh.append(text)

    def tick(self, activity: str = "", steps: Sequence[ToolStep] = ()) -> None:
        """Write what has come, if it is this one's turn; of what adds no text only that there is a wait, once."""
        with _lock:
            if _waiting and _waiting[0] is self:
                self._write_fresh()
            for step in steps[self._told :]:
                if step.run is None:
                    break
                self._told += 1
                print(f"amber: {tools_text([step.run])}", file=sys.stderr, flush=True)
            waits = activity.startswith("waiting")
            if waits and not self._waits:
                print(f"amber: {show_controls(activity)}", file=sys.stderr, flush=True)
            self._waits = waits

    def settle(self, bundle: Mapping[str, str]) -> None:
        """Write the rest, and then the answers that have waited for it."""
        with _lock:
            self._end = bundle["text/plain"]
            while _waiting and (end := _waiting[0]._end) is not None:
                _waiting.popleft()._finish(end)

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
