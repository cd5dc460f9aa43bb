"""What the rooms hand to each other: data without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["Message", "Reply", "RequestRow", "encodable"]

Message: TypeAlias = Mapping[str, Any]  # a message as the wire has it: role, content, …


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One finished (or given up) reply. Times in seconds since the request was sent."""

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
    """One request as the usage log keeps it; filled while its reply arrives. Seconds; `time` since the epoch."""

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


def encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which JSON can carry, but neither UTF-8 nor a kernel's messages."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
