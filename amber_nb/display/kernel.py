"""The kernel and its running cell: whether a person sees it, how to show something in it, what its file holds.

IPython is never imported here, only found where it already runs: a script must not pay for it.
"""

from __future__ import annotations

import contextvars
import json
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .escape import show_controls

__all__ = [
    "DisplayQueue",
    "after_each_cell",
    "before_each_cell",
    "can_prompt",
    "cell_id",
    "execution_id",
    "has_front_end",
    "hide_empty_prompt",
    "holds_real_answers",
    "in_kernel",
    "in_terminal",
    "is_answer",
    "may_only_print",
    "message_origin",
    "session_id",
    "show_bundle",
]

_ANSWER_START = '<div class="amber-answer">'
_SIMULATED = ">simulated</span>"
_BADGE_CHARS = 1_000  # at the start of an answer, where its badge is


def has_front_end() -> bool:
    """Return whether a person's front end sent what is running: a cell, or a page's message, such as of a button.

    It is known by what it can do: JupyterLab, Notebook, nbclassic, VS Code and `jupyter console` let a cell ask for
    input; nbclient does not, and so neither do nbconvert, nbval, papermill, `jupyter execute` and the cells of Voilà,
    whose page sends messages all the same. The environment is no sign: children of a Lab kernel inherit it.
    """
    return _in_colab() or _is_message() or _allows_input()


def may_only_print() -> bool:
    """Return whether a person's front end may print the text of a display once, and never update it.

    `jupyter console` and qtconsole do, and server-side execution (jupyter-server-nbmodel) keeps the first form of a
    display. A front end that names its cells has a document, and one that sends a widget's messages is a page.
    """
    return _allows_input() and not (_in_colab() or _is_message() or cell_id())


def in_kernel() -> bool:
    """Return whether this is a Jupyter kernel, with or without a person."""
    return getattr(_shell(), "kernel", None) is not None


def in_terminal() -> bool:
    """Return whether this is an interactive IPython without a kernel."""
    return _shell() is not None and not in_kernel()


def can_prompt() -> bool:
    """Return whether `input` reaches a person: in an IPython, at a front end of a kernel, or on a script's terminal."""
    if in_kernel():
        return _in_colab() or _allows_input()  # in a button's callback `input` would read the kernel's own
    return in_terminal() or (sys.stdin is not None and sys.stdin.isatty())


def execution_id() -> str | None:
    """Return the id of the running execution, the same throughout a run of a cell; None outside IPython."""
    if in_terminal():
        return f"In [{_shell().execution_count}]"
    message_id = _request().get("header", {}).get("msg_id")
    return message_id if isinstance(message_id, str) else None


def cell_id() -> str | None:
    """Return the id of the running cell, the same in each run; None where no front end sends it."""
    found = _request().get("metadata", {}).get("cellId")
    return found if isinstance(found, str) else None


def session_id() -> str | None:
    """Return the id of the front end's session that sent what is running."""
    found = _request().get("header", {}).get("session")
    return found if isinstance(found, str) else None


def message_origin() -> tuple[str | None, bool]:
    """Return the session whose message, such as a widget's, is handled now, and whether a running cell lets it through.

    On ipykernel 7 it does where a page sends it to a subshell, as JupyterLab 4.6 does, and Voilà 0.5 and nbclassic do
    not. The session is None outside of such a message.
    """
    header = _request().get("header", {})
    return (session_id() if _is_message() else None), bool(header.get("subshell_id"))


def after_each_cell(callback: Callable[[], None]) -> None:
    """Call a method after each cell, as long as its object lives; without a kernel, never."""
    if not in_kernel():
        return
    method = weakref.WeakMethod(callback)

    def call(*_: object) -> None:
        alive = method()
        if alive is not None:
            alive()
        else:
            shell.events.unregister("post_run_cell", call)

    shell = _shell()
    shell.events.register("post_run_cell", call)


def before_each_cell(callback: Callable[..., None]) -> None:
    """Call a function before each cell from now on, once however often this is asked for; without a kernel, never."""
    if in_kernel():
        _shell().events.register("pre_run_cell", callback)


