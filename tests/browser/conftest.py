"""A real JupyterLab, driven by Debian's Chromium.

`lab` is one server for the session, on a free port of 127.0.0.1, with directories of its own; `page` a fresh page;
`notebook(cells)` opens a notebook with these cells in it and gives a `Notebook` to drive it with;
`notebook.saved(path)` opens one that is there.
"""

from __future__ import annotations

import contextlib
import fcntl
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
from labpages import Launcher, Notebook, Pages
from playwright.sync_api import expect

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


@pytest.fixture(autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One browser test at a time, also where xdist runs several: on a small machine each would slow the other down."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "browser.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
def pages(launcher: Launcher) -> Pages:
    """Pages of JupyterLab that one test leaves to the next."""
    launcher.start()
    return launcher.pages


@pytest.fixture
def notebook(
    lab: Lab, pages: Pages, browser: Any, artefacts: pathlib.Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Opens notebooks: `notebook([source, …], theme="JupyterLab Dark")`. Their kernels end with the test.

    The page may be one that an earlier test has used, and the next may use it; not with options of Playwright's, nor
    with a browser that is watched, nor for a notebook that was saved.
    """
    books: list[tuple[Notebook, str, bool]] = []

    def open_notebook(cells: list[str], *, theme: str = "JupyterLab Light", **context_options: Any) -> Notebook:
        name = "".join(c if c.isalnum() else "-" for c in request.node.name) + f"-{len(books) + 1}.ipynb"
        path = lab.work / name
        path.write_text(json.dumps(_ipynb(cells)))
        return _opened(path, theme, context_options, own=bool(context_options) or browser is not pages.browser)

    def open_file(path: pathlib.Path, *, theme: str = "JupyterLab Light", **context_options: Any) -> Notebook:
        return _opened(path, theme, context_options, own=True)

    def _opened(path: pathlib.Path, theme: str, context_options: dict[str, Any], *, own: bool) -> Notebook:
        lab.theme(theme)
        there = pages if browser is pages.browser else Pages(browser)
        book = there.show(lab.url, path, theme, context_options, own=own)
        request.node.stash[OPENED] = book
        books.append((book, theme, own))
        return book

    open_notebook.saved = open_file  # type: ignore[attr-defined]
    yield open_notebook
    for book, theme, own in books:
        if own or request.node.stash.get(FAILED, False):
            book.page.context.close()
        else:
            pages.put_back(book, theme)
    with urllib.request.urlopen(f"{lab.url}/api/sessions", timeout=10) as reply:
        sessions = json.load(reply)
    for session in sessions:
        request_ = urllib.request.Request(f"{lab.url}/api/sessions/{session['id']}", method="DELETE")
        urllib.request.urlopen(request_, timeout=20).close()


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
