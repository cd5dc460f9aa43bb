"""One `ask` from its checked arguments to its Answer: what the sync and the async verb share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import openai

from .. import display, images, tools
from ..answer import Answer
from ..cassettes.occurrences import Place
from ..cassettes.session import PLACE
from ..checks import not_negative, positive
from ..display import kernel as cell
from ..errors import BadReply, ConfigError, RefusalError, SchemaError, StreamCut, ToolError
from ..types import Message, Reply
from ..wire import event_loop as loop
from ..wire.retry import Retries
from .cell import CellDesk
from .loop import Dialogue, calls_tools
from .messages import assistant_message, messages_for, numbered_calls, split_params, tool_messages, with_images
from .tool_calls import Rounds

if TYPE_CHECKING:
    from ..client import Amber

__all__ = ["Asking", "Wishes", "place"]

_turns = cell.Turns()
# What takes the live view's place when no text came: the error below it says the rest.
NOTHING = {"text/html": "", "text/plain": ""}
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

    def check(self) -> None:
        """What can be seen to be wrong before anything is begun.

        Raises:
            TypeError, ConfigError: which, and what it may be.
        """
        if self.extra_body is not None and not isinstance(self.extra_body, Mapping):
            raise TypeError(f"extra_body must be a dict, not {type(self.extra_body).__name__}")
        if not (isinstance(self.require_approval, bool) or callable(self.require_approval)):
            raise TypeError(
                f"require_approval must be True, False or a function, not {type(self.require_approval).__name__}"
            )
        positive("timeout_s", self.timeout_s)
        positive("approval_timeout_s", self.approval_timeout_s)
        not_negative("max_wait_s", self.max_wait_s)
        if isinstance(self.max_rounds, bool) or not isinstance(self.max_rounds, int) or self.max_rounds < 1:
            raise ConfigError("max_rounds must be a whole number, 1 or more.")


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
        wishes.check()
        self._amber = amber
        self._wishes = wishes
        said = messages_for(prompt, wishes.system)
        last = said[-1].get("content")
        parts = images.image_parts(last, thumbnails=wishes.thumbnails) if isinstance(last, list) else []
        gathered = images.gather(wishes.images, thumbnails=wishes.thumbnails) if wishes.images is not None else None
        messages = with_images(said, gathered.parts if gathered else [])
        self._images = tuple(part.sent for part in (*parts, *(gathered.parts if gathered else ())))
        self._shape = tools.response_format_of(wishes.schema) if wishes.schema is not None else None
        by_name = tools.tools_from(wishes.tools, wishes.handlers) if wishes.tools is not None else {}
        if wishes.handlers and not by_name:
            raise TypeError("handlers= belongs to tools=: it gives the functions of tools that are dicts")
        self._tools = list(by_name.values())
        body, options = self._request()
        self._stage: display.Stage | display.TextStage | None = None
        self._desk: CellDesk | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False
        self._visible = _visible(wishes.show, amber._config.display)
        self._bell = loop.Bell()
        for holder in gathered.holders if gathered else ():  # now that nothing can be wrong any more
            holder.used(thumbnails=wishes.thumbnails)
        self._turn = _turns.begin()
        self._ended = False
        self._place = place()
        try:
            if self._visible:
                self._stage = self._open_stage(amber._config.display, body["model"])
            rounds: Rounds | None = None
            if by_name:
                self._desk = CellDesk(
                    self._stage, self._bell, awaiting, typing=cell.keyboard(), timeout_s=wishes.approval_timeout_s
                )
                rounds = Rounds(by_name, wishes.require_approval, self._desk)
            self._dialogue = self._begin(messages, body, options, rounds)
        except BaseException:
            self._end(None)
            raise

    def _request(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Body and options of each request; without messages."""
        wishes = self._wishes
        params, options = split_params(wishes.params)
        body = {"model": wishes.model or self._amber.model, **params}
        if wishes.extra_body is not None:
            options["extra_body"] = dict(wishes.extra_body)
        if wishes.timeout_s is not None:
            options["timeout"] = wishes.timeout_s
        if self._shape is not None:
            body["response_format"] = self._shape.payload
        if self._tools:
            body["tools"] = [tool.spec for tool in self._tools]
        return body, options

    def _begin(
        self, messages: list[dict[str, Any]], body: dict[str, Any], options: dict[str, Any], rounds: Rounds | None
    ) -> Dialogue:
        config, stage, wishes = self._amber._config, self._stage, self._wishes
        patience_s = config.max_wait_s if wishes.max_wait_s is None else wishes.max_wait_s
        # A recording keeps the times: there nothing rests between two reads.
        rest_s = stage.rest_s if stage is not None and config.mode not in ("record", "cache") else 0.0
        return Dialogue(
            self._amber._clients,
            messages,
            body,
            options,
            retries=lambda: Retries(config.max_retries, patience_s),
            rounds=rounds,
            max_rounds=wishes.max_rounds,
            shape=self._shape,
            feed=stage.feed if stage is not None else len,
            rest_s=rest_s,
        )

    @property
    def ticking(self) -> tuple[Callable[[], None] | None, float, loop.Bell]:
        """What to call in the caller's thread while it waits, how often (s), and what calls it sooner."""
        if self._stage is None and self._desk is None:
            return None, 0.0, self._bell
        every_s = self._stage.every_s if self._stage is not None else 1.0
        return self._tick, min(every_s, TOOLS_EVERY_S) if self._desk is not None else every_s, self._bell

    def _tick(self) -> None:
        if self._desk is not None:
            self._desk.drain()
        if self._stage is not None:
            self._stage.tick(self._dialogue.activity, self._dialogue.steps)

    def _open_stage(self, when: str, model: str) -> display.Stage | display.TextStage | None:
        if cell.in_terminal():
            head = display.strip_text(self._images) if self._images else ""
            return display.TextStage(head=head) if when in ("auto", "live") else None
        if when == "live" or (when == "auto" and cell.front_end()):
            badge = {"simulate": "simulated", "replay": "replayed"}.get(self._amber.mode)
            return display.Stage(
                model=str(model),
                badge=badge,
                on_stop=self._stop,
                strip=display.strip_items(self._images) if self._images else (),
                head=display.strip_html(self._images) if self._images else "",
                tools=bool(self._tools),
            )
        return None

    def _stop(self) -> None:
        self._stopped = True
        loop.soon(lambda: self._task.cancel() if self._task is not None else None)

    async def run(self) -> Reply:
        """The async core, for the private loop."""
        self._task = asyncio.current_task()
        PLACE.set(self._place)  # the transport runs on the private loop, where no cell is
        try:
            return await self._dialogue.run()
        except asyncio.CancelledError:
            reply = self._dialogue.so_far(cancelled=True)
            if not self._stopped or reply is None:  # an interrupt, which the caller raises
                raise
            return reply

    def finish(self, reply: Reply) -> Answer[Any]:
        """The answer to a whole reply, remembered and display.

        Raises:
            RefusalError, SchemaError: a schema was asked for and is not met; `.answer` has what came.
            openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError: the same, because it was cut.
        """
        answer = self._answer(reply)
        self._end(answer)
        unmet = self._shape is not None and self._dialogue.parsed is None
        if unmet and reply.complete and not calls_tools(reply):
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
        return SchemaError(
            f"The reply does not fit the schema, also after the model was told so. {self._dialogue.misfit}"
        )

    def give_up(self, error: BaseException) -> None:
        """The call ends with `error`: keep and show the text that came, and say what to do next."""
        if self._ended:
            return
        answer = None
        try:
            reply = self._dialogue.so_far(cancelled=not isinstance(error, Exception))
            ours = isinstance(error, (StreamCut, BadReply, ToolError))
            if reply is not None and (reply.text or ours or self._dialogue.runs):
                answer = self._answer(reply)
            if isinstance(error, (StreamCut, BadReply, ToolError)):
                error.answer = answer
            self._amber._explain(error)
        finally:  # whatever happens, those who wait for their turn get it
            self._end(answer if answer is not None and (answer.text or answer.tool_runs) else None)

    def _answer(self, reply: Reply) -> Answer[Any]:
        dialogue = self._dialogue
        said = assistant_message(reply.completion)
        if said is not None and said.get("tool_calls"):
            said = numbered_calls(said, max((run.round for run in dialogue.runs), default=1))
        return Answer(
            reply,
            _mode=self._amber.mode,
            _asked=dialogue.messages,
            _images=self._images,
            _runs=dialogue.runs,
            _before="\n\n".join(dialogue.texts),
            _parsed=dialogue.parsed,
            _typed=self._shape is not None,
            _said=said,
            _told=[*tool_messages(dialogue.pending), *dialogue.pictures],
            _inherited=self._inherited(),
            _client=self._amber,
            _footer=self._wishes.footer,
            _shown_in=self._turn.cell if self._visible else None,
        )

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
        show: Callable[[], None] | None = None
        try:
            if self._stage is not None:
                self._stage.settle(answer._repr_mimebundle_() if answer is not None else NOTHING)
            elif self._visible and answer is not None:
                show = partial(cell.show, answer._repr_mimebundle_())
        finally:  # also after an interrupt: those who wait for their turn get it
            _turns.end(self._turn, show)


def place() -> Place:
    """The cell that is running, and this run of it."""
    return Place(cell.cell_id(), cell.current())


def _visible(show: bool | None, when: str) -> bool:
    if show is not None:
        return show
    return when != "none" and (cell.in_kernel() or cell.in_terminal())
