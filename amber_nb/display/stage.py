"""Where one answer is shown while it is written, and the static form that takes its place in the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, ClassVar

import ipywidgets  # type: ignore[import-untyped]
import traitlets

from .. import clock
from ..types import Allow, Deny, ToolCall, ToolStep, replace_surrogates
from .cards import StripItem, tools_html
from .escape import shorten, show_controls
from .html import answer_html
from .inspector import ToolInspector
from .live import StreamView

__all__ = ["Stage"]

CARD_S = 2.0  # a card that no page has shown by then has to be asked about in another way
HELLO_S = 1.0  # a view that has not reported for duty by then has no front end that can show it
BUSY_S = 10.0  # the same, where another view has: this front end can, and is only slow with many at once
REFRESH_S = 0.5  # of the safe HTML that stands in for it
NO_VIEW = "The live view is not available here: install amber_nb where JupyterLab's server runs, and reload the page."


class _Both(ipywidgets.VBox):  # type: ignore[misc]
    """The tools above the text, as one output: what settles is one bundle in one place."""

    layout = traitlets.Any(None, allow_none=True).tag(sync=True)  # a Layout is one more object to close


class Stage:
    """Made, ticked and settled in the thread of the cell; fed from any.

    Args:
        model: for the status line.
        badge: such as "simulated".
        strip: the images that were sent, as the live view shows them.
        head: the same as safe HTML, for where no view comes to the page.
        tools: whether calls of tools may come, and have to be decided on.
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
        tools: bool = False,
        on_stop: Callable[[], None],
    ) -> None:
        self._badge = badge
        self._head = head
        self._view = StreamView(model=model, badge=badge, strip=strip, on_stop=on_stop)
        self.every_s = 0.5 if self._view.hears else 0.1  # seconds between two ticks; Stop must not wait for long
        self._pieces: list[str] = []
        self._began = clock.monotonic()
        self._refresh_at = 0.0
        self._shown = (0, 0)  # pieces of text, and calls of tools that were over
        self._activity = ""
        self._inspector = ToolInspector() if tools else None
        self._page: Any = self._view
        if self._inspector is not None:
            self._page = _Both([self._inspector, self._view], _dom_classes=("amber-both",))
        self._handle = sys.modules["IPython"].display.display(self._page, display_id=True)

    def feed(self, text: str) -> None:
        """Add text."""
        self._pieces.append(text)
        self._view.feed(text)

    def tick(self, activity: str = "", steps: Sequence[ToolStep] = ()) -> None:
        """Note what the model and its tools do; where no view has come, show the text so far as safe HTML."""
        activity = _doing(steps) or activity
        if activity != self._activity:
            self._activity = activity
            self._view.note(show_controls(shorten(activity, 60)))
        hears = self._view.listen()
        if self._inspector is not None:
            self._inspector.show(steps)
            self._inspector.listen()
        if self._view.hello.is_set():
            Stage._greeted = True
            if any(self._shown):  # it came late, on a busy machine: back to the live view
                self._shown = (0, 0)
                self._handle.update(self._page)
            return
        if not hears:  # ipykernel 6, asked in a thread: no greeting can come, so its absence tells nothing
            return
        now = clock.monotonic()
        if now - self._began < (BUSY_S if Stage._greeted else HELLO_S) or now < self._refresh_at:
            return
        count, runs = len(self._pieces), [step.run for step in steps if step.run is not None]
        if (count, len(runs)) == self._shown:
            return
        self._shown = (count, len(runs))
        text = "".join(self._pieces[:count])
        head = self._head + (tools_html(runs) if runs else "")
        html = answer_html(text, badge=self._badge, head=head, notice=NO_VIEW)
        self._handle.update({"text/html": html, "text/plain": replace_surrogates(text[-2_000:])}, raw=True)
        took = clock.monotonic() - now  # of a long answer, seconds: most of the time belongs to the reading
        self._refresh_at = now + max(REFRESH_S, 10 * took)

    def ask(
        self,
        call: ToolCall,
        step: ToolStep,
        *,
        spec: Mapping[str, Any],
        check: Callable[[Mapping[str, Any]], str],
    ) -> Future[tuple[Allow | Deny, bool]]:
        """Ask the reader about a call, as `ToolInspector.ask` does; cancelled at once on a stage without tools."""
        if self._inspector is not None:
            return self._inspector.ask(call, step, spec=spec, check=check)
        future: Future[tuple[Allow | Deny, bool]] = Future()
        future.cancel()
        return future

    @property
    def patience_s(self) -> float:
        """How long a page may take to show a card, in seconds."""
        return BUSY_S if Stage._greeted else CARD_S

    def heard(self, key: str) -> bool:
        """Whether a page has shown the card of this call and said so."""
        return self._inspector is not None and self._inspector.heard(key)

    def withdraw(self, key: str) -> None:
        """Take a card off the page; what waits for its decision is cancelled."""
        if self._inspector is not None:
            self._inspector.withdraw(key)

    def settle(self, bundle: Mapping[str, str]) -> None:
        """Put the static form in the view's place, and close the view."""
        self._handle.update(dict(bundle), raw=True)
        self._view.close()
        if self._inspector is not None:
            self._page.close()
            self._inspector.close()


def _doing(steps: Sequence[ToolStep]) -> str:
    """What the tools do, in a few words; nothing where none does anything."""
    for state, words in (("waiting", "waiting for your decision on"), ("running", "running")):
        names = [step.name for step in steps if step.state == state]
        if names:
            return f"{words} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    return ""
