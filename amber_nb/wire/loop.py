"""The private event loop on its daemon thread, where every verb's async core runs.

Why a loop of our own: `response.close()` from another thread wakes no blocked read, so a sync call could be stopped
only at the read timeout; cancelling a task wakes it at once. And a notebook's own loop is busy while a cell runs.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["submit", "wait"]

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_pid: int | None = None


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the private loop; cancelling the future cancels its task there."""
    return asyncio.run_coroutine_threadsafe(coroutine, _running())


def wait(future: Future[T]) -> T:
    """Wait in a sync caller. An interrupt cancels the task, lets it close its connection, and is raised again."""
    try:
        while True:
            try:
                # A wait without a timeout cannot be interrupted on Windows.
                return future.result(timeout=0.5 if os.name == "nt" else None)
            except TimeoutError:
                if future.done():
                    raise
    except KeyboardInterrupt:
        future.cancel()
        raise


def _running() -> asyncio.AbstractEventLoop:
    global _loop, _pid
    with _lock:
        if _loop is None or _pid != os.getpid():  # a forked child inherits the loop, but not the thread that runs it
            _loop, _pid = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_loop.run_forever, name="amber-loop", daemon=True).start()
        return _loop
