"""Make a DataFrame of a typed value: models, dataclasses, dicts, lists of them; pandas is loaded with the first."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import value_types as known
from .types import replace_surrogates

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["VALUE", "plain_value", "rows_columns", "rows_frame", "value_frame"]

VALUE = "value"  # the column of what has no fields of its own
_MAX_DEPTH = 5  # of records within records that become columns
_INT64 = range(-(2**63), 2**63)
_AS_TEXT = ("UUID", "Url", "Path", "Dsn", "SecretStr", "SecretBytes")  # classes of plain values whose names end so

_Path = tuple[Any, ...]  # the names that lead to a column: () for the value itself


def value_frame(value: Any, hint: Any = None) -> pd.DataFrame:
    """Return a frame of a value.

    Args:
        value: a record (a pydantic model, a dataclass, a named tuple, a dict), a list of records, or a plain value.
        hint: its type or its JSON schema, where it is known: it decides on the columns, and a `Literal` or an `Enum`
            of texts becomes a category with all its values.

    Returns:
        A row for each record of a list, one for a single record. A record whose only field is a list of records stands
        for that list; a dict of records has its keys as the index. A record within a record becomes columns such as
        `address.city`; lists stay lists, of plain values and dicts. The columns of the type come first, also those that
        no row fills; two that would have the same name are told apart by a number. Dtypes: `str`, `Int64`, `Float64`
        (a NaN is missing), `boolean`, categories and datetimes; `object` where a number would be rounded.
    """
    index, rows, hint = _find_rows(_without_root(value), hint)
    return _make_frame(index, rows, hint)


def rows_frame(values: Sequence[Any], hint: Any = None) -> pd.DataFrame:
    """Return a frame with a row for each value, whose columns and dtypes the type decides on, not the values.

    Args:
        values: of that type; None is a row without one.
        hint: their type or JSON schema.

    Returns:
        A frame with the columns of `rows_columns`, and behind them those of fields that a record has beside its type's
        own. Dtypes are as in `value_frame`; `object` where a type permits values of several kinds.
    """
    tree = _layout_tree(hint)
    rows = [{} if row is None else dict(_flatten_along(row, tree)) for row in values]
    hints = dict(_leaves(tree))
    for row in rows:
        for path in row:
            hints.setdefault(path, None)
    return _join_columns(range(len(rows)), rows, hints, is_typed=True)


def rows_columns(hint: Any) -> list[str]:
    """Return the columns that `rows_frame` has for each value of a type.

    They are a record's fields, those of records within it as `address.city`; a dict whose keys are data stays in one
    cell, as a list does. What has no fields gets the column `VALUE`.
    """
    return _to_names([path for path, _ in _leaves(_layout_tree(hint))])


def plain_value(value: Any) -> Any:
    """Return a value as a cell holds it: records as dicts, Enums as their values, URLs and ids as texts."""
    return _to_plain(value)


def _make_frame(index: list[Any] | None, rows: Sequence[Any], hint: Any) -> pd.DataFrame:
    pandas = import_module("pandas")
    hints: dict[_Path, Any] = {}
    present = [_without_root(row) for row in rows if row is not None]
    for kind in [hint] if known.find_fields(hint) else dict.fromkeys(map(type, present)):
        for path, each in _leaves(_layout_tree(kind)) if known.find_fields(kind) else ():
            hints.setdefault(path, each)
    if not hints and not present and hint is not None and not known.is_dict_type(hint):
        hints[()] = hint  # no plain value is there
    cells = [
        {path: (cell, each) for path, cell, each in _flatten(row, hint)} if row is not None else {} for row in rows
    ]
    for path, each in ((path, each) for row in cells for path, (_, each) in row.items()):
        hints[path] = hints.get(path) or each
    labels = range(len(rows)) if index is None else pandas.Index(map(_to_plain, index), tupleize_cols=False)
    return _join_columns(labels, [{path: cell for path, (cell, _) in row.items()} for row in cells], hints)


def _join_columns(
    labels: Any, rows: Sequence[Mapping[_Path, Any]], hints: Mapping[_Path, Any], *, is_typed: bool = False
) -> pd.DataFrame:
    """Return the frame of rows that are divided into cells already; `hints` has all columns, in their order."""
    pandas = import_module("pandas")
    columns = {path: [row.get(path) for row in rows] for path in hints}
    paths = [path for path in hints if not _is_replaced(path, columns)]
    series = {
        name: _to_column(pandas, columns[path], hints[path], labels, is_typed=is_typed)
        for name, path in zip(_to_names(paths), paths, strict=True)
    }
    frame: pd.DataFrame = pandas.DataFrame(series, index=labels)
    return frame


# --- rows


def _find_rows(value: Any, hint: Any) -> tuple[list[Any] | None, list[Any], Any]:
    """Return the index (None: numbers), the rows, and the type of each."""
    record = _to_record(value)
    if record is None:
        return None, [*value] if _is_list(value) else [value], known.find_item(hint) if _is_list(value) else hint
    hint = hint if isinstance(value, Mapping) else type(value)
    named = known.find_fields(hint)
    items = [_without_root(each) for each in record.values()]
    if len(items) == 1:  # with nothing beside it
        kind = next(iter(named.values()), None) if named else None
        item_kind = known.find_item(kind)
        is_list = _is_list(items[0]) and all(_to_record(each) is not None for each in items[0])
        if known.find_fields(item_kind) and (is_list or items[0] is None):
            return None, [*items[0]] if is_list else [], item_kind
        if is_list and items[0] and (named or known.find_values(hint) in (None, Any)):
            return None, [*items[0]], item_kind
    if named:
        return None, [value], hint
    value_kind = known.find_values(hint)
    if known.find_fields(value_kind):
        return [*record], items, value_kind
    records = [each for each in map(_to_record, items) if each is not None]
    if items and len(records) == len(items):
        is_alike = bool(records[0]) and all(each.keys() == records[0].keys() for each in records)
        if is_alike or known.is_dict_type(value_kind):
            return [*record], items, value_kind
    return None, [value], hint


def _without_root(value: Any) -> Any:
    """Return what RootModels hold, as they would be written in JSON."""
    while getattr(type(value), "__pydantic_root_model__", False):
        value = value.root
    return value


def _to_record(value: Any) -> dict[Any, Any] | None:
    """Return the fields of a record, computed ones too; None for what is none."""
    value = _without_root(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(type(value), "model_fields"):
        found = {**{name: getattr(value, name) for name in type(value).model_fields}, **(value.model_extra or {})}
    elif is_dataclass(value) and not isinstance(value, type):
        found = {each.name: getattr(value, each.name) for each in fields(value)}
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    else:
        return None
    return found | {name: getattr(value, name) for name in known.find_computed_fields(type(value))}


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and not hasattr(value, "_asdict")


# --- the columns' places


@dataclass(frozen=True, slots=True)
class _Node:
    """What a type promises of a column, or of columns.

    Attributes:
        hint: the type.
        inner: of a record that has columns of its own, its fields; else None.
    """

    hint: Any
    inner: Mapping[str, _Node] | None = None


def _layout_tree(hint: Any, above: _Path = ()) -> _Node:
    """Return the columns that a type promises, as a tree."""
    inner = _find_open_fields(hint, above)
    if not inner:
        return _Node(hint)
    return _Node(hint, {name: _layout_tree(each, (*above, known.to_plain_type(hint))) for name, each in inner.items()})


def _leaves(node: _Node, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Yield the columns of a tree, with their types."""
    if node.inner is None:
        yield path, node.hint
    for name, each in (node.inner or {}).items():
        yield from _leaves(each, (*path, name))


