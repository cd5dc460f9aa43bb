"""One round of tools: the calls of a reply, checked, decided on, run, and told to the model. No display, no HTTP.

Everything here runs on the private loop; what belongs to the cell's thread goes there through `Desk.in_cell`.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from . import content
from .content.verdicts import Recorded, denied_text, edited_text, recorded, result_text
from .errors import ToolError
from .types import Allow, Deny, Told, ToolCall, ToolRun, ToolStep, encodable

__all__ = ["Desk", "Raised", "Rounds", "Verdict"]

_MOST_SAID = 300  # characters of a tool's error that the model is told
STILL_RUNNING = "its thread cannot be stopped and is still running"


class Raised(Exception):
    """What the user's own code raised, apart from what is ours; whatever it is, it ends nothing else."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Desk(Protocol):
    """Where the reader sits: what a round needs from the cell that asked."""

    async def in_cell(self, work: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """Run something on the cell's thread.

        Raises:
            Raised: with what it raised.
            TimeoutError: so many seconds after it began.
        """

    async def on_cells_loop(self, made: Callable[[], Awaitable[Any]]) -> Any:
        """Await something of the user's: on the event loop of whoever awaits the answer, if anybody does.

        Raises:
            Raised: with what it raised.
        """

    async def decide(
        self, call: ToolCall, step: ToolStep, spec: Mapping[str, Any], check: Callable[[Mapping[str, Any]], str]
    ) -> Verdict:
        """Ask the reader.

        Args:
            call: what the model wants, checked.
            step: the call as a live view knows it.
            spec: the tool as the model knows it.
            check: gives what is wrong with edited arguments, or "".

        Raises:
            ToolError: there is no reader.
        """


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided on a call. `always`: the same for all calls that follow."""

    decision: Allow | Deny
    by: str
    always: bool = False


@dataclass(slots=True)
class _Call:
    """A call of a reply, on its way."""

    step: ToolStep
    id: str
    tool: Any  # content.Tool; None where there is none of that name
    text: str
    arguments: dict[str, Any] | None = None
    verdict: Verdict | None = None
    wrong: str = ""


class Rounds:
    """The tools of one question, round after round.

    Args:
        tools: by name, from `content.tools_from`.
        approval: False, True, or a policy: `(ToolCall) -> Allow | Deny | bool | None`, sync or async.
        desk: the cell that asked.
    """

    def __init__(self, tools: Mapping[str, Any], approval: Any, desk: Desk) -> None:
        if not (isinstance(approval, bool) or callable(approval)):
            raise TypeError(f"require_approval must be True, False or a function, not {type(approval).__name__}")
        self._tools = tools
        self._approval = approval
        self._desk = desk
        self._context = contextvars.copy_context()
        self._wrong: set[str] = set()  # tools whose arguments were refused the last time
        self._allow_all = False
        self._calls: list[_Call] = []

    async def run(
        self, calls: Sequence[Mapping[str, Any]], number: int, told: Mapping[str, str] | None = None
    ) -> list[ToolRun]:
        """One round.

        Args:
            calls: `tool_calls` of a reply, with ids that are all different.
            number: of the round, from 1.
            told: in a replay, what each call (by its id) told the model then; nothing is run.

        Raises:
            ToolError: approval is needed and nobody is there; the model repeats arguments that were refused.
            TypeError: the policy gave something else than a decision; nothing of the round has run.
        """
        under_way = [self._begin(call, number) for call in calls]
        for one in under_way:
            self._check(one)
        self._insist(under_way)
        if told is not None:
            return [self._replayed(one, told.get(one.id)) for one in under_way]
        for one in under_way:
            await self._by_policy(one)
        # Each runs as soon as it is decided on, whatever the others wait for.
        tasks = [asyncio.ensure_future(self._one(one)) for one in under_way]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    @property
    def steps(self) -> list[ToolStep]:
        """All calls so far as a live view shows them, those under way included; from any thread."""
        return [one.step for one in list(self._calls)]

    @property
    def runs(self) -> tuple[ToolRun, ...]:
        """All calls so far, in the order of the model; one that is not over counts as stopped; from any thread."""
        return tuple(one.step.run or self._stopped(one) for one in list(self._calls))

    def _begin(self, call: Mapping[str, Any], number: int) -> _Call:
        name, text = call["function"]["name"], call["function"]["arguments"]
        key = f"{number}.{len(self._calls)}"
        step = ToolStep(key=key, round=number, name=name, arguments=text, state="checking")
        made = _Call(step, call["id"], self._tools.get(name), text)
        self._calls.append(made)
        return made

    def _check(self, one: _Call) -> None:
        if one.tool is None:
            known = ", ".join(self._tools) or "none"
            one.wrong = f"There is no tool {one.step.name[:64]!r}. There are: {known}."
            return
        if one.tool.function is None:
            return
        try:
            one.arguments = _checked(one.tool, content.read_arguments(one.text))
        except content.ArgumentsError as error:
            one.wrong = str(error)

    def _insist(self, calls: Sequence[_Call]) -> None:
        """Wrong arguments are told once: a model that repeats them would go on for ever."""
        again = next((one for one in calls if one.wrong and one.step.name in self._wrong), None)
        if again is not None:
            for one in calls:
                self._run(one, "invalid" if one.wrong else "not_run", error=one.wrong or None)
            raise ToolError(
                f"{again.step.name[:64]}: the model was told once that its arguments are wrong, and they still are. "
                f"{again.wrong}",
                name=again.step.name,
                arguments=again.text,
            )
        self._wrong -= {one.step.name for one in calls if not one.wrong}
        self._wrong |= {one.step.name for one in calls if one.wrong}

    async def _by_policy(self, one: _Call) -> None:
        if one.arguments is None:
            return
        asked = one.tool.require_approval
        if callable(self._approval):
            said = await self._policy(self._as_asked(one))
            if isinstance(said, (Allow, Deny)):
                one.verdict = Verdict(said, "policy")
                return
            if said is True or said is False:
                one.verdict = Verdict(Allow() if said else Deny(), "policy")
                return
            if said is not None:
                raise TypeError(
                    f"require_approval must give Allow, Deny, True, False or None (ask the reader), not "
                    f"{type(said).__name__}; nothing was run"
                )
            asked = True
        elif self._approval:
            asked = True
        if asked:
            one.step.state = "waiting"

    def _as_asked(self, one: _Call) -> ToolCall:
        # A copy: whoever decides must not change unseen what was checked.
        return ToolCall(id=one.id, name=one.step.name, arguments=copy.deepcopy(one.arguments or {}))

    async def _policy(self, call: ToolCall) -> Any:
        try:
            if inspect.iscoroutinefunction(self._approval):
                return await self._desk.on_cells_loop(lambda: self._approval(call))
            said = await self._desk.in_cell(lambda: self._approval(call))
            return await self._desk.on_cells_loop(lambda: said) if inspect.isawaitable(said) else said
        except Raised as raised:
            raise raised.error from None

    async def _one(self, one: _Call) -> ToolRun:
        if one.wrong:
            return self._run(one, "invalid", error=one.wrong, sent=one.wrong)
        if one.arguments is None:
            return self._run(one, "not_run")
        if one.step.state == "waiting" and not self._allow_all:
            one.verdict = await self._ask(one)
        decision = one.verdict.decision if one.verdict else Allow()
        if isinstance(decision, Deny):
            return self._run(one, "denied", sent=denied_text(decision.reason), reason=decision.reason)
        wanted = one.arguments
        if decision.arguments is not None:
            try:
                one.arguments = _checked(one.tool, decision.arguments)
            except content.ArgumentsError as error:  # the policy's: the reader's were checked on the card
                raise ToolError(
                    f"{one.step.name}: the arguments that require_approval gave are wrong. {error}",
                    name=one.step.name,
                    arguments=str(decision.arguments),
                ) from None
        run = await self._ran(one)
        if one.arguments == wanted:
            return run
        by = one.verdict.by if one.verdict else "policy"
        sent = edited_text(one.arguments, by) + run.sent
        return self._set(one, replace(run, edited=True, proposed=wanted, sent=sent))

    async def _ask(self, one: _Call) -> Verdict:
        def check(arguments: Mapping[str, Any]) -> str:
            try:
                _checked(one.tool, arguments)
            except content.ArgumentsError as error:
                return str(error)
            return ""

        verdict = await self._desk.decide(self._as_asked(one), one.step, one.tool.spec, check)
        self._allow_all = self._allow_all or verdict.always
        return verdict

    async def _ran(self, one: _Call) -> ToolRun:
        one.step.state = "checking"  # decided on; one for the cell's thread may have to wait for it
        try:
            work = _bound(one.tool, one.arguments or {})
        except content.ArgumentsError as error:
            return self._run(one, "invalid", error=str(error), sent=str(error))
        try:
            result, made = await self._result(one, work)
        except TimeoutError:
            limit = f"no result within {one.tool.timeout_s:g} s"
            still = "" if one.tool.is_async else f"; {STILL_RUNNING}"
            return self._run(one, "timeout", error=limit + still, sent=f"Error: {limit}.")
        except Raised as raised:
            return self._failed(one, raised.error)
        return self._run(one, "ran", result=result, sent=result_text(made.text), told=made)

    async def _result(self, one: _Call, work: Callable[[], Any]) -> tuple[Any, Told]:
        """What a tool returned, and what becomes of it; read where it was made, as it may hold code of the user's."""

        def begun() -> Any:
            one.step.state, one.step.began = "running", time.monotonic()
            return work()

        if one.tool.serial and not one.tool.is_async:
            serial: tuple[Any, Told] = await self._desk.in_cell(lambda: _read(begun()), one.tool.timeout_s)
            return serial
        async with asyncio.timeout(one.tool.timeout_s):
            if one.tool.is_async:
                result = await self._desk.on_cells_loop(lambda: content.awaited(begun()))
            else:
                result, made = await _in_thread(self._context.copy(), lambda: _read(begun()))
                if made is not None:
                    return result, made
                result = await self._desk.on_cells_loop(lambda: content.awaited(result))
            read: tuple[Any, Told] = await _in_thread(self._context.copy(), lambda: _read(result))
            return read

    def _failed(self, one: _Call, error: BaseException) -> ToolRun:
        short = encodable(f"{type(error).__name__}: {_message(error)}")
        lines = "".join(traceback.format_exception(error))
        return self._run(one, "failed", error=short, sent=f"Error: {short}", traceback=encodable(lines))

    def _stopped(self, one: _Call) -> ToolRun:
        running = one.step.state == "running"
        still = running and not one.tool.is_async
        return self._made(one, "not_run", error=f"stopped; {STILL_RUNNING}" if still else "stopped")

    def _run(self, one: _Call, status: Any, **more: Any) -> ToolRun:
        return self._set(one, self._made(one, status, **more))

    def _made(self, one: _Call, status: Any, **more: Any) -> ToolRun:
        began = one.step.began
        return ToolRun(
            name=one.step.name,
            arguments=one.arguments if one.arguments is not None else one.text,
            status=status,
            duration_s=time.monotonic() - began if began else 0.0,
            round=one.step.round,
            call_id=one.id,
            decided_by=one.verdict.by if one.verdict else None,
            **more,
        )

    def _set(self, one: _Call, run: ToolRun) -> ToolRun:
        one.step.run, one.step.state = run, "over"
        return run

    def _replayed(self, one: _Call, said: str | None) -> ToolRun:
        """What a call was when it was recorded: the message that the model was sent tells."""
        if one.wrong:
            return self._run(one, "invalid", error=one.wrong, sent=said or one.wrong)
        if one.arguments is None or said is None:
            return self._run(one, "not_run", sent=said or "")
        then: Recorded = recorded(said)
        wanted = one.arguments
        if then.arguments is not None:
            one.arguments = then.arguments
        if then.by:
            one.verdict = Verdict(Allow(), then.by)
        run = self._run(
            one,
            then.status,
            result=then.text if then.status == "ran" else None,
            sent=said,
            error=then.error,
            reason=then.reason,
            told=content.told(then.text) if then.status == "ran" else None,
        )
        if then.arguments is None:
            return run
        return self._set(one, replace(run, edited=True, proposed=wanted))


def _checked(tool: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Checked arguments; whatever a validator of the user's raises, it is about them."""
    try:
        checked: dict[str, Any] = tool.check(arguments)
        return checked
    except (content.ArgumentsError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise content.ArgumentsError(f"They could not be checked ({type(error).__name__}).") from error


def _bound(tool: Any, arguments: Mapping[str, Any]) -> Callable[[], Any]:
    try:
        work: Callable[[], Any] = tool.bound(arguments)
        return work
    except (content.ArgumentsError, KeyboardInterrupt):
        raise
    except BaseException as error:  # of a default that is made anew
        raise content.ArgumentsError(f"They could not be completed ({type(error).__name__}).") from error


def _message(error: BaseException) -> str:
    try:
        said = " ".join(str(error).split()) or "no message"
    except BaseException as another:
        said = f"its message failed with {type(another).__name__}"
    return said if len(said) <= _MOST_SAID else said[: _MOST_SAID - 1] + "…"


def _read(result: Any) -> tuple[Any, Told | None]:
    """A result and what becomes of it; None where it has to be awaited first."""
    if content.is_awaited(result):
        return result, None
    result = content.listed(result)
    return result, content.told(result)


async def _in_thread(context: contextvars.Context, work: Callable[[], Any]) -> Any:
    """A thread for each call: a pool would let the seventh of twenty wait."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():  # given up in the meantime
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def run() -> None:
        try:
            result, error = context.run(work), None
        except BaseException as raised:
            result, error = None, Raised(raised)
        loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="amber-tool", daemon=True).start()
    return await done
