"""A clock that stands still until a test moves it, so that tests of waiting do not wait."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import threading
from collections.abc import Callable, Iterator

import pytest
from patience import PATIENCE_S

from amber_nb import clock

__all__ = ["VirtualClock"]

POLL_S = 0.002  # of the real clock: an Event cannot be woken by a clock without being set


class VirtualTimeout(clock.Timeout):
    """A limit that is reached when the virtual clock has moved so far."""

    def __init__(self, seconds: float | None, of: VirtualClock) -> None:
        super().__init__(None)
        self._clock = of
        self._loop = asyncio.get_running_loop()
        self._forget: Callable[[], None] = lambda: None
        self._number = 0  # of the limit that counts: one that was moved on may be on its way
        self._over = False
        if seconds is not None:
            self.extend(seconds)

    async def __aexit__(self, kind, error, traceback):
        self._over = True
        self._forget()
        return await super().__aexit__(kind, error, traceback)

    def extend(self, seconds: float) -> None:
        if self._over:
            raise RuntimeError("the block is over")  # as asyncio's own says
        self._forget()
        self._number += 1
        number = self._number

        def reach() -> None:
            if number == self._number and not self._over:
                self._limit.reschedule(self._loop.time())

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(reach)

        self._forget = self._clock.call_at(self._clock.now + seconds, tell)


class VirtualClock:
    """Seconds that pass by `advance` alone; `auto`: whoever sleeps lets them pass himself, and goes on at once.

    Attributes:
        now: the seconds of `monotonic`.
        sleeps: the seconds of each sleep that was begun, in their order.
    """

    def __init__(self, *, auto: bool = False) -> None:
        self.now = 100.0  # before most times of the machine, which may be kept somewhere when this clock goes
        self.sleeps: list[float] = []
        self._auto = auto
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._moved = threading.Condition(threading.RLock())

    @contextlib.contextmanager
    def replace(self) -> Iterator[None]:
        """Replace the package's clock, in all threads, for as long as the block lasts."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("monotonic", "sleep", "sleep_async", "time", "timeout", "wait"):
                patch.setattr(clock, name, getattr(self, name))
            yield

    def time(self) -> float:
        return 1_800_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass; what was due meanwhile is done in its order, each at its own time."""
        with self._moved:
            end = self.now + seconds
            while self._timers and self._timers[0][0] <= end:
                at, _, call = heapq.heappop(self._timers)
                self.now = max(self.now, at)
                call()
            self.now = max(self.now, end)
            self._moved.notify_all()

    def call_at(self, at: float, call: Callable[[], object]) -> Callable[[], None]:
        """Call something at a time of `monotonic`, in the thread that advances; gives what forgets it."""
        timer = (at, next(self._numbers), call)
        with self._moved:
            heapq.heappush(self._timers, timer)

        def forget() -> None:
            with self._moved:
                if timer in self._timers:
                    self._timers.remove(timer)
                    heapq.heapify(self._timers)

        return forget

    def sleeper(self, number: int = 1) -> float:
        """Wait, on the real clock, until so many sleeps have begun; gives the seconds of that one."""
        with self._moved:
            if not self._moved.wait_for(lambda: len(self.sleeps) >= number, PATIENCE_S):
                raise AssertionError(f"of {number} sleeps {len(self.sleeps)} have begun")
            return self.sleeps[number - 1]

    def _begin(self, seconds: float) -> float:
        with self._moved:
            self.sleeps.append(seconds)
            self._moved.notify_all()
            return self.now + seconds

    def sleep(self, seconds: float) -> None:
        end = self._begin(seconds)
        if self._auto:
            self.advance(seconds)
            return
        with self._moved:
            if not self._moved.wait_for(lambda: self.now >= end, PATIENCE_S):
                raise AssertionError(f"nobody let {seconds} s pass")

    async def sleep_async(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        end = self._begin(seconds)
        if self._auto:
            self.advance(seconds)
            for _ in range(4):  # a timeout that was reached meanwhile comes first
                await asyncio.sleep(0)
            return
        forget = self.call_at(end, lambda: loop.call_soon_threadsafe(woken.set))
        try:
            await asyncio.wait_for(woken.wait(), PATIENCE_S)
        except TimeoutError:
            raise AssertionError(f"nobody let {seconds} s pass") from None
        finally:
            forget()

    def wait(self, waitable: threading.Event | threading.Condition, seconds: float | None) -> bool:
        if seconds is None:
            return waitable.wait(None)
        end = self._begin(seconds)
        if self._auto:
            if waitable.wait(0):
                return True
            self.advance(seconds)
            return waitable.wait(0)
        while True:
            if waitable.wait(POLL_S):
                return True
            if self.now >= end:
                return False

    def timeout(self, seconds: float | None) -> clock.Timeout:
        return VirtualTimeout(seconds, self)
