"""The pytest plugin: run notebooks (`pytest --nbval`) and tests offline, from their cassettes.

nbval runs each notebook in a kernel of its own, which no fixture reaches. So mode and cassette are passed by
environment variables, set before the kernel starts and restored after its notebook. Each notebook gets them: a module
of the team's may use amber_nb where no cell names it. One that asks no model is tested as nbval does it.

    cassettes/<notebook>.jsonl is there   replay
    none                                  CassetteMiss, with the command that records; or the simulator, where
                                          the ini setting says `amber_mode = simulate`
    --amber=MODE                          that mode

The fixture `amber` does the same for tests in Python.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import amber_nb

from .. import testing

if TYPE_CHECKING:
    from .notebooks import NotebookUnderTest, PytestSession

__all__: list[str] = []

MODES = ("replay", "record", "live", "cache", "simulate")
PASSED = pytest.StashKey[bool]()  # of a test: whether its call passed
BEFORE = pytest.StashKey[bytes]()  # of nbval's collector: content of the file whose cells were collected
SKIPPED = pytest.StashKey[set[int]]()  # of nbval's collector: cells that it leaves out, counted from 0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options and the ini setting."""
    group = parser.getgroup("amber_nb", "notebooks and tests that ask a model (amber_nb)")
    group.addoption("--amber", choices=MODES, metavar="MODE", help=f"one of {', '.join(MODES)}; default: replay")
    where = "where all cassettes are, in folders as those of the notebooks; default: cassettes/"
    group.addoption("--amber-cassettes", type=Path, metavar="DIR", help=where)
    html = "compare the HTML of answers too; it changes with the release of Pygments (default: %(default)s)"
    group.addoption("--amber-html", choices=("ignore", "compare"), default="ignore", help=html)
    live = "with --amber=live"
    group.addoption("--amber-report", type=Path, metavar="FILE", help=f"{live}: write the report, and FILE.json")
    group.addoption("--amber-runs", type=int, default=1, metavar="N", help=f"{live}: run each notebook N times")
    how = f"{live}, where no cell tag says it: exact, json, tools, similar:0.8 or ignore"
    group.addoption("--amber-compare", metavar="HOW", help=how)
    parser.addini("amber_mode", f"mode where --amber does not name one: {', '.join(MODES)}", default="")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Reject options that make no sense, before any notebook runs."""
    option, ini = config.option, config.getini("amber_mode")
    if ini and ini not in MODES:
        raise pytest.UsageError(f"amber_mode must be one of {', '.join(MODES)}, or empty; it is {ini!r}")
    if (option.amber or ini) != "live" and (option.amber_report or option.amber_runs != 1):
        raise pytest.UsageError("--amber-report and --amber-runs go with --amber=live")
    if option.amber_report is not None and option.amber_report.suffix == ".json":
        raise pytest.UsageError("--amber-report names the page, FILE.html; its JSON twin gets the same name")
    if option.amber_runs < 1:
        raise pytest.UsageError("--amber-runs must be 1 or more")
    if option.amber_compare is not None:
        try:
            testing.parse_comparator(option.amber_compare)
        except ValueError as error:
            raise pytest.UsageError(f"--amber-compare: {error}") from None
    # The cells of one notebook share a kernel: they must stay together, and in their order.
    notebooks = getattr(option, "nbval", False) or getattr(option, "nbval_lax", False)
    if notebooks and getattr(option, "dist", "no") in ("load", "worksteal", "loadgroup"):
        option.dist = "loadfile"
    config.pluginmanager.register(_Plugin(config), "amber_nb-runs")


class _Plugin:
    """Delegates pytest's hooks to the process's session, which is loaded with the first notebook or test."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = getattr(config, "workerinput", None)
        self._folder = Path(self._worker["amber_folder"]) if self._worker else None
        self._session: PytestSession | None = None
        self._notebook: NotebookUnderTest | None = None
        self._failed: set[pytest.Item] = set()
        self._summary: list[str] = []

    def _make_folder(self) -> Path:
        """Return the folder of all processes of the session; make it when it is needed."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="amber-"))
        return self._folder

    def session(self) -> PytestSession:
        """Return the session of this process; no property, since pytest 8 reads each attribute of a plugin."""
        if self._session is None:
            worker = self._worker["workerid"] if self._worker else "main"
            self._session = testing.PytestSession(self._config, self._make_folder(), worker)
        return self._session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["amber_folder"] = str(self._make_folder())

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Note which cells nbval will leave out: they are known here only, before any are deselected."""
        if not _is_nbval(collector):
            return (yield)
        with contextlib.suppress(OSError):
            collector.stash[BEFORE] = collector.path.read_bytes()
        report = yield
        collector.stash[SKIPPED] = {cell.cell_num for cell in report.result or () if cell.options["skip"]}
        if self._config.pluginmanager.hasplugin("rerunfailures") and b"amber_nb" in collector.stash.get(BEFORE, b""):
            for cell in report.result or ():  # by itself it would ask twice, or meet a kernel that knows nothing
                cell.add_marker(pytest.mark.flaky(reruns=0))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Set the environment before nbval starts the kernel, which happens in the setup of the first cell."""
        if not _is_nbval(item.parent):
            return
        if self._notebook is None or self._notebook.collector is not item.parent:
            self._close_notebook()
            self._notebook = testing.NotebookUnderTest(item, self.session())
            missing = self.session().missing_kernel(item.path, self._notebook.collector.nb)
            self._notebook.refusal = self._notebook.refusal or missing
            if self._notebook.refusal:
                pytest.fail(self._notebook.refusal, pytrace=False)
        elif self._notebook.refusal:
            pytest.skip(f"not run: {self._notebook.refusal}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        if self._notebook is None or not _is_nbval(item.parent):
            return (yield)
        with self._notebook.running(item, html=self._config.option.amber_html == "compare"):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        report = yield
        if report.failed:
            self._failed.add(item)
        if report.when == "call":
            item.stash[PASSED] = report.passed
        return report

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
        """End the run of a notebook after its last cell, when its kernel is gone."""
        notebook = self._notebook
        parent: Any = item.parent  # not the path: other plugins have items of the same file
        if notebook is None or notebook.collector is not parent or (nextitem and nextitem.parent is parent):
            return (yield)
        try:
            notebook.flush()
            result = yield
            passed = not any(failed.parent is parent for failed in self._failed)
            stash = parent.stash
            notebook.end(passed=passed, before=stash.get(BEFORE, b""), skipped=stash.get(SKIPPED, set()))
        finally:
            self._close_notebook()
        return result

    def _close_notebook(self) -> None:
        if self._notebook is not None:
            self._notebook.environment.undo()
        self._notebook = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; a reply that is not what it was fails the session."""
        if self._worker or self._folder is None:
            return
        # Without a result nothing need be imported.
        results = testing.load_results(self._folder) if any(self._folder.glob("*.result")) else []
        self._summary = [line for result in results for line in testing.format_result(result)]
        failed = any(result.failed for result in results)
        if (page := self._config.option.amber_report) is not None:
            rows = [row for result in results for row in result.rows]
            subtitle = f"asked again with amber_nb {amber_nb.__version__}"
            try:
                testing.write_report(page, rows, title="Drift of recorded replies", subtitle=subtitle)
                self._summary.append(f"report: {page}")
            except OSError as error:
                self._summary.append(f"the report {page} was not written: {error.strerror or error}")
                failed = True
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show what the dots do not tell."""
        if self._summary:
            terminalreporter.section("amber_nb")
        for line in self._summary:
            terminalreporter.line(line)

    def pytest_unconfigure(self) -> None:
        self._close_notebook()
        if self._folder is not None and not self._worker:
            shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture
def amber(request: pytest.FixtureRequest) -> Iterator[amber_nb.Amber]:
    """A client on the test's own cassette, `cassettes/<module>/<test>.jsonl`.

    Its mode is chosen as for notebooks: replay; with `--amber=record` the test is recorded, and kept if it passes.
    """
    plugin: Any = request.config.pluginmanager.get_plugin("amber_nb-runs")
    session: PytestSession = plugin.session()
    run = session.test_run(request.path, request.node.nodeid)
    if refusal := run.refusal():
        pytest.fail(refusal, pytrace=False)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AMBER_JOURNAL", str(run.journal))
        client = amber_nb.Amber(**run.arguments)
    yield client
    client.close()
    with session.closing(run):
        run.collect()
        if run.mode == "live":
            testing.compare_run(run, [run.exchanges], session.compare, {})
        run.close(complete=request.node.stash.get(PASSED, False))


def _is_nbval(collector: pytest.Collector | pytest.Item | None) -> bool:
    # By what nbval's collectors have, not by their class: nbval need not be installed.
    return collector is not None and hasattr(collector, "skip_compare") and collector.path.suffix == ".ipynb"
