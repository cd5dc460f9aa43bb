"""Hold the requests of one process back by limits that it shares with others, see `limit_keeper`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from .. import clock
from .limits import PAUSING_STREAK, backoff_s, read_pause_s

__all__ = ["Call", "SharedLimits", "open_shared_limits"]

_SYNC_S = 0.1  # between two messages, where nothing is needed at once
_STALE_S = 1.0  # after which a place that was not used is not used any more
_LEASE_S = 30.0  # without an answer, a client sends nothing new after so long; less than the keeper's _GONE_S
_MAX_FAILURES = 10  # of messages in a row
_GOODBYE_S = 5.0

Call = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]


class SharedLimits:
    """The share of one process in the limits of a run; used on the private loop, by all engines of the run there.

    Args:
        call: sends a message to the keeper, and returns its answer.
        run: its name.
        worker: the name of this process, by which the keeper may hear that it has left.
        settings: see `shared_settings`.
    """

    def __init__(self, call: Call, run: str, worker: str, settings: Mapping[str, Any]) -> None:
        self._call = call
        self._head = {"run": run, "client": secrets.token_hex(8), "worker": worker, "settings": dict(settings)}
        self._rated = bool(settings["requests_per_minute"] or settings["tokens_per_minute"])
        self._has_budget = settings["budget"] is not None
        self.users = 0  # engines
        self.quota = self.in_flight = 0
        self._waiting = self._to_admit = 0
        self._admitted = self._admissions = 0  # rows: all that are not settled, and those not begun
        self._places: deque[tuple[float, int]] = deque()  # due at, and for how many tokens
        self._tokens_each = 0
        self._paused_until = self._answered_at = float("-inf")
        self._number = self._refusals = self._streak = self._failures = 0
        self._end: str | None = None
        self._is_fruitless = False  # whether the last answer has not helped those that wait
        self._turn = asyncio.Lock()  # those that wait go in their order
        self._changed = asyncio.Event()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_answered = self._is_closing = False
        # What the next message tells.
        self._succeeded = self._replies = self._tokens = self._correction = self._peak = 0
        self._refused: list[list[float | None]] = []
        self._amount = Decimal()

    @property
    def at_once(self) -> float:
        """How many requests this process may have under way, now."""
        return self.quota

    @property
    def pause_s(self) -> float:
        """For how many seconds all requests pause; 0 where they do not."""
        return max(0.0, self._paused_until - clock.monotonic())

    def begin(self) -> None:
        """Begin to send messages."""
        self._task = asyncio.create_task(self._keep_in_step())

    async def close(self) -> None:
        """Give back what this process holds."""
        self._is_closing = True
        self._asked.set()
        if self._task is not None:
            with contextlib.suppress(Exception):  # the keeper finds it out
                async with clock.timeout(_GOODBYE_S):
                    await self._task

    # --- what the engines call

    async def admit(self) -> str | None:
        """Wait until the budget of all allows one row more; return why it does not, or why the run has ended."""
        while self._end is None and not self._is_answered:
            await self._wait_for_change()
        if not self._has_budget:
            return self._end
        self._to_admit += 1
        try:
            while self._end is None and self._admissions <= 0:
                await self._wait_for_change()
            if self._end is not None:
                return self._end
            self._admissions -= 1
            return None
        finally:
            self._to_admit -= 1

    def dismiss(self) -> None:
        """Take note that a row that was admitted is settled."""
        if self._has_budget:
            self._admitted -= 1
            if self._to_admit:
                self._asked.set()

    def spend(self, tokens: int, amount: Decimal | None) -> None:
        """Take note of a reply, its tokens and what it has cost."""
        self._replies += 1
        self._tokens += tokens
        self._amount += amount or 0

    def end(self, reason: str) -> None:
        """End the run in all places."""
        self._end = self._end or reason
        self._changed.set()
        self._asked.set()

    async def acquire(self, tokens: int = 0) -> int:
        """Wait until a request may go out, and count it; return its number.

        Args:
            tokens: that it is expected to use.
        """
        self._waiting += 1
        self._tokens_each = tokens
        try:
            self._note_peak()
            async with self._turn:
                while (wait := self._wait_s()) != 0:
                    if wait is None:
                        await self._wait_for_change()
                    else:
                        await clock.sleep_async(wait)
        finally:
            self._waiting -= 1
        if self._rated:
            _, reserved = self._places.popleft()
            self._correction += tokens - reserved
        self.in_flight += 1
        return self._number

    def _note_peak(self) -> None:
        self._peak = max(self._peak, self.in_flight + self._waiting)

    def _wait_s(self) -> float | None:
        """Return the seconds until the next request may go out; None: when there is news."""
        now = clock.monotonic()
        if self.in_flight >= self.quota or now - self._answered_at > _LEASE_S:
            return None
        due = self._paused_until
        if self._rated:
            while self._places and now - self._places[0][0] > _STALE_S:
                self._correction -= self._places.popleft()[1]
            if not self._places:
                return None
            due = max(due, self._places[0][0])
        return max(0.0, due - now)

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        if not self._is_fruitless:
            self._asked.set()
        await self._changed.wait()

    def try_acquire(self, tokens: int = 0) -> int | None:
        """Have each request wait for its turn."""
        return None

    def release(self) -> None:
        """Count a request as ended."""
        self.in_flight -= 1
        self._changed.set()

    def settle(self, expected: int, used: int | None) -> None:
        """Correct the tokens of a request by what it has used."""
        if used is not None:
            self._correction += used - expected

    def succeed(self) -> None:
        """Take note that a request was answered."""
        self._refusals = self._streak = 0
        self._succeeded += 1

    def refuse(self, number: int, retry_after_s: float | None) -> float:
        """Take note that the gateway refused a request as one too many, as `RequestLimits.refuse` does.

        Args:
            number: of the request.
            retry_after_s: as the gateway asks, or None.
        """
        if not self._refused:
            self._refusals += 1
        self._refused.append([number, retry_after_s])
        pause_s = retry_after_s
        if pause_s is None:
            pause_s = backoff_s(self._refusals)
        self._streak += 1
        if self._streak >= PAUSING_STREAK:
            self._pause(pause_s)
        self._asked.set()
        return pause_s

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Pause all where the gateway says that nothing remains of a limit.

        Args:
            headers: of a reply, their names in lower case.
        """
        if pause_s := read_pause_s(headers):
            self._pause(pause_s)
            self._asked.set()

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, clock.monotonic() + seconds)

    # --- messages

    async def _keep_in_step(self) -> None:
        while True:
            self._asked.clear()
            message = self._message()
            try:
                answer = await self._call(message)
            except Exception as error:
                self._failures += 1
                if self._is_closing:
                    return
                if self._failures >= _MAX_FAILURES:
                    self.end(f"the scheduler does not answer ({type(error).__name__})")
                self._tell_again(message)
                await clock.sleep_async(_SYNC_S)
                continue
            if message["closed"]:
                return
            self._take(message, answer)
            with contextlib.suppress(TimeoutError):
                async with clock.timeout(_SYNC_S):
                    await self._asked.wait()

    def _message(self) -> dict[str, Any]:
        closed = self._is_closing
        message = {
            **self._head,
            "closed": closed,
            "held": 0 if closed else max(self.quota, self.in_flight),
            "in_flight": self.in_flight,
            "waiting": self._waiting,
            "peak": self._peak,
            "places": len(self._places),
            "tokens_each": self._tokens_each,
            "admitted": self._admitted - (self._admissions if closed else 0),
            "to_admit": max(0, self._to_admit - self._admissions),
            "succeeded": self._succeeded,
            "refused": self._refused,
            "pause_s": self.pause_s,
            "correction": self._correction,
            "replies": self._replies,
            "tokens": self._tokens,
            "amount": str(self._amount),
            "end": self._end,
        }
        self._succeeded = self._replies = self._tokens = self._correction = self._peak = 0
        self._refused, self._amount = [], Decimal()
        self._note_peak()
        return message

    def _tell_again(self, message: Mapping[str, Any]) -> None:
        """Count what may not have arrived; should it have arrived, money and tokens count twice rather than never."""
        self._succeeded += message["succeeded"]
        self._replies += message["replies"]
        self._tokens += message["tokens"]
        self._correction += message["correction"]
        self._amount += Decimal(message["amount"])
        self._refused = [*message["refused"], *self._refused]

    def _take(self, message: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        now = clock.monotonic()
        self._failures = 0
        self._answered_at, self._is_answered = now, True
        gained = answer["quota"] > self.quota or answer["places"] or answer["admitted"]
        self._is_fruitless = not gained and bool(message["waiting"] or message["to_admit"])
        self.quota = answer["quota"]
        self._places.extend((now + delay, message["tokens_each"]) for delay in answer["places"])
        self._admissions += answer["admitted"]
        self._admitted += answer["admitted"]
        self._number = answer["number"]
        if answer["pause_s"]:
            self._pause(answer["pause_s"])
        self._end = self._end or answer["end"]
        self._changed.set()


_open: dict[tuple[int, str], SharedLimits] = {}  # of this process's private loop: a forked child has another one


@contextlib.asynccontextmanager
async def open_shared_limits(
    call: Call, run: str, worker: str, settings: Mapping[str, Any]
) -> AsyncIterator[SharedLimits]:
    """Lend an engine the limits of its run, those of the other engines of the run in this process.

    Args:
        call: sends a message to the keeper, and returns its answer.
        run: its name.
        worker: the name of this process.
        settings: see `shared_settings`.
    """
    place = (os.getpid(), run)
    limits = _open.get(place)
    if limits is None:
        limits = _open[place] = SharedLimits(call, run, worker, settings)
        limits.begin()
    limits.users += 1
    try:
        yield limits
    finally:
        limits.users -= 1
        if not limits.users:
            del _open[place]
            await limits.close()
