"""Spans by OpenTelemetry's conventions for generative AI: `chat {model}` and `execute_tool {name}`.

OpenTelemetry is never imported here: a program that has set up a tracer provider has imported it, and without one
there is nothing to tell. Whatever is current where `ask` is called is the parent of its spans.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from urllib.parse import urlsplit

from .redact import redact, redact_embedded, redact_json_text
from .types import Reply, read_cached_tokens, read_count, read_tokens, replace_surrogates

__all__ = ["ChatSpan", "Telemetry", "ToolSpan"]

# What of a request is told, by the names of the conventions.
_PARAMETERS = {
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
# How gateways say by whom a model is served: the prefix of its name → the provider as the conventions call it.
_PROVIDERS = {
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "gemini": "gcp.gemini",
    "groq": "groq",
    "mistral": "mistral_ai",
    "perplexity": "perplexity",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
_FORMAT = "openai"  # the conventions' word where the maker is not known: the format that the gateway speaks


class Telemetry:
    """Make the spans of one client; without a tracer provider they do nothing.

    Args:
        base_url: where the requests go.
        mode: the client's, so that a replay can be told from what was asked.
        content: whether messages, arguments and results are told, too.
    """

    def __init__(self, base_url: str = "", mode: str = "", *, content: bool = False) -> None:
        self._base_url = base_url
        self._mode = mode
        self._content = content

    @contextmanager
    def chat_span(self, body: Mapping[str, Any]) -> Iterator[ChatSpan]:
        """Begin the span of a request, current until the block ends; what the block raises is its error."""
        tracer = _tracer()
        if tracer is None:
            yield ChatSpan(None)
            return
        model = replace_surrogates(str(body.get("model")))
        start = tracer.start_span(
            f"chat {model}", kind=_trace().SpanKind.CLIENT, attributes=self._request_attributes(body)
        )
        with _current(start):
            yield ChatSpan(start, content=self._content)

    @contextmanager
    def tool_span(self, name: str, call_id: str, arguments: Mapping[str, Any], description: str) -> Iterator[ToolSpan]:
        """Begin the span of a tool that runs, current until the block ends."""
        tracer = _tracer()
        if tracer is None:
            yield ToolSpan(None)
            return
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.description": description,
            "amber_nb.mode": self._mode,
        }
        if self._content:
            attributes["gen_ai.tool.call.arguments"] = _to_json(redact(dict(arguments)))
        start = tracer.start_span(
            f"execute_tool {name}", kind=_trace().SpanKind.INTERNAL, attributes=_clean(attributes)
        )
        with _current(start):
            yield ToolSpan(start, content=self._content)

    def _request_attributes(self, body: Mapping[str, Any]) -> dict[str, Any]:
        url, model = urlsplit(self._base_url), str(body.get("model"))
        prefix, slash, _ = model.partition("/")
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(prefix.lower(), _FORMAT) if slash else _FORMAT,
            "gen_ai.request.model": model,
            "server.address": url.hostname,
            "server.port": url.port or {"http": 80, "https": 443}.get(url.scheme),
            "amber_nb.mode": self._mode,
        }
        for name, attribute in _PARAMETERS.items():
            if isinstance(body.get(name), (int, float)):
                attributes[attribute] = body[name]
        stop = body.get("stop")
        if stop:
            attributes["gen_ai.request.stop_sequences"] = (
                [stop] if isinstance(stop, str) else [str(one) for one in stop]
            )
        if isinstance(body.get("n"), int) and body["n"] != 1:
            attributes["gen_ai.request.choice.count"] = body["n"]
        output = body.get("response_format")
        if isinstance(output, Mapping) and output.get("type") in ("json_object", "json_schema"):
            attributes["gen_ai.output.type"] = "json"
        if self._content:
            messages = [_to_message(message) for message in body.get("messages", ())]
            # As the conventions have it, instructions that begin a conversation stand by themselves.
            system = [message["parts"] for message in messages if message["role"] in ("system", "developer")]
            rest = [message for message in messages if message["role"] not in ("system", "developer")]
            attributes["gen_ai.input.messages"] = _to_json(rest)
            if system:
                attributes["gen_ai.system_instructions"] = _to_json([part for parts in system for part in parts])
        return _clean(attributes)


class ChatSpan:
    """The span of a request; without one, nothing is told."""

    def __init__(self, span: Any, *, content: bool = False) -> None:
        self._span = span
        self._content = content

    def set_reply(self, read: Callable[[], Reply]) -> None:
        """Tell what came, also of a reply that breaks off; it is read only where there is somebody to be told."""
        if self._span is None or not self._span.is_recording():
            return
        completion = read().completion
        usage = completion.usage.to_dict(warnings=False) if completion.usage is not None else {}
        sent, given, _ = read_tokens(usage)
        details = usage.get("completion_tokens_details")
        reasons = [choice.finish_reason for choice in completion.choices or () if choice.finish_reason]
        attributes: dict[str, Any] = {
            "gen_ai.response.id": completion.id,
            "gen_ai.response.model": completion.model,
            "gen_ai.response.finish_reasons": [str(reason) for reason in reasons],
            "gen_ai.usage.input_tokens": sent,
            "gen_ai.usage.output_tokens": given,
            "gen_ai.usage.cache_read.input_tokens": read_cached_tokens(usage) or None,
        }
        if isinstance(details, Mapping):
            attributes["gen_ai.usage.reasoning.output_tokens"] = read_count(details.get("reasoning_tokens")) or None
        if self._content:
            messages = [
                {**_to_message(choice.message.to_dict(warnings=False)), "finish_reason": choice.finish_reason}
                for choice in completion.choices or ()
            ]
            attributes["gen_ai.output.messages"] = _to_json(messages)
        self._span.set_attributes(_clean(attributes))


class ToolSpan:
    """The span of a tool that runs; without one, nothing is told."""

    def __init__(self, span: Any, *, content: bool = False) -> None:
        self._span = span
        self._content = content

    def activate(self) -> AbstractContextManager[Any]:
        """Make the span current on another thread, for the tool's own spans."""
        if self._span is None:
            return nullcontext()
        return _use(self._span)

    def set_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Tell how the call ended, by the fields of its `ToolRun`."""
        if self._span is None or not self._span.is_recording():
            return
        if outcome["status"] != "ran":
            # Its name alone: what the error says may repeat a prompt.
            failed = outcome["status"] == "failed"
            _set_error(self._span, str(outcome["error"]).partition(":")[0] if failed else outcome["status"])
        if self._content:
            self._span.set_attributes(_clean({"gen_ai.tool.call.result": redact_embedded(outcome["sent"])}))


def _trace() -> Any:
    """OpenTelemetry's module for traces, or None where nobody has imported it."""
    trace = sys.modules.get("opentelemetry.trace")
    return trace if hasattr(trace, "use_span") else None  # another thread may be in the middle of importing it


