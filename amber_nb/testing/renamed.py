"""Find the old recording of a notebook that was renamed or moved: a cassette whose own notebook is gone."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..cassettes.file import Cassette
from ..config import CASSETTE_FOLDER, CASSETTE_SUFFIX
from ..errors import ConfigError

__all__ = ["OrphanCassettes"]

_MAX_FOLDERS = 2_000  # that are looked into
_MAX_CASSETTES = 100  # that are read
_MAX_BYTES = 5_000_000  # of one
_SKIPPED = frozenset(("node_modules", "site-packages", "__pycache__", "build", "dist", "venv", "env"))
_LEAST = 0.5  # share of its prompts that must be the notebook's
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Orphan:
    path: Path
    cells: frozenset[str]
    prompts: tuple[str, ...]


class OrphanCassettes:
    """The cassettes below some folders that have no notebook; looked for when first asked for.

    Args:
        roots: where notebooks and their `cassettes/` lie.
        mirror: the one folder of all cassettes, with the folder whose notebooks it mirrors; None where there is none.
    """

    def __init__(self, roots: Iterable[Path], mirror: tuple[Path, Path] | None) -> None:
        self._roots, self._mirror = tuple(roots), mirror

    def find(self, cassette: Path, sources: Iterable[str], cells: Iterable[str]) -> Path | None:
        """Return the cassette that seems to be an older one of a notebook.

        Args:
            cassette: where its own would be.
            sources: of its code cells.
            cells: their ids.
        """
        text, ids = "\n".join(sources), frozenset(cells)
        words = frozenset(_WORD.findall(text.casefold()))
        scores = [(_score(orphan, text, words, ids, cassette.stem), orphan.path) for orphan in self._orphans]
        best, path = max(scores, key=lambda pair: pair[0], default=(0.0, None))
        return path if best >= _LEAST else None

    @cached_property
    def _orphans(self) -> list[_Orphan]:
        found: dict[Path, _Orphan] = {}
        for path in self._paths():
            if len(found) == _MAX_CASSETTES:
                break
            with contextlib.suppress(ConfigError, OSError):
                if path not in found and path.stat().st_size <= _MAX_BYTES:
                    found[path] = _read(path)
        return list(found.values())

    def _paths(self) -> Iterator[Path]:
        if self._mirror is not None:
            folder, base = self._mirror
            for path in sorted(folder.rglob(f"*{CASSETTE_SUFFIX}")):
                if not (base / path.relative_to(folder)).with_suffix(".ipynb").exists():
                    yield path
            return
        for root in self._roots:
            for number, (place, folders, _) in enumerate(os.walk(root)):
                if number == _MAX_FOLDERS:
                    break
                folders[:] = sorted(name for name in folders if name[0] != "." and name not in _SKIPPED)
                if Path(place).name == CASSETTE_FOLDER:
                    folders.clear()  # those of tests
                    for path in sorted(Path(place).glob(f"*{CASSETTE_SUFFIX}")):
                        if not (path.parent.parent / f"{path.stem}.ipynb").exists():
                            yield path


def _read(path: Path) -> _Orphan:
    interactions = Cassette(path).interactions
    cells = frozenset(each.cell for each in interactions if each.cell)
    prompts = dict.fromkeys(filter(None, (last_prompt(each.request.body) for each in interactions)))
    return _Orphan(path, cells, tuple(prompts))


def _score(orphan: _Orphan, text: str, words: frozenset[str], cells: frozenset[str], stem: str) -> float:
    """Return how much of a cassette seems to come from a notebook, from 0 to 1; a name that is the same helps."""
    if not orphan.prompts:
        return 0.0
    own = sum(prompt in text or _covered(prompt, words) for prompt in orphan.prompts) / len(orphan.prompts)
    if orphan.cells:
        own = max(own, len(orphan.cells & cells) / len(orphan.cells))
    return min(1.0, own + (_LEAST if orphan.path.stem == stem else 0.0))


def _covered(prompt: str, words: frozenset[str]) -> bool:
    """Return whether most words of a prompt stand in the notebook: it may be put together there."""
    own = set(_WORD.findall(prompt.casefold()))
    return len(own) >= 3 and len(own & words) >= 0.8 * len(own)


def last_prompt(body: Any) -> str:
    """Return the text of the last message of the user in a request's body."""
    for sent in reversed((body.get("messages") if isinstance(body, dict) else None) or ()):
        if isinstance(sent, dict) and sent.get("role") == "user":
            content = sent.get("content")
            if isinstance(content, list):
                content = " ".join(str(part.get("text", "[image]")) for part in content if isinstance(part, dict))
            return str(content)
    return ""
