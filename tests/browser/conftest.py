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
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright import sync_api

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Whether the notebook's kernel is connected within 20 s: a reply that got lost would be waited for for ever.
READY = """async () => {
  const connected = async () => {
    const context = jupyterapp.shell.currentWidget.sessionContext;
    await context.ready;
    await context.session.kernel.info;
    while (context.session.kernel.connectionStatus !== 'connected') await new Promise(r => setTimeout(r, 20));
    return true;
  };
  return Promise.race([connected(), new Promise(r => setTimeout(r, 20_000, false))]);
}"""
OPENED = pytest.StashKey["Notebook"]()


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


@dataclass
class Notebook:
    """A notebook in a page of JupyterLab."""

    page: Any
    path: pathlib.Path
    requests: list[str] = field(default_factory=list)

    def run(self, index: int = 0, *, wait: bool = False) -> None:
        """Run one cell with the keyboard, as a reader does; `wait` until the kernel has finished it."""
        self.cell(index).locator(".cm-content").first.click()
        self.page.keyboard.press("Control+Enter")
        if wait:
            self.finished(index)

    def finished(self, index: int = 0, timeout_s: float = 30) -> None:
        """Wait until a cell has its number, so has run to its end."""
        prompt = self.cell(index).locator(".jp-InputPrompt")
        sync_api.expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=timeout_s * 1000)

    def saved(self) -> dict[str, Any]:
        """Save as a reader does, and read what the file keeps."""
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            # The server writes in place: for a moment the file is new, but empty.
            if self.path.stat().st_mtime_ns != before:
                with contextlib.suppress(json.JSONDecodeError):
                    return dict(json.loads(self.path.read_text(encoding="utf-8")))
            time.sleep(0.05)
        raise AssertionError("the notebook was not saved")

    def cell(self, index: int) -> Any:
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)

    def output(self, index: int = 0) -> Any:
        return self.cell(index).locator(".jp-Cell-outputArea")


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
def browser(chromium: str) -> Iterator[Any]:
    """One Chromium for the session."""
    with sync_api.sync_playwright() as playwright:
        args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=args)
        yield browser
        browser.close()


@pytest.fixture
def notebook(
    lab: Lab, browser: Any, artefacts: pathlib.Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Opens notebooks: `notebook([source, …], theme="JupyterLab Dark")`. Their kernels end with the test."""
    contexts = []
    count = 0

    def open_notebook(cells: list[str], *, theme: str = "JupyterLab Light", **context_options: Any) -> Notebook:
        nonlocal count
        count += 1
        name = "".join(c if c.isalnum() else "-" for c in request.node.name) + f"-{count}.ipynb"
        path = lab.work / name
        path.write_text(json.dumps(_ipynb(cells)))
        return open_file(path, theme=theme, **context_options)

    def open_file(path: pathlib.Path, *, theme: str = "JupyterLab Light", **context_options: Any) -> Notebook:
        lab.theme(theme)
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | context_options)
        contexts.append(context)
        page = context.new_page()
        book = Notebook(page, path)
        request.node.stash[OPENED] = book
        page.on("request", lambda sent: book.requests.append(sent.url))
        for _ in range(3):
            page.goto(f"{lab.url}/lab/tree/{path.name}?reset")
            page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
            # Lab's indicator says "idle" before the connection is up, and forgets a cell that is run by then.
            if page.evaluate(READY):
                return book
        pytest.fail("the notebook's kernel does not answer")

    open_notebook.saved = open_file  # type: ignore[attr-defined]
    yield open_notebook
    for context in contexts:
        context.close()
    with urllib.request.urlopen(f"{lab.url}/api/sessions", timeout=10) as reply:
        sessions = json.load(reply)
    for session in sessions:
        request_ = urllib.request.Request(f"{lab.url}/api/sessions/{session['id']}", method="DELETE")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request_, timeout=10).close()


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
        with contextlib.suppress(Exception):
            book.page.screenshot(path=item.funcargs["artefacts"] / f"failed-{book.path.stem}.png")
    return report
