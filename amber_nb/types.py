"""The types that the rooms share: messages, replies, tool calls, events, and the parameters of `ask`."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

from .redact import collect_secrets, redact, redact_embedded, redact_json_text, redact_table, scrub

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = [
    "Allow",
    "AskOptions",
    "Asker",
    "Charge",
    "ChatEvent",
    "ChatParams",
    "Delta",
    "Deny",
    "InputRequest",
    "Message",
    "PartialAnswer",
    "Policy",
    "ReasoningDelta",
    "Reply",
    "RequestRow",
    "RequestSent",
    "SentImage",
    "Source",
    "SourcesFound",
    "TextDelta",
    "ToolCall",
    "ToolCallDelta",
    "ToolContent",
    "ToolProgress",
    "ToolRun",
    "Waiting",
    "finish_kind",
    "read_cached_tokens",
    "read_count",
    "read_tokens",
    "replace_surrogates",
]

Message: TypeAlias = Mapping[str, Any]  # a message as the wire has it: role, content, …


FinishKind: TypeAlias = Literal["stop", "length", "content_filter", "tool_calls", "error", "cut"]
# What finish reasons say, in whole words and in this order: those of Anthropic, Google, Mistral, Cohere, Bedrock,
# DeepSeek, Zhipu, Hugging Face and vLLM. A reply that was cut is worth reading; a broken one is not.
_FINISH_WORDS: dict[FinishKind, tuple[str, ...]] = {
    "length": (
        *("length", "max_token", "max_tokens", "max_output", "max_completion", "max_new", "token_limit"),
        *("output_limit", "context_window", "context_limit", "error_limit"),
    ),
    "content_filter": (
        *("filter", "filters", "filtered", "safety", "recitation", "blocklist", "prohibited", "spii", "guardrail"),
        *("guardrails", "moderation", "sensitive", "toxic", "refusal", "model_armor"),
    ),
    "error": ("error", "errors", "errored", "failed", "failure", "malformed", "unexpected_tool", "insufficient"),
    "cut": (
        *("abort", "aborted", "cancel", "canceled", "cancelled", "timeout", "timed_out", "time_limit", "incomplete"),
        *("interrupted", "truncated", "too_many_tool_calls"),
    ),
    "tool_calls": ("tool", "tools", "function_call"),
}
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NOT_WORDS = re.compile(r"[\W_]+")


def finish_kind(reason: str | None) -> FinishKind | None:
    """Return what a finish reason of the wire says, whatever its spelling; None without one.

    "cut" is a reply that ends early for another cause than its length: aborted, timed out, cancelled by the gateway.

    Example:
        >>> finish_kind("MAX_TOKENS"), finish_kind("end_turn"), finish_kind("content_filter: recitation")
        ('length', 'stop', 'content_filter')
    """
    if not reason:
        return None
    words = f"_{_NOT_WORDS.sub('_', _CAMEL_CASE.sub('_', reason)).lower()}_".replace("_no_error", "")
    return next(
        (kind for kind, phrases in _FINISH_WORDS.items() if any(f"_{phrase}_" in words for phrase in phrases)), "stop"
    )


def read_count(value: object) -> int | None:
    """Return a number of tokens, which some gateways send as a float or a text; None where it is none."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else -1.0
    except ValueError:
        return None
    return int(number) if 0 <= number < 1e15 else None


