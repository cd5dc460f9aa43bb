"""A thread that stores answers: what comes while one commit runs goes into the next one, together."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .ledger import Ledger

__all__ = ["LedgerWriter"]


class LedgerWriter:
    """Stores the answers of one run in a thread of its own.

    Args:
        ledger: which stays open for as long as this.
        run: the key that `begin_run` has given.
    """

    def __init__(self, ledger: Ledger, run: str) -> None:
        self._ledger = ledger
        self._run = run
        self._changed = threading.Condition()
        self._waiting: list[tuple[bytes, str, Callable[[Exception | None], None]]] = []
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
            self._waiting.append((key, answer, done))
            self._changed.notify()

    def close(self) -> None:
        """Store what is left, and end the thread; raises what a `done` has raised."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def _write(self) -> None:
        while rows := self._take():
            error: Exception | None = None
            try:
                self._ledger.store(self._run, [(key, answer) for key, answer, _ in rows])
            except Exception as raised:
                error = raised
            for _, _, done in rows:
                try:
                    done(error)
                except Exception as raised:  # the other rows have to be told, too
                    self._failed = self._failed or raised

    def _take(self) -> list[tuple[bytes, str, Callable[[Exception | None], None]]]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            rows, self._waiting = self._waiting, []
            return rows
