"""Handle the tool calls of a reply: parse, approve, run and report them; no display, no HTTP.

All of it runs on the private loop; what belongs to the cell's thread goes there through `CellExecutor.run_in_cell`.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import clock
from .. import tools as toolbox
from ..errors import ProtocolError, ToolError
from ..telemetry import Telemetry
from ..types import Allow, Deny, InputRequest, Source, SourcesFound, ToolCall, ToolProgress, ToolRun
from .approval import Approval, ApprovalPrompt
from .execute import THREAD_RUNS_ON, CellExecutor, UserCodeError, run_tool, validate
from .messages import decode_outcome, encode_denial, encode_edit
from .server_calls import CallReporter, ServerApprovals, describe_error, run_remote

__all__ = ["ToolRunner"]

_MAX_PARALLEL = 100  # calls of an ask; each has a thread


@dataclass(slots=True)
class _PendingCall:
    """A call of a reply, while it is handled."""

    progress: ToolProgress
    id: str
    tool: Any  # toolbox.Tool; None where there is none of that name
    text: str
    arguments: dict[str, Any] | None = None
    approval: Approval | None = None
    mistake: str = ""
    has_changed: bool = False  # its server has changed the tool since it was offered
    prepared: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = field(default_factory=dict)  # by arguments as JSON


class ToolRunner:
    """Run the tool calls of one ask, round after round.

    Args:
        tools: by name, from `tools.tools_from`.
        approval: False, True, or a policy: `(ToolCall) -> Allow | Deny | bool | None`, sync or async.
        executor: runs code of the user's.
        approval_prompt: asks the reader.
        server_approvals: says which calls of MCP servers ask.
        telemetry: makes a span for each call that runs.
        emit: called with a `ToolProgress` whenever a call comes to another state, and with the sources that results
            name; from any thread.
    """

    def __init__(
        self,
        tools: Mapping[str, Any],
        approval: Any,
        executor: CellExecutor,
        approval_prompt: ApprovalPrompt,
        server_approvals: ServerApprovals,
        telemetry: Telemetry,
        emit: Callable[[ToolProgress | SourcesFound], object] = bool,
    ) -> None:
        self._tools = tools
        self._approval = approval
        self._executor = executor
        self._prompt = approval_prompt
        self._server_approvals = server_approvals
        self._telemetry = telemetry
        self._emit = emit
        self._context = contextvars.copy_context()
        self._parallel = asyncio.Semaphore(_MAX_PARALLEL)
        self._wrong: set[str] = set()  # tools that got wrong arguments in the last round
        self._allow_all = False
        self._calls: list[_PendingCall] = []

    async def run(
        self, calls: Sequence[Mapping[str, Any]], number: int, recorded_results: Mapping[str, str] | None = None
    ) -> list[ToolRun]:
        """Handle the calls of one reply.

        Args:
            calls: `tool_calls` of the reply, with unique ids.
            number: of the round, from 1.
            recorded_results: in a replay, the tool message of each call, by its id; nothing is run.

        Raises:
            ToolError: approval is needed and nobody is there; a policy's own arguments are wrong; the model repeats
                arguments that were refused.
            TypeError: the policy gave something else than a decision; nothing of the round has run.
        """
        pending = [self._begin(call, number) for call in calls]
        for call in pending:
            await self._check(call)
        self._raise_if_repeated(pending)
        if recorded_results is not None:
            return [self._note_result(call, self._replay(call, recorded_results.get(call.id))) for call in pending]
        for call in pending:
            await self._apply_policy(call)
        # Each call runs as soon as it is decided on, whatever the others wait for.
        tasks = [asyncio.ensure_future(self._handle(call)) for call in pending]
        try:
            runs = await asyncio.gather(*tasks)
            # Only now: a call of the same reply was asked for before any of these results.
            return [self._note_result(call, run) for call, run in zip(pending, runs, strict=True)]
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def has_unhandled(self, runs: Sequence[ToolRun]) -> bool:
        """Return whether the caller has to run one of these calls: its tool has no function."""
        return any(run.name in self._tools and not self._tools[run.name].runs_here for run in runs)

    @property
    def runs(self) -> tuple[ToolRun, ...]:
        """All calls so far in the order of the model; a call under way counts as stopped; readable from any thread."""
        return tuple(call.progress.run or self._stopped_run(call) for call in list(self._calls))

    @property
    def sources(self) -> tuple[Source, ...]:
        """What the results have named so far, each source once."""
        runs = [call.progress.run for call in list(self._calls)]
        contents = [run.content for run in runs if run is not None and run.content is not None]
        return tuple(dict.fromkeys(source for content in contents for source in content.sources))

    def _note_result(self, call: _PendingCall, run: ToolRun) -> ToolRun:
        self._server_approvals.add_result(call.tool, run)
        return run

    def _begin(self, raw: Mapping[str, Any], number: int) -> _PendingCall:
        name, text = raw["function"]["name"], raw["function"]["arguments"]
        index = len(self._calls)
        tool = self._tools.get(name)
        progress = ToolProgress(
            index=index, round=number, name=name, arguments=text, state="checking", server=_server_name(tool)
        )
        call = _PendingCall(progress, raw["id"], tool, text)
        self._calls.append(call)
        self._emit(progress)
        return call

    def _update(self, call: _PendingCall, **changes: Any) -> None:
        call.progress = replace(call.progress, **changes)
        self._emit(call.progress)

    async def _check(self, call: _PendingCall) -> None:
        if call.tool is None:
            known = ", ".join(self._tools) or "none"
            call.mistake = f"There is no tool {call.progress.name[:64]!r}. There are: {known}."
            return
        if not call.tool.runs_here:
            return
        try:
            call.arguments = await self._check_arguments(call, toolbox.parse_arguments(call.text))
        except toolbox.ArgumentsError as error:
            call.mistake = str(error)

    def _raise_if_repeated(self, calls: Sequence[_PendingCall]) -> None:
        """Raise where a tool got wrong arguments twice in a row: such a model would go on for ever."""
        repeated = next((call for call in calls if call.mistake and call.progress.name in self._wrong), None)
        if repeated is not None:
            for call in calls:
                self._finish(call, "invalid" if call.mistake else "not_run", error=call.mistake or None)
            progress = repeated.progress
            mistake = progress.run.redacted().error if progress.run else repeated.mistake
            raise ToolError(
                f"{progress.name[:64]}: the model was told once that its arguments are wrong, and they still are. "
                f"{mistake}",
                name=progress.name,
                arguments=repeated.text,
            )
        self._wrong -= {call.progress.name for call in calls if not call.mistake}
        self._wrong |= {call.progress.name for call in calls if call.mistake}

    async def _apply_policy(self, call: _PendingCall) -> None:
        if call.arguments is None:
            return
        if callable(self._approval):
            decision = await self._ask_policy(self._to_tool_call(call))
            if isinstance(decision, bool):
                decision = Allow() if decision else Deny()
            if isinstance(decision, (Allow, Deny)):
                call.approval = Approval(await self._check_decision(call, decision), "policy")
                return
            if decision is not None:
                raise TypeError(
                    f"require_approval must give Allow, Deny, True, False or None (ask the reader), not "
                    f"{type(decision).__name__}; nothing was run"
                )
        if self._approval is not False or self._server_approvals.must_ask(call.tool):
            self._update(call, state="waiting")

    def _to_tool_call(self, call: _PendingCall) -> ToolCall:
        # A copy: a policy must not change unseen what was checked.
        return ToolCall(
            id=call.id,
            name=call.progress.name,
            arguments=copy.deepcopy(call.arguments or {}),
            server=_server_name(call.tool),
        )

    async def _ask_policy(self, call: ToolCall) -> Any:
        try:
            if inspect.iscoroutinefunction(self._approval):
                return await self._executor.await_on_caller_loop(lambda: self._approval(call))
            decision = await self._executor.run_in_cell(lambda: self._approval(call))
            if not inspect.isawaitable(decision):
                return decision
            return await self._executor.await_on_caller_loop(lambda: decision)
        except UserCodeError as raised:
            raise raised.error from raised.error.__cause__

    async def _handle(self, call: _PendingCall) -> ToolRun:
        if call.mistake:
            return self._finish(call, "invalid", error=call.mistake, sent=call.mistake)
        if call.arguments is None:
            return self._finish(call, "not_run")
        try:
            is_waiting = await self._waits_for_reader(call)
        except ToolError as error:  # a call could reach a server that has come back, with another tool of this name
            return self._finish(call, **describe_error(error))
        if is_waiting:
            call.approval = await self._ask(call)
        decision = call.approval.decision if call.approval else Allow()
        if isinstance(decision, Deny):
            return self._finish(call, "denied", sent=encode_denial(decision.reason), reason=decision.reason)
        proposed = call.arguments
        if decision.arguments is not None:
            try:
                call.arguments = await self._check_arguments(call, decision.arguments)
            except toolbox.ArgumentsError as error:  # from a validator that refuses what it accepted before
                return self._finish(call, "invalid", error=str(error), sent=str(error))
        async with self._parallel:
            outcome = await self._run_call(call)
        if _to_json(call.arguments) != _to_json(proposed):
            by = call.approval.by if call.approval else "policy"
            sent = encode_edit(call.arguments, by) + outcome["sent"]
            outcome |= {"edited": True, "proposed": proposed, "sent": sent}
        return self._finish(call, **outcome)

    async def _waits_for_reader(self, call: _PendingCall) -> bool:
        """Return whether the reader has to decide on a call now; a tool that its server has changed asks again."""
        if call.tool.remote is None:
            return call.progress.state == "waiting" and not self._allow_all
        if await self._find_change(call):
            return call.approval is None
        return call.progress.state == "waiting" and not self._server_approvals.is_granted(call.tool)

    async def _find_change(self, call: _PendingCall) -> bool:
        """Return whether a server has changed a tool since it was offered, or refuses to say so.

        Raises:
            ToolError: the server is gone.
        """
        try:
            call.has_changed = await call.tool.remote.has_changed()
        except ProtocolError:
            call.has_changed = True
        return call.has_changed

    async def _check_decision(self, call: _PendingCall, decision: Allow | Deny) -> Allow | Deny:
        """Check the arguments of a policy's decision; those of the reader are checked while the reader edits them."""
        if isinstance(decision, Deny) or decision.arguments is None:
            return decision
        try:
            return Allow(await self._check_arguments(call, decision.arguments))
        except toolbox.ArgumentsError as error:
            raise ToolError(
                f"{call.progress.name}: the arguments that require_approval gave are wrong, and nothing was run. "
                f"{error}",
                name=call.progress.name,
                arguments=dict(decision.arguments),
            ) from None

    async def _check_arguments(self, call: _PendingCall, arguments: Mapping[str, Any]) -> dict[str, Any]:
        checked: dict[str, Any] = await validate(self._context, lambda: _prepare(call, arguments)[0])
        return checked

    async def _ask(self, call: _PendingCall) -> Approval:
        def check(arguments: Mapping[str, Any]) -> str:
            try:
                _prepare(call, arguments)
            except toolbox.ArgumentsError as error:
                return str(error)
            return ""

        tool, name = call.tool, call.progress.name
        if call.progress.state != "waiting":
            self._update(call, state="waiting")
        changed = ["The server has changed this tool since it was offered."] if call.has_changed else []
        approval = await self._prompt.decide(
            self._to_tool_call(call),
            call.progress.index,
            tool,
            check,
            warning="\n".join([*changed, *self._server_approvals.warnings(tool)]),
            scope="" if tool.remote is None else f"all calls of {name} in this answer",
            grant=object() if call.has_changed else self._server_approvals.grant_of(tool),
        )
        if approval.always and tool.remote is None:
            self._allow_all = True
        elif approval.always and not call.has_changed:
            self._server_approvals.grant(tool)
        return approval

    async def _ask_for_input(
        self, call: _PendingCall, message: str, schema: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Ask the reader what a server asks while its tool runs; None where that is refused, or nobody is there."""
        question = InputRequest(server=_server_name(call.tool) or "", message=message, schema=schema)
        decision = await self._prompt.request_input(question, self._to_tool_call(call), call.progress.index)
        if isinstance(decision, Deny) and decision.reason:
            self._update(call, note=f"its question was refused: {decision.reason}")
        return decision.arguments if isinstance(decision, Allow) else None

    async def _run_call(self, call: _PendingCall) -> dict[str, Any]:
        self._update(call, state="checking")  # it may still have to wait for the cell's thread
        assert call.arguments is not None
        _, work = _prepare(call, call.arguments)  # prepared already, when they were checked

        def timed_work() -> Any:
            self._update(call, state="running", began=clock.monotonic())
            return work()

        description = call.tool.spec["function"].get("description") or ""
        with self._telemetry.tool_span(call.progress.name, call.id, call.arguments, description) as span:
            if call.tool.remote is None:
                outcome = await run_tool(call.tool, timed_work, self._executor, self._context, span.activate)
            else:
                outcome = await self._run_remote(call)
            span.set_outcome(outcome)
        return outcome

    async def _run_remote(self, call: _PendingCall) -> dict[str, Any]:
        def note(text: str) -> None:
            if call.progress.state == "running":
                self._update(call, note=text)

        self._update(call, state="running", began=clock.monotonic())
        reporter = CallReporter(note, lambda message, schema: self._ask_for_input(call, message, schema))
        outcome = await run_remote(call.tool, call.arguments or {}, reporter)
        return outcome

    def _stopped_run(self, call: _PendingCall) -> ToolRun:
        runs_on = call.progress.state == "running" and not call.tool.is_async
        return self._make_run(call, "not_run", error=f"stopped; {THREAD_RUNS_ON}" if runs_on else "stopped")

    def _finish(self, call: _PendingCall, status: Any, **more: Any) -> ToolRun:
        run = self._make_run(call, status, **more)
        self._update(call, run=run, state="over", note="")
        if run.content is not None and run.content.sources:
            self._emit(SourcesFound(self.sources))
        return run

    def _make_run(self, call: _PendingCall, status: Any, **more: Any) -> ToolRun:
        began = call.progress.began
        return ToolRun(
            name=call.progress.name,
            arguments=call.arguments if call.arguments is not None else call.text,
            status=status,
            duration_s=clock.monotonic() - began if began else 0.0,
            round=call.progress.round,
            call_id=call.id,
            decided_by=call.approval.by if call.approval else None,
            server=_server_name(call.tool),
            **more,
        )

    def _replay(self, call: _PendingCall, message: str | None) -> ToolRun:
        """Return the recorded run of a call, read from its tool message."""
        if call.mistake:
            return self._finish(call, "invalid", error=call.mistake, sent=message or call.mistake)
        if call.arguments is None or message is None:
            return self._finish(call, "not_run")  # its result comes from the caller, later
        outcome = decode_outcome(message)
        proposed = None
        if outcome.by:
            call.approval = Approval(Allow(), outcome.by)
            proposed, call.arguments = call.arguments, outcome.arguments
        result, content = None, None
        if outcome.status in ("ran", "failed"):
            found = self._find_recorded(call, has_failed=outcome.status == "failed")
            if found is not None:
                result, content = found.value, found.content
            elif outcome.status == "ran":
                result, content = outcome.text, toolbox.to_tool_content(outcome.text)
        return self._finish(
            call,
            outcome.status,
            result=result,
            sent=message,
            error=outcome.error,
            reason=outcome.reason,
            content=content,
            edited=proposed is not None,
            proposed=proposed,
        )

    def _find_recorded(self, call: _PendingCall, *, has_failed: bool) -> Any:
        """Return the recorded result of a server's tool: it holds more than the message to the model."""
        remote = call.tool.remote
        return None if remote is None else remote.find_call(call.arguments or {}, has_failed=has_failed)


def _server_name(tool: Any) -> str | None:
    return tool.remote.server_name if tool is not None and tool.remote is not None else None


def _prepare(call: _PendingCall, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], Any]]:
    """Validate arguments once, whoever proposes the same again: a validator may ask a database."""
    try:
        key = _to_json(arguments)
    except (TypeError, ValueError, RecursionError):  # no JSON: the tool says what is wrong with it
        prepared: tuple[dict[str, Any], Callable[[], Any]] = call.tool.prepare(arguments)
        return prepared
    if key not in call.prepared:
        call.prepared[key] = call.tool.prepare(arguments)
        checked = call.prepared[key][0]
        call.prepared.setdefault(_to_json(checked), call.prepared[key])
    checked, work = call.prepared[key]
    return copy.deepcopy(checked), work


def _to_json(arguments: Mapping[str, Any] | None) -> str:
    """Return JSON to compare arguments by: to Python, 1, 1.0 and True are equal."""
    return json.dumps(arguments, sort_keys=True)
