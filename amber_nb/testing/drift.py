"""Compare fresh replies with recorded ones, one by one and over several runs.

    exact        text, refusal, finish reason and tool calls are equal
    json         the text is the same JSON value, and the tool calls match
    tools        the same tools are called with the same arguments, in any order
    similar:0.8  the words of the text are similar enough (see `similarity`), and the tool calls match
    ignore       anything will do, as long as it is a reply

A reply that is cut (`length`, `content_filter`) or refused where the recorded one was not has drifted, whatever is
compared; only `ignore` lets that pass. JSON is compared as values: the order of keys, the spelling of numbers and a
code fence do not matter.
"""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from math import floor
from typing import Any, TypeAlias

from rapidfuzz.distance import LCSseq

from ..display.escape import shorten

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
_CUT = ("length", "content_filter")
_HTTP_STATUS = re.compile(r"(?:code|status|HTTP)\W{0,3}([45]\d\d)\b", re.IGNORECASE)
_WORST_FIRST = ("failed", "drifted", "same")
_AGREEMENTS = {"exact": "Equal", "json": "Same JSON", "tools": "Same tools, same arguments", "similar": "Same"}

_FENCED = re.compile(r"```[ \t]*(?:json[c5l]?)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[^\W\d]\w*")
_MISSING: Any = object()

# A number with its separators, a sign of a script that is written without spaces, or a word with its apostrophes.
_WORD = re.compile(
    r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
    r"|[^\W\d\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af](?:\w|['’](?=\w))*"
)
_MAX_STEPS = 50  # of a path, the innermost
_MAX_WORDS = 100_000  # a side; beyond it a text is compared by its beginning


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
        prompt: beginning of the last user message.
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
        if recorded is not None and isinstance(parse_json(recorded.text), (dict, list)):
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


def judge(recorded: ReplySummary | None, runs: Sequence[ReplySummary], how: Comparator) -> Verdict:
    """Judge the runs of one exchange.

    Args:
        recorded: None for an exchange that was never recorded.
        runs: the fresh replies, one for each run; empty for an exchange that was not asked again.
        how: see `parse_comparator` and `default_comparator`.
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
    if fresh.finish_reason in _CUT and fresh.finish_reason != recorded.finish_reason:
        yield f"Cut off now: finish_reason {fresh.finish_reason}, recorded {recorded.finish_reason}"
    if fresh.refusal and not recorded.refusal:
        yield f"Refuses now: {shorten(fresh.refusal, 120)}"
    if recorded.refusal and not fresh.refusal:
        yield "Refused when recorded, answers now"
    if how.kind == "exact":
        if recorded.text != fresh.text:
            yield f"The text differs (similarity {format_score(score)})"
        if recorded.refusal != fresh.refusal:
            yield "The refusal is worded differently"
        if recorded.finish_reason != fresh.finish_reason:
            yield f"finish_reason is {shorten(str(fresh.finish_reason), 40)}, recorded {recorded.finish_reason}"
    yield _join_first_two(_diff_calls(recorded.tool_calls, fresh.tool_calls))
    if how.kind == "json" and recorded.text.strip() != fresh.text.strip():
        values = []
        for reply, name in ((recorded, "The recorded text"), (fresh, "The text")):
            try:
                values.append(parse_json(reply.text))
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


# --- JSON values and tool calls


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, with or without a code fence.

    Numbers without a fraction become integers, so that 1 equals 1.0.

    Raises:
        ValueError: the text is not strict JSON (NaN and repeated keys are not), or is nested too deep.
    """
    bare = text.strip()
    if fenced := _FENCED.fullmatch(bare):
        bare = fenced[1]
    try:
        return json.loads(
            bare, parse_float=_parse_number, parse_constant=_reject_constant, object_pairs_hook=_unique_keys
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


def _parse_number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(value := dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return value


def format_json(text: str) -> str:
    """Indent a JSON text and sort its keys; return any other text unchanged."""
    try:
        return json.dumps(parse_json(text), indent=2, sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def call_key(call: Call) -> tuple[str, bool, str]:
    """Return a call's name, whether its arguments are JSON, and them as canonical JSON, or else as they came."""
    name, arguments = call
    try:
        return name, True, json.dumps(parse_json(arguments.strip() or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return name, False, arguments


def diff_json(old: Any, new: Any) -> Iterator[str]:
    """Yield each place where two JSON values differ, such as `$.items[2].price: 3 → 4`, in order."""
    stack: list[tuple[tuple[str, ...], Any, Any]] = [((), old, new)]
    while stack:
        path, a, b = stack.pop()
        outer = path[-_MAX_STEPS:]
        if isinstance(a, dict) and isinstance(b, dict):
            keys = sorted(a.keys() | b.keys(), reverse=True)
            stack += [((*outer, _key_step(key)), a.get(key, _MISSING), b.get(key, _MISSING)) for key in keys]
        elif isinstance(a, list) and isinstance(b, list):
            items = list(enumerate(zip_longest(a, b, fillvalue=_MISSING)))
            stack += [((*outer, f"[{index}]"), x, y) for index, (x, y) in reversed(items)]
        elif isinstance(a, bool) != isinstance(b, bool) or a != b:  # in Python True equals 1, in JSON it does not
            start = "$…" if len(path) > _MAX_STEPS else "$"
            where = shorten(start + "".join(outer), 80)
            yield f"{where}: {_format_value(a)} → {_format_value(b)}"


def _key_step(key: str) -> str:
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(shorten(key, 40), ensure_ascii=False)}]"


def _format_value(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    if isinstance(value, (dict, list)):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value):,}"
    return shorten(json.dumps(value, ensure_ascii=False), 40)


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


# --- similarity


def similarity(old: str, new: str) -> float:
    """Return the share of words that two texts have in the same order, from 0 to 1.

    This is the F-measure of ROUGE-L with equal weights, `2 · L / (m + n)`: `m` and `n` are the numbers of words, and
    `L` is the length of their longest common subsequence (Chin-Yew Lin, "ROUGE: A Package for Automatic Evaluation of
    Summaries", 2004). Case, punctuation and Markdown's signs do not count. One word of ten replaced gives 0.9; the
    halves of a text swapped 0.5; a paraphrase mostly 0.3 to 0.6.

    Example:
        >>> similarity("The answer is **42**.", "the answer is 43")
        0.75
    """
    a, b = _words(old)[:_MAX_WORDS], _words(new)[:_MAX_WORDS]
    if not a or not b:
        return float(a == b)
    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b))


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    return _WORD.findall(plain) or plain.split()
