"""What the browser says reaches us while a cell is running, on every kernel that can be made to listen.

ipykernel 7 has subshells: Lab sends widgets' messages to one, a thread of its own. 7.1–7.3 need nothing more; 7.4 is
held back from sending them to the busy shell again (`let_through`). ipykernel 6 reads one message after the other, and
none while a cell runs, also one that awaits: there the thread that runs the cell looks for itself (`Ear`).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["Ear", "let_through"]

_POLLIN = 1  # zmq.POLLIN; a process without a kernel has no zmq
_DELIMITER = b"<IDS|MSG>"  # before it addresses; after it signature, header, parent header, metadata, content


def let_through(comm: Any) -> bool:
    """Let the browser's messages through while the cell that shows the view is running; say whether they come.

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
    kernel = getattr(comm, "kernel", None)
    return kernel is None or bool(getattr(kernel, "_supports_kernel_subshells", False))


class Ear:
    """Looks, on ipykernel 6, for what was said on one comm among the messages that wait for the cell to end.

    They are left where they are: when their turn comes the view is closed, and nobody is left to hear them twice.
    """

    def __init__(self, comm: Any) -> None:
        self._comm_id = getattr(comm, "comm_id", None)
        self._kernel = getattr(comm, "kernel", None)
        self._last = -1

    def listen(self) -> list[dict[str, Any]] | None:
        """What was said since the last time; None where this thread cannot hear it."""
        if threading.current_thread() is not threading.main_thread():  # a zmq socket belongs to its thread
            return None
        try:
            self._kernel.shell_stream.flush(_POLLIN)  # type: ignore[union-attr]
            waiting = list(self._kernel.msg_queue._queue)  # type: ignore[union-attr]
        except AttributeError:
            return None
        return [
            said for number, _, arguments in waiting if number > self._last for said in self._said(number, arguments)
        ]

    def _said(self, number: int, arguments: Any) -> Iterator[dict[str, Any]]:
        self._last = number
        with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AttributeError):  # not of this kind
            frames = [bytes(frame) for frame in arguments[0]]
            after = frames[frames.index(_DELIMITER) + 1 :]
            content = json.loads(after[4]) if json.loads(after[1])["msg_type"] == "comm_msg" else {}
            if content.get("comm_id") == self._comm_id and content["data"]["method"] == "custom":
                yield content["data"]["content"]
