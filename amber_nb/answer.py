"""Answer: what `ask` returns."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast, overload

from . import display, log_frames, reply_parts, value_frame
from .display import kernel as cell
from .prices import Cost, PriceTable, cost_of
from .redact import redact_json_text
from .tracebacks import short_traceback
from .types import (
    Asker,
    AskOptions,
    Charge,
    Message,
    Reply,
    SentImage,
    Source,
    ToolRun,
    finish_kind,
    read_tokens,
    replace_surrogates,
)
from .wire.sources import read_sources

if TYPE_CHECKING:
    import pandas as pd
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletion

__all__ = ["Answer"]

T = TypeVar("T")
S = TypeVar("S")
_NOTICES = {
    "length": "cut off at the limit of tokens",
    "cut": "cut off by the gateway",
    "content_filter": "cut off by the content filter",
}


@dataclass(frozen=True, repr=False)
class Answer(Generic[T]):
    """A reply of the model, complete or as far as it came; immutable; `str(answer)` is its text.

    Shown as HTML with plain text beside it; as the last expression of the cell that asked, it is not shown twice.
    A pickle holds neither the client nor the key: an unpickled answer can be read, but cannot be asked on.

    Attributes:
        text: the reply's text, "" where there is none.
        refusal: the model's refusal, or None.
        reasoning: the model's reasoning, where the gateway sends it.
        completion: the `openai` `ChatCompletion`, as if it had not been streamed.
        sources: what the results of MCP servers' searches and the reply name as sources: title, URL and the part of
            the text, where they tell them.
        messages: the conversation with this reply at its end, as dicts to go on with.
        finish_reason: the wire's (`"stop"`, `"length"`, `"tool_calls"`, `"content_filter"`), or `"cancelled"`.
        complete: whether the reply came to its end.
        usage: `openai` `CompletionUsage` in tokens, or None where the gateway sent none.
        cost: what all its requests cost, those that ran tools and asked for a correction included: a `Cost` with
            `.amount` (Decimal), `.currency` and `.list_price`; by `Amber(prices=…)`, else by the maker's list prices
            where the extra `prices` is installed. None where the price of a model, or the usage of a reply, is unknown.
        parsed: the typed value that `schema=` asked for; None without a schema.
        model: the name of the model that answered, as the gateway tells it.
        tool_runs: a `ToolRun` for each tool call, in the order of the model.
        mode: the client's: `"live"`, `"record"`, `"replay"`, `"cache"` or `"simulate"`.
        first_token_s: seconds to the first text, None where none came.
        total_s: seconds to the end of the reply.
    """

    _reply: Reply
    _: KW_ONLY
    _mode: str
    _earlier_messages: list[dict[str, Any]]
    _images: tuple[SentImage, ...] = ()
    _tool_runs: tuple[ToolRun, ...] = ()
    _earlier_text: str = ""
    _parsed: tuple[Any, Any] | None = None  # the value, and as JSON
    _has_schema: bool = False
    _schema: Any = field(default=None, compare=False)  # the type, for `frame`
    _later_messages: list[dict[str, Any]] = field(default_factory=list)
    _message: dict[str, Any] | None
    _options: Mapping[str, Any] = field(compare=False)
    _footer: bool
    _fold_lines: int = field(default=0, compare=False)
    _charges: tuple[Charge | None, ...] = ()
    _prices: PriceTable | None = field(default=None, compare=False)
    _asker: Asker | None = field(compare=False)
    _shown_in: str | None = field(compare=False)

    @property
    def text(self) -> str:
        return self._reply.text

    @property
    @short_traceback
    def parsed(self) -> T:
        if self._parsed is None and self._has_schema:
            raise RuntimeError(f"The answer is not whole ({self._notice() or 'it calls a tool'}): nothing was parsed.")
        return cast(T, self._parsed[0] if self._parsed is not None else None)

    @property
    def tool_runs(self) -> list[ToolRun]:
        return list(self._tool_runs)

    def tools_frame(self) -> pd.DataFrame:
        """Return the tool calls as a frame, a row for each, in the order of the model.

        Returns:
            Columns `round` (from 1), `name`, `status` (`ran`, `denied`, `invalid`, `failed`, `timeout`, `not_run`),
            `arguments` (dict, as it ran), `result` (as the function returned it), `sent` (what the model was told),
            `error`, `edited` (bool), `decided_by` (`reader`, `policy`, `timeout`), `duration_s`, `server` (the MCP
            server whose tool it is, or missing). Secrets are shown as ••• in all columns but `result`.
        """
        return log_frames.tools_frame(self._tool_runs)

    @short_traceback
    def frame(self) -> pd.DataFrame:
        """Return the typed value as a frame: a row for each item of a list, else one row.

        Returns:
            A column for each field: `str`, `Int64`, `Float64`, `boolean`, datetimes; a `Literal` or an `Enum` of texts
            is a category. A record whose only field is a list of records stands for that list; a record within a record
            becomes columns such as `address.city`; plain values stand in the column `value`. The columns are those of
            the type, also where the model left all of them out; what it wrote beside them follows.

        Raises:
            TypeError: no schema was asked for.
            RuntimeError: the answer is not whole.

        Example:
            >>> amber.ask("Name three rivers.", schema=list[River]).frame()
        """
        if not self._has_schema:
            raise TypeError("This answer has no typed value: ask with schema=, such as schema=list[…], for a frame.")
        return value_frame.value_frame(self.parsed, self._schema)

    def to_markdown(self) -> str:
        """Return the answer as Markdown: its text as the model wrote it, or its typed value as JSON; then its sources.

        What a model writes may hold HTML and links to images: show it where neither is run or fetched.
        """
        value = json.dumps(self._parsed[1], ensure_ascii=False, indent=2) if self._parsed is not None else ""
        body = f"```json\n{value}\n```" if value else self._full_text() or self.refusal or ""
        return "\n\n".join(part for part in (body, display.sources_markdown(self.sources)) if part)

    def to_html(self) -> str:
        """Return the answer as the notebook shows it: a fragment of HTML, safe whatever the model wrote."""
        return self._repr_mimebundle_()["text/html"]

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
    def sources(self) -> tuple[Source, ...]:
        contents = [run.content for run in self._tool_runs if run.content is not None]
        found = [source for content in contents for source in content.sources]
        return tuple(dict.fromkeys([*found, *read_sources(self._reply.completion.to_dict(warnings=False))]))

    @property
    def messages(self) -> list[Message]:
        return deepcopy([*self._earlier_messages, *([self._message] if self._message else []), *self._later_messages])

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
    def cost(self) -> Cost | None:
        return cost_of(self._charges, self._prices)

    @property
    def model(self) -> str:
        return self._reply.completion.model

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def first_token_s(self) -> float | None:
        return self._reply.first_token_s

    @property
    def total_s(self) -> float:
        return self._reply.total_s

    @overload
    def ask(self, prompt: str | list[Message], *, schema: type[S], **changes: Unpack[AskOptions]) -> Answer[S]: ...
    @overload
    def ask(self, prompt: str | list[Message], *, schema: Any = None, **changes: Unpack[AskOptions]) -> Answer[Any]: ...
    def ask(self, prompt: str | list[Message], *, schema: Any = None, **changes: Unpack[AskOptions]) -> Answer[Any]:
        """Go on with the conversation; system, tools, model and parameters stay, unless given anew.

        This answer stays as it is, so that running the cell again does not repeat a turn.

        Args:
            prompt: the next question, or messages to add.
            schema: what the next answer must look like.
            **changes: arguments of `Amber.ask` that are to differ.

        Raises:
            RuntimeError: the answer was unpickled and has no client.
        """
        with short_traceback:
            answer: Answer[Any] = self._continue(prompt, {**changes, "schema": schema}, is_async=False)
        return answer

    @overload
    async def ask_async(
        self, prompt: str | list[Message], *, schema: type[S], **changes: Unpack[AskOptions]
    ) -> Answer[S]: ...
    @overload
    async def ask_async(
        self, prompt: str | list[Message], *, schema: Any = None, **changes: Unpack[AskOptions]
    ) -> Answer[Any]: ...
    async def ask_async(
        self, prompt: str | list[Message], *, schema: Any = None, **changes: Unpack[AskOptions]
    ) -> Answer[Any]:
        """Go on as `ask` does, without blocking the event loop."""
        with short_traceback:
            answer: Answer[Any] = await self._continue(prompt, {**changes, "schema": schema}, is_async=True)
        return answer

    def _continue(self, prompt: str | list[Message], changes: Mapping[str, Any], *, is_async: bool) -> Any:
        if self._asker is None:
            raise RuntimeError(
                "This answer was unpickled and has no client; go on with "
                "amber.ask([*answer.messages, {'role': 'user', 'content': …}])."
            )
        return self._asker._continue(self, prompt, changes, is_async=is_async)

    def _model_names(self) -> list[str]:
        """Return the models that may be asked next, for completion."""
        return self._asker._model_names() if self._asker is not None else []

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = self._plain_text()
        start = text if len(text) <= 60 else text[:59] + "…"
        # Without the mode: a notebook that ends in a list of answers passes its own replay.
        return f"Answer({start!r}, finish_reason={self.finish_reason!r})"

    def __hash__(self) -> int:
        return hash((self.text, self.finish_reason, self._mode))

    def __getstate__(self) -> dict[str, Any]:
        state = {each.name: getattr(self, each.name) for each in fields(self)}
        state |= {"_asker": None, "_shown_in": None, "_options": {}}  # extra headers may hold a key
        # A tool's result, and a value of a class that the notebook defines, may be anything.
        runs = (run if _pickles(run.result) else replace(run, result=None) for run in self._tool_runs)
        state["_tool_runs"] = tuple(runs)
        if self._parsed is not None and not _pickles(self._parsed[0]):
            state["_parsed"] = (self._parsed[1], self._parsed[1])
        if not _pickles(self._schema):
            state["_schema"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    def __copy__(self, _: object = None) -> Answer[T]:
        return self  # immutable, and a copy by way of a pickle would have no client

    __deepcopy__ = __copy__

    def _ipython_display_(self) -> None:
        # An empty _repr_mimebundle_ would still show text/plain: only this method can show nothing.
        if self._shown_in is None or self._shown_in != cell.execution_id():
            cell.show_bundle(self._repr_mimebundle_())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return `text/html`, safe whatever the model wrote, and `text/plain`."""
        head = display.strip_html(self._images) if self._images else ""
        value = display.value_html(self._parsed[1]) if self._parsed is not None else ""
        html = display.answer_html(
            "" if value else self._full_text(),
            refusal=self.refusal,
            reasoning=self.reasoning,
            tool_calls=[(call["name"], call["arguments"]) for call in self._open_calls()],
            badge="simulated" if self._mode == "simulate" else None,
            head=head + self._tools_html() + value + self._made_html(),
            below=display.sources_html(self.sources),
            notice=self._notice(),
            fold_lines=self._fold_lines,
            footer=self._footer_text() if self._footer and self._mode == "live" else None,
        )
        return {"text/html": html, "text/plain": self._plain_text()}

    def _tools_html(self) -> str:
        """Return the lines of the calls; a server's call has a time only where the answer does, see the footer."""
        timed = self._mode == "live"
        runs = [run if timed or run.server is None else replace(run, duration_s=0.0) for run in self._tool_runs]
        return display.tools_html(runs) if runs else ""

    def _full_text(self) -> str:
        """Return the text of all rounds; `text` is the text of the last."""
        return "\n\n".join(text for text in (self._earlier_text, self.text) if text)

    def _plain_text(self) -> str:
        runs = display.tools_text(self._tool_runs) if self._tool_runs else ""
        return replace_surrogates("\n".join(part for part in (runs, *self._plain_parts()) if part))

    def _plain_parts(self) -> tuple[str, str]:
        """Return the text, and what stands below it."""
        calls = [f"{call['name']}({redact_json_text(call['arguments'])})" for call in self._open_calls()]
        notice = self._notice()
        sources = display.sources_text(self.sources)
        end = "\n".join([*calls, *([sources] if sources else []), *([f"[{notice}]"] if notice else [])])
        return replace_surrogates(self._full_text() or self.refusal or ""), replace_surrogates(end)

    def _open_calls(self) -> list[dict[str, str]]:
        if any(run.status == "not_run" for run in self._tool_runs):  # then the runs show them
            return []
        return [call["function"] for call in (self._message or {}).get("tool_calls", ())]

    def _notice(self) -> str | None:
        if self.complete:  # also where the gateway says "cancelled": no reader did that
            ended = _NOTICES.get(finish_kind(self.finish_reason) or "")
        else:
            ended = "stopped by you" if self.finish_reason == "cancelled" else "the reply ended early"
        return "; ".join(part for part in (self._holds(), ended) if part) or None

    def _holds(self) -> str:
        """Return what a reply without text holds, in a few words: an empty cell would look like a fault."""
        if self._full_text() or self.refusal or self._tool_runs or self._parsed is not None or self._open_calls():
            return ""
        parts = reply_parts.describe_parts(self._reply_message())
        return f"the reply holds no text, but {'; '.join(parts)}: see answer.completion" if parts else ""

    def _reply_message(self) -> dict[str, Any]:
        choices = self.completion.choices
        return choices[0].message.to_dict(warnings=False) if choices else {}

    def _made_html(self) -> str:
        """Return the pictures that the model made, as a strip."""
        made = reply_parts.made_images(self._reply_message())
        return display.strip_html(made) if made else ""

    def _footer_text(self) -> str:
        total = read_tokens(self.usage.to_dict(warnings=False))[2] if self.usage is not None else None
        tokens = f"{total:,} tokens" if total is not None else ""
        cost = self.cost if self._prices is not None else None  # a list price may not be what the reader pays
        parts = (self.completion.model, tokens, cost, f"{self.total_s:.1f} s")
        return " · ".join(str(part) for part in parts if part)


def _pickles(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # whatever the value's own methods raise
        return False
    return True
