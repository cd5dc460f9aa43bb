"""`amber-nb record` and `bless`: a notebook run in a fresh kernel; outputs and cassette are kept together, or not."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from ..cassettes.file import Cassette
from ..config import cassette_path, display_path
from ..errors import AmberError, ConfigError
from .exchanges import rows_of
from .results import Result
from .runs import NotebookRun, Settings, written

__all__ = ["bless", "record"]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotRecorded(AmberError):
    """A cell failed, or a reply could not be kept; nothing was changed."""


def record(notebook: Path, environment: Mapping[str, str]) -> Result:
    """Run a notebook from top to bottom against the gateway, and keep what came.

    Args:
        notebook: its outputs and its cassette are replaced together, when every cell has run.
        environment: of its kernel, mode and cassette excepted.

    Raises:
        ConfigError: there is no such notebook, or its cassette is damaged.
        NotRecorded: a cell failed, or a file cannot be written; both files are as they were.
    """
    before, book = _read(notebook)
    with tempfile.TemporaryDirectory(prefix="amber-") as folder:
        settings = Settings(folder=None, work=Path(folder))
        run = NotebookRun(display_path(notebook), cassette_path(notebook), settings, "record")
        run.check()
        client = NotebookClient(
            book, timeout=None, record_timing=False, resources={"metadata": {"path": str(notebook.parent)}}
        )
        try:
            client.execute(env={**environment, **run.environment})
        except CellExecutionError as error:
            raise NotRecorded(f"{run.name}: a cell failed; nothing was changed.\n{_last(str(error))}") from None
        except (DeadKernelError, RuntimeError) as error:
            raise NotRecorded(f"{run.name}: the kernel died ({error}); nothing was changed.") from None
        if notebook.read_bytes() != before:
            raise NotRecorded(f"{run.name}: the file was changed while it ran; nothing was changed by us.")
        outputs = written(book)
        try:
            result = run.close(whole=True, files=lambda: {notebook: outputs})
        except OSError as error:
            raise NotRecorded(f"{run.name}: {error.strerror or error}; nothing was changed.") from None
    if result.recorded is None:
        raise NotRecorded("\n".join(f"{run.name}: {note}" for note in result.notes))
    return result


def bless(notebook: Path, environment: Mapping[str, str]) -> Result:
    """The same for a notebook that has a cassette: what comes now is right from now on. Tells what changed.

    Raises:
        ConfigError: there is none.
    """
    cassette = cassette_path(notebook)
    if not cassette.exists():
        raise ConfigError(f"{display_path(notebook)} has no cassette yet: record it first.")
    old = Cassette(cassette).interactions
    result = record(notebook, environment)
    new = Cassette(cassette).interactions
    result.rows = rows_of(result.name, old, [[(None, one) for one in new]])
    return result


def drifted(report: Path) -> list[Path]:
    """The notebooks in a drift report whose replies were not the same, as paths from the working directory.

    Raises:
        ConfigError: it is no report.
    """
    try:
        rows = json.loads(report.read_bytes())["rows"]
        return [Path(name) for name in dict.fromkeys(row["notebook"] for row in rows if row["status"] != "same")]
    except (KeyError, OSError, TypeError, ValueError):
        raise ConfigError(
            f"{display_path(report)} is no drift report: the .json beside the HTML page is wanted."
        ) from None


def _read(notebook: Path) -> tuple[bytes, nbformat.NotebookNode]:
    try:
        content = notebook.read_bytes()
        return content, nbformat.reads(content.decode(), as_version=4)
    except OSError as error:
        raise ConfigError(f"{display_path(notebook)} cannot be read ({error.strerror}).") from None
    except Exception:  # whatever nbformat makes of a file that is none
        raise ConfigError(f"{display_path(notebook)} is no notebook.") from None


def _last(text: str) -> str:
    """The end of a traceback, without its colours: what failed, not how it got there."""
    lines = _COLOURS.sub("", text).rstrip().splitlines()
    return "\n".join(lines[-12:])
