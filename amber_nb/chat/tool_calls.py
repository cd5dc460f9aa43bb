"""One round of tools: the calls of a reply, checked, decided on, run, and told to the model. No display, no HTTP.

Everything here runs on the private loop; what belongs to the cell's thread goes there through `Desk.in_cell`.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .. import clock
from .. import tools as toolbox
from ..errors import ToolError
from ..types import Allow, Deny, ToolCall, ToolRun, ToolStep
from .running import STILL_RUNNING, Places, Raised, in_thread, outcome
from .verdicts import Recorded, denied_text, edited_text, recorded

__all__ = ["Desk", "Rounds", "Verdict"]

_MOST_AT_ONCE = 100  # calls of a question; each has a thread
_OF_A_RUN = ("sent", "result", "told", "error", "traceback")  # what the outcome of a call decides


class Desk(Places, Protocol):
    """Where the reader sits: what a round needs from the cell that asked."""

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
    tool: Any  # toolbox.Tool; None where there is none of that name
    text: str
    arguments: dict[str, Any] | None = None
    verdict: Verdict | None = None
    wrong: str = ""


class Rounds:
    """The tools of one question, round after round.

    Args:
        tools: by name, from `toolbox.tools_from`.
        approval: False, True, or a policy: `(ToolCall) -> Allow | Deny | bool | None`, sync or async.
        desk: the cell that asked.
    """

    def __init__(self, tools: Mapping[str, Any], approval: Any, desk: Desk) -> None:
        self._tools = tools
        self._approval = approval
        self._desk = desk
        self._context = contextvars.copy_context()
        self._at_once = asyncio.Semaphore(_MOST_AT_ONCE)
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
            ToolError: approval is needed and nobody is there; a policy's own arguments are wrong; the model repeats
                arguments that were refused.
            TypeError: the policy gave something else than a decision; nothing of the round has run.
        """
        under_way = [self._begin(call, number) for call in calls]
        for one in under_way:
            await self._check(one)
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

    def leaves(self, runs: Sequence[ToolRun]) -> bool:
        """Whether one of these calls is the caller's to run: a tool that was given without a function."""
        return any(run.name in self._tools and self._tools[run.name].function is None for run in runs)

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

    async def _check(self, one: _Call) -> None:
        if one.tool is None:
            known = ", ".join(self._tools) or "none"
            one.wrong = f"There is no tool {one.step.name[:64]!r}. There are: {known}."
            return
        if one.tool.function is None:
            return
        try:
            one.arguments = await self._checked(one, toolbox.parse_arguments(one.text))
        except toolbox.ArgumentsError as error:
            one.wrong = str(error)

    def _insist(self, calls: Sequence[_Call]) -> None:
        """Wrong arguments are told once: a model that repeats them would go on for ever."""
        again = next((one for one in calls if one.wrong and one.step.name in self._wrong), None)
        if again is not None:
            for one in calls:
                self._run(one, "invalid" if one.wrong else "not_run", error=one.wrong or None)
            said = again.step.run.discreet().error if again.step.run else again.wrong
            raise ToolError(
                f"{again.step.name[:64]}: the model was told once that its arguments are wrong, and they still are. "
                f"{said}",
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
                one.verdict = Verdict(await self._fitting(one, said), "policy")
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
                one.arguments = await self._checked(one, decision.arguments)
            except toolbox.ArgumentsError as error:  # of a validator that has changed its mind
                return self._run(one, "invalid", error=str(error), sent=str(error))
        async with self._at_once:
            run = await self._ran(one)
        if _as_json(one.arguments) == _as_json(wanted):
            return run
        by = one.verdict.by if one.verdict else "policy"
        sent = edited_text(one.arguments, by) + run.sent
        return self._set(one, replace(run, edited=True, proposed=wanted, sent=sent))

    async def _fitting(self, one: _Call, said: Allow | Deny) -> Allow | Deny:
        """A policy's decision, its arguments checked: the reader's are checked where they are asked for."""
        if isinstance(said, Deny) or said.arguments is None:
            return said
        try:
            return Allow(await self._checked(one, said.arguments))
        except toolbox.ArgumentsError as error:
            raise ToolError(
                f"{one.step.name}: the arguments that require_approval gave are wrong, and nothing was run. {error}",
                name=one.step.name,
                arguments=dict(said.arguments),
            ) from None

    async def _checked(self, one: _Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Checked in a thread: it may hold code of the user's, and here all answers are read."""
        try:
            checked: dict[str, Any] = await in_thread(self._context, lambda: one.tool.check(arguments))
            return checked
        except Raised as raised:
            raise raised.error from None

    async def _ask(self, one: _Call) -> Verdict:
        def check(arguments: Mapping[str, Any]) -> str:
            try:
                one.tool.check(arguments)
            except toolbox.ArgumentsError as error:
                return str(error)
            return ""

        verdict = await self._desk.decide(self._as_asked(one), one.step, one.tool.spec, check)
        self._allow_all = self._allow_all or verdict.always
        return verdict

    async def _ran(self, one: _Call) -> ToolRun:
        one.step.state = "checking"  # decided on; one for the cell's thread may have to wait for it
        try:
            work = await in_thread(self._context, lambda: one.tool.bind(one.arguments))
        except Raised as raised:
            if not isinstance(raised.error, toolbox.ArgumentsError):
                raise raised.error from None
            return self._run(one, "invalid", error=str(raised.error), sent=str(raised.error))

        def begun() -> Any:
            one.step.began, one.step.state = clock.monotonic(), "running"
            return work()

        came = await outcome(one.tool, begun, self._desk, self._context)
        return self._run(one, came.status, **{name: getattr(came, name) for name in _OF_A_RUN})

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
            duration_s=clock.monotonic() - began if began else 0.0,
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
            return self._run(one, "not_run")  # what its caller told comes later
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
            told=toolbox.to_tool_content(then.text) if then.status == "ran" else None,
        )
        if then.arguments is None:
            return run
        return self._set(one, replace(run, edited=True, proposed=wanted))


def _as_json(arguments: Mapping[str, Any] | None) -> str:
    """To compare: to Python 1, 1.0 and true are the same."""
    return json.dumps(arguments, sort_keys=True)
