"""The cell that is running: whether a person sees it, and how something is shown in it.

IPython is never imported here, only found where it already runs: a script must not pay for it.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from .escape import visible

__all__ = ["Turns", "at_end", "cell_id", "current", "front_end", "in_kernel", "in_terminal", "keyboard", "show"]


def front_end() -> bool:
    """Whether a person's front end sent the running cell.

    Lab, Notebook and VS Code name the cell in the request's metadata; nbclient, nbval and papermill send none. The
    environment tells nothing: children of a Lab kernel inherit it.
    """
    if "google.colab" in sys.modules:
        return True
    return bool(_request().get("metadata", {}).get("cellId"))


def in_kernel() -> bool:
    """Whether this is a Jupyter kernel, with or without a person."""
    return getattr(_shell(), "kernel", None) is not None


def in_terminal() -> bool:
    """Whether this is an interactive IPython without a kernel."""
    return _shell() is not None and not in_kernel()


def keyboard() -> bool:
    """Whether `input` reaches a person: in an IPython, at a front end of a kernel, or on a script's terminal."""
    if in_kernel():
        return front_end()
    return in_terminal() or (sys.stdin is not None and sys.stdin.isatty())


def current() -> str | None:
    """The id of the running execution, the same for all that one cell or prompt does; None outside IPython."""
    if in_terminal():
        return f"In [{_shell().execution_count}]"
    message_id = _request().get("header", {}).get("msg_id")
    return message_id if isinstance(message_id, str) else None


def cell_id() -> str | None:
    """The id of the notebook's cell that is running, the same whenever it runs; None where no front end tells it."""
    found = _request().get("metadata", {}).get("cellId")
    return found if isinstance(found, str) else None


def at_end(callback: Callable[[], None]) -> None:
    """Have a method called when a cell has run, for as long as its object lives; nothing without a kernel."""
    if not in_kernel():
        return
    method = weakref.WeakMethod(callback)

    def ended(*_: object) -> None:
        alive = method()
        if alive is not None:
            alive()
        else:
            shell.events.unregister("post_run_cell", ended)

    shell = _shell()
    shell.events.register("post_run_cell", ended)


def show(bundle: Mapping[str, str]) -> None:
    """Show a mime bundle as one display of the running cell; without a kernel its text is printed."""
    if not in_kernel():
        print(visible(bundle["text/plain"].replace("\r\n", "\n")))
    else:
        sys.modules["IPython"].display.display(dict(bundle), raw=True)


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def _request() -> Mapping[str, Any]:
    shell = _shell()
    if not hasattr(shell, "get_parent"):
        return {}
    return shell.get_parent() or {}


class Turns:
    """Lets the displays of one cell appear in the order in which they were begun, however their work ends.

    Three questions asked at once would otherwise be shown in the order of their answers, another one at each run, and
    no notebook could be compared with its last run.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # what a display calls may ask again
        self._waiting: dict[str, list[_Turn]] = {}

    def begin(self) -> _Turn:
        """Take a place in the running cell's queue."""
        turn = _Turn(current(), contextvars.copy_context())
        if turn.cell is not None:
            with self._lock:
                self._waiting.setdefault(turn.cell, []).append(turn)
        return turn

    def end(self, turn: _Turn, display: Callable[[], None] | None) -> None:
        """Show now, or as soon as those begun earlier in the cell have ended; None shows nothing."""
        turn.display, turn.ended = display, True
        if turn.cell is None:  # no cell whose order could be kept
            if display is not None:
                display()
            return
        with self._lock, ExitStack() as shows:  # the stack runs them all, also when one of them fails
            queue = self._waiting[turn.cell]
            ready = []
            while queue and queue[0].ended:
                ready.append(queue.pop(0))
            if not queue:
                del self._waiting[turn.cell]
            for one in reversed(ready):
                if one.display is not None:
                    # Its own context, so that it reaches the cell that began it.
                    shows.callback(one.context.run, one.display)


class _Turn:
    def __init__(self, cell: str | None, context: contextvars.Context) -> None:
        self.cell = cell
        self.context = context
        self.display: Callable[[], None] | None = None
        self.ended = False
