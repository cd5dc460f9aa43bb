"""DataFrames, Series and Indexes → CSV for a model, and a small table for a reader. pandas is found, never imported."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..types import encodable
from .compact import Compact, bare, of_module, plain, safe_repr

__all__ = ["Sheet", "frame_of", "sheet"]

_TABLE_ROWS, _TABLE_COLUMNS, _TABLE_CELL = 20, 12, 80
_MOST_COLUMNS = 1_000
_LONG_CELL = 4_000


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as text for the model, and as cells for the reader."""

    text: str
    table: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
    notes: tuple[str, ...]


def frame_of(value: Any) -> Any | None:
    """The DataFrame in a DataFrame, a Series, an Index or a Styler; None for anything else."""
    if not of_module(value, "pandas"):
        return None
    kinds = {cls.__name__ for cls in type(value).__mro__ if cls.__module__.partition(".")[0] == "pandas"}
    if "DataFrame" in kinds:
        return value
    if "Styler" in kinds:
        return value.data
    if "Series" in kinds:
        return value.to_frame("value" if value.name is None else value.name)
    if "Index" in kinds:
        return (
            value.to_frame(index=False)
            if value.nlevels > 1 or value.name is not None
            else value.to_frame(index=False, name="value")
        )
    return None


def sheet(frame: Any, room: int) -> Sheet:
    """A DataFrame as CSV of at most `room` characters, cut at a row; its index only where it says something.

    Args:
        frame: a DataFrame.
        room: characters, at most, with what is said of the cut.
    """
    n_rows, n_columns = frame.shape
    if not n_columns and _is_default(frame.index):
        return Sheet(f"A table of {n_rows:,} {_rows(n_rows)} and no columns.", ((), ()), ())
    names, columns = _columns(frame, room)
    said: list[str] = []
    n_kept = len(names)
    header = _line(names)
    while len(header) > room // 2 and n_kept > 1:
        n_kept //= 2
        header = _line(names[:n_kept])
    header = header[: room // 2]
    if n_kept < (total := n_columns + len(names) - min(n_columns, _MOST_COLUMNS)):
        said.append(f"the first {n_kept:,} of {total:,} columns")
    names, columns = names[:n_kept], columns[:n_kept]
    # The longest notice of what is left out must fit too.
    left = room - len(header) - sum(len(one) for one in said) - 120
    lines: list[str] = []
    shown: list[tuple[str, ...]] = []
    cut = False
    for row in zip(*columns, strict=True) if columns else ():
        line = _line(row)
        if len(line) > left and not lines:
            most = max(left // len(row) - 4, 8)
            row = tuple(_short(cell, most) for cell in row)
            line = _line(row)
            cut = True
        if len(line) > left:
            break
        lines.append(line)
        left -= len(line)
        if len(shown) < _TABLE_ROWS:
            shown.append(tuple(_short(cell, _TABLE_CELL) for cell in row[:_TABLE_COLUMNS]))
    if len(lines) < n_rows and columns:
        said.append(f"the first {len(lines):,} of {n_rows:,} {_rows(n_rows)}")
    if cut or any(column.cut for column in columns):
        said.append("long cells are cut, where they end in …")
    text = header + "".join(lines)
    if not n_rows:
        text += "(no rows)"
    if said:
        text = f"{text.rstrip()}\n({'; '.join(said)})"
    notes = list(said)
    if n_rows > len(shown) or n_kept > _TABLE_COLUMNS:
        notes.append(_shown(len(shown), n_rows, min(n_kept, _TABLE_COLUMNS), max(n_kept, n_columns)))
    head = tuple(_short(name, _TABLE_CELL) for name in names[:_TABLE_COLUMNS])
    return Sheet(text.rstrip("\n"), (head, tuple(shown)), tuple(notes))


def _rows(number: int) -> str:
    return "row" if number == 1 else "rows"


def _shown(rows: int, of_rows: int, columns: int, of_columns: int) -> str:
    parts = []
    if rows < of_rows:
        parts.append(f"the first {rows:,} of {of_rows:,} {_rows(of_rows)}")
    if columns < of_columns:
        parts.append(f"the first {columns:,} of {of_columns:,} columns")
    return f"the table shows {' and '.join(parts)}"


class _Column:
    """The cells of one column as text, one after the other."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = iter(values)
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        text = _cell(next(self.values))
        if len(text) > _LONG_CELL:
            self.cut = True
            text = _short(text, _LONG_CELL)
        return text


def _columns(frame: Any, room: int) -> tuple[list[str], list[_Column]]:
    # Each row takes two characters at least: no more of them than that are looked at.
    frame = frame.iloc[: room // 2 + 1, :_MOST_COLUMNS]
    names: list[str] = []
    columns: list[_Column] = []
    index = frame.index
    if index.nlevels > 1 or index.name is not None or not _is_default(index):
        for level in range(index.nlevels):
            name = index.names[level]
            names.append(("index" if index.nlevels == 1 else f"level_{level}") if name is None else _name(name))
            columns.append(_Column(index.get_level_values(level)))
    for place, name in enumerate(frame.columns):
        names.append(_name(name))
        column = frame.iloc[:, place]
        # A float32 prints as what it is, 0.1; as Python's own it would be 0.10000000149.
        narrow = str(column.dtype) in ("float32", "float16")
        columns.append(_Column(column.to_numpy() if narrow else column))
    return names, columns


def _is_default(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1


def _name(name: Any) -> str:
    if isinstance(name, tuple):  # of several levels
        return " / ".join(_cell(one) for one in name)
    return _cell(name)


def _cell(value: Any) -> str:
    if type(value).__name__ in ("float16", "float32"):
        return "" if value != value else str(value)
    value = plain(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if type(value).__name__ == "Timestamp":
        return str(value).removesuffix(" 00:00:00")
    try:
        text = bare(value)
    except Exception:  # of a str of the user's
        text = None
    if text is not None:
        return encodable(text)
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        return Compact(_LONG_CELL).text(value)
    try:
        return encodable(str(value))
    except Exception:
        return safe_repr(value)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
