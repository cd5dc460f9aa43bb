"""One `ask` from its checked arguments to its Answer: what the sync and the async verb share."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from .answer import Answer
from .config import positive
from .conversation import assistant_message, messages_for, split_params
from .errors import BadReply, StreamCut
from .show import cell
from .types import Message, Reply
from .wire.call import Call

if TYPE_CHECKING:
    from .client import Amber

__all__ = ["Asking"]

_turns = cell.Turns()


class Asking:
    """One `ask` from its checked arguments to its Answer: what the sync and the async verb share."""

    def __init__(
        self,
        amber: Amber,
        prompt: str | list[Message],
        system: str | None,
        model: str | None,
        timeout_s: float | None,
        show: bool | None,
        footer: bool,
        extra_body: Mapping[str, Any] | None,
        params: Mapping[str, Any],
    ) -> None:
        body, options = split_params(params)
        if extra_body is not None and not isinstance(extra_body, Mapping):
            raise TypeError(f"extra_body must be a dict, not {type(extra_body).__name__}")
        timeout_s = positive("timeout_s", timeout_s)
        self._amber = amber
        self._messages = messages_for(prompt, system)
        self._body = {"model": model or amber.model, "messages": self._messages, **body}
        self._options = options
        if extra_body is not None:
            self._options["extra_body"] = dict(extra_body)
        if timeout_s is not None:
            self._options["timeout"] = timeout_s
        self._inherited = {"model": model, "extra_body": extra_body, "timeout_s": timeout_s, "footer": footer, **params}
        self._footer = footer
        self._call: Call | None = None
        self._visible = _visible(show, amber._config.display)
        self._turn = _turns.begin()
        self._ended = False

    def run(self) -> Coroutine[Any, Any, Reply]:
        """The async core, for the private loop."""
        return self._run()

    async def _run(self) -> Reply:
        body = {**self._body, "stream_options": {"include_usage": True}}
        self._call = Call(self._amber._clients.private(), body, self._options)
        return await self._call.run()

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
        visible = self._visible and answer is not None
        _turns.end(self._turn, (lambda: cell.show(answer._repr_mimebundle_())) if visible and answer else None)


def _visible(show: bool | None, display: str) -> bool:
    if show is not None:
        return show
    return display != "none" and (cell.in_kernel() or cell.in_terminal())
