"""Ask the reader whether a call may run, and what an MCP server asks: on a card in the cell, or at the keyboard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias

from .. import clock, display, tools
from ..display.approval_form import describe_defaults, describe_tool, refuse_input, warning_of
from ..display.cards import server_label
from ..display.escape import shorten, show_controls
from ..errors import ToolError
from ..redact import HIDDEN, redact, restore
from ..types import Allow, Deny, InputRequest, ToolCall, replace_surrogates
from .execute import CellExecutor, UserCodeError
from .input_prompt import check_of, prompt_input

__all__ = ["Approval", "ApprovalPrompt"]

_MAX_ARGUMENT_CHARS = 2_000  # of a call that is shown at the keyboard
_PAGE_CHECK_S = 5.0  # between two looks whether a page is there
_NO_PAGE_S = 120.0  # without a sign of life of any page, after which a call is denied
_CARD_CHECK_S = 0.05  # between two looks whether a page shows the card


Check: TypeAlias = Callable[[Mapping[str, Any]], str]  # returns what is wrong with edited arguments, or ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A decision on a call, and who made it; with `always` it holds for all later calls of its scope."""

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
        self._allowed: set[Hashable] = set()  # of what all is allowed: not asked where it waits for the keyboard
        self._input_locks: dict[int, asyncio.Lock] = {}  # a card holds one question of a call

    async def decide(
        self,
        call: ToolCall,
        index: int,
        tool: tools.Tool,
        check: Check,
        *,
        warning: str = "",
        scope: str = "",
        grant: Hashable = None,
    ) -> Approval:
        """Ask the reader: with a card in the cell, or at the keyboard where no page shows a card.

        Args:
            call: the call, its arguments checked.
            index: of the call, in its `ToolProgress`.
            tool: the tool that it calls.
            check: returns what is wrong with edited arguments, or "".
            warning: what the reader is warned of beside what the tool says of itself, in lines.
            scope: what "Allow all" covers, such as "all calls of search in this answer"; "": all of this answer.
            grant: what an "all" at the keyboard is remembered by; None: the scope.

        Raises:
            ToolError: there is no reader.
        """
        lines = dict.fromkeys([*warning_of(tool.read_only).splitlines(), *warning.splitlines()])
        warning = "\n".join(filter(None, lines))
        try:
            approval = None
            if isinstance(self._view, display.NotebookDisplay):
                card = self._view.ask(
                    call,
                    index,
                    spec=tool.spec,
                    check=check,
                    defaults=tool.defaults(),
                    warning=warning,
                    scope=scope,
                )
                approval = await self._wait_for_card(self._view, index, card)
            remembered = scope if grant is None else grant
            return approval or await self._ask_at_keyboard(call, tool, check, warning, scope, remembered)
        except TimeoutError:
            return Approval(Deny(f"nobody decided within {self._timeout_s:g} s"), "timeout")

    async def request_input(self, question: InputRequest, call: ToolCall, index: int) -> Allow | Deny:
        """Ask the reader what a server asks while it runs a call, as `decide` asks about calls.

        Args:
            question: the server's.
            call: that it runs.
            index: of the call, in its `ToolProgress`.

        Returns:
            `Allow` with the checked answer; `Deny` where the reader refuses, the form asks for what is given to no
            server, nobody is there, or nobody answers in time.
        """
        if refused := refuse_input(question.schema):
            return Deny(refused)
        try:
            check = check_of(question)
        except ValueError as error:
            return Deny(str(error))
        async with self._input_locks.setdefault(index, asyncio.Lock()):
            try:
                if isinstance(self._view, display.NotebookDisplay):
                    card = self._view.ask_input(question, call, index, check=check)
                    if (approval := await self._wait_for_card(self._view, index, card)) is not None:
                        return approval.decision
                return await self._type_input(question, check)
            except TimeoutError:
                return Deny(f"nobody answered within {self._timeout_s:g} s")

    async def _type_input(self, question: InputRequest, check: Check) -> Allow | Deny:
        if not self._can_type:
            return Deny("nobody is here to answer it")
        async with self._keyboard:
            try:
                decision: Allow | Deny = await self._executor.run_in_cell(
                    lambda: prompt_input(question, check), self._timeout_s
                )
            except UserCodeError as failure:  # a front end without an input line
                return Deny(f"it cannot be asked here ({type(failure.error).__name__})")
            return decision

    async def _ask_at_keyboard(
        self, call: ToolCall, tool: tools.Tool, check: Check, warning: str, scope: str, grant: Hashable
    ) -> Approval:
        if not self._can_type:
            is_shown = isinstance(self._view, display.NotebookDisplay)
            why = "no page here can ask for it" if is_shown else "nobody is here to give it"
            raise _no_approval(call, tool, why, warning)
        async with self._keyboard:
            if grant in self._allowed:
                return Approval(Allow(), "reader", always=True)
            try:
                approval: Approval = await self._executor.run_in_cell(
                    lambda: _prompt(call, tool, check, warning, scope), self._timeout_s
                )
            except UserCodeError as failure:  # a front end without an input line
                why = f"it cannot be asked for here ({type(failure.error).__name__})"
                raise _no_approval(call, tool, why, warning) from None
            if approval.always:
                self._allowed.add(grant)
            return approval

    async def _wait_for_card(
        self, view: display.NotebookDisplay, index: int, future: Future[tuple[Allow | Deny, bool]]
    ) -> Approval | None:
        """Return the decision of the reader on the page; None where no page has shown the card in time."""
        try:
            return await self._wait_for_decision(view, index, future)
        finally:
            future.cancel()  # where whoever asked is cancelled

    async def _wait_for_decision(
        self, view: display.NotebookDisplay, index: int, future: Future[tuple[Allow | Deny, bool]]
    ) -> Approval | None:
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