def show_bundle(bundle: Mapping[str, str]) -> None:
    """Show a mime bundle as one display of the running cell; print its text where there is no kernel."""
    shown = dict(bundle)
    is_kernel = in_kernel()
    if not is_kernel or may_only_print():  # on a terminal, text could act
        shown["text/plain"] = show_controls(shown["text/plain"].replace("\r\n", "\n"))
    if is_kernel:
        sys.modules["IPython"].display.display(shown, raw=True)
    else:
        print(shown["text/plain"])


def hide_empty_prompt() -> None:
    """Have a terminal IPython write `Out[n]:` only with what follows it, until the running cell ends.

    It writes the prompt before it asks what an object looks like, and an answer that was shown already is nothing.
    """
    shell = _shell()
    hook = getattr(shell, "displayhook", None)
    if hook is None or "write_output_prompt" in vars(hook):  # done already
        return
    write_prompt, write_data = hook.write_output_prompt, hook.write_format_data

    def write_both(*arguments: Any) -> None:
        write_prompt()
        write_data(*arguments)

    def restore(*_: object) -> None:
        shell.events.unregister("post_run_cell", restore)
        del hook.write_output_prompt, hook.write_format_data

    hook.write_output_prompt, hook.write_format_data = lambda: None, write_both
    shell.events.register("post_run_cell", restore)


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def _request() -> Mapping[str, Any]:
    shell = _shell()
    return shell.get_parent() or {} if hasattr(shell, "get_parent") else {}


def _in_colab() -> bool:
    return "google.colab" in sys.modules


def _is_message() -> bool:
    return bool(_request().get("header", {}).get("msg_type") == "comm_msg")


def _allows_input() -> bool:
    return _request().get("content", {}).get("allow_stdin") is True


class DisplayQueue:
    """Show the displays of one cell in the order in which they begin, in whatever order they are ready.

    Three questions asked at once would otherwise be shown in the order of their answers, which differs from run to
    run, and no notebook could be compared with its last run.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a display may begin another
        self._waiting: dict[str, list[_Place]] = {}

    def begin(self) -> _Place:
        """Take a place in the queue of the running cell."""
        place = _Place(execution_id(), contextvars.copy_context())
        if place.cell is not None:
            with self._lock:
                self._waiting.setdefault(place.cell, []).append(place)
        return place

    def end(self, place: _Place, display: Callable[[], None] | None) -> None:
        """Show now, or as soon as all earlier displays of the cell have ended; None shows nothing."""
        place.display, place.ended = display, True
        if place.cell is None:  # outside a cell there is no order to keep
            if display is not None:
                display()
            return
        with self._lock, ExitStack() as shows:  # the stack runs them all, also when one of them fails
            queue = self._waiting[place.cell]
            ready = []
            while queue and queue[0].ended:
                ready.append(queue.pop(0))
            if not queue:
                del self._waiting[place.cell]
            for each in reversed(ready):
                if each.display is not None:
                    # In its own context, so that it reaches the cell that began it.
                    shows.callback(each.context.run, each.display)


@dataclass(eq=False, slots=True)
class _Place:
    cell: str | None
    context: contextvars.Context
    display: Callable[[], None] | None = None
    ended: bool = False


def is_answer(data: Mapping[str, Any]) -> bool:
    """Return whether a mime bundle of a notebook is the static form of an answer."""
    return _html(data).startswith(_ANSWER_START)


def holds_real_answers(path: Path) -> bool:
    """Return whether a notebook's file holds an answer of a real gateway; False where it cannot be read."""
    try:
        notebook = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return any(is_answer(data) and _SIMULATED not in _html(data)[:_BADGE_CHARS] for data in _bundles(notebook))


def _bundles(notebook: Any) -> Iterator[Mapping[str, Any]]:
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    for cell in cells if isinstance(cells, list) else ():
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            if isinstance(output, dict) and isinstance(output.get("data"), dict):
                yield output["data"]


def _html(data: Mapping[str, Any]) -> str:
    html = data.get("text/html", "")
    return "".join(map(str, html)) if isinstance(html, list) else str(html)
