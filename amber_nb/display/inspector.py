"""ToolInspector: the calls of an answer's tools as they are written, decided on, run and ended.

The protocol, in full:

    view → kernel   {"hello": view}                      answered by everything
                    {"seen": ask}                        the card is on the page
                    {"decide": ask, "turn": n, "arguments": JSON or null, "all": bool}      allow; null: nothing changed
                    {"decide": ask, "turn": n, "deny": reason}
    kernel → view   {"n": number, "calls": [call], "gone": [key], "more": calls that are not listed}
                    {"n": number, "whole": 1, …}         the same, and these are all there are
                    {"n": number}                        the last number, for a view that has missed the end
                    {"ask": ask, "turn": n, "said": what is wrong with the arguments}
                    {"ask": ask, "turn": n, "end": 1}    it is decided on, by this message or before

A call is `{"k": key}` and what of it has changed: `o`, `t` (its arguments from there on), `name`, `round`, `state`,
`word`, `sign`, `gist`, `said`, `ran` (seconds, while it runs), `ask` (the card: `id`, `fields`; null: none). Each
message has the next number: a view that misses one says hello again. A decision that is not answered is sent again; it
counts once.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import pathlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any, ClassVar

import anywidget
import traitlets

from .. import clock
from ..types import Allow, Deny, ToolCall, ToolStep, replace_surrogates
from .approval_form import edited, fields
from .escape import shorten
from .hearing import Ear, let_through
from .toolrows import change, row, shown

__all__ = ["ToolInspector"]

_log = logging.getLogger(__name__)
_STATIC = pathlib.Path(__file__).parent / "static"

MOST_CALLS = 200  # on the page; those that wait for the reader are there in any case
EVERY_S, MOST_SENDS = 1.0, 10  # of one view
MOST_OF_ALL = 50  # of all views in a second: Jupyter drops what is too much, and the answers want to come through
CHECK_S = 2.0  # after which a silent view is told the last number
_LONGEST = 2_000  # characters of what is wrong, and of a reason

Decided = tuple[Allow | Deny, bool]


@dataclass(slots=True)
class _Card:
    """A call that waits for the reader."""

    id: int
    call: ToolCall
    form: list[dict[str, Any]] | None
    check: Callable[[Mapping[str, Any]], str]
    future: Future[Decided]


class ToolInspector(anywidget.AnyWidget):
    """A live view of the calls of one answer, and where the reader decides on them.

    Attributes:
        hello: Set when a browser has the view on its page.
        hears: Whether the kernel hears that by itself in a cell that is running. ipykernel 6 does not: there whoever
            made the view calls `listen` now and then.

    Example:
        >>> inspector = ToolInspector()
        >>> display(inspector)
        >>> inspector.show(steps)
        >>> decision, always = inspector.ask(call, step, spec=tool.spec, check=check).result()
    """

    _esm: ClassVar[pathlib.Path] = _STATIC / "inspector.js"
    _css: ClassVar[pathlib.Path] = _STATIC / "inspector.css"
    # A Layout is a widget of its own: two more messages for each answer, and one object more to close.
    layout = traitlets.Any(None, allow_none=True).tag(sync=True)
    _sends: ClassVar[deque[float]] = deque(maxlen=MOST_OF_ALL)

    def __init__(self) -> None:
        self.hello = threading.Event()
        self._context = contextvars.copy_context()
        self._lock = threading.RLock()  # around all that follows; reentrant: the collector may come by
        self._steps: tuple[ToolStep, ...] = ()
        self._shown: dict[str, dict[str, Any]] = {}  # what the page has of each call
        self._marks: dict[str, tuple[object, ...]] = {}  # as long as these are the same, so is what is shown
        self._cards: dict[str, _Card] = {}  # by the call's key
        self._seen: set[str] = set()
        self._changed: dict[str, Mapping[str, Any]] = {}  # arguments as the reader has edited them
        self._asked = self._number = 0
        self._times: deque[float] = deque(maxlen=MOST_SENDS)
        self._checked = True
        self._closed = False
        super().__init__()
        self.hears = let_through(self.comm)
        self._ear = None if self.hears else Ear(self.comm)
        self.on_msg(self._heard)

    def __repr__(self) -> str:
        return f"ToolInspector(calls={len(self._steps)})"

    def show(self, steps: Sequence[ToolStep]) -> None:
        """Show these calls; what has not changed is not sent, and what comes too fast is sent with the next."""
        with self._lock:
            self._steps = tuple(steps)
            now = clock.monotonic()
            if not any(len(times) == times.maxlen and now - times[0] < EVERY_S for times in (self._times, self._sends)):
                self._tell(now)

    def ask(
        self,
        call: ToolCall,
        step: ToolStep,
        *,
        spec: Mapping[str, Any],
        check: Callable[[Mapping[str, Any]], str],
    ) -> Future[Decided]:
        """Ask the reader about a call; from any thread.

        Args:
            call: what the model wants, checked.
            step: the same as it is shown.
            spec: the tool as the model knows it.
            check: gives what is wrong with edited arguments, or "". It runs on whichever thread hears the page.

        Returns:
            The decision, and whether it holds for all calls that follow. Cancelled, it closes the card.
        """
        future: Future[Decided] = Future()
        form = fields(call, spec)
        self.withdraw(step.key)
        with self._lock:
            if self._closed:
                future.cancel()
                return future
            self._asked += 1
            card = self._cards[step.key] = _Card(self._asked, call, form, check, future)
            if all(one is not step for one in self._steps):
                self._steps = (*self._steps, step)
            self._tell(clock.monotonic())
        future.add_done_callback(lambda _: self._over(step.key, card))
        return future

    def heard(self, key: str) -> bool:
        """Whether a page has shown the card of this call and said so."""
        return key in self._seen

    def withdraw(self, key: str) -> None:
        """Take a card off the page; what waits for its decision is cancelled."""
        card = self._cards.get(key)
        if card is not None:
            card.future.cancel()

    def listen(self) -> bool:
        """Hear what the browser has said, where the kernel does not by itself; False where that is impossible too."""
        if self._ear is None:
            return True
        said = self._ear.listen()
        for content in said or ():
            self._heard(self, content, ())
        return said is not None

    def close(self) -> None:
        """Take the view off the page; what waits for a decision is cancelled. May be called again, from any thread."""
        if "_lock" not in self.__dict__:  # the constructor has failed, and this is the collector
            return
        with self._lock:
            self._closed = True
            cards = list(self._cards.values())
        for card in cards:
            card.future.cancel()
        with self._lock:
            super().close()

    # --- to the page

    def _tell(self, now: float, *, whole: bool = False) -> None:
        """Send what has changed; on `whole` everything."""
        if self._closed or (self.hears and not self.hello.is_set()):  # nobody listens; a greeting gets everything
            return
        if whole:
            self._shown.clear()
            self._marks.clear()
        steps = [step for n, step in enumerate(self._steps) if n < MOST_CALLS or step.key in self._cards]
        calls = [one for step in steps if (one := self._change(step))]
        gone = list(self._shown.keys() - {step.key for step in steps})
        for key in gone:
            del self._shown[key], self._marks[key]
        if calls or gone or whole:
            self._number += 1
            self._checked = False
            more = len(self._steps) - len(steps)
            message = {"n": self._number, "calls": calls, "gone": gone, "more": more}
            self._post(message | {"whole": 1} if whole else message, now)
        elif not self._checked and now - self._times[-1] >= CHECK_S:
            self._checked = True
            self._post({"n": self._number}, now)

    def _post(self, message: Mapping[str, Any], now: float) -> None:
        self._times.append(now)
        self._sends.append(now)
        # A context may be entered once at a time.
        self._context.copy().run(self.send, message)

    def _change(self, step: ToolStep) -> dict[str, Any]:
        """What of a call the page does not know yet."""
        card = self._cards.get(step.key)
        state, run = step.state, step.run
        mark = (state, len(step.arguments), step.name, id(run), card and card.id, step.key in self._changed)
        if self._marks.get(step.key) == mark:
            return {}
        self._marks[step.key] = mark
        had = self._shown.get(step.key, {})
        asked = {"id": card.id, "fields": card.form} if card is not None else None
        has = self._shown[step.key] = row(step, self._changed.get(step.key), asked)
        found = change(had, has)
        return {"k": step.key, **found} if found else {}

    def _over(self, key: str, card: _Card) -> None:
        with self._lock:
            if self._cards.get(key) is card:
                del self._cards[key]
                self._tell(clock.monotonic())

    # --- from the page

    def _heard(self, _widget: object, content: object, _buffers: object) -> None:
        if not isinstance(content, dict):
            return
        if "hello" in content:
            with self._lock:
                self.hello.set()
                self._tell(clock.monotonic(), whole=True)
        elif isinstance(content.get("seen"), int):
            with self._lock:
                self._seen |= {key for key, card in self._cards.items() if card.id == content["seen"]}
        elif isinstance(content.get("decide"), int) and isinstance(content.get("turn"), int):
            with self._lock:
                found = [(key, card) for key, card in self._cards.items() if card.id == content["decide"]]
            said = self._decided(*found[0], content) if found else ""
            answer = {"ask": content["decide"], "turn": content["turn"]}
            self._context.copy().run(self.send, answer | ({"said": said} if said else {"end": 1}))

    def _decided(self, key: str, card: _Card, content: Mapping[str, Any]) -> str:
        """Pass the decision on; or say what is wrong with it."""
        decision: Allow | Deny = Allow()
        if isinstance(content.get("deny"), str):
            decision = Deny(replace_surrogates(shorten(content["deny"].strip(), _LONGEST)))
        elif isinstance(content.get("arguments"), str):
            try:
                changed = edited(content["arguments"], card.call)
            except ValueError as error:
                return shown(f"This is no JSON: {error}", _LONGEST)
            if changed is not None:
                if wrong := _checked(card.check, changed):
                    return wrong
                decision = Allow(changed)
                with self._lock:
                    self._changed[key] = changed
        with contextlib.suppress(InvalidStateError):  # withdrawn meanwhile, or another page was faster
            card.future.set_result((decision, content.get("all") is True))
        return ""


def _checked(check: Callable[[Mapping[str, Any]], str], arguments: Mapping[str, Any]) -> str:
    try:
        return shown(check(arguments), _LONGEST)
    except Exception as error:
        # Nobody would see it raised in a message handler.
        _log.exception("edited arguments could not be checked")
        return f"they could not be checked: {type(error).__name__}"