def read_tokens(usage: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Return the tokens of the prompt, of the completion and of both, as far as a usage tells them."""
    prompt, completion, total = (read_count(usage.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return prompt, completion, total


@dataclass(frozen=True, slots=True)
class Source:
    """A source that a reply names.

    Attributes:
        title: of a page or a document, or None.
        url: its address, or None.
        start: where the text that it belongs to begins in the answer's text, in characters, or None.
        end: where that text ends, or None.
    """

    title: str | None = None
    url: str | None = None
    start: int | None = None
    end: int | None = None


def read_cached_tokens(usage: Mapping[str, Any], missing: int | None = 0) -> int | None:
    """Return how many tokens of the prompt were read from a cache, `missing` where nothing says so; None: no count.

    OpenAI tells it in `prompt_tokens_details`; DeepSeek, Moonshot and proxies of Anthropic by names of their own.
    """
    details = usage.get("prompt_tokens_details")
    counts = [details.get("cached_tokens")] if isinstance(details, Mapping) else []
    counts += [usage.get(name) for name in ("cache_read_input_tokens", "prompt_cache_hit_tokens", "cached_tokens")]
    return next((read_count(count) for count in counts if count is not None), missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a reply is paid for: the tokens that it used, and whose."""

    models: tuple[str, ...]  # the model's names: as it was asked for, as the reply has it
    usage: Mapping[str, Any] = field(repr=False)  # as the gateway sent it
    service_tier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply, complete or as far as it came; times in seconds since the request was sent."""

    completion: ChatCompletion
    text: str
    refusal: str | None
    reasoning: str | None
    finish_reason: str | None  # the wire's, or "cancelled"
    complete: bool
    first_token_s: float | None
    total_s: float


@dataclass(slots=True, kw_only=True)
class RequestRow:
    """A request in the usage log, filled while its reply arrives; durations in seconds, `time` is a Unix time."""

    time: float
    mode: str
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    status: int | None = None
    started: float = field(default=0.0, repr=False)  # monotonic clock
    asked_model: str | None = field(default=None, repr=False)  # `model` of the request
    charge: Charge | None = field(default=None, repr=False)  # None where the reply has not told its usage


@dataclass(frozen=True, slots=True, kw_only=True)
class SentImage:
    """What a reader is told about an image of a request; sizes are (width, height) in pixels."""

    name: str  # a file's name without its folders, or what it was: "figure", "array"
    original_size: tuple[int, int] | None = None  # as it was given, upright
    size: tuple[int, int] | None = None  # as it is sent; None for a link, which nobody here has looked at
    format: str = ""  # "PNG", "JPEG", "WEBP"
    n_bytes: int = 0  # of the file that is sent, before base64
    tokens: int | None = None  # estimated
    notes: tuple[str, ...] = ()  # what was done beyond turning and shrinking: "first frame of an animation"
    thumbnail: bytes = field(default=b"", repr=False)  # a WebP file of at most 160 × 160 pixels, on white


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the model asks for, with checked arguments; the argument of an approval policy."""

    id: str
    name: str
    arguments: dict[str, Any]  # JSON values, as they would be handed to the function
    server: str | None = None  # the MCP server that would run it; None: a function of the caller's


@dataclass(frozen=True, slots=True)
class InputRequest:
    """A question of an MCP server to the reader, while it runs a call; all of it is a stranger's text."""

    server: str
    message: str
    schema: Mapping[str, Any]  # of the answer: an object of simple fields


@dataclass(frozen=True, slots=True)
class Allow:
    """Allow a call, with other arguments if there are any."""

    arguments: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not (self.arguments is None or isinstance(self.arguments, Mapping)):
            raise TypeError(f"Allow takes the arguments as a dict, not {type(self.arguments).__name__}")


@dataclass(frozen=True, slots=True)
class Deny:
    """Deny a call; the model is told the reason."""

    reason: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str):
            raise TypeError(f"Deny takes the reason as a text, not {type(self.reason).__name__}")


Policy: TypeAlias = Callable[[ToolCall], Allow | Deny | bool | Awaitable[Allow | Deny | bool | None] | None]


class ChatParams(TypedDict, total=False):
    """The endpoint's own parameters, as `ask` takes them; their meaning is the endpoint's."""

    audio: Mapping[str, Any] | None
    frequency_penalty: float | None
    function_call: Any
    functions: Iterable[Mapping[str, Any]]
    logit_bias: dict[str, int] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: dict[str, str] | None
    modalities: list[Literal["text", "audio"]] | None
    moderation: Any
    n: int | None
    parallel_tool_calls: bool
    prediction: Mapping[str, Any] | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    prompt_cache_options: Mapping[str, Any]
    prompt_cache_retention: str | None
    reasoning_effort: str | None
    response_format: Any
    safety_identifier: str | None
    seed: int | None
    service_tier: str | None
    stop: str | Sequence[str] | None
    store: bool | None
    temperature: float | None
    tool_choice: Any
    top_logprobs: int | None
    top_p: float | None
    user: str
    verbosity: str | None
    web_search_options: Mapping[str, Any]
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, object] | None


class AskOptions(ChatParams, total=False):
    """The keyword arguments of `ask`, but for `schema`, which decides the type of its answer.

    `Amber.ask` says what each is for; `chat.ask.DEFAULTS` holds the defaults.
    """

    images: Any
    thumbnails: bool
    tools: Any
    handlers: Mapping[str, Callable[..., Any]] | None
    require_approval: bool | Policy
    approval_timeout_s: float | None
    max_rounds: int
    system: str | None
    model: str | None
    timeout_s: float | None
    max_wait_s: float | None
    show: bool | None
    footer: bool
    extra_body: Mapping[str, Any] | None


class PartialAnswer(Protocol):
    """The answer that an error carries: whatever had arrived."""

    @property
    def text(self) -> str: ...
    @property
    def complete(self) -> bool: ...
    @property
    def tool_runs(self) -> list[ToolRun]: ...


