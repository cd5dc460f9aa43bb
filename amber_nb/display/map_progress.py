"""What a run of `amber.map` looks like at one moment: its figures, and its static form as HTML and as text.

Labels, answers, errors and titles come from data, models and gateways: each is cut to one short line and escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..types import replace_surrogates
from .cards import QUIET_STYLE, SMALL_STYLE
from .escape import escape_text, shorten, show_controls

__all__ = [
    "RUNNING",
    "Failure",
    "MapProgress",
    "clean_line",
    "figures",
    "format_duration",
    "format_rate",
    "map_html",
    "map_text",
    "page_message",
    "running_html",
    "summary_line",
]

RUNNING = "still running when this was saved"

# Characters; with three bytes for each of them, and its elements, the HTML stays below 20 kB.
_TITLE_CHARS, _BADGE_CHARS, _COST_CHARS, _NOTE_CHARS = 80, 40, 48, 120
_LABEL_CHARS, _ANSWER_CHARS, _REASON_CHARS, _REMARK_CHARS = 32, 160, 200, 200
_MAX_NEWEST, _MAX_FAILURES, _MAX_LABELS, _MAX_REMARKS = 5, 6, 3, 4
_MAX_BYTES_PER_CHAR = 3  # a dollar takes 14: of a text full of them less is shown

_UNKNOWN = "–"
_NO_COST = "cost unknown"

_PILL_STYLE = (
    "display:inline-block;padding:0 .7em;border:1px solid rgba(128,128,128,.6);border-radius:1em;font-size:85%"
)
_HEAD_STYLE = "margin:0 0 .5em;overflow-wrap:break-word"
_TRACK_STYLE = "height:6px;margin:0 0 .6em;background-color:rgba(128,128,128,.3);overflow:hidden"
_SEGMENTS = (("#1976d2", "ok"), ("#c62828", "failed"), ("#8a8a8a", "skipped"))
_FIGURE_STYLE = "display:inline-block;vertical-align:top;min-width:6em;margin:0 24px .5em 0;line-height:1.4"
_SMALL = "font-size:85%;opacity:.75"
_LABEL_STYLE = "margin:.3em 0 .1em;font-size:85%;opacity:.75"
_ROW_STYLE = "margin:0 0 .1em;overflow-wrap:break-word;line-height:1.4"
_NAME_STYLE = "float:left;min-width:6em;margin:0 12px 0 0;opacity:.75"
_COUNT_STYLE = "float:left;min-width:3em;margin:0 12px 0 0;text-align:right"
_BESIDE_STYLE = "overflow:hidden"  # a column of its own

Figure = tuple[str, str, str]  # label, value, a smaller line below it or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Rows that failed for the same reason.

    Attributes:
        reason: in one line.
        count: of the rows.
        labels: of the first of them.
    """

    reason: str
    count: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapProgress:
    """One immutable picture of a run.

    Attributes:
        title: the model.
        badge: "simulated" or "replayed".
        rows: of the frame; of them `ok`, `failed`, `skipped` and `stopped`.
        from_ledger: rows that were not asked again; they are `ok`.
        requests: that were sent.
        in_flight: requests under way.
        elapsed_s: seconds since the run began.
        rows_per_s: of late; None: unknown.
        left_s: seconds until the end, if it goes on like this; None: unknown.
        prompt_tokens, completion_tokens: so far.
        cached_tokens: those of the prompts that the gateway has read from its cache.
        cost: such as "0.0123 USD (list price)"; None: unknown.
        projected_cost: the same for all rows.
        note: what goes on, such as "waiting 12 s (Retry-After)".
        newest: label, answer or error, and whether it is an error; the newest first.
        failures: the most frequent first.
        remarks: what the reader should know, such as that rows were in the ledger.
        end: None: it runs; "": all rows are done; else why it ended early.
        timed: False: the static form has no times and rates, so that the same run looks the same each time.
    """

    title: str
    badge: str | None = None
    rows: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    stopped: int = 0
    from_ledger: int = 0
    requests: int = 0
    in_flight: int = 0
    elapsed_s: float = 0.0
    rows_per_s: float | None = None
    left_s: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: str | None = None
    projected_cost: str | None = None
    note: str = ""
    newest: tuple[tuple[str, str, bool], ...] = ()
    failures: tuple[Failure, ...] = ()
    remarks: tuple[str, ...] = ()
    end: str | None = None
    timed: bool = True

    @property
    def done(self) -> int:
        """The rows that need nothing more."""
        return self.ok + self.failed + self.skipped


