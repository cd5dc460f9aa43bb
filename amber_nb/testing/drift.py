"""Compare fresh replies with recorded ones, one by one and over several runs.

    exact        text, refusal, finish reason and tool calls are equal
    json         the text is the same JSON value, and the tool calls match
    tools        the same tools are called with the same arguments, in any order
    similar:0.8  the words of the text are similar enough (see `diff.similarity`), and the tool calls match
    ignore       anything will do, as long as it is a reply

A reply that is cut (`length`, `content_filter`) or refused where the recorded one was not has drifted, whatever is
compared; only `ignore` lets that pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import floor

from ..display.escape import shorten
from .diff import Call, diff_calls, diff_json, parse_json, similarity

__all__ = [
    "Comparator",
    "Comparison",
    "ReplySummary",
    "Row",
    "Verdict",
    "compare",
    "default_comparator",
    "judge",
    "parse_comparator",
    "parse_tags",
]

KINDS = ("exact", "json", "tools", "similar", "ignore")
_THRESHOLD = 0.8  # of `similar`, where none is given
_CUT = ("length", "content_filter")
_HTTP_STATUS = re.compile(r"(?:code|status|HTTP)\W{0,3}([45]\d\d)\b", re.IGNORECASE)
_WORST_FIRST = ("failed", "drifted", "same")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySummary:
    """What is compared and reported of one reply; times in seconds since the request was sent.

    Attributes:
        text: the reply's text; the text so far where the reply broke off.
        tool_calls: name and arguments, as JSON text, of each.
        error: `"KindOfError: message"`, what came instead of a reply.
    """

    text: str
    tool_calls: tuple[Call, ...] = ()
    refusal: str | None = None
    finish_reason: str | None = None
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_s: float | None = None
    total_s: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Comparator:
    """A way to compare replies; `str()` writes it as users do, such as `similar:0.8`.

    Attributes:
        kind: exact, json, tools, similar or ignore.
        threshold: least similarity of the texts, above 0 and at most 1; `tools` without one lets any text pass.
    """

    kind: str
    threshold: float | None = None

    def __str__(self) -> str:
        if self.threshold is None:
            return self.kind
        return f"{'' if self.kind == 'similar' else self.kind + '+'}similar:{self.threshold:g}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One fresh reply compared with the recorded one.

    Attributes:
        status: same, drifted or failed.
        why: the reason, a sentence.
        similarity: of the texts, 0 to 1; None where neither reply has one.
    """

    status: str
    why: str
    similarity: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The comparisons of several runs, summed up.

    Attributes:
        status: same, drifted, flaky or failed.
        label: the status, with its numbers where it has some: in "flaky 2/3" two of three runs were the same.
        why: the reason of the worst run.
        comparisons: run by run.
        worst: index of the worst run.
    """

    status: str
    label: str
    why: str
    comparisons: tuple[Comparison, ...] = ()
    worst: int | None = None

    @property
    def similarity(self) -> tuple[float | None, ...]:
        """The similarity of each run's text, 0 to 1."""
        return tuple(comparison.similarity for comparison in self.comparisons)


@dataclass(slots=True, kw_only=True)
class Row:
    """One exchange of a drift report: the recorded reply, the fresh ones, and the verdict.

    Attributes:
        notebook: its path as a reader would write it, relative.
        cell: number of the code cell, from 1; None where nobody knows.
        call: number of the exchange within the cell, from 1.
        prompt: beginning of the last user message.
        how: the comparator, as text.
    """

    notebook: str
    cell: int | None
    call: int
    prompt: str
    how: str
    verdict: Verdict
    recorded: ReplySummary | None
    runs: tuple[ReplySummary, ...]


# --- which comparator


