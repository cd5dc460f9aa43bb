"""Notebooks that test themselves: `pytest --nbval`, offline, from cassettes.

nbval runs each notebook in a kernel of its own, which no fixture reaches: mode and cassette travel by environment, set
before the kernel starts and taken back when its notebook is done. A notebook that does not use amber_nb is left alone.

    cassettes/<notebook>.jsonl is there   replay
    none                                  CassetteMiss, with the command that records; or the simulator, where
                                          the ini setting says `amber_mode = simulate`
    --amber=MODE                          that mode

Tests in Python get the same from the fixture `amber`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import amber_nb

from .. import testing
from ..errors import AmberError

if TYPE_CHECKING:
    from .results import Result
    from .runs import NotebookRun, Settings, TestRun

__all__: list[str] = []

MODES = ("replay", "record", "live", "cache", "simulate")
# Written out, since a stem of it decides nothing: `import amber_nb`, `%load_ext amber_nb`.
USES_AMBER = re.compile(r"\bamber_nb\b")
PASSED = pytest.StashKey[bool]()
BEFORE = pytest.StashKey[str]()
SKIPPED = pytest.StashKey[set[int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options and the ini setting."""
    group = parser.getgroup("amber_nb", "notebooks and tests that ask a model (amber_nb)")
    group.addoption("--amber", choices=MODES, metavar="MODE", help=f"one of {', '.join(MODES)}; default: replay")
    group.addoption(
        "--amber-cassettes",
        type=Path,
        metavar="DIR",
        help="where all cassettes are, in folders as those of the notebooks; default: cassettes/",
    )
    group.addoption(
        "--amber-html",
        choices=("ignore", "compare"),
        default="ignore",
        help="compare the HTML of answers too; it changes with the release of Pygments (default: %(default)s)",
    )
    group.addoption(
        "--amber-report", type=Path, metavar="FILE", help="with --amber=live: write the report, and FILE.json"
    )
    group.addoption(
        "--amber-runs", type=int, default=1, metavar="N", help="with --amber=live: run each notebook N times"
    )
    group.addoption(
        "--amber-compare",
        metavar="HOW",
        help="with --amber=live, where no cell tag says it: exact, json, tools, similar:0.8 or ignore",
    )
    parser.addini("amber_mode", f"mode where --amber does not name one: {', '.join(MODES)}", default="")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Refuse what does not exist or makes no sense, before any notebook runs."""
    ini = config.getini("amber_mode")
    if ini and ini not in MODES:
        raise pytest.UsageError(f"amber_mode must be one of {', '.join(MODES)}, or empty; it is {ini!r}")
    live = (config.option.amber or ini) == "live"
    if not live and (config.option.amber_report or config.option.amber_runs != 1):
        raise pytest.UsageError("--amber-report and --amber-runs go with --amber=live")
    if config.option.amber_report is not None and config.option.amber_report.suffix == ".json":
        raise pytest.UsageError("--amber-report names the page, FILE.html; its JSON twin gets the same name")
    if config.option.amber_runs < 1:
        raise pytest.UsageError("--amber-runs must be 1 or more")
    if config.option.amber_compare is not None:
        try:
            testing.comparator(config.option.amber_compare)
        except ValueError as error:
            raise pytest.UsageError(f"--amber-compare: {error}") from None
    # The cells of one notebook share a kernel: they must stay together, and in their order.
    notebooks = getattr(config.option, "nbval", False) or getattr(config.option, "nbval_lax", False)
    if notebooks and getattr(config.option, "dist", "no") in ("load", "worksteal", "loadgroup"):
        config.option.dist = "loadfile"
    config.pluginmanager.register(_Plugin(config, ini), "amber_nb-runs")


class _Plugin:
    """Begins a run for each notebook or test, ends it, and tells in the end what came of them."""

    def __init__(self, config: pytest.Config, ini: str) -> None:
        self._config = config
        self._ini = ini
        self._worker = getattr(config, "workerinput", None)
        self._folder = Path(self._worker["amber_folder"]) if self._worker else None
        self._settings: Settings | None = None
        self._run: NotebookRun | None = None
        self._path: Path | None = None
        self._refused: str | None = None
        self._told = ""
        self._environment: pytest.MonkeyPatch | None = None
        self._failed: set[Path] = set()
        self._ran: dict[int, list[Any]] = {}

    # --- one folder for all processes of the session, made when it is needed

    def folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="amber-"))
        return self._folder

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["amber_folder"] = str(self.folder())

    def settings(self) -> Settings:
        if self._settings is None:
            option = self._config.option
            worker = self._worker["workerid"] if self._worker else "main"
            work = self.folder() / worker
            work.mkdir(exist_ok=True)
            folder = option.amber_cassettes
            self._settings = testing.Settings(
                folder=folder and self._config.invocation_params.dir / folder,
                work=work,
                compare=option.amber_compare,
                runs=option.amber_runs,
            )
        return self._settings

    def mode(self, cassette: Path) -> str:
        """The ini setting `simulate` is for what has no cassette; everything else is meant as it is said."""
        if self._config.option.amber:
            return str(self._config.option.amber)
        if self._ini == "simulate" and cassette.exists():
            return "replay"
        return self._ini or "replay"

    def folder_for(self, path: Path) -> Path | None:
        """Below `--amber-cassettes`. The root may be a guess from the arguments; it holds where an ini file says it."""
        base = self._config.rootpath if self._config.inipath else self._config.invocation_params.dir
        return testing.mirrored(self.settings().folder, path, base)

    @contextlib.contextmanager
    def ending(self, run: NotebookRun | TestRun) -> Iterator[None]:
        """What goes wrong when a run is over is told in the end, and fails the session."""
        try:
            yield
        except (AmberError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            recording = run.mode == "record"
            run.result.problems.append(f"not recorded, and nothing changed: {why}" if recording else why)
        finally:
            self.put(run.result)

    def put(self, result: Result) -> None:
        testing.Results(self.folder()).put(result, self.settings().work.name)

    # --- notebooks

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """What nbval has read: the cells it will leave out are known here only, before any are deselected."""
        book = hasattr(collector, "skip_compare") and collector.path.suffix == ".ipynb"
        if book:
            with contextlib.suppress(OSError):
                collector.stash[BEFORE] = testing.fingerprint(collector.path.read_bytes())
        report = yield
        if book:
            collector.stash[SKIPPED] = testing.skipped(report.result or ())
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before nbval starts the kernel, which happens in the setup of a notebook's first cell."""
        if _is_notebook(item) and item.path != self._path:
            self._forget()
            self._path = item.path
            self._begin(item)
        elif self._refused and _is_notebook(item):
            pytest.skip(f"not run: {self._refused}")

    def _begin(self, item: pytest.Item) -> None:
        cassette = testing.cassette_of(item.path, self.folder_for(item.path))
        book: Any = item.parent
        if not cassette.exists() and not any(USES_AMBER.search(cell.source) for cell in _code(book)):
            return
        name = os.path.relpath(item.path, self._config.rootpath)
        run = testing.NotebookRun(Path(name).as_posix(), cassette, self.settings(), self.mode(cassette))
        self._refused = _refusal(run)
        if self._refused:
            pytest.fail(self._refused, pytrace=False)
        self._run = run
        self._environment = pytest.MonkeyPatch()
        for variable, value in run.environment.items():
            self._environment.setenv(variable, value)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Around one cell."""
        run = self._run
        if run is None or not _is_notebook(item):
            return (yield)
        cell: Any = item
        if run.mode in ("live", "record"):
            cell.options["check"] = False  # a model does not say the same twice: the comparators decide
        else:
            _compare_ours(cell, html=self._config.option.amber_html == "compare")
        try:
            return (yield)
        finally:
            run.look(cell.cell_num + 1)
            if cell.test_outputs is not None:  # nbval skips in here
                self._ran[cell.cell_num] = cell.test_outputs

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        report = yield
        if report.failed:
            self._failed.add(item.path)
        if report.when == "call":
            item.stash[PASSED] = report.passed
        return report

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
        """After a notebook's last cell, when its kernel is gone."""
        if item.path != self._path or (nextitem is not None and nextitem.path == self._path):
            return (yield)
        book: Any = item.parent
        try:
            if self._run is not None and self._run.mode in ("live", "record") and not book.timed_out:
                testing.flush(book.kernel)
            result = yield
            self._end(item)
        finally:
            self._forget()
        return result

    def _end(self, item: pytest.Item) -> None:
        run = self._run
        if run is None:
            return
        book: Any = item.parent
        ran = sorted(self._ran.items())
        wanted = set(range(len(_code(book)))) - book.stash.get(SKIPPED, set())
        whole = item.path not in self._failed and wanted <= set(self._ran)
        before = book.stash.get(BEFORE, "")
        with self.ending(run):
            run.look(max(self._ran, default=-1) + 1 or None)  # what came when the kernel went
            if run.mode == "live":
                self._compare(run, book)
            run.close(whole=whole, files=lambda: {item.path: testing.executed(item.path, ran, before)})

    def _compare(self, run: NotebookRun, book: Any) -> None:
        hows: dict[int | None, str | None] = {}
        for number, cell in enumerate(_code(book), 1):
            try:
                hows[number] = testing.from_tags(cell.metadata.get("tags", []))
            except ValueError as error:
                run.result.problems.append(f"cell {number}: {error}")
        more = [testing.once_more(run, book, number) for number in range(1, self.settings().runs)]
        run.compare([run.asked, *more], hows.get)

    def _forget(self) -> None:
        if self._environment is not None:
            self._environment.undo()
        self._environment = self._path = self._run = self._refused = None
        self._ran = {}

    # --- tests in Python

    def test_run(self, item: pytest.Item) -> TestRun:
        qualified = item.nodeid.partition("::")[2]
        cassette = testing.cassette_of_test(item.path, qualified, self.folder_for(item.path))
        run = testing.TestRun(item.nodeid, cassette, self.settings(), self.mode(cassette))
        if refused := _refusal(run):
            pytest.fail(refused, pytrace=False)
        return run

    def test_over(self, item: pytest.Item, run: TestRun) -> None:
        with self.ending(run):
            run.look()
            if run.mode == "live":
                run.compare([run.asked], lambda cell: None)
            run.close(whole=item.stash.get(PASSED, False))

    # --- the end of the session

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; replies that are not what they were are a failure."""
        if self._worker or self._folder is None:
            return
        self._results = list(testing.Results(self._folder))
        rows = [row for result in self._results for row in result.rows]
        unwritten = False
        if self._config.option.amber_report is not None:
            unwritten = self._report(rows)
        bad = any(row.verdict.status != "same" for row in rows)
        unkept = any("not recorded" in note for result in self._results for note in result.notes)
        problems = any(result.problems for result in self._results)
        if (bad or unkept or problems or unwritten) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _report(self, rows: list[Any]) -> bool:
        """Whether it could not be written."""
        page = self._config.option.amber_report
        try:
            testing.write(page, rows, title="Drift of recorded replies", made=_made(rows))
        except OSError as error:
            self._told = f"the report {page} was not written: {error.strerror or error}"
            return True
        self._told = f"report: {page}"
        return False

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what the dots do not."""
        lines = [line for result in getattr(self, "_results", ()) for line in testing.told(result)]
        if self._told:
            lines.append(self._told)
        if lines:
            terminalreporter.section("amber_nb")
            for line in lines:
                terminalreporter.line(line)

    def pytest_unconfigure(self) -> None:
        self._forget()
        if self._folder is not None and not self._worker:
            shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture
