"""Chromium, with and without a real JupyterLab.

`static_page()` opens a page with one of our widgets and no kernel. `lab` is one server for the session, on a free port
of 127.0.0.1, with directories of its own; `notebook(cells)` opens a notebook with these cells in it and gives a
`Notebook` to drive it with; `notebook.saved(path)` opens one that is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from accessibility import SOURCE
from labpages import Launcher, Notebook, Pages
from playwright.sync_api import expect
from static_page import StaticPage

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What is only awaited may take a busy machine its time; what must be quick is measured.
expect.set_options(timeout=20_000)

OPENED = pytest.StashKey[Notebook]()
FAILED = pytest.StashKey[bool]()


@dataclass
class Lab:
    """A running server."""

    url: str
    work: pathlib.Path
    settings: pathlib.Path
    log: pathlib.Path
    kernel: str | None = None  # the id of the one that tests share
    shared: int = 0  # kernels that have been shared so far

    def call(self, method: str, path: str, content: Any = None) -> Any:
        """Ask the server's REST interface; gives what it says, as JSON."""
        data = None if content is None else json.dumps(content).encode()
        asked = urllib.request.Request(f"{self.url}/api/{path}", data, method=method)
        with urllib.request.urlopen(asked, timeout=30) as reply:
            said = reply.read()
        return json.loads(said) if said else None

    def share_kernel(self, path: pathlib.Path) -> None:
        """Connect a notebook, before it is opened, to the kernel that tests share; start that where there is none."""
        if self.kernel is None:  # it keeps the name of its first notebook: one that no test has
            self.shared += 1  # the server may still know the session of one that was ended
            name = f"shared-{self.shared}.ipynb"
            (self.work / name).write_text(json.dumps(_ipynb([])))
            self.kernel = self._connect(name, {"name": "python3"})
        self._connect(path.relative_to(self.work).as_posix(), {"id": self.kernel})

    def _connect(self, name: str, kernel: dict[str, str]) -> str:
        begun = self.call("POST", "sessions", {"path": name, "name": name, "type": "notebook", "kernel": kernel})
        return str(begun["kernel"]["id"])

    def end_kernels(self, *, shared: bool) -> None:
        """End all kernels; the shared one only if that is meant too."""
        if shared:
            self.kernel = None
        for kernel in self.call("GET", "kernels"):
            if kernel["id"] != self.kernel:
                self.call("DELETE", f"kernels/{kernel['id']}")

    def theme(self, name: str) -> None:
        """Set the theme of pages opened from now on."""
        (self.settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": name}))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser. Missing, it skips on a desk and fails in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        message = "no Chromium here: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for the session, stopped by its process id."""
    base = tmp_path_factory.mktemp("lab")
    work = base / "work"
    work.mkdir()
    port = _free_port()
    settings = base / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AMBER_", "JUPYTER", "JPY_"))}
    env |= {
        "JUPYTER_CONFIG_DIR": str(base / "config"),
        "JUPYTER_DATA_DIR": str(base / "data"),
        "JUPYTER_RUNTIME_DIR": str(base / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(base / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
        "IPYTHONDIR": str(base / "ipython"),
        # The kernel imports the package under test, installed or not.
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    log = base / "lab.log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={work}"]
    command += ["--IdentityProvider.token=", "--ServerApp.allow_root=True", "--LabApp.news_url=None"]
    command += ["--ServerApp.disable_check_xsrf=True"]  # the end of a test ends its kernels without a cookie
    command += ["--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT, cwd=work)
    url = f"http://127.0.0.1:{port}"
    try:
        _await_server(url, process, log)
        yield Lab(url, work, settings, log)
    finally:
        _stop(process)


def _await_server(url: str, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api/status", timeout=5) as reply:
            if reply.status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    # The server ends its kernels on SIGTERM; it is given the time to.
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="session")
def launcher(chromium: str) -> Iterator[Launcher]:
    """Starts the browser; `pytest_runtest_teardown` stops it where other tests follow."""
    launcher = Launcher(chromium)
    yield launcher
    launcher.stop()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """As long as Playwright runs, an event loop runs in this thread: no place for a test of anything else."""
    if "launcher" in item.funcargs and not (nextitem and nextitem.get_closest_marker("browser")):
        item.funcargs["launcher"].stop()


@pytest.fixture
def browser(launcher: Launcher) -> Any:
    """The browser; a file may have a fixture of that name, which watches it."""
    return launcher.start()


@pytest.fixture
def static_page(browser: Any, pages: Pages) -> Iterator[Callable[..., StaticPage]]:
    """Pages with one of our widgets and no kernel: `static_page(theme="dark")`.

    The first one of a test may be a page that an earlier test has used: it is loaded anew.
    """
    opened: list[StaticPage] = []

    def open_page(bundle: str = "layer", *, clock: bool = False, **how: Any) -> StaticPage:
        watched = browser is not pages.browser
        page = browser.new_context().new_page() if opened or clock or watched else pages.blank()
        opened.append(StaticPage(page, bundle, clock=clock, **how))
        return opened[-1]

    yield open_page
    for one in opened:
        try:
            one.leave()
        finally:
            if one.page is not pages.blank():
                one.page.context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core. Missing, it skips on a desk and fails in CI."""
    if not SOURCE.exists():
        message = "no axe-core here: npm ci --prefix amber_nb/display/frontend"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return SOURCE.read_text(encoding="utf-8")


@pytest.fixture
def pages(launcher: Launcher) -> Pages:
    """Pages of JupyterLab that one test leaves to the next."""
    launcher.start()
    return launcher.pages


@pytest.fixture
def notebook(
    lab: Lab, pages: Pages, browser: Any, artefacts: pathlib.Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Opens notebooks: `notebook([source, …], theme="JupyterLab Dark")`.

    Their page and their kernel may be such that an earlier test has used, and the next may use them. A page of its own
    comes with options of Playwright's, a browser that is watched, or `notebook.saved(path, own=True)`; a kernel of its
    own with the mark `fresh_kernel`, and after a test that has failed.
    """
    fresh = request.node.get_closest_marker("fresh_kernel") is not None
    books: list[tuple[Notebook, bool]] = []
    watched: dict[Any, Pages] = {}  # by the browser that is watched in this test

    def put_back() -> None:
        for book, own in books:
            if own or request.node.stash.get(FAILED, False):
                book.page.context.close()
            else:
                watched.get(browser, pages).put_back(book)
        books.clear()

    def open_notebook(cells: list[str], *, theme: str = "JupyterLab Light", **context_options: Any) -> Notebook:
        name = "".join(c if c.isalnum() else "-" for c in request.node.name) + f"-{len(books) + 1}.ipynb"
        path = lab.work / name
        path.write_text(json.dumps(_ipynb(cells)))
        return _opened(path, theme, context_options, own=bool(context_options))

    def open_file(
        path: pathlib.Path, *, theme: str = "JupyterLab Light", own: bool = False, **context_options: Any
    ) -> Notebook:
        own = own or bool(context_options)
        if not own:
            put_back()  # what was opened before is in the page that is used again
        if fresh:
            lab.end_kernels(shared=False)
        return _opened(path, theme, context_options, own=own)

    def _opened(path: pathlib.Path, theme: str, context_options: dict[str, Any], *, own: bool) -> Notebook:
        lab.theme(theme)
        there = pages if browser is pages.browser else watched.setdefault(browser, Pages(browser))
        if not fresh:
            lab.share_kernel(path)
        book = there.show(lab.url, path, theme, context_options, own=own, reset=not fresh)
        request.node.stash[OPENED] = book
        books.append((book, own))
        return book

    open_notebook.saved = open_file  # type: ignore[attr-defined]
    yield open_notebook
    put_back()
    for other in watched.values():
        other.close()
    lab.end_kernels(shared=request.node.stash.get(FAILED, False))


def _ipynb(cells: list[str]) -> dict[str, Any]:
    blank = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    code = [{**blank, "id": f"cell{i}", "source": source} for i, source in enumerate(cells)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": code, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where screenshots go: `AMBER_ARTEFACTS`, else pytest's own folder."""
    named = os.environ.get("AMBER_ARTEFACTS")
    folder = pathlib.Path(named) if named else tmp_path_factory.mktemp("artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A picture of the page says more than a timeout."""
    report = yield
    book = item.stash.get(OPENED, None)
    if report.when == "call" and report.failed and book is not None:
        item.stash[FAILED] = True
        with contextlib.suppress(Exception):
            book.page.screenshot(path=item.funcargs["artefacts"] / f"failed-{book.path.stem}.png")
    return report
