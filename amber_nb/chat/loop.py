"""The chat loop: request, tools, request, … up to the reply that ends an ask; no display, no cell.

It runs on the private loop.
"""

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
from ..wire.completion import StreamedCompletion
from ..wire.retry import RetryPolicy
from .execute import UserCodeError, run_in_thread
from .messages import assistant_message, ensure_call_ids, image_messages, tool_messages
from .tool_calls import ToolRunner

__all__ = ["ChatLoop", "wants_tools"]

# The finish_reasons after which tool calls are complete and may run; calls that were cut or filtered are only shown.
COMPLETE_CALLS = ("tool_calls", "function_call", "stop")


def wants_tools(reply: Reply) -> bool:
    """Return whether the reply ends in tool calls that are complete."""
    calls = (assistant_message(reply.completion) or {}).get("tool_calls")
    return bool(calls) and reply.finish_reason in COMPLETE_CALLS


class ChatLoop:
    """Run one ask up to its last reply; what has come so far is readable at any time, from any thread.

    Args:
        clients: the SDK's clients, on the mode's transport.
        session: the cassette that is recorded to or replayed from, or None.
        messages: the conversation, which ends with the question.
        body: of each request, without its messages.
        options: the SDK's options of each request.
        retry_policy: makes the retry policy of a request.
        tool_runner: handles tool calls; None without tools.
        max_rounds: how often the model may call tools.
        response_format: what `schema=` asks for, or None.
        on_text: called with each piece of text.
        rest_s: seconds between two reads.

    Attributes:
        messages: the conversation up to the last reply.
        earlier_texts: the texts of the replies before the last.
        unhandled_runs: the runs beside calls that the caller has to run.
        image_messages: the recorded messages with the images of these runs.
        parsed: what the response format has read: the value, and as JSON.
        schema_error: why the last reply does not fit the response format.
    """

    def __init__(
        self,
        clients: Clients,
        session: CassetteSession | None,
        messages: list[dict[str, Any]],
        body: dict[str, Any],
        options: Mapping[str, Any],
        *,
        retry_policy: Callable[[], RetryPolicy],
        tool_runner: ToolRunner | None,
        max_rounds: int,
        response_format: tools.ResponseFormat | None,
        on_text: Callable[[str], object] = len,
        rest_s: float = 0.0,
    ) -> None:
        self.messages = messages
        self.earlier_texts: list[str] = []
        self.unhandled_runs: list[ToolRun] = []
        self.image_messages: list[dict[str, Any]] = []
        self.parsed: tuple[Any, Any] | None = None
        self.schema_error = ""
        self._clients = clients
        self._session = session
        self._body = body
        self._options = options
        self._retry_policy = retry_policy
        self._tool_runner = tool_runner
        self._max_rounds = max_rounds
        self._round = 0  # the last round that began
        self._response_format = response_format
        self._on_text = on_text
        self._rest_s = rest_s
        self._call: StreamedCompletion | None = None
        self._began = 0.0
        self._first_token_s: float | None = None

    async def run(self) -> Reply:
        """Return the last reply, with the times of the whole ask.

        Raises:
            openai.OpenAIError, StreamCut, BadReply: as `StreamedCompletion.run` raises them.
            ToolError: as `ToolRunner.run` raises it, and where the model calls tools too often.
            CassetteMiss: a request, or the result of a tool, is not recorded.
        """
        self._began = clock.monotonic()
        reply = await self._run_rounds()
        if self._response_format is not None and reply.complete:
            reply = await self._parse_or_repair(self._response_format, reply)
        return self._with_times(reply)

    def partial_reply(self, *, cancelled: bool) -> Reply | None:
        """Return what has come of the last reply; None before the first request."""
        if self._call is None:
            return None
        reply = self._with_times(self._call.reply(cancelled=cancelled))
        # Also where the reply was complete, and its tools were running.
        return replace(reply, finish_reason="cancelled", complete=False) if cancelled else reply

    @property
    def activity(self) -> str:
        """What goes on that adds no text, for a status line."""
        return self._call.activity if self._call is not None else ""

    @property
    def runs(self) -> tuple[ToolRun, ...]:
        """The tool calls so far."""
        return self._tool_runner.runs if self._tool_runner is not None else ()

    @property
    def steps(self) -> list[ToolStep]:
        """The tool calls as a live view shows them, with those that the model is writing."""
        if self._tool_runner is None:
            return []
        steps, call = list(self._tool_runner.steps), self._call
        if call is not None and not call.over:
            number = max((step.round for step in steps), default=0) + 1
            steps += [
                ToolStep(key=f"{number}.{place}", round=number, name=name, arguments=text, state="writing")
                for place, (name, text) in enumerate(call.calls, start=len(steps))
            ]
        return steps

    async def _run_rounds(self) -> Reply:
        """Run round after round, and return the reply that calls no tool."""
        while True:
            reply = await self._request()
            message = assistant_message(reply.completion)
            if self._tool_runner is None or message is None or not wants_tools(reply):
                return reply
            self._round += 1
            if self._round > self._max_rounds:
                call = message["tool_calls"][0]["function"]
                raise ToolError(
                    f"The model wants tools again, and max_rounds={self._max_rounds} is the limit. Raise it, or ask in "
                    "smaller steps.",
                    name=call["name"],
                    arguments=call["arguments"],
                )
            if not await self._run_tools(self._tool_runner, message):
                return reply
            self._keep_text(reply)

    async def _run_tools(self, tool_runner: ToolRunner, message: dict[str, Any]) -> bool:
        """Run the tools of one reply, and extend the messages; return False where the caller has to run a tool."""
        message_with_ids = ensure_call_ids(message, self._round)
        messages = [*self.messages, message_with_ids]
        recorded = self._recorded_results(messages)
        results = (
            None if recorded is None else {each.get("tool_call_id", ""): each.get("content") or "" for each in recorded}
        )
        calls = [  # with the arguments as the model wrote them
            {**call, "function": old["function"]}
            for call, old in zip(message_with_ids["tool_calls"], message["tool_calls"], strict=True)
        ]
        runs = await tool_runner.run(calls, self._round, results)
        if tool_runner.has_unhandled(runs):
            self.unhandled_runs = [run for run in runs if run.status != "not_run"]
            self.image_messages = image_messages(recorded or (), self.unhandled_runs)
            return False
        if recorded == []:
            assert self._session is not None
            raise self._session.missing_results()
        self.messages = [*messages, *(recorded or tool_messages(runs))]
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

    async def _parse_or_repair(self, response_format: tools.ResponseFormat, reply: Reply) -> Reply:
        """Parse the reply to a schema, and ask the model once to correct it where it does not fit."""
        for again in (True, False):
            if reply.refusal or wants_tools(reply) or reply.finish_reason in ("length", "content_filter"):
                return reply
            try:
                self.parsed = await self._parse(response_format, reply.text)
                return reply
            except tools.ResponseMismatch as mismatch:
                if not again:
                    self.schema_error = str(mismatch)
                    return reply
                message = {"role": "assistant", "content": reply.text}
                correction = f"This does not fit the schema. {mismatch} Give the corrected JSON, and nothing else."
                self.messages = [*self.messages, message, {"role": "user", "content": correction}]
            self._on_text("\n\n")
            reply = await self._run_rounds()
        return reply

    async def _parse(self, response_format: tools.ResponseFormat, text: str) -> tuple[Any, Any]:
        """Parse in a thread: a validator may be code of the user's, and this loop reads all answers."""
        try:
            parsed: tuple[Any, Any] = await run_in_thread(
                contextvars.copy_context(), lambda: response_format.parse(text)
            )
            return parsed
        except UserCodeError as failure:
            raise failure.error from None

    def _keep_text(self, reply: Reply) -> None:
        if reply.text:
            self.earlier_texts.append(reply.text)
            self._on_text("\n\n")

    def _make_body(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._body, "messages": messages, "stream_options": {"include_usage": True}}

    async def _request(self) -> Reply:
        """Send one request, and return its reply."""
        body = self._make_body(self.messages)
        self._call = StreamedCompletion(
            self._clients.private(), body, self._options, self._on_text, self._rest_s, self._retry_policy()
        )
        sent = clock.monotonic()
        try:
            return await self._call.run()
        finally:
            first = self._call.reply().first_token_s
            if self._first_token_s is None and first is not None:
                self._first_token_s = sent - self._began + first

    def _with_times(self, reply: Reply) -> Reply:
        return replace(reply, first_token_s=self._first_token_s, total_s=clock.monotonic() - self._began)
