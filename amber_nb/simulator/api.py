"""The API's types: requests, responses, errors, server-sent events, their pace, and seeded choice."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from .. import clock

__all__ = [
    "BASE_PATH",
    "DONE",
    "EXCESS_BYTES",
    "ApiError",
    "Cut",
    "Dialect",
    "Request",
    "Response",
    "SeededChoice",
    "completion_events",
    "delays",
    "encode_event",
    "image_urls",
    "random_id",
    "split_tokens",
    "text_of",
]

T = TypeVar("T")
BASE_PATH = "/api/beta/openai/v1"
DONE = b"data: [DONE]\n\n"
EXCESS_BYTES = 1_000  # a cut body announces this many bytes more than it has
FIRST_TOKEN_EVENTS = 15  # a model thinks before its first token about as long as it writes this many
Cut = Literal["", "fin", "reset"]
Dialect = Literal["openai", "litellm"]
# LiteLLM derives an error's type from the status; OpenAI says "invalid_request_error" for most of them.
_LITELLM_TYPES = {401: "auth_error", 404: None, 405: None, 413: None}
_TOKEN = re.compile(r" ?\w{1,14}| ?[^\w\s]|\n+|\s")
_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the gateway.

    Attributes:
        method: HTTP method in capitals.
        path: what follows the base URL, such as `/chat/completions`.
        headers: header names in lower case, and their values.
        body: the request body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the gateway: a whole body, or the events of a stream.

    Attributes:
        status: HTTP status.
        headers: response headers.
        body: the whole body; empty for a stream.
        events: pieces of a streamed body, each sent separately; a number is a pause in seconds. Server-sent events,
            except for a fault, which may hold anything and may never end.
        cut: how the connection breaks after the last piece: "fin" closes it within the body, "reset" resets it.
        wait_s: seconds of silence before the status line.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    events: Iterable[bytes | float] | None = None
    cut: Cut = ""
    wait_s: float = 0.0


class ApiError(Exception):
    """A refusal, with its HTTP status and the fields of OpenAI's error object.

    Args:
        status: HTTP status.
        message: text for the caller.
        param: path of the parameter at fault, such as `messages[0].role`.
        code: OpenAI's error code.
        allow: value of the `Allow` header of a 405.

    Example:
        raise ApiError(400, "Unknown parameter: 'foo'.", param="foo", code="unknown_parameter")
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, allow: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.allow = allow

    def response(self, dialect: Dialect = "openai") -> Response:
        """Return the refusal as a response.

        Args:
            dialect: `litellm` puts the status as a string into `code`, and may leave `type` null.
        """
        error: dict[str, str | None] = {"message": self.message, "type": "invalid_request_error", "param": self.param}
        if dialect == "litellm":
            error["type"] = _LITELLM_TYPES.get(self.status, "invalid_request_error")
            error["code"] = str(self.status)
        else:
            error["code"] = self.code
        headers = {"content-type": "application/json"} | ({"allow": self.allow} if self.allow else {})
        return Response(self.status, headers, json.dumps({"error": error}, ensure_ascii=False).encode(errors="replace"))


class SeededChoice:
    """Choices that look random and are the same for the same seed.

    `random.Random` is not used: its methods may draw differently in another version of Python, and notebooks keep
    the outputs.

    Example:
        SeededChoice("hello").choice(["red", "green"])
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode(errors="replace")
        self._count = 0

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to `limit` - 1."""
        self._count += 1
        digest = hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
        return int.from_bytes(digest[:8], "big") % limit

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]


def random_id(seed: str, length: int) -> str:
    """Return letters and digits derived from a seed, for ids such as `chatcmpl-…`."""
    number = int.from_bytes(hashlib.sha512(seed.encode(errors="replace")).digest(), "big")
    characters = []
    for _ in range(length):
        number, rest = divmod(number, len(_ID_ALPHABET))
        characters.append(_ID_ALPHABET[rest])
    return "".join(characters)


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a valid message, its text parts joined by line breaks."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if part["type"] == "text")
    return content or ""


def image_urls(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the images of valid messages as pairs of URL and parameter path."""
    return [
        (part["image_url"]["url"], f"messages.[{i}].content.[{j}].image_url")
        for i, message in enumerate(messages)
        if isinstance(message.get("content"), list)
        for j, part in enumerate(message["content"])
        if part["type"] == "image_url"
    ]


def split_tokens(text: str) -> list[str]:
    """Split a text into pieces of about a token, as deltas carry them.

    Example:
        split_tokens("Hello! How are you?")  # ["Hello", "!", " How", " are", " you", "?"]
    """
    return _TOKEN.findall(text)


def encode_event(data: Any, name: str = "") -> bytes:
    """Return a server-sent event; data other than bytes is encoded as JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + raw + b"\n\n"


def completion_events(
    completion: dict[str, Any], *, include_usage: bool = False, litellm: bool = False
) -> tuple[bytes, ...]:
    """Return the server-sent events of a streamed completion, `[DONE]` last.

    The choices take turns. A choice's first delta has no role and its last one is empty, as on the vendor's page.

    Args:
        completion: the completion as it would be sent unstreamed.
        include_usage: add a chunk with the usage; the others then carry `"usage": null`.
        litellm: leave out `finish_reason` and `logprobs` before the end; give the usage chunk a choice.
    """
    head = {key: completion[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")}
    head["object"] = "chat.completion.chunk"

    def chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        extra = {"usage": usage} if usage is not None or (include_usage and not litellm) else {}
        return encode_event({**head, "choices": choices, **extra})

    def choice(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        end = {} if finish_reason is None and litellm else {"logprobs": None, "finish_reason": finish_reason}
        return {"index": index, "delta": delta, **end}

    events = []
    queues = [(item["index"], item["finish_reason"], _deltas(item["message"])) for item in completion["choices"]]
    for turn in range(max(len(deltas) for _, _, deltas in queues) + 1):
        for index, finish_reason, deltas in queues:
            if turn < len(deltas):
                events.append(chunk([choice(index, deltas[turn])]))
            elif turn == len(deltas):
                events.append(chunk([choice(index, {}, finish_reason)]))
    if include_usage:
        events.append(chunk([choice(0, {})] if litellm else [], completion["usage"]))
    return (*events, DONE)


def _deltas(message: dict[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"content": token} for token in split_tokens(message["content"] or "")]
    for call in message["tool_calls"] or []:
        function = {"name": call["function"]["name"], "arguments": ""}
        deltas.append(
            {"tool_calls": [{"index": call["index"], "id": call["id"], "type": "function", "function": function}]}
        )
        for token in split_tokens(call["function"]["arguments"]):
            deltas.append({"tool_calls": [{"index": call["index"], "function": {"arguments": token}}]})
    return deltas


def delays(events: Iterable[bytes | float], chunks_per_s: float) -> Iterator[tuple[float, bytes]]:
    """Yield each event with the seconds to wait before it.

    Each event is due at a time of its own, so a reader who was away finds the events that have come meanwhile, as on
    a network. A number among the events is a pause, kept at any pace, and comes with an empty event.

    Args:
        events: events and pauses.
        chunks_per_s: events a second; at 0 only pauses are waited for.
    """
    step_s = 1 / chunks_per_s if chunks_per_s > 0 else 0.0
    start = clock.monotonic()
    number = FIRST_TOKEN_EVENTS
    for event in events:
        if isinstance(event, (int, float)):
            start += event
            yield event, b""
            continue
        yield max(0.0, start + number * step_s - clock.monotonic()) if step_s else 0.0, event
        number += 1