def _find_open_fields(hint: Any, above: _Path) -> dict[str, Any] | None:
    """Return the fields that become columns; not of a record within itself, which stays in a cell."""
    is_cell = len(above) > _MAX_DEPTH or known.to_plain_type(hint) in above
    return None if is_cell else known.find_fields(hint)


def _flatten(value: Any, hint: Any, path: _Path = (), above: _Path = ()) -> Iterator[tuple[_Path, Any, Any]]:
    """Yield the cells of one row, with what is known of their types."""
    value = _without_root(value)
    record = _to_record(value)
    if record is None and value is not None:
        yield path, value, hint
        return
    hint = hint if record is None or isinstance(value, Mapping) else type(value)
    named = known.find_fields(hint) or {}
    if named and not record:
        return  # nothing is there: the columns are those of the type
    if not record or len(above) > _MAX_DEPTH or (named and _find_open_fields(hint, above) is None):
        yield path, value, hint
        return
    for name, item in record.items():
        inner = named[str(name)] if str(name) in named else known.find_values(hint)
        yield from _flatten(item, inner, (*path, name), (*above, known.to_plain_type(hint)))


def _flatten_along(value: Any, node: _Node, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Yield the cells of one row: those that the type promises, and fields of records that it does not know."""
    record = _to_record(value) if node.inner is not None else None
    if record is None or node.inner is None:
        if value is not None:
            yield path, value
        return
    for name, item in record.items():
        if (inner := node.inner.get(name)) is not None:
            yield from _flatten_along(item, inner, (*path, name))
        else:
            yield (*path, name), item


def _is_replaced(path: _Path, columns: Mapping[_Path, Sequence[Any]]) -> bool:
    """Return whether a column is empty, and stands for a record that has columns of its own."""
    is_empty = all(each is None or (isinstance(each, Mapping) and not each) for each in columns[path])
    return is_empty and any(len(each) > len(path) and each[: len(path)] == path for each in columns)


def _to_names(paths: Iterable[_Path]) -> list[str]:
    """Return the columns' names; what would have the same one gets a number: `a.b`, `a.b_2`."""
    wanted = [".".join(str(_to_plain(each)) for each in path) if path else VALUE for path in paths]
    names: dict[str, None] = {}
    for name in wanted:
        number, unique = 1, name
        while unique in names or (number > 1 and unique in wanted):
            number += 1
            unique = f"{name}_{number}"
        names[unique] = None
    return [*names]


# --- what stands in them


def _to_plain(value: Any) -> Any:
    """Return a value as a cell holds it: Enums as their values, URLs and ids as texts, records as dicts."""
    value = _without_root(value)
    if isinstance(value, enum.Enum):
        return _to_plain(value.value)
    if (record := _to_record(value)) is not None:
        return {_to_plain(name): _to_plain(item) for name, item in record.items()}
    if type(value).__name__.endswith(_AS_TEXT):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(_to_plain, value), key=str)
    if isinstance(value, str):  # a cell may be written into a file, which has no half characters
        return replace_surrogates(value)
    return [*map(_to_plain, value)] if _is_list(value) else value


