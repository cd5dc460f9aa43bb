"""Answer: what `ask` gives back."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import show
from .show import cell
from .types import Message, Reply, SentImage, encodable

if TYPE_CHECKING:
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletion

    from .client import Amber

__all__ = ["Answer"]

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Answer(Generic[T]):
    """A reply of the model, whole or as far as it came. Immutable; `str(answer)` is its text.

    Shown as HTML with plain text beside it; as the last expression of the cell that asked, it is not shown twice.
    Pickles without the client and the key: what comes back can be read, but not asked on.

    Attributes:
        text: the reply's text, "" where there is none.
        refusal: the model's refusal, or None.
        reasoning: the model's reasoning, where the gateway sends it.
        completion: the `openai` `ChatCompletion`, as one that was not streamed.
        messages: the conversation with this reply at its end, as dicts to go on with.
        finish_reason: the wire's (`"stop"`, `"length"`, `"tool_calls"`, `"content_filter"`), or `"cancelled"`.
        complete: whether the reply came to its end.
        usage: `openai` `CompletionUsage` in tokens, or None where the gateway told none.
        mode: `"live"` or `"simulate"`.
        first_token_s: seconds to the first text, None where none came.
        total_s: seconds to the end of the reply.
    """

    _reply: Reply
    _: KW_ONLY
    _mode: str
    _asked: list[dict[str, Any]]
    _images: tuple[SentImage, ...] = ()
    _said: dict[str, Any] | None
    _inherited: Mapping[str, Any] = field(compare=False)
    _footer: bool
    _client: Amber | None = field(compare=False)
    _shown_in: str | None = field(compare=False)

    @property
    def text(self) -> str:
        return self._reply.text

    @property
    def refusal(self) -> str | None:
        return self._reply.refusal

    @property
    def reasoning(self) -> str | None:
        return self._reply.reasoning

    @property
    def completion(self) -> ChatCompletion:
        return self._reply.completion

    @property
    def messages(self) -> list[Message]:
        return deepcopy([*self._asked, *([self._said] if self._said else [])])

    @property
    def finish_reason(self) -> str | None:
        return self._reply.finish_reason

    @property
    def complete(self) -> bool:
        return self._reply.complete

    @property
    def usage(self) -> CompletionUsage | None:
        return self._reply.completion.usage

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def first_token_s(self) -> float | None:
        return self._reply.first_token_s

    @property
    def total_s(self) -> float:
        return self._reply.total_s

    def ask(self, prompt: str | list[Message], **changes: Any) -> Answer[Any]:
        """Go on with the conversation; system, model and parameters stay, unless given anew.

        This answer stays as it is, so that running the cell again does not repeat a turn.

        Raises:
            RuntimeError: the answer was unpickled and has no client.
        """
        return self._asker()._go_on(self, prompt, changes)

    async def ask_async(self, prompt: str | list[Message], **changes: Any) -> Answer[Any]:
        """The same, awaited."""
        return await self._asker()._go_on_async(self, prompt, changes)

    def _asker(self) -> Amber:
        if self._client is None:
            raise RuntimeError(
                "This answer was unpickled and has no client; go on with "
                "amber.ask([*answer.messages, {'role': 'user', 'content': …}])."
            )
        return self._client

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = self._plain()
        start = text if len(text) <= 60 else text[:59] + "…"
        return f"Answer({start!r}, finish_reason={self.finish_reason!r}, mode={self._mode!r})"

    def __hash__(self) -> int:
        return hash((self.text, self.finish_reason, self._mode))

    def __getstate__(self) -> dict[str, Any]:
        state = {one.name: getattr(self, one.name) for one in fields(self)}
        return state | {"_client": None, "_shown_in": None, "_inherited": {}}  # headers of a call may hold a key

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    def __copy__(self) -> Answer[T]:
        return self  # immutable, and a copy by way of a pickle would have no client

    def __deepcopy__(self, memo: object) -> Answer[T]:
        return self

    def _ipython_display_(self) -> None:
        # An empty _repr_mimebundle_ would still show text/plain: only this method can show nothing.
        if self._shown_in is None or self._shown_in != cell.current():
            cell.show(self._repr_mimebundle_())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """`text/html`, safe whatever the model said, and `text/plain`."""
        html = show.answer_html(
            self.text,
            refusal=self.refusal,
            reasoning=self.reasoning,
            tool_calls=[(call["name"], call["arguments"]) for call in self._calls()],
            badge="simulated" if self._mode == "simulate" else None,
            head=show.strip_html(self._images) if self._images else "",
            notice=self._notice(),
            footer=self._line() if self._footer and self._mode == "live" else None,
        )
        return {"text/html": html, "text/plain": self._plain()}

    def _plain(self) -> str:
        calls = [f"{call['name']}({call['arguments']})" for call in self._calls()]
        notice = self._notice()
        parts = [self.text or self.refusal or "", *calls, f"[{notice}]" if notice else ""]
        return encodable("\n".join(part for part in parts if part))

    def _calls(self) -> list[dict[str, str]]:
        return [call["function"] for call in (self._said or {}).get("tool_calls", ()) if "function" in call]

    def _notice(self) -> str | None:
        if self.finish_reason == "cancelled":
            return "stopped by the reader"
        if not self.complete:
            return "the reply ended early"
        if self.finish_reason == "length":
            return "cut off at the limit of tokens"
        if self.finish_reason == "content_filter":
            return "cut off by the content filter"
        return None

    def _line(self) -> str:
        parts = [self.completion.model]
        if self.usage is not None:
            parts.append(f"{self.usage.total_tokens:,} tokens")
        parts.append(f"{self.total_s:.1f} s")
        return " · ".join(part for part in parts if part)
