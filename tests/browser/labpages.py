"""Notebooks in pages of JupyterLab, and the pages: as one takes seconds to load, a test leaves its own to the next."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
from dataclasses import dataclass, field
from typing import Any

from patience import until
from playwright import sync_api

__all__ = ["Launcher", "Notebook", "Pages"]

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

# Lab renders an output a moment after it has come.
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
OPEN = "path => jupyterapp.commands.execute('docmanager:open', { path }).then(() => null)"
# Closing would ask whether to save. What else is open, such as a dialog, says that the page is not as it was; and one
# that was loaded again opens its first notebook once more, at some time, in front of the next test's.
CLEAR = """() => {
  for (const widget of [...jupyterapp.shell.widgets('main')]) widget.dispose();
  const isLoadedAgain = performance.getEntriesByType('navigation')[0].type === 'reload';
  return !isLoadedAgain && !document.querySelector('.jp-Dialog, .jp-Notebook, .jp-OutputArea');
}"""
THEME = """async theme => {
  const there = () => document.body.dataset.jpThemeName === theme;
  if (!there()) await jupyterapp.commands.execute('apputils:change-theme', { theme });
  while (!there()) await new Promise(r => setTimeout(r, 20));
}"""
RUN = """code => Promise.race([
  jupyterapp.shell.currentWidget.sessionContext.session.kernel
    .requestExecute({ code, silent: true, store_history: false }).done.then(({ content }) => content.status),
  new Promise(r => setTimeout(r, 20_000, 'busy: an earlier test has left a cell that runs')),
])"""
# A kernel as it was: no names, no widgets, no settings, and cells that are counted from 1.
RESET = """
import builtins, os, sys
import ipywidgets
if not hasattr(builtins, "_as_it_was"):
    builtins._as_it_was = dict(os.environ), list(sys.path), os.getcwd()
if "amber_nb.display.live" in sys.modules:
    sys.modules["amber_nb.display.live"].NotebookDisplay._open.clear()
ipywidgets.Widget.close_all()
os.environ.clear()
os.environ.update(builtins._as_it_was[0])
sys.path[:] = builtins._as_it_was[1]
os.chdir(builtins._as_it_was[2])
get_ipython().reset(new_session=True)
get_ipython().execution_count = 1
"""
SIZE = {"width": 1280, "height": 900}


@dataclass
class Notebook:
    """A notebook in a page of JupyterLab."""

    page: Any
    path: pathlib.Path
    requests: list[str] = field(default_factory=list)
    styles: list[Any] = field(default_factory=list)

    def sees(self, sent: Any) -> None:
        """Note a request of the page's."""
        self.requests.append(sent.url)

    def style(self, css: str) -> None:
        """Add a style sheet, which does not outlast the test."""
        self.styles.append(self.page.add_style_tag(content=css))

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
        self.page.evaluate(PAINTED)

    def saved(self) -> dict[str, Any]:
        """Save as a reader does, and read what the file keeps."""
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")

        def content() -> dict[str, Any] | None:
            # The server writes in place: for a moment the file is new, but empty.
            if self.path.stat().st_mtime_ns != before:
                with contextlib.suppress(json.JSONDecodeError):
                    return dict(json.loads(self.path.read_text(encoding="utf-8")))
            return None

        return until(content)

    def cell(self, index: int) -> Any:
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)

    def output(self, index: int = 0) -> Any:
        return self.cell(index).locator(".jp-Cell-outputArea")


class Pages:
    """The pages of one browser."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self._kept: Any = None
        self._blank: Any = None

    def blank(self) -> Any:
        """The page that tests without JupyterLab use one after the other."""
        if self._blank is None or self._blank.is_closed():
            self._blank = self.browser.new_context().new_page()
        return self._blank

    def close(self) -> None:
        """Close the page that is kept."""
        if self._kept is not None:
            self._kept.context.close()
            self._kept = None

    def show(
        self, url: str, path: pathlib.Path, theme: str, context_options: dict[str, Any], *, own: bool, reset: bool
    ) -> Notebook:
        """A notebook, once its kernel answers.

        Args:
            url: of the server, whose theme is `theme`; a page that is used again is told to take it.
            path: of the notebook, which is in the server's folder.
            theme: JupyterLab's name of it.
            context_options: Playwright's, for a page of its own.
            own: whether it is to be a page of its own, which is closed by the test.
            reset: whether its kernel is to forget what earlier tests have done.
        """
        book = self._shown(url, path, theme, context_options, own=own)
        if reset:
            said = book.page.evaluate(RUN, RESET)
            if said != "ok":
                book.page.context.close()
                raise AssertionError(f"the kernel cannot be reset: {said}")
        return book

    def _shown(
        self, url: str, path: pathlib.Path, theme: str, context_options: dict[str, Any], *, own: bool
    ) -> Notebook:
        book = Notebook(None, path)
        if not own:
            book.page, self._kept = self._kept, None
        if book.page is not None:
            book.page.set_viewport_size(SIZE)
            book.page.evaluate(THEME, theme)
            book.page.on("request", book.sees)
            book.page.evaluate(OPEN, path.name)
            book.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
            if book.page.evaluate(READY):
                return book
            book.page.context.close()
        context = self.browser.new_context(**{"viewport": SIZE} | context_options)
        book.page = context.new_page()
        book.page.on("request", book.sees)
        for _ in range(3):
            book.page.goto(f"{url}/lab/tree/{path.name}?reset")
            book.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
            # Lab's indicator says "idle" before the connection is up, and forgets a cell that is run by then.
            if book.page.evaluate(READY):
                return book
        raise AssertionError("the notebook's kernel does not answer")

    def put_back(self, book: Notebook) -> None:
        """Keep the page for the next test."""
        with contextlib.suppress(sync_api.Error):
            book.page.remove_listener("request", book.sees)
            for sheet in book.styles:
                sheet.evaluate("el => el.remove()")
            book.page.emulate_media(forced_colors="none", reduced_motion="no-preference")
            if self._kept is None and len(book.page.context.pages) == 1 and book.page.evaluate(CLEAR):
                self._kept = book.page
                return
        book.page.context.close()


class Launcher:
    """One Chromium, started when it is needed; after it was stopped, another one.

    Attributes:
        pages: of the one that runs.
    """

    def __init__(self, path: str) -> None:
        self.pages: Any = None
        self._path = path
        self._playwright: Any = None

    def start(self) -> Any:
        """Playwright's browser."""
        if self._playwright is None:
            self._playwright = sync_api.sync_playwright().start()
            args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = self._playwright.chromium.launch(executable_path=self._path, args=args)
            self.pages = Pages(browser)
        return self.pages.browser

    def stop(self) -> None:
        """End it, and the event loop of Playwright."""
        if self._playwright is not None:
            self.pages.browser.close()
            self._playwright.stop()
            self._playwright = None
