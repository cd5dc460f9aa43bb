"""Where a cassette lies, how an error names it, and the command that records it anew."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FOLDER", "SUFFIX", "cassette_of", "notebook_of", "record_command", "shown"]

FOLDER = "cassettes"
SUFFIX = ".jsonl"


def cassette_of(notebook: Path, folder: Path | None = None) -> Path:
    """The cassette of a notebook: `cassettes/<stem>.jsonl` beside it, or in the folder that is given."""
    return (folder or notebook.parent / FOLDER) / f"{notebook.stem}{SUFFIX}"


def notebook_of(cassette: Path) -> Path | None:
    """The notebook that a cassette lies beside, if it is there."""
    notebook = cassette.parent.parent / f"{cassette.stem}.ipynb"
    return notebook if cassette.parent.name == FOLDER and notebook.is_file() else None


def shown(path: Path) -> str:
    """A path as a message may name it: from the working directory on, else its last two parts."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except (OSError, ValueError):
        return "/".join(path.parts[-2:])


def record_command(cassette: Path) -> str:
    """What records a cassette anew, to be read in a message."""
    notebook = notebook_of(cassette)
    if notebook is not None:
        return f"`amber-nb record {shown(notebook)}`"
    return "run it once with AMBER_MODE=record (in pytest: --amber=record)"
