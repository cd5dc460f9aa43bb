"""One question up to the reply that ends it: requests, rounds of tools, a repair. No display, no cell; private loop."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .. import clock, tools
from ..cassettes.session import CassetteSession
from ..errors import ToolError
from ..types import Reply, ToolRun, ToolStep
from ..wire.clients import Clients
from ..wire.completion import RetryPolicy, StreamedCompletion
from .messages import assistant_message, numbered_calls, pictures, tool_messages
from .running import Raised, in_thread
from .tool_calls import Rounds

__all__ = ["Dialogue", "calls_tools"]

# Why a reply ends whose calls are the model's whole wish; what was cut or filtered is shown, and not run.
CALLING = ("tool_calls", "function_call", "stop")


def calls_tools(reply: Reply) -> bool:
    """Whether it ends in calls, and these are whole."""
    calls = (assistant_message(reply.completion) or {}).get("tool_calls")
    return bool(calls) and reply.finish_reason in CALLING


class Dialogue:
    """`run` is the async core; what has come so far may be read at any time, from any thread.

    Args:
        clients: the SDK's clients, on the mode's transport.
        session: the cassette that is recorded to or replayed from, or None.
        messages: up to the question.
        body: of each request, beside its messages.
        options: the SDK's own of each request.
        retries: makes what decides on a request's tries.
        rounds: of the tools, where there are any.
        max_rounds: how many of them.
        shape: what `schema=` asks for.
        feed: called with each piece of text.
        rest_s: seconds between two reads.

    Attributes:
        messages: the conversation up to the last reply.
        texts: of the replies before the last.
        pending: what ran beside calls that are the caller's to run.
        pictures: of these, where they come from a recording.
        parsed: what the shape has read: the value, and as JSON.
        misfit: why the last reply does not fit the shape.
    """

    def __init__(
        self,
        clients: Clients,
        session: CassetteSession | None,
        messages: list[dict[str, Any]],
        body: dict[str, Any],
        options: Mapping[str, Any],
        *,
        retries: Callable[[], RetryPolicy],
        rounds: Rounds | None,
        max_rounds: int,
        shape: tools.ResponseFormat | None,
        feed: Callable[[str], object] = len,
        rest_s: float = 0.0,
    ) -> None:
        self.messages = messages
        self.texts: list[str] = []
        self.pending: list[ToolRun] = []
        self.pictures: list[dict[str, Any]] = []
        self.parsed: tuple[Any, Any] | None = None
        self.misfit = ""
        self._clients = clients
        self._session = session
        self._body = body
        self._options = options
        self._retries = retries
        self._rounds = rounds
        self._max_rounds = max_rounds
        self._round = 0  # the last one that was begun
        self._shape = shape
        self._feed = feed
        self._rest_s = rest_s
        self._call: StreamedCompletion | None = None
        self._began = 0.0
        self._first_token_s: float | None = None

    async def run(self) -> Reply:
        """The last reply; its times are those of all.

        Raises:
            openai.OpenAIError, StreamCut, BadReply: as `StreamedCompletion.run` does.
            ToolError: as `Rounds.run` does, and where the model does not come to an end.
            CassetteMiss: nothing is recorded for a request, or of what tools told.
        """
        self._began = clock.monotonic()
        reply = await self._answered()
        if self._shape is not None and reply.complete:
            reply = await self._fitting(self._shape, reply)
        return self._timed(reply)

    def so_far(self, *, cancelled: bool) -> Reply | None:
        """What has come of the last reply; None where nothing was asked yet."""
        if self._call is None:
            return None
        reply = self._timed(self._call.reply(cancelled=cancelled))
        # Also where the reply was whole, and its tools were running.
        return replace(reply, finish_reason="cancelled", complete=False) if cancelled else reply

    @property
    def activity(self) -> str:
        """What goes on that adds no text."""
        return self._call.activity if self._call is not None else ""

    @property
    def runs(self) -> tuple[ToolRun, ...]:
        """The calls of tools so far."""
        return self._rounds.runs if self._rounds is not None else ()

    @property
    def steps(self) -> list[ToolStep]:
        """The same as a live view shows them, with those that the model is writing."""
        if self._rounds is None:
            return []
        steps, call = list(self._rounds.steps), self._call
        if call is not None and not call.over:
            number = max((step.round for step in steps), default=0) + 1
            steps += [
                ToolStep(key=f"{number}.{place}", round=number, name=name, arguments=text, state="writing")
                for place, (name, text) in enumerate(call.calls, start=len(steps))
            ]
        return steps

    async def _answered(self) -> Reply:
        """The reply that calls no tool any more, round after round."""
        while True:
            reply = await self._asked()
            said = assistant_message(reply.completion)
            if self._rounds is None or said is None or not calls_tools(reply):
                return reply
            self._round += 1
            if self._round > self._max_rounds:
                call = said["tool_calls"][0]["function"]
                raise ToolError(
                    f"The model wants tools again, and max_rounds={self._max_rounds} is the limit. Raise it, or ask in "
                    "smaller steps.",
                    name=call["name"],
                    arguments=call["arguments"],
                )
            if not await self._used(self._rounds, said):
                return reply
            self._go_on(reply)

    async def _used(self, rounds: Rounds, said: dict[str, Any]) -> bool:
        """Run the tools of one reply, and go on from there; False where one of them is the caller's to run."""
        numbered = numbered_calls(said, self._round)
        begun = [*self.messages, numbered]
        then = self._recorded_results(begun)
        told = None if then is None else {one.get("tool_call_id", ""): one.get("content") or "" for one in then}
        calls = [  # with the arguments as the model wrote them
            {**call, "function": old["function"]}
            for call, old in zip(numbered["tool_calls"], said["tool_calls"], strict=True)
        ]
        runs = await rounds.run(calls, self._round, told)
        if rounds.leaves(runs):
            self.pending = [run for run in runs if run.status != "not_run"]
            self.pictures = pictures(then or (), self.pending)
            return False
        if then == []:
            assert self._session is not None
            raise self._session.missing_results()
        self.messages = [*begun, *(then or tool_messages(runs))]
        if self._body.get("tool_choice") not in (None, "auto", "none"):  # it would be forced to call for ever
            self._body["tool_choice"] = "auto"
        return True

    def _recorded_results(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """Return the messages that followed these when they were recorded; None where the tools are to run."""
        if self._session is None:
            return None
        return self._session.recorded_results(
            "/chat/completions", {"model": self._body.get("model"), "messages": messages}
        )

    async def _fitting(self, shape: tools.ResponseFormat, reply: Reply) -> Reply:
        """The reply to a schema: read, and asked for once more where it does not fit."""
        for again in (True, False):
            if reply.refusal or calls_tools(reply) or reply.finish_reason in ("length", "content_filter"):
                return reply
            try:
                self.parsed = await self._read(shape, reply.text)
                return reply
            except tools.ResponseMismatch as misfit:
                if not again:
                    self.misfit = str(misfit)
                    return reply
                said = {"role": "assistant", "content": reply.text}
                wrong = f"This does not fit the schema. {misfit} Give the corrected JSON, and nothing else."
                self.messages = [*self.messages, said, {"role": "user", "content": wrong}]
            self._feed("\n\n")
            reply = await self._answered()
        return reply

    async def _read(self, shape: tools.ResponseFormat, text: str) -> tuple[Any, Any]:
        """In a thread: a validator may be code of the user's, and here all answers are read."""
        try:
            read: tuple[Any, Any] = await in_thread(contextvars.copy_context(), lambda: shape.parse(text))
            return read
        except Raised as raised:
            raise raised.error from None

    def _go_on(self, reply: Reply) -> None:
        if reply.text:
            self.texts.append(reply.text)
            self._feed("\n\n")

    def _request(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._body, "messages": messages, "stream_options": {"include_usage": True}}

    async def _asked(self) -> Reply:
        """One request and its reply."""
        body = self._request(self.messages)
        self._call = StreamedCompletion(
            self._clients.private(), body, self._options, self._feed, self._rest_s, self._retries()
        )
        sent = clock.monotonic()
        try:
            return await self._call.run()
        finally:
            first = self._call.reply().first_token_s
            if self._first_token_s is None and first is not None:
                self._first_token_s = sent - self._began + first

    def _timed(self, reply: Reply) -> Reply:
        return replace(reply, first_token_s=self._first_token_s, total_s=clock.monotonic() - self._began)
