"""Make a DataFrame of a typed value: models, dataclasses, dicts, lists of them; pandas is loaded with the first."""

from __future__ import annotations

import datetime as dt
import enum
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["value_frame"]

_VALUE = "value"  # the column of what has no fields of its own
_MAX_DEPTH = 5  # of records within records that become columns
_INT64 = range(-(2**63), 2**63)


def value_frame(value: Any, hint: Any = None) -> pd.DataFrame:
    """Return a frame of a value.

    Args:
        value: a record (a pydantic model, a dataclass, a named tuple, a dict), a list of records, or a plain value.
        hint: its type, where it is known: a `Literal` or an `Enum` of texts becomes a category with all its values.

    Returns:
        A row for each record of a list, one for a single record. A record whose only field is a list of records stands
        for that list; a dict of records has its keys as the index. A record within a record becomes columns such as
        `address.city`; lists stay lists. Dtypes: `str`, `Int64`, `Float64`, `boolean`, categories and datetimes.
    """
    pandas = import_module("pandas")
    index, rows, hint = _rows(value, hint)
    hints: dict[str, Any] = {}
    flat = [dict(_flatten(row, hint, hints)) for row in rows]
    names = dict.fromkeys(name for row in flat for name in row)
    frame: pd.DataFrame = pandas.DataFrame(index=index if index is not None else range(len(flat)))
    for name in names or [name for name, _ in _fields_of_hint(hint)]:
        hints.setdefault(name, dict(_fields_of_hint(hint)).get(name))
        frame[name] = _column(pandas, [row.get(name) for row in flat], hints[name], frame.index)
    return frame


def _rows(value: Any, hint: Any) -> tuple[list[Any] | None, list[Any], Any]:
    """Return the index (None: numbers), the rows, and the hint of each."""
    hint = _plain_hint(hint)
    record = _record(value)
    if record is None:
        return None, [*value] if _is_list(value) else [value], _item_hint(hint) if _is_list(value) else hint
    items = [*record.values()]
    if len(items) == 1 and _is_list(items[0]) and all(_record(each) is not None for each in items[0]):
        item_hint = next((_item_hint(_plain_hint(each)) for _, each in _record_hints(value, hint)), None)
        if items[0] or [*_fields_of_hint(item_hint)]:
            return None, [*items[0]], item_hint
    is_mapping = isinstance(value, Mapping) and not [*_fields_of_hint(hint)]  # and no record whose fields are records
    if is_mapping and items and all(_record(each) is not None for each in items):
        arguments = typing.get_args(hint)
        return [*record], items, arguments[1] if len(arguments) == 2 else None
    return None, [value], hint


def _record(value: Any) -> dict[Any, Any] | None:
    """Return the fields of a record; None for what is none."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if hasattr(type(value), "model_fields"):
        return {**{name: getattr(value, name) for name in type(value).model_fields}, **(value.model_extra or {})}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and not hasattr(value, "_asdict")


def _flatten(
    value: Any, hint: Any, hints: dict[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Yield the columns of one row; `hints` gets what is known of their types."""
    record = _record(value)
    if record is None or depth > _MAX_DEPTH or (prefix and not record):
        name = prefix.removesuffix(".") or _VALUE
        hints[name] = hints.get(name) or hint
        yield name, value
        return
    known = dict(_record_hints(value, hint))
    for name, item in record.items():
        item_hint = known.get(str(name))
        if item is None and [*_fields_of_hint(_plain_hint(item_hint))]:
            continue  # an optional record that is missing: its columns are those of the other rows
        yield from _flatten(item, item_hint, hints, f"{prefix}{name}.", depth + 1)


# --- what is known of types


