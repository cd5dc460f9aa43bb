"""What a ledger knows of runs, and how rows and runs are deleted: statements inside the caller's transaction."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "DATA",
    "DAY_S",
    "RunFacts",
    "RunStart",
    "StoredRun",
    "delete_before",
    "delete_expired",
    "delete_run",
    "find_answers",
    "insert_answers",
    "insert_run",
    "nearest_changes",
    "next_answers",
    "read_runs",
    "select_keys",
]

DAY_S = 86_400
DATA = "data"  # the part that may change without making another run
PAGE = 500  # answers that are read at once
CHUNK = 500  # keys of a statement; SQLite may be built to take no more than 999


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What one call of `map` asks for; only keyed digests of the parts are stored.

    Attributes:
        parts: by name ("prompt", "model" and so on) its canonical bytes; all but "data" make the run's key.
        model: for the list of runs.
        rows: of the call.
    """

    parts: Mapping[str, bytes] = field(repr=False)
    model: str
    rows: int


@dataclass(frozen=True, slots=True)
class RunStart:
    """What the ledger knows of a run that begins.

    Attributes:
        key: of the run; the same for the same parts, whatever the data.
        changes: names of the parts that differ from the nearest earlier run, of the same data or the same prompt.
        earlier: rows that this run has stored before.
    """

    key: str
    changes: list[str]
    earlier: int


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in the ledger.

    Attributes:
        key: of the run.
        model: its name.
        rows: of the newest call.
        begun: seconds since 1970, of the first call.
        used: likewise, of the newest one.
        retain_days: how long its rows are kept without use, as the newest call has it; None: for ever.
        stored: rows that it has stored, or found and taken over.
        parts: by name the keyed digest, in hexadecimal digits.
    """

    key: str
    model: str
    rows: int
    begun: float
    used: float
    retain_days: float | None
    stored: int
    parts: Mapping[str, str]


def insert_run(connection: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    connection.execute(
        "INSERT INTO runs (key, model, rows, parts, begun, used, retain_days) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET model = excluded.model, rows = excluded.rows, parts = excluded.parts, "
        "used = excluded.used, retain_days = excluded.retain_days",
        row,
    )


def insert_answers(connection: sqlite3.Connection, run: int, answers: Mapping[bytes, str], today: int) -> None:
    """Insert the answers of a run, or put them in the place of those that are stored already.

    Args:
        connection: of the ledger.
        run: its number.
        answers: JSON texts by key.
        today: the day of their last use.
    """
    known = dict(select_keys(connection, "SELECT key, answer FROM keys WHERE key", list(answers)))
    new = [key for key in answers if key not in known]
    first = (connection.execute("SELECT max(id) FROM answers").fetchone()[0] or 0) + 1
    rows = [(at, run, answers[key]) for at, key in enumerate(new, first)]
    connection.executemany("INSERT INTO answers VALUES (?, ?, ?)", rows)
    rows_of_keys = [(key, at, today) for at, key in enumerate(new, first)]
    connection.executemany("INSERT INTO keys VALUES (?, ?, ?)", rows_of_keys)
    if known:
        pairs = [(answers[key], at) for key, at in known.items()]
        connection.executemany("UPDATE answers SET answer = ? WHERE id = ?", pairs)
        connection.executemany("UPDATE keys SET day = ? WHERE key = ?", [(today, key) for key in known])
        uses = "INSERT OR IGNORE INTO uses SELECT id, ? FROM answers WHERE id = ? AND run <> ?"
        connection.executemany(uses, [(run, at, run) for at in known.values()])


def find_answers(
    connection: sqlite3.Connection, keys: Sequence[bytes], run: str | None, today: int
) -> tuple[dict[bytes, str], list[bytes], list[int]]:
    """Return the answers that are stored by key, the keys not used today, and the numbers of what other runs stored.

    Args:
        connection: of the ledger.
        keys: of requests.
        run: the key of the run that takes them over, or None: no run does.
        today: the day of their use.
    """
    answers: dict[bytes, str] = {}
    old, foreign = [], []
    own = connection.execute("SELECT id FROM runs WHERE key = ?", (run,)).fetchone() or (None,)
    query = "SELECT key, id, day, run, answers.answer FROM keys JOIN answers ON id = keys.answer WHERE key"
    for key, number, day, stored_by, answer in select_keys(connection, query, keys):
        answers[key] = answer
        if day != today:
            old.append(key)
        if run is not None and stored_by != own[0]:
            foreign.append(number)
    return answers, old, foreign


def select_keys(connection: sqlite3.Connection, query: str, keys: Sequence[bytes]) -> Iterator[Any]:
    """Yield the rows of a query that ends in the name of a column, for all keys."""
    for at in range(0, len(keys), CHUNK):
        chunk = keys[at : at + CHUNK]
        yield from connection.execute(f"{query} IN ({', '.join('?' * len(chunk))})", chunk)


def delete_before(connection: sqlite3.Connection, moment: float) -> int:
    """Delete the rows whose day of last use lies wholly before a moment, and the runs that have none left.

    This is for whoever asks for it: how long their runs would keep them is not looked at.
    """
    gone = _delete_rows(connection, "SELECT answer FROM keys WHERE day < ?", (math.floor(moment / DAY_S),))
    _delete_empty_runs(connection, "used < ?", (moment,))
    return gone


def delete_expired(connection: sqlite3.Connection, now: float) -> int:
    """Delete the rows that no run which has stored or found them keeps any longer, and the runs that have none left."""
    # The first condition spares most rows the others, which look at other tables.
    kept = "(retain_days IS NULL OR day + 1 > :today - retain_days)"
    query = f"""
        SELECT keys.answer FROM keys JOIN answers ON answers.id = keys.answer
        WHERE day + 1 <= :today - (SELECT min(retain_days) FROM runs)
        AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = answers.run AND {kept})
        AND NOT EXISTS (SELECT 1 FROM uses JOIN runs ON runs.id = uses.run WHERE uses.answer = keys.answer AND {kept})
    """
    values = {"today": now / DAY_S}
    gone = _delete_rows(connection, query, values)
    _delete_empty_runs(connection, f"used <= (:today - retain_days) * {DAY_S}", values)
    return gone


def _delete_rows(connection: sqlite3.Connection, query: str, values: tuple[Any, ...] | dict[str, Any]) -> int:
    """Delete the rows whose answers a query has the numbers of; returns how many."""
    connection.execute(f"CREATE TEMP TABLE old AS {query}", values)
    gone = connection.execute("DELETE FROM answers WHERE id IN (SELECT answer FROM old)").rowcount
    connection.execute("DELETE FROM uses WHERE answer IN (SELECT answer FROM old)")
    connection.execute("DELETE FROM keys WHERE answer IN (SELECT answer FROM old)")
    connection.execute("DROP TABLE temp.old")
    return gone


def _delete_empty_runs(
    connection: sqlite3.Connection, condition: str, values: tuple[Any, ...] | dict[str, Any]
) -> None:
    connection.execute(
        f"DELETE FROM runs WHERE {condition} AND NOT EXISTS (SELECT 1 FROM answers WHERE run = runs.id) "
        "AND id NOT IN (SELECT run FROM uses)",
        values,
    )


def nearest_changes(parts: Mapping[str, str], others: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the names of the parts that differ from the nearest of the other runs, which come the newest first."""
    nearest: list[str] | None = None
    for other in others:
        if not any(name in parts and parts[name] == other.get(name) for name in (DATA, "prompt")):
            continue
        names = [name for name in (*parts, *(name for name in other if name not in parts)) if name != DATA]
        changes = [name for name in names if parts.get(name) != other.get(name)]
        if nearest is None or len(changes) < len(nearest):
            nearest = changes
    return nearest or []


