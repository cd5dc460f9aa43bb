"""The notebooks and tests of a pytest process: their runs, nbval's cells, and the results of all processes."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .. import testing
from ..config import cassette_path
from ..errors import AmberError, ConfigError
from .cells import blank_copy, is_left_out
from .outputs import describe_times, mask_output, show_widgets, widget_states
from .renamed import OrphanCassettes
from .runs import (
    FRESH,
    CassetteRun,
    CellExchange,
    Result,
    cassette_for_test,
    dump_notebook,
    mirror_folder,
)

__all__ = ["NotebookUnderTest", "PytestSession", "flush_kernel", "insert_outputs", "load_results", "save_result"]

_FLUSH_S = 10.0
# Written out, since a stem of it decides nothing: `import amber_nb`, `%load_ext amber_nb`.
_USES_AMBER = re.compile(r"\bamber_nb\b")


class PytestSession:
    """The settings and runs of one pytest process, the `worker`; `folder` is for the files of all of them.

    Attributes:
        compare: comparator where no cell tag names one.
        n_runs: how often a notebook is run in live mode.
    """

    def __init__(self, config: Any, folder: Path, worker: str) -> None:
        option, here = config.option, config.invocation_params.dir
        self.compare, self.n_runs = option.amber_compare, option.amber_runs
        self._folder, self._work = folder, folder / worker
        self._work.mkdir(exist_ok=True)
        self._mode = option.amber
        self._ini_mode = config.getini("amber_mode")
        self._root, self._here = config.rootpath, here
        self._option = option
        # The root may be a guess from the arguments; it holds where an ini file says it.
        self._base = config.rootpath if config.inipath else here
        self._cassettes = option.amber_cassettes and here / option.amber_cassettes  # all in one folder, or None
        mirror = (self._cassettes, self._base) if self._cassettes else None
        self._orphans = OrphanCassettes((here,) if here.is_relative_to(self._root) else (self._root, here), mirror)

    def notebook_run(self, path: Path, cells: Iterable[Any]) -> CassetteRun:
        """Prepare the run of a notebook with these code cells.

        Each notebook gets its mode, whether its cells name amber_nb or not: a module of the team's may, or a magic.
        """
        cassette, cells = cassette_path(path, self._cassette_folder(path)), list(cells)
        expected = cassette.exists() or any(_USES_AMBER.search(cell.source) for cell in cells)
        command = self._record_notebook(path)
        if not cassette.exists():
            ids = (cell.id for cell in cells if "id" in cell)
            if old := self._orphans.find(cassette, (cell.source for cell in cells), ids):
                names = " ".join(shlex.quote(self._from_here(each)) for each in (old, cassette))
                command += f". If {self._from_here(old)} is its recording under an older name, keep that: `mv {names}`"
        return self._run(self._from_here(path), cassette, command, expected=expected)

    def test_run(self, path: Path, node_id: str) -> CassetteRun:
        """Prepare the run of a test function in the module at `path`."""
        cassette = cassette_for_test(path, node_id.partition("::")[2], self._cassette_folder(path))
        test = shlex.quote(f"{self._from_here(path)}::{node_id.partition('::')[2]}")
        return self._run(node_id, cassette, f"`pytest --amber=record{self._folder_option()} {test}`")

    def missing_kernel(self, path: Path, book: Any) -> str | None:
        """Return why the kernel of a notebook cannot be started, with the way out; None where it is installed."""
        wanted = self._option.nbval_kernel_name
        name = wanted or book.metadata.get("kernelspec", {}).get("name")
        if not name or self._option.nbval_current_env or not (installed := testing.find_other_kernels(name)):
            return None
        if wanted:
            return f"No kernel {name!r} is installed here (--nbval-kernel-name). There are: {', '.join(installed)}."
        return (
            f"{self._from_here(path)} wants the kernel {name!r}, which is not installed here. Take this environment "
            f"with --nbval-current-env, or another kernel with --nbval-kernel-name=NAME. There are: "
            f"{', '.join(installed)}."
        )

    def _record_notebook(self, path: Path) -> str:
        """Return the command that records a notebook, to be typed where pytest was started."""
        name = shlex.quote(self._from_here(path))
        if not self._cassettes:
            return f"`amber-nb record {name}`"
        kernel = " --nbval-current-env" if getattr(self._option, "nbval_current_env", False) else ""
        if named := getattr(self._option, "nbval_kernel_name", None):
            kernel = f" --nbval-kernel-name={shlex.quote(named)}"
        return f"`pytest --nbval{kernel} --amber=record{self._folder_option()} {name}`"

    def _folder_option(self) -> str:
        return f" --amber-cassettes={shlex.quote(self._from_here(self._cassettes))}" if self._cassettes else ""

    def _from_here(self, path: Path) -> str:
        """Return a path as one types it where pytest was started."""
        try:
            return Path(os.path.relpath(path, self._here)).as_posix()
        except ValueError:  # on another drive
            return path.as_posix()

    def _run(self, name: str, cassette: Path, command: str, *, expected: bool = True) -> CassetteRun:
        mode = self._mode or self._ini_mode or "replay"
        if not self._mode and mode == "simulate" and cassette.exists():
            mode = "replay"  # the ini setting `simulate` is for what has no cassette
        shown = self._from_here(cassette)
        return CassetteRun(name, cassette, mode, self._work, command, expected=expected, shown=shown)

    def _cassette_folder(self, path: Path) -> Path | None:
        return self._cassettes and mirror_folder(self._cassettes, path, self._base)

    @contextlib.contextmanager
    def closing(self, run: CassetteRun) -> Iterator[None]:
        """Turn errors of the block into problems of the run, and save its result."""
        try:
            yield
        except (AmberError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            recording = run.mode == "record"
            run.result.problems.append(f"not recorded, and nothing changed: {why}" if recording else why)
        finally:
            save_result(run.result, self._folder, self._work.name)


def save_result(result: Result, folder: Path, worker: str) -> None:
    """Save a result for the process that ends the session; `worker` names this one."""
    number = sum(1 for _ in folder.iterdir())
    (folder / f"{worker}-{number}.result").write_bytes(pickle.dumps(result))


def load_results(folder: Path) -> list[Result]:
    """Load the results of all processes, by name; the folder must be private, since they are pickled.

    What ran more than once, as a flaky test does, has the result of its last run.
    """
    paths = sorted(folder.glob("*.result"), key=lambda path: int(path.stem.rpartition("-")[2]))
    results: dict[str, Result] = {}
    for path in paths:
        result: Result = pickle.loads(path.read_bytes())
        results[result.name] = result
    return sorted(results.values(), key=lambda result: result.name)


class NotebookUnderTest:
    """A notebook while nbval runs its cells, of which `item` is the first.

    Attributes:
        collector: nbval's.
        refusal: why it cannot be run, or None.
        environment: to be undone after the notebook.
    """

    def __init__(self, item: pytest.Item, session: PytestSession) -> None:
        self.path = item.path
        self.refusal: str | None = None
        self._session, self._item = session, item
        self.collector: Any = item.parent
        self.environment = pytest.MonkeyPatch()
        self._ran: list[int] = []
        self._is_told = False  # its kernel
        self._undecided: dict[int, Callable[[], bool]] = {}  # cells whose outputs a later cell may still change
        # Follows all outputs; nbval knows neither cleared and updated ones nor what a widget catches.
        self._outputs: Any = None
        self._run = session.notebook_run(item.path, self._cells)
        self.refusal = self._run.refusal()
        try:
            self._outputs = testing.NotebookExecution(blank_copy(self._cells))
        except ModuleNotFoundError as error:  # nbval alone does for notebooks that ask no model
            package = (error.name or "").partition(".")[0]
            self._missing = f"{self._run.name} asks a model, and this needs {package}: pip install 'amber_nb[lab]'"
            if self._run.expected:
                self.refusal = self.refusal or self._missing
        if self.refusal is None:
            for variable, value in self._run.environment.items():
                self.environment.setenv(variable, value)

    @property
    def _cells(self) -> list[Any]:
        return [cell for cell in self.collector.nb.cells if cell.cell_type == "code"]

    @property
    def _is_ours(self) -> bool:
        """Whether it asks a model; one that does not is tested as nbval does it."""
        return self._run.expected or self._run.has_asked

    @contextlib.contextmanager
    def running(self, cell: Any, *, html: bool) -> Iterator[None]:
        """Adapt how nbval compares an item, with the HTML of answers or without it; collect what comes of it."""
        if self._outputs is None:
            yield
            return
        if self._run.expected and not self._is_told:
            tell_kernel(self.collector.kernel)
            self._is_told = True
        if self._run.mode in FRESH and self._run.expected:
            cell.options["check"] = False  # a model does not say the same twice: the comparators decide
        compare = cell.compare_outputs

        def compare_outputs(test: Any, reference: Any, skip_compare: Any = None) -> bool:
            if self._run.mode in FRESH and self._run.has_asked:
                return True
            if not self._is_ours:
                return bool(compare(test, reference, skip_compare))
            if self._compare(cell, compare, reference, skip_compare, html=html):
                return True
            if cell.cell_num not in self._outputs.late_cells:
                return False
            self._undecided[cell.cell_num] = lambda: self._compare(cell, compare, reference, skip_compare, html=html)
            return True

        cell.compare_outputs = compare_outputs
        try:
            with self._following(cell):
                yield
        finally:
            self._run.collect(cell.cell_num + 1)
            if cell.test_outputs is not None:  # nbval skips in here
                self._ran.append(cell.cell_num)

    def _compare(self, cell: Any, compare: Any, reference: Any, skip_compare: Any, *, html: bool) -> bool:
        """Compare the outputs of a cell, as they are now, with those of the file."""
        test = coalesce(cell, self._outputs.nb.cells[cell.cell_num].outputs)
        now = show_widgets(test, self._outputs.widget_state)
        then = show_widgets(reference, widget_states(self.collector.nb.metadata))
        if now is not None and then is not None:  # else the file does not tell what the widgets showed
            test, reference = now, then
        source = cell.cell.source
        both = ([mask_output(output, html=html, source=source) for output in outputs] for outputs in (test, reference))
        return bool(compare(*both, skip_compare))

    @contextlib.contextmanager
    def _following(self, cell: Any) -> Iterator[None]:
        """Follow what the kernel sends while nbval runs a cell."""
        kernel, collector, sent = self.collector.kernel, self.collector, []
        execute, receive = kernel.execute_cell_input, collector.get_kernel_message

        def execute_cell_input(*arguments: Any, **options: Any) -> Any:
            sent.append(execute(*arguments, **options))
            return sent[-1]

        def get_kernel_message(*arguments: Any, **options: Any) -> Any:
            message = receive(*arguments, **options)
            if sent and message["parent_header"].get("msg_id") == sent[0]:
                self._outputs.follow(message, cell.cell_num)
            return message

        self._outputs.kc = kernel.kc
        self._outputs.begin_cell(cell.cell_num)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernel, "execute_cell_input", execute_cell_input)
            patch.setattr(collector, "get_kernel_message", get_kernel_message)
            yield

    def flush(self) -> None:
        """Have the kernel's clients keep what still streams, before nbval kills it."""
        if self.refusal is None and self._run.mode in FRESH and self._is_ours and not self.collector.timed_out:
            flush_kernel(self.collector.kernel)

    def end(self, *, passed: bool, before: bytes, skipped: set[int]) -> None:
        """Compare or keep what the notebook asked, when its kernel is gone.

        `before` is the content of the file whose cells were run; `skipped` has the numbers, from 0, of cells left out.
        """
        run = self._run
        if self.refusal is not None or not self._is_ours:
            return
        if self._outputs is None:  # no cell names amber_nb, but a module of the team's has asked
            with self._session.closing(run):
                run.result.problems.append(self._missing)
            return
        with self._session.closing(run):
            run.collect(max(self._ran, default=-1) + 1 or None)  # asked after the last cell, while the kernel went
            for number, is_same in self._undecided.items():
                if not is_same():
                    run.result.problems.append(
                        f"Cell {number}: what it shows in the end is not what the notebook holds"
                    )
            if run.mode == "live":
                tags = {number: cell.metadata.get("tags", []) for number, cell in enumerate(self._cells, 1)}
                testing.compare_run(run, self._repeat(run), self._session.compare, tags)
            if run.mode == "record":
                ran = ((number, self._outputs.nb.cells[number]) for number in sorted(self._ran))
                run.result.notes += describe_times(ran)
            run.close(
                complete=passed and set(range(len(self._cells))) - skipped <= set(self._ran),
                files=lambda: {self.path: self._with_outputs(before)},
            )

    def _with_outputs(self, before: bytes) -> bytes:
        self._outputs.set_widgets_metadata()
        cells = self._outputs.nb.cells
        outputs = [(number, coalesce(self._item, cells[number].outputs)) for number in sorted(self._ran)]
        return insert_outputs(self.path, outputs, before, self._outputs.nb.metadata.get("widgets"))

    def _repeat(self, run: CassetteRun) -> list[list[CellExchange]]:
        """Run the notebook as often as the settings say; return what each run asked, that of nbval included."""
        runs = [run.exchanges]
        for number in range(1, self._session.n_runs):
            again = CassetteRun(f"{run.name}-{number}", run.cassette, run.mode, run.work)
            with pytest.MonkeyPatch.context() as environment:
                for variable, value in again.environment.items():
                    environment.setenv(variable, value)
                self.collector.setup()  # another kernel takes the place of the one that is gone
            try:
                self._run_cells(again)
            except Exception as error:  # a kernel that died or a cell that hangs: what came until then counts
                run.result.warnings.append(f"run {number + 1} broke off: {type(error).__name__}")
            finally:
                self.collector.kernel.stop()
            runs.append(again.exchanges)
        return runs

    def _run_cells(self, run: CassetteRun) -> None:
        kernel, number = self.collector.kernel, None
        for number, cell in enumerate(self._cells, 1):
            if is_left_out(cell):
                continue
            sent = kernel.execute_cell_input(cell.source, allow_stdin=False)
            kernel.await_reply(sent, timeout=self.collector.config.option.nbval_cell_timeout)
            run.collect(number)
        flush_kernel(kernel)
        run.collect(number)


