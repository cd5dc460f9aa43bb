"""Record notebooks, and record again what has drifted: `amber-nb record` and `bless`."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

from ..cassettes.file import Cassette
from ..config import cassette_path, display_path
from ..display.escape import shorten
from ..errors import AmberError, ConfigError
from .cells import is_left_out
from .comparison import judge_exchanges
from .execution import NotebookExecution
from .kernels import make_kernel_manager
from .outputs import describe_times
from .runs import CassetteRun, Result, dump_notebook

__all__ = ["NotRecorded", "bless", "list_drifted", "record"]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotRecorded(AmberError):
    """A cell failed, or a reply could not be kept; nothing was changed."""


def record(
    notebook: Path, environment: Mapping[str, str], kernel: str | None = None, *, current_env: bool = False
) -> Result:
    """Run a notebook from top to bottom against the gateway; replace its outputs and its cassette together.

    Cells that nbval leaves out are left out here, too: what only they ask is in no test, and keeps its outputs.

    Args:
        notebook: the file; it stays as it is unless every cell ran.
        environment: of its kernel, mode and cassette excepted.
        kernel: the name of another kernel than the notebook's own.
        current_env: run it in the Python that runs here, whatever its kernel is called.

    Raises:
        ConfigError: there is no such notebook, or its cassette is damaged.
        UnknownKernel: its kernel is not installed here.
        NotRecorded: a cell failed, or a file cannot be written; both files are as they were.
    """
    before, book = _read_notebook(notebook)
    with tempfile.TemporaryDirectory(prefix="amber-") as folder:
        run = CassetteRun(display_path(notebook), cassette_path(notebook), "record", Path(folder))
        Cassette(run.cassette)  # before anything is asked that would take its place
        kernels = make_kernel_manager(notebook, book, kernel, current_env=current_env)
        where = {"metadata": {"path": str(notebook.parent)}}
        client = NotebookExecution(book, km=kernels, timeout=None, resources=where)
        client.owns_km = True  # it is to end the kernel, too
        try:
            with (Path(folder) / "kernel.log").open("w") as log:  # its warnings tell the reader nothing
                client.execute(env={**environment, **run.environment}, stderr=log)
        except CellExecutionError as error:
            # What failed, not how it got there.
            end = "\n".join(_COLOURS.sub("", str(error)).rstrip().splitlines()[-12:])
            left_out = sum(cell.cell_type == "code" and is_left_out(cell) for cell in book.cells)
            hint = f" Not run, as in the test: {left_out} cells marked to be skipped." if left_out else ""
            raise NotRecorded(f"{run.name}: a cell failed; nothing was changed.{hint}\n{end}") from None
        except (DeadKernelError, RuntimeError) as error:
            last = (Path(folder) / "kernel.log").read_text(errors="replace").strip().splitlines()[-12:]
            end = "".join(f"\n{line}" for line in last)
            raise NotRecorded(f"{run.name}: the kernel died ({error}); nothing was changed.{end}") from None
        for _, name, message in client.hidden_errors:
            why = f"{name}: {shorten(_COLOURS.sub('', message), 300)}"
            raise NotRecorded(f"{run.name}: a cell failed within an Output; nothing was changed.\n{why}")
        if notebook.read_bytes() != before:
            raise NotRecorded(f"{run.name}: the file was changed while it ran; nothing was changed by us.")
        code = (cell for cell in book.cells if cell.cell_type == "code")
        run.result.notes += describe_times((at, cell) for at, cell in enumerate(code) if not is_left_out(cell))
        try:
            run.close(complete=True, files=lambda: {notebook: dump_notebook(book)})
        except OSError as error:
            raise NotRecorded(f"{run.name}: {error.strerror or error}; nothing was changed.") from None
    if run.result.recorded is None:
        raise NotRecorded("\n".join(f"{run.name}: {why}" for why in run.result.notes + run.result.problems))
    return run.result


def bless(
    notebook: Path, environment: Mapping[str, str], kernel: str | None = None, *, current_env: bool = False
) -> Result:
    """Record a notebook again as `record` does, and report what differs from its old cassette.

    Raises:
        ConfigError: it has no cassette.
        UnknownKernel: its kernel is not installed here.
        NotRecorded: a cell failed, or a file cannot be written; both files are as they were.
    """
    cassette = cassette_path(notebook)
    if not cassette.exists():
        raise ConfigError(f"{display_path(notebook)} has no cassette yet: record it first.")
    old = Cassette(cassette).interactions
    result = record(notebook, environment, kernel, current_env=current_env)
    fresh = [(None, exchange) for exchange in Cassette(cassette).interactions]
    result.rows = judge_exchanges(result.name, old, [fresh], lambda cell: None)
    return result


def list_drifted(report: Path) -> list[Path]:
    """Return the notebooks with replies that were not the same, from the `.json` of a drift report.

    Raises:
        ConfigError: the file is no drift report.
    """
    try:
        rows = json.loads(report.read_bytes())["rows"]
        return [Path(name) for name in dict.fromkeys(row["notebook"] for row in rows if row["status"] != "same")]
    except (KeyError, OSError, TypeError, ValueError):
        what = "is no drift report: the .json beside the HTML page is wanted"
        raise ConfigError(f"{display_path(report)} {what}.") from None


def _read_notebook(notebook: Path) -> tuple[bytes, nbformat.NotebookNode]:
    try:
        content = notebook.read_bytes()
        return content, nbformat.reads(content.decode(), as_version=4)
    except OSError as error:
        raise ConfigError(f"{display_path(notebook)} cannot be read ({error.strerror}).") from None
    except Exception:  # whatever nbformat makes of a file that is none
        raise ConfigError(f"{display_path(notebook)} is no notebook.") from None
