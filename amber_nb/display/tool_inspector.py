"""ToolInspector: the tool calls of an answer as they are written, decided on, run and ended.

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

A call is `{"k": key}` and what of it has changed: `o`, `t` (its arguments from there on), `name`, `server`, `round`,
`state`, `word`, `sign`, `gist`, `said`, `ran` (seconds, while it runs), `ask` (the card: `id`, `about`, `warning`,
`fields`, `scope` (what "Allow all" covers), `group` (its number), `question` (of a server: `server`, `message`); null:
none). A question is answered by `decide` with all of the values in `arguments`, or refused by `deny`.
Each message has the next number: a view that misses one says hello again. A decision that is not answered is sent
again; it counts once. Nothing secret is in what is shown, and nothing that acts.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .. import clock
from ..redact import redact_json_text
from ..types import Allow, Deny, InputRequest, ToolCall, ToolCallDelta, ToolProgress, replace_surrogates
from . import comm
from .approval_form import describe_message, describe_tool, form_fields, input_fields, input_values, parse_edited
from .cards import (
    STATUS_WORDS,
    format_arguments,
    preview,
    progress_note,
    run_facts,
    server_label,
    summarize_arguments,
)
from .escape import shorten, show_controls

__all__ = ["ToolInspector"]

_log = logging.getLogger(__name__)

MAX_CALLS = 200  # on the page; those that wait for the reader are there in any case
GAP_S = 0.1  # between two messages of a view
END_CHECK_S = 2.0  # after which a silent view is told the last number
_MAX_MESSAGE_CHARS = 2_000  # of what is wrong with arguments, and of a reason
_MAX_ARGUMENT_CHARS = 4_000
_MAX_LINE_CHARS = 300
_MAX_SUMMARY_CHARS = 100
_STATE_WORDS = {"checking": "checking", "waiting": "waiting for you", "running": "running"}

Decision = tuple[Allow | Deny, bool]  # and whether it holds for all calls that follow


@dataclass(slots=True)
class _Card:
    """A call that waits for the reader, or a server's question while it runs one."""

    id: int
    call: ToolCall  # of a question: its arguments are the values that the form begins with
    about: str  # the tool's own description
    warning: str
    fields: list[dict[str, Any]] | None
    check: Callable[[Mapping[str, Any]], str]
    future: Future[Decision]
    scope: str = ""
    group: int = 0
    question: InputRequest | None = None

    def shown(self) -> dict[str, Any]:
        shown = {"id": self.id, "about": self.about, "warning": self.warning, "fields": self.fields}
        if self.question is not None:
            message = describe_message(self.question)
            return shown | {"question": {"server": server_label(self.question.server) or "?", "message": message}}
        return shown | {"scope": self.scope, "group": self.group}


@dataclass(slots=True)
class _Call:
    """A call as it is known here, and as the page knows it."""

    name: str
    round: int
    pieces: list[str] = field(default_factory=list)  # of its arguments, while the model writes them
    progress: ToolProgress | None = None  # from when it is written to its end
    card: _Card | None = None
    server: str | None = None  # that runs it
    is_seen: bool = False  # a page has shown the card
    edited: Mapping[str, Any] | None = None  # its arguments, where the reader has edited them
    changed: bool = True  # since the page was told
    row: dict[str, Any] = field(default_factory=dict)  # as the page has it; empty: not listed there


class Pages(Protocol):
    """The pages of a kernel.

    Attributes:
        can_send: whether one may be there.
    """

    @property
    def can_send(self) -> bool: ...


