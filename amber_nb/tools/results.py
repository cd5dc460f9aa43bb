"""The result of a tool as content: text and images for the model, a table and notes for the reader.

pandas and the libraries that draw are recognized, never imported.
"""

from __future__ import annotations

import csv
import inspect
import io
import json
import math
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from .. import images
from ..errors import ImageError
from ..types import SentImage, ToolContent, replace_surrogates
from .bounded_json import BoundedJson, Truncated, is_from_library, safe_repr, scalar_text, unwrap

__all__ = [
    "MAX_CHARACTERS",
    "MAX_IMAGES",
    "MAX_ITEMS",
    "materialize",
    "must_await",
    "records_table",
    "resolve",
    "to_tool_content",
]

MAX_CHARACTERS = 20_000  # of one result
MAX_IMAGES = 20  # of one result
MAX_ITEMS = 10_000  # of a generator, which may have no end
_MAX_INNER_TABLE = 8_000  # characters of a table within another value
_NOTES_ROOM = 400  # characters kept for the notes
_TABLE_ROWS, _TABLE_COLUMNS, _TABLE_CELL = 20, 12, 80  # shown to the reader; characters of a cell
_MAX_COLUMNS = 1_000
_MIME_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
_MAX_CELL = 4_000  # characters


def must_await(value: Any) -> bool:
    """Return whether a function's result has to be awaited, as a coroutine or an async generator has."""
    return inspect.isawaitable(value) or isinstance(value, AsyncIterator)


async def resolve(value: Any) -> Any:
    """Await a function's result, and return it; of an async generator a list of the first 10,000 items."""
    if inspect.isawaitable(value):
        value = await value
    if not isinstance(value, AsyncIterator):
        return value
    items: list[Any] = []
    async for item in value:
        if len(items) == MAX_ITEMS:
            return Truncated(items)
        items.append(item)
    return items


def materialize(value: Any) -> Any:
    """Return a list of the first 10,000 items of a generator or another iterator; any other value as it is."""
    if not isinstance(value, Iterator) or hasattr(value, "read"):
        return value
    items = list(islice(value, MAX_ITEMS + 1))
    return items if len(items) <= MAX_ITEMS else Truncated(items[:MAX_ITEMS])


def to_tool_content(value: Any) -> ToolContent:
    """Convert a tool's result; never raise, whatever the value's own methods do.

    A text stays as it is, a table becomes CSV, everything else compact JSON. The text has at most 20,000 characters,
    and notes say what was left out. Images, figures and charts are sent as images, also those in a list or a dict.
    """
    try:
        return _convert(value)
    except Exception as error:  # a property, an iterator or a model_dump of the user's
        note = f"it could not be read ({type(error).__name__}), and stands as its repr"
        return _with_notes(safe_repr(value), [note])


def _convert(value: Any) -> ToolContent:
    value = unwrap(value)
    if value is None:
        return ToolContent(text="Done. The tool returned no result.")
    if isinstance(value, str) and not value:  # many gateways refuse a message without text
        return ToolContent(text="Done. The tool returned an empty text.")
    if (frame := _frame_of(value)) is not None and _find_pictures(value) is None:  # a Series may hold axes
        return _frame_csv(frame, MAX_CHARACTERS)
    if (text := scalar_text(value)) is not None:
        return ToolContent(text=replace_surrogates(text)) if len(text) <= MAX_CHARACTERS else _with_notes(text, [])
    collector = _ImageCollector()
    if (placeholder := collector.add(value)) is not None:
        return _with_notes(collector.announce() or placeholder, collector.notes, collector.images)
    if isinstance(value, (list, tuple)) and value and len(value) <= MAX_IMAGES:
        parts = [item if isinstance(item, str) else collector.add(item) for item in value]
        if collector.images and None not in parts:
            # Texts and images alone read best one after the other.
            has_text = any(isinstance(item, str) for item in value)
            text = "\n".join(map(str, parts)) if has_text else collector.announce()
            return _with_notes(text, collector.notes, collector.images)
    writer = BoundedJson(MAX_CHARACTERS - _NOTES_ROOM, collector.replace)
    text = writer.dumps(value)
    if text.startswith('"'):  # a text alone needs no quotes
        text = json.loads(text)
    if collector.images:
        text += f"\n{collector.announce()}"
    return _with_notes(text, [*writer.notes, *collector.notes], collector.images)


