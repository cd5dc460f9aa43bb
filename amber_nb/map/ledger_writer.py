"""A thread that stores answers: what comes while one commit runs goes into the next one, together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from .ledger import Ledger

__all__ = ["LedgerWriter"]


@dataclass(frozen=True, slots=True)
class _Row:
    key: bytes
    answer: str
    done: Callable[[Exception | None], None]


class LedgerWriter:
    """Stores the answers of one run in a thread of its own; any thread may call it.

    Args:
        ledger: which stays open for as long as this.
        run: the key that `begin_run` has given.
    """

    def __init__(self, ledger: Ledger, run: str) -> None:
        self._ledger = ledger
        self._run = run
        self._changed = threading.Condition()
        self._waiting: list[_Row] = []
        self._given_up: list[bytes] = []
        self._lost: list[bytes] = []
        self._ending = False
        self._failed: Exception | None = None  # the first that a `done` has raised
        # A daemon: whoever forgets `close` shall not keep Python from ending.
        self._thread = threading.Thread(target=self._write, name="amber-ledger", daemon=True)
        self._thread.start()

    def put(self, key: bytes, answer: str, done: Callable[[Exception | None], None]) -> None:
        """Have an answer stored.

        Args:
            key: of the request.
            answer: a JSON text.
            done: called in the writer's thread, in the order of the puts: with None once the answer is durable, with
                the error where it could not be stored.

        Raises:
            RuntimeError: after `close`.
        """
        with self._changed:
            if self._ending:
                raise RuntimeError("the writer of the ledger is closed")
            self._waiting.append(_Row(key, answer, done))
            self._changed.notify()

    def release(self, key: bytes) -> None:
        """Have the claim of a request given up at once, with the rows of the next commit where there are some.

        It returns before that. After `close` it does nothing, and where it fails that is not told: the claims end when
        the ledger is closed.
        """
        with self._changed:
            if not self._ending:
                self._given_up.append(key)
                self._changed.notify()

    def close(self, timeout_s: float | None = None) -> list[bytes]:
        """Store what is left, and end the thread; raises what a `done` has raised.

        Args:
            timeout_s: how long other processes are waited for, by the ledger as a whole and for good, see
                `Ledger.limit_waits`; None: as long as the ledger does.

        Returns:
            The keys of all rows of this writer that could not be stored; their `done` was told why.
        """
        if timeout_s is not None:
            self._ledger.limit_waits(timeout_s)
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        return list(self._lost)

    def _write(self) -> None:
        while (batch := self._take()) != ([], []):
            rows, given_up = batch
            error: Exception | None = None
            try:
                self._ledger.store(self._run, [(row.key, row.answer) for row in rows], release=given_up)
            except Exception as raised:
                error = raised
                self._lost += [row.key for row in rows]
            for row in rows:
                try:
                    row.done(error)
                except Exception as raised:  # the other rows have to be told, too
                    self._failed = self._failed or raised

    def _take(self) -> tuple[list[_Row], list[bytes]]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._given_up or self._ending)
            batch = self._waiting, self._given_up
            self._waiting, self._given_up = [], []
            return batch
