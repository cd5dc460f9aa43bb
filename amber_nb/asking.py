"""One `ask` from its checked arguments to its Answer: what the sync and the async verb share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import openai

from . import content
from . import show as shown
from .answer import Answer
from .checks import not_negative, positive
from .conversation import assistant_message, messages_for, numbered_calls, split_params, tool_messages, with_images
from .desk import CellDesk
from .errors import BadReply, ConfigError, RefusalError, SchemaError, StreamCut, ToolError
from .parts import ImagePart, gather, without_thumbnail
from .rounds import Rounds
from .show import cell
from .types import Message, Reply, ToolRun, ToolStep
from .wire import loop
from .wire.call import Call
from .wire.deck import PLACE
from .wire.retry import Retries
from .wire.takes import Place

if TYPE_CHECKING:
    from .client import Amber

__all__ = ["Asking", "Wishes", "place"]

_turns = cell.Turns()
# What takes the live view's place when no text came: the error below it says the rest.
NOTHING = {"text/html": "", "text/plain": ""}
# Why a reply ends whose calls are the model's whole wish; what was cut or filtered is shown, and not run.
CALLING = ("tool_calls", "function_call", "stop")
TOOLS_EVERY_S = 0.1  # seconds between two ticks where tools are: their arguments appear as they are written


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The arguments of `ask` as they were given."""

    images: Any = None
    thumbnails: bool = True
    tools: Any = None
    handlers: Mapping[str, Callable[..., Any]] | None = None
    require_approval: Any = False
    approval_timeout_s: float | None = None
    max_rounds: int = 8
    schema: Any = None
    system: str | None = None
    model: str | None = None
    timeout_s: float | None = None
    max_wait_s: float | None = None
    show: bool | None = None
    footer: bool = True
    extra_body: Mapping[str, Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class Asking:
    """One `ask`: checked when it is made, run on the private loop, finished in the caller's thread.

    Args:
        amber: the client that asks.
        prompt: a question, or messages.
        wishes: the other arguments.
        awaiting: the event loop of a caller that awaits.
    """

    def __init__(
        self,
        amber: Amber,
        prompt: str | list[Message],
        wishes: Wishes,
        awaiting: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if awaiting is None and not loop.may_wait():
            raise RuntimeError("This runs on amber's own event loop, which ask would wait for: await amber.ask_async.")
        body, options = split_params(wishes.params)
        if wishes.extra_body is not None and not isinstance(wishes.extra_body, Mapping):
            raise TypeError(f"extra_body must be a dict, not {type(wishes.extra_body).__name__}")
        timeout_s = positive("timeout_s", wishes.timeout_s)
        self._max_wait_s = not_negative("max_wait_s", wishes.max_wait_s)
        if isinstance(wishes.max_rounds, bool) or not isinstance(wishes.max_rounds, int) or wishes.max_rounds < 1:
            raise ConfigError("max_rounds must be a whole number, 1 or more.")
        self._amber = amber
        self._wishes = wishes
        messages = messages_for(prompt, wishes.system)
        gathered = gather(wishes.images, thumbnails=wishes.thumbnails)
        self._messages = with_images(messages, gathered.parts)
        shown_parts = (*_in_message(messages[-1], wishes.thumbnails), *gathered.parts)
        self._images = tuple(part.sent for part in shown_parts)
        self._body = {"model": wishes.model or amber.model, **body}
        self._options = options
        if wishes.extra_body is not None:
            self._options["extra_body"] = dict(wishes.extra_body)
        if timeout_s is not None:
            self._options["timeout"] = timeout_s
        self._shape = content.shape_of(wishes.schema) if wishes.schema is not None else None
        if self._shape is not None:
            self._body["response_format"] = self._shape.response_format
        self._parsed: tuple[Any, Any] | None = None
        self._misfit = ""
        self._said_before: list[str] = []  # texts of the rounds before the last
        self._pending: list[ToolRun] = []  # what ran beside calls that are the caller's to run
        self._stage: shown.Stage | shown.TextStage | None = None
        self._call: Call | None = None
        self._began = 0.0
        self._first_token_s: float | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False
        self._visible = _visible(wishes.show, amber._config.display)
        self._bell = loop.Bell()
        tools = content.tools_from(wishes.tools, wishes.handlers) if wishes.tools is not None else {}
        if wishes.handlers and not tools:
            raise TypeError("handlers= belongs to tools=: it gives the functions of tools that are dicts")
        self._tools = list(tools.values())
        self._round = 0  # of tools, the last one that was begun
        self._rounds: Rounds | None = None
        for holder in gathered.holders:  # now that nothing can be wrong any more
            holder.used(thumbnails=wishes.thumbnails)
        self._turn = _turns.begin()
        self._ended = False
        self._place = place()
        try:
            self._stage = self._open_stage(amber._config.display, tools=bool(tools)) if self._visible else None
            if tools:
                self._body["tools"] = [tool.spec for tool in self._tools]
                self._desk = CellDesk(
                    self._stage,
                    self._bell,
                    awaiting,
                    typing=cell.keyboard(),
                    timeout_s=positive("approval_timeout_s", wishes.approval_timeout_s),
                )
                self._rounds = Rounds(tools, wishes.require_approval, self._desk)
        except BaseException:
            self._end(None)
            raise

    @property
    def ticking(self) -> tuple[Callable[[], None] | None, float, loop.Bell]:
        """What to call in the caller's thread while it waits, how often (s), and what calls it sooner."""
        if self._stage is None and self._rounds is None:
            return None, 0.0, self._bell
        every_s = self._stage.every_s if self._stage is not None else 1.0
        return self._tick, min(every_s, TOOLS_EVERY_S) if self._rounds is not None else every_s, self._bell

    def _tick(self) -> None:
        if self._rounds is not None:
            self._desk.drain()
        if self._stage is not None:
            self._stage.tick(self._call.activity if self._call is not None else "", self._steps())

    def _steps(self) -> list[ToolStep]:
        """The calls of tools so far, those that the model is writing included."""
        if self._rounds is None:
            return []
        steps = list(self._rounds.steps)
        call = self._call
        if call is not None and not call.over:
            number = max((step.round for step in steps), default=0) + 1
            for place_, (name, text) in enumerate(call.calls, start=len(steps)):
                steps.append(
                    ToolStep(key=f"{number}.{place_}", round=number, name=name, arguments=text, state="writing")
                )
        return steps

    def _open_stage(self, display: str, *, tools: bool) -> shown.Stage | shown.TextStage | None:
        if cell.in_terminal():
            head = shown.strip_text(self._images) if self._images else ""
            return shown.TextStage(head=head) if display in ("auto", "live") else None
        if display == "live" or (display == "auto" and cell.front_end()):
            badge = {"simulate": "simulated", "replay": "replayed"}.get(self._amber.mode)
            return shown.Stage(
                model=str(self._body["model"]),
                badge=badge,
                on_stop=self._stop,
                strip=shown.strip_items(self._images) if self._images else (),
                head=shown.strip_html(self._images) if self._images else "",
                tools=tools,
            )
        return None

    def _stop(self) -> None:
        self._stopped = True
        loop.soon(lambda: self._task.cancel() if self._task is not None else None)

    async def run(self) -> Reply:
        """The async core, for the private loop."""
        self._task = asyncio.current_task()
        PLACE.set(self._place)  # the transport runs on the private loop, where no cell is
        self._began = time.monotonic()
        try:
            reply = await self._answered()
            if self._shape is not None and reply.complete:
                reply = await self._fitting(reply)
        except asyncio.CancelledError:
            if not self._stopped or self._call is None:  # an interrupt, which the caller raises
                raise
            reply = replace(self._call.reply(cancelled=True), finish_reason="cancelled", complete=False)
        return self._timed(reply)

    async def _answered(self) -> Reply:
        """The reply that calls no tool any more, round after round."""
        while True:
            reply = await self._asked()
            said = assistant_message(reply.completion)
            if self._rounds is None or said is None or not _calls_tools(reply):
                return reply
            self._round += 1
            if self._round > self._wishes.max_rounds:
                raise ToolError(
                    f"The model wants tools again, and max_rounds={self._wishes.max_rounds} is the limit. Raise it, or "
                    "ask in smaller steps.",
                    name=said["tool_calls"][0]["function"]["name"],
                    arguments=said["tool_calls"][0]["function"]["arguments"],
                )
            if not await self._used_tools(said, self._round):
                return reply
            if reply.text:
                self._said_before.append(reply.text)
                if self._stage is not None:
                    self._stage.feed("\n\n")

    async def _used_tools(self, said: dict[str, Any], number: int) -> bool:
        """Run the tools of one reply, and go on from there; False where one of them is the caller's to run."""
        assert self._rounds is not None
        calls = numbered_calls(said, number)["tool_calls"]
        begun = [*self._messages, numbered_calls(said, number)]
        then = self._amber._clients.told(self._request(begun))
        told = (
            {one.get("tool_call_id", ""): one.get("content") or "" for one in then or ()} if then is not None else None
        )
        texts = [call["function"]["arguments"] for call in said["tool_calls"]]  # as the model wrote them
        asked = [
            {**call, "function": {**call["function"], "arguments": text}}
            for call, text in zip(calls, texts, strict=True)
        ]
        runs = await self._rounds.run(asked, number, told)
        if any(run.status == "not_run" for run in runs):
            self._pending = [run for run in runs if run.status != "not_run"]
            return False
        self._messages = [*begun, *(then if then else tool_messages(runs))]
        forced = self._body.get("tool_choice")
        if forced is not None and forced not in ("auto", "none"):  # it would be forced to call for ever
            self._body["tool_choice"] = "auto"
        return True

    async def _fitting(self, reply: Reply) -> Reply:
        """The reply to a schema: read, and asked for once more where it does not fit."""
        assert self._shape is not None
        for again in (True, False):
            if reply.refusal or _calls_tools(reply) or reply.finish_reason in ("length", "content_filter"):
                return reply
            try:
                self._parsed = self._shape.read(reply.text)
                return reply
            except content.Misfit as misfit:
                if not again:
                    self._misfit = str(misfit)
                    return reply
                said = {"role": "assistant", "content": reply.text}
                wrong = f"This does not fit the schema. {misfit} Give the corrected JSON, and nothing else."
                self._messages = [*self._messages, said, {"role": "user", "content": wrong}]
                if self._stage is not None:
                    self._stage.feed("\n\n")
                reply = await self._answered()
        return reply

    def _request(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._body, "messages": messages, "stream_options": {"include_usage": True}}

    async def _asked(self) -> Reply:
        """One request and its reply."""
        client = self._amber._clients.private()
        config = self._amber._config
        patience_s = config.max_wait_s if self._max_wait_s is None else self._max_wait_s
        retries = Retries(config.max_retries, patience_s)
        body, options = self._request(self._messages), self._options
        if self._stage is None:
            self._call = Call(client, body, options, retries=retries)
        else:
            # A recording keeps the times: there nothing rests between two reads.
            rest_s = 0.0 if config.mode in ("record", "cache") else self._stage.rest_s
            self._call = Call(client, body, options, self._stage.feed, rest_s, retries)
        sent = time.monotonic()
        try:
            return await self._call.run()
        finally:
            first = self._call.reply().first_token_s
            if self._first_token_s is None and first is not None:
                self._first_token_s = sent - self._began + first

    def _timed(self, reply: Reply) -> Reply:
        return replace(reply, first_token_s=self._first_token_s, total_s=time.monotonic() - self._began)

    def finish(self, reply: Reply) -> Answer[Any]:
        """The answer to a whole reply, remembered and shown.

        Raises:
            RefusalError, SchemaError: a schema was asked for and is not met; `.answer` has what came.
            openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError: the same, because it was cut.
        """
        answer = self._answer(reply)
        self._end(answer)
        if self._shape is not None and reply.complete and self._parsed is None and not _calls_tools(reply):
            error = self._unmet(reply)
            error.answer = answer  # type: ignore[attr-defined]
            raise error
        return answer

    def _unmet(self, reply: Reply) -> Exception:
        if reply.refusal:
            return RefusalError(f"The model refused: {reply.refusal[:300]}")
        if reply.finish_reason == "length":
            return openai.LengthFinishReasonError(completion=reply.completion)
        if reply.finish_reason == "content_filter":
            return openai.ContentFilterFinishReasonError()
        return SchemaError(f"The reply does not fit the schema, also after the model was told so. {self._misfit}")

    def give_up(self, error: BaseException) -> None:
        """The call ends with `error`: keep and show the text that came, and say what to do next."""
        if self._ended:
            return
        answer = None
        try:
            if self._call is not None:
                reply = self._timed(self._call.reply(cancelled=not isinstance(error, Exception)))
                if not isinstance(error, Exception):  # also where the tools of a whole reply were running
                    reply = replace(reply, finish_reason="cancelled", complete=False)
                ours = isinstance(error, (StreamCut, BadReply, ToolError))
                if reply.text or ours or (self._rounds is not None and self._rounds.runs):
                    answer = self._answer(reply)
            if isinstance(error, (StreamCut, BadReply, ToolError)):
                error.answer = answer
            self._amber._explain(error)
        finally:  # whatever happens, those who wait for their turn get it
            self._end(answer if answer is not None and (answer.text or answer.tool_runs) else None)

    def _answer(self, reply: Reply) -> Answer[Any]:
        said = assistant_message(reply.completion)
        if said is not None and said.get("tool_calls"):
            said = numbered_calls(said, max((run.round for run in self._runs), default=1))
        return Answer(
            reply,
            _mode=self._amber.mode,
            _asked=self._messages,
            _images=self._images,
            _runs=self._runs,
            _before="\n\n".join(self._said_before),
            _parsed=self._parsed,
            _typed=self._shape is not None,
            _said=said,
            _told=tool_messages(self._pending),
            _inherited=self._inherited(),
            _client=self._amber,
            _footer=self._wishes.footer,
            _shown_in=self._turn.cell if self._visible else None,
        )

    @property
    def _runs(self) -> tuple[ToolRun, ...]:
        return self._rounds.runs if self._rounds is not None else ()

    def _inherited(self) -> dict[str, Any]:
        """What an answer's `ask` goes on with; not the images, and not the schema."""
        kept = (
            *("require_approval", "approval_timeout_s", "max_rounds"),
            *("model", "timeout_s", "max_wait_s", "footer", "extra_body"),
        )
        wishes = self._wishes
        return {"tools": self._tools or None, **{name: getattr(wishes, name) for name in kept}, **wishes.params}

    def _end(self, answer: Answer[Any] | None) -> None:
        self._ended = True
        if answer is not None:
            self._amber._last = answer
        display: Callable[[], None] | None = None
        if self._stage is not None:
            self._stage.settle(answer._repr_mimebundle_() if answer is not None else NOTHING)
        elif self._visible and answer is not None:
            display = partial(cell.show, answer._repr_mimebundle_())
        _turns.end(self._turn, display)


def _in_message(message: Message, thumbnails: bool) -> list[ImagePart]:
    """The images that the caller has put into the last message."""
    said = message.get("content")
    parts = [part for part in said if isinstance(part, ImagePart)] if isinstance(said, list) else []
    return parts if thumbnails else [without_thumbnail(part) for part in parts]


def _calls_tools(reply: Reply) -> bool:
    """Whether it ends in calls, and these are whole."""
    calls = (assistant_message(reply.completion) or {}).get("tool_calls")
    return bool(calls) and reply.finish_reason in CALLING


def place() -> Place:
    """The cell that is running, and this run of it."""
    return Place(cell.cell_id(), cell.current())


def _visible(show: bool | None, display: str) -> bool:
    if show is not None:
        return show
    return display != "none" and (cell.in_kernel() or cell.in_terminal())