def _with_notes(text: str, notes: list[str], images: Iterable[tuple[Mapping[str, Any], SentImage]] = ()) -> ToolContent:
    room = MAX_CHARACTERS - _NOTES_ROOM
    if len(text) > room and len(text) + sum(len(note) + 2 for note in notes) > MAX_CHARACTERS:
        notes = [*notes, f"the first {room:,} of {len(text):,} characters"]
        text = text[:room]
    notes = [replace_surrogates(note) for note in dict.fromkeys(notes)]
    text = replace_surrogates(text)
    if notes:
        suffix = f"\n({'; '.join(notes)})"
        suffix = suffix if len(suffix) <= _NOTES_ROOM else suffix[: _NOTES_ROOM - 2] + "…)"
        text = text[: MAX_CHARACTERS - len(suffix)] + suffix
    return ToolContent(text=text[:MAX_CHARACTERS], images=tuple(images), notes=tuple(notes))


# --- images


class _ImageCollector:
    """The images in one result, in order, and the placeholders that stand for them in the text."""

    def __init__(self) -> None:
        self.images: list[tuple[Mapping[str, Any], SentImage]] = []
        self.notes: list[str] = []
        # By id; an object is drawn once, and kept so that its id stays its own.
        self._placeholders: dict[Any, tuple[Any, str]] = {}

    def add(self, value: Any) -> str | None:
        """Add a value if it is an image, and return its placeholder; None for anything else."""
        if (pictures := _find_pictures(value)) is not None:
            # An artist and its axes, a pair of figure and axes: what is drawn is one picture.
            return ", ".join(
                [self._place(getattr(picture, "key", id(picture)), picture, value) for picture in pictures]
            )
        return self._place(id(value), value, value) if _is_image(value) else None

    def _place(self, key: Any, picture: Any, value: Any) -> str:
        if key not in self._placeholders:
            self._placeholders[key] = value, self._draw(picture, value)
        return self._placeholders[key][1]

    def replace(self, value: Any) -> str | None:
        """Return the text that stands for an image or a table within another value; None for anything else."""
        if (text := self.add(value)) is not None or (frame := _frame_of(value)) is None:
            return text
        content = _frame_csv(frame, _MAX_INNER_TABLE)
        self.notes += [f"of a table, {note}" for note in content.notes if not note.startswith("the table shows")]
        return content.text

    def announce(self) -> str:
        """Return a sentence that announces the images; empty if there are none."""
        sizes = [_format_size(sent) for _, sent in self.images]
        if len(sizes) <= 1:
            return f"An image{sizes[0]} follows." if sizes else ""
        return f"{len(sizes)} images follow: {', '.join(size.strip(' ()') or 'a link' for size in sizes)}."

    def _draw(self, picture: Any, value: Any) -> str:
        if len(self.images) >= MAX_IMAGES:
            self.notes.append(f"the first {MAX_IMAGES} images")
            return "an image that was not sent"
        try:
            part = images.image_part(picture)
        except ImageError as error:
            self.notes.append(f"it could not be sent as an image: {error}")
            return safe_repr(value)
        self.images.append((dict(part), part.sent))
        return f"image {len(self.images)}{_format_size(part.sent)}"


def _format_size(sent: SentImage) -> str:
    width, height = sent.size or sent.original_size or (0, 0)
    return f" ({width} × {height} pixels)" if width else ""


def _find_pictures(value: Any) -> list[Any] | None:
    """Return the pictures that a value of matplotlib's means, or the value where that cannot be told; else None."""
    if "matplotlib" not in sys.modules:
        return None
    try:
        return images.find_pictures(value)
    except ImageError:  # which `image_part` then says in words
        return [value]


