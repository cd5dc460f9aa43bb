"""Decide whether a request is tried again and how long to wait: statuses, `Retry-After`, backoff; no waiting here."""

from __future__ import annotations

import email.utils
import math
import random
from dataclasses import dataclass

import openai

from .. import clock
from ..errors import is_out_of_quota

__all__ = ["RetryDelay", "RetryPolicy", "retry_after_s"]

_RETRY_STATUSES = (408, 409, 429)
_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 8.0
_JITTER = 0.25


@dataclass(frozen=True, slots=True)
class RetryDelay:
    """A wait before the next try; `reason` is shown to the reader who waits."""

    seconds: float
    reason: str


@dataclass(slots=True)
class RetryPolicy:
    """Decide whether a request is tried again, and how long that waits; it neither waits nor asks itself.

    It follows the SDK where that can be seen: the same statuses and errors, `x-should-retry`, `Retry-After` in its
    three forms (RFC 9110, section 10.2.3, and `retry-after-ms`), else half a second that doubles up to eight. Other
    than the SDK it bounds the waiting of a whole `ask`, and does not retry when the quota is used up.

    Attributes:
        max_retries: how often a request is tried again.
        max_wait_s: seconds that all waits together may take.
        retries: how often it was tried again so far.
        waited_s: seconds that the waits so far took.
    """

    max_retries: int = 0
    max_wait_s: float = 60.0
    retries: int = 0
    waited_s: float = 0.0

    def next(self, error: openai.APIError) -> RetryDelay | None:
        """Return the wait before the next try, and count that try; None where `error` is to be raised.

        Where the gateway asks for a wait that is too long, a note on the error says so.
        """
        if self.retries >= self.max_retries or not _may_pass(error):
            return None
        asked_s = retry_after_s(error)
        seconds = asked_s if asked_s is not None else _backoff_s(self.retries)
        if self.waited_s + seconds > self.max_wait_s:
            if asked_s is not None:
                already = f" after {self.waited_s:.0f} s of waiting" if self.waited_s >= 1 else ""
                wait = f"{math.ceil(asked_s):,} s" if math.isfinite(asked_s) else "for ever"
                limit = f"longer than max_wait_s ({self.max_wait_s:g} s)"
                error.add_note(f"amber: the gateway asks to wait {wait}{already}, {limit}")
            return None
        self.retries += 1
        self.waited_s += seconds
        return RetryDelay(seconds, _reason(error, asked_s is not None))


def _may_pass(error: openai.APIError) -> bool:
    """Return whether the error may not come again at the next try."""
    if not isinstance(error, openai.APIStatusError):
        return isinstance(error, openai.APIConnectionError)
    if is_out_of_quota(error):
        return False
    advice = error.response.headers.get("x-should-retry")
    if advice in ("true", "false"):
        return advice == "true"
    return error.status_code in _RETRY_STATUSES or error.status_code >= 500


def retry_after_s(error: openai.APIError) -> float | None:
    """Return the seconds that the gateway asks to wait; None where it names no time in the future."""
    if not isinstance(error, openai.APIStatusError):
        return None
    headers = error.response.headers
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / divisor
        except ValueError:
            continue
        return seconds if seconds > 0 else None  # not a number is not above 0 either
    try:
        at = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        seconds = at.timestamp() - clock.time()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return seconds if seconds > 0 else None


def _backoff_s(retries: int) -> float:
    return min(_FIRST_BACKOFF_S * 2.0 ** min(retries, 10), _MAX_BACKOFF_S) * (1 - _JITTER * random.random())


def _reason(error: openai.APIError, retry_after: bool) -> str:
    if isinstance(error, openai.APITimeoutError):
        return "no answer came in time"
    if not isinstance(error, openai.APIStatusError):
        return "no connection"
    busy = "the gateway is busy" if error.status_code in (429, 503) else f"the gateway failed: {error.status_code}"
    return f"{busy}, Retry-After" if retry_after else busy
