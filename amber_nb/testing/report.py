"""Write the report of a drift run: one HTML file that needs nothing but itself, and its JSON twin for CI.

The JSON, version 1; keys sorted, rows by notebook, cell and call:

    {"version": 1, "title": "…", "made": "…",
     "summary": {"same": 8, "drifted": 1, "flaky": 1, "failed": 0, "total": 10},
     "rows": [{"notebook": "a.ipynb", "cell": 3 or null, "call": 1, "prompt": "…", "how": "similar:0.8",
               "status": "same | drifted | flaky | failed", "label": "flaky 2/3", "why": "…",
               "similarity": [0.91, null], "outcomes": [{"status": "…", "why": "…", "similarity": 0.91}],
               "recorded": reply or null, "runs": [reply, …]}]}

A reply has the fields of `ReplySummary`, a call being `[name, arguments]`. Numbers that are not finite are null, lone
surrogates U+FFFD.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import groupby
from math import isfinite
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rapidfuzz.distance import LCSseq

from ..display.answer_html import answer_html
from ..display.escape import escape_code, shorten
from ..files import replace_files
from ..types import replace_surrogates
from .drift import Call, ReplySummary, Row, call_key, format_json, format_score

__all__ = [
    "STYLE",
    "VERSION",
    "Line",
    "Piece",
    "common_pairs",
    "diff_texts",
    "format_change",
    "format_seconds",
    "render_html",
    "render_json",
    "write_report",
]

Piece: TypeAlias = tuple[bool, str]  # (changed, text)

VERSION = 1
STYLE = files(__package__).joinpath("drift.css").read_text(encoding="utf-8")
SIGNS = {"same": "✓", "drifted": "≠", "flaky": "≈", "failed": "✕"}  # a status is never told by colour alone
_MAX_HTML = 30_000_000  # characters; rows beyond it show their line only
_MAX_RENDERED = 60_000  # bytes of HTML for one rendered answer
_MAX_RUNS = 12  # columns of facts
_MAX_SORTED = 500_000  # characters of JSON whose keys are sorted
_MAX_ONE_SIDE = 12_000  # characters of a text that has no counterpart
_LINE_END = re.compile(r"\r\n|\r|\n")
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
_SIGN = re.compile(r"\w+|[^\w\s]")
_CONTEXT = 3  # equal lines kept around a change
_MAX_LINES = 5_000  # of a text; more could not be read
_MAX_TOKENS = 4_000  # of a line whose words are compared
_MAX_PAIRS = 2_500  # lines against lines when a changed block is paired by likeness
_MIN_LIKENESS = 0.3  # lines less alike stand alone
_KEPT = 160  # characters of agreement kept at either end of a long stretch within a line


def render_html(rows: Iterable[Row], *, title: str, subtitle: str) -> str:
    """Render the report as a page, whatever the order of the rows.

    Example:
        >>> page = render_html(rows, title="Drift", subtitle="24 November 2026")  # doctest: +SKIP
    """
    ordered = _sort(rows)
    numbered = list(enumerate(ordered, 1))
    sections = []
    for notebook, group in groupby(numbered, key=lambda pair: pair[1].notebook):
        pairs = list(group)
        sections.append({"notebook": notebook, "counts": _count_statuses(row for _, row in pairs), "rows": pairs})
    page = _TEMPLATE.render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        total=len(ordered),
        counts=_count_statuses(ordered),
        token_totals=_sum_both(ordered, "completion_tokens"),
        second_totals=_sum_both(ordered, "total_s"),
        first=next((number for number, row in numbered if row.verdict.status != "same"), None),
        max_html=_MAX_HTML,
    )
    return replace_surrogates(page)


def render_json(rows: Iterable[Row], *, title: str, subtitle: str) -> str:
    """Render the report as JSON; this module's docstring has the schema."""
    ordered = _sort(rows)
    report = {
        "version": VERSION,
        "title": title,
        "made": subtitle,
        "summary": {**_count_statuses(ordered), "total": len(ordered)},
        "rows": [_row_fields(row) for row in ordered],
    }
    text = json.dumps(_round(report), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return replace_surrogates(text) + "\n"


def write_report(path: str | os.PathLike[str], rows: Iterable[Row], *, title: str, subtitle: str) -> tuple[Path, Path]:
    """Write the page at `path` and its JSON twin beside it, both or neither; return their paths.

    Raises:
        ValueError: `path` ends in .json, which is the twin's name.
        OSError: a file cannot be written; both are as they were.
    """
    page = Path(path)
    twin = page.with_suffix(".json")
    if twin == page:
        raise ValueError(f"{page}: the report is HTML, such as {page.stem}.html; its JSON twin gets this name")
    rows = list(rows)
    json_text, html = (render(rows, title=title, subtitle=subtitle) for render in (render_json, render_html))
    replace_files({twin: json_text.encode(), page: html.encode()})
    return page, twin


def _sort(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.notebook, row.cell is None, row.cell or 0, row.call))