def read_runs(connection: sqlite3.Connection) -> list[StoredRun]:
    """Return the runs, the newest first."""
    query = """
        SELECT key, model, rows, begun, used, retain_days, parts,
            (SELECT count(*) FROM answers WHERE run = runs.id) + coalesce(shared.number, 0)
        FROM runs
        LEFT JOIN (SELECT run, count(*) AS number FROM uses GROUP BY run) AS shared ON shared.run = runs.id
        ORDER BY used DESC, runs.id DESC
    """
    return [
        StoredRun(key, model, rows, begun, used, retain_days, stored, json.loads(parts))
        for key, model, rows, begun, used, retain_days, parts, stored in connection.execute(query)
    ]


def next_answers(connection: sqlite3.Connection, run: str, last: int) -> list[tuple[int, str]]:
    """Return the next numbers and answers of a run, those that it has taken over included.

    Args:
        connection: of the ledger.
        run: its key.
        last: the number after which to go on, 0 to begin.
    """
    query = f"""
        SELECT id, answer FROM answers WHERE id IN (
            SELECT * FROM (SELECT id FROM answers WHERE run = :run AND id > :last ORDER BY id LIMIT {PAGE})
            UNION
            SELECT * FROM (SELECT answer FROM uses WHERE run = :run AND answer > :last ORDER BY answer LIMIT {PAGE})
        ) ORDER BY id LIMIT {PAGE}
    """
    found = connection.execute("SELECT id FROM runs WHERE key = ?", (run,)).fetchone()
    return [] if found is None else connection.execute(query, {"run": found[0], "last": last}).fetchall()


def delete_run(connection: sqlite3.Connection, run: str) -> int:
    """Delete a run with its rows, other than those that another run has taken over; returns how many rows went."""
    known = connection.execute("SELECT id FROM runs WHERE key = ?", (run,)).fetchone()
    if known is None:
        return 0
    of_run = "(SELECT id FROM answers WHERE run = ?)"
    connection.execute("DELETE FROM uses WHERE run = ?", known)
    query = f"SELECT min(run), answer FROM uses WHERE answer IN {of_run} GROUP BY answer"
    heirs = connection.execute(query, known).fetchall()
    connection.executemany("UPDATE answers SET run = ? WHERE id = ?", heirs)
    connection.executemany("DELETE FROM uses WHERE run = ? AND answer = ?", heirs)
    connection.execute(f"DELETE FROM keys WHERE answer IN {of_run}", known)
    gone = connection.execute("DELETE FROM answers WHERE run = ?", known).rowcount
    connection.execute("DELETE FROM runs WHERE id = ?", known)
    return gone
