"""Say how finished blocks of a live answer look: the colours of its code, and which formulas may be typeset.

The page asks, as it reads the Markdown while it comes; what it is told is what the settled answer does with the same
text. Code is answered with the letters of COLOURS and the lengths of the pieces, in the page's characters: "k3 5s7"; a
formula with 1, or with 0 where it is shown as code.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from . import comm
from .highlight import MOST_COLOURED, code_runs, colouring_cost
from .markdown_math import is_safe_math, math_source

__all__ = ["RichText"]

_MOST_WAITING = 1_000  # questions; a page asks once for each block
_MOST_CHARS = 20_000  # in one of them
_MOST_KEY = 64


class RichText:
    """Answer the pages' questions about blocks, on the thread of the snapshots: a hostile block takes its time.

    Args:
        send: sends a message to the pages.
    """

    def __init__(self, send: Callable[[comm.Message], None]) -> None:
        self.next_at = float("-inf")
        self._send = send
        self._waiting: deque[tuple[str, str | None, str]] = deque(maxlen=_MOST_WAITING)
        self._left = MOST_COLOURED
        self._coloured: set[tuple[str, str]] = set()  # what is asked for again, by another page, costs nothing
        self._closed = False
        self._lock = threading.RLock()  # around opening and closing; reentrant: the collector may close it anywhere

    def ask(self, blocks: object) -> None:
        """Take the questions of a page: the key of a block, and its language and code, or its formula."""
        for block in blocks if isinstance(blocks, list) else ():
            match block:
                case [str(key), str(language), str(text)] if len(key) <= _MOST_KEY and len(text) <= _MOST_CHARS:
                    self._waiting.append((key, language, text))
                case [str(key), str(text)] if len(key) <= _MOST_KEY and len(text) <= _MOST_CHARS:
                    self._waiting.append((key, None, text))
        with self._lock:
            if self._waiting and not self._closed:
                comm.snapshots.open(self)
                comm.snapshots.notify(self)

    def deliver(self, now: float) -> float | None:
        """Answer as many as do not take long; called by the scheduler."""
        looks: dict[str, Any] = {}
        while self._waiting:
            try:
                key, language, text = self._waiting.popleft()
            except IndexError:  # closed meanwhile
                break
            if language is None:
                looks[key] = _formula_look(text)
            elif runs := self._colours(text, language):
                looks[key] = runs
                break
        if looks and not self._closed:
            self._send({"looks": looks})
        return now if self._waiting else None

    def _colours(self, code: str, language: str) -> str:
        if (code, language) not in self._coloured:
            self._left -= colouring_cost(code, language)  # as the settled answer counts
            if self._left < 0:
                return ""
            self._coloured.add((code, language))
        runs = code_runs(code, language)
        return "".join(f"{kind or ' '}{_length(text)}" for kind, text in runs) if any(kind for kind, _ in runs) else ""

    def close(self) -> None:
        """Answer no more; from any thread."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            comm.snapshots.close(self)


def _formula_look(source: str) -> int:
    """Return 1 for a formula, with its dollars or brackets, that may be typeset; 0 for one that is shown as code."""
    formula = math_source(source)
    return int(formula is not None and "`" not in formula and is_safe_math(formula))


def _length(text: str) -> int:
    """Return the length as JavaScript counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
