"""Where one answer is shown while it is written, and the static form that takes its place in the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from ..types import encodable
from .escape import shorten, visible
from .html import answer_html
from .live import StreamView
from .strip import StripItem

__all__ = ["Stage"]

HELLO_S = 1.0  # a view that has not reported for duty by then has no front end that can show it
BUSY_S = 10.0  # the same, where another view has: this front end can, and is only slow with many at once
REFRESH_S = 0.5  # of the safe HTML that stands in for it
NO_VIEW = "The live view is not available here: install amber_nb where JupyterLab's server runs, and reload the page."


class Stage:
    """Made, ticked and settled in the thread of the cell; fed from any.

    Args:
        model: for the status line.
        badge: such as "simulated".
        strip: the images that were sent, as the live view shows them.
        head: the same as safe HTML, for where no view comes to the page.
        on_stop: called once, in any thread, when the reader stops the answer.
    """

    rest_s = 0.15  # seconds between two reads that the view makes one movement of
    _greeted: ClassVar[bool] = False  # a view of this kernel has reported for duty before

    def __init__(
        self,
        *,
        model: str,
        badge: str | None,
        strip: Sequence[StripItem] = (),
        head: str = "",
        on_stop: Callable[[], None],
    ) -> None:
        self._badge = badge
        self._head = head
        self._view = StreamView(model=model, badge=badge, strip=strip, on_stop=on_stop)
        self.every_s = 0.5 if self._view.hears else 0.1  # seconds between two ticks; Stop must not wait for long
        self._pieces: list[str] = []
        self._began = time.monotonic()
        self._refresh_at = 0.0
        self._shown = 0
        self._activity = ""
        self._handle = sys.modules["IPython"].display.display(self._view, display_id=True)

    def feed(self, text: str) -> None:
        """Add text."""
        self._pieces.append(text)
        self._view.feed(text)

    def tick(self, activity: str = "") -> None:
        """Note what the model does; where no view has come to the page, show the text so far as safe HTML."""
        if activity != self._activity:
            self._activity = activity
            self._view.note(visible(shorten(activity, 60)))
        hears = self._view.listen()
        if self._view.hello.is_set():
            Stage._greeted = True
            if self._shown:  # it came late, on a busy machine: back to the live view
                self._shown = 0
                self._handle.update(self._view)
            return
        if not hears:  # ipykernel 6, asked in a thread: no greeting can come, so its absence tells nothing
            return
        now = time.monotonic()
        if now - self._began < (BUSY_S if Stage._greeted else HELLO_S) or now < self._refresh_at:
            return
        count = len(self._pieces)
        if count == self._shown:
            return
        self._shown = count
        text = "".join(self._pieces[:count])
        html = answer_html(text, badge=self._badge, head=self._head, notice=NO_VIEW)
        self._handle.update({"text/html": html, "text/plain": encodable(text[-2_000:])}, raw=True)
        took = time.monotonic() - now  # of a long answer, seconds: most of the time belongs to the reading
        self._refresh_at = now + max(REFRESH_S, 10 * took)

    def settle(self, bundle: Mapping[str, str]) -> None:
        """Put the static form in the view's place, and close the view."""
        self._handle.update(dict(bundle), raw=True)
        self._view.close()
