"""What the rooms hand to each other: data without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["Message", "Reply", "RequestRow", "SentImage", "encodable"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SentImage:
    """What a reader is told of one image of a request. Sizes are (width, height) in pixels."""

    name: str  # a file's name without its folders, or what it was: "figure", "array"
    before: tuple[int, int] | None = None  # as it was given, upright
    after: tuple[int, int] | None = None  # as it is sent; None for a link, which nobody here has looked at
    format: str = ""  # "PNG", "JPEG", "WEBP"
    n_bytes: int = 0  # of the file that is sent, before base64
    tokens: int | None = None  # estimated
    notes: tuple[str, ...] = ()  # what was done beyond turning and shrinking: "first frame of an animation"
    thumbnail: bytes = field(default=b"", repr=False)  # a WebP file of at most 160 × 160 pixels, on white


def encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which JSON can carry, but neither UTF-8 nor a kernel's messages."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
