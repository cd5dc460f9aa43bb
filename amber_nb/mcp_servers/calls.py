"""What a call of a server's tool tells while it runs, and how long its server may be silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from .. import clock
from ..display.escape import shorten, show_controls
from ..errors import ToolError

__all__ = ["NO_LISTENER", "Listener", "SilenceError", "SilenceLimit", "describe_progress", "limit_silence"]

_READER_S = 86_400.0  # while the reader is asked, the server is silent for a reason
_MAX_NOTE = 200
_MAX_QUESTIONS = 5  # of a server in one call


class SilenceError(ToolError):
    """A server gave no sign of life for too long."""


class Listener(Protocol):
    """What hears of a call; called on any event loop."""

    def report(self, note: str) -> None:
        """Show what the server tells of its progress."""

    async def ask_reader(self, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask the reader for input; None where it is refused. TimeoutError: nobody answered."""


class _NoListener:
    """Nobody looks at the call, and nobody is asked."""

    def report(self, note: str) -> None:
        pass

    async def ask_reader(self, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return None


NO_LISTENER: Listener = _NoListener()


class SilenceLimit:
    """A limit on the silence of a call, which each sign of life puts off; a `Listener` for its connection."""

    def __init__(self, seconds: float, limit: clock.Timeout, listener: Listener, clean: Callable[[str], str]) -> None:
        self._seconds = seconds
        self._limit = limit
        self._listener = listener
        self._clean = clean
        self._loop = asyncio.get_running_loop()
        self._questions = 0  # that the reader is asked now
        self._asked = 0  # questions of this call
        self._is_refused = False  # whether the reader has refused one, or left it without an answer
        self._is_heard = False  # whether the loop has yet to put the limit off

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Hear a notification of progress; on the server's loop."""
        self._extend()
        self.report(describe_progress(progress, total, message))

    def report(self, note: str) -> None:
        """Hand a note on."""
        self._listener.report(self._clean(note))

    async def ask_reader(self, message: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Have the reader asked; the server's silence does not count meanwhile.

        After a refusal, or five questions, the reader is not asked again in this call: a server could ask without end.
        """
        if self._is_refused or self._asked >= _MAX_QUESTIONS:
            self.report("it asked again, which was declined")
            return None
        self._asked += 1
        self._questions += 1
        self._extend()
        content = None
        try:
            content = await self._listener.ask_reader(self._clean(message), schema)
            return content
        finally:
            self._is_refused = self._is_refused or content is None
            self._questions -= 1
            self._extend()

    def _extend(self) -> None:
        if not self._is_heard:  # of ten thousand notifications, the loop of the answers hears few
            self._is_heard = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the call with it
                self._loop.call_soon_threadsafe(self._extend_here)

    def _extend_here(self) -> None:
        self._is_heard = False
        with contextlib.suppress(RuntimeError):  # the call has ended
            self._limit.extend(_READER_S if self._questions else self._seconds)


@contextlib.asynccontextmanager
async def limit_silence(
    seconds: float, listener: Listener, clean: Callable[[str], str] = str
) -> AsyncIterator[SilenceLimit]:
    """Raise TimeoutError within the block where the server has been silent for so many seconds.

    Args:
        seconds: of silence.
        listener: hears what the server tells.
        clean: takes the server's secrets out of that.
    """
    async with clock.timeout(seconds) as limit:
        yield SilenceLimit(seconds, limit, listener, clean)


def describe_progress(progress: float, total: float | None, message: str | None) -> str:
    """Return what a notification of progress says, on one line.

    Example:
        >>> describe_progress(3, 10, "reading the index")
        '3 of 10: reading the index'
    """
    count = f"{progress:g} of {total:g}" if total is not None else f"{progress:g}"
    note = show_controls(shorten(" ".join((message or "").split()), _MAX_NOTE))
    return f"{count}: {note}" if note else count