def _is_image(value: Any) -> bool:
    """Return whether a value is to be seen rather than read; nothing is drawn for that."""
    cls = type(value)
    if value is None or cls in (str, bytes, bool, int, float, list, dict, tuple, set):
        return False
    if cls.__name__ == "ImagePart" and isinstance(getattr(value, "sent", None), SentImage):
        return True
    if isinstance(value, type) or hasattr(cls, "read"):
        return False
    if is_from_library(value, "numpy"):  # (height, width, 3 or 4) uint8 are pixels; other numbers are read
        shape: tuple[int, ...] = getattr(value, "shape", ())
        is_bytes = str(getattr(value, "dtype", "")) == "uint8"
        return is_bytes and len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= 8
    if is_from_library(value, "pandas"):
        return False
    for library, method in (("PIL", "getpixel"), ("plotly", "to_plotly_json"), ("altair", "to_dict")):
        if is_from_library(value, library):
            return hasattr(cls, method)
    if any(callable(getattr(cls, name, None)) for name in ("_repr_png_", "_repr_jpeg_", "_repr_mimebundle_")):
        return _shows_image(value)
    return _holds_figure(value)


def _holds_figure(value: Any) -> bool:
    return is_from_library(getattr(value, "figure", None), "matplotlib")  # seaborn's grids


def _shows_image(value: Any) -> bool:
    """Return whether an object shows itself as an image now: many have the method, and nothing to show."""
    cls = type(value)
    for name in ("_repr_png_", "_repr_jpeg_"):
        if callable(getattr(cls, name, None)):
            try:
                if getattr(value, name)() is not None:
                    return True
            except Exception:
                return True  # which `image_part` then says in words
    if not callable(getattr(cls, "_repr_mimebundle_", None)):
        return False
    try:
        bundle = value._repr_mimebundle_(include=_MIME_TYPES)
    except Exception:
        return False
    bundle = bundle[0] if isinstance(bundle, tuple) and bundle else bundle
    return isinstance(bundle, Mapping) and not bundle.keys().isdisjoint(_MIME_TYPES)


# --- tables


def _frame_of(value: Any) -> Any | None:
    """Return the DataFrame in a DataFrame, a Series, an Index or a Styler; None for anything else."""
    if not is_from_library(value, "pandas"):
        return None
    names = {cls.__name__ for cls in type(value).__mro__ if cls.__module__.partition(".")[0] == "pandas"}
    if "DataFrame" in names:
        return value
    if "Styler" in names:
        return value.data
    if "Series" in names:
        return value.to_frame("value" if value.name is None else value.name)
    if "Index" in names:
        has_name = value.nlevels > 1 or value.name is not None
        return value.to_frame(index=False) if has_name else value.to_frame(index=False, name="value")
    return None


