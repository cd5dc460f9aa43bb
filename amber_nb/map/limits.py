"""Decide when the next request of a map may go out: how many at once, how many a minute, and what the gateway says.

Three things hold a request back. A number of requests at once, which falls by half when the gateway refuses one as too
many and grows by one for as many as succeed (additive increase, multiplicative decrease, as TCP does it). Requests and
tokens a minute, as the caller wants it, evenly over the minute (the generic cell rate algorithm of ATM). And a pause
for all, which the gateway asks for: by refusing one request after the other, or by headers that say that nothing
remains.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from .. import clock

__all__ = [
    "FIRST_PAUSE_S",
    "MAX_PAUSE_S",
    "PAUSING_STREAK",
    "Limits",
    "RequestLimits",
    "backoff_s",
    "read_pause_s",
    "read_reset_s",
]

_BURST_S = 0.5  # of a rate that may be made up for, where the loop was late
FIRST_PAUSE_S = 1.0  # where a refusal names no time; it doubles
MAX_PAUSE_S = 30.0
PAUSING_STREAK = 2  # refusals with no answer between them, after which all requests pause
_MAX_RESET_S = 120.0  # a longer one is the limit of a day or a month: what remains of it says nothing about now
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Limits(Protocol):
    """What holds the requests of a run back, as `RequestLimits` does; used on one event loop."""

    @property
    def at_once(self) -> float:
        """How many requests may be under way, now."""

    @property
    def in_flight(self) -> int:
        """How many are."""

    @property
    def pause_s(self) -> float:
        """For how many seconds all requests pause; 0 where they do not."""

    async def admit(self) -> str | None:
        """Wait until the run as a whole may ask about one row more; return why it may not, where it has ended."""

    def dismiss(self) -> None:
        """Take note that a row that was admitted is settled."""

    def spend(self, tokens: int, amount: Decimal | None) -> None:
        """Take note of a reply, its tokens and what it has cost; None where that is unknown."""

    def end(self, reason: str) -> None:
        """End the run in all places."""

    async def acquire(self, tokens: int = 0) -> int:
        """Wait until a request may go out, and count it; return its number."""

    def try_acquire(self, tokens: int = 0) -> int | None:
        """Count a request that may go out at once, and return its number; None where it may have to wait."""

    def release(self) -> None:
        """Count a request as ended."""

    def settle(self, expected: int, used: int | None) -> None:
        """Correct the tokens of a request by what it has used."""

    def succeed(self) -> None:
        """Take note that a request was answered."""

    def refuse(self, number: int, retry_after_s: float | None) -> float:
        """Take note that the gateway refused a request as one too many; return the seconds that this one waits."""

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Pause where the gateway says that nothing remains of a limit."""