def _record_hints(value: Any, hint: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a record and their types, by its own class, else by the hint."""
    return _fields_of_hint(_plain_hint(hint) if isinstance(value, Mapping) else type(value))


def _fields_of_hint(hint: Any) -> Iterator[tuple[str, Any]]:
    hint = _plain_hint(hint)
    if hasattr(hint, "model_fields"):
        yield from ((name, each.annotation) for name, each in hint.model_fields.items())
    elif isinstance(hint, type) and (is_dataclass(hint) or hasattr(hint, "_fields") or hasattr(hint, "__total__")):
        try:
            found = typing.get_type_hints(hint)
        except Exception:  # a name that cannot be resolved
            found = {}
        yield from found.items()


def _plain_hint(hint: Any) -> Any:
    """Return a hint without what surrounds it: `Annotated`, `Required`, an alias, `| None`."""
    for _ in range(_MAX_DEPTH):
        origin = typing.get_origin(hint)
        if isinstance(hint, typing.TypeAliasType) if hasattr(typing, "TypeAliasType") else False:
            hint = hint.__value__
        elif origin in (typing.Annotated, typing.Required, typing.NotRequired):
            hint = typing.get_args(hint)[0]
        elif origin in (typing.Union, types.UnionType):
            options = [each for each in typing.get_args(hint) if each is not type(None)]
            if len(options) != 1:
                return None
            hint = options[0]
        else:
            break
    return hint


def _item_hint(hint: Any) -> Any:
    arguments = typing.get_args(hint)
    return arguments[0] if arguments else None


def _categories(hint: Any) -> list[str] | None:
    """Return the values that a hint permits, where it names them and they are texts: with numbers people calculate."""
    hint = _plain_hint(hint)
    if typing.get_origin(hint) is Literal:
        values = [each for each in typing.get_args(hint) if each is not None]
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        values = [*hint]
    else:
        return None
    values = [each.value if isinstance(each, enum.Enum) else each for each in values]
    return values if all(isinstance(each, str) for each in values) else None


# --- columns


def _column(pandas: Any, values: Sequence[Any], hint: Any, index: Any) -> Any:
    values = [_plain_value(value) for value in values]
    present = [value for value in values if value is not None]
    categories = _categories(hint)
    if categories is not None and all(value in categories for value in present):
        return pandas.Series(pandas.Categorical(values, categories=categories), index=index)
    kinds = {type(value) for value in present}
    dtype = _dtype(kinds, present) if present else _dtype({_plain_hint(hint)}, ())
    if dtype == "Int64" and _plain_hint(hint) is float:  # a default such as 0
        dtype = "Float64"
    if dtype == "datetime":
        aware = {value.tzinfo is not None for value in present if isinstance(value, dt.datetime)}
        if aware == {True, False} or len({getattr(value, "tzinfo", None) for value in present}) > 1:
            return pandas.Series(values, index=index, dtype="object")
        return pandas.Series(pandas.to_datetime(values), index=index)
    if dtype == "timedelta":
        return pandas.Series(pandas.to_timedelta(values), index=index)
    if dtype == "object":
        column = pandas.Series(index=index, dtype="object")
        for at, value in enumerate(values):  # lists and arrays, each in a cell of its own
            column.iat[at] = value
        return column
    column = pandas.Series(values, index=index, dtype="object").astype(dtype)
    if dtype == "str" and values:  # pandas 2 makes the text 'None' of what is missing
        column = column.mask([value is None for value in values], None)
    return column


def _plain_value(value: Any) -> Any:
    """Return a value as a cell holds it: an Enum's own value, the text of a URL, a path or an id."""
    if isinstance(value, enum.Enum):
        value = value.value
    if type(value).__name__ in ("UUID", "SecretStr", "SecretBytes") or type(value).__name__.endswith(("Url", "Path")):
        return str(value)
    return value


def _dtype(kinds: set[Any], values: Sequence[Any]) -> str:
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "Int64" if all(value in _INT64 for value in values) else "object"
    if kinds and kinds <= {int, float}:
        return "Float64"
    if kinds and all(isinstance(kind, type) and issubclass(kind, str) for kind in kinds):
        return "str"
    if kinds and all(isinstance(kind, type) and issubclass(kind, dt.date) for kind in kinds):
        return "datetime"
    if kinds == {dt.timedelta}:
        return "timedelta"
    return "object"