class Asker(Protocol):
    """The client that an answer goes on with."""

    def _continue(
        self, answer: Any, prompt: str | list[Message], changes: Mapping[str, Any], *, is_async: bool
    ) -> Any: ...

    def _model_names(self) -> list[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContent:
    """The result of a tool as content: text and images for the model, and what a reader sees beside them."""

    text: str  # to the model
    images: tuple[tuple[Mapping[str, Any], SentImage], ...] = ()  # to the model, as parts of a message; to the reader
    table: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None = None  # to the reader: columns, rows of cells
    notes: tuple[str, ...] = ()  # "the first 50 of 2,000 rows"
    sources: tuple[Source, ...] = ()  # to the reader: what a search has found


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ToolRun:
    """A call of a tool: what the model asked for, what was done, and what the model was told; times in seconds."""

    name: str
    arguments: Mapping[str, Any] | str  # as it ran; the model's own text where that is no JSON object
    status: Literal["ran", "denied", "invalid", "failed", "timeout", "not_run"]
    result: Any = field(default=None, compare=False)  # the function's own, as it returned it: arrays know no equality
    sent: str = ""  # what the model was told
    error: str | None = None
    edited: bool = False
    duration_s: float = 0.0
    round: int = 1
    call_id: str = ""
    proposed: Mapping[str, Any] | None = None  # the model's arguments, where somebody changed them
    decided_by: str | None = None  # "reader", "policy", "timeout"; None: nobody was asked
    reason: str = ""  # why it was denied
    traceback: str | None = field(default=None, repr=False)
    content: ToolContent | None = field(default=None, repr=False)
    server: str | None = None  # the MCP server that ran it; None: a function of the caller's

    def redacted(self) -> ToolRun:
        """Return the run without its secrets, also where an error or a result repeats them; for displays."""
        secrets = _secrets(self.arguments) | _secrets(self.proposed)

        def clean(text: str | None) -> Any:
            return text and redact_embedded(scrub(text, secrets))

        content = self.content
        if content is not None:
            columns, rows = content.table or ((), ())
            hidden = redact_table(columns, scrub(rows, secrets))
            table = content.table and (tuple(scrub(columns, secrets)), tuple(map(tuple, hidden)))
            notes = tuple(scrub(content.notes, secrets))
            content = replace(content, text=clean(content.text), table=table, notes=notes)
        texts = {name: clean(getattr(self, name)) for name in ("sent", "error", "reason", "traceback")}
        wrong = self.arguments if isinstance(self.arguments, str) else None
        arguments = scrub(redact_json_text(wrong) if wrong is not None else redact(self.arguments), secrets)
        proposed = self.proposed and scrub(redact(self.proposed), secrets)
        return replace(self, arguments=arguments, proposed=proposed, content=content, **texts)

    def __repr__(self) -> str:
        run = self.redacted()
        shown = ((each.name, getattr(run, each.name)) for each in fields(run) if each.repr)
        secrets = _secrets(self.arguments) | _secrets(self.proposed)
        return f"ToolRun({', '.join(f'{name}={_repr(value, secrets)}' for name, value in shown)})"


@dataclass(slots=True)
class RequestSent:
    """Event: a request goes out, the first one or another try."""


@dataclass(slots=True)
class Waiting:
    """Event: the next try waits; sent again each second, with the seconds that are left."""

    seconds: int
    reason: str


@dataclass(slots=True)
class TextDelta:
    """Event: the model has written a piece of its text."""

    text: str


@dataclass(slots=True)
class ReasoningDelta:
    """Event: the model has written a piece of its reasoning."""

    text: str


@dataclass(slots=True)
class ToolCallDelta:
    """Event: the model has written a piece of a tool call."""

    index: int  # of the call among those of the answer, from 0
    name: str  # as far as it is known
    arguments: str  # the piece that was added
    round: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress:
    """Event: a tool call, which the model has written to its end, has come to a state."""

    index: int
    round: int
    name: str
    arguments: str  # JSON, as the model wrote it
    state: Literal["checking", "waiting", "running", "over"]
    began: float = 0.0  # when it began to run; the monotonic clock, in seconds
    run: ToolRun | None = None  # once it is over
    note: str = ""  # what a server tells of its progress, while it runs
    server: str | None = None  # the MCP server that runs it; None: a function of the caller's


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """Event: the reply has named sources; all so far."""

    sources: tuple[Source, ...]


Delta: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta
ChatEvent: TypeAlias = RequestSent | Waiting | Delta | ToolProgress | SourcesFound


def _secrets(arguments: Mapping[str, Any] | str | None) -> set[str]:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return set()
    return collect_secrets(arguments)


def _repr(value: Any, secrets: set[str]) -> str:
    if isinstance(value, str):
        value = redact_embedded(value)
    elif type(value) in (dict, list, tuple) and _is_json(value):
        value = redact(value)
    elif value is not None and not isinstance(value, (bool, int, float)):
        return f"<{type(value).__name__}>"  # which says what it likes of itself
    return str(scrub(repr(value), secrets))


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates with U+FFFD: JSON can hold them, UTF-8 and a kernel's messages cannot."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
