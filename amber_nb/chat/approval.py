"""Ask the reader whether a tool call may run: with a card in the cell, or at the keyboard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .. import clock, display, tools
from ..display.approval_form import describe_defaults, describe_tool, warning_of
from ..display.escape import shorten, show_controls
from ..errors import ToolError
from ..redact import HIDDEN, redact, restore
from ..types import Allow, Deny, ToolCall
from .execute import CellExecutor, UserCodeError

__all__ = ["Approval", "ApprovalPrompt"]

_MAX_ARGUMENT_CHARS = 2_000  # of a call that is shown at the keyboard
_PAGE_CHECK_S = 5.0  # between two looks whether a page is there
_NO_PAGE_S = 120.0  # without a sign of life of any page, after which a call is denied
_CARD_CHECK_S = 0.05  # between two looks whether a page shows the card


Check: TypeAlias = Callable[[Mapping[str, Any]], str]  # returns what is wrong with edited arguments, or ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A decision on a call, and who made it; with `always` it holds for all later calls."""

    decision: Allow | Deny
    by: str
    always: bool = False


class ApprovalPrompt:
    """Ask the reader of an answer about its tool calls.

    Args:
        executor: runs the prompt at the keyboard on the cell's thread.
        view: the live display of the answer, or None.
        can_type: whether the reader can be asked with `input`.
        timeout_s: how long to wait for a decision; None: as long as it takes.
    """

    def __init__(
        self,
        executor: CellExecutor,
        view: display.NotebookDisplay | display.TerminalDisplay | None,
        *,
        can_type: bool,
        timeout_s: float | None,
    ) -> None:
        self._executor = executor
        self._view = view
        self._can_type = can_type
        self._timeout_s = timeout_s
        self._keyboard = asyncio.Lock()  # two questions at one keyboard would read each other's answers
        self._allowed_all = False  # then the questions that wait for the keyboard are not asked

    async def decide(self, call: ToolCall, index: int, tool: tools.Tool, check: Check) -> Approval:
        """Ask the reader: with a card in the cell, or at the keyboard where no page shows a card.

        Args:
            call: the call, its arguments checked.
            index: of the call, in its `ToolProgress`.
            tool: the tool that it calls.
            check: returns what is wrong with edited arguments, or "".

        Raises:
            ToolError: there is no reader.
        """
        try:
            approval = None
            if isinstance(self._view, display.NotebookDisplay):
                approval = await self._ask_on_page(self._view, call, index, tool, check)
            return approval or await self._ask_at_keyboard(call, tool, check)
        except TimeoutError:
            return Approval(Deny(f"nobody decided within {self._timeout_s:g} s"), "timeout")

    async def _ask_at_keyboard(self, call: ToolCall, tool: tools.Tool, check: Check) -> Approval:
        if not self._can_type:
            is_shown = isinstance(self._view, display.NotebookDisplay)
            raise _no_approval(
                call,
                f"and {'no page here can ask for it' if is_shown else 'nobody is here to give it'}. Give a policy: "
                "require_approval=lambda call: call.name in {…}, or Allow and Deny.",
            )
        async with self._keyboard:
            if self._allowed_all:
                return Approval(Allow(), "reader", always=True)
            try:
                approval: Approval = await self._executor.run_in_cell(
                    lambda: _prompt(call, tool, check), self._timeout_s
                )
            except UserCodeError as failure:  # a front end without an input line
                name = type(failure.error).__name__
                raise _no_approval(
                    call, f"and it cannot be asked for here ({name}). Give a policy: require_approval=…"
                ) from None
            self._allowed_all = approval.always
            return approval

    async def _ask_on_page(
        self,
        view: display.NotebookDisplay,
        call: ToolCall,
        index: int,
        tool: tools.Tool,
        check: Check,
    ) -> Approval | None:
        """Return the decision of the reader on the page; None where no page has shown the card in time."""
        future = view.ask(
            call, index, spec=tool.spec, check=check, defaults=tool.defaults(), warning=warning_of(tool.read_only)
        )
        since = clock.monotonic()
        while not (future.done() or view.is_seen(index)):
            if view.has_page:  # it may be loading again: a question at the keyboard would reach nobody
                if view.silent_s > _NO_PAGE_S:
                    return self._no_page(view, index)
            elif view.has_waited(since):
                view.withdraw(index)
                return None
            await clock.sleep_async(_CARD_CHECK_S)
        async with clock.timeout(self._timeout_s):  # counted from when the reader can see the card
            answer = asyncio.wrap_future(future)
            while not await _is_done_within(answer, _PAGE_CHECK_S):
                if view.silent_s > _NO_PAGE_S:  # the kernel would wait for nobody
                    return self._no_page(view, index)
            if answer.cancelled():  # all widgets were closed, and the card with them
                return Approval(Deny("its card was closed before anybody decided"), "timeout")
            decision, always = answer.result()
        return Approval(decision, "reader", always)

    def _no_page(self, view: display.NotebookDisplay, index: int) -> Approval:
        view.withdraw(index)
        return Approval(Deny(f"no page was there to decide on it for {_NO_PAGE_S:g} s"), "timeout")


async def _is_done_within(future: asyncio.Future[Any], seconds: float) -> bool:
    pause = asyncio.ensure_future(clock.sleep_async(seconds))
    try:
        await asyncio.wait({future, pause}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        pause.cancel()
    return future.done()


def _no_approval(call: ToolCall, why: str) -> ToolError:
    return ToolError(f"{call.name} needs approval, {why}", name=call.name, arguments=call.arguments)


def _describe_call(name: str, arguments: Any) -> str:
    text = shorten(json.dumps(arguments, ensure_ascii=False), _MAX_ARGUMENT_CHARS)
    return show_controls(f"amber: the model wants to call {name}({text})")


def _prompt(call: ToolCall, tool: tools.Tool, check: Check) -> Approval:
    """Ask with `input`: allow, deny, or other arguments as JSON."""
    hidden_arguments = redact(call.arguments)
    print(_describe_call(call.name, hidden_arguments))
    notes = (describe_tool(tool.spec), describe_defaults(call, tool.spec, tool.defaults()), warning_of(tool.read_only))
    for line in "\n".join(filter(None, notes)).splitlines():
        print(f"  {line}".rstrip())
    hidden = hidden_arguments != call.arguments
    show = "[s]how what is hidden (the output keeps it), " if hidden else ""
    while True:
        line = input(f"Allow? [y]es, [n]o, [a]ll of this answer, {show}or other arguments as JSON: ").strip()
        if hidden and line.lower() in ("s", "show"):  # the reader must be able to see what is allowed
            print(_describe_call(call.name, call.arguments))
            continue
        if line.lower() in ("y", "yes"):
            return Approval(Allow(), "reader")
        if line.lower() in ("a", "all"):
            return Approval(Allow(), "reader", always=True)
        if line.lower() in ("n", "no"):
            return Approval(Deny(input("Why? (the model is told; may be empty) ").strip()), "reader")
        if not line.startswith("{"):
            continue
        try:
            arguments = json.loads(line)
        except ValueError as error:
            print(f"This is no JSON: {error}")
            continue
        arguments = restore(arguments, call.arguments)
        before, after = (json.dumps(each, ensure_ascii=False) for each in (call.arguments, arguments))
        if HIDDEN in after and HIDDEN not in before:
            print(f"Write the secrets out where {HIDDEN} stands: it cannot be told which one belongs there.")
            continue
        if wrong := check(arguments):
            print(show_controls(wrong))
            continue
        return Approval(Allow(arguments), "reader")
