"""Send the request of a row until it is answered: limits, tries, and what the model refuses of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import openai

from .. import clock
from ..cassettes.session import ADAPTED
from ..chat.adaptations import ADAPTATIONS, adapt, find_adaptation, parameter_note
from ..errors import BadReply, is_out_of_quota
from ..types import read_tokens
from ..wire.accumulator import GatewayError, IncompleteStream
from ..wire.retry import RetryPolicy, retry_after_s
from ..wire.sender import RequestSender, status_error
from ..wire.stream import MalformedEvent
from ..wire.whole import WholeReply, read_reply
from .limits import Limits, backoff_s
from .outcomes import price_reply
from .plan import MapPlan
from .prompts import dump
from .tally import Tally
from .windows import Job

__all__ = ["BYTES_PER_TOKEN", "Exchange", "RunEnded"]

BYTES_PER_TOKEN = 4
_FIRST_REPLY_TOKENS = 200  # expected of a reply before the first has come
_BELIEVED_REFUSALS = 4  # pauses of a row that are as short as the gateway asks


class RunEnded(Exception):
    """The run ended before a request was sent."""


class Exchange:
    """Send requests for the rows of one run; used on one event loop.

    Args:
        plan: of the run.
        sender: sends a body.
        clients: the SDK's clients, for its errors.
        known: names of what the model is known to refuse, see `Adaptations.of`; what is learnt is added.
        limits: hold requests back.
        tally: the numbers of the run.
        ending: set when the run ends: then nothing more is sent.
        remarks: gets a line for each thing that was learnt of the model.
    """

    def __init__(
        self,
        plan: MapPlan,
        sender: RequestSender,
        clients: Any,
        known: set[str],
        *,
        limits: Limits,
        tally: Tally,
        ending: asyncio.Event,
        remarks: list[str],
    ) -> None:
        self._plan = plan
        self._sender = sender
        self._clients = clients
        self._known = known
        self._limits = limits
        self._tally = tally
        self._ending = ending
        self._remarks = remarks

    async def send(self, job: Job, messages: Sequence[Mapping[str, Any]], content: bytes) -> WholeReply:
        """Send a request, without what the model is known to refuse of it; what is refused now is learnt.

        Args:
            job: of the row; the reply is added to it.
            messages: of the request.
            content: its body.

        Raises:
            openai.OpenAIError, BadReply: as `_post` raises them.
            RunEnded: the run ended before the request was sent.
        """
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
                    self._remarks.append(f"the gateway or {body['model']} {ADAPTATIONS[name]}")
                cost = price_reply(reply, str(body["model"]), self._plan.prices)
                job.replies.append(reply)
                job.costs.append(cost)
                self._tally.count_reply(reply, cost)
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
        refusals = 0
        expected = (
            len(content) // BYTES_PER_TOKEN
            + job.request.image_tokens
            + self._tally.mean_reply_tokens(_FIRST_REPLY_TOKENS)
        )
        while True:
            number = await self._acquire(expected)
            self._tally.count_request()
            began = clock.monotonic()
            used: int | None = None
            failure: Exception
            try:
                raw = await self._sender.post(content, timeout_s=plan.timeout_s, retries=policy.retries)
                job.latency_s = clock.monotonic() - began if plan.is_timed else None
                self._limits.read_headers(raw.headers)
                if raw.status // 100 == 2:
                    reply = read_reply(raw.content, raw.headers.get("content-type", ""))
                    used = read_tokens(reply.usage or {})[2]
                    self._limits.succeed()
                    self._tally.note_answer()
                    return reply
                failure = status_error(self._clients, content, raw)
            except openai.APIConnectionError as error:
                failure = error
            except (MalformedEvent, IncompleteStream, GatewayError) as error:
                failure = BadReply(f"The reply is not a chat completion: {error}.")
            finally:
                self._limits.settle(expected, used)
                self._limits.release()
            if self._ending.is_set():
                raise failure
            if isinstance(failure, openai.RateLimitError) and not is_out_of_quota(failure):
                asked_s = retry_after_s(failure)
                if asked_s is not None and asked_s > plan.max_wait_s:
                    raise failure
                refusals += 1
                # A gateway that asks for an instant each time is believed a few times.
                least_s = backoff_s(refusals - _BELIEVED_REFUSALS) if refusals > _BELIEVED_REFUSALS else 0.0
                pause_s = max(self._limits.refuse(number, asked_s), least_s)
                waited_s += pause_s
                if waited_s > plan.max_wait_s:
                    raise failure
                await self._sleep(pause_s, failure)
                continue
            delay = policy.next(failure if isinstance(failure, openai.APIError) else _no_reply(failure))
            if delay is None:
                raise failure
            await self._sleep(delay.seconds, failure)

    async def _acquire(self, tokens: int) -> int:
        """Wait until a request may go out, and return its number.

        Raises:
            RunEnded: the run ended meanwhile.
        """
        number = self._limits.try_acquire(tokens)
        if number is None:
            turn = asyncio.ensure_future(self._limits.acquire(tokens))
            await self._wait_or_end(turn)
            if not turn.done():
                turn.cancel()
                await asyncio.gather(turn, return_exceptions=True)
            number = None if turn.cancelled() else turn.result()
        if number is None or self._ending.is_set():
            if number is not None:
                self._limits.release()
            raise RunEnded
        return number

    async def _sleep(self, seconds: float, failure: Exception) -> None:
        """Wait before the next try; raise the failure where the run ends meanwhile."""
        sleep = asyncio.ensure_future(clock.sleep_async(seconds))
        try:
            await self._wait_or_end(sleep)
        finally:
            sleep.cancel()
        if self._ending.is_set():
            raise failure

    async def _wait_or_end(self, future: asyncio.Future[Any]) -> None:
        """Wait for something, or for the end of the run."""
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({future, ending}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            future.cancel()
            raise
        finally:
            ending.cancel()


def _no_reply(error: Exception) -> openai.APIConnectionError:
    """Return an error that is tried again as a broken connection is."""
    failed = openai.APIConnectionError(message=str(error), request=None)  # type: ignore[arg-type]
    failed.__cause__ = error
    return failed
