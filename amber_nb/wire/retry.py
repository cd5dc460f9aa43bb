"""When a request is tried again, and how long that waits: policy alone, no waiting and no network.

Follows the SDK where it can be seen: the same statuses and errors, `x-should-retry`, `Retry-After` in its three forms,
else half a second that doubles up to eight. Other than the SDK it bounds the waiting of a whole `ask`, and leaves a
quota that is used up alone.
"""

from __future__ import annotations

import email.utils
import math
import random
from dataclasses import dataclass

import openai

from .. import clock
from ..errors import out_of_quota

__all__ = ["Retries", "Wait"]

_STATUSES = (408, 409, 429)
_FIRST_S = 0.5
_LONGEST_S = 8.0
_JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Wait:
    """What comes before the next try. `why`: for the reader who waits."""

    seconds: float
    why: str


@dataclass(slots=True)
class Retries:
    """The tries of one `ask`.

    Args:
        max_retries: how often it is tried again.
        max_wait_s: seconds that all its waits together may take.
    """

    max_retries: int = 0
    max_wait_s: float = 60.0
    taken: int = 0
    waited_s: float = 0.0

    def next(self, error: openai.APIError) -> Wait | None:
        """The wait before the next try, which counts as taken; None where `error` is to be raised.

        A wait that was asked for and is too long is told in a note on the error.
        """
        if self.taken >= self.max_retries or not _passing(error):
            return None
        asked = _asked_s(error)
        seconds = asked if asked is not None else _backoff_s(self.taken)
        if self.waited_s + seconds > self.max_wait_s:
            if asked is not None:
                error.add_note(self._too_long(asked))
            return None
        self.taken += 1
        self.waited_s += seconds
        return Wait(seconds, _why(error, asked is not None))

    def _too_long(self, asked: float) -> str:
        already = f" after {self.waited_s:.0f} s of waiting" if self.waited_s >= 1 else ""
        wait = f"{math.ceil(asked):,} s" if math.isfinite(asked) else "for ever"
        return f"amber: the gateway asks to wait {wait}{already}, longer than max_wait_s ({self.max_wait_s:g} s)"


def _passing(error: openai.APIError) -> bool:
    """Whether it may be gone at the next try."""
    if not isinstance(error, openai.APIStatusError):
        return isinstance(error, openai.APIConnectionError)
    if out_of_quota(error):
        return False
    told = error.response.headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    return error.status_code in _STATUSES or error.status_code >= 500


def _asked_s(error: openai.APIError) -> float | None:
    """Seconds that the gateway asks to wait, None where it names none that can be meant."""
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


def _backoff_s(taken: int) -> float:
    return min(_FIRST_S * 2.0 ** min(taken, 10), _LONGEST_S) * (1 - _JITTER * random.random())


def _why(error: openai.APIError, asked: bool) -> str:
    if isinstance(error, openai.APITimeoutError):
        return "no answer came in time"
    if not isinstance(error, openai.APIStatusError):
        return "no connection"
    busy = "the gateway is busy" if error.status_code in (429, 503) else f"the gateway failed: {error.status_code}"
    return f"{busy}, Retry-After" if asked else busy
