"""One run of a notebook or a test on its cassette: its environment, what it found, and how it is recorded."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from ..cassettes.file import Cassette, Interaction
from ..config import CASSETTE_FOLDER, CASSETTE_SUFFIX, display_path
from ..errors import ConfigError
from ..files import replace_files

if TYPE_CHECKING:
    from .drift import Row

__all__ = [
    "CassetteRun",
    "CellExchange",
    "Result",
    "cassette_for_test",
    "dump_notebook",
    "format_result",
    "mirror_folder",
]

CellExchange = tuple[int | None, Interaction]  # number of the code cell that asked, from 1, and the exchange

FRESH = ("live", "record")  # modes that ask the gateway anew, into a cassette of their own
STATUSES = ("same", "drifted", "flaky", "failed")
_MAX_NAME = 120  # bytes of a test's name; file systems take 255
_MAX_UNUSED = 10  # unused exchanges of one cassette that are named


@dataclass(slots=True, kw_only=True)
class Result:
    """What the run of one notebook or test found.

    Attributes:
        unused: lines of its cassette where exchanges begin that were not asked for.
        warnings: of the client, which no output may carry; with one nothing is recorded.
        notes: on the recording or the comparison.
        problems: fail the session, even if all cells and tests pass.
        recorded: number of exchanges now in the cassette; None where it stays as it was.
    """

    name: str
    unused: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    recorded: int | None = None
    rows: list[Row] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether it fails the session."""
        return bool(self.problems) or any(row.verdict.status != "same" for row in self.rows)


def format_result(result: Result) -> Iterator[str]:
    """Yield the lines that the terminal shows of a result."""
    for line in result.unused[:_MAX_UNUSED]:
        yield f"{result.name}: the recorded exchange in line {line} of its cassette was not asked for"
    if len(result.unused) > _MAX_UNUSED:
        yield f"{result.name}: and {len(result.unused) - _MAX_UNUSED} more"
    yield from (f"{result.name}: {text}" for text in (*dict.fromkeys(result.warnings), *result.notes, *result.problems))
    if result.rows:
        counts = Counter(row.verdict.status for row in result.rows)
        before = "" if result.recorded is None else "against the recording before: "  # as after `bless`
        told = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
        yield f"{result.name}: {before}{told}"
    for row in result.rows:
        if row.verdict.status != "same":
            cell = "" if row.cell is None else f"cell {row.cell}, "
            yield f"  {cell}call {row.call}: {row.verdict.label} ({row.how}) – {row.verdict.why}"


