"""What the runs found out, on its way from pytest's workers to the end of the session."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..cassettes.interaction import Interaction

if TYPE_CHECKING:
    from .reportrow import Row

__all__ = ["Asked", "Result", "Results", "told"]

Asked = tuple[int | None, Interaction]  # number of the code cell that asked, from 1, and what came

_SUFFIX = ".result"
_MOST = 10  # unused exchanges of one cassette that are named
STATUSES = ("same", "drifted", "flaky", "failed")


@dataclass(slots=True, kw_only=True)
class Result:
    """Of one notebook or test.

    Attributes:
        name: how a message names it.
        unused: lines of its cassette where exchanges begin that were not asked for.
        warnings: what the client had to say that no output may carry.
        notes: what happened to the recording.
        problems: what went wrong when it was over; they fail the session.
        recorded: exchanges now in the cassette, None where it stays as it was.
        rows: judged completions.
    """

    name: str
    unused: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    recorded: int | None = None
    rows: list[Row] = field(default_factory=list)


class Results:
    """A folder of them. Private to one session: what is read here is pickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, result: Result, worker: str) -> None:
        """Keep one. `worker`: name of the process."""
        number = sum(1 for _ in self._folder.iterdir())
        (self._folder / f"{worker}-{number}{_SUFFIX}").write_bytes(pickle.dumps(result))

    def __iter__(self) -> Iterator[Result]:
        found = [pickle.loads(path.read_bytes()) for path in self._folder.glob(f"*{_SUFFIX}")]
        return iter(sorted(found, key=lambda result: result.name))


def told(result: Result) -> Iterator[str]:
    """What a reader of the terminal should know of it."""
    for line in result.unused[:_MOST]:
        yield f"{result.name}: the recorded exchange in line {line} of its cassette was not asked for"
    if len(result.unused) > _MOST:
        yield f"{result.name}: and {len(result.unused) - _MOST} more"
    yield from (f"{result.name}: {text}" for text in (*dict.fromkeys(result.warnings), *result.notes, *result.problems))
    if result.rows:
        counted = Counter(row.verdict.status for row in result.rows)
        yield f"{result.name}: " + ", ".join(f"{counted[status]} {status}" for status in STATUSES if counted[status])
    for row in result.rows:
        if row.verdict.status != "same":
            cell = "" if row.cell is None else f"cell {row.cell}, "
            yield f"  {cell}call {row.call}: {row.verdict.label} ({row.how}) – {row.verdict.why}"