def clean_line(text: str, limit: int) -> str:
    """Return text as one line of at most `limit` characters, its control characters shown."""
    line = " ".join(replace_surrogates(text[: 4 * limit]).split())
    if len(text) > 4 * limit:  # what is left of many spaces may be short
        line = f"{line[: limit - 1]}…"
    return shorten(show_controls(line), limit)


def format_duration(seconds: float) -> str:
    """Return seconds as a reader says them: 0.8 s, 45 s, 3 min 12 s, 2 h 5 min, 3 d 4 h."""
    seconds = max(0.0, seconds) if math.isfinite(seconds) else 0.0
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, part, part_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part_size
            return f"{whole // size:,} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def _format_left(seconds: float) -> str:
    """Return the time left, in steps that a reader can follow."""
    if seconds < 60:
        return f"{max(1, math.ceil(seconds))} s"
    if seconds < 90 * 60:
        return f"{math.ceil(seconds / 60)} min"
    return format_duration(math.ceil(seconds / 300) * 300)


def format_rate(rows_per_s: float) -> str:
    """Return a rate in the unit that gives it digits: 1,204 rows/s, 3.4 rows/s, 24 rows/min, 12 rows/h."""
    for rate, unit in ((rows_per_s, "s"), (rows_per_s * 60, "min")):
        if rate >= 1:
            return f"{rate:,.0f} rows/{unit}" if rate >= 9.95 else f"{rate:.1f} rows/{unit}"
    return f"{rows_per_s * 3_600:,.0f} rows/h"


def _percent(progress: MapProgress) -> str:
    return f"{min(100, 100 * progress.done // progress.rows)} %" if progress.rows else ""


def _rows_of(progress: MapProgress) -> str:
    return f"{progress.done:,} of {progress.rows:,}"


def _cached(progress: MapProgress) -> str:
    if not (progress.cached_tokens and progress.prompt_tokens):
        return ""
    return f"{100 * progress.cached_tokens // progress.prompt_tokens} % of the input cached"


def _tokens(progress: MapProgress) -> int:
    return progress.prompt_tokens + progress.completion_tokens


def _cost(progress: MapProgress) -> str:
    """Return the cost so far; "" where nothing is known of tokens either."""
    if progress.cost is None:
        return _NO_COST if _tokens(progress) else ""
    return clean_line(progress.cost, _COST_CHARS)


def _split_cost(cost: str) -> tuple[str, str]:
    """Return "0.0123 USD" and "list price" of "0.0123 USD (list price)"; the second is "" where there is none."""
    match = re.fullmatch(r"([^()]+) \(([^()]+)\)", cost)
    return (match[1], match[2]) if match else (cost, "")


def _times_and_rates(progress: MapProgress) -> Iterator[Figure]:
    rate = _UNKNOWN if progress.rows_per_s is None else format_rate(progress.rows_per_s)
    if progress.end is not None:
        yield "Took", format_duration(progress.elapsed_s), "" if rate is _UNKNOWN else rate
        return
    yield "Speed", rate, f"{progress.in_flight:,} in flight" if progress.in_flight else ""
    yield "Time left", _UNKNOWN if progress.left_s is None else _format_left(progress.left_s), ""


def figures(progress: MapProgress, *, timed: bool = True) -> list[Figure]:
    """Return label, value and a smaller line of each figure; while a run goes on, always the same ones."""
    ledger = f"{progress.from_ledger:,} from the ledger" if progress.from_ledger else ""
    ledger = " · ".join(filter(None, [ledger, f"{progress.stopped:,} not asked" if progress.stopped else ""]))
    skipped = f"{progress.skipped:,} skipped" if progress.skipped else ""
    cost, basis = _split_cost(_cost(progress))
    projected = _split_cost(clean_line(progress.projected_cost or "", _COST_CHARS))[0] if progress.end is None else ""
    shown = [
        ("Rows", _rows_of(progress), ledger or (_percent(progress) if progress.end is None else "")),
        ("Failed", f"{progress.failed:,}", skipped),
        *(_times_and_rates(progress) if timed else ()),
        ("Tokens", f"{_tokens(progress):,}", _cached(progress)),
        (
            f"Cost ({basis})" if basis else "Cost",
            "unknown" if cost == _NO_COST else cost or _UNKNOWN,
            f"{projected} projected" if projected else "",
        ),
    ]
    if progress.end is not None:
        shown.insert(-2, ("Requests", f"{progress.requests:,}", ""))
    return shown