class CassetteRun:
    """One run of a notebook or a test on its cassette.

    Attributes:
        cassette: the recording, which need not exist.
        mode: replay, record, live, cache or simulate.
        work: folder for files that nobody keeps, also of other runs.
        journal: file in which the client notes warnings and the exchanges that it replays; its head tells the client
            what the run decides.
        fresh: cassette for what is asked anew.
        exchanges: fresh ones, each with the number of the cell that asked.
        expected: it is known to ask a model; else it may not.
        shown: the cassette's path from where the command is typed.
    """

    def __init__(
        self,
        name: str,
        cassette: Path,
        mode: str,
        work: Path,
        command: str = "",
        *,
        expected: bool = True,
        shown: str = "",
    ) -> None:
        self.name, self.cassette, self.mode, self.work = name, cassette, mode, work
        self.expected, self.shown = expected, shown or display_path(cassette)
        self.result = Result(name=name)
        slug = re.sub(r"\W+", "-", name)[-80:]
        number = sum(1 for _ in work.iterdir())
        self.journal = work / f"{number}-{slug}.journal"
        self.fresh = work / f"{number}-{slug}{CASSETTE_SUFFIX}"
        head = {"mode": mode, "command": command, "shown": self.shown}
        head |= {"cassette": str(cassette.absolute()), "fresh": str(self.fresh.absolute())}
        self.journal.write_text(json.dumps({"run": head}) + "\n", encoding="utf-8")
        self.exchanges: list[CellExchange] = []
        self._seen: set[tuple[str, int, int]] = set()

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a test's `Amber`: what is asked live is recorded, to be compared or kept."""
        if self.mode == "simulate":
            return {"mode": "simulate"}
        if self.mode in FRESH:
            return {"mode": "record", "cassette": self.fresh}
        return {"mode": self.mode, "cassette": self.cassette}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a notebook's kernel."""
        return {
            "AMBER_MODE": "record" if self.mode in FRESH else self.mode,
            "AMBER_CASSETTE": str(self.fresh if self.mode in FRESH else self.cassette),
            "AMBER_DISPLAY": "static",
            "AMBER_SIM_CHUNKS_PER_S": "0",
            "AMBER_REPLAY_SPEED": "0",
            "AMBER_JOURNAL": str(self.journal),
        }

    @property
    def has_asked(self) -> bool:
        """Whether a client was made that asks anew."""
        return self.fresh.exists()

    def refusal(self) -> str | None:
        """Return why nothing may be asked that would take the cassette's place or be compared with it, or None."""
        try:
            if self.mode in FRESH:
                Cassette(self.cassette)
        except ConfigError as error:
            return str(error)
        return None

    def collect(self, cell: int | None = None) -> None:
        """Collect the exchanges since the last call, as asked by this code cell."""
        if self.mode not in FRESH or not self.fresh.exists():
            return
        for exchange in Cassette(self.fresh).interactions:
            attempt = (*exchange.slot, exchange.attempt)
            if attempt not in self._seen:
                self._seen.add(attempt)
                self.exchanges.append((cell, exchange))

    def close(self, *, complete: bool, files: Callable[[], Mapping[Path, bytes]] = dict) -> None:
        """Read the journal, look for unused exchanges, and keep the recording.

        Args:
            complete: all of it ran, and nothing failed; else no recording is kept.
            files: returns the content of files that are replaced together with the cassette.

        Raises:
            ConfigError: the cassette is damaged; it stays as it is.
            OSError: a file cannot be written; all are as they were.
        """
        entries = [json.loads(line) for line in self.journal.read_text(encoding="utf-8").splitlines()]
        self.result.warnings += [str(entry["warning"]) for entry in entries if entry.get("warning")]
        if self.mode == "replay" and complete:
            own = str(self.cassette.absolute())
            used = {entry["used"] for entry in entries if "used" in entry and entry.get("cassette", own) == own}
            lines = [exchange.line for exchange in Cassette(self.cassette).interactions]
            self.result.unused = [line for line in lines if line not in used]
        if self.mode != "record":
            return
        if not complete or self.result.warnings:
            why = next(iter(self.result.warnings), "not all of it ran and passed")
            self.result.problems.append(f"not recorded, and nothing changed: {why}")
            return
        # What code records to a cassette that it names itself is there already.
        counts = Counter(Path(entry["cassette"]) for entry in entries if entry.get("recorded"))
        others = {Path(entry["cassette"]) for entry in entries if "cassette" in entry} - {self.fresh.absolute()}
        counts = Counter({path: counts[path] for path in sorted(others)})
        contents: dict[Path, bytes] = {}
        if self.fresh.exists():
            Cassette(self.cassette)  # nothing is recorded over one that is damaged
            counts[self.cassette] = len(Cassette(self.fresh).interactions)
            contents[self.cassette] = self.fresh.read_bytes()
        if not counts:
            self.result.notes.append("nothing was asked: there is nothing to record")
            return
        replace_files({**contents, **files()})
        self.result.recorded = counts.total()
        for path, count in counts.items():
            noun = "exchange" if count == 1 else "exchanges"
            self.result.notes.append(f"recorded: {count} {noun} in {display_path(path)}")
        self.result.notes += dict.fromkeys(str(entry["note"]) for entry in entries if entry.get("note"))


def cassette_for_test(path: Path, qualified_name: str, folder: Path | None) -> Path:
    """Return `cassettes/<module>/<test>.jsonl`, beside the test's module or in the folder of all cassettes."""
    name = re.sub(r"[^\w.\[\]=-]+", "-", qualified_name).strip("-").encode()[:_MAX_NAME].decode(errors="ignore")
    if name != qualified_name:  # others may end up with the same
        name = f"{name}-{_short_digest(qualified_name)}"
    return (folder or path.parent / CASSETTE_FOLDER) / path.stem / f"{name}{CASSETTE_SUFFIX}"


def mirror_folder(folder: Path, path: Path, base: Path) -> Path:
    """Return where, below the folder of all cassettes, those of a file lie: names are unique in one folder only.

    Files directly in `base` have their cassettes directly in `folder`.
    """
    if path.is_relative_to(base):
        return folder / path.parent.relative_to(base)
    outside = Path(os.path.relpath(path.parent, base)).as_posix()
    return folder / f"{path.parent.name}-{_short_digest(outside)}"


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:6]


def dump_notebook(book: Any) -> bytes:
    """Serialize a notebook as Jupyter writes its file."""
    text: str = nbformat.writes(book)
    return (text.rstrip("\n") + "\n").encode()
