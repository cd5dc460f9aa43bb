"""What must happen in the cell that asks: run code on its thread and its event loop, and ask its reader."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any

from .. import clock, display
from ..display.escape import shorten, show_controls
from ..errors import ToolError
from ..redact import HIDDEN, redact, restore
from ..types import Allow, Deny, ToolCall, ToolStep
from ..wire import event_loop
from ..wire.event_loop import Waker
from .execute import UserCodeError
from .tool_calls import Approval

__all__ = ["CellExecutor"]

_MAX_ARGUMENT_CHARS = 2_000  # of a call that is shown at the keyboard
_CARD_CHECK_S = 0.05  # between two looks whether a page shows the card


class CellExecutor:
    """Run code on the cell's thread and on the caller's event loop, and ask the reader for approval.

    Work for the cell's thread waits until the caller, which waits for the answer, calls `run_pending` in its tick.

    Args:
        view: the live display of the answer, or None.
        waker: wakes the waiting caller.
        loop: the event loop of a caller that awaits; None for a sync caller.
        can_type: whether the reader can be asked with `input`.
        timeout_s: how long to wait for a decision; None: as long as it takes.
    """

    def __init__(
        self,
        view: display.Stage | display.TextStage | None,
        waker: Waker,
        loop: asyncio.AbstractEventLoop | None,
        *,
        can_type: bool,
        timeout_s: float | None,
    ) -> None:
        self._view = view
        self._waker = waker
        self._loop = loop
        self._can_type = can_type
        self._timeout_s = timeout_s
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._keyboard = asyncio.Lock()  # two questions at one keyboard would read each other's answers
        self._allowed_all = False  # then the questions that wait for the keyboard are not asked

    def run_pending(self) -> None:
        """Run the work that waits for the cell's thread; to be called on that thread."""
        while self._jobs:
            work, future = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except KeyboardInterrupt:  # the reader interrupts the cell: the waiting caller ends the whole ask
                raise
            except BaseException as error:
                future.set_exception(UserCodeError(error))
            else:
                future.set_result(result)

    async def run_in_cell(self, work: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """Run a function on the cell's thread; its time counts from when it begins there."""
        here = asyncio.get_running_loop()
        future: Future[Any] = Future()
        async with clock.timeout(None) as limit:

            def count(seconds: float) -> None:
                with contextlib.suppress(RuntimeError):  # it has ended already
                    limit.extend(seconds)

            def timed_work() -> Any:
                if timeout_s is not None:
                    here.call_soon_threadsafe(count, timeout_s)
                return work()

            self._jobs.append((timed_work, future))
            self._waker.notify()
            return await asyncio.wrap_future(future)

    async def await_on_caller_loop(self, make: Callable[[], Awaitable[Any]]) -> Any:
        """Await what a function makes, on the caller's event loop, or on the tool loop if the caller is synchronous."""
        cancelled_here = False  # the user's code may also cancel itself, which is its own failure

        async def there() -> Any:
            if cancelled_here:
                raise asyncio.CancelledError
            try:
                return await make()
            except BaseException as error:
                if cancelled_here:
                    raise
                raise UserCodeError(error) from None

        coroutine = there()
        if self._loop is None:
            future = event_loop.submit_user_code(coroutine)
        else:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            # Shielded, so that `cancelled_here` is set before the coroutine is cancelled.
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            cancelled_here = True
            future.cancel()
            raise

    async def decide(
        self, call: ToolCall, step: ToolStep, spec: Mapping[str, Any], check: Callable[[Mapping[str, Any]], str]
    ) -> Approval:
        """Ask the reader: with a card in the cell, or at the keyboard where no page shows a card.

        Raises:
            ToolError: there is no reader.
        """
        try:
            return await self._ask(call, step, spec, check)
        except TimeoutError:
            return Approval(Deny(f"nobody decided within {self._timeout_s:g} s"), "timeout")

    async def _ask(
        self, call: ToolCall, step: ToolStep, spec: Mapping[str, Any], check: Callable[[Mapping[str, Any]], str]
    ) -> Approval:
        if isinstance(self._view, display.Stage):
            approval = await self._ask_on_page(self._view, call, step, spec, check)
            if approval is not None:
                return approval
        if not self._can_type:
            raise ToolError(
                f"{call.name} needs approval, and nobody is here to give it. Give a policy: "
                "require_approval=lambda call: call.name in {…}, or Allow and Deny.",
                name=call.name,
                arguments=call.arguments,
            )
        async with self._keyboard:
            if self._allowed_all:
                return Approval(Allow(), "reader", always=True)
            try:
                typed: Approval = await self.run_in_cell(lambda: _ask_at_keyboard(call, check), self._timeout_s)
                self._allowed_all = typed.always
                return typed
            except UserCodeError as failure:  # a front end without an input line
                raise ToolError(
                    f"{call.name} needs approval, and it cannot be asked for here ({type(failure.error).__name__}). "
                    "Give a policy: require_approval=…",
                    name=call.name,
                    arguments=call.arguments,
                ) from None

    async def _ask_on_page(
        self,
        view: display.Stage,
        call: ToolCall,
        step: ToolStep,
        spec: Mapping[str, Any],
        check: Callable[[Mapping[str, Any]], str],
    ) -> Approval | None:
        """Return the decision of the reader on the page; None where no page has shown the card in time."""
        future = view.ask(call, step, spec=spec, check=check)
        until = clock.monotonic() + view.patience_s
        while not (future.done() or view.heard(step.key)):
            if clock.monotonic() > until:
                view.withdraw(step.key)
                return None
            await clock.sleep_async(_CARD_CHECK_S)
        async with clock.timeout(self._timeout_s):  # counted from when the reader can see the card
            decision, always = await asyncio.wrap_future(future)
        return Approval(decision, "reader", always)


def _describe_call(name: str, arguments: Any) -> str:
    text = shorten(json.dumps(arguments, ensure_ascii=False), _MAX_ARGUMENT_CHARS)
    return show_controls(f"amber: the model wants to call {name}({text})")


def _ask_at_keyboard(call: ToolCall, check: Callable[[Mapping[str, Any]], str]) -> Approval:
    """Ask with `input`: allow, deny, or other arguments as JSON."""
    hidden_arguments = redact(call.arguments)
    print(_describe_call(call.name, hidden_arguments))
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
            edited = json.loads(line)
        except ValueError as error:
            print(f"This is no JSON: {error}")
            continue
        edited = restore(edited, call.arguments)
        before, after = (json.dumps(each, ensure_ascii=False) for each in (call.arguments, edited))
        if HIDDEN in after and HIDDEN not in before:
            print(f"Write the secrets out where {HIDDEN} stands: it cannot be told which one belongs there.")
            continue
        if wrong := check(edited):
            print(show_controls(wrong))
            continue
        return Approval(Allow(edited), "reader")
