"""A JSON value as a small table: what a schema was asked for is read at a glance. Every value is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .escape import prose, shorten

__all__ = ["table_html", "value_html"]

_MOST_ROWS = 50
_MOST_COLUMNS = 12
_LONGEST = 300  # characters of a cell
_TABLE = "border-collapse:collapse;margin:0 0 1em"
_CELL = "padding:.3em .8em;border:1px solid rgba(128,128,128,.3);text-align:left;vertical-align:top"
_SMALL = "margin:0 0 .5em;font-size:85%;opacity:.75"


def value_html(value: Any) -> str:
    """An object as names and values, a list of objects as rows, anything else as it is."""
    if isinstance(value, Mapping):
        return table_html((), [(str(name), _cell(item)) for name, item in value.items()])
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        columns = list(dict.fromkeys(str(name) for item in value for name in item))
        return table_html(columns, [[_cell(item.get(name, "")) for name in columns] for item in value])
    if isinstance(value, list):
        return table_html((), [(_cell(item),) for item in value])
    return f"<div>{prose(shorten(_cell(value), 20_000))}</div>"


def table_html(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells as a table, at most 50 × 12 of them; without columns the first cell of each row is its name."""
    width = max((len(row) for row in rows), default=len(columns))
    head = "".join(f'<th style="{_CELL}">{prose(shorten(name, _LONGEST))}</th>' for name in columns[:_MOST_COLUMNS])
    body = []
    for row in rows[:_MOST_ROWS]:
        cells = [
            f'<{tag} style="{_CELL}">{prose(shorten(cell, _LONGEST))}</{tag}>'
            for number, cell in enumerate(row[:_MOST_COLUMNS])
            for tag in ("th" if not columns and number == 0 and len(row) > 1 else "td",)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    left_out = []
    if len(rows) > _MOST_ROWS:
        left_out.append(f"{len(rows) - _MOST_ROWS:,} rows")
    if width > _MOST_COLUMNS:
        left_out.append(f"{width - _MOST_COLUMNS:,} columns")
    note = f'<div style="{_SMALL}">and {" and ".join(left_out)} more</div>' if left_out else ""
    first = f"<thead><tr>{head}</tr></thead>" if head else ""
    table = f'<table style="{_TABLE}">{first}<tbody>{"".join(body)}</tbody></table>'
    return f'<div style="overflow-x:auto">{table}</div>{note}'


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
