"""Whether a model still says what was recorded: one reply against another, and several runs of it judged together.

    exact        text, refusal, finish reason and tool calls are equal
    json         the text is the same JSON value, and the tool calls match
    tools        the same tools are called with the same arguments, in any order
    similar:0.8  the words of the text are similar enough (see `similarity`), and the tool calls match
    ignore       anything will do, as long as it is a reply

A reply that is cut (`length`, `content_filter`) or refused where the recorded one was not has drifted, whatever is
compared; only `ignore` lets that pass.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import floor

from ..display.escape import shorten
from .jsonvalues import Call, call_differences, differences, json_value
from .similarity import similarity

__all__ = ["Comparator", "Outcome", "Said", "Verdict", "comparator", "compare", "default_for", "from_tags", "judge"]

THRESHOLD = 0.8  # of `similar`, where none is given
KINDS = ("exact", "json", "tools", "similar", "ignore")
_CUT = ("length", "content_filter")
_STATUS = re.compile(r"(?:code|status|HTTP)\W{0,3}([45]\d\d)\b", re.IGNORECASE)
_WORST_FIRST = ("failed", "drifted", "same")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One reply. Times in seconds since the request was sent."""

    text: str
    tool_calls: tuple[Call, ...] = ()
    refusal: str | None = None
    finish_reason: str | None = None
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_s: float | None = None
    total_s: float | None = None
    error: str | None = None  # "KindOfError: message", what came instead of a reply; `text` is then the text so far


@dataclass(frozen=True, slots=True)
class Comparator:
    """A way to compare; as text what a reader wrote, such as `similar:0.8`."""

    kind: str  # one of KINDS
    threshold: float | None = None  # of the text, in (0, 1]; `tools` without one lets any text pass

    def __str__(self) -> str:
        if self.threshold is None:
            return self.kind
        return f"{'' if self.kind == 'similar' else self.kind + '+'}similar:{self.threshold:g}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comparing one run with the recorded reply gave."""

    status: str  # same, drifted, failed
    why: str
    similarity: float | None  # of the texts, 0 to 1; None where neither has one


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What several runs gave together."""

    status: str  # same, drifted, flaky, failed
    label: str  # the status, with its numbers where it has some: "flaky 2/3", two of three runs were the same
    why: str  # of the worst run
    similarity: tuple[float | None, ...] = ()  # run by run
    outcomes: tuple[Outcome, ...] = ()  # run by run
    worst: int | None = None  # index of the worst run


def comparator(text: str) -> Comparator:
    """Read a comparator as it stands in a tag or an argument.

    Raises:
        ValueError: It is none; the message says which there are.

    Example:
        >>> comparator("similar:0.9")
        Comparator(kind='similar', threshold=0.9)
    """
    kind, colon, number = text.strip().partition(":")
    if kind not in KINDS or (colon and kind != "similar"):
        raise ValueError(f"{text!r} is no comparison: choose exact, json, tools, similar:{THRESHOLD} or ignore")
    if kind != "similar":
        return Comparator(kind)
    try:
        threshold = float(number) if colon else THRESHOLD
    except ValueError:
        threshold = 0
    if not 0 < threshold <= 1:
        raise ValueError(
            f"{text!r}: the similarity wanted is a number above 0 and at most 1, as in similar:{THRESHOLD}"
        )
    return Comparator(kind, threshold)


def from_tags(tags: Iterable[str]) -> str | None:
    """The comparator among a cell's tags (`amber-exact`, `amber-similar:0.8` …; `amber:exact` is read as well).

    Raises:
        ValueError: There are two of them, or one that does not exist.
    """
    ours = [tag for tag in tags if tag.startswith(("amber-", "amber:"))]
    if len(ours) > 1:
        raise ValueError(f"one comparison a cell, not {len(ours)}: {', '.join(ours)}")
    for tag in ours:
        try:
            return str(comparator(tag[len("amber-") :]))
        except ValueError as problem:
            raise ValueError(f"the tag {tag!r}: {problem}") from None
    return None


def default_for(recorded: Said | None) -> Comparator:
    """How a reply is compared where nobody has said how: by what it was."""
    if recorded is not None and recorded.tool_calls:
        return Comparator("tools", THRESHOLD)
    if recorded is not None and isinstance(_json(recorded.text), (dict, list)):
        return Comparator("json")
    return Comparator("similar", THRESHOLD)


def compare(recorded: Said, now: Said, how: Comparator) -> Outcome:
    """Compare one reply with the recorded one."""
    old, new = _body(recorded), _body(now)
    alike = similarity(old, new) if old or new else None
    if now.error is not None:
        if recorded.error is not None and _error_kind(recorded.error) == _error_kind(now.error):
            return Outcome("same", f"Fails as recorded: {shorten(now.error, 120)}", alike)
        return Outcome("failed", shorten(now.error, 160), alike)
    if how.kind == "ignore":
        return Outcome("same", "Not compared", alike)
    if recorded.error is not None:
        return Outcome("drifted", f"Answers now; recorded was {shorten(recorded.error, 120)}", alike)
    if why := _cut_or_refused(recorded, now) or _RULES[how.kind](recorded, now, how, alike):
        return Outcome("drifted", shorten(why, 240), alike)
    return Outcome("same", _agreement(how, alike), alike)


def judge(recorded: Said | None, runs: Sequence[Said], how: Comparator) -> Verdict:
    """Judge the runs of one exchange.

    Args:
        recorded: The recorded reply; None for an exchange that was never recorded.
        runs: What came this time, once or several times; empty for an exchange that was not asked again.
        how: How to compare, see `comparator` and `default_for`.
    """
    if recorded is None or not runs:
        return _one_sided(recorded, runs, how)
    outcomes = tuple(compare(recorded, run, how) for run in runs)
    same, failed, n = _count(outcomes, "same"), _count(outcomes, "failed"), len(outcomes)
    worst = min(range(n), key=lambda run: _badness(outcomes[run]))
    why = outcomes[worst].why
    if failed:
        status, label = "failed", "failed"
        why = f"{why} ({failed} of {n} runs failed, {same} the same)" if n > 1 else why
    elif 0 < same < n:
        status, label = "flaky", f"flaky {same}/{n}"
    else:
        status = label = "same" if same else "drifted"
    scores = tuple(outcome.similarity for outcome in outcomes)
    return Verdict(status=status, label=label, why=why, similarity=scores, outcomes=outcomes, worst=worst)


def _one_sided(recorded: Said | None, runs: Sequence[Said], how: Comparator) -> Verdict:
    failing = next((index for index, run in enumerate(runs) if run.error is not None), None)
    if failing is not None:
        status, why = "failed", shorten(runs[failing].error or "", 160)
    else:
        status = "same" if how.kind == "ignore" else "drifted"
        why = "Recorded, but not asked this time" if recorded else "Asked now, but never recorded"
        if not recorded and not runs:
            why = "Neither recorded nor asked"
    outcomes = tuple(
        Outcome("failed", shorten(run.error, 160), None) if run.error is not None else Outcome(status, why, None)
        for run in runs
    )
    worst = failing if failing is not None else (0 if runs else None)
    return Verdict(status=status, label=status, why=why, similarity=(None,) * len(runs), outcomes=outcomes, worst=worst)


def _count(outcomes: Iterable[Outcome], status: str) -> int:
    return sum(outcome.status == status for outcome in outcomes)


def _badness(outcome: Outcome) -> tuple[int, float]:
    return _WORST_FIRST.index(outcome.status), 1.0 if outcome.similarity is None else outcome.similarity


def _body(said: Said) -> str:
    return said.text or said.refusal or ""


def _json(text: str) -> object:
    try:
        return json_value(text)
    except ValueError:
        return None


def _error_kind(error: str) -> tuple[str, str]:
    """The error's name and its HTTP status: what its message says beyond them changes from day to day."""
    status = _STATUS.search(error[:200])
    return error.partition(":")[0].strip(), status[1] if status else ""