def _frame_csv(frame: Any, max_characters: int) -> ToolContent:
    """Convert a DataFrame to CSV, cut at a row or a column, with its beginning as a table and notes."""
    n_rows, n_columns = frame.shape
    rows = "row" if n_rows == 1 else "rows"
    if not n_columns and _is_default_index(frame.index):
        return ToolContent(text=f"A table of {n_rows:,} {rows} and no columns.", table=((), ()))
    notes: list[str] = []
    is_cut = False
    # Each row takes two characters at least: no more of them than that are read.
    names, columns = _read_columns(frame.iloc[: max_characters // 2 + 1, :_MAX_COLUMNS])
    n_kept = len(names)
    header = _csv_line(names)
    while len(header) > max_characters // 2 and n_kept > 1:
        n_kept //= 2
        header = _csv_line(names[:n_kept])
    header = header[: max_characters // 2]
    if n_kept < (total := n_columns + len(names) - min(n_columns, _MAX_COLUMNS)):
        notes.append(f"the first {n_kept:,} of {total:,} columns")
    # The longest note on what is left out must fit too.
    room = max_characters - len(header) - sum(map(len, notes)) - 120
    lines: list[str] = []
    table: list[tuple[str, ...]] = []
    for values in zip(*columns[:n_kept], strict=True):
        texts = tuple(map(_cell_text, values))
        row = tuple(_shorten(text, _MAX_CELL) for text in texts)
        line = _csv_line(row)
        if len(line) > room and not lines:
            max_cell = max(room // len(row) - 4, 8)
            row = tuple(_shorten(cell, max_cell) for cell in row)
            line = _csv_line(row)
        is_cut = is_cut or row != texts
        if len(line) > room:
            break
        lines.append(line)
        room -= len(line)
        if len(table) < _TABLE_ROWS:
            table.append(tuple(_shorten(cell, _TABLE_CELL) for cell in row[:_TABLE_COLUMNS]))
    if len(lines) < n_rows:
        notes.append(f"the first {len(lines):,} of {n_rows:,} {rows}")
    if is_cut:
        notes.append("long cells are cut, where they end in …")
    text = header + "".join(lines) + ("" if n_rows else "(no rows)")
    if notes:
        text = f"{text.rstrip()}\n({'; '.join(notes)})"
    shown = []
    if len(table) < n_rows:
        shown.append(f"the first {len(table):,} of {n_rows:,} {rows}")
    if min(n_kept, _TABLE_COLUMNS) < max(n_kept, n_columns):
        shown.append(f"the first {min(n_kept, _TABLE_COLUMNS):,} of {max(n_kept, n_columns):,} columns")
    if len(table) < n_rows or n_kept > _TABLE_COLUMNS:
        notes.append(f"the table shows {' and '.join(shown)}")
    head = tuple(_shorten(name, _TABLE_CELL) for name in names[:n_kept][:_TABLE_COLUMNS])
    return ToolContent(text=text.rstrip("\n"), table=(head, tuple(table)), notes=tuple(notes))


def records_table(records: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the first records as a table for the reader, as the beginning of a DataFrame would be shown."""
    first = records[:_TABLE_ROWS]
    names = list(dict.fromkeys(str(name) for record in first for name in islice(record, _TABLE_COLUMNS)))
    names = names[:_TABLE_COLUMNS]
    rows = tuple(tuple(_shorten(_cell_text(record.get(name)), _TABLE_CELL) for name in names) for record in first)
    return tuple(_shorten(replace_surrogates(name), _TABLE_CELL) for name in names), rows


def _read_columns(frame: Any) -> tuple[list[str], list[Iterable[Any]]]:
    """Return the names and the values of a frame's columns, the index first if it says something."""
    names: list[str] = []
    columns: list[Iterable[Any]] = []
    index = frame.index
    if index.nlevels > 1 or index.name is not None or not _is_default_index(index):
        for level, name in enumerate(index.names):
            default = "index" if index.nlevels == 1 else f"level_{level}"
            names.append(default if name is None else _column_name(name))
            columns.append(index.get_level_values(level))
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        names.append(_column_name(name))
        # A float32 prints as what it is, 0.1; as Python's own it would be 0.10000000149.
        columns.append(column.to_numpy() if str(column.dtype) in ("float32", "float16") else column)
    return names, columns


def _is_default_index(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1


def _column_name(name: Any) -> str:
    # A tuple has several levels.
    return " / ".join(map(_cell_text, name)) if isinstance(name, tuple) else _cell_text(name)


def _cell_text(value: Any) -> str:
    if type(value).__name__ in ("float16", "float32"):
        return "" if value != value else str(value)
    value = unwrap(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if type(value).__name__ == "Timestamp":
        return str(value).removesuffix(" 00:00:00")
    try:
        if (text := scalar_text(value)) is None:
            is_container = isinstance(value, (dict, list, tuple, set, frozenset))
            text = BoundedJson(_MAX_CELL).dumps(value) if is_container else str(value)
        return replace_surrogates(text)
    except Exception:  # of a user's str
        return safe_repr(value)


def _shorten(text: str, max_characters: int) -> str:
    return text if len(text) <= max_characters else text[: max_characters - 1] + "…"


def _csv_line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
