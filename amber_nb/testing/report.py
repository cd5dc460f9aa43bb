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
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib.resources import files
from itertools import count, groupby
from math import isfinite
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..display.escape import escape_code, shorten
from ..display.html import answer_html
from ..files import replace_files
from ..types import replace_surrogates
from .diff import Call, Line, call_key, diff_texts, format_json
from .drift import ReplySummary, Row

__all__ = ["STYLE", "VERSION", "Row", "format_change", "format_seconds", "render_html", "render_json", "write_report"]

VERSION = 1
STYLE = files(__package__).joinpath("drift.css").read_text(encoding="utf-8")
SIGNS = {"same": "✓", "drifted": "≠", "flaky": "≈", "failed": "✕"}  # a status is never told by colour alone
_MAX_HTML = 30_000_000  # characters; rows beyond it show their line only
_MAX_RENDERED = 60_000  # bytes of HTML for one rendered answer
_MAX_RUNS = 12  # columns of facts
_MAX_SORTED = 500_000  # characters of JSON whose keys are sorted
_MAX_ONE_SIDE = 12_000  # characters of a text that has no counterpart


def render_html(rows: Iterable[Row], *, title: str, subtitle: str) -> str:
    """Render the report as a page.

    Args:
        rows: the exchanges, in any order.
        title: the page's heading.
        subtitle: one line under it: when, with what, against which gateway.

    Example:
        >>> page = render_html(rows, title="Drift", subtitle="24 November 2026")  # doctest: +SKIP
    """
    ordered = _sort(rows)
    numbers = count(1)
    statuses = [row.verdict.status for row in ordered]
    sections = [
        {"notebook": notebook, "counts": _count_statuses(group), "rows": [(next(numbers), row) for row in group]}
        for notebook, group in ((name, list(group)) for name, group in groupby(ordered, key=lambda row: row.notebook))
    ]
    page = _TEMPLATE.render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        total=len(ordered),
        counts=_count_statuses(ordered),
        token_totals=_sum_both(ordered, "completion_tokens"),
        second_totals=_sum_both(ordered, "total_s"),
        first=next((number for number, status in enumerate(statuses, 1) if status != "same"), None),
        budget=_Budget(_MAX_HTML),
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
    """Write the page at `path` and its JSON twin beside it, both or neither.

    Returns:
        The paths of the page and of the JSON.

    Raises:
        ValueError: `path` ends in .json, which is the twin's name.
        OSError: a file cannot be written; both are as they were.
    """
    page = Path(path)
    twin = page.with_suffix(".json")
    if twin == page:
        raise ValueError(
            f"{page}: the report is HTML; its JSON twin gets this name when the report is {page.stem}.html"
        )
    rows = list(rows)
    texts = {
        twin: render_json(rows, title=title, subtitle=subtitle),
        page: render_html(rows, title=title, subtitle=subtitle),
    }
    replace_files({file: text.encode() for file, text in texts.items()})
    return page, twin


def _sort(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.notebook, row.cell is None, row.cell or 0, row.call))


def _count_statuses(rows: Iterable[Row]) -> dict[str, int]:
    counts = Counter(row.verdict.status for row in rows)
    return {status: counts[status] for status in SIGNS}


def _row_fields(row: Row) -> dict[str, Any]:
    verdict = row.verdict
    return {
        "notebook": row.notebook,
        "cell": row.cell,
        "call": row.call,
        "prompt": row.prompt,
        "how": row.how,
        "status": verdict.status,
        "label": verdict.label,
        "why": verdict.why,
        "similarity": verdict.similarity,
        "outcomes": [asdict(comparison) for comparison in verdict.comparisons],
        "recorded": asdict(row.recorded) if row.recorded else None,
        "runs": [asdict(run) for run in row.runs],
    }


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


def _format_count(value: float) -> str:
    return f"{value:,.0f}"


def _format_score(value: float) -> str:
    return f"{int(value * 100) / 100:.2f}"


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
    as_json = row.how == "json"

    def text(reply: ReplySummary) -> str:
        return format_json(reply.text) if as_json and len(reply.text) < _MAX_SORTED else reply.text

    parts: list[tuple[str, Callable[[ReplySummary], str]]] = [
        ("Text as JSON, keys sorted" if as_json else "Text", text),
        ("Tool calls", lambda reply: _format_calls(reply.tool_calls)),
        ("Refusal", lambda reply: reply.refusal or ""),
        ("Error", lambda reply: reply.error or ""),
    ]
    found = []
    for heading, take in parts:
        old, new = (None if reply is None else take(reply) for reply in (row.recorded, fresh))
        if old or new:
            found.append((heading, old, new))
    return found


def _format_calls(calls: Sequence[Call]) -> str:
    """Write the calls as a program would, in an order that does not depend on theirs."""
    return "\n".join(f"{name}({format_json(arguments)})" for name, arguments in sorted(calls, key=call_key))


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


# --- the template


class _Budget:
    """Counts the characters that rows may still take with all that they unfold."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, html: Markup) -> Markup:
        self.left -= len(html)
        return html


def _escape(value: Any) -> Any:
    """Escape each value that the template writes, but for HTML of our own: controls become visible signs."""
    return value if isinstance(value, Markup) else Markup(escape_code(str(value)))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        finalize=_escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "answers": _answers,
        "change": format_change,
        "count": _format_count,
        "diffs": _diffs,
        "fields": (
            ("prompt_tokens", _format_count),
            ("completion_tokens", _format_count),
            ("first_token_s", format_seconds),
            ("total_s", format_seconds),
        ),
        "finite": _finite,
        "lines": _lines,
        "max_runs": _MAX_RUNS,
        "mean": _mean,
        "score": _format_score,
        "seconds": format_seconds,
        "shorten": shorten,
        "signs": SIGNS,
        "style": Markup(STYLE),
    }
    return environment


_TEMPLATE = _environment().get_template("drift.html.j2")
