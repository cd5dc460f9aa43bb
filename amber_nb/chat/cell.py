"""The cell that asked, as the tools of its question see it: its thread, its event loop, and its reader."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any

from .. import clock, display
from ..display.escape import shorten, visible
from ..errors import ToolError
from ..redact import HIDDEN, masked, unmasked
from ..types import Allow, Deny, ToolCall, ToolStep
from ..wire import event_loop as private
from ..wire.event_loop import Waker
from .running import Raised
from .tool_calls import Verdict

__all__ = ["CellDesk"]

_MOST_ARGUMENTS = 2_000  # characters of a call that are shown where they are typed about
_LOOK_EVERY_S = 0.05  # for a card to be seen


class CellDesk:
    """Work for the cell's thread waits here until the waiting caller looks (`drain`, in each tick).

    Args:
        stage: where the answer is shown live, or None.
        bell: wakes the waiting caller.
        loop: the event loop of a caller that awaits; None for a sync one.
        typing: whether somebody can be asked with `input`.
        timeout_s: how long a decision is waited for; None: as long as it takes.
    """

    def __init__(
        self,
        stage: display.Stage | display.TextStage | None,
        bell: Waker,
        loop: asyncio.AbstractEventLoop | None,
        *,
        typing: bool,
        timeout_s: float | None,
    ) -> None:
        self._stage = stage
        self._bell = bell
        self._loop = loop
        self._typing = typing
        self._timeout_s = timeout_s
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._typed = asyncio.Lock()  # two questions at one keyboard would read each other's answers
        self._typed_all = False  # and those that waited for it need not be asked any more

    def drain(self) -> None:
        """Do what waits for the cell's thread; to be called in it."""
        while self._jobs:
            work, future = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except KeyboardInterrupt:  # the reader's, who interrupts the cell; the waiting caller gives all of it up
                raise
            except BaseException as error:
                future.set_exception(Raised(error))
            else:
                future.set_result(result)

    async def in_cell(self, work: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """Run something on the cell's thread; its time counts from when it begins there."""
        here = asyncio.get_running_loop()
        future: Future[Any] = Future()
        async with clock.timeout(None) as limit:

            def count(seconds: float) -> None:
                with contextlib.suppress(RuntimeError):  # it is over already
                    limit.extend(seconds)

            def begun() -> Any:
                if timeout_s is not None:
                    here.call_soon_threadsafe(count, timeout_s)
                return work()

            self._jobs.append((begun, future))
            self._bell.notify()
            return await asyncio.wrap_future(future)

    async def on_cells_loop(self, made: Callable[[], Awaitable[Any]]) -> Any:
        """Await something on the loop of whoever awaits the answer, where its own connections live.

        On the private one for the user's coroutines where nobody does.
        """
        over = False  # given up by us; the user's code may be cancelled by itself, and that is its own failure

        async def there() -> Any:
            if over:
                raise asyncio.CancelledError
            try:
                return await made()
            except BaseException as error:
                if over:
                    raise
                raise Raised(error) from None

        coroutine = there()
        if self._loop is None:
            future = private.submit_user_code(coroutine)
        else:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            # Shielded: before its coroutine is cancelled, it must be known by whom.
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            over = True
            future.cancel()
            raise

    async def decide(
        self, call: ToolCall, step: ToolStep, spec: Mapping[str, Any], check: Callable[[Mapping[str, Any]], str]
    ) -> Verdict:
        """Ask the reader: with a card in the cell, and at the keyboard where no page shows one.

        Raises:
            ToolError: there is no reader.
        """
        try:
            return await self._asked(call, step, spec, check)
        except TimeoutError:
            return Verdict(Deny(f"nobody decided within {self._timeout_s:g} s"), "timeout")

    async def _asked(
        self, call: ToolCall, step: ToolStep, spec: Mapping[str, Any], check: Callable[[Mapping[str, Any]], str]
    ) -> Verdict:
        if isinstance(self._stage, display.Stage):
            verdict = await self._on_a_card(self._stage, call, step, spec, check)
            if verdict is not None:
                return verdict
        if not self._typing:
            raise ToolError(
                f"{call.name} needs approval, and nobody is here to give it. Give a policy: "
                "require_approval=lambda call: call.name in {…}, or Allow and Deny.",
                name=call.name,
                arguments=call.arguments,
            )
        async with self._typed:
            if self._typed_all:
                return Verdict(Allow(), "reader", always=True)
            try:
                typed: Verdict = await self.in_cell(lambda: _at_the_keyboard(call, check), self._timeout_s)
                self._typed_all = typed.always
                return typed
            except Raised as raised:  # a front end without an input line
                raise ToolError(
                    f"{call.name} needs approval, and it cannot be asked for here ({type(raised.error).__name__}). "
                    "Give a policy: require_approval=…",
                    name=call.name,
                    arguments=call.arguments,
                ) from None

    async def _on_a_card(
        self,
        stage: display.Stage,
        call: ToolCall,
        step: ToolStep,
        spec: Mapping[str, Any],
        check: Callable[[Mapping[str, Any]], str],
    ) -> Verdict | None:
        """What the reader decides on the page; None where no page has shown the card in time."""
        future = stage.ask(call, step, spec=spec, check=check)
        until = clock.monotonic() + stage.patience_s
        while not (future.done() or stage.heard(step.key)):
            if clock.monotonic() > until:
                stage.withdraw(step.key)
                return None
            await clock.sleep_async(_LOOK_EVERY_S)
        async with clock.timeout(self._timeout_s):  # from when the reader can see it
            decision, always = await asyncio.wrap_future(future)
        return Verdict(decision, "reader", always)


def _as_asked(name: str, arguments: Any) -> str:
    text = shorten(json.dumps(arguments, ensure_ascii=False), _MOST_ARGUMENTS)
    return visible(f"amber: the model wants to call {name}({text})")


def _at_the_keyboard(call: ToolCall, check: Callable[[Mapping[str, Any]], str]) -> Verdict:
    """Ask with `input`: allow, deny, or other arguments as JSON."""
    shown = masked(call.arguments)
    print(_as_asked(call.name, shown))
    hidden = shown != call.arguments
    show = "[s]how what is hidden (the output keeps it), " if hidden else ""
    while True:
        said = input(f"Allow? [y]es, [n]o, [a]ll of this answer, {show}or other arguments as JSON: ").strip()
        if hidden and said.lower() in ("s", "show"):  # whoever allows must be able to see what
            print(_as_asked(call.name, call.arguments))
            continue
        if said.lower() in ("y", "yes"):
            return Verdict(Allow(), "reader")
        if said.lower() in ("a", "all"):
            return Verdict(Allow(), "reader", always=True)
        if said.lower() in ("n", "no"):
            return Verdict(Deny(input("Why? (the model is told; may be empty) ").strip()), "reader")
        if not said.startswith("{"):
            continue
        try:
            edited = json.loads(said)
        except ValueError as error:
            print(f"This is no JSON: {error}")
            continue
        edited = unmasked(edited, call.arguments)
        before, after = (json.dumps(one, ensure_ascii=False) for one in (call.arguments, edited))
        if HIDDEN in after and HIDDEN not in before:
            print(f"Write the secrets out where {HIDDEN} stands: it cannot be told which one belongs there.")
            continue
        if wrong := check(edited):
            print(visible(wrong))
            continue
        return Verdict(Allow(edited), "reader")
