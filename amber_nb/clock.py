"""The clock by which the package waits and measures.

Retries, `Retry-After`, the idle timeout, the simulator's pace and a live view's rhythm read the time and wait through
the functions of this module, always called as its attributes (`clock.sleep(…)`): a test replaces them, and then does
not wait.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import sleep as sleep_async
from time import monotonic, sleep, time
from types import TracebackType
from typing import Self

__all__ = ["Timeout", "monotonic", "sleep", "sleep_async", "time", "timeout", "wait"]


class Timeout:
    """A limit on the time that a block may take; like `asyncio.timeout`, it raises `TimeoutError` after it.

    Args:
        seconds: from now; None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._limit = asyncio.timeout(seconds)

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._limit.__aexit__(kind, error, traceback)

    def extend(self, seconds: float) -> None:
        """Move the limit to so many seconds from now."""
        self._limit.reschedule(asyncio.get_running_loop().time() + seconds)

    def expired(self) -> bool:
        """Return whether the limit was reached."""
        return self._limit.expired()


timeout = Timeout


def wait(waitable: threading.Event | threading.Condition, seconds: float | None) -> bool:
    """Block this thread until `waitable` is set or notified; return False where `seconds` went by first."""
    return waitable.wait(seconds)
