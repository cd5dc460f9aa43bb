"""What a ledger knows of runs, and how rows and runs are deleted: statements inside the caller's transaction."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "DATA",
    "DAY_S",
    "RunFacts",
    "RunStart",
    "StoredRun",
    "delete_before",
    "delete_run",
    "insert_run",
    "nearest_changes",
    "next_answers",
    "read_runs",
]

DAY_S = 86_400
DATA = "data"  # the part that may change without making another run
PAGE = 500  # answers that are read at once


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
        stored: rows that it has stored, or found and taken over.
        parts: by name the keyed digest, in hexadecimal digits.
    """

    key: str
    model: str
    rows: int
    begun: float
    used: float
    stored: int
    parts: Mapping[str, str]


def insert_run(connection: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    connection.execute(
        "INSERT INTO runs (key, model, rows, parts, begun, used) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
        "SET model = excluded.model, rows = excluded.rows, parts = excluded.parts, used = excluded.used",
        row,
    )


def delete_before(connection: sqlite3.Connection, moment: float) -> int:
    """Delete the rows whose day of last use lies wholly before a moment, and the runs that have none left."""
    day = (math.floor(moment / DAY_S),)
    old = "(SELECT answer FROM keys WHERE day < ?)"
    connection.execute(f"DELETE FROM uses WHERE answer IN {old}", day)
    connection.execute(f"DELETE FROM answers WHERE id IN {old}", day)
    gone = connection.execute("DELETE FROM keys WHERE day < ?", day).rowcount
    connection.execute(
        "DELETE FROM runs WHERE used < ? AND NOT EXISTS (SELECT 1 FROM answers WHERE run = runs.id) "
        "AND id NOT IN (SELECT run FROM uses)",
        (moment,),
    )
    return gone


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
        SELECT key, model, rows, begun, used, parts,
            (SELECT count(*) FROM answers WHERE run = runs.id) + coalesce(shared.number, 0)
        FROM runs
        LEFT JOIN (SELECT run, count(*) AS number FROM uses GROUP BY run) AS shared ON shared.run = runs.id
        ORDER BY used DESC, runs.id DESC
    """
    return [
        StoredRun(key, model, rows, begun, used, stored, json.loads(parts))
        for key, model, rows, begun, used, parts, stored in connection.execute(query)
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
