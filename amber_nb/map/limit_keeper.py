"""Keep the limits that several processes share: what each may do until it says what it has done.

The keeper has the run's concurrency, its rates, its pauses and its budget. A client, one for each process, hears from
it a few times a second, and not for each request: it is lent requests at once (`quota`), places in the rate that are
due soon, and rows that the budget allows. What a client holds counts as long as it has not said that it holds less; so
the sum over all never exceeds the limit. What a client held that is gone is free again.

Messages are dicts of plain values, so that they can go over any wire; times in them are seconds from now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .. import clock
from .budget import Budget
from .limits import RequestLimits

__all__ = ["LimitKeeper", "LimitKeepers", "shared_settings"]

_AHEAD_S = 0.25  # places of a rate are lent so long before they are due
_GONE_S = 60.0  # a client that was not heard for so long is gone
_LINGER_S = 5.0  # for so long after its last engine a run that has ended stays ended
_MAX_KEEPERS = 256


def shared_settings(
    concurrency: int, requests_per_minute: float | None, tokens_per_minute: float | None, budget: Budget | None
) -> dict[str, Any]:
    """Return the settings of a run's limits as messages have them."""
    return {
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "budget": [str(budget.amount), budget.currency] if budget is not None else None,
    }


@dataclass(slots=True)
class _Spending:
    replies: int = 0
    spent: Decimal = Decimal()
    spent_tokens: int = 0


@dataclass(slots=True)
class _Client:
    """What is known of a client: where it is, what it holds at most, what it could use, and rows that it may ask."""

    worker: str
    heard_at: float
    held: int = 0
    demand: int = 0
    admitted: int = 0


class LimitKeeper:
    """Keep the limits of one run; everything happens on one thread.

    Args:
        settings: see `shared_settings`.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._limits = RequestLimits(
            settings["concurrency"], settings["requests_per_minute"], settings["tokens_per_minute"]
        )
        self._rated = bool(settings["requests_per_minute"] or settings["tokens_per_minute"])
        budget = settings["budget"]
        self._budget = Budget(Decimal(budget[0]), budget[1]) if budget is not None else None
        self._spending = _Spending()
        self._clients: dict[str, _Client] = {}
        self._end: str | None = None
        self._left_at = clock.monotonic()

    @property
    def held(self) -> int:
        """How many requests may be under way by now, at most."""
        return sum(each.held for each in self._clients.values())

    @property
    def has_clients(self) -> bool:
        """Whether any engine is at work."""
        return bool(self._clients)

    def sync(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Take in what has come of a client's requests, and return what it may do until its next message.

        Args:
            message: of `SharedLimits`.
        """
        now = clock.monotonic()
        for name in [name for name, each in self._clients.items() if now - each.heard_at > _GONE_S]:
            self._drop(name)
        if not self._clients and now - self._left_at > _LINGER_S:
            self._end = None
        name = message["client"]
        client = self._clients.setdefault(name, _Client(message["worker"], now))
        client.heard_at = now
        client.held = message["held"]
        client.admitted = message["admitted"]
        self._note(message)
        if message["closed"]:
            self._forget(name)
            return {}
        client.demand = message["peak"]
        quota = self._lend(client)
        usable = min(message["waiting"], quota - message["in_flight"]) - message["places"]
        places = self._limits.reserve(usable, message["tokens_each"], _AHEAD_S) if self._rated and usable > 0 else []
        admitted = self._admit(client, message["to_admit"])
        return {
            "quota": quota,
            "places": places,
            "admitted": admitted,
            "number": self._limits.next_number(),
            "pause_s": self._limits.pause_s,
            "end": self._end,
        }

    def drop_worker(self, worker: str) -> None:
        """Take back what the clients of a worker held, since it has left."""
        for name in [name for name, each in self._clients.items() if each.worker == worker]:
            self._drop(name)

    def _drop(self, name: str) -> None:
        """Take back what a client held; what it had under way may have been paid for, and counts as usual."""
        count = self._clients[name].admitted
        self._forget(name)
        spending = self._spending
        if self._budget is not None and spending.replies and count:
            spending.spent += spending.spent / spending.replies * count
            spending.spent_tokens += round(spending.spent_tokens / spending.replies * count)
            spending.replies += count

    def _forget(self, name: str) -> None:
        del self._clients[name]
        if not self._clients:
            self._left_at = clock.monotonic()

    def _note(self, message: Mapping[str, Any]) -> None:
        limits, spending = self._limits, self._spending
        for _ in range(message["succeeded"]):
            limits.succeed()
        for number, retry_after_s in message["refused"]:
            limits.refuse(number, retry_after_s)
        if message["pause_s"]:
            limits.pause(message["pause_s"])
        limits.settle(0, message["correction"])
        spending.replies += message["replies"]
        spending.spent_tokens += message["tokens"]
        spending.spent += Decimal(message["amount"])
        self._end = self._end or message["end"]

    def _lend(self, client: _Client) -> int:
        """Return how many requests a client may have under way: its fair share, as far as others have let go."""
        others = [each for each in self._clients.values() if each is not client]
        limit = max(1, int(self._limits.at_once))
        share = limit // (1 + sum(each.demand > 0 for each in others))
        due = min(client.demand, max(0, limit - sum(min(each.demand, share) for each in others)))
        quota = max(0, min(due, limit - sum(each.held for each in others)))
        client.held = max(client.held, quota)  # it hears of less only now
        return quota

    def _admit(self, client: _Client, count: int) -> int:
        """Return how many rows more a client may ask about, within the budget of all."""
        if self._budget is None or not count or self._end is not None:
            return 0
        admitted = 0
        under_way = sum(each.admitted for each in self._clients.values())
        while admitted < count and self._budget.allows(self._spending, under_way + admitted + 1):
            admitted += 1
        client.admitted += admitted
        if not under_way and not admitted:
            self._end = f"the budget of {self._budget} allows no more rows"
        return admitted


class LimitKeepers:
    """The keepers of runs, by their names; the oldest without an engine at work are forgotten."""

    def __init__(self) -> None:
        self._keepers: dict[str, LimitKeeper] = {}

    def sync(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Have the keeper of a message's run answer it."""
        run = message["run"]
        if run not in self._keepers:
            for name in [name for name, each in self._keepers.items() if not each.has_clients][: -_MAX_KEEPERS + 1]:
                del self._keepers[name]
            self._keepers[run] = LimitKeeper(message["settings"])
        return self._keepers[run].sync(message)

    async def sync_here(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a message of this process."""
        return self.sync(message)

    def drop_worker(self, worker: str) -> None:
        """Take back what a worker held that has left."""
        for each in self._keepers.values():
            each.drop_worker(worker)
