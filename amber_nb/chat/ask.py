"""Run one `ask`, from its arguments to its Answer; the sync and the async method share all of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import openai

from .. import display, images, mcp_servers, tools
from ..answer import Answer
from ..cassettes.match import Cell
from ..cassettes.session import CURRENT_CELL, CassetteSession
from ..checks import check_seconds
from ..config import Config
from ..display import kernel
from ..display.escape import escape_code
from ..errors import BadReply, ConfigError, RefusalError, SchemaError, StreamCut, ToolError
from ..telemetry import Telemetry
from ..types import Asker, AskOptions, ChatEvent, ChatParams, Message, Reply, finish_kind, replace_surrogates
from ..wire import event_loop
from ..wire.clients import Clients
from ..wire.retry import RetryPolicy
from .adaptations import Adaptations
from .approval import ApprovalPrompt
from .execute import CellExecutor
from .loop import ChatLoop, ChatResult, wants_tools
from .messages import Conversation, add_images, assistant_message, ensure_call_ids, messages_for, split_params
from .server_calls import KnownResults, ServerApprovals
from .tool_calls import ToolRunner

__all__ = ["AskContext", "AskRun", "current_cell", "show_parameters"]

DEFAULTS: dict[str, Any] = {"thumbnails": True, "require_approval": False, "max_rounds": 8, "footer": True}
OPTIONS = tuple(name for name in AskOptions.__annotations__ if name not in ChatParams.__annotations__)
# What `answer.ask` inherits, beside tools and the endpoint's parameters; neither the images nor the schema.
INHERITED = ("require_approval", "approval_timeout_s", "max_rounds", "model", "timeout_s", "max_wait_s", "footer")
# What replaces the live view when no text came: the error below it says the rest.
EMPTY = {"text/html": "", "text/plain": ""}

_WAKE_S = 0.25  # how long an interrupt of a cell that awaits may take

_display_queue = kernel.DisplayQueue()
F = TypeVar("F", bound=Callable[..., Any])


def show_parameters(method: F) -> F:
    """Give a method that takes `**options: Unpack[AskOptions]` the signature that help and completion show."""
    names = [*OPTIONS[: OPTIONS.index("system")], "schema", *OPTIONS[OPTIONS.index("system") :]]
    kinds = {**AskOptions.__annotations__, "schema": Any}
    signature = inspect.signature(method)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            *(each for each in own if each.name != "schema"),
            *(
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=DEFAULTS.get(name),
                    annotation=getattr(kinds[name], "__forward_arg__", kinds[name]),
                )
                for name in names
            ),
            inspect.Parameter("params", inspect.Parameter.VAR_KEYWORD),
        ]
    )
    return method


@dataclass(frozen=True, slots=True, kw_only=True)
class AskContext:
    """What a client lends to each of its asks.

    Attributes:
        config: the client's settings.
        clients: the SDK's clients.
        session: the cassette that is recorded to or replayed from, or None.
        adaptations: what the client has learnt of its models.
        known_results: whose the results of tools are that the client has had; extended by each ask.
        asker: the client, for `answer.ask`.
        annotate: adds the remedy to an error.
        remember: keeps an answer as `amber.last`.
    """

    config: Config
    clients: Clients
    session: CassetteSession | None
    adaptations: Adaptations
    known_results: KnownResults
    asker: Asker
    annotate: Callable[[BaseException], None]
    remember: Callable[[Answer[Any]], None]


class AskRun:
    """One `ask`: checked when it is made, run on the private loop, finished in the caller's thread.

    Attributes:
        inbox: what the caller's thread is to call while it waits.

    Args:
        context: what the client lends.
        prompt: a question, or messages.
        schema: what the answer must look like, or None.
        options: the other arguments of `ask`, as they were passed.
        caller_loop: the event loop of a caller that awaits.

    Raises:
        TypeError: the prompt, an option or a parameter has the wrong type, or is unknown.
        ConfigError: an option has a value that is not allowed.
        ImageError: an image cannot be sent.
        RuntimeError: a sync ask on amber's own event loop, which it would wait for.
    """

    def __init__(
        self,
        context: AskContext,
        prompt: str | list[Message],
        schema: Any,
        options: Mapping[str, Any],
        caller_loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if caller_loop is None and not event_loop.can_block():
            raise RuntimeError("This runs on amber's own event loop, which ask would wait for: await amber.ask_async.")
        self._context = context
        self._params = {name: value for name, value in options.items() if name not in OPTIONS}
        self._options = option = {name: options.get(name, DEFAULTS.get(name)) for name in OPTIONS}
        _check_options(option)
        role = context.config.system_role
        messages = messages_for(prompt, option["system"], role or "developer")
        context.known_results.add_prompt(messages)
        context.known_results.add_prompt(prompt)  # PromptMessages mark also what was added to them
        # Of a conversation that goes on the first message is ask's own, too.
        own_role = role is None and (option["system"] is not None or isinstance(prompt, (str, Conversation)))
        content = messages[-1].get("content")
        parts = images.find_image_parts(content, thumbnails=option["thumbnails"]) if isinstance(content, list) else []
        holders: list[Any] = []
        if option["images"] is not None:
            collected = images.collect_images(option["images"], thumbnails=option["thumbnails"])
            messages = add_images(messages, collected.parts)
            parts, holders = [*parts, *collected.parts], collected.sources
        self._images = tuple(part.sent for part in parts)
        self._schema = schema
        self._format = tools.response_format_of(schema) if schema is not None else None
        offered, servers = option["tools"], list[Any]()
        if offered is not None:
            offered, servers = mcp_servers.split_tools(offered)
        for server in servers:
            server.prepare(context.session)
        self._servers = servers
        self._functions = tools.tools_from(offered, option["handlers"]) if offered is not None else {}
        if option["handlers"] and not self._functions:
            raise TypeError("handlers= belongs to tools=: it gives the functions of tools that are dicts")
        self._messages = messages
        self._caller_loop = caller_loop
        self._can_type = kernel.can_prompt()  # as the cell's own thread knows it
        self._loop: ChatLoop | None = None
        self._body, self._sdk_options = self._request()
        own = {"role": own_role, "response_format": self._format is not None}
        own["stream_options"] = "stream_options" not in self._body
        self._own = frozenset(name for name, is_own in own.items() if is_own)
        self._display: display.NotebookDisplay | display.TerminalDisplay | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False
        self._visible = option["show"]
        if self._visible is None:
            self._visible = context.config.display != "none" and (kernel.in_kernel() or kernel.in_terminal())
        self.inbox = event_loop.Inbox(wake_s=_WAKE_S if kernel.in_kernel() else None)
        for holder in holders:  # only now that all arguments are known to be right
            holder.mark_used(thumbnails=option["thumbnails"])
        self._place_in_queue = _display_queue.begin()
        self._ended = False
        self._cell = current_cell()
        try:
            if self._visible:
                self._display = self._open_display()
        except BaseException:
            self._end(None)
            raise

    def _request(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the body of each request, without messages, and the SDK's options of it."""
        option = self._options
        params, sdk_options = split_params(self._params)
        body = {"model": option["model"] or self._context.config.model, **params}
        if option["extra_body"] is not None:
            sdk_options["extra_body"] = dict(option["extra_body"])
        if option["timeout_s"] is not None:
            sdk_options["timeout"] = option["timeout_s"]
        extra = sdk_options.get("extra_body", {})
        if "stream_options" in extra:  # the SDK would send both
            body["stream_options"] = extra.pop("stream_options")
        if self._format is not None:
            if body.get("response_format") is not None or "response_format" in extra:
                raise TypeError(
                    "schema= sends a response_format of its own, so that response_format= beside it cannot be sent: "
                    "take schema= for a typed answer, or response_format= alone for the text as it comes"
                )
            body["response_format"] = self._format.payload
        return body, sdk_options

    async def _open_loop(self) -> ChatLoop:
        """Return the loop of requests, with the functions and what the servers list now."""
        tools_by_name = self._functions
        if self._servers:
            tools_by_name = await mcp_servers.load_tools(self._functions, self._servers, self._context.session)
        if tools_by_name:
            self._body["tools"] = [tool.spec for tool in tools_by_name.values()]
        config, view, option = self._context.config, self._display, self._options
        emit: Callable[[ChatEvent], object] = view.handle if view is not None else bool
        telemetry = Telemetry(config.base_url, config.mode, content=config.trace_content)
        tool_runner: ToolRunner | None = None
        if tools_by_name:
            executor = CellExecutor(self.inbox, self._caller_loop)
            prompt = ApprovalPrompt(executor, view, can_type=self._can_type, timeout_s=option["approval_timeout_s"])
            approvals = ServerApprovals(tools_by_name, self._messages, self._context.known_results)
            approval = option["require_approval"]
            tool_runner = ToolRunner(tools_by_name, approval, executor, prompt, approvals, telemetry, emit)
        max_wait_s = config.max_wait_s if option["max_wait_s"] is None else option["max_wait_s"]
        # A recording keeps the times: there nothing rests between two reads.
        rest_s = view.rest_s if view is not None and config.mode not in ("record", "cache") else 0.0
        return ChatLoop(
            self._context.clients,
            self._context.session,
            self._messages,
            self._body,
            self._sdk_options,
            retry_policy=lambda: RetryPolicy(config.max_retries, max_wait_s),
            tool_runner=tool_runner,
            max_rounds=option["max_rounds"],
            response_format=self._format,
            adaptations=self._context.adaptations,
            own=self._own,
            telemetry=telemetry,
            emit=emit,
            rest_s=rest_s,
        )

    def _open_display(self) -> display.NotebookDisplay | display.TerminalDisplay | None:
        setting = self._context.config.display
        badge = {"simulate": "simulated", "replay": "replayed"}.get(self._context.config.mode)
        if kernel.in_terminal():
            kernel.hide_empty_prompt()
            head = [f"[{badge}]"] if badge else []
            head += [display.strip_text(self._images)] if self._images else []
            live = setting in ("auto", "live")
            return display.TerminalDisplay(self.inbox.put, "\n".join(head)) if live else None
        if setting == "live" or (setting == "auto" and kernel.has_front_end()):
            view = display.NotebookDisplay(
                model=str(self._body["model"]),
                badge=badge,
                on_stop=self._stop,
                strip=display.strip_items(self._images) if self._images else (),
                head=display.strip_html(self._images) if self._images else "",
                tools=bool(self._functions or self._servers),
            )
            if view.poll_s:
                self.inbox.poll(view.listen, view.poll_s)
            return view
        return None

    def _stop(self) -> None:
        self._stopped = True
        event_loop.call_soon(lambda: self._task.cancel() if self._task is not None else None)

    async def run(self) -> ChatResult:
        """Run to the last reply; the async core, which runs on the private loop."""
        self._task = asyncio.current_task()
        CURRENT_CELL.set(self._cell)  # the transport runs on the private loop, where no cell is
        self._loop = await self._open_loop()
        try:
            return await self._loop.run()
        except asyncio.CancelledError:
            result = self._loop.partial_result(cancelled=True)
            if not self._stopped or result.reply is None:  # an interrupt, which the caller raises
                raise
            return result

    def finish(self, result: ChatResult) -> Answer[Any]:
        """Make the Answer of a whole reply, remember it and show it.

        Raises:
            RefusalError, SchemaError: a schema was asked for and is not met; `.answer` has what came.
            openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError: the same, because it was cut.
        """
        assert result.reply is not None
        answer = self._make_answer(result, result.reply)
        self._end(answer)
        unmet = self._format is not None and result.parsed is None
        if unmet and result.reply.complete and not wants_tools(result.reply):
            error = self._schema_error(result.reply, result.schema_error)
            error.answer = answer  # type: ignore[attr-defined]
            raise error from result.schema_error and result.schema_error.__cause__
        return answer

    def _schema_error(self, reply: Reply, mismatch: Exception | None) -> Exception:
        if reply.refusal:
            return RefusalError(f"The model refused: {reply.refusal[:300]}")
        if finish_kind(reply.finish_reason) == "length":
            return openai.LengthFinishReasonError(completion=reply.completion)
        if finish_kind(reply.finish_reason) == "content_filter":
            return openai.ContentFilterFinishReasonError()
        if finish_kind(reply.finish_reason) == "cut":
            return SchemaError(f"The gateway cut the reply off (finish_reason {reply.finish_reason!r}). Ask again.")
        return SchemaError(f"The reply does not fit the schema, also after the model was told so. {mismatch or ''}")

    def fail(self, error: BaseException) -> None:
        """End with an error: keep and show the text that came, and add the remedy to the error."""
        if self._ended:
            return
        answer = None
        try:
            carrier = error if isinstance(error, (StreamCut, BadReply, ToolError)) else None
            if self._loop is not None:  # else a server's tools could not be listed
                result = self._loop.partial_result(cancelled=not isinstance(error, Exception))
                if result.reply is not None and (result.reply.text or carrier is not None or result.tool_runs):
                    answer = self._make_answer(result, result.reply)
            if carrier is not None:
                carrier.answer = answer
            self._context.annotate(error)
        finally:  # whatever happens, those that wait in the queue get their turn
            self._end(answer if answer is not None and (answer.text or answer.tool_runs) else None)

    def _make_answer(self, result: ChatResult, reply: Reply) -> Answer[Any]:
        message = assistant_message(reply.completion)
        if message is not None and message.get("tool_calls"):
            message = ensure_call_ids(message, max((run.round for run in result.tool_runs), default=1))
        return Answer(
            reply,
            _mode=self._context.config.mode,
            _earlier_messages=result.messages,
            _images=self._images,
            _tool_runs=result.tool_runs,
            _earlier_text="\n\n".join(result.earlier_texts),
            _parsed=result.parsed,
            _has_schema=self._format is not None,
            _schema=self._schema,
            _message=message,
            _later_messages=result.later_messages,
            _options={
                "tools": [*self._functions.values(), *self._servers] or None,
                **{name: self._options[name] for name in (*INHERITED, "extra_body")},
                **self._params,
            },
            _asker=self._context.asker,
            _footer=self._options["footer"],
            _fold_lines=self._context.config.fold_lines,
            _charges=result.charges,
            _prices=self._context.config.prices,
            _shown_in=self._place_in_queue.cell if self._visible else None,
        )

    def _end(self, answer: Answer[Any] | None) -> None:
        show: Callable[[], None] | None = None
        try:
            self._ended = True
            if answer is not None:
                self._context.remember(answer)
            if self._visible:
                show = self._settle(answer)
        except BaseException:  # such as an interrupt while the HTML is made: nothing else would end the display
            self._settle_plainly(answer)
            raise
        finally:  # also after an interrupt: those that wait in the queue get their turn
            _display_queue.end(self._place_in_queue, show)

    def _settle(self, answer: Answer[Any] | None) -> Callable[[], None] | None:
        """End the display; return what shows the answer, where that has not shown it."""
        if isinstance(self._display, display.TerminalDisplay):
            text, end = answer._plain_parts() if answer is not None else ("", "")
            self._display.settle(text, runs=answer.tool_runs if answer is not None else (), end=end)
            return None
        bundle = answer._repr_mimebundle_() if answer is not None else EMPTY
        if (self._display is not None and self._display.settle(bundle)) or answer is None:
            return None
        if self._display is not None and self._context.config.mode == "simulate":  # its text is all that may be seen
            bundle = bundle | {"text/plain": f"[simulated]\n{bundle['text/plain']}"}
        return partial(kernel.show_bundle, bundle)

    def _settle_plainly(self, answer: Answer[Any] | None) -> None:
        """End the display with the text alone, as it came."""
        text = answer.text if answer is not None else ""
        if isinstance(self._display, display.TerminalDisplay):
            self._display.settle(text)
        elif self._display is not None:
            bundle = EMPTY
            try:
                head = f'<pre style="white-space:pre-wrap">{escape_code(text)}</pre>' if text else ""
                badge = "simulated" if self._context.config.mode == "simulate" else None
                html = display.answer_html("", badge=badge, head=head, notice="its display was interrupted")
                bundle = {"text/html": html, "text/plain": replace_surrogates(text)}
            finally:  # an impatient reader interrupts twice
                self._display.settle(bundle)


def current_cell() -> Cell:
    """Return the cell that is running, and which run of it this is."""
    return Cell(kernel.cell_id(), kernel.execution_id())


def _check_options(option: Mapping[str, Any]) -> None:
    """Refuse what can be seen to be wrong before anything begins."""
    extra_body, approval, max_rounds = option["extra_body"], option["require_approval"], option["max_rounds"]
    if extra_body is not None and not isinstance(extra_body, Mapping):
        raise TypeError(f"extra_body must be a dict, not {type(extra_body).__name__}")
    if not (isinstance(approval, bool) or callable(approval)):
        raise TypeError(f"require_approval must be True, False or a function, not {type(approval).__name__}")
    check_seconds("timeout_s", option["timeout_s"])
    check_seconds("approval_timeout_s", option["approval_timeout_s"])
    check_seconds("max_wait_s", option["max_wait_s"], zero=True)
    if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
        raise ConfigError("max_rounds must be a whole number, 1 or more.")
