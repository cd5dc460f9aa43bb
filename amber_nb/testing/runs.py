"""One notebook, or one test, on its cassette: what is set before it begins and looked at when it is over."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from .. import testing
from ..cassettes.file import Cassette
from ..cassettes.interaction import Interaction
from ..config import CASSETTE_FOLDER, CASSETTE_SUFFIX, display_path
from ..errors import ConfigError
from .results import Asked, Result
from .swap import swap_in

__all__ = ["NotebookRun", "Settings", "TestRun", "cassette_of_test", "executed", "fingerprint", "mirrored", "written"]

_LONGEST = 120  # bytes of a test's name; file systems take 255
FRESH = ("live", "record")  # modes that ask the gateway anew, into a cassette of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What pytest was told. `folder`: of all cassettes; `work`: for files that nobody keeps."""

    folder: Path | None
    work: Path
    compare: str | None = None
    runs: int = 1


@dataclass(slots=True)
class _Run:
    """What notebooks and tests share. `name` is how a message names it."""

    name: str
    cassette: Path
    settings: Settings
    mode: str
    result: Result = field(init=False)
    journal: Path = field(init=False)
    fresh: Path = field(init=False)
    asked: list[Asked] = field(default_factory=list)
    _seen: set[tuple[str, int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        slug = re.sub(r"\W+", "-", self.name)[-80:]
        number = sum(1 for _ in self.settings.work.iterdir())
        self.journal = self.settings.work / f"{number}-{slug}.journal"
        self.fresh = self.settings.work / f"{number}-{slug}{CASSETTE_SUFFIX}"
        self.journal.touch()
        self.result = Result(name=self.name)

    @property
    def tape(self) -> Path:
        """The cassette of this run: the fresh one where the gateway is asked anew."""
        return self.fresh if self.mode in FRESH else self.cassette

    @property
    def amber_mode(self) -> str:
        """As the client calls it: what is asked live is recorded, to be compared or kept."""
        return "record" if self.mode in FRESH else self.mode

    def check(self) -> None:
        """See that the cassette is one, before anything is asked that would take its place or be compared with it.

        Raises:
            ConfigError: it is damaged, full of conflicts, or a newer one.
        """
        if self.mode in FRESH:
            Cassette(self.cassette)

    def look(self, cell: int | None = None) -> None:
        """Note what has been asked since the last look, by this cell."""
        if self.mode in FRESH:
            self.asked.extend((cell, one) for one in _new(self.fresh, self._seen))

    def close(self, *, whole: bool, files: Callable[[], Mapping[Path, bytes]] = dict) -> Result:
        """It is over. `whole`: all of it ran, and nothing failed; `files`: what is put in place with the cassette."""
        for line in self.journal.read_text(encoding="utf-8").splitlines():
            if text := json.loads(line).get("warning"):
                self.result.warnings.append(str(text))
        if self.mode == "replay" and whole:
            self.result.unused = self._unused()
        if self.mode == "record":
            self._keep(whole, files)
        return self.result

    def _unused(self) -> list[int]:
        lines = map(json.loads, self.journal.read_text(encoding="utf-8").splitlines())
        used = {line["used"] for line in lines if "used" in line}
        return [one.line for one in Cassette(self.cassette).interactions if one.line not in used]

    def _keep(self, whole: bool, files: Callable[[], Mapping[Path, bytes]]) -> None:
        if not whole or self.result.warnings:
            why = self.result.warnings[0] if self.result.warnings else "not all of it ran and passed"
            self.result.notes.append(f"not recorded, and nothing changed: {why}")
        elif not self.fresh.exists():
            self.result.notes.append("nothing was asked: there is nothing to record")
        else:
            self.check()
            exchanges = len(Cassette(self.fresh).interactions)
            swap_in({self.cassette: self.fresh.read_bytes(), **files()})
            self.result.recorded = exchanges
            count = f"{exchanges} exchange{'s' if exchanges != 1 else ''}"
            self.result.notes.append(f"recorded: {count} in {display_path(self.cassette)}")

    def compare(self, runs: list[list[Asked]], how: Callable[[int | None], str | None]) -> None:
        """Judge what was asked now against the recording."""
        if not self.cassette.exists():
            self.result.notes.append(f"nothing to compare with: there is no {display_path(self.cassette)}")
            return
        recorded = Cassette(self.cassette).interactions
        self.result.rows = testing.rows_of(self.name, recorded, runs, lambda cell: how(cell) or self.settings.compare)


class NotebookRun(_Run):
    """A notebook that nbval runs, cell by cell."""

    @property
    def environment(self) -> dict[str, str]:
        """What its kernel gets."""
        return {
            "AMBER_MODE": self.amber_mode,
            "AMBER_CASSETTE": str(self.tape),
            "AMBER_DISPLAY": "static",
            "AMBER_SIM_CHUNKS_PER_S": "0",
            "AMBER_REPLAY_SPEED": "0",
            "AMBER_JOURNAL": str(self.journal),
        }


class TestRun(_Run):
    """A test function with a client of its own."""

    __test__ = False  # the name is no test for pytest

    @property
    def arguments(self) -> dict[str, Any]:
        """For its `Amber`."""
        if self.mode == "simulate":
            return {"mode": "simulate"}
        return {"mode": self.amber_mode, "cassette": self.tape}


def cassette_of_test(path: Path, qualified: str, folder: Path | None) -> Path:
    """`cassettes/<module>/<test>.jsonl` beside the test's module."""
    name = re.sub(r"[^\w.\[\]=-]+", "-", qualified).strip("-").encode()[:_LONGEST].decode(errors="ignore")
    if name != qualified:  # others may end up with the same
        name = f"{name}-{_short(qualified)}"
    return (folder or path.parent / CASSETTE_FOLDER) / path.stem / f"{name}{CASSETTE_SUFFIX}"


def mirrored(folder: Path | None, path: Path, base: Path) -> Path | None:
    """Where, below the folder of all cassettes, those of a file lie: names are unique in a folder only.

    Args:
        folder: of all cassettes, or None, where each lies beside its file.
        path: of the notebook or the test module.
        base: what is directly in here lies directly in `folder`.
    """
    if folder is None:
        return None
    if path.is_relative_to(base):
        return folder / path.parent.relative_to(base)
    outside = Path(os.path.relpath(path.parent, base)).as_posix()
    return folder / f"{path.parent.name}-{_short(outside)}"


def fingerprint(content: bytes) -> str:
    """Of a file, to see later whether it is the same."""
    return hashlib.sha256(content).hexdigest()


def _short(text: str) -> str:
    return fingerprint(text.encode(errors="surrogatepass"))[:6]


def executed(path: Path, cells: Iterable[tuple[int, list[Any]]], before: str) -> bytes:
    """A notebook's file with the outputs of a run.

    Args:
        path: of the notebook.
        cells: pairs of (index among the code cells, outputs); the others keep what they have.
        before: fingerprint of the file whose cells were run.

    Raises:
        ConfigError: it is another file by now; nobody knows where the outputs belong.
    """
    content = path.read_bytes()
    if fingerprint(content) != before:
        raise ConfigError("the file was changed while it ran")
    book = nbformat.reads(content.decode(), as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    for count, (index, outputs) in enumerate(cells, 1):
        code[index].execution_count = count
        code[index].outputs = [_output(output, count) for output in outputs]
    return written(book)


def written(book: Any) -> bytes:
    """A notebook as its file has it."""
    text: str = nbformat.writes(book)
    return (text.rstrip("\n") + "\n").encode()


def _output(output: Any, count: int) -> Any:
    kept = nbformat.from_dict(dict(output))
    if kept.output_type == "execute_result":
        kept.execution_count = count
    return kept


def _new(path: Path, seen: set[tuple[str, int, int]]) -> list[Interaction]:
    """Exchanges of a cassette that were not there before; `seen` learns them."""
    if not path.exists():
        return []
    fresh = []
    for one in Cassette(path).interactions:
        slot = (one.request.exact, one.n, one.attempt)
        if slot not in seen:
            seen.add(slot)
            fresh.append(one)
    return fresh
