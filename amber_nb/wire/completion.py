"""One streamed request: send it, again where `retry.py` says so, and read its body to a `Reply`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import openai

from .. import clock
from ..errors import BadReply, StreamCut
from ..types import ChatEvent, Delta, Reply, RequestSent, SourcesFound, TextDelta, Waiting
from .accumulator import CompletionAccumulator, GatewayError, IncompleteStream, read_tool_names
from .retry import RetryDelay, RetryPolicy
from .stream import MalformedEvent
from .whole import ReplyReader

__all__ = ["CLOSE_REASON", "ReaderClosed", "StreamedCompletion"]

_RETRY_COUNT = "x-stainless-retry-count"
_BROKEN_REFUSAL = "Connection error: the gateway refused, and its reason cannot be read."
_BUSY_CHARS = 300  # characters between two rests, from which on the rests are short
_DRAINED_S = 0.001  # a read that waited longer had nothing to read at first: all that had arrived has been read
# The name of a response's extension: a function that a transport may call when the response is closed. It returns why
# the reader closes it, "" for Stop, an interrupt or a break.
CLOSE_REASON = "amber_close_reason"


class ReaderClosed(httpx2.ReadError):
    """The body ends here because its reader closed it; the message says why, "" for Stop and interrupts.

    A transport that plays a recording raises it.
    """


class StreamedCompletion:
    """Send one streamed request, and read its reply.

    `run` is the async core; `reply` returns what has arrived, at any time and from any thread.

    Args:
        client: the SDK's client, for its auth and connection pool; it must not retry by itself.
        body: the request body, without `stream`.
        options: the SDK's request options (`extra_headers`, `timeout`, …).
        emit: called on the private loop with each event: what the first choice adds, and the tries.
        rest_s: seconds between two reads once text has come, a third of it while much comes: to wake up for each chunk
            of a slow stream costs twenty times what reading it does, and a reader sees no difference.
        retry_policy: decides whether the request is tried again, until a reply begins.
        stream: whether to ask for a stream.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        body: Mapping[str, Any],
        options: Mapping[str, Any],
        emit: Callable[[ChatEvent], object] = bool,
        rest_s: float = 0.0,
        retry_policy: RetryPolicy | None = None,
        stream: bool = True,
    ) -> None:
        self._client = client
        self._body = body
        self._options = options
        self._emit = emit
        self._rest_s = rest_s
        self._retry_policy = retry_policy or RetryPolicy()
        self._stream = stream
        timeout = options.get("timeout", client.timeout)
        self._idle_s: float | None = timeout.read if isinstance(timeout, httpx2.Timeout) else timeout
        self._accumulator = CompletionAccumulator(read_tool_names(body))
        self._started = clock.monotonic()
        self._first_token_s: float | None = None
        self._total_s: float | None = None
        self._reader: ReplyReader | None = None
        self._complete = False

    async def run(self) -> Reply:
        """Send the request and read the reply to its end.

        Raises:
            openai.OpenAIError: as the SDK raises it, until the reply begins.
            StreamCut: the reply ended early, or the gateway reported an error in its middle.
            BadReply: what came is no chat completion.
        """
        self._started = clock.monotonic()
        try:
            async with contextlib.AsyncExitStack() as stack:
                response = await self._open(stack)
                if response.status_code == 204:
                    raise self._bad_reply("nothing (status 204, no content)")
                await self._read_body(response)
        except httpx2.ReadTimeout as error:
            raise self._stream_cut(f"nothing came for {self._idle_s or 0:g} s") from error
        except ReaderClosed as closed:  # a recording that its reader closed: what was stopped then is stopped now
            if str(closed):
                raise self._stream_cut(str(closed)) from None
            return self.reply(cancelled=True)
        except openai.APIConnectionError as error:
            if not isinstance(error.__cause__, ReaderClosed):
                raise
            return self.reply(cancelled=True)  # stopped before anything came
        except httpx2.RequestError as error:  # broken compression too, which is no TransportError
            raise self._stream_cut(f"{_break_reason(error)} ({type(error).__name__})") from error
        except IncompleteStream as incomplete:
            raise self._stream_cut(str(incomplete)) from None
        except GatewayError as reported:
            raise self._stream_cut(f"the gateway reported: {reported}") from None
        except MalformedEvent as malformed:
            raise self._bad_reply(str(malformed)) from None
        finally:
            self._total_s = clock.monotonic() - self._started
        self._complete = True
        return self.reply()

    def reply(self, *, cancelled: bool = False) -> Reply:
        """Return what has arrived; `cancelled` where the reader stopped it."""
        accumulator = self._accumulator
        read_whole = self._reader and self._reader.completion
        completion = read_whole or accumulator.completion()
        return Reply(
            completion=completion,
            text=accumulator.text,
            refusal=accumulator.refusal,
            reasoning=accumulator.reasoning,
            finish_reason="cancelled" if cancelled and not self._complete else accumulator.finish_reason,
            complete=self._complete,
            first_token_s=self._first_token_s,
            total_s=self._total_s if self._total_s is not None else clock.monotonic() - self._started,
        )

    async def _open(self, stack: contextlib.AsyncExitStack) -> openai.AsyncAPIResponse[Any]:
        """Send the request, again where the retry policy says so, and return the response."""
        create = self._client.chat.completions.with_streaming_response.create
        while True:
            self._emit(RequestSent())
            request = create(**self._body, stream=self._stream, **self._options_with_count())
            try:
                return await stack.enter_async_context(request)
            except openai.APIError as error:
                delay = self._retry_policy.next(error)
                if delay is None:
                    raise
            except httpx2.RequestError as error:  # while the SDK read the refusal, which it leaves as it is
                failed = openai.APIConnectionError(message=_BROKEN_REFUSAL, request=error.request)
                delay = self._retry_policy.next(failed)
                if delay is None:
                    raise failed from error
            await self._wait(delay)

    async def _wait(self, delay: RetryDelay) -> None:
        """Wait for the next try, and tell each second how long that still takes."""
        until = clock.monotonic() + delay.seconds
        while (left := until - clock.monotonic()) > 0:
            self._emit(Waiting(math.ceil(left), delay.reason))
            await clock.sleep_async(min(left, left % 1 or 1.0))

    def _options_with_count(self) -> dict[str, Any]:
        """Return the options with the header by which the SDK tells the gateway which try this is."""
        headers = self._options.get("extra_headers") or {}
        if any(name.lower() == _RETRY_COUNT for name in headers):
            return dict(self._options)
        return {**self._options, "extra_headers": {**headers, _RETRY_COUNT: str(self._retry_policy.retries)}}

    async def _read_body(self, response: openai.AsyncAPIResponse[Any]) -> None:
        """Read a stream, or a reply in one piece: which it is, the label says, and the first byte where it is wrong."""
        idle_s = self._idle_s
        reader = self._reader = ReplyReader(
            response.headers.get("content-type", ""), self._accumulator, self._body.get("n") or 1, self._emit_all
        )
        slack_s = min(0.1, idle_s / 10) if idle_s is not None else 0.0
        activity, renew_at, pinged = 0, 0.0, False

        def silence() -> str:
            return f"{'only keep-alives' if pinged else 'nothing'} came for {idle_s or 0:g} s"

        try:
            async with clock.timeout(idle_s) as timeout:
                # Called when the stream is closed, which is before the timeout is raised here.
                response.http_response.extensions[CLOSE_REASON] = lambda: silence() if timeout.expired() else ""
                read_at, chars = clock.monotonic(), 0
                async for chunk in response.iter_bytes():
                    now = clock.monotonic()
                    drained = now - read_at > _DRAINED_S
                    chars += reader.feed(chunk)
                    alive = reader.activity
                    pinged = alive == activity
                    if idle_s is not None and not pinged:
                        activity = alive
                        # Not at each chunk: a new timer costs more than reading one does.
                        if now > renew_at:
                            renew_at = now + slack_s
                            timeout.extend(idle_s + slack_s)
                    if drained and self._rest_s and self._first_token_s is not None:
                        await clock.sleep_async(self._rest_s if chars < _BUSY_CHARS else self._rest_s / 3)
                        chars = 0
                    read_at = clock.monotonic()
        except TimeoutError:
            raise IncompleteStream(silence()) from None
        reader.close()

    def _emit_all(self, deltas: list[Delta]) -> int:
        """Emit deltas, and return how many characters of text they add."""
        chars = 0
        if self._accumulator.named_sources:
            self._emit(SourcesFound(self._accumulator.take_sources()))
        for delta in deltas:
            if type(delta) is TextDelta:
                chars += len(delta.text)
                if self._first_token_s is None:
                    self._first_token_s = clock.monotonic() - self._started
            self._emit(delta)
        return chars

    def _stream_cut(self, cause: str) -> StreamCut:
        return StreamCut(
            f"The reply ended early: {cause.rstrip(' .')}.{self._text_so_far_note(' ask again for the rest')}"
        )

    def _bad_reply(self, content: str) -> BadReply:
        page = content.startswith("a web page")
        where = " Is a proxy or a sign-in page in between, and is AMBER_BASE_URL right?" if page else ""
        text = f"The gateway's reply is not a chat completion. It says: {content.rstrip(' .')}."
        return BadReply(f"{text}{where}{self._text_so_far_note('')}")

    def _text_so_far_note(self, advice: str) -> str:
        if not self._accumulator.text:
            return " No text had come."
        return f" The text so far is on .answer and on amber.last{';' + advice if advice else ''}."


def _break_reason(error: httpx2.RequestError) -> str:
    if isinstance(error, httpx2.RemoteProtocolError):
        return "the connection was closed in the middle of it"
    return "its compression is broken" if isinstance(error, httpx2.DecodingError) else "the connection broke"
