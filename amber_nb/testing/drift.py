"""Compare fresh replies with recorded ones, one by one and over several runs.

    exact        text, refusal, finish reason and tool calls are equal
    json         the text is the same JSON value, and the tool calls match
    tools        the same tools are called with the same arguments, in any order
    similar:0.8  the words of the text are similar enough (see `similarity`), and the tool calls match
    ignore       anything will do, as long as it is a reply

A reply that is cut (`length`, `content_filter`) or refused where the recorded one was not has drifted, whatever is
compared, in whatever words its gateway says so; only `ignore` lets that pass. JSON is compared as values: the order of
keys, the spelling of numbers, a code fence and a sentence before or behind it do not matter.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import floor
from typing import TypeAlias

from ..display.escape import shorten
from ..types import finish_kind
from .json_values import diff_json, find_json, format_json, parse_json
from .similarity import similarity

__all__ = [
    "Call",
    "Comparator",
    "Comparison",
    "ReplySummary",
    "Row",
    "Verdict",
    "call_key",
    "compare",
    "default_comparator",
    "diff_json",
    "format_json",
    "format_score",
    "judge",
    "parse_comparator",
    "parse_json",
    "parse_tags",
    "similarity",
]

Call: TypeAlias = tuple[str, str]  # a tool's name and its arguments as JSON text

KINDS = ("exact", "json", "tools", "similar", "ignore")
_THRESHOLD = 0.8  # of `similar`, where none is given
_CUT = ("length", "content_filter", "error", "cut")  # kinds of finish reasons
_HTTP_STATUS = re.compile(r"(?:code|status|HTTP)\W{0,3}([45]\d\d)\b", re.IGNORECASE)
_WORST_FIRST = ("failed", "drifted", "same")
_AGREEMENTS = {"exact": "Equal", "json": "Same JSON", "tools": "Same tools, same arguments", "similar": "Same"}


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
        kind: of `KINDS`.
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
        why: the reason of the worst run, which has the index `worst`.
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
        cell: number of the code cell, from 1; None where nobody knows.
        call: number of the exchange within the cell, from 1.
        prompt: beginning of the last user message, or what an MCP server was asked.
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
        wanted = f"a number above 0 and at most 1, as in similar:{_THRESHOLD}"
        raise ValueError(f"{text!r}: the similarity wanted is {wanted}")
    return Comparator(kind, threshold)


def parse_tags(tags: Iterable[str]) -> str | None:
    """Find the comparator among a cell's tags: `amber-exact`, `amber-similar:0.8` …, or `amber:exact`.

    Raises:
        ValueError: there are two of them, or one that does not exist.
    """
    ours = [tag for tag in tags if tag.startswith(("amber-", "amber:"))]
    if len(ours) > 1:
        raise ValueError(f"one comparison a cell, not {len(ours)}: {', '.join(ours)}")
    try:
        return str(parse_comparator(ours[0][len("amber-") :])) if ours else None
    except ValueError as problem:
        raise ValueError(f"the tag {ours[0]!r}: {problem}") from None


def default_comparator(recorded: ReplySummary | None) -> Comparator:
    """Choose a comparator by what was recorded, for cells whose tags name none."""
    if recorded is not None and recorded.tool_calls:
        return Comparator("tools", _THRESHOLD)
    with contextlib.suppress(ValueError):
        if recorded is not None and isinstance(find_json(recorded.text), (dict, list)):
            return Comparator("json")
    return Comparator("similar", _THRESHOLD)


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
    if why := next(filter(None, _differences(recorded, fresh, how, score)), ""):
        return Comparison("drifted", shorten(why, 240), score)
    if how.threshold is None or score is None:
        why = _AGREEMENTS[how.kind]
    elif how.kind == "similar":
        why = f"Similarity {format_score(score)}"
    else:
        why = "Same tools, same arguments, similar text"
    return Comparison("same", why, score)


def judge(
    recorded: ReplySummary | None,
    runs: Sequence[ReplySummary],
    how: Comparator,
    compare: Callable[[ReplySummary, ReplySummary, Comparator], Comparison] = compare,
) -> Verdict:
    """Judge the runs of one exchange.

    Args:
        recorded: None for an exchange that was never recorded.
        runs: the fresh replies, one for each run; empty for an exchange that was not asked again.
        how: see `parse_comparator` and `default_comparator`.
        compare: compares a fresh reply with the recorded one.
    """
    status = "same" if how.kind == "ignore" else "drifted"
    if not runs:
        return Verdict(status=status, label=status, why="Recorded, but not asked this time")
    if recorded is not None:
        comparisons = tuple(compare(recorded, run, how) for run in runs)
    else:
        new = Comparison(status, "Asked now, but never recorded", None)
        comparisons = tuple(
            Comparison("failed", shorten(run.error, 160), None) if run.error is not None else new for run in runs
        )
    n = len(comparisons)
    same, failed = (sum(comparison.status == status for comparison in comparisons) for status in ("same", "failed"))
    worst = min(range(n), key=lambda run: _badness(comparisons[run]))
    why = comparisons[worst].why
    if failed:
        status = label = "failed"
        if n > 1 and recorded is not None:
            why = f"{why} ({failed} of {n} runs failed, {same} the same)"
    elif 0 < same < n:
        status, label = "flaky", f"flaky {same}/{n}"
    else:
        status = label = "same" if same else "drifted"
    return Verdict(status=status, label=label, why=why, comparisons=comparisons, worst=worst)


def _badness(comparison: Comparison) -> tuple[int, float]:
    return _WORST_FIRST.index(comparison.status), 1.0 if comparison.similarity is None else comparison.similarity


def _error_kind(error: str) -> tuple[str, str]:
    """Return the error's name and HTTP status: what its message says beyond them changes from day to day."""
    status = _HTTP_STATUS.search(error[:200])
    return error.partition(":")[0].strip(), status[1] if status else ""