def amber(request: pytest.FixtureRequest) -> Iterator[amber_nb.Amber]:
    """A client on the test's own cassette, `cassettes/<module>/<test>.jsonl`.

    Its mode is chosen as for notebooks: replay; with `--amber=record` the test is recorded, and kept if it passes.
    """
    plugin: Any = request.config.pluginmanager.get_plugin("amber_nb-runs")
    run = plugin.test_run(request.node)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AMBER_JOURNAL", str(run.journal))
        client = amber_nb.Amber(**run.arguments)
    yield client
    client.close()
    plugin.test_over(request.node, run)


def _is_notebook(item: pytest.Item) -> bool:
    # By what nbval's cells have, not by their class: nbval need not be installed.
    return item.path.suffix == ".ipynb" and hasattr(item.parent, "skip_compare")


def _refusal(run: NotebookRun | TestRun) -> str | None:
    try:
        run.check()
    except AmberError as error:
        return str(error)
    return None


def _code(book: Any) -> list[Any]:
    return [cell for cell in book.nb.cells if cell.cell_type == "code"]


def _compare_ours(cell: Any, *, html: bool) -> None:
    """Compare answers by their text. The HTML of others, a table's for instance, is compared as ever."""
    compare = cell.compare_outputs

    def compare_outputs(test: Any, ref: Any, skip_compare: Any = None) -> bool:
        both = (testing.comparable(outputs, html=html) for outputs in (test, ref))
        return bool(compare(*both, skip_compare))

    cell.compare_outputs = compare_outputs


def _made(rows: list[Any]) -> str:
    books = len({row.notebook for row in rows})
    return f"amber_nb {amber_nb.__version__} · {len(rows)} replies of {books} notebooks, asked again"
