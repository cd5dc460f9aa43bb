"""Send the requests of a map and take in their replies; runs on the private event loop, no display."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import openai

from .. import clock, tools
from ..errors import AmberError, CassetteMiss
from ..types import replace_surrogates
from ..wire.sender import RequestSender
from .exchange import BYTES_PER_TOKEN, Exchange, RunEnded
from .failures import Severity, describe_remedy, judge_failure
from .ledger import Ledger
from .ledger_writer import LedgerWriter
from .limits import Limits, RequestLimits
from .outcomes import Unusable, add_usage, read_value, write_record
from .plan import MapPlan
from .reserve import BudgetReserve
from .results import Outcome, Results
from .tally import Tally
from .windows import Job, Window, WindowMaker

__all__ = ["MapEngine"]

_PROBE_S = 2.0  # for so long the first request goes alone: what is refused of it is refused of all
_CLOSE_S = 3.0  # for how long the end of a run waits for a ledger that another process has locked
_LOOK_S = 0.5  # between two looks whether another process has the answers that it asks for
_MAX_FAILURES = 100  # in a row, with no answer between them, after which the run ends
_MAX_UNREACHED = 20  # the same, where there is no connection at all
_MAX_SUSPECTS = 20  # the same of refusals that may be of all rows, once one was answered


class MapEngine:
    """Run one map.

    Args:
        plan: what it is to do.
        sender: sends the requests.
        clients: the SDK's clients, for its errors.
        describe: returns why a row failed, in one line, without the key.
        known: names of what the model is known to refuse, see `Adaptations.of`; what is learnt is added.
        ledger: where finished rows are kept, or None.
        run: the ledger's key of this run.
        resume: whether answers of the ledger are taken.
        shared: the limits and the budget, where other engines share them; None for those of the plan.

    Attributes:
        results: what has come of each row.
        tally: the numbers of the run.
        end_reason: why it ended before all rows were asked, or None.
        error: what is to be raised, such as a CassetteMiss; else None.
        ended: set when nothing is written any more.
        remarks: what was learnt of the model, in a line each.
    """

    def __init__(
        self,
        plan: MapPlan,
        sender: RequestSender,
        clients: Any,
        describe: Callable[[Exception], str],
        known: set[str],
        ledger: Ledger | None = None,
        run: str = "",
        *,
        resume: bool = True,
        shared: Limits | None = None,
    ) -> None:
        self._plan = plan
        self._sender = sender
        self._describe = describe
        self._ledger = ledger
        self._writer = LedgerWriter(ledger, run) if ledger is not None else None
        self.results = Results(plan.count)
        self.tally = Tally(plan.count)
        self.end_reason: str | None = None
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self.remarks: list[str] = []
        self._limits = shared or RequestLimits(plan.concurrency, plan.requests_per_minute, plan.tokens_per_minute)
        own_budget = plan.budget if shared is None else None  # else of all engines together
        self._reserve = BudgetReserve(own_budget, self.tally, plan.body, plan.prices) if own_budget else None
        self._windows = WindowMaker(plan, ledger, run, resume=resume)
        self._jobs: deque[Job] = deque()
        self._elsewhere: list[Job] = []
        self._prepared: asyncio.Task[Window] | None = None
        self._next_row = 0
        self._feeding = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._gate = asyncio.Event()
        self._released = asyncio.Event()
        self._committed: deque[tuple[Job, Outcome, asyncio.Future[None], Exception | None]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._exchange = Exchange(
            plan,
            sender,
            clients,
            known,
            limits=self._limits,
            tally=self.tally,
            ending=self._ending,
            remarks=self.remarks,
        )

    # --- the run

    @property
    def limits(self) -> Limits:
        """What holds its requests back."""
        return self._limits

    async def run(self) -> None:
        """Ask about all rows; an error of one is kept with it.

        Raises:
            asyncio.CancelledError: the caller was interrupted; what has come is kept.
        """
        count = min(self._plan.concurrency, max(1, self._plan.count))
        try:
            self._tasks = [asyncio.create_task(self._work(is_first=number == 0)) for number in range(count)]
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                if not task.cancelled() and (error := task.exception()) is not None:
                    self.error = self.error or error
                    self.end(f"{type(error).__name__}")
        finally:
            await self._finish()

    async def _finish(self) -> None:
        self._windows.stop()
        for task in self._tasks:
            task.cancel()
        if self._prepared is not None:
            self._prepared.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            try:
                # Not on this loop: another process may hold the ledger, and others ask here.
                await asyncio.to_thread(self._close_ledger)
                with contextlib.suppress(Exception):
                    await self._sender.close()
            finally:
                self._take_committed()
                self.results.copy_followers()
                self.ended.set()

    def _close_ledger(self) -> None:
        self._windows.close()
        with contextlib.suppress(AmberError):
            if self._writer is not None:
                self._writer.close(_CLOSE_S)  # commits what is left
        with contextlib.suppress(AmberError):
            if self._ledger is not None:
                self._ledger.close()

    def end(self, reason: str) -> None:
        """End the run: nothing more is sent; what is under way may come to its end."""
        if self.end_reason is None:
            self.end_reason = reason
        self._ending.set()
        self._windows.stop()
        self._gate.set()
        self._released.set()

    def stop(self) -> None:
        """End the run at once, for the reader; from any thread."""

        def cancel() -> None:
            self.end("stopped")
            for task in self._tasks:
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    async def _work(self, *, is_first: bool) -> None:
        """Ask about one row after the other; at first alone, since what is refused of one row is refused of all."""
        if not is_first:
            await self._gate.wait()
        try:
            while (job := await self._next_job()) is not None:
                opener = asyncio.create_task(self._open_gate_later()) if not self._gate.is_set() else None
                try:
                    outcome = await self._ask(job)
                finally:
                    if opener is not None:
                        opener.cancel()
                # What may be meant for one row is tried with another.
                if self.tally.is_answered or not self.tally.suspects_in_a_row:
                    self._gate.set()
                if outcome is not None:
                    await self._keep(job, outcome)
        finally:
            self._gate.set()

    # --- which request is next

    async def _next_job(self) -> Job | None:
        while self.end_reason is None:
            if self._jobs:
                return self._jobs.popleft()
            async with self._feeding:  # one of the workers; the others wait for what it finds
                if self._jobs or self.end_reason is not None:
                    continue
                if self._next_row < self._plan.count or self._prepared is not None:
                    self._take(await self._next_window())
                elif self._elsewhere:
                    await clock.sleep_async(_LOOK_S)
                    elsewhere, self._elsewhere = self._elsewhere, []
                    self._take(await self._windows.look_again_async(elsewhere))
                else:
                    return None
        return None

    async def _next_window(self) -> Window:
        """Return the next rows, and begin to prepare those that follow; on a thread, since it is the user's code."""
        prepared = self._prepared or self._prepare_next()
        window = await prepared
        self._prepared = None
        if self._next_row < self._plan.count and self.end_reason is None:
            self._prepared = self._prepare_next()
        return window

    def _prepare_next(self) -> asyncio.Task[Window]:
        start = self._next_row
        self._next_row = stop = self._windows.next_stop(start)
        return asyncio.create_task(self._windows.prepare_async(start, stop))

    def _take(self, window: Window) -> None:
        """Note what is known of some rows, and queue the rest."""
        for problem in window.problems:
            if problem.reason is None:
                self.results.skip(problem.row)
                self.tally.count_skipped()
            else:
                outcome = Outcome(error=problem.reason)
                self.results.set(problem.row, outcome)
                self.tally.count_row(problem.row, self._label(problem.row), outcome)
        for row, leader in window.followers:
            self.results.follow(row, leader)
            self.tally.count_follower(leader, self.results.is_ok(leader))
        for job, outcome in window.stored:
            self.results.set(job.request.row, outcome)
            self.tally.count_stored(job.request.row, outcome)
        self._elsewhere += window.elsewhere
        self._jobs.extend(window.jobs)

    def _label(self, row: int) -> str:
        return self._plan.builder.label(row)

    # --- one request

    async def _ask(self, job: Job) -> Outcome | None:
        """Ask about a row; None where the run ended before anything was sent."""
        reserved: Decimal | None = None
        try:
            if (reason := await self._limits.admit()) is not None:
                self.end(reason)
                return None
            try:
                reserved = await self._reserve_budget(job)
                return None if reserved is None or self.end_reason is not None else await self._converse(job)
            finally:
                self._limits.dismiss()
        except RunEnded:
            return None
        except (openai.OpenAIError, AmberError) as error:
            if isinstance(error, CassetteMiss):
                self.error = error
                self.end("CassetteMiss")
                return None
            return self._fail(job, error)
        finally:
            if reserved is not None and self._reserve is not None:
                self._reserve.give_back(reserved)
            self._released.set()

    async def _open_gate_later(self) -> None:
        await clock.sleep_async(_PROBE_S)
        self._gate.set()

    async def _reserve_budget(self, job: Job) -> Decimal | None:
        """Wait until the budget surely allows a request, and return what it may cost; None where it does not."""
        if (wanted := self._plan.budget) is not None and wanted.is_blind(self.tally.unmeasured, self.tally.unpriced):
            reason = f"the gateway tells no usage or no price is known, so that the budget of {wanted} cannot be kept"
            self.end(reason)
            self._limits.end(reason)
            return None
        if self._reserve is None:
            return Decimal()
        prompt_tokens = len(job.request.content) // BYTES_PER_TOKEN + job.request.image_tokens
        while (reserved := self._reserve.take(prompt_tokens)) is None:
            if not self.tally.in_flight:
                self.end(f"the budget of {wanted} allows no more rows")
            if self.end_reason is not None:
                return None
            self._released.clear()
            await self._released.wait()
        return reserved

    async def _converse(self, job: Job) -> Outcome:
        """Send a request, and where the reply does not fit the schema, once a correction."""
        self.tally.in_flight += 1
        try:
            plan = self._plan
            reply = await self._exchange.send(job, job.request.messages, job.request.content)
            for may_correct in (True, False):
                try:
                    outcome = Outcome(value=read_value(reply, plan.response_format))
                    add_usage(outcome, job.replies, job.costs)
                    return outcome
                except tools.ResponseMismatch as mismatch:
                    if not may_correct or self.end_reason is not None:
                        return self._unmet(job, f"the reply does not fit the schema: {mismatch}")
                    text = f"This does not fit the schema. {mismatch} Give the corrected JSON, and nothing else."
                    replied = [{"role": "assistant", "content": reply.text}] if reply.text else []
                    messages = [*job.request.messages, *replied, {"role": "user", "content": text}]
                    reply = await self._exchange.send(job, messages, self._plan.builder.content(messages))
            raise AssertionError
        except Unusable as unusable:
            return self._unmet(job, str(unusable))
        finally:
            self.tally.in_flight -= 1

    def _unmet(self, job: Job, reason: str) -> Outcome:
        outcome = Outcome(error=" ".join(replace_surrogates(reason).split()))
        add_usage(outcome, job.replies, job.costs)
        return outcome

    # --- what has come of it

    def _fail(self, job: Job, error: Exception) -> Outcome:
        """Return the outcome of a row that failed, and end the run where all others would fail, too."""
        reason = self._describe(error)
        remedy = describe_remedy(error)
        reason_and_remedy = f"{reason.rstrip('.')} – {remedy}" if remedy else reason
        severity = judge_failure(error, self._plan.max_wait_s)
        self.tally.failed_in_a_row += 1
        self.tally.unreached_in_a_row += isinstance(error, openai.APIConnectionError)
        self.tally.suspects_in_a_row += severity is not Severity.ROW
        # What the ledger has was answered, too.
        has_worked = self.tally.is_answered or self.tally.from_ledger > 0
        most_suspects = _MAX_SUSPECTS if has_worked else severity.value
        if severity is Severity.RUN or (severity is not Severity.ROW and self.tally.suspects_in_a_row >= most_suspects):
            self.end(reason_and_remedy)
            self._limits.end(reason_and_remedy)
        elif self.tally.failed_in_a_row >= _MAX_FAILURES or self.tally.unreached_in_a_row >= _MAX_UNREACHED:
            which = "last" if has_worked else "first"
            self.end(f"the {which} {self.tally.failed_in_a_row} rows all failed: {reason_and_remedy}")
        return self._unmet(job, reason)

    async def _keep(self, job: Job, outcome: Outcome) -> None:
        """Have a row count once it is durable; an error is not kept, so that it is asked again."""
        outcome.latency_s = job.latency_s
        if self._writer is None or outcome.error is not None:
            if self._writer is not None:
                self._writer.release(job.key)
            self._settle(job, outcome)
            return
        is_durable = self._loop.create_future()

        def note(error: Exception | None) -> None:  # on the writer's thread
            is_first = not self._committed
            self._committed.append((job, outcome, is_durable, error))
            if is_first:  # once for all rows of a commit
                self._loop.call_soon_threadsafe(self._take_committed)

        self._writer.put(job.key, write_record(job.replies, job.latency_s), note)
        # Else more rows than are in flight would be asked again after a kill.
        await is_durable

    def _take_committed(self) -> None:
        while self._committed:
            job, outcome, is_durable, error = self._committed.popleft()
            try:
                if error is not None:
                    self.end(str(error))
                self._settle(job, outcome)
            finally:
                if not is_durable.done():  # the row's task may have been cancelled
                    is_durable.set_result(None)

    def _settle(self, job: Job, outcome: Outcome) -> None:
        row = job.request.row
        self.results.set(row, outcome)
        self.tally.count_row(row, self._label(row), outcome)