def _no_approval(call: ToolCall, tool: tools.Tool, why: str, warning: str) -> ToolError:
    """Return the error of a call that nobody can allow: which call it is, why it asks, and what to write."""
    of_server = f" of the MCP server {call.server!r}" if call.server else ""
    chosen = f"call.server == {call.server!r}" if call.server else f"call.name == {call.name!r}"
    asks_by_itself = tool.remote is not None and tool.require_approval is None
    remedy = ", or give the server to mcp(…, require_approval=False)" if asks_by_itself else ""
    text = (
        f"{call.name}{of_server} needs approval, and {why}. {' '.join(warning.splitlines())} Give ask a policy that "
        f"decides: require_approval=lambda call: True if {chosen} else None{remedy}."
    )
    return ToolError(" ".join(show_controls(text).split()), name=call.name, arguments=call.arguments)


def _describe_call(call: ToolCall, arguments: Any) -> str:
    text = shorten(json.dumps(arguments, ensure_ascii=False), _MAX_ARGUMENT_CHARS)
    server = server_label(call.server)
    return show_controls(f"amber: the model wants to call {call.name}{f' · {server} ' if server else ''}({text})")


def _prompt(call: ToolCall, tool: tools.Tool, check: Check, warning: str, scope: str) -> Approval:
    """Ask with `input`: allow, deny, or other arguments as JSON."""
    hidden_arguments = redact(call.arguments)
    print(_describe_call(call, hidden_arguments))
    warning = show_controls(replace_surrogates(warning))
    notes = (describe_tool(tool.spec), describe_defaults(call, tool.spec, tool.defaults()), warning)
    for line in "\n".join(filter(None, notes)).splitlines():
        print(f"  {line}".rstrip())
    hidden = hidden_arguments != call.arguments
    scope = show_controls(replace_surrogates(scope or "all of this answer"))
    covers = f"[a]{scope[1:]}" if scope.startswith("a") else f"[a]ll: {scope}"
    show = "[s]how what is hidden (the output keeps it), " if hidden else ""
    while True:
        line = input(f"Allow? [y]es, [n]o, {covers}, {show}or other arguments as JSON: ").strip()
        if hidden and line.lower() in ("s", "show"):  # the reader must be able to see what is allowed
            print(_describe_call(call, call.arguments))
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
