"""The chat loop: request, tools, request, … up to the reply that ends an ask; no display, no cell.

It runs on the private loop, and tells what happens in events.
"""

from __future__ import annotations

import contextvars
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import openai

from .. import clock, tools
from ..cassettes.session import ADAPTED, CassetteSession
from ..errors import CassetteMiss, ToolError
from ..prices import charge_of
from ..telemetry import Telemetry
from ..types import Charge, ChatEvent, Reply, SourcesFound, TextDelta, ToolCallDelta, ToolRun, finish_kind
from ..wire.clients import Clients
from ..wire.completion import StreamedCompletion
from ..wire.retry import RetryPolicy
from .adaptations import ADAPTATIONS, Adaptations, adapt, find_adaptation, parameter_note
from .execute import validate
from .messages import assistant_message, ensure_call_ids, image_messages, tool_messages
from .tool_calls import ToolRunner

__all__ = ["ChatLoop", "ChatResult", "wants_tools"]


CUT = ("length", "content_filter", "cut")  # kinds of ends before the end


def wants_tools(reply: Reply) -> bool:
    """Return whether the reply ends in tool calls that are complete: such as were cut or filtered are only shown."""
    calls = (assistant_message(reply.completion) or {}).get("tool_calls")
    return bool(calls) and finish_kind(reply.finish_reason) in ("tool_calls", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResult:
    """What an ask has come to, at its end or as far as it came.

    Attributes:
        reply: the last reply, with the times of the whole ask; None where no request was sent.
        messages: the conversation up to that reply.
        later_messages: the messages that follow it: results of tools that ran beside calls that the caller has to run.
        earlier_texts: the texts of the replies before it.
        tool_runs: the tool calls of all replies.
        parsed: what `schema=` asked for: the value, and as JSON.
        schema_error: why the reply does not fit the schema; its cause is what a validator of the user's raised.
        charges: what each reply is paid for, those before the last included; None where that is unknown.
    """

    reply: Reply | None
    messages: list[dict[str, Any]]
    later_messages: list[dict[str, Any]]
    earlier_texts: tuple[str, ...]
    tool_runs: tuple[ToolRun, ...]
    parsed: tuple[Any, Any] | None
    schema_error: tools.ResponseMismatch | None
    charges: tuple[Charge | None, ...]


class ChatLoop:
    """Run one ask up to its last reply.

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
        adaptations: what was learnt of the models, and is learnt here.
        own: what of a request is `ask`'s own choice: "role", the role developer; "response_format"; "stream_options".
        telemetry: makes a span for each request.
        emit: called with each event, on the private loop, and on the thread of a tool that begins to run.
        rest_s: seconds between two reads.
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
        adaptations: Adaptations,
        own: frozenset[str] = frozenset(),
        telemetry: Telemetry,
        emit: Callable[[ChatEvent], object] = bool,
        rest_s: float = 0.0,
    ) -> None:
        self._messages = messages
        self._later_messages: list[dict[str, Any]] = []
        self._earlier_texts: list[str] = []
        self._parsed: tuple[Any, Any] | None = None
        self._schema_error: tools.ResponseMismatch | None = None
        self._clients = clients
        self._session = session
        self._body = body
        self._options = options
        self._retry_policy = retry_policy
        self._tool_runner = tool_runner
        self._max_rounds = max_rounds
        self._round = 0  # the last round that began
        self._earlier_calls = 0  # of the rounds before
        self._response_format = response_format
        self._adaptations = adaptations
        self._own = own
        self._emit = emit
        self._rest_s = rest_s
        self._call: StreamedCompletion | None = None
        self._began = 0.0
        self._first_token_s: float | None = None
        self._charges: list[Charge | None] = []
        self._telemetry = telemetry

    async def run(self) -> ChatResult:
        """Run to the last reply.

        Raises:
            openai.OpenAIError, StreamCut, BadReply: as `StreamedCompletion.run` raises them.
            ToolError: as `ToolRunner.run` raises it, and where the model calls tools too often.
            CassetteMiss: a request, or the result of a tool, is not recorded.
        """
        self._began = clock.monotonic()
        reply = await self._run_rounds()
        if self._response_format is not None and reply.complete:
            reply = await self._parse_or_repair(self._response_format, reply)
        return self._result(reply)

    def partial_result(self, *, cancelled: bool) -> ChatResult:
        """Return what has come of an ask that did not end well; on any thread.

        Args:
            cancelled: whether the reader stopped it.
        """
        if self._call is None:
            return self._result(None)
        reply = self._call.reply(cancelled=cancelled)
        # Also where the reply was complete, and its tools were running.
        return self._result(replace(reply, finish_reason="cancelled", complete=False) if cancelled else reply)

    def _result(self, reply: Reply | None) -> ChatResult:
        return ChatResult(
            reply=reply and replace(reply, first_token_s=self._first_token_s, total_s=clock.monotonic() - self._began),
            messages=self._messages,
            later_messages=self._later_messages,
            earlier_texts=tuple(self._earlier_texts),
            tool_runs=self._tool_runner.runs if self._tool_runner is not None else (),
            parsed=self._parsed,
            schema_error=self._schema_error,
            charges=tuple(self._charges),
        )

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
            if reply.text:
                self._earlier_texts.append(reply.text)
                self._emit(TextDelta("\n\n"))

    async def _run_tools(self, tool_runner: ToolRunner, message: dict[str, Any]) -> bool:
        """Run the tools of one reply, and extend the messages; return False where the caller has to run a tool."""
        message_with_ids = ensure_call_ids(message, self._round)
        messages = [*self._messages, message_with_ids]
        recorded_messages = results = None
        if self._session is not None:
            request = {"model": self._body.get("model"), "messages": messages}
            recorded_messages = self._session.recorded_results("/chat/completions", request)
        if recorded_messages is not None:
            results = {each.get("tool_call_id", ""): each.get("content") or "" for each in recorded_messages}
        calls = [  # with the arguments as the model wrote them
            {**call, "function": old["function"]}
            for call, old in zip(message_with_ids["tool_calls"], message["tool_calls"], strict=True)
        ]
        runs = await tool_runner.run(calls, self._round, results)
        if tool_runner.has_unhandled(runs):
            handled = [run for run in runs if run.status != "not_run"]
            self._later_messages = [*tool_messages(handled), *image_messages(recorded_messages or (), handled)]
            return False
        if recorded_messages == []:
            assert self._session is not None
            raise self._session.missing_results()
        self._messages = [*messages, *(recorded_messages or tool_messages(runs))]
        if self._body.get("tool_choice") not in (None, "auto", "none"):  # it would be forced to call for ever
            self._body["tool_choice"] = "auto"
        return True

    async def _parse_or_repair(self, response_format: tools.ResponseFormat, reply: Reply) -> Reply:
        """Parse the reply to a schema, and ask the model once to correct it where it does not fit."""
        for again in (True, False):
            if reply.refusal or wants_tools(reply) or finish_kind(reply.finish_reason) in CUT:
                return reply
            try:
                self._parsed = await validate(contextvars.copy_context(), partial(response_format.parse, reply.text))
                return reply
            except tools.ResponseMismatch as mismatch:
                if not again:
                    self._schema_error = mismatch
                    return reply
                # Many gateways refuse a message without text: an empty reply is not repeated to the model.
                replied = [assistant_message(reply.completion)] if reply.text else []
                correction = f"This does not fit the schema. {mismatch} Give the corrected JSON, and nothing else."
                self._messages = [*self._messages, *filter(None, replied), {"role": "user", "content": correction}]
            self._emit(TextDelta("\n\n"))
            reply = await self._run_rounds()
        return reply

    async def _request(self) -> Reply:
        """Send one request, and return its reply."""
        body = {"stream_options": {"include_usage": True}, **self._body, "messages": self._messages}
        if body["stream_options"] is None:
            del body["stream_options"]
        self._earlier_calls = len(self._tool_runner.runs) if self._tool_runner is not None else 0
        known = self._adaptations.of(body["model"])
        # A replay asks as it was asked then: without what was learnt only later.
        names = set() if self._session is not None and self._session.mode == "replay" else set(known)
        while True:
            adapted = adapt(body, names, self._own)
            ADAPTED.set(frozenset(names))
            try:
                reply = await self._send(adapted, stream="stream" not in names)
            except CassetteMiss:
                if known <= names:
                    raise
                names |= known
            except openai.APIStatusError as error:
                found = find_adaptation(error, adapted, self._own)
                if found is None or found in names:
                    if note := parameter_note(error, self._body):
                        error.add_note(note)
                    raise
                names.add(found)
            else:  # only what has helped is remembered
                for name in sorted(names - known):
                    known.add(name)
                    self._warn(f"the gateway or {body['model']} {ADAPTATIONS[name]}")
                return reply

    async def _send(self, body: dict[str, Any], *, stream: bool) -> Reply:
        self._call = StreamedCompletion(
            self._clients.private(),
            body,
            self._options,
            self._emit_with_place,
            self._rest_s,
            self._retry_policy(),
            stream=stream,
        )
        sent = clock.monotonic()
        self._charges.append(None)  # unknown until the reply tells it
        try:
            with self._telemetry.chat_span(body) as span:
                try:
                    reply = await self._call.run()
                finally:
                    span.set_reply(self._call.reply)
            self._charges[-1] = charge_of(reply.completion, self._body.get("model"))
            return reply
        except (openai.APIStatusError, CassetteMiss):
            self._charges.pop()  # a refusal costs nothing, and neither does a look into a recording
            raise
        finally:
            first = self._call.reply().first_token_s
            if self._first_token_s is None and first is not None:
                self._first_token_s = sent - self._began + first

    def _warn(self, text: str) -> None:
        """Say once what was learnt; in a recording run it would be a difference in the notebook's outputs."""
        if self._session is not None:
            self._session.warn(text)
        else:
            warnings.warn(f"amber: {text}", RuntimeWarning, stacklevel=2)

    def _emit_with_place(self, event: ChatEvent) -> None:
        """Emit an event of a request; the calls of its reply are counted on from those of the replies before."""
        if type(event) is ToolCallDelta:
            event = replace(event, index=self._earlier_calls + event.index, round=self._round + 1)
        elif type(event) is SourcesFound and self._tool_runner is not None:
            event = SourcesFound((*self._tool_runner.sources, *event.sources))
        self._emit(event)
