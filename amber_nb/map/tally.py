"""Count what a run has done, used and cost so far, and how fast it goes."""

from __future__ import annotations

from collections import Counter, deque
from decimal import Decimal
from typing import Any

from .. import clock
from ..prices import Cost
from ..types import read_cached_tokens, read_tokens
from ..wire.whole import WholeReply
from .results import Outcome

__all__ = ["FailureCount", "Tally"]

_NEWEST = 5
_MAX_REASONS = 50
_REASON_CHARS = 120  # by which failures are grouped
_LABELS = 3
_RATE_S = 10.0  # seconds over which the rate is taken
OTHER_REASONS = "other reasons"


class FailureCount:
    """How many rows failed for one reason, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.labels: list[str] = []


class Tally:
    """The numbers of one run; written on one thread, read on any.

    Args:
        rows: of the table.

    Attributes:
        ok: rows that have an answer.
        failed: rows that ended in an error.
        skipped: rows that are not asked about.
        from_ledger: rows whose answer was in the ledger; of `ok`.
        requests: that were sent, those that were tried again included.
        replies: that came.
        in_flight: rows that are being asked about.
        spent: money, of this run.
        longest_reply: tokens of the longest.
        cost_from_ledger: money, of the runs that stored rows of this one.
        unpriced: replies whose cost is unknown.
        unmeasured: replies that tell no usage.
        is_answered: whether any request was answered.
        failed_in_a_row: rows that failed since the last answer; of them, `unreached_in_a_row` had no connection, and
            `suspects_in_a_row` were refused in a way that may be meant for all rows.
        newest: label, text and whether it is an error, of the newest rows; the newest last.
        failures: by their reasons.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.ok = self.failed = self.skipped = self.from_ledger = 0
        self.requests = self.replies = self.in_flight = 0
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0
        self.spent = Decimal()
        self.unpriced = self.unmeasured = 0
        self.cost_from_ledger = 0.0
        self.longest_reply = 0
        self.cost: Cost | None = None
        self.is_answered = False
        self.failed_in_a_row = self.unreached_in_a_row = self.suspects_in_a_row = 0
        self.newest: deque[tuple[str, str, bool]] = deque(maxlen=_NEWEST)
        self.failures: dict[str, FailureCount] = {}
        self.began = clock.monotonic()
        self._followers: Counter[int] = Counter()  # of rows that are not settled
        self._asked = 0  # rows that were settled by a request
        self._times: deque[tuple[float, int]] = deque()

    @property
    def done(self) -> int:
        """How many rows are settled."""
        return self.ok + self.failed + self.skipped

    @property
    def spent_tokens(self) -> int:
        """The tokens of this run, of prompts and replies."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return clock.monotonic() - self.began

    def mean_reply_tokens(self, first: int) -> int:
        """Return the mean tokens of a reply, `first` before there is one."""
        return self.completion_tokens // self.replies if self.replies else first

    def count_request(self) -> None:
        """Count a request that goes out."""
        self.requests += 1

    def note_answer(self) -> None:
        """Take note that a request was answered."""
        self.is_answered = True
        self.failed_in_a_row = self.unreached_in_a_row = self.suspects_in_a_row = 0

    def count_reply(self, reply: WholeReply, cost: Cost | None) -> None:
        """Count a reply, its tokens and its cost, which may be unknown."""
        usage = reply.usage or {}
        prompt, completion, _ = read_tokens(usage)
        self.replies += 1
        self.unmeasured += prompt is None or completion is None
        self.prompt_tokens += prompt or 0
        self.completion_tokens += completion or 0
        self.longest_reply = max(self.longest_reply, completion or 0)
        self.cached_tokens += read_cached_tokens(usage) or 0
        if cost is None:
            self.unpriced += 1
        else:
            self.cost = cost
            self.spent += cost.amount

    def count_skipped(self) -> None:
        """Count a row that is not asked about."""
        self.skipped += 1

    def count_stored(self, row: int, outcome: Outcome) -> None:
        """Count a row whose answer was in the ledger."""
        self.from_ledger += 1
        self.cost_from_ledger += outcome.cost or 0.0
        self._count(row, outcome)

    def count_row(self, row: int, label: str, outcome: Outcome) -> None:
        """Count a row that is settled, and the rows that ask the same."""
        self._asked += 1
        text = outcome.error if outcome.error is not None else _text_of(outcome.value)
        self.newest.append((label, text[:200], outcome.error is not None))
        if outcome.error is not None:
            reason = outcome.error[:_REASON_CHARS]
            if reason not in self.failures and len(self.failures) >= _MAX_REASONS:
                reason = OTHER_REASONS
            failure = self.failures.setdefault(reason, FailureCount())
            failure.count += 1 + self._followers[row]
            if len(failure.labels) < _LABELS:
                failure.labels.append(label)
        self._count(row, outcome)
        now = clock.monotonic()
        if not self._times or now - self._times[-1][0] >= _RATE_S / 20:
            self._times.append((now, self._asked))
            while len(self._times) > 2 and now - self._times[1][0] > _RATE_S:
                self._times.popleft()

    def _count(self, row: int, outcome: Outcome) -> None:
        count = 1 + self._followers.pop(row, 0)
        if outcome.error is None:
            self.ok += count
        else:
            self.failed += count

    def count_follower(self, leader: int, is_ok: bool | None) -> None:
        """Count a row that asks the same as an earlier one.

        Args:
            leader: the earlier row.
            is_ok: whether that has an answer; None as long as it is not settled, and then the row counts with it.
        """
        if is_ok is None:
            self._followers[leader] += 1
        elif is_ok:
            self.ok += 1
        else:
            self.failed += 1

    def rows_per_s(self) -> float | None:
        """Return how many rows are asked a second, of late; None before it can be told."""
        first = self._times[0] if self._times else (self.began, 0)
        seconds = clock.monotonic() - first[0]
        rows = self._asked - first[1]
        return rows / seconds if rows and seconds > 0 else None

    def left_s(self) -> float | None:
        """Return how many seconds the rest will take at that rate, or None."""
        rate = self.rows_per_s()
        return (self.rows - self.done) / rate if rate else None

    def projected_cost(self) -> Decimal | None:
        """Return what the whole run will cost if the rest is like the rows so far, or None."""
        if self.cost is None or self.unpriced or not self._asked:
            return None
        return self.spent * (1 + Decimal(self.rows - self.done) / self._asked)


def _text_of(value: Any) -> str:
    """Return a value as a line for the reader; a model's own method may fail."""
    try:
        return str(value)
    except Exception as error:
        return f"({type(error).__name__} in its text)"
