"""Which of several equal requests one is: counted when it begins, whatever order the replies end in.

A cell that is run again takes the numbers of its earlier run again, so that a re-run cell replaces its own recordings
and gets its own replies, and no other's. A retry keeps the number of the attempt that failed.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field

__all__ = ["Place", "Take", "Takes"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request comes from: the notebook's cell and one run of it, both None where there is none."""

    cell: str | None = None
    run: str | None = None


@dataclass(slots=True)
class Take:
    """A number given out.

    Attributes:
        client: for whom.
        failed: the attempt has ended, and may be tried again.
        kept: attempts of which something is in the file.
    """

    key: str
    n: int
    place: Place
    client: int
    attempt: int
    failed: bool = False
    kept: set[int] = field(default_factory=set)


class Takes:
    """The numbers given out in one process for one cassette."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._takes: dict[str, list[Take]] = {}

    def record(self, key: str, place: Place, client: int, attempt: int, taken: Collection[int] = ()) -> Take:
        """The number of a request that will be recorded. `taken`: numbers that other cells hold in the file."""
        with self._lock:
            if again := self._again(key, client, attempt):
                return again
            others = self._others(key, place) | set(taken)
            n = next(n for n in range(1, len(others) + 2) if n not in others)
            return self._note(Take(key, n, place, client, attempt))

    def replay(self, key: str, place: Place, client: int, attempt: int, among: Collection[int]) -> Take | None:
        """The number of a request among those recorded; None where they are used up.

        Once they are, another client may have them again: a second `Amber` begins anew.
        """
        with self._lock:
            if again := self._again(key, client, attempt):
                return again
            others = self._others(key, place)
            own = {take.n for take in self._takes.get(key, ()) if take.client == client and take.n in others}
            for taken in (others, own):
                free = [n for n in among if n not in taken]
                if free:
                    return self._note(Take(key, min(free), place, client, attempt))
            return None

    def _again(self, key: str, client: int, attempt: int) -> Take | None:
        if not attempt:
            return None
        for take in reversed(self._takes.get(key, ())):
            if take.client == client and take.failed and take.attempt == attempt - 1:
                take.attempt, take.failed = attempt, False
                return take
        return None

    def _others(self, key: str, place: Place) -> set[int]:
        """Numbers held by others than an earlier run of the same cell, whose own are let go."""
        held = self._takes.get(key, [])
        if place.cell is not None:
            held[:] = [take for take in held if take.place.cell != place.cell or take.place.run == place.run]
        return {take.n for take in held}

    def _note(self, take: Take) -> Take:
        self._takes.setdefault(take.key, []).append(take)
        return take
