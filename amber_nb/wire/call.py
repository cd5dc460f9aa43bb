"""One streamed request, from the SDK's raw body to a `Reply`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletion

from ..errors import BadReply, StreamCut
from ..types import Reply
from .sse import Decoder, Event
from .stream import Cut, Fold, Garbled, GatewayFault

__all__ = ["Call"]

_MUCH = 300  # characters between two rests
_DRAINED_S = 0.001  # what had to be waited for longer was not there yet: all that had arrived has been read


class Call:
    """A chat completion under way.

    `run` is the async core; `reply` may be asked at any time, from any thread, for what has arrived.

    Args:
        client: the SDK's client, for its auth, retries and connection pool.
        body: the request as the wire has it, without `stream`.
        options: the SDK's own request options (`extra_headers`, `timeout`, …).
        on_text: called on the private loop with each piece of the first choice's text.
        rest_s: seconds between two reads once text has come, a third of it while much comes: waking up for every chunk
            of a slow stream costs twenty times what reading it does, and a reader who watches sees no difference.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        body: Mapping[str, Any],
        options: Mapping[str, Any],
        on_text: Callable[[str], object] = len,
        rest_s: float = 0.0,
    ) -> None:
        self._client = client
        self._body = body
        self._options = options
        self._on_text = on_text
        self._rest_s = rest_s
        self._fold = Fold()
        self._started = time.monotonic()
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
        self._started = time.monotonic()
        create = self._client.chat.completions.with_streaming_response.create
        try:
            async with create(**self._body, stream=True, **self._options) as response:
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind == "application/json":
                    self._whole(await response.read())
                else:
                    await self._stream(response)
        except httpx2.TransportError as error:
            raise StreamCut(_cut_message(f"the connection broke ({type(error).__name__})")) from error
        finally:
            self._total_s = time.monotonic() - self._started
        self._complete = True
        return self.reply()

    @property
    def activity(self) -> str:
        """What the model does now that adds no text, such as "thinking"; may be asked from any thread."""
        return self._fold.activity

    def reply(self, *, cancelled: bool = False) -> Reply:
        """What has arrived. `cancelled`: the reader stopped it."""
        fold = self._fold
        completion = self._completion or fold.completion()
        text, refusal, reason = fold.text, fold.refusal, fold.finish_reason
        if self._completion is not None:
            choice = self._completion.choices[0]
            text, refusal, reason = choice.message.content or "", choice.message.refusal, choice.finish_reason
        return Reply(
            completion=completion,
            text=text,
            refusal=refusal,
            reasoning=fold.reasoning,
            finish_reason="cancelled" if cancelled and not self._complete else reason,
            complete=self._complete,
            first_token_s=self._first_token_s,
            total_s=self._total_s if self._total_s is not None else time.monotonic() - self._started,
        )

    async def _stream(self, response: openai.AsyncAPIResponse[Any]) -> None:
        decoder, fold = Decoder(), self._fold
        try:
            asked, came = time.monotonic(), 0
            async for chunk in response.iter_bytes():
                drained = time.monotonic() - asked > _DRAINED_S
                for event in decoder.feed(chunk):
                    came += self._add(event)
                if drained and self._rest_s and self._first_token_s is not None:
                    await asyncio.sleep(self._rest_s if came < _MUCH else self._rest_s / 3)
                    came = 0
                asked = time.monotonic()
            if last := decoder.close():
                self._last(last)
            if self._completion is None:
                fold.close(self._body.get("n") or 1)
        except Cut as cut:
            raise StreamCut(_cut_message(str(cut))) from None
        except GatewayFault as fault:
            raise StreamCut(_cut_message(f"the gateway reported: {fault}")) from None
        except Garbled as garbled:
            raise BadReply(f"The gateway's reply is not a chat completion. It says: {garbled}") from None

    def _add(self, event: Event) -> int:
        if text := self._fold.feed(event):
            if self._first_token_s is None:
                self._first_token_s = time.monotonic() - self._started
            self._on_text(text)
        return len(text)

    def _last(self, event: Event) -> None:
        """What has no blank line after it: a last event, a piece of one, or a body that is no stream at all."""
        if (
            not self._fold.begun
            and event.data.lstrip(b"\xef\xbb\xbf \n").startswith(b"{")
            and b'"message"' in event.data
        ):
            self._whole(event.data)
            return
        try:
            self._add(event)
        except Garbled:
            if self._fold.begun:
                raise Cut("it breaks off in the middle of an event") from None
            raise

    def _whole(self, body: bytes) -> None:
        # Some gateways do not stream for some models, and answer with the whole completion.
        try:
            completion = ChatCompletion.model_validate_json(body.removeprefix(b"\xef\xbb\xbf"))
        except ValueError:
            completion = None
        if completion is None or not completion.choices:
            start = body[:200].decode("utf-8", "replace")
            raise BadReply(f"The gateway's reply is not a chat completion. It says: {start or '(nothing)'}")
        self._completion = completion


def _cut_message(cause: str) -> str:
    return f"The reply ended early: {cause}. The text so far is on .answer and on amber.last; ask again for the rest."
