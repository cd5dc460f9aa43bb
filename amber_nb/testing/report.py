"""The report of a drift run: one HTML file that needs nothing but itself, and its JSON twin for CI.

The JSON, version 1; keys sorted, rows by notebook, cell and call:

    {"version": 1, "title": "…", "made": "…",
     "summary": {"same": 8, "drifted": 1, "flaky": 1, "failed": 0, "total": 10},
     "rows": [{"notebook": "a.ipynb", "cell": 3 or null, "call": 1, "prompt": "…", "how": "similar:0.8",
               "status": "same | drifted | flaky | failed", "label": "flaky 2/3", "why": "…",
               "similarity": [0.91, null], "outcomes": [{"status": "…", "why": "…", "similarity": 0.91}],
               "recorded": reply or null, "runs": [reply, …]}]}

A reply has the fields of `Said`, a call being `[name, arguments]`. Numbers that are not finite are null, lone
surrogates U+FFFD.
"""

import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

from ..display.escape import code_text, shorten
from ..types import encodable
from .drift import Said
from .reportrow import SIGNS, Row, change, mean, row_html, seconds
from .reportstyle import STYLE

__all__ = ["VERSION", "Row", "as_json", "html", "write"]

VERSION = 1
_MOST_HTML = 30_000_000  # bytes; rows beyond it show their line only
# The page is its own: nothing is fetched, nothing runs, whatever a browser would find in it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_COLUMNS = (
    ("c-cell", "Cell · call"),
    ("c-status", "Verdict"),
    ("c-ask", "Prompt"),
    ("c-how", "Compared by"),
    ("c-like", "Similarity"),
    ("c-tokens", "Tokens"),
    ("c-time", "Time"),
)


def html(rows: Iterable[Row], *, title: str, made: str) -> str:
    """The report as a page.

    Args:
        rows: The exchanges, in any order.
        title: The page's heading.
        made: One line under it: when, with what, against which gateway.

    Example:
        >>> Path("drift.html").write_text(html(rows, title="Drift", made="24 November 2026"))  # doctest: +SKIP
    """
    ordered = _ordered(rows)
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="referrer" content="no-referrer"><meta http-equiv="x-dns-prefetch-control" content="off">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{code_text(shorten(title, 200))}</title>'
        f"<style>\n{STYLE}</style></head>\n<body>"
    )
    pieces = [head, _header(ordered, title, made), "<main>"]
    left, number = _MOST_HTML, 0
    for notebook, group in groupby(ordered, key=lambda row: row.notebook):
        inside = list(group)
        pieces.append(_opening(notebook, inside))
        for row in inside:
            number += 1
            piece = row_html(row, number, detail=left > 0)
            left -= len(piece)
            pieces.append(piece)
        pieces.append("</table></div></section>\n")
    if not ordered:
        pieces.append('<p class="empty">No exchange was recorded, and none was asked for.</p>')
    note = "" if left > 0 else " The last rows show no detail: the page would be too large; the JSON file has it."
    pieces.append(f"</main>\n<footer><p>{_LEGEND}{note}</p></footer></body></html>\n")
    return encodable("".join(pieces))


_LEGEND = (
    "Tokens are those of the reply; time is until its end; several runs count with their mean. Similarity is the "
    "share of words in the same order (ROUGE-L F), of the least similar run."
)


