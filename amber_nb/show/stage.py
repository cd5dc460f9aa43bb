"""Where one answer is shown while it is written, and the static form that takes its place in the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

from ..types import encodable
from .html import answer_html
from .live import StreamView

__all__ = ["Stage"]

HELLO_S = 1.0  # a view that has not reported for duty by then has no front end that can show it
REFRESH_S = 0.5  # of the safe HTML that stands in for it
NO_VIEW = "The live view is not available here: install amber_nb where JupyterLab's server runs, and reload the page."


class Stage:
    """Made, ticked and settled in the thread of the cell; fed from any.

    Args:
        model: for the status line.
        badge: such as "simulated".
        on_stop: called once, in any thread, when the reader stops the answer.
    """

    every_s = 0.25  # seconds between two ticks

    def __init__(self, *, model: str, badge: str | None, on_stop: Callable[[], None]) -> None:
        self._badge = badge
        self._view = StreamView(model=model, badge=badge, on_stop=on_stop)
        self._pieces: list[str] = []
        self._began = self._refreshed = time.monotonic()
        self._shown = 0
        self._handle = sys.modules["IPython"].display.display(self._view, display_id=True)

    def feed(self, text: str) -> None:
        """Add text."""
        self._pieces.append(text)
        self._view.feed(text)

    def tick(self) -> None:
        """Where no view has come to the page, show the text so far as safe HTML."""
        if self._view.hello.is_set():
            if self._shown:  # it came late, on a busy machine: back to the live view
                self._shown = 0
                self._handle.update(self._view)
            return
        if not self._view.hears:  # ipykernel 6 in a sync cell: no greeting can come, so its absence tells nothing
            return
        now = time.monotonic()
        if now - self._began < HELLO_S or now - self._refreshed < REFRESH_S:
            return
        count = len(self._pieces)
        if count == self._shown:
            return
        self._refreshed, self._shown = now, count
        text = "".join(self._pieces[:count])
        html = answer_html(text, badge=self._badge, notice=NO_VIEW)
        self._handle.update({"text/html": html, "text/plain": encodable(text)}, raw=True)

    def settle(self, bundle: Mapping[str, str]) -> None:
        """Put the static form in the view's place, and close the view."""
        self._handle.update(dict(bundle), raw=True)
        self._view.close()
