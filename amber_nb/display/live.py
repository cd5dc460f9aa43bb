"""Show an answer in a cell while it is written, and put its settled form in the place of that.

The output is ordinary HTML at any time: the text so far, marked as not finished, and refreshed rarely. Where a page has
the live layer (layer.py), that draws over it; where none has, the HTML is refreshed twice a second. A front end that
may print a display once and never update it (`jupyter console`) gets the settled form alone, unless it proves a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from .. import clock
from ..types import (
    Allow,
    ChatEvent,
    Deny,
    InputRequest,
    ReasoningDelta,
    Source,
    SourcesFound,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolProgress,
    ToolRun,
    Waiting,
    replace_surrogates,
)
from . import comm
from .answer_html import answer_html, markdown_html
from .cards import StripItem, progress_note, server_label, tools_html
from .cell_output import NO_LAYER, REFRESH_S, CellOutput
from .escape import shorten, show_controls
from .live_answer import LiveAnswer
from .sources import MAX_CHARS, MAX_SHOWN, distinct

__all__ = ["NotebookDisplay"]

CARD_S = 2.0  # a card that no page has shown by then has to be asked about in another way
BUSY_S = 10.0  # the same, where a page has the layer: it is only slow with many at once
STALL_S = 2.0  # after so long without text, all of it is in the snapshot
_STATUS_CHARS = 60
_NOTE_CHARS = 100  # of a status line with what a server tells of its progress
_PLAIN_CHARS = 500  # a page writes all of the text when the notebook is saved
UNFINISHED = "still being written when this was saved"


class NotebookDisplay(CellOutput):
    """An answer in the output of a cell.

    Made and settled in the thread of the cell.

    Args:
        model: for the status line.
        badge: such as "simulated".
        strip: the images that were sent, as the live view shows them.
        head: the same as safe HTML, for the snapshots.
        tools: whether tool calls may come, and have to be decided on.
        on_stop: called once, in any thread, when the reader stops the answer.
    """

    rest_s = 0.15  # seconds between two reads that the view makes one movement of

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
        super().__init__()
        self._badge = badge
        self._head = head
        self._answer = LiveAnswer(title=model, badge=badge, strip=strip, tools=tools, on_stop=on_stop)
        self._pieces: list[str] = []
        self._length = 0
        self._tools: dict[int, ToolProgress] = {}
        self._questions: dict[int, str] = {}  # the servers that wait for an answer of the reader
        self._sources: dict[Source, None] = {}
        self._status = ""
        self._text_at = self._began  # when the last text came
        self._shown = (0, 0)  # characters of text and ended tool calls in the snapshot
        self._begin()

    @property
    def _item(self) -> LiveAnswer:
        return self._answer

    def _first_bundle(self) -> Mapping[str, str]:
        return self._snapshot("", [], UNFINISHED)

    def handle(self, event: ChatEvent) -> None:
        """Show an event; from any thread."""
        if type(event) is TextDelta:
            self._status = ""  # as the view takes it away by itself
            self._pieces.append(event.text)
            self._length += len(event.text)
            self._text_at = clock.monotonic()
            self._answer.feed(event.text)
            return
        if isinstance(event, SourcesFound):
            # A later reply names its own alone; those of a search before it stay.
            self._sources |= dict.fromkeys(event.sources)
            shown = [(shorten(each.title or "", MAX_CHARS), each.url or "") for each in distinct([*self._sources])]
            self._answer.set_sources(shown[:MAX_SHOWN])
            return
        if self._answer.calls is not None and isinstance(event, (ToolCallDelta, ToolProgress)):
            self._answer.calls.handle(event)
        if isinstance(event, ToolProgress):
            self._tools[event.index] = event
        self._show_status(self._describe(event))

    def _show_status(self, text: str) -> None:
        status = show_controls(shorten(text, _NOTE_CHARS))
        if status != self._status:
            self._status = status
            self._answer.set_note(status)

    def _describe(self, event: ChatEvent) -> str:
        """Return what goes on, for the status line."""
        if isinstance(event, ToolProgress):
            return self._describe_tools()
        if isinstance(event, ToolCallDelta):
            return shorten(f"calling {event.name}", _STATUS_CHARS)
        if isinstance(event, Waiting):
            return shorten(f"waiting {event.seconds} s ({event.reason})", _STATUS_CHARS)
        return "thinking" if isinstance(event, ReasoningDelta) else ""

    def _describe_tools(self) -> str:
        """Return what the tools do, in a few words; "" where none does anything."""
        if asking := list(self._questions.values()):
            more = f" and {len(asking) - 1} more" if len(asking) > 1 else ""
            return f"waiting for your answer to {asking[0]}{more}"
        calls = list(self._tools.values())
        for state, words in (("waiting", "waiting for your decision on"), ("running", "running")):
            found = [call for call in calls if call.state == state]
            if found:
                more = f" and {len(found) - 1} more" if len(found) > 1 else ""
                told = next(((call, note) for call in found if (note := progress_note(call))), None)
                name = shorten(told[0].name if told else found[0].name, _STATUS_CHARS // 2)
                return f"{words} {name}{more}" + (f": {told[1]}" if told else "")
        return ""

    def _refresh(self, now: float) -> float | None:
        runs = [call.run for call in list(self._tools.values()) if call.run is not None]
        count, length = len(self._pieces), self._length
        if (length, len(runs)) == self._shown:
            return now + REFRESH_S
        if self._is_drawn:
            doubled = length >= 2 * self._shown[0] and length > 0
            stalled = length > self._shown[0] and now - self._text_at >= STALL_S
            if not (doubled or stalled or len(runs) > self._shown[1]):
                return now + REFRESH_S
        elif not self._is_alone(now):
            return now + REFRESH_S
        self._shown = (length, len(runs))
        text = "".join(self._pieces[:count])
        self._update(self._snapshot(text, runs, UNFINISHED if self._answer.layer.was_greeted else NO_LAYER))
        took = clock.monotonic() - now  # of a long answer, seconds: most of the time belongs to the reading
        return now + max(REFRESH_S, 10 * took)

    def _snapshot(self, text: str, runs: Sequence[ToolRun], notice: str) -> dict[str, str]:
        """Return the static form of an answer that is not whole, with the hook for the layer."""
        body = f'<div class="amber-so-far">{markdown_html(text) if text else ""}</div>'
        head = self._head + (tools_html(runs) if runs else "") + body
        start, inner = '<div class="amber-answer">', answer_html("", badge=self._badge, head=head, notice=notice)
        html = f'{start}<div class="{self._answer.hook}">{inner.removeprefix(start)}</div>'
        plain = replace_surrogates(text[-_PLAIN_CHARS:])
        return {"text/html": html, "text/plain": f"{plain}\n[{UNFINISHED}]".lstrip()}

    def ask(
        self,
        call: ToolCall,
        index: int,
        *,
        spec: Mapping[str, Any],
        check: Callable[[Mapping[str, Any]], str],
        defaults: Mapping[str, Any] | None = None,
        warning: str = "",
        scope: str = "",
    ) -> Future[tuple[Allow | Deny, bool]]:
        """Ask the reader about a call, as `ToolInspector.ask` does; cancelled at once on a display without tools."""
        if self._answer.calls is None:
            return _cancelled()
        return self._answer.calls.ask(
            call, index, spec=spec, check=check, defaults=defaults, warning=warning, scope=scope
        )

    def ask_input(
        self, question: InputRequest, call: ToolCall, index: int, *, check: Callable[[Mapping[str, Any]], str]
    ) -> Future[tuple[Allow | Deny, bool]]:
        """Ask the reader what a server asks, as `ToolInspector.ask_input` does; the status line says so meanwhile."""
        if self._answer.calls is None:
            return _cancelled()
        future = self._answer.calls.ask_input(question, call, index, check=check)
        self._questions[index] = server_label(question.server) or "?"
        self._show_status(self._describe_tools())

        def end(_: object) -> None:
            self._questions.pop(index, None)
            self._show_status(self._describe_tools())

        future.add_done_callback(end)
        return future

    def has_waited(self, since: float) -> bool:
        """Return whether pages have had the time to show a card that was asked about at `since`."""
        if self._handle is None:  # once is enough: this front end may have no page at all
            return self._answer.layer.age_s > CARD_S
        is_slow = self._answer.layer.hello.is_set() and not self._is_deaf
        return clock.monotonic() - since > (BUSY_S if is_slow else CARD_S)

    @property
    def has_page(self) -> bool:
        """Whether pages draw what this kernel shows here, and so a card, sooner or later, and can be heard."""
        return self._handle is not None and self._answer.layer.has_drawn and not self._is_deaf

    @property
    def _is_deaf(self) -> bool:
        """Whether nothing of its page arrives while a cell runs: ipykernel 7, and a page that knows no subshells."""
        return comm.page_sessions.get(self._session or "") is False

    @property
    def silent_s(self) -> float:
        """For how many seconds no page that holds it has given a sign of life."""
        return self._answer.silent_s

    def is_seen(self, index: int) -> bool:
        """Return whether a page has shown the card of this call and said so."""
        return self._answer.calls is not None and self._answer.calls.is_seen(index)

    def withdraw(self, index: int) -> None:
        """Take a card off the page; what waits for its decision is cancelled."""
        if self._answer.calls is not None:
            self._answer.calls.withdraw(index)

    def settle(self, bundle: Mapping[str, str]) -> bool:
        """Put the settled form in the output, and end the live view; return False where there is no output for it."""
        return self._settle(bundle)


def _cancelled() -> Future[tuple[Allow | Deny, bool]]:
    future: Future[tuple[Allow | Deny, bool]] = Future()
    future.cancel()
    return future
