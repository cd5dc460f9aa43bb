"""The ledger of `map`: answers by the keyed digest of their request, durable before they count.

It holds digests, answers, and a model's name and numbers of rows for the list; no prompt, no URL, no key, no column.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import platformdirs

from .. import clock
from ..errors import AmberError, ConfigError
from .ledger_file import (
    Patience,
    connect,
    default_path_name,
    is_on_network,
    make_or_check,
    open_writer,
    plain_errors,
    read_mounts,
    side_files,
)
from .ledger_owner import Owner
from .ledger_runs import (
    DATA,
    DAY_S,
    RunFacts,
    RunStart,
    StoredRun,
    delete_before,
    delete_expired,
    delete_run,
    find_answers,
    insert_answers,
    insert_run,
    nearest_changes,
    next_answers,
    read_runs,
    select_keys,
)

__all__ = ["Ledger", "RunFacts", "RunStart", "StoredRun", "default_ledger_path", "ledger_name"]

KEY_BYTES = 16
CLOSE_S = 2.0  # that closing waits for other processes


def default_ledger_path() -> Path:
    """Return where the ledger lies if nothing else is said: in the user's folder for caches."""
    return platformdirs.user_cache_path("amber_nb") / "ledger.sqlite"


def ledger_name(path: Path) -> str:
    """Return a ledger's path as messages may show it."""
    return default_path_name(path.expanduser().resolve(), default_ledger_path())


T = TypeVar("T")

_open: weakref.WeakSet[Ledger] = weakref.WeakSet()
_inherited: list[Ledger] = []  # kept for ever: to close a parent's connection would spoil its locks