def summary_line(progress: MapProgress) -> str:
    """Return the run in one line, for a terminal: 12,340 of 100,000 rows · 82 rows/s · 18 min left · 3 failed."""
    parts = [f"{_rows_of(progress)} rows"]
    if progress.rows_per_s is not None:
        parts.append(format_rate(progress.rows_per_s))
    if progress.end is None and progress.left_s is not None:
        parts.append(f"{_format_left(progress.left_s)} left")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if cost := _cost(progress):
        parts.append(cost)
    if progress.end is None and progress.note:
        parts.append(clean_line(progress.note, _NOTE_CHARS))
    return " · ".join(parts)


def _outcome(progress: MapProgress) -> str:
    if progress.end is None:
        return RUNNING
    if progress.end:
        return f"ended early: {clean_line(progress.end, _REMARK_CHARS)}"
    if progress.rows and progress.from_ledger == progress.rows:
        return "done, all from the ledger"
    return f"done, {progress.failed:,} failed" if progress.failed else "done"


def _newest(progress: MapProgress) -> list[tuple[str, str, bool]]:
    return [
        (clean_line(label, _LABEL_CHARS), clean_line(text, _ANSWER_CHARS), is_error)
        for label, text, is_error in progress.newest[:_MAX_NEWEST]
    ]


def _failures(progress: MapProgress) -> tuple[list[tuple[str, str, str]], str]:
    """Return count, reason and rows of the most frequent errors, and how many others there are."""
    listed = []
    for failure in progress.failures[:_MAX_FAILURES]:
        labels = [clean_line(label, _LABEL_CHARS) for label in failure.labels[:_MAX_LABELS]]
        more = failure.count > len(labels)
        rows = (
            f"row {labels[0]}" if len(labels) == 1 and not more else f"rows {', '.join(labels)}{' …' if more else ''}"
        )
        listed.append((f"{failure.count:,} ×", clean_line(failure.reason, _REASON_CHARS), rows if labels else ""))
    others = progress.failures[_MAX_FAILURES:]
    count = sum(failure.count for failure in others)
    return listed, f"and {count:,} rows with {len(others):,} more errors" if others else ""


def _remarks(progress: MapProgress) -> list[str]:
    remarks = [clean_line(remark, _REMARK_CHARS) for remark in progress.remarks[:_MAX_REMARKS]]
    left_out = len(progress.remarks) - len(remarks)
    return [*remarks, f"and {left_out:,} more remarks"] if left_out else remarks


def page_message(progress: MapProgress, *, elapsed_s: float, newest: bool) -> dict[str, Any]:
    """Return what a page needs to draw a run; all its texts are ready to be shown as text.

    Args:
        progress: the run.
        elapsed_s: since it began, by now.
        newest: whether the newest rows are in it; a page keeps those that it has.
    """
    failures, more = _failures(progress)
    message: dict[str, Any] = {
        "of": [progress.ok, progress.failed, progress.skipped, progress.rows],
        "elapsed": round(elapsed_s, 1),
        "figures": figures(progress),
        "note": clean_line(progress.note, _NOTE_CHARS),
        "failures": failures,
        "more": more,
        "remarks": _remarks(progress),
    }
    return message | {"newest": _newest(progress)} if newest else message


