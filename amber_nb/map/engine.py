"""Send the requests of a map and take in their replies; runs on the private event loop, no display."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import openai

from .. import clock, tools
from ..cassettes.session import ADAPTED
from ..chat.adaptations import ADAPTATIONS, adapt, find_adaptation, parameter_note
from ..errors import AmberError, BadReply, CassetteMiss, is_out_of_quota
from ..types import read_tokens, replace_surrogates
from ..wire.accumulator import GatewayError, IncompleteStream
from ..wire.retry import RetryPolicy, retry_after_s
from ..wire.sender import RequestSender, status_error
from ..wire.stream import MalformedEvent
from ..wire.whole import WholeReply, read_reply
from .failures import describe_remedy, ends_run
from .ledger import Ledger
from .ledger_writer import LedgerWriter
from .limits import Limits, RequestLimits
from .outcomes import Unusable, add_usage, price_reply, read_value, write_record
from .plan import MapPlan
from .prompts import dump
from .results import Outcome, Results
from .tally import Tally
from .windows import Job, Window, WindowMaker

__all__ = ["MapEngine"]

_PROBE_S = 2.0  # for so long the first request goes alone: what is refused of it is refused of all
_LOOK_S = 0.5  # between two looks whether another process has the answers that it asks for
_MAX_SAME_FAILURES = 100  # of the first rows, where none was answered
_MAX_UNREACHED = 20  # the same, where there is no connection at all
_FIRST_REPLY_TOKENS = 200  # expected of a reply before the first has come


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
        self._clients = clients
        self._describe = describe
        self._known = known
        self._ledger = ledger
        self._writer = LedgerWriter(ledger, run) if ledger is not None else None
        self.results = Results(plan.count)
        self.tally = Tally(plan.count)
        self.end_reason: str | None = None
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self.remarks: list[str] = []
        self._limits = shared or RequestLimits(plan.concurrency, plan.requests_per_minute, plan.tokens_per_minute)
        self._budget = plan.budget if shared is None else None  # else of all engines together
        self._windows = WindowMaker(plan, ledger, run, resume=resume)
        self._jobs: deque[Job] = deque()
        self._elsewhere: list[Job] = []
        self._prepared: asyncio.Task[Window] | None = None
        self._next_row = 0
        self._feeding = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._probe_began = False
        self._gate = asyncio.Event()
        self._released = asyncio.Event()
        self._committed: deque[tuple[Job, Outcome, asyncio.Future[None], Exception | None]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._first_failures: dict[str, int] = {}

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
            self._tasks = [asyncio.create_task(self._work()) for _ in range(count)]
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
            self._windows.close()
            if self._writer is not None:
                self._writer.close()  # commits what is left
            self._take_committed()
            if self._ledger is not None:
                with contextlib.suppress(AmberError):
                    self._ledger.close()
            with contextlib.suppress(Exception):
                await self._sender.close()
            self.results.copy_followers()
            self.ended.set()

    def end(self, reason: str) -> None:
        """End the run: nothing more is sent; what is under way may come to its end."""
        if self.end_reason is None:
            self.end_reason = reason
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

    async def _work(self) -> None:
        while (job := await self._next_job()) is not None:
            outcome = await self._ask(job)
            if outcome is not None:
                await self._keep(job, outcome)

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
        is_probe, self._probe_began = not self._probe_began, True
        if not is_probe and not self._gate.is_set():
            await self._gate.wait()
        opener = asyncio.create_task(self._open_gate_later()) if is_probe else None
        try:
            if (reason := await self._limits.admit()) is not None:
                self.end(reason)
                return None
            try:
                if self.end_reason is not None or not await self._is_affordable():
                    return None
                return await self._converse(job)
            finally:
                self._limits.dismiss()
        except (openai.OpenAIError, AmberError) as error:
            if isinstance(error, CassetteMiss):
                self.error = error
                self.end("CassetteMiss")
                return None
            return self._fail(job, error)
        finally:
            self._released.set()
            if opener is not None:
                opener.cancel()
                self._gate.set()

    async def _open_gate_later(self) -> None:
        await clock.sleep_async(_PROBE_S)
        self._gate.set()

    async def _is_affordable(self) -> bool:
        """Wait until the budget surely allows one request more; return False where it does not."""
        if (wanted := self._plan.budget) is not None and wanted.is_blind(self.tally.unmeasured, self.tally.unpriced):
            reason = f"the gateway tells no usage or no price is known, so that the budget of {wanted} cannot be kept"
            self.end(reason)
            self._limits.end(reason)
            return False
        budget = self._budget
        while budget is not None and not budget.allows(self.tally, self.tally.in_flight + 1):
            if not self.tally.in_flight:
                self.end(f"the budget of {budget} allows no more rows")
            if self.end_reason is not None:
                return False
            self._released.clear()
            await self._released.wait()
        return True

    async def _converse(self, job: Job) -> Outcome:
        """Send a request, and where the reply does not fit the schema, once a correction."""
        self.tally.in_flight += 1
        try:
            plan = self._plan
            reply = await self._send(job, job.request.messages, job.request.content)
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
                    reply = await self._send(job, messages, self._plan.builder.content(messages))
            raise AssertionError
        except Unusable as unusable:
            return self._unmet(job, str(unusable))
        finally:
            self.tally.in_flight -= 1

    def _unmet(self, job: Job, reason: str) -> Outcome:
        outcome = Outcome(error=" ".join(replace_surrogates(reason).split()))
        add_usage(outcome, job.replies, job.costs)
        return outcome

    async def _send(self, job: Job, messages: Sequence[Mapping[str, Any]], content: bytes) -> WholeReply:
        """Send a request, without what the model is known to refuse of it; what is refused now is learnt."""
        body = {**self._plan.body, "messages": list(messages)}
        names = set(self._known)
        while True:
            if names:
                adapted = adapt(body, names, self._plan.own)
                content = dump(adapted)
            ADAPTED.set(frozenset(names))
            try:
                reply = await self._post(job, content)
            except openai.APIStatusError as error:
                found = find_adaptation(error, adapt(body, names, self._plan.own), self._plan.own)
                if found is None or found in names or found == "stream":
                    if note := parameter_note(error, self._plan.body):
                        error.add_note(note)
                    raise
                names.add(found)
            else:
                for name in sorted(names - self._known):  # only what has helped is remembered
                    self._known.add(name)
                    self.remarks.append(f"the gateway or {body['model']} {ADAPTATIONS[name]}")
                cost = price_reply(reply, str(body["model"]), self._plan.prices)
                job.replies.append(reply)
                job.costs.append(cost)
                self.tally.count_reply(reply, cost)
                tokens = read_tokens(reply.usage or {})
                self._limits.spend((tokens[0] or 0) + (tokens[1] or 0), cost.amount if cost is not None else None)
                return reply

    async def _post(self, job: Job, content: bytes) -> WholeReply:
        """Send a body until it is answered, or may not be sent again.

        Raises:
            openai.OpenAIError: the last refusal, or no connection.
            BadReply: what came is no chat completion.
        """
        plan, policy, waited_s = self._plan, RetryPolicy(self._plan.max_retries, self._plan.max_wait_s), 0.0
        expected = len(content) // 4 + job.request.image_tokens + self.tally.mean_reply_tokens(_FIRST_REPLY_TOKENS)
        while True:
            number = await self._limits.acquire(expected)
            self.tally.count_request()
            began = clock.monotonic()
            used: int | None = None
            failure: Exception
            try:
                raw = await self._sender.post(content, timeout_s=plan.timeout_s, retries=policy.retries)
                job.latency_s = clock.monotonic() - began if plan.is_timed else None
                self._limits.read_headers(raw.headers)
                if raw.status == 200:
                    reply = read_reply(raw.content, raw.headers.get("content-type", ""))
                    used = read_tokens(reply.usage or {})[2]
                    self._limits.succeed()
                    self._first_failures.clear()
                    self.tally.is_answered = True
                    return reply
                failure = status_error(self._clients, content, raw)
            except openai.APIConnectionError as error:
                failure = error
            except (MalformedEvent, IncompleteStream, GatewayError) as error:
                failure = BadReply(f"The reply is not a chat completion: {error}.")
            finally:
                self._limits.settle(expected, used)
                self._limits.release()
            if self.end_reason is not None:
                raise failure
            if isinstance(failure, openai.RateLimitError) and not is_out_of_quota(failure):
                asked_s = retry_after_s(failure)
                if asked_s is not None and asked_s > plan.max_wait_s:
                    raise failure
                pause_s = self._limits.refuse(number, asked_s)
                waited_s += pause_s
                if waited_s > plan.max_wait_s:
                    raise failure
                await clock.sleep_async(pause_s)
                continue
            delay = policy.next(failure if isinstance(failure, openai.APIError) else _no_reply(failure))
            if delay is None:
                raise failure
            await clock.sleep_async(delay.seconds)

    # --- what has come of it

    def _fail(self, job: Job, error: Exception) -> Outcome:
        """Return the outcome of a row that failed, and end the run where all others would fail, too."""
        reason = self._describe(error)
        remedy = describe_remedy(error)
        reason_and_remedy = f"{reason.rstrip('.')}. {remedy}" if remedy else reason
        if ends_run(error, self._plan.max_wait_s):
            self.end(reason_and_remedy)
            self._limits.end(reason_and_remedy)
        elif not self.tally.is_answered:
            kind = f"{type(error).__name__}"
            number = self._first_failures[kind] = self._first_failures.get(kind, 0) + 1
            limit = _MAX_UNREACHED if isinstance(error, openai.APIConnectionError) else _MAX_SAME_FAILURES
            if number >= limit:
                self.end(f"the first {number} rows all failed: {reason_and_remedy}")
        return self._unmet(job, reason)

    async def _keep(self, job: Job, outcome: Outcome) -> None:
        """Have a row count once it is durable; an error is not kept, so that it is asked again."""
        outcome.latency_s = job.latency_s
        if self._writer is None or outcome.error is not None:
            self._windows.release(job.key)
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
            if error is not None:
                self.end(str(error))
            self._settle(job, outcome)
            if not is_durable.done():  # the row's task may have been cancelled
                is_durable.set_result(None)

    def _settle(self, job: Job, outcome: Outcome) -> None:
        row = job.request.row
        self.results.set(row, outcome)
        self.tally.count_row(row, self._label(row), outcome)


def _no_reply(error: Exception) -> openai.APIConnectionError:
    """Return an error that is tried again as a broken connection is."""
    failed = openai.APIConnectionError(message=str(error), request=None)  # type: ignore[arg-type]
    failed.__cause__ = error
    return failed