def parse_comparator(text: str) -> Comparator:
    """Parse a comparator as it stands in a tag or an argument.

    Raises:
        ValueError: there is no such comparator; the message says which there are.

    Example:
        >>> parse_comparator("similar:0.9")
        Comparator(kind='similar', threshold=0.9)
    """
    kind, colon, number = text.strip().partition(":")
    if kind not in KINDS or (colon and kind != "similar"):
        raise ValueError(f"{text!r} is no comparison: choose exact, json, tools, similar:{_THRESHOLD} or ignore")
    if kind != "similar":
        return Comparator(kind)
    try:
        threshold = float(number) if colon else _THRESHOLD
    except ValueError:
        threshold = 0
    if not 0 < threshold <= 1:
        raise ValueError(
            f"{text!r}: the similarity wanted is a number above 0 and at most 1, as in similar:{_THRESHOLD}"
        )
    return Comparator(kind, threshold)


def parse_tags(tags: Iterable[str]) -> str | None:
    """Find the comparator among a cell's tags: `amber-exact`, `amber-similar:0.8` …, or `amber:exact`.

    Returns:
        The comparator as text, or None where no tag names one.

    Raises:
        ValueError: there are two of them, or one that does not exist.
    """
    ours = [tag for tag in tags if tag.startswith(("amber-", "amber:"))]
    if len(ours) > 1:
        raise ValueError(f"one comparison a cell, not {len(ours)}: {', '.join(ours)}")
    for tag in ours:
        try:
            return str(parse_comparator(tag[len("amber-") :]))
        except ValueError as problem:
            raise ValueError(f"the tag {tag!r}: {problem}") from None
    return None


def default_comparator(recorded: ReplySummary | None) -> Comparator:
    """Choose a comparator by what was recorded, for cells whose tags name none."""
    if recorded is not None and recorded.tool_calls:
        return Comparator("tools", _THRESHOLD)
    if recorded is not None and _is_json_container(recorded.text):
        return Comparator("json")
    return Comparator("similar", _THRESHOLD)


def _is_json_container(text: str) -> bool:
    try:
        return isinstance(parse_json(text), (dict, list))
    except ValueError:
        return False


# --- comparing


def compare(recorded: ReplySummary, fresh: ReplySummary, how: Comparator) -> Comparison:
    """Compare a fresh reply with the recorded one."""
    old, new = (reply.text or reply.refusal or "" for reply in (recorded, fresh))
    score = similarity(old, new) if old or new else None
    if fresh.error is not None:
        if recorded.error is not None and _error_kind(recorded.error) == _error_kind(fresh.error):
            return Comparison("same", f"Fails as recorded: {shorten(fresh.error, 120)}", score)
        return Comparison("failed", shorten(fresh.error, 160), score)
    if how.kind == "ignore":
        return Comparison("same", "Not compared", score)
    if recorded.error is not None:
        return Comparison("drifted", f"Answers now; recorded was {shorten(recorded.error, 120)}", score)
    if why := _cut_or_refused(recorded, fresh) or _RULES[how.kind](recorded, fresh, how, score):
        return Comparison("drifted", shorten(why, 240), score)
    return Comparison("same", _agreement(how, score), score)


def judge(recorded: ReplySummary | None, runs: Sequence[ReplySummary], how: Comparator) -> Verdict:
    """Judge the runs of one exchange.

    Args:
        recorded: the recorded reply; None for an exchange that was never recorded.
        runs: the fresh replies, one for each run; empty for an exchange that was not asked again.
        how: see `parse_comparator` and `default_comparator`.
    """
    if recorded is None or not runs:
        return _judge_one_side(recorded, runs, how)
    comparisons = tuple(compare(recorded, run, how) for run in runs)
    n = len(comparisons)
    same, failed = (sum(comparison.status == status for comparison in comparisons) for status in ("same", "failed"))
    worst = min(range(n), key=lambda run: _badness(comparisons[run]))
    why = comparisons[worst].why
    if failed:
        status = label = "failed"
        why = f"{why} ({failed} of {n} runs failed, {same} the same)" if n > 1 else why
    elif 0 < same < n:
        status, label = "flaky", f"flaky {same}/{n}"
    else:
        status = label = "same" if same else "drifted"
    return Verdict(status=status, label=label, why=why, comparisons=comparisons, worst=worst)