def _count_statuses(rows: Iterable[Row]) -> dict[str, int]:
    counts = Counter(row.verdict.status for row in rows)
    return {status: counts[status] for status in SIGNS}


def _row_fields(row: Row) -> dict[str, Any]:
    fields = asdict(row)
    verdict = fields.pop("verdict")
    outcomes = verdict.pop("comparisons")
    del verdict["worst"]
    return {**fields, **verdict, "outcomes": outcomes, "similarity": row.verdict.similarity}


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_round(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if isfinite(value) else None
    return value


# --- numbers


def format_change(old: float | None, new: float | None) -> str:
    """Return the change in per cent, or "" where there is none to speak of."""
    if not old or new is None:
        return ""
    percent = round(100 * (new - old) / old)
    return f"{'+' if percent > 0 else '−'}{abs(percent):,}\u00a0%" if percent else "±0\u00a0%"


def format_seconds(value: float) -> str:
    """Return a time that a reader can compare: 340 ms, 1.2 s, 140 s."""
    if value < 0.9995:
        return f"{value * 1000:.0f}\u00a0ms"
    return f"{value:.1f}\u00a0s" if value < 99.95 else f"{value:,.0f}\u00a0s"


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _mean(replies: Iterable[ReplySummary | None], name: str) -> float | None:
    """Return the mean of a field where it is known; None where it is not."""
    values = [value for reply in replies if reply and (value := _finite(getattr(reply, name))) is not None]
    return sum(values) / len(values) if values else None


def _sum_both(rows: Sequence[Row], name: str) -> tuple[float, float] | None:
    """Add up a field, recorded and fresh, of the rows that have both; runs that failed do not count."""
    both = [(_mean([row.recorded], name), _mean((run for run in row.runs if run.error is None), name)) for row in rows]
    pairs = [(old, new) for old, new in both if old is not None and new is not None]
    return (sum(old for old, _ in pairs), sum(new for _, new in pairs)) if pairs else None


# --- what a row unfolds


def _diffs(row: Row, fresh: ReplySummary | None) -> list[tuple[str, str | None, str | None]]:
    """Return the heading and both texts of each part of the replies that either of them has."""
    old, new = (_texts(reply, row.how == "json") for reply in (row.recorded, fresh))
    parts = [(heading, old.get(heading), new.get(heading)) for heading in old or new]
    return [part for part in parts if part[1] or part[2]]


def _texts(reply: ReplySummary | None, as_json: bool) -> dict[str, str]:
    """Return the parts of a reply by their heading; calls as a program would write them, whatever their order."""
    if reply is None:
        return {}
    text = format_json(reply.text) if as_json and len(reply.text) < _MAX_SORTED else reply.text
    calls = sorted(reply.tool_calls, key=call_key)
    return {
        "Text as JSON, keys sorted" if as_json else "Text": text,
        "Tool calls": "\n".join(f"{name}({format_json(arguments)})" for name, arguments in calls),
        "Refusal": reply.refusal or "",
        "Error": reply.error or "",
    }


def _lines(old: str | None, new: str | None) -> list[Line]:
    if old is not None and new is not None:
        return diff_texts(old, new)
    text = old or new or ""  # one side only: nothing to mark
    pieces = [((False, line),) for line in text[:_MAX_ONE_SIDE].splitlines()]
    lines = [Line(" ", piece if new is None else (), piece if old is None else ()) for piece in pieces]
    if len(text) > _MAX_ONE_SIDE:
        lines.append(Line("…", ((False, "the rest is not shown here"),)))
    return lines


def _answers(row: Row, fresh: ReplySummary | None, name: str) -> list[tuple[str, Markup]]:
    """Return the heading and the HTML of both answers, or of one where they are equal."""
    replies = [(title, reply) for title, reply in (("Recorded", row.recorded), (name, fresh)) if reply is not None]
    answers = [(title, _answer(reply.text, reply.refusal, reply.tool_calls, reply.error)) for title, reply in replies]
    if len(answers) == 2 and answers[0][1] == answers[1][1]:
        return [(f"Recorded and {name[0].lower()}{name[1:]}", answers[0][1])]
    return answers


@lru_cache(maxsize=64)
def _answer(text: str, refusal: str | None, calls: tuple[Call, ...], error: str | None) -> Markup:
    return Markup(answer_html(text, refusal=refusal, tool_calls=calls, notice=error, max_bytes=_MAX_RENDERED))


# --- texts side by side


@dataclass(frozen=True, slots=True)
class Line:
    """One row of two texts side by side.

    Attributes:
        sign: `" "` equal, `"~"` changed, `"-"` in the old text only, `"+"` in the new one only, `"…"` left out.
        old: the old line; what was left out, where `sign` is `"…"`.
        new: the new line.
    """

    sign: str
    old: tuple[Piece, ...] = ()
    new: tuple[Piece, ...] = ()


def diff_texts(old: str, new: str, *, max_chars: int = 24_000) -> list[Line]:
    """Align two texts line by line, mark changed words, and leave long agreement out.

    Of both sides together `max_chars` are shown; a last row says that the rest is left out.
    """
    a, b = (_LINE_END.split(text) if text else [] for text in (old, new))
    lines: list[Line] = []
    spent = 0
    for line in _fold_equal(list(_align(a[:_MAX_LINES], b[:_MAX_LINES]))):
        room = max_chars - spent
        if room <= 0:
            lines.append(Line("…", ((False, "the rest is not shown here"),)))
            return lines
        line = Line(line.sign, _cut(line.old, room // 2 + 1), _cut(line.new, room // 2 + 1))
        spent += sum(len(text) + 40 for _, text in line.old + line.new) + 40  # each piece and line is markup, too
        lines.append(line)
    if max(len(a), len(b)) > _MAX_LINES:
        lines.append(Line("…", ((False, f"lines from {_MAX_LINES + 1:,} on are not compared"),)))
    return lines


def common_pairs(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the indices `(i, j)` of a longest common subsequence, ascending: `a[i] == b[j]`."""
    blocks = LCSseq.opcodes(a, b).as_matching_blocks()
    return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]


def _align(a: Sequence[str], b: Sequence[str]) -> Iterator[Line]:
    i = j = 0
    for x, y in [*common_pairs(a, b), (len(a), len(b))]:
        yield from _align_changed(a[i:x], b[j:y])
        if x < len(a):
            yield Line(" ", ((False, a[x]),), ((False, b[y]),))
        i, j = x + 1, y + 1


def _align_changed(a: Sequence[str], b: Sequence[str]) -> Iterator[Line]:
    """Put lines of a changed block next to each other where they are alike, the others alone."""
    i = j = 0
    for x, y in [*_pair_by_likeness(a, b), (len(a), len(b))]:
        yield from (Line("-", old=((True, line),)) for line in a[i:x])
        yield from (Line("+", new=((True, line),)) for line in b[j:y])
        if x < len(a):
            yield Line("~", *_mark_words(a[x], b[y]))
        i, j = x + 1, y + 1


def _pair_by_likeness(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of lines, ascending, whose likeness adds up to the most."""
    if not a or not b:
        return []
    if len(a) * len(b) > _MAX_PAIRS:
        return [(k, k) for k in range(min(len(a), len(b)))]
    old_words, new_words = ([Counter(_SIGN.findall(line[:2_000])) for line in side] for side in (a, b))
    like = [[_likeness(x, y) for y in new_words] for x in old_words]
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            paired = like[i][j] + best[i + 1][j + 1] if like[i][j] >= _MIN_LIKENESS else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if like[i][j] >= _MIN_LIKENESS and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _likeness(a: Counter[str], b: Counter[str]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 1.0


def _mark_words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    if max(len(a), len(b)) > _MAX_TOKENS:
        return ((True, old),), ((True, new),)
    same_old, same_new = [False] * len(a), [False] * len(b)
    blocks = [block for block in LCSseq.opcodes(a, b).as_matching_blocks() if block.size]
    for block in blocks:
        old_range, new_range = (slice(start, start + block.size) for start in (block.a, block.b))
        at_end = block.a == block.b == 0 or block is blocks[-1]
        if at_end or any(token.isalnum() for token in a[old_range]):  # a space between two changes is changed, too
            same_old[old_range] = same_new[new_range] = [True] * block.size
    return _join_tokens(a, same_old), _join_tokens(b, same_new)


def _join_tokens(tokens: Sequence[str], same: Sequence[bool]) -> tuple[Piece, ...]:
    runs = groupby(zip(tokens, same, strict=True), key=itemgetter(1))
    return tuple((not equal, "".join(token for token, _ in run)) for equal, run in runs)


def _fold_equal(lines: list[Line]) -> Iterator[Line]:
    """Leave out long stretches of equal lines, and of equal text within a changed line."""
    changed = [k for k, line in enumerate(lines) if line.sign != " "]
    near = {k for at in changed for k in range(at - _CONTEXT, at + _CONTEXT + 1)}
    for is_near, group in groupby(range(len(lines)), key=near.__contains__):
        stretch = [lines[k] for k in group]
        if not is_near and len(stretch) > _CONTEXT:
            yield Line("…", ((False, f"{len(stretch):,} equal lines"),))
        else:
            yield from (Line(line.sign, _elide(line.old), _elide(line.new)) for line in stretch)


def _elide(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    if len(pieces) < 2:
        return pieces
    return tuple(
        (changed, text)
        if changed or len(text) <= 3 * _KEPT
        else (changed, f"{text[:_KEPT]} […{len(text) - 2 * _KEPT:,} equal characters…] {text[-_KEPT:]}")
        for changed, text in pieces
    )


def _cut(pieces: tuple[Piece, ...], room: int) -> tuple[Piece, ...]:
    """Keep as many pieces as there is room for, in characters."""
    kept: list[Piece] = []
    for changed, text in pieces:
        if len(text) > room:
            kept.append((changed, f"{text[:room]} […{len(text) - room:,} more characters]"))
            break
        kept.append((changed, text))
        room -= len(text) + 40
        if room <= 0 and len(kept) < len(pieces):
            kept.append((False, " […]"))
            break
    return tuple(kept)


# --- the template


def _escape(value: Any) -> Any:
    """Escape each value that the template writes, but for HTML of our own: controls become visible signs."""
    return value if isinstance(value, Markup) else Markup(escape_code(str(value)))


_TEMPLATE = Environment(
    loader=PackageLoader(__package__, "."),
    autoescape=True,
    finalize=_escape,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template(
    "drift.html.j2",
    globals={
        "answers": _answers,
        "change": format_change,
        "count": "{:,.0f}".format,
        "diffs": _diffs,
        "finite": _finite,
        "lines": _lines,
        "max_runs": _MAX_RUNS,
        "mean": _mean,
        "score": format_score,
        "seconds": format_seconds,
        "shorten": shorten,
        "signs": SIGNS,
        "style": Markup(STYLE),
    },
)