def _cut_or_refused(recorded: Said, now: Said) -> str:
    if now.finish_reason in _CUT and now.finish_reason != recorded.finish_reason:
        return f"Cut off now: finish_reason {now.finish_reason}, recorded {recorded.finish_reason}"
    if now.refusal and not recorded.refusal:
        return f"Refuses now: {shorten(now.refusal, 120)}"
    if recorded.refusal and not now.refusal:
        return "Refused when recorded, answers now"
    return ""


def _exact(recorded: Said, now: Said, how: Comparator, alike: float | None) -> str:
    if recorded.text != now.text:
        return f"The text differs (similarity {_score(alike)})"
    if recorded.refusal != now.refusal:
        return "The refusal is worded differently"
    if recorded.finish_reason != now.finish_reason:
        return f"finish_reason is {shorten(str(now.finish_reason), 40)}, recorded {recorded.finish_reason}"
    return _tools(recorded, now, Comparator("tools"), alike)


def _same_json(recorded: Said, now: Said, how: Comparator, alike: float | None) -> str:
    if why := _tools(recorded, now, Comparator("tools"), alike):
        return why
    if recorded.text.strip() == now.text.strip():
        return ""
    values = []
    for said, name in ((recorded, "The recorded text"), (now, "The text")):
        try:
            values.append(json_value(said.text))
        except ValueError:
            return f"{name} is not JSON"
    return _listed(differences(*values))


def _tools(recorded: Said, now: Said, how: Comparator, alike: float | None) -> str:
    if why := _listed(call_differences(recorded.tool_calls, now.tool_calls)):
        return why
    # Beside calls a model says something or nothing, as it likes: only what was recorded is expected again.
    return _similar(recorded, now, how, alike) if how.threshold is not None and recorded.text.strip() else ""


def _similar(recorded: Said, now: Said, how: Comparator, alike: float | None) -> str:
    if how.kind == "similar" and (why := _listed(call_differences(recorded.tool_calls, now.tool_calls))):
        return why
    if alike is not None and how.threshold is not None and alike < how.threshold:
        return f"Similarity {_score(alike)}, wanted {how.threshold:g}"
    return ""


_RULES = {"exact": _exact, "json": _same_json, "tools": _tools, "similar": _similar}


def _listed(found: Iterable[str]) -> str:
    """The first two of what was found, as a sentence."""
    first = list(islice(found, 3))
    more = " …" if len(first) > 2 else ""
    return "; ".join(first[:2]) + more


def _agreement(how: Comparator, alike: float | None) -> str:
    if how.threshold is not None and alike is not None:
        return f"Similarity {_score(alike)}" if how.kind == "similar" else "Same tools, same arguments, similar text"
    return {"exact": "Equal", "json": "Same JSON", "tools": "Same tools, same arguments"}.get(how.kind, "Same")


def _score(alike: float | None) -> str:
    return "none" if alike is None else f"{floor(alike * 100) / 100:.2f}"  # never rounded up to the threshold
