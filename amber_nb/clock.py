"""The clock by which the package waits and measures.

Retries, `Retry-After`, the idle timeout, the simulator's pace and a live view's rhythm read the time and wait through
the functions of this module. A test replaces the machine's clock with `use`, and then does not wait, as in the test
mode of stamina (https://stamina.hynek.me/en/stable/testing.html).
"""

from __future__ import annotations

import asyncio
import contextlib
import time as _time
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

__all__ = ["Clock", "Timeout", "monotonic", "sleep", "sleep_async", "time", "timeout", "use", "wait"]


class Waitable(Protocol):
    """A `threading.Event`, or a `threading.Condition` whose lock is held."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set or notified; False where the timeout came first."""


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


class Clock:
    """The machine's clock. A clock for tests overrides all of it."""

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        return _time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back, for differences."""
        return _time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        _time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Suspend this task."""
        await asyncio.sleep(seconds)

    def wait(self, waitable: Waitable, seconds: float | None) -> bool:
        """Block this thread until `waitable` is set or notified; return False where `seconds` went by first."""
        return waitable.wait(seconds)

    def timeout(self, seconds: float | None) -> Timeout:
        """Limit the time that an `async with` block may take."""
        return Timeout(seconds)


_clock = Clock()


@contextlib.contextmanager
def use(clock: Clock) -> Iterator[None]:
    """Replace the clock, in all threads, for as long as the block lasts."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before


def time() -> float:
    """Return the seconds since 1970-01-01 UTC."""
    return _clock.time()


def monotonic() -> float:
    """Return seconds that never go back, for differences."""
    return _clock.monotonic()


def sleep(seconds: float) -> None:
    """Block this thread."""
    _clock.sleep(seconds)


async def sleep_async(seconds: float) -> None:
    """Suspend this task."""
    await _clock.sleep_async(seconds)


def wait(waitable: Waitable, seconds: float | None) -> bool:
    """Block this thread until `waitable` is set or notified; return False where `seconds` went by first."""
    return _clock.wait(waitable, seconds)


def timeout(seconds: float | None) -> Timeout:
    """Limit the time that an `async with` block may take."""
    return _clock.timeout(seconds)