def _to_scalar(pandas: Any, value: Any) -> Any:
    """Return Python's own number, text or date for one of numpy's, and None for what is missing."""
    if type(value).__module__.partition(".")[0] == "numpy" and getattr(value, "shape", None) == ():
        kind = value.dtype.kind
        value = (pandas.Timestamp if kind == "M" else pandas.Timedelta)(value) if kind in "Mm" else value.item()
    is_missing = value is pandas.NaT or value is pandas.NA or (isinstance(value, float) and math.isnan(value))
    return None if is_missing else value


def _to_column(pandas: Any, values: Sequence[Any], hint: Any, index: Any, *, is_typed: bool = False) -> Any:
    """Return a column; with `is_typed`, its dtype is that of the type as far as all values are of it."""
    values = [_to_scalar(pandas, _to_plain(value)) for value in values]
    present = [value for value in values if value is not None]
    categories = known.find_categories(hint)
    if categories is not None and all(isinstance(value, str) and value in categories for value in present):
        return pandas.Series(pandas.Categorical(values, categories=categories), index=index)
    kinds = known.find_kinds(hint)
    if present and kinds <= {dt.date, dt.datetime} and all(isinstance(value, str) for value in present):
        values = _read_dates(values)  # of a JSON schema, which has no dates
        present = [value for value in values if value is not None]
    found = {type(value) for value in present}
    dtype = _find_dtype(kinds if not present or (is_typed and _are_of(found, kinds)) else found, present)
    if dtype == "Int64" and float in kinds and _are_exact(present):  # a default such as 0
        dtype = "Float64"
    try:
        if dtype == "datetime":
            return pandas.Series(_to_datetimes(pandas, values, hint, is_typed=is_typed), index=index)
        if dtype == "timedelta":
            return pandas.Series(pandas.to_timedelta(values).as_unit("us"), index=index)
    except (ValueError, OverflowError):  # a year that pandas cannot count
        dtype = "object"
    if dtype == "object":
        cells = import_module("numpy").empty(len(values), dtype="object")
        for at, value in enumerate(values):  # lists and arrays, each in a cell of its own
            cells[at] = value
        return pandas.Series(cells, index=index, dtype="object")
    column = pandas.Series(values, index=index, dtype="object").astype(dtype)
    if dtype == "str" and values:  # pandas 2 makes the text 'None' of what is missing
        column = column.mask([value is None for value in values], None)
    return column


def _are_of(found: set[type], kinds: set[Any]) -> bool:
    """Return whether all classes of values are among those that a type has; whole numbers may stand for others."""
    if None in kinds or not all(isinstance(kind, type) for kind in kinds):
        return False
    return all(each in kinds or (each is int and float in kinds) for each in found)


def _read_dates(values: Sequence[Any]) -> list[Any]:
    """Return the datetimes of texts as JSON has them; the texts, if one of them is none."""
    try:
        return [None if value is None else dt.datetime.fromisoformat(value) for value in values]
    except ValueError:
        return [*values]


def _to_datetimes(pandas: Any, values: Sequence[Any], hint: Any, *, is_typed: bool) -> Any:
    zones = {value.tzinfo for value in values if getattr(value, "tzinfo", None) is not None}
    is_utc = len(zones) > 1 or any(zone.utcoffset(None) == dt.timedelta(0) for zone in zones)
    is_utc = is_utc or ("Aware" in getattr(hint, "__name__", "") and (not zones or is_typed))
    return pandas.to_datetime(values, utc=is_utc).as_unit("us")  # else the unit depends on the values


def _are_exact(numbers: Iterable[Any]) -> bool:
    """Return whether whole numbers stay what they are beside ones with a point."""
    try:
        return all(float(number) == number for number in numbers)
    except OverflowError:
        return False


def _find_dtype(kinds: set[Any], values: Sequence[Any]) -> str:
    if not kinds or not all(isinstance(kind, type) for kind in kinds):
        return "object"
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "Int64" if all(value in _INT64 for value in values) else "object"
    if kinds <= {int, float}:
        return "Float64" if _are_exact(values) else "object"
    if all(issubclass(kind, str) for kind in kinds):
        return "str"
    if all(issubclass(kind, dt.date) for kind in kinds):
        is_aware = {getattr(value, "tzinfo", None) is not None for value in values}
        return "object" if len(is_aware) > 1 else "datetime"
    return "timedelta" if all(issubclass(kind, dt.timedelta) for kind in kinds) else "object"