def _escape(text: str, limit: int) -> str:
    """Escape a line, of which less is shown where its characters take many bytes."""
    line = clean_line(text, limit)
    while len((html := escape_text(line)).encode()) > _MAX_BYTES_PER_CHAR * limit:
        line = shorten(line, max(1, 2 * len(line) // 3))
    return html


def map_html(progress: MapProgress) -> str:
    """Render a run, safe whatever its texts hold: its static form, at most 20 kB."""
    return f'<div class="amber-map">{_body_html(progress)}</div>'


def running_html(progress: MapProgress, hook: str, notice: str) -> str:
    """Render a run that goes on, with the hook that the live layer draws over, and a line that says what to expect."""
    note = f'<div style="{SMALL_STYLE}">{_escape(notice, _REMARK_CHARS)}</div>' if notice else ""
    return f'<div class="amber-map"><div class="{hook}">{_body_html(progress)}{note}</div></div>'


def _body_html(progress: MapProgress) -> str:
    badge = ""
    if progress.badge:
        badge = f' <span style="{_PILL_STYLE}">{_escape(progress.badge, _BADGE_CHARS)}</span>'
    outcome = f'<span style="{QUIET_STYLE}"> · {_escape(_outcome(progress), _REMARK_CHARS)}</span>'
    shown = "".join(_figure_html(*figure) for figure in figures(progress, timed=progress.timed))
    pieces = [
        f'<div style="{_HEAD_STYLE}"><b>{_escape(progress.title, _TITLE_CHARS)}</b>{badge}{outcome}</div>',
        _bar_html(progress),
        f"<div>{shown}</div>",
    ]
    if progress.end is None:
        if progress.note:
            pieces.append(f'<div style="{SMALL_STYLE}">{_escape(progress.note, _NOTE_CHARS)}</div>')
        pieces += _rows_html("Newest rows", list(map(_newest_html, _newest(progress))))
    failures, more = _failures(progress)
    pieces += _rows_html("Errors", [*map(_failure_html, failures), *([_escape(more, _REMARK_CHARS)] if more else [])])
    pieces += [f'<div style="{_LABEL_STYLE}">{_escape(remark, _REMARK_CHARS)}</div>' for remark in _remarks(progress)]
    return "".join(pieces)


def _figure_html(label: str, value: str, extra: str) -> str:
    below = f'<div style="{_SMALL}">{_escape(extra, 2 * _COST_CHARS)}</div>' if extra else ""
    return (
        f'<div style="{_FIGURE_STYLE}"><div style="{_SMALL}">{_escape(label, _COST_CHARS)}</div>'
        f"<div>{_escape(value, 2 * _COST_CHARS)}</div>{below}</div>"
    )


def _bar_html(progress: MapProgress) -> str:
    parts = []
    for colour, name in _SEGMENTS:
        share = 100 * getattr(progress, name) / progress.rows if progress.rows else 0.0
        if share > 0:
            width = max(0.5, min(100.0, share))
            parts.append(f'<div style="float:left;width:{width:.1f}%;height:6px;background-color:{colour}"></div>')
    return f'<div style="{_TRACK_STYLE}">{"".join(parts)}</div>'


def _rows_html(label: str, rows: list[str]) -> list[str]:
    if not rows:
        return []
    return [
        f'<div style="{_LABEL_STYLE}">{label}</div>',
        *(f'<div style="{_ROW_STYLE}">{row}</div>' for row in rows),
    ]


def _newest_html(row: tuple[str, str, bool]) -> str:
    label, text, is_error = row
    sign = "✗ " if is_error else ""
    name = f'<div style="{_NAME_STYLE}">{_escape(label, _LABEL_CHARS)}</div>'
    return f'{name}<div dir="auto" style="{_BESIDE_STYLE}">{sign}{_escape(text, _ANSWER_CHARS)}</div>'


def _failure_html(failure: tuple[str, str, str]) -> str:
    count, reason, rows = failure
    where = f' <span style="{QUIET_STYLE}">{_escape(rows, 4 * _LABEL_CHARS)}</span>' if rows else ""
    beside = f'<div dir="auto" style="{_BESIDE_STYLE}">{_escape(reason, _REASON_CHARS)}{where}</div>'
    return f'<div style="{_COUNT_STYLE}">{count}</div>{beside}'


def map_text(progress: MapProgress) -> str:
    """Return a run as lines of text: the same for the same run, where it is not `timed`."""
    badge = f" [{clean_line(progress.badge, _BADGE_CHARS)}]" if progress.badge else ""
    counts = ((progress.failed, "failed"), (progress.skipped, "skipped"), (progress.stopped, "stopped"))
    told = [f"{_rows_of(progress)} rows", *(f"{count:,} {word}" for count, word in counts if count)]
    if progress.from_ledger:
        told.append(f"{progress.from_ledger:,} from the ledger")
    spent = [f"{progress.requests:,} {'request' if progress.requests == 1 else 'requests'}"]
    if tokens := _tokens(progress):
        cached = _cached(progress)
        spent.append(f"{tokens:,} tokens" + (f" ({cached})" if cached else ""))
    if cost := _cost(progress):
        spent.append(cost)
    if progress.timed and progress.end is not None:
        spent.append(f"took {format_duration(progress.elapsed_s)}")
    if progress.timed and progress.rows_per_s is not None:
        spent.append(format_rate(progress.rows_per_s))
    failures, more = _failures(progress)
    lines = [
        f"{clean_line(progress.title, _TITLE_CHARS)}{badge}: {' · '.join(told)}",
        " · ".join(spent),
        *(f"  {count} {reason}" + (f" ({rows})" if rows else "") for count, reason, rows in failures),
        *([f"  {more}"] if more else []),
        *_remarks(progress),
    ]
    if progress.end is None:
        lines.append(f"[{RUNNING}]")
    elif progress.end:
        lines.append(_outcome(progress))
    return "\n".join(lines)