class RequestLimits:
    """The limits of one run; used on one event loop.

    Args:
        concurrency: requests at once, at most.
        requests_per_minute: None for no limit of one's own.
        tokens_per_minute: of prompts and replies together; None for no limit.

    Attributes:
        in_flight: requests that are under way.
        at_once: how many may be, now.
    """

    def __init__(
        self, concurrency: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self._concurrency = concurrency
        self.at_once = float(concurrency)
        self.in_flight = 0
        self._request_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._token_s = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._request_at = self._token_at = clock.monotonic()  # when the next one would be due
        self._paused_until = float("-inf")
        self._refusals = 0  # in a row, those at once counted once
        self._streak = 0  # in a row, each
        self._number = 0  # of the newest request
        self._lowered_at = 0  # the number of the newest request when the limit was lowered
        self._turn = asyncio.Lock()  # those that wait go in their order
        self._changed = asyncio.Event()

    @property
    def pause_s(self) -> float:
        """For how many seconds all requests pause; 0 where they do not."""
        return max(0.0, self._paused_until - clock.monotonic())

    async def acquire(self, tokens: int = 0) -> int:
        """Wait until a request may go out, and count it; return its number.

        Args:
            tokens: that it is expected to use; `settle` says how many it were.
        """
        if (number := self.try_acquire(tokens)) is not None:
            return number
        async with self._turn:
            while (wait := self._wait_s()) != 0:
                self._changed.clear()
                if wait is None:
                    await self._changed.wait()
                else:
                    await clock.sleep_async(wait)
            return self._count(tokens)

    def try_acquire(self, tokens: int = 0) -> int | None:
        """Count a request that may go out at once, and return its number; None where it has to wait."""
        return None if self._turn.locked() or self._wait_s() != 0 else self._count(tokens)

    def _count(self, tokens: int) -> int:
        self._take(tokens)
        self.in_flight += 1
        return self.next_number()

    async def admit(self) -> str | None:
        """Admit a row: the engine sees to the budget of a run of its own."""
        return None

    def dismiss(self) -> None:
        """Do nothing, as rows are not counted."""

    def spend(self, tokens: int, amount: Decimal | None) -> None:
        """Do nothing, as the engine's tally counts."""

    def end(self, reason: str) -> None:
        """Do nothing, as there is no other place."""

    def next_number(self) -> int:
        """Return a number for a request, or for all that go out before the next one is asked for."""
        self._number += 1
        return self._number

    def reserve(self, count: int, tokens: int, within_s: float) -> list[float]:
        """Take places of the rates for requests that go out later; return the seconds until each.

        Args:
            count: of the places, at most.
            tokens: that each request is expected to use.
            within_s: seconds in which they must be due.
        """
        places: list[float] = []
        while len(places) < count and (due := self._due_s()) <= within_s:
            self._take(tokens)
            places.append(due)
        return places

    def _take(self, tokens: int) -> None:
        now = clock.monotonic()
        if self._request_s:
            self._request_at = max(self._request_at, now - _BURST_S) + self._request_s
        if self._token_s:
            self._token_at = max(self._token_at, now - _BURST_S) + tokens * self._token_s

    def _due_s(self) -> float:
        now = clock.monotonic()
        due = max(self._paused_until, self._request_at if self._request_s else now, self._token_at)
        return max(0.0, due - now)

    def _wait_s(self) -> float | None:
        """Return the seconds until the next request may go out; None: when another one has ended."""
        if self.in_flight >= max(1, int(self.at_once)):
            return None
        return self._due_s()

    def release(self) -> None:
        """Count a request as ended."""
        self.in_flight -= 1
        self._changed.set()

    def settle(self, expected: int, used: int | None) -> None:
        """Correct the tokens of a request by what it has used."""
        if self._token_s and used is not None:
            self._token_at += (used - expected) * self._token_s

    def succeed(self) -> None:
        """Take note that a request was answered: a little more may be tried."""
        self._refusals = self._streak = 0
        if self.at_once < self._concurrency:
            self.at_once = min(self._concurrency, self.at_once + 1 / self.at_once)
            self._changed.set()

    def refuse(self, number: int, retry_after_s: float | None) -> float:
        """Take note that the gateway refused a request as one too many; return the seconds that this one has to wait.

        All others pause for as long where nothing was answered since the last refusal: one alone says little.

        Args:
            number: of the request: of many that were refused at once, the first one counts.
            retry_after_s: as the gateway asks, or None.
        """
        self._streak += 1
        if number > self._lowered_at:
            self._lowered_at = self._number
            self.at_once = max(1.0, self.at_once / 2)
            self._refusals += 1
        pause_s = retry_after_s
        if pause_s is None:
            pause_s = backoff_s(self._refusals)
        if self._streak >= PAUSING_STREAK:
            self.pause(pause_s)
        return pause_s

    def pause(self, seconds: float) -> None:
        """Let no request out for so many seconds."""
        self._paused_until = max(self._paused_until, clock.monotonic() + seconds)

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Pause where the gateway says that nothing remains of a limit until it is filled again.

        Args:
            headers: of a reply, their names in lower case.
        """
        if pause_s := read_pause_s(headers):
            self.pause(pause_s)


def backoff_s(refusals: int) -> float:
    """Return for how long to wait after so many refusals in a row that name no time."""
    return min(FIRST_PAUSE_S * 2.0 ** min(max(0, refusals - 1), 10), MAX_PAUSE_S)


def read_pause_s(headers: Mapping[str, str]) -> float:
    """Return for how many seconds nothing remains of a limit, as the gateway's headers say; 0 where something does.

    Args:
        headers: of a reply, their names in lower case.
    """
    pause_s = 0.0
    for kind in ("requests", "tokens"):
        remaining = headers.get(f"x-ratelimit-remaining-{kind}")
        if remaining is not None and _number(remaining) == 0:
            reset_s = read_reset_s(headers.get(f"x-ratelimit-reset-{kind}"))
            if reset_s is not None and 0 < reset_s <= _MAX_RESET_S:
                pause_s = max(pause_s, reset_s)
    return pause_s


def read_reset_s(text: str | None) -> float | None:
    """Return the seconds until a limit is filled again, as a header tells it: `1s`, `6m0s`, `120ms` or `12.5`."""
    if not text:
        return None
    text = text.strip().lower()
    if (number := _number(text)) is not None:
        return number
    parts = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
