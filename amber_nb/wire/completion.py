"""One streamed request, from the SDK's raw body to a `Reply`."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import httpx2
import openai
from openai.types.chat import ChatCompletion

from .. import clock
from ..cassettes.transport import GIVEN_UP, Closed
from ..errors import BadReply, StreamCut
from ..types import Reply
from .gist import gist, message
from .retry import Retries, Wait
from .sse import Decoder, Event
from .stream import Cut, Fold, Garbled, GatewayFault, parsed

__all__ = ["Call"]

_COUNT = "x-stainless-retry-count"
_NO_CONTENT = 204
_START = 200  # characters of what came, for a message
_BROKEN_REFUSAL = "Connection error: the gateway refused, and its reason cannot be read."
_MUCH = 300  # characters between two rests
_DRAINED_S = 0.001  # what had to be waited for longer was not there yet: all that had arrived has been read


class Call:
    """A chat completion under way.

    `run` is the async core; `reply` may be asked at any time, from any thread, for what has arrived.

    Args:
        client: the SDK's client, for its auth and connection pool; without retries of its own.
        body: the request as the wire has it, without `stream`.
        options: the SDK's own request options (`extra_headers`, `timeout`, …).
        on_text: called on the private loop with each piece of the first choice's text.
        rest_s: seconds between two reads once text has come, a third of it while much comes: waking up for every chunk
            of a slow stream costs twenty times what reading it does, and a reader who watches sees no difference.
        retries: whether and when the request is tried again, until a reply begins.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        body: Mapping[str, Any],
        options: Mapping[str, Any],
        on_text: Callable[[str], object] = len,
        rest_s: float = 0.0,
        retries: Retries | None = None,
    ) -> None:
        self._client = client
        self._body = body
        self._options = options
        self._on_text = on_text
        self._rest_s = rest_s
        self._retries = retries or Retries()
        self._wait: tuple[Wait | None, float] = (None, 0.0)  # and when it ends
        timeout = options.get("timeout", client.timeout)
        self._idle_s: float | None = timeout.read if isinstance(timeout, httpx2.Timeout) else timeout
        self._decoder = Decoder()
        self._fold = Fold()
        self._started = clock.monotonic()
        self._first_token_s: float | None = None
        self._total_s: float | None = None
        self._completion: ChatCompletion | None = None
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
                response = await self._answered(stack)
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if response.status_code == _NO_CONTENT:
                    raise self._bad("nothing (status 204, no content)")
                if kind == "application/json":
                    self._whole(await response.read())
                else:
                    await self._stream(response)
        except httpx2.ReadTimeout as error:
            raise self._cut(f"nothing came for {self._idle_s or 0:g} s") from error
        except Closed as closed:  # a recording whose reader went away: stopped then, stopped now
            if str(closed):
                raise self._cut(str(closed)) from None
            return self.reply(cancelled=True)
        except openai.APIConnectionError as error:
            if not isinstance(error.__cause__, Closed):
                raise
            return self.reply(cancelled=True)  # stopped before anything came
        except httpx2.RequestError as error:  # broken compression too, which is no TransportError
            raise self._cut(f"{_how_it_broke(error)} ({type(error).__name__})") from error
        except Cut as cut:
            raise self._cut(str(cut)) from None
        except GatewayFault as fault:
            raise self._cut(f"the gateway reported: {fault}") from None
        except Garbled as garbled:
            raise self._bad(str(garbled)) from None
        finally:
            self._total_s = clock.monotonic() - self._started
        self._complete = True
        return self.reply()

    @property
    def activity(self) -> str:
        """What goes on that adds no text, such as "thinking" or a wait; may be asked from any thread."""
        wait, until = self._wait
        if wait is not None:
            return f"waiting {max(1, math.ceil(until - clock.monotonic()))} s ({wait.why})"
        return self._fold.activity

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self._total_s is not None

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Tool calls as far as they are written: name and arguments; may be asked from any thread."""
        return self._fold.calls

    def reply(self, *, cancelled: bool = False) -> Reply:
        """What has arrived. `cancelled`: the reader stopped it."""
        fold = self._fold
        completion = self._completion or fold.completion()
        return Reply(
            completion=completion,
            text=fold.text,
            refusal=fold.refusal,
            reasoning=fold.reasoning,
            finish_reason="cancelled" if cancelled and not self._complete else fold.finish_reason,
            complete=self._complete,
            first_token_s=self._first_token_s,
            total_s=self._total_s if self._total_s is not None else clock.monotonic() - self._started,
        )

    async def _answered(self, stack: contextlib.AsyncExitStack) -> openai.AsyncAPIResponse[Any]:
        """The response, once one comes that is no refusal worth another try."""
        create = self._client.chat.completions.with_streaming_response.create
        while True:
            asked = create(**self._body, stream=True, **self._counted())
            try:
                return await stack.enter_async_context(asked)
            except openai.APIError as error:
                wait = self._retries.next(error)
                if wait is None:
                    raise
            except httpx2.RequestError as error:  # while the SDK read the refusal, which it leaves as it is
                failed = openai.APIConnectionError(message=_BROKEN_REFUSAL, request=error.request)
                wait = self._retries.next(failed)
                if wait is None:
                    raise failed from error
            self._wait = (wait, clock.monotonic() + wait.seconds)
            try:
                await clock.sleep_async(wait.seconds)
            finally:
                self._wait = (None, 0.0)

    def _counted(self) -> dict[str, Any]:
        """The options, with the header by which the SDK tells which try this is."""
        given = self._options.get("extra_headers") or {}
        if any(name.lower() == _COUNT for name in given):
            return dict(self._options)
        return {**self._options, "extra_headers": {**given, _COUNT: str(self._retries.taken)}}

    async def _stream(self, response: openai.AsyncAPIResponse[Any]) -> None:
        decoder, fold = self._decoder, self._fold
        idle_s = self._idle_s
        slack_s = min(0.1, idle_s / 10) if idle_s is not None else 0.0
        heard, renew_at, pinged = 0, 0.0, False

        def silence() -> str:
            return f"{'only keep-alives' if pinged else 'nothing'} came for {idle_s or 0:g} s"

        try:
            async with clock.timeout(idle_s) as patience:
                # Asked when the stream is closed, which is before the timeout is raised here.
                response.http_response.extensions[GIVEN_UP] = lambda: silence() if patience.expired() else ""
                asked, came = clock.monotonic(), 0
                async for chunk in response.iter_bytes():
                    now = clock.monotonic()
                    drained = now - asked > _DRAINED_S
                    for event in decoder.feed(chunk):
                        came += self._add(event)
                    pinged = decoder.heard == heard
                    if idle_s is not None and not pinged:
                        heard = decoder.heard
                        # Not at each chunk: a new timer costs more than reading one does.
                        if now > renew_at:
                            renew_at = now + slack_s
                            patience.extend(idle_s + slack_s)
                    if drained and self._rest_s and self._first_token_s is not None:
                        await clock.sleep_async(self._rest_s if came < _MUCH else self._rest_s / 3)
                        came = 0
                    asked = clock.monotonic()
        except TimeoutError:
            raise Cut(silence()) from None
        if last := decoder.close():
            self._last(last)
        if self._completion is None:
            fold.close(self._body.get("n") or 1)

    def _add(self, event: Event) -> int:
        if event.alien and not self._fold.begun and event.data.startswith(b"{"):
            self._whole(event.data)
            return 0
        try:
            text = self._fold.feed(event)
        except Garbled:
            if b"\n" in event.data:
                self._salvage(event)
            raise
        self._show(text)
        return len(text)

    def _show(self, text: str) -> None:
        if text:
            if self._first_token_s is None:
                self._first_token_s = clock.monotonic() - self._started
            self._on_text(text)

    def _last(self, event: Event) -> None:
        """What has no blank line after it: a last event, a piece of one, or a body that is no stream at all."""
        begun = self._fold.begun
        try:
            self._add(event)
        except Garbled:
            if begun:
                raise Cut("it breaks off in the middle of an event") from None
            raise

    def _salvage(self, event: Event) -> None:
        """Several events that no blank line separates: keep the text of those that can be read."""
        with contextlib.suppress(Cut, Garbled, GatewayFault):
            for line in event.data.split(b"\n"):
                self._show(self._fold.feed(Event(line, event.name)))
        if self._fold.begun:
            raise Garbled("events that no blank line separates") from None

    def _whole(self, body: bytes) -> None:
        """A reply that is no stream: some gateways do not stream for some models."""
        said = parsed(body.removeprefix(b"\xef\xbb\xbf")) if body.strip() else None
        choices = said.get("choices") if isinstance(said, dict) else None
        if not choices and (told := message(said)) is not None:
            raise Garbled(told)
        # Values that nobody knows do no harm; what is not there at all does.
        if not isinstance(said, dict) or not _are_messages(choices):
            what = "JSON with no message in its choices, " if isinstance(said, dict) else ""
            raise Garbled(f"{what}{gist(body, _START)}" if body.strip() else "nothing")
        numbered = [{"index": place, **choice} for place, choice in enumerate(choices)]
        whole = {**said, "choices": numbered}
        self._fold.feed(Event(json.dumps({**whole, "choices": [_as_delta(choice) for choice in numbered]}).encode()))
        self._fold.close(self._body.get("n") or 1)
        self._completion = ChatCompletion.model_construct(None, **{"object": "chat.completion", **whole})

    def _cut(self, cause: str) -> StreamCut:
        return StreamCut(f"The reply ended early: {cause.rstrip(' .')}.{self._kept(' ask again for the rest')}")

    def _bad(self, said: str) -> BadReply:
        page = said.startswith("a web page")
        where = " Is a proxy or a sign-in page in between, and is AMBER_BASE_URL right?" if page else ""
        told = f"The gateway's reply is not a chat completion. It says: {said.rstrip(' .')}."
        return BadReply(f"{told}{where}{self._kept('')}")

    def _kept(self, then: str) -> str:
        if not self._fold.text:
            return " No text had come."
        return f" The text so far is on .answer and on amber.last{';' + then if then else ''}."


def _how_it_broke(error: httpx2.RequestError) -> str:
    if isinstance(error, httpx2.RemoteProtocolError):
        return "the connection was closed in the middle of it"
    return "its compression is broken" if isinstance(error, httpx2.DecodingError) else "the connection broke"


def _are_messages(choices: Any) -> TypeGuard[list[dict[str, Any]]]:
    if not isinstance(choices, list) or not choices:
        return False
    return all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices)


def _as_delta(choice: dict[str, Any]) -> dict[str, Any]:
    said = choice["message"]
    calls = said.get("tool_calls")
    if isinstance(calls, list):
        calls = [{**call, "index": place} if isinstance(call, dict) else call for place, call in enumerate(calls)]
    return {**choice, "delta": {**said, "tool_calls": calls}}
