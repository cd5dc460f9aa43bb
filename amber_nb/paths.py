"""Where cassettes lie, what they are called in messages, and what a test run says of them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

__all__ = ["CASSETTE_FOLDER", "CASSETTE_SUFFIX", "cassette_path", "display_path", "read_run", "record_command"]

CASSETTE_FOLDER = "cassettes"
CASSETTE_SUFFIX = ".jsonl"


def cassette_path(notebook: Path, folder: Path | None = None) -> Path:
    """Return the path of a notebook's cassette: `cassettes/<stem>.jsonl` beside it, or in `folder`."""
    return (folder or notebook.parent / CASSETTE_FOLDER) / f"{notebook.stem}{CASSETTE_SUFFIX}"


def display_path(path: Path) -> str:
    """Return a path as a message may show it: relative to the working directory, else its last two parts."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except (OSError, ValueError):
        return "/".join(path.parts[-2:])


def record_command(cassette: Path) -> str:
    """Return the command that records a cassette anew, for messages."""
    notebook = cassette.parent.parent / f"{cassette.stem}.ipynb"
    if cassette.parent.name == CASSETTE_FOLDER and notebook.is_file():
        return f"`amber-nb record {shlex.quote(display_path(notebook))}`"
    return "run it once with AMBER_MODE=record (in pytest: --amber=record)"


def read_run(journal: Path | None) -> dict[str, str]:
    """Read what a test run has written at the head of its journal: mode, cassettes, command and so on."""
    try:
        with journal.open(encoding="utf-8") as file:  # type: ignore[union-attr]
            head = json.loads(file.readline())["run"]
        return {name: str(value) for name, value in head.items()}
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return {}  # no test run, or one of another release
