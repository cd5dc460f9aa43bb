"""One `ask` from its checked arguments to its Answer: what the sync and the async verb share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from . import show as shown
from .answer import Answer
from .checks import not_negative, positive
from .conversation import assistant_message, messages_for, split_params, with_images
from .errors import BadReply, StreamCut
from .parts import ImagePart, gather, without_thumbnail
from .show import cell
from .types import Message, Reply
from .wire import loop
from .wire.call import Call
from .wire.deck import PLACE
from .wire.retry import Retries
from .wire.takes import Place

if TYPE_CHECKING:
    from .client import Amber

__all__ = ["Asking", "place"]

_turns = cell.Turns()
# What takes the live view's place when no text came: the error below it says the rest.
NOTHING = {"text/html": "", "text/plain": ""}


class Asking:
    """One `ask` from its checked arguments to its Answer: what the sync and the async verb share."""

    def __init__(
        self,
        amber: Amber,
        prompt: str | list[Message],
        images: Any,
        thumbnails: bool,
        system: str | None,
        model: str | None,
        timeout_s: float | None,
        max_wait_s: float | None,
        show: bool | None,
        footer: bool,
        extra_body: Mapping[str, Any] | None,
        params: Mapping[str, Any],
    ) -> None:
        body, options = split_params(params)
        if extra_body is not None and not isinstance(extra_body, Mapping):
            raise TypeError(f"extra_body must be a dict, not {type(extra_body).__name__}")
        timeout_s = positive("timeout_s", timeout_s)
        self._max_wait_s = not_negative("max_wait_s", max_wait_s)
        self._amber = amber
        messages = messages_for(prompt, system)
        gathered = gather(images, thumbnails=thumbnails)
        self._messages = with_images(messages, gathered.parts)
        self._images = tuple(part.sent for part in (*_in_message(messages[-1], thumbnails), *gathered.parts))
        self._body = {"model": model or amber.model, "messages": self._messages, **body}
        self._options = options
        if extra_body is not None:
            self._options["extra_body"] = dict(extra_body)
        if timeout_s is not None:
            self._options["timeout"] = timeout_s
        self._inherited = {"model": model, "extra_body": extra_body, "timeout_s": timeout_s}
        self._inherited |= {"max_wait_s": max_wait_s, "footer": footer, **params}
        self._footer = footer
        self._call: Call | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False
        for holder in gathered.holders:  # now that nothing can be wrong any more
            holder.used(thumbnails=thumbnails)
        self._visible = _visible(show, amber._config.display)
        self._turn = _turns.begin()
        self._ended = False
        self._place = place()
        self._stage = self._open_stage(amber._config.display) if self._visible else None

    @property
    def ticking(self) -> tuple[Callable[[], None], float] | tuple[()]:
        """What to call in the caller's thread while it waits, and how often (s); nothing where nothing is live."""
        return (self._tick, self._stage.every_s) if self._stage is not None else ()

    def _tick(self) -> None:
        if self._stage is not None:
            self._stage.tick(self._call.activity if self._call is not None else "")

    def _open_stage(self, display: str) -> shown.Stage | shown.TextStage | None:
        if cell.in_terminal():
            return (
                shown.TextStage(head=shown.strip_text(self._images) if self._images else "")
                if display in ("auto", "live")
                else None
            )
        if display == "live" or (display == "auto" and cell.front_end()):
            badge = {"simulate": "simulated", "replay": "replayed"}.get(self._amber.mode)
            return shown.Stage(
                model=str(self._body["model"]),
                badge=badge,
                on_stop=self._stop,
                strip=shown.strip_items(self._images) if self._images else (),
                head=shown.strip_html(self._images) if self._images else "",
            )
        return None

    def _stop(self) -> None:
        self._stopped = True
        loop.soon(lambda: self._task.cancel() if self._task is not None else None)

    async def run(self) -> Reply:
        """The async core, for the private loop."""
        self._task = asyncio.current_task()
        PLACE.set(self._place)  # the transport runs on the private loop, where no cell is
        body = {**self._body, "stream_options": {"include_usage": True}}
        client = self._amber._clients.private()
        config = self._amber._config
        patience_s = config.max_wait_s if self._max_wait_s is None else self._max_wait_s
        retries = Retries(config.max_retries, patience_s)
        if self._stage is None:
            self._call = Call(client, body, self._options, retries=retries)
        else:
            # A recording keeps the times: there nothing rests between two reads.
            rest_s = 0.0 if config.mode in ("record", "cache") else self._stage.rest_s
            self._call = Call(client, body, self._options, self._stage.feed, rest_s, retries)
        try:
            return await self._call.run()
        except asyncio.CancelledError:
            if not self._stopped:  # an interrupt, which the caller raises
                raise
            return self._call.reply(cancelled=True)

    def finish(self, reply: Reply) -> Answer[Any]:
        """The answer to a whole reply, remembered and shown."""
        answer = self._answer(reply)
        self._end(answer)
        return answer

    def give_up(self, error: BaseException) -> None:
        """The call ends with `error`: keep and show the text that came, and say what to do next."""
        if self._ended:
            return
        answer = None
        try:
            if self._call is not None:
                reply = self._call.reply(cancelled=not isinstance(error, Exception))
                if reply.text or isinstance(error, (StreamCut, BadReply)):
                    answer = self._answer(reply)
            if isinstance(error, (StreamCut, BadReply)):
                error.answer = answer
            self._amber._explain(error)
        finally:  # whatever happens, those who wait for their turn get it
            self._end(answer if answer is not None and answer.text else None)

    def _answer(self, reply: Reply) -> Answer[Any]:
        return Answer(
            reply,
            _mode=self._amber.mode,
            _asked=self._messages,
            _images=self._images,
            _said=assistant_message(reply.completion),
            _inherited=self._inherited,
            _client=self._amber,
            _footer=self._footer,
            _shown_in=self._turn.cell if self._visible else None,
        )

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
    content = message.get("content")
    parts = [part for part in content if isinstance(part, ImagePart)] if isinstance(content, list) else []
    return parts if thumbnails else [without_thumbnail(part) for part in parts]


def place() -> Place:
    """The cell that is running, and this run of it."""
    return Place(cell.cell_id(), cell.current())


def _visible(show: bool | None, display: str) -> bool:
    if show is not None:
        return show
    return display != "none" and (cell.in_kernel() or cell.in_terminal())