def as_json(rows: Iterable[Row], *, title: str, made: str) -> str:
    """The report as JSON, the schema as this module's docstring has it."""
    ordered = _ordered(rows)
    found = {
        "version": VERSION,
        "title": title,
        "made": made,
        "summary": {**_counts(ordered), "total": len(ordered)},
        "rows": [_row_facts(row) for row in ordered],
    }
    text = json.dumps(_plain(found), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return encodable(text) + "\n"


def write(path: str | os.PathLike[str], rows: Iterable[Row], *, title: str, made: str) -> tuple[Path, Path]:
    """Write the page at `path` and its JSON twin beside it, each whole or not at all.

    Returns:
        Where the page is, and where the JSON is.

    Raises:
        ValueError: `path` ends in .json, which is the twin's name.
    """
    page = Path(path)
    twin = page.with_suffix(".json")
    if twin == page:
        raise ValueError(
            f"{page}: the report is HTML; its JSON twin gets this name when the report is {page.stem}.html"
        )
    kept = list(rows)
    page.parent.mkdir(parents=True, exist_ok=True)
    _replace(twin, as_json(kept, title=title, made=made))
    _replace(page, html(kept, title=title, made=made))
    return page, twin


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.notebook, row.cell is None, row.cell or 0, row.call))


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    found = Counter(row.verdict.status for row in rows)
    return {status: found[status] for status in SIGNS}


def _row_facts(row: Row) -> dict[str, Any]:
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
        "outcomes": [asdict(outcome) for outcome in verdict.outcomes],
        "recorded": asdict(row.recorded) if row.recorded else None,
        "runs": [asdict(run) for run in row.runs],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if isfinite(value) else None
    return value


# --- the top of the page


def _header(rows: Sequence[Row], title: str, made: str) -> str:
    counts = _counts(rows)
    tiles = "".join(
        f'<li class="{status if count else "none"}"><b>{count:,}</b>'
        f'<span><span aria-hidden="true">{SIGNS[status]}</span> {status}</span></li>'
        for status, count in counts.items()
    )
    tiles += _tile("tokens of replies", _totals(rows, lambda said: said.completion_tokens), "{:,.0f}".format)
    tiles += _tile("time in all", _totals(rows, lambda said: said.total_s), seconds)
    parts = "".join(f'<i class="{status}" style="flex:{count}"></i>' for status, count in counts.items() if count)
    bar = f'<div class="bar" aria-hidden="true">{parts}</div>' if parts else ""
    notebooks = len({row.notebook for row in rows})
    said = f"{_plural(len(rows), 'exchange')} in {_plural(notebooks, 'notebook')}"
    only = '<label><input type="checkbox" id="changes">Show only what is not the same</label>' if counts["same"] else ""
    first = next((number for number, row in enumerate(rows, 1) if row.verdict.status != "same"), None)
    jump = f'<a href="#row-{first}">To the first that is not the same</a>' if first and counts["same"] else ""
    return (
        f'<header><h1>{code_text(shorten(title, 200))}</h1><p class="made">{said} · {code_text(shorten(made, 400))}</p>'
        f'<ul class="tiles">{tiles}</ul>{bar}<div class="filter">{only}{jump}</div></header>\n'
    )


def _tile(name: str, ends: tuple[float, float] | None, write_: Callable[[float], str]) -> str:
    if ends is None:
        return ""
    was, now = ends
    return f'<li class="wide"><b>{write_(was)} → {write_(now)}</b><span>{name} {change(was, now)}</span></li>'


def _totals(rows: Sequence[Row], take: Callable[[Said], float | None]) -> tuple[float, float] | None:
    """Recorded and now, of the exchanges where both are known; runs that failed do not count."""
    both = []
    for row in rows:
        was, now = (
            mean([take(row.recorded) if row.recorded else None]),
            mean(take(run) for run in row.runs if run.error is None),
        )
        if was is not None and now is not None:
            both.append((was, now))
    return (sum(was for was, _ in both), sum(now for _, now in both)) if both else None


def _opening(notebook: str, rows: Sequence[Row]) -> str:
    counts = {status: count for status, count in _counts(rows).items() if count}
    said = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    name = code_text(shorten(notebook, 200))
    heads = "".join(f'<th role="columnheader" scope="col" class="{kind}">{text}</th>' for kind, text in _COLUMNS)
    quiet = ' class="quiet"' if counts.keys() == {"same"} else ""
    return (
        f'<section{quiet}><h2>{name}<small>{said}</small></h2><div class="list"><table role="table" class="rows">'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n'
    )


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