def _tracer() -> Any:
    """Return a tracer of the provider that the program has set up; None without one."""
    trace = _trace()
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider.get_tracer("amber_nb")


def _use(span: Any) -> AbstractContextManager[Any]:
    use: AbstractContextManager[Any] = _trace().use_span(
        span, end_on_exit=False, record_exception=False, set_status_on_exception=False
    )
    return use


@contextmanager
def _current(span: Any) -> Iterator[None]:
    """Make a span current, and end it; an error is told by its name alone, since its text may repeat a prompt."""
    try:
        with _use(span):
            yield
    except Exception as error:  # not a stop or an interrupt, which are the reader's
        _set_error(span, type(error).__qualname__)
        raise
    finally:
        span.end()


def _set_error(span: Any, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(_trace().StatusCode.ERROR)


def _clean(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that hold something, in texts that can be exported."""

    def clean(value: Any) -> Any:
        if isinstance(value, list):
            return [clean(one) for one in value]
        return replace_surrogates(value) if isinstance(value, str) else value

    return {name: clean(value) for name, value in attributes.items() if value not in (None, "", [])}


def _to_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message in the form of the conventions: a role and its parts."""
    role, content = str(message.get("role", "assistant")), message.get("content")
    parts: list[dict[str, Any]] = []
    if role == "tool":
        parts = [
            {
                "type": "tool_call_response",
                "id": message.get("tool_call_id"),
                "response": _hide(content, redact_embedded),
            }
        ]
    elif isinstance(content, str) and content:
        parts = [{"type": "text", "content": content}]
    elif isinstance(content, Sequence) and not isinstance(content, str):
        parts = [_to_part(part) for part in content if isinstance(part, Mapping)]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        parts.append(
            {
                "type": "tool_call",
                "id": call.get("id"),
                "name": function.get("name"),
                "arguments": _hide(function.get("arguments"), redact_json_text),
            }
        )
    return {"role": role, "parts": parts}


def _to_part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "content": part.get("text")}
    link = part.get("image_url")
    url = str(link.get("url") if isinstance(link, Mapping) else link) if link else ""
    if url.startswith("data:"):  # the picture itself would fill a trace
        return {"type": "blob", "modality": "image", "mime_type": url[5:].partition(";")[0], "content": ""}
    return {"type": "uri", "modality": "image", "uri": url} if url else {"type": str(part.get("type"))}


def _hide(text: Any, redact_text: Callable[[str], str]) -> Any:
    return redact_text(text) if isinstance(text, str) else text


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