class ToolInspector:
    """The tool calls of one answer on the pages of this kernel, where the reader decides on them.

    Args:
        send: sends a message to the pages.
        pages: tells whether there may be any.

    Example:
        >>> inspector = ToolInspector(send, layer)
        >>> inspector.handle(ToolProgress(index=0, …))
        >>> decision, always = inspector.ask(call, 0, spec=tool.spec, check=check).result()
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], pages: Pages) -> None:
        self._send = send
        self.pages = pages
        self.next_at = float("-inf")
        self._lock = threading.RLock()  # around all that follows; reentrant: the collector may come by
        self._calls: dict[int, _Call] = {}  # by their index
        self._asked = self._number = 0
        self._groups: dict[str, int] = {}  # the numbers of what "Allow all" covers
        self._whole_due = self._end_check_due = False
        self._closed = False
        comm.scheduler.open(self)

    def __repr__(self) -> str:
        return f"ToolInspector(calls={len(self._calls)})"

    def handle(self, event: ToolCallDelta | ToolProgress) -> None:
        """Show an event of a call; what comes too fast is sent with the next."""
        with self._lock:
            call = self._calls.setdefault(event.index, _Call(event.name, event.round))
            call.name, call.round, call.changed = event.name, event.round, True
            if isinstance(event, ToolProgress):
                call.progress = event
                call.server = call.server or event.server
                call.pieces.clear()
            else:
                call.pieces.append(event.arguments)
        self._notify()

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
    ) -> Future[Decision]:
        """Ask the reader about a call; from any thread.

        Args:
            call: what the model wants, checked.
            index: of the call, in its events.
            spec: the tool as the model knows it.
            check: returns what is wrong with edited arguments, or "". It runs on whichever thread reads the page.
            defaults: of the function's arguments, by name.
            warning: what the reader is warned of, in lines, or "".
            scope: what "Allow all" covers, such as "all calls of search in this answer"; "": all of this answer. On
                the page it allows what waits for the same scope, and nothing else.

        Returns:
            The decision, and whether it holds for all calls that follow in its scope. Cancelled, it closes the card.
        """
        with self._lock:
            group = self._groups.setdefault(scope, len(self._groups))
        card = _Card(
            id=0,
            call=call,
            about=describe_tool(spec),
            warning=show_controls(replace_surrogates(shorten(warning, _MAX_MESSAGE_CHARS))),
            fields=form_fields(call, spec, defaults or {}),
            check=check,
            future=Future(),
            scope=show_controls(replace_surrogates(scope)),
            group=group,
        )
        return self._open(card, index)

    def ask_input(
        self, question: InputRequest, call: ToolCall, index: int, *, check: Callable[[Mapping[str, Any]], str]
    ) -> Future[Decision]:
        """Ask the reader what a server asks, in the place of the call that it runs; from any thread.

        Args:
            question: its schema is one that `refuse_input` lets pass.
            call: the call that runs meanwhile.
            index: of the call, in its events.
            check: returns what is wrong with an answer, or "".

        Returns:
            `Allow` with the answer, or `Deny`; and False. Cancelled, it closes the card.
        """
        asked = replace(call, arguments=input_values(question.schema))
        fields = input_fields(question.schema)
        return self._open(_Card(0, asked, "", "", fields, check, Future(), question=question), index)

    def _open(self, card: _Card, index: int) -> Future[Decision]:
        self.withdraw(index)
        with self._lock:
            if self._closed:
                card.future.cancel()
                return card.future
            self._asked += 1
            card.id = self._asked
            shown = self._calls.setdefault(index, _Call(card.call.name, 1))
            shown.card, shown.is_seen, shown.changed = card, False, True
            shown.server = shown.server or card.call.server
        self._notify()
        card.future.add_done_callback(lambda _: self._remove(shown, card))
        return card.future

    def is_seen(self, index: int) -> bool:
        """Return whether a page has shown the card of this call and said so."""
        return index in self._calls and self._calls[index].is_seen

    def withdraw(self, index: int) -> None:
        """Take a card off the page; what waits for its decision is cancelled."""
        card = self._calls[index].card if index in self._calls else None
        if card is not None:
            card.future.cancel()

    def close(self) -> None:
        """Send nothing any more; what waits for a decision is cancelled. May be called again, from any thread."""
        comm.scheduler.close(self)
        with self._lock:
            self._closed = True
            cards = [call.card for call in self._calls.values() if call.card is not None]
        for card in cards:
            card.future.cancel()

    def send_whole(self) -> None:
        """Send everything, to a page that is new."""
        self._whole_due = True
        self._notify()

    def deliver(self, now: float) -> float | None:
        """Send what has changed; called by the scheduler."""
        with self._lock:
            if self._closed or not self.pages.can_send:  # no page: the first one gets everything
                return None
            whole, self._whole_due = self._whole_due, False
            listed = {index for index, call in self._calls.items() if index < MAX_CALLS or call.card is not None}
            gone = [index for index, call in self._calls.items() if call.row and index not in listed]
            for call in self._calls.values() if whole else map(self._calls.__getitem__, gone):
                call.row, call.changed = {}, True
            changes = [change for index in sorted(listed) if (change := _take_change(index, self._calls[index]))]
            if changes or gone or whole:
                self._number += 1
                more = len(self._calls) - len(listed)
                message = {"n": self._number, "calls": changes, "gone": list(map(str, gone)), "more": more}
                self._send(message | {"whole": 1} if whole else message)
                self.next_at, self._end_check_due = now + GAP_S, True
                return now + END_CHECK_S
            if self._end_check_due and now >= self.next_at - GAP_S + END_CHECK_S:
                self._end_check_due = False
                self._send({"n": self._number})
                return None
            return self.next_at - GAP_S + END_CHECK_S if self._end_check_due else None

    def _notify(self) -> None:
        if self.pages.can_send:
            comm.scheduler.notify(self)

    def _remove(self, call: _Call, card: _Card) -> None:
        with self._lock:
            if call.card is card:
                call.card, call.changed = None, True
        self._notify()

    def receive(self, content: Mapping[str, Any]) -> None:
        """Handle a message of a page."""
        if "hello" in content:
            self.send_whole()
        elif isinstance(content.get("seen"), int):
            with self._lock:
                for call in self._find(content["seen"]):
                    call.is_seen = True
        elif isinstance(content.get("decide"), int) and isinstance(content.get("turn"), int):
            with self._lock:
                found = self._find(content["decide"])
            wrong = self._decide(found[0], content) if found else ""
            answer = {"ask": content["decide"], "turn": content["turn"]}
            self._send(answer | ({"said": wrong} if wrong else {"end": 1}))

    def _find(self, card_id: int) -> list[_Call]:
        return [call for call in self._calls.values() if call.card is not None and call.card.id == card_id]

    def _decide(self, call: _Call, content: Mapping[str, Any]) -> str:
        """Pass the decision on, or return what is wrong with it."""
        card = call.card
        if card is None:  # withdrawn meanwhile
            return ""
        decision: Allow | Deny = Allow()
        if isinstance(content.get("deny"), str):
            decision = Deny(replace_surrogates(shorten(content["deny"].strip(), _MAX_MESSAGE_CHARS)))
        elif isinstance(content.get("arguments"), str) or card.question is not None:
            try:
                edited = parse_edited(content.get("arguments") or "{}", card.call)
            except ValueError as error:
                return _to_line(f"This is no JSON: {error}", _MAX_MESSAGE_CHARS)
            if card.question is not None and edited is None:
                edited = card.call.arguments
            if edited is not None:
                if wrong := _check(card.check, edited):
                    return wrong
                decision = Allow(edited)
                if card.question is None:
                    call.edited = edited
        with contextlib.suppress(InvalidStateError):  # withdrawn meanwhile, or another page was faster
            always = content.get("all") is True and card.question is None
            card.future.set_result((decision, always))
        return ""


def _check(check: Callable[[Mapping[str, Any]], str], arguments: Mapping[str, Any]) -> str:
    try:
        return _to_line(check(arguments), _MAX_MESSAGE_CHARS)
    except Exception as error:
        # Nobody would see it raised in a message handler.
        _log.exception("edited arguments could not be checked")
        return f"they could not be checked: {type(error).__name__}"


def _take_change(index: int, call: _Call) -> dict[str, Any]:
    """Return what the page does not know of a call yet, and count it as known."""
    if not call.changed:
        return {}
    call.changed = False
    before, call.row = call.row, _row(call)
    change = {name: value for name, value in call.row.items() if name not in before or before[name] != value}
    if "t" in change:  # only what was added, where nothing else was changed
        text, had = call.row["t"], before.get("t", "")
        change |= {"o": len(had), "t": text[len(had) :]} if text.startswith(had) else {"o": 0}
    return {"k": str(index), **change} if change else {}


def _row(call: _Call) -> dict[str, Any]:
    """Return all that a page is told of a call."""
    progress = call.progress
    run = progress.run.redacted() if progress is not None and progress.run is not None else None
    arguments: Mapping[str, Any] | str
    if run is not None:
        arguments = run.arguments
    elif call.edited is not None:
        arguments = call.edited
    else:
        arguments = progress.arguments if progress is not None else _join(call.pieces)
    card = call.card
    asked = card is not None and card.question is not None and run is None
    began = progress.began if progress is not None and progress.state == "running" and not asked else None
    state = progress.state if progress is not None else "writing"
    said = preview(run, _MAX_LINE_CHARS) if run is not None else ""
    if progress is not None and not asked:
        said = said or progress_note(progress)
    return {
        "name": _to_line(call.name, 100) or "?",
        "server": server_label(run.server if run is not None and run.server else call.server),
        "round": call.round,
        "state": run.status if run is not None else "waiting" if asked else state,
        "word": run_facts(run) if run is not None else "waiting for your answer" if asked else _state_word(progress),
        "sign": STATUS_WORDS[run.status][0] if run is not None else "",
        "gist": "" if progress is None else _to_line(_summary(arguments), _MAX_SUMMARY_CHARS),
        "said": _to_line(said, _MAX_LINE_CHARS),
        "ran": None if began is None else round(max(0.0, clock.monotonic() - began), 1) if began else 0.0,
        "ask": card.shown() if card is not None else None,
        "t": _to_line(
            redact_json_text(str(arguments)) if progress is None else format_arguments(arguments), _MAX_ARGUMENT_CHARS
        ),
    }


def _join(pieces: list[str]) -> str:
    """Join as much of the arguments as is shown, once."""
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]
    return pieces[0][:_MAX_ARGUMENT_CHARS] if pieces else ""


def _state_word(progress: ToolProgress | None) -> str:
    return "writing its arguments" if progress is None else _STATE_WORDS.get(progress.state, "")


def _summary(arguments: Mapping[str, Any] | str) -> str:
    """Summarize arguments, which are read first where they are a JSON object."""
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):
            parsed = json.loads(arguments)
            arguments = parsed if isinstance(parsed, dict) else arguments
    return summarize_arguments(arguments, _MAX_SUMMARY_CHARS)


def _to_line(text: str, limit: int) -> str:
    """Return text that can travel, and of which every character is seen."""
    return show_controls(shorten(replace_surrogates(text), limit))