def tell_kernel(kernel: Any) -> None:
    """Have a kernel read what its run says, before a cell deletes the variables that say it."""
    with contextlib.suppress(Exception):
        sent = kernel.kc.execute("import amber_nb.config", silent=True, allow_stdin=False, stop_on_error=False)
        kernel.await_reply(sent, timeout=_FLUSH_S)


def flush_kernel(kernel: Any) -> None:
    """Run an empty cell, so that clients keep what still streams; leave a dead, busy or missing kernel alone."""
    with contextlib.suppress(Exception):
        if kernel is not None and kernel.is_alive():
            kernel.await_reply(kernel.execute_cell_input("pass", allow_stdin=False), timeout=_FLUSH_S)


def coalesce(cell: Any, outputs: list[Any]) -> list[Any]:
    """Return outputs with the pieces of each stream in one, as the item's own plugin does it."""
    own = sys.modules[type(cell).__module__]  # nbval's, which need not be installed
    merged: list[Any] = own.coalesce_streams([nbformat.from_dict(dict(output)) for output in outputs])
    return merged


def insert_outputs(path: Path, outputs: Iterable[tuple[int, list[Any]]], before: bytes, widgets: Any = None) -> bytes:
    """Return a notebook's file with the outputs of a run.

    Args:
        path: of the notebook.
        outputs: pairs of (index among the code cells, outputs); other cells keep what they have.
        before: content of the file whose cells were run.
        widgets: their states, for the notebook's metadata.

    Raises:
        ConfigError: the file has changed; nobody knows where the outputs belong.
    """
    content = path.read_bytes()
    if content != before:
        raise ConfigError("the file was changed while it ran")
    book = nbformat.reads(content.decode(), as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    for count, (index, cell_outputs) in enumerate(outputs, 1):
        cells[index].execution_count = count
        cells[index].outputs = [nbformat.from_dict(dict(output)) for output in cell_outputs]
        for output in cells[index].outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    if widgets is not None:
        book.metadata.widgets = widgets
    return dump_notebook(book)
