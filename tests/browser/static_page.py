"""A page that holds one of our widgets and a fake model, without JupyterLab, kernel or server.

It looks to the widget like a cell of a notebook in JupyterLab, in one of JupyterLab's own themes.
"""

from __future__ import annotations

import pathlib
import sysconfig
from typing import Any

from playwright import sync_api

import amber_nb

__all__ = ["StaticPage"]

HERE = pathlib.Path(__file__).parent
BUNDLES = pathlib.Path(amber_nb.__file__).parent / "display" / "static"
THEMES = pathlib.Path(sysconfig.get_path("data")) / "share/jupyter/lab/themes/@jupyterlab"
HOME = "http://widget.invalid"
SIZE = {"width": 1280, "height": 900}
# All that was painted is laid out.
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


class StaticPage:
    """A widget on a page of its own.

    Args:
        page: Playwright's, which may have been used before; it is left as it was found.
        bundle: the widget's.
        part: of an answer that the layer draws: "s", its text, or "c", its tool calls.
        theme: "light" or "dark".
        clock: whether time stands still in the page, until `page.clock` moves it.
        state: the model's.

    Attributes:
        page: Playwright's.
        requests: the addresses that the page has asked for, beside its own.
    """

    def __init__(
        self,
        page: Any,
        bundle: str = "layer",
        *,
        part: str = "s",
        theme: str = "light",
        clock: bool = False,
        **state: Any,
    ) -> None:
        self.page = page
        self.requests: list[str] = []
        self.problems: list[str] = []
        files = {
            f"/?part={part}": HERE / "static_page.html",
            "/widget.js": BUNDLES / f"{bundle}.js",
            "/widget.css": BUNDLES / f"{bundle}.css",
            "/theme.css": THEMES / f"theme-{theme}-extension" / "index.css",
        }

        def answer(route: Any) -> None:
            path = route.request.url.removeprefix(HOME)
            if path in files:
                route.fulfill(path=files[path])
            else:
                self.requests.append(route.request.url)
                route.abort()

        self._note = lambda error: self.problems.append(str(error))
        self.page.on("pageerror", self._note)
        self.page.route("**/*", answer)
        self.page.set_viewport_size(SIZE)
        if clock:
            self.page.clock.install(time=0)
        self.page.goto(f"{HOME}/?part={part}")
        if clock:
            self.page.clock.pause_at(60_000)
        self.page.evaluate("light => { document.body.dataset.jpThemeLight = light; }", str(theme == "light").lower())
        self.page.wait_for_function("window.ready")
        self.show(**state)

    def show(self, **state: Any) -> int:
        """Render the widget once more, with a model of its own; gives its number."""
        return int(self.page.evaluate("state => show(state)", state))

    def feed(self, text: str, number: int = 0) -> None:
        """Pass text on to the widget, at once."""
        self.page.evaluate("([text, number]) => models[number].feed(text)", [text, number])

    def burst(self, text: str, *, size: int, number: int = 0) -> None:
        """Pass text on in pieces, all of them at once."""
        self.page.evaluate("([text, size, number]) => stream(text, size, 0, number)", [text, size, number])

    def stream(self, text: str, *, size: int = 20, pause_ms: int = 40, number: int = 0) -> None:
        """Begin to pass text on, in pieces."""
        self.page.evaluate(
            "([text, size, pause, number]) => void stream(text, size, pause, number)", [text, size, pause_ms, number]
        )

    def receive(self, number: int = 0, **message: Any) -> None:
        """Have the widget hear a message of the kernel's."""
        self.page.evaluate("([message, number]) => models[number].receive(message)", [message, number])

    def sent(self, number: int = 0) -> list[dict[str, Any]]:
        """What the widget has said to the kernel."""
        return list(self.page.evaluate("number => models[number].sent", number))

    def settle(self, html: str, number: int = 0) -> None:
        """Close the view, and put static HTML in its place, as the kernel does in the end."""
        self.page.evaluate(
            """([html, number]) => {
                const { output, close } = models[number];
                output.innerHTML = `<div class="jp-RenderedHTMLCommon">${html}</div>`;
                close();
            }""",
            [html, number],
        )

    def output(self, number: int = 0) -> Any:
        """The output of that model."""
        return self.page.locator(".jp-OutputArea-output").nth(number)

    def painted(self) -> None:
        """Wait for two frames."""
        self.page.evaluate(PAINTED)

    def leave(self) -> None:
        """End the test's part in the page.

        Raises:
            AssertionError: there were errors in it.
        """
        self.page.remove_listener("pageerror", self._note)
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.emulate_media(forced_colors="none", reduced_motion="no-preference")
        assert self.problems == []


sync_api.expect.set_options(timeout=20_000)
