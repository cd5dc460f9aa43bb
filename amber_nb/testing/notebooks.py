"""The notebooks and tests of a pytest process: their runs, nbval's cells, and the results of all processes."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .. import testing
from ..config import cassette_path
from ..display.kernel import is_answer
from ..errors import AmberError, ConfigError
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
# A client says in which mode it is, and where it asks: not the same in a recording and its replay.
_CLIENT = re.compile(r"^Amber\(mode='\w+', base_url='[^']*'")


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
        self._root = config.rootpath
        # The root may be a guess from the arguments; it holds where an ini file says it.
        self._base = config.rootpath if config.inipath else here
        self._cassettes = option.amber_cassettes and here / option.amber_cassettes  # all in one folder, or None

    def notebook_run(self, path: Path, sources: Iterable[str]) -> CassetteRun | None:
        """Prepare the run of a notebook with these cells; None where it has no cassette and does not use amber_nb."""
        cassette = cassette_path(path, self._cassette_folder(path))
        if not cassette.exists() and not any(_USES_AMBER.search(source) for source in sources):
            return None
        return self._run(Path(os.path.relpath(path, self._root)).as_posix(), cassette)

    def test_run(self, path: Path, node_id: str) -> CassetteRun:
        """Prepare the run of a test function in the module at `path`."""
        cassette = cassette_for_test(path, node_id.partition("::")[2], self._cassette_folder(path))
        return self._run(node_id, cassette)

    def _run(self, name: str, cassette: Path) -> CassetteRun:
        mode = self._mode or self._ini_mode or "replay"
        if not self._mode and mode == "simulate" and cassette.exists():
            mode = "replay"  # the ini setting `simulate` is for what has no cassette
        return CassetteRun(name, cassette, mode, self._work)

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
        self._session = session
        self.collector: Any = item.parent
        self._outputs: dict[int, list[Any]] = {}
        self.environment = pytest.MonkeyPatch()
        self._run = session.notebook_run(item.path, [cell.source for cell in self._cells])  # None: left alone
        if self._run is not None and (refusal := self._run.refusal()):
            self.refusal, self._run = refusal, None
        if self._run is not None:
            for variable, value in self._run.environment.items():
                self.environment.setenv(variable, value)

    @property
    def _cells(self) -> list[Any]:
        return [cell for cell in self.collector.nb.cells if cell.cell_type == "code"]

    @contextlib.contextmanager
    def running(self, cell: Any, *, html: bool) -> Iterator[None]:
        """Adapt how nbval compares an item, with the HTML of answers or without it; collect what comes of it."""
        if self._run is None:
            yield
            return
        if self._run.mode in FRESH:
            cell.options["check"] = False  # a model does not say the same twice: the comparators decide
        else:
            compare = cell.compare_outputs

            def compare_outputs(test: Any, reference: Any, skip_compare: Any = None) -> bool:
                both = ([_normalize(output, html) for output in outputs] for outputs in (test, reference))
                return bool(compare(*both, skip_compare))

            cell.compare_outputs = compare_outputs
        try:
            yield
        finally:
            self._run.collect(cell.cell_num + 1)
            if cell.test_outputs is not None:  # nbval skips in here
                self._outputs[cell.cell_num] = cell.test_outputs

    def flush(self) -> None:
        """Have the kernel's clients keep what still streams, before nbval kills it."""
        if self._run is not None and self._run.mode in FRESH and not self.collector.timed_out:
            flush_kernel(self.collector.kernel)

    def end(self, *, passed: bool, before: bytes, skipped: set[int]) -> None:
        """Compare or keep what the notebook asked, when its kernel is gone.

        `before` is the content of the file whose cells were run; `skipped` has the numbers, from 0, of cells left out.
        """
        run = self._run
        if run is None:
            return
        with self._session.closing(run):
            run.collect(max(self._outputs, default=-1) + 1 or None)  # asked after the last cell, while the kernel went
            if run.mode == "live":
                tags = {number: cell.metadata.get("tags", []) for number, cell in enumerate(self._cells, 1)}
                testing.compare_run(run, self._repeat(run), self._session.compare, tags)
            run.close(
                complete=passed and set(range(len(self._cells))) - skipped <= self._outputs.keys(),
                files=lambda: {self.path: insert_outputs(self.path, sorted(self._outputs.items()), before)},
            )

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
            sent = kernel.execute_cell_input(cell.source, allow_stdin=False)
            kernel.await_reply(sent, timeout=self.collector.config.option.nbval_cell_timeout)
            run.collect(number)
        flush_kernel(kernel)
        run.collect(number)


def _normalize(output: Any, html: bool) -> Any:
    """Return an output without what differs between equal answers and clients: HTML changes with Pygments."""
    data = output.get("data")
    if not data:
        return output
    if is_answer(data) and not html:
        data = {name: value for name, value in data.items() if name != "text/html"}
    elif _CLIENT.match(data.get("text/plain", "")):
        data = {**data, "text/plain": _CLIENT.sub("Amber(", data["text/plain"])}
    else:
        return output
    return nbformat.from_dict({**output, "data": data})


def flush_kernel(kernel: Any) -> None:
    """Run an empty cell, so that clients keep what still streams; leave a dead, busy or missing kernel alone."""
    with contextlib.suppress(Exception):
        if kernel is not None and kernel.is_alive():
            kernel.await_reply(kernel.execute_cell_input("pass", allow_stdin=False), timeout=_FLUSH_S)


def insert_outputs(path: Path, outputs: Iterable[tuple[int, list[Any]]], before: bytes) -> bytes:
    """Return a notebook's file with the outputs of a run.

    Args:
        path: of the notebook.
        outputs: pairs of (index among the code cells, outputs); other cells keep what they have.
        before: content of the file whose cells were run.

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
    return dump_notebook(book)