def _differences(recorded: ReplySummary, fresh: ReplySummary, how: Comparator, score: float | None) -> Iterator[str]:
    """Yield why the replies differ, the weightiest reason first; an empty text is none."""
    was, now = finish_kind(recorded.finish_reason), finish_kind(fresh.finish_reason)  # each gateway spells them its way
    if now in _CUT and now != was:
        yield f"Cut off now: finish_reason {shorten(str(fresh.finish_reason), 40)}, recorded {recorded.finish_reason}"
    if fresh.refusal and not recorded.refusal:
        yield f"Refuses now: {shorten(fresh.refusal, 120)}"
    if recorded.refusal and not fresh.refusal:
        yield "Refused when recorded, answers now"
    if how.kind == "exact":
        if recorded.text != fresh.text:
            yield f"The text differs (similarity {format_score(score)})"
        if recorded.refusal != fresh.refusal:
            yield "The refusal is worded differently"
        if was != now:
            yield f"finish_reason is {shorten(str(fresh.finish_reason), 40)}, recorded {recorded.finish_reason}"
    yield _join_first_two(_diff_calls(recorded.tool_calls, fresh.tool_calls))
    if how.kind == "json" and recorded.text.strip() != fresh.text.strip():
        values = []
        for reply, name in ((recorded, "The recorded text"), (fresh, "The text")):
            try:
                values.append(find_json(reply.text))
            except ValueError:
                yield f"{name} is not JSON"
                return
        yield _join_first_two(diff_json(*values))
    # Beside calls a model says something or nothing, as it likes: only what was recorded is expected again.
    expected = how.kind == "similar" or recorded.text.strip()
    if expected and score is not None and how.threshold is not None and score < how.threshold:
        yield f"Similarity {format_score(score)}, wanted {how.threshold:g}"


def _join_first_two(differences: Iterable[str]) -> str:
    first = list(islice(differences, 3))
    return "; ".join(first[:2]) + (" …" if len(first) > 2 else "")


def format_score(score: float | None) -> str:
    """Return a similarity with two digits, which are never rounded up to the threshold."""
    return "none" if score is None else f"{floor(score * 100) / 100:.2f}"


# --- tool calls


def call_key(call: Call) -> tuple[str, bool, str]:
    """Return a call's name, whether its arguments are JSON, and them as canonical JSON, or else as they came."""
    name, arguments = call
    try:
        return name, True, json.dumps(parse_json(arguments.strip() or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return name, False, arguments


def _diff_calls(old: Sequence[Call], new: Sequence[Call]) -> Iterator[str]:
    """Yield the differences between two sets of tool calls, whatever their order."""
    old_keys, new_keys = Counter(map(call_key, old)), Counter(map(call_key, new))
    added = list((new_keys - old_keys).elements())
    for name, is_json, arguments in (old_keys - new_keys).elements():
        index = next((index for index, key in enumerate(added) if key[0] == name), None)
        if index is None:
            yield f"{shorten(name, 60)} is not called any more"
            continue
        _, also_json, new_arguments = added.pop(index)
        if is_json and also_json:
            where = ", ".join(islice(diff_json(json.loads(arguments), json.loads(new_arguments)), 2))
            yield f"{shorten(name, 60)} is called with {where}"
        else:
            yield f"{shorten(name, 60)} is called with arguments that are not JSON"
    for name, _, _ in added:
        yield f"{shorten(name, 60)} is called, too"