def _judge_one_side(recorded: ReplySummary | None, runs: Sequence[ReplySummary], how: Comparator) -> Verdict:
    status = "same" if how.kind == "ignore" else "drifted"
    why = "Recorded, but not asked this time" if recorded else "Asked now, but never recorded"
    if not recorded and not runs:
        why = "Neither recorded nor asked"
    comparisons = tuple(
        Comparison("failed", shorten(run.error, 160), None) if run.error is not None else Comparison(status, why, None)
        for run in runs
    )
    worst = min(range(len(runs)), key=lambda run: _badness(comparisons[run]), default=None)
    if worst is not None:
        status, why = comparisons[worst].status, comparisons[worst].why
    return Verdict(status=status, label=status, why=why, comparisons=comparisons, worst=worst)


def _badness(comparison: Comparison) -> tuple[int, float]:
    return _WORST_FIRST.index(comparison.status), 1.0 if comparison.similarity is None else comparison.similarity


def _error_kind(error: str) -> tuple[str, str]:
    """Return the error's name and HTTP status: what its message says beyond them changes from day to day."""
    status = _HTTP_STATUS.search(error[:200])
    return error.partition(":")[0].strip(), status[1] if status else ""


def _cut_or_refused(recorded: ReplySummary, fresh: ReplySummary) -> str:
    if fresh.finish_reason in _CUT and fresh.finish_reason != recorded.finish_reason:
        return f"Cut off now: finish_reason {fresh.finish_reason}, recorded {recorded.finish_reason}"
    if fresh.refusal and not recorded.refusal:
        return f"Refuses now: {shorten(fresh.refusal, 120)}"
    if recorded.refusal and not fresh.refusal:
        return "Refused when recorded, answers now"
    return ""


# Each rule returns why the replies differ, or "".


def _differ_exactly(recorded: ReplySummary, fresh: ReplySummary, how: Comparator, score: float | None) -> str:
    if recorded.text != fresh.text:
        return f"The text differs (similarity {_format_score(score)})"
    if recorded.refusal != fresh.refusal:
        return "The refusal is worded differently"
    if recorded.finish_reason != fresh.finish_reason:
        return f"finish_reason is {shorten(str(fresh.finish_reason), 40)}, recorded {recorded.finish_reason}"
    return _join_first_two(diff_calls(recorded.tool_calls, fresh.tool_calls))


def _differ_as_json(recorded: ReplySummary, fresh: ReplySummary, how: Comparator, score: float | None) -> str:
    if why := _join_first_two(diff_calls(recorded.tool_calls, fresh.tool_calls)):
        return why
    if recorded.text.strip() == fresh.text.strip():
        return ""
    values = []
    for reply, name in ((recorded, "The recorded text"), (fresh, "The text")):
        try:
            values.append(parse_json(reply.text))
        except ValueError:
            return f"{name} is not JSON"
    return _join_first_two(diff_json(*values))


def _differ_in_tools(recorded: ReplySummary, fresh: ReplySummary, how: Comparator, score: float | None) -> str:
    if why := _join_first_two(diff_calls(recorded.tool_calls, fresh.tool_calls)):
        return why
    # Beside calls a model says something or nothing, as it likes: only what was recorded is expected again.
    expected = how.kind == "similar" or recorded.text.strip()
    if expected and score is not None and how.threshold is not None and score < how.threshold:
        return f"Similarity {_format_score(score)}, wanted {how.threshold:g}"
    return ""


_RULES = {"exact": _differ_exactly, "json": _differ_as_json, "tools": _differ_in_tools, "similar": _differ_in_tools}


def _join_first_two(differences: Iterable[str]) -> str:
    first = list(islice(differences, 3))
    return "; ".join(first[:2]) + (" …" if len(first) > 2 else "")


def _agreement(how: Comparator, score: float | None) -> str:
    if how.threshold is not None and score is not None:
        return (
            f"Similarity {_format_score(score)}"
            if how.kind == "similar"
            else "Same tools, same arguments, similar text"
        )
    return {"exact": "Equal", "json": "Same JSON", "tools": "Same tools, same arguments"}.get(how.kind, "Same")


def _format_score(score: float | None) -> str:
    return "none" if score is None else f"{floor(score * 100) / 100:.2f}"  # never rounded up to the threshold