def _after_fork() -> None:
    _inherited.extend(_open)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Ledger:
    """A ledger, opened or made; any thread may call it, and calls that write wait for each other.

    Another process's lock is waited for at most half a minute, and an interrupt comes through meanwhile.

    Args:
        path: None for the one in the user's cache folder.
        retain_days: for so long the runs that begin here keep their rows without use, None: for ever. A row stays for
            as long as any run that has stored or found it keeps it. What none keeps any longer is dropped at opening,
            at most once a day; not with None, as for a look at what is there.
        mounts: the text of /proc/self/mountinfo; None reads it.

    Raises:
        ConfigError: it cannot be made or written, is damaged, newer or no ledger; its bytes are as they were.
        AmberError: it is locked, or this process was forked from one that has it open.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        retain_days: float | None = 30.0,
        mounts: str | None = None,
    ) -> None:
        if retain_days is not None and not (retain_days > 0 and math.isfinite(retain_days)):
            raise ConfigError(f"retain_days={retain_days!r}: a number of days above 0, or None to keep all.")
        if path is not None and not os.fspath(path):
            raise ConfigError("The path of the ledger is empty. Name a file, or keep no ledger with ledger=None.")
        self.path = (default_ledger_path() if path is None else Path(path)).expanduser().resolve()
        self.name = ledger_name(self.path)
        self._pid = os.getpid()
        if any(other.path == self.path for other in _inherited):
            raise self._forked()
        on_network = is_on_network(str(self.path.parent), read_mounts() if mounts is None else mounts)
        self._patience = Patience()
        make_or_check(self.path, self.name, on_network=on_network, patience=self._patience)
        self._retain_days = retain_days
        self._closed = False
        self._owner: Owner | None = None
        self._owners = self.path.with_name(self.path.name + "-owners")
        self._runs: dict[str, tuple[Any, ...]] = {}  # those begun here, to be made again should they be deleted
        self._lock = threading.Lock()
        self._closing = threading.Lock()
        limit = self._patience.limit()
        with plain_errors(self.name):
            make = partial(open_writer, self.path, on_network=on_network)
            self._writer, self.has_wal = self._patience.call(make, limit)
        # With a log beside it, a lookup need not wait for a commit; without, the locks would keep them apart.
        self._reader = self._writer
        self._reading = threading.Lock() if self.has_wal else self._lock
        self._place = self._look()
        _open.add(self)
        try:
            if self.has_wal:
                with plain_errors(self.name):
                    self._reader = self._patience.call(lambda: connect(self.path), limit)
            self._secret: bytes = self._read_value("secret")
            if retain_days is not None:
                self._sweep_daily()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({self.name!r})"

    def key_of(self, request: bytes, base_url: str, mode: str) -> bytes:
        """Return the key of a request to one gateway in one mode: a digest that nobody without this file can make."""
        return self._digest(b"request", request, base_url.encode("utf-8", "surrogatepass"), mode.encode())

    def begin_run(self, facts: RunFacts) -> RunStart:
        """Note that a run begins, and return what is known of it.

        Raises:
            AmberError: the ledger cannot be written; so for all that follows.
        """
        parts = {name: self._digest(b"part", value).hex() for name, value in facts.parts.items()}
        of_key = sorted((name, part) for name, part in parts.items() if name != DATA)
        key = self._digest(b"run", json.dumps(of_key).encode())[:6].hex()
        now = clock.time()
        row = (key, facts.model, facts.rows, json.dumps(parts), now, now, self._retain_days)
        with self._transaction(durable=False) as connection:
            self._own()
            known = connection.execute("SELECT id FROM runs WHERE key = ?", (key,)).fetchone()
            changes, earlier = [], 0
            if known is None:
                others = connection.execute("SELECT parts FROM runs ORDER BY used DESC, id DESC")
                changes = nearest_changes(parts, (json.loads(other) for (other,) in others))
            else:
                (earlier,) = connection.execute("SELECT count(*) FROM answers WHERE run = ?", known).fetchone()
            insert_run(connection, row)
        self._runs[key] = row
        return RunStart(key, changes, earlier)

    def find(self, keys: Sequence[bytes], run: str | None = None) -> dict[bytes, str]:
        """Return the answers that are stored, as JSON texts by key; they count as used today.

        Args:
            keys: of requests.
            run: the run that takes them over, so that they stay when the one that stored them is deleted.
        """
        today = _today()
        answers, old, foreign = self._read(partial(find_answers, keys=keys, run=run, today=today))
        if old or foreign:
            with self._transaction(durable=False) as connection:
                connection.executemany("UPDATE keys SET day = ? WHERE key = ?", [(today, key) for key in old])
                query = "INSERT OR IGNORE INTO uses SELECT ?, id FROM runs WHERE key = ?"
                connection.executemany(query, [(number, run) for number in foreign])
        return answers

    def claim(self, keys: Sequence[bytes], *, anew: bool = False) -> set[bytes]:
        """Claim requests, so that no other process sends them, until they are stored or released or this one ends.

        Args:
            keys: of requests.
            anew: also those that have an answer, which is to be replaced; such as just those of which the caller could
                not read what was found. Another process may have replaced it meanwhile: find these once more.

        Returns:
            Those that are ours now. Of the others, `find` has some by now, and some are in flight elsewhere.
        """
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return set()
        with self._transaction(durable=False) as connection:
            owner = self._own()
            owners = dict(select_keys(connection, "SELECT key, owner FROM claims WHERE key", wanted))
            others = set(owners.values()) - {owner}
            dead = {other for other in others if not Owner.is_alive(self._owners, other)}
            connection.executemany("DELETE FROM claims WHERE owner = ?", [(other,) for other in dead])
            taken = {key for key, other in owners.items() if other in others - dead}
            if not anew:
                taken |= {key for (key,) in select_keys(connection, "SELECT key FROM keys WHERE key", wanted)}
            ours = [key for key in wanted if key not in taken]
            connection.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?)", [(key, owner) for key in ours])
        return set(ours)

    def store(self, run: str, rows: Sequence[tuple[bytes, str]], *, release: Iterable[bytes] = ()) -> None:
        """Store answers in one transaction, durable on return, and release their claims.

        Args:
            run: the key that `begin_run` has given.
            rows: pairs of a request's key and the answer as a JSON text; what is stored already is replaced.
            release: keys of which the claims are given up as well, as by `release`.
        """
        # A lone surrogate, which no UTF-8 can hold, becomes the escape that JSON has for it.
        answers = {key: answer.encode("utf-8", "backslashreplace").decode() for key, answer in rows}
        if not answers:
            self.release(release)
            return
        today = _today()
        with self._transaction(durable=True) as connection:
            insert_answers(connection, self._run_number(connection, run), answers, today)
            connection.executemany("DELETE FROM claims WHERE key = ?", [(key,) for key in answers])
            self._delete_claims(connection, release)

    def release(self, keys: Iterable[bytes]) -> None:
        """Give up claims of ours, so that another process may send these requests."""
        given_up = list(keys)
        if self._owner is None or not given_up:
            return
        with self._transaction(durable=False) as connection:
            self._delete_claims(connection, given_up)

    def limit_waits(self, seconds: float) -> None:
        """Have calls of any thread, also those under way, wait no longer than so many seconds from now; for good.

        A call that has to wait longer for another process raises an AmberError.
        """
        self._patience.shorten(seconds)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Give up the claims of this object, and close the file; again without effect.

        Args:
            timeout_s: how long other processes are waited for, also by calls that other threads make.
        """
        if self._pid != os.getpid():
            return
        self.limit_waits(timeout_s)
        with self._closing:
            if self._closed:
                return
            try:
                if self._owner is not None:
                    self._disown(self._owner)
            except AmberError:
                pass  # the claims end with the owner's lock all the same
            finally:
                self._closed = True
                _open.discard(self)
                with self._lock, contextlib.suppress(sqlite3.Error):
                    if self._owner is not None:
                        self._owner.close()
                    if self._reader is not self._writer:
                        with self._reading:
                            self._reader.close()
                    self._writer.close()

    def list_runs(self) -> list[StoredRun]:
        """Return the runs, the newest first."""
        return self._read(read_runs)

    def answers_of(self, run: str) -> Iterator[str]:
        """Yield the answers of a run as JSON texts, in the order in which they were stored."""
        last = 0
        while True:
            rows = self._read(partial(next_answers, run=run, last=last))
            if not rows:
                return
            last = rows[-1][0]
            yield from (answer for _, answer in rows)

    def delete_run(self, run: str) -> int:
        """Delete a run with its rows, other than those that another run has taken over; returns how many rows went."""
        with self._transaction(durable=True) as connection:
            gone = delete_run(connection, run)
        self._shrink()
        return gone

    def delete_older(self, days: float) -> int:
        """Delete rows not used for so many days, whatever their runs retain, and empty runs; returns how many rows."""
        with self._transaction(durable=True) as connection:
            gone = delete_before(connection, clock.time() - days * DAY_S)
        self._shrink()
        return gone

    def remove(self) -> None:
        """Close the ledger and remove its files.

        Raises:
            AmberError: a run is under way, here or in another process.
        """
        with self._transaction(durable=False):
            if Owner.list_alive(self._owners):
                raise AmberError(
                    f"A run that uses the ledger {self.name} is under way. Stop it, or close its kernel, and try again."
                )
        self.close()
        for file in (self.path, *side_files(self.path)):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
        with contextlib.suppress(OSError):
            self._owners.rmdir()

    def size(self) -> int:
        """Return the bytes that the ledger takes on the disk."""
        return sum(file.stat().st_size for file in (self.path, *side_files(self.path)) if file.exists())

    def _digest(self, kind: bytes, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._secret, digest_size=KEY_BYTES, person=kind)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.digest()

    def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Read with a function, which may be called again where another process has been in the way."""
        self._check_process()
        limit = self._patience.limit()
        with self._reading, plain_errors(self.name):
            return self._patience.call(lambda: function(self._reader), limit)

    def _read_value(self, name: str) -> Any:
        query = "SELECT value FROM meta WHERE name = ?"
        found = self._read(lambda connection: connection.execute(query, (name,)).fetchone())
        return None if found is None else found[0]

    @contextlib.contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """Write in one transaction; one that need not be durable is so with the next that must."""
        self._check_process()
        limit = self._patience.limit()  # of the wait for other threads, too
        with self._lock, plain_errors(self.name):
            if self._look() != self._place:
                raise AmberError(
                    f"The ledger {self.name} was moved or deleted while it was in use: nothing more is stored in it. "
                    "Make the call again, or have it keep no ledger with ledger=None."
                )
            connection = self._writer
            if self.has_wal:  # without one, a commit that is not synced may damage the file
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._patience.call(lambda: connection.execute("BEGIN IMMEDIATE"), limit)
            try:
                yield connection
                self._patience.call(lambda: connection.execute("COMMIT"), limit)
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise self._forked()

    def _forked(self) -> AmberError:
        return AmberError(
            f"This process was forked while the ledger {self.name} was open, which SQLite does not allow. Start it by "
            "spawn, fork before the call, or name another one with ledger=path."
        )

    def _own(self) -> str:
        """Return the name that claims bear, which is made inside a transaction, as are those of others."""
        if self._owner is None:
            Owner.list_alive(self._owners)  # removes the files of the dead
            try:
                self._owner = Owner(self._owners)
            except OSError as error:
                why = error.strerror or type(error).__name__
                raise AmberError(f"Nothing can be claimed in the ledger {self.name}: {why}.") from None
        return self._owner.name

    def _delete_claims(self, connection: sqlite3.Connection, keys: Iterable[bytes]) -> None:
        if self._owner is not None:
            query = "DELETE FROM claims WHERE key = ? AND owner = ?"
            connection.executemany(query, [(key, self._owner.name) for key in keys])

    def _disown(self, owner: Owner) -> None:
        with self._transaction(durable=False) as connection:
            connection.execute("DELETE FROM claims WHERE owner = ?", (owner.name,))
            owner.close()
            with contextlib.suppress(OSError):  # there are others
                self._owners.rmdir()

    def _run_number(self, connection: sqlite3.Connection, run: str) -> int:
        known = connection.execute("SELECT id FROM runs WHERE key = ?", (run,)).fetchone()
        if known is None:
            if run not in self._runs:
                raise ValueError(f"no run {run!r} has begun")
            insert_run(connection, self._runs[run])  # deleted while it was under way
            known = connection.execute("SELECT id FROM runs WHERE key = ?", (run,)).fetchone()
        return int(known[0])

    def _sweep_daily(self) -> None:
        now = clock.time()
        swept = self._read_value("swept")
        if swept is not None and 0 <= now - swept < DAY_S:
            return
        with self._transaction(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('swept', ?)", (now,))
            gone = delete_expired(connection, now)
        if gone:
            self._shrink()

    def _shrink(self) -> None:
        """Give the disk back what was deleted; put off where another process reads."""
        limit = self._patience.limit()
        with self._lock, plain_errors(self.name):
            # `execute` would free one page alone.
            self._patience.call(lambda: self._writer.executescript("PRAGMA incremental_vacuum"), limit)
            if self.has_wal:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _today() -> int:
    return int(clock.time() // DAY_S)
