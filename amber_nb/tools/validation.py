"""One JSON value → the typed value that a hint asks for, by pydantic: strict, except where JSON has no other form."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, TypeAdapter, ValidationError

from ..redact import secrets_in, without
from .arguments import ArgumentsError, not_this, path_text

__all__ = ["validated"]

_MOST_REPAIRS = 20
_MOST_COMPLAINTS = 5
_MOST_WHOLE = 2**53  # above, a float no longer tells whole numbers apart
# What strict mode refuses behind a validator that runs before (it takes the value for a Python one), though JSON has
# no other form for it.
_JSON_FORMS: dict[str, type] = {
    **dict.fromkeys(("date_type", "datetime_type", "time_type", "time_delta_type", "bytes_type"), str),
    **dict.fromkeys(("is_instance_of", "uuid_type", "decimal_type", "url_type", "complex_type"), str),
    **dict.fromkeys(("set_type", "frozen_set_type", "tuple_type", "named_tuple_type"), list),
    **dict.fromkeys(("model_type", "dataclass_type", "dataclass_exact_type", "model_class_type"), dict),
}
_SUBJECT = re.compile(r"^[A-Z][\w-]* should ")


@dataclass(frozen=True, slots=True)
class _Complaint:
    kind: str
    message: str
    value: Any
    path: tuple[str | int, ...]
    parent: Any  # the object or list that holds the value, None where it could not be found
    key: Any


def validated(
    adapter: TypeAdapter[Any], value: Any, path: tuple[str, ...], *, null_is_default: bool
) -> tuple[Any, Any]:
    """Check one JSON value.

    Args:
        adapter: of the hint.
        value: a JSON value, which is the caller's own copy: `3.0` becomes `3` in it where a whole number is wanted.
        path: what to call it.
        null_is_default: an inner `null` that does not fit stands for a field that is left out (OpenAI's strict form).

    Returns:
        The JSON value, and the typed one.

    Raises:
        ArgumentsError: it does not fit.
    """
    box = [value]
    for _ in range(_MOST_REPAIRS):
        text = json.dumps(box[0])
        complaints, typed = _tried(adapter, text, box, path, strict=True)
        if not complaints:
            return _named_once(box[0], typed, path), typed
        if not _repaired(complaints, null_is_default):
            break
    fits = _json_forms(complaints)
    if all(fits.values()):
        lax, typed = _tried(adapter, text, box, path, strict=False)
        if not lax:
            return _named_once(box[0], typed, path), typed
        complaints = lax
    else:  # what has the right form would be accepted, and is not blamed
        complaints = [one for one in complaints if not fits[one.path]]
    raise ArgumentsError(_told(complaints))


def _tried(
    adapter: TypeAdapter[Any], text: str, box: list[Any], path: tuple[str, ...], *, strict: bool
) -> tuple[list[_Complaint], Any]:
    try:
        return [], adapter.validate_json(text, strict=strict)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        return [_complaint(one["type"], one["msg"], one["input"], one["loc"], box, path) for one in found[:1_000]], None
    except Exception as error:  # of a validator of the user's
        said = without(str(error), secrets_in({path[-1]: box[0]} if path else box[0]))
        raise ArgumentsError(f"{path_text(path)}: cannot be checked ({type(error).__name__}: {said})"[:300]) from error


def _complaint(
    kind: str, message: str, value: Any, places: tuple[int | str, ...], box: list[Any], name: tuple[str, ...]
) -> _Complaint:
    """Follow pydantic's place into the data; it also names members of unions and functions, which are no steps."""
    parent: Any = box
    key: Any = 0
    path: list[str | int] = list(name)
    for step in places:
        here = parent[key]
        inside = step in here if isinstance(here, dict) else isinstance(here, list) and step in range(len(here))
        if inside:
            parent, key = here, step
            path.append(step)
    if kind == "missing":
        path.append(places[-1])
    elif kind != "json_invalid" and (type(parent[key]) is not type(value) or parent[key] != value):
        parent = None  # a key of the data is called like a member of a union
    return _Complaint(kind, message, value, tuple(path), parent, key)


def _repaired(complaints: list[_Complaint], null_is_default: bool) -> bool:
    """Whether something was put right in the data that says the same in JSON."""
    done = False
    for one in complaints:
        if one.parent is None or one.kind == "missing":
            continue
        if one.kind in ("int_type", "int_from_float", "literal_error", "enum") and isinstance(one.value, float):
            if one.value.is_integer() and abs(one.value) < _MOST_WHOLE:
                one.parent[one.key] = int(one.value)
                done = True
        elif null_is_default and one.value is None and isinstance(one.parent, dict):
            done = one.parent.pop(one.key, one) is not one or done
    return done


def _json_forms(complaints: list[_Complaint]) -> dict[tuple[str | int, ...], bool]:
    """Whether each value that strict mode refuses is the JSON form of what is wanted there."""
    fits: dict[tuple[str | int, ...], bool] = {}
    for one in complaints:
        wanted = _JSON_FORMS.get(one.kind)
        fits[one.path] = fits.get(one.path, False) or (wanted is not None and isinstance(one.value, wanted))
    return fits


def _named_once(value: Any, typed: Any, path: tuple[str | int, ...]) -> Any:
    """The JSON value; no field in it has been given by its name and by its alias, one of which would go unseen.

    Raises:
        ArgumentsError: one has.
    """
    inner: list[tuple[Any, Any, str | int]] = []
    if isinstance(value, list) and isinstance(typed, (list, tuple, deque)) and len(value) == len(typed):
        inner = list(zip(value, typed, range(len(value)), strict=True))
    elif isinstance(value, dict) and isinstance(typed, Mapping) and len(value) == len(typed):
        inner = [(one, made, name) for (name, one), made in zip(value.items(), typed.values(), strict=True)]
    elif isinstance(value, dict) and isinstance(typed, tuple):
        inner = [(value[name], getattr(typed, name), name) for name in getattr(typed, "_fields", ()) if name in value]
    elif isinstance(value, dict):
        for name, names in _names(type(typed)).items():
            given = [one for one in names if one in value]
            if len(given) > 1:
                raise ArgumentsError(f"{path_text((*path, given[0]))}: is given twice, as {given[1]} too")
            inner += [(value[key], getattr(typed, name, None), key) for key in given]
    for one, made, step in inner:
        if isinstance(one, (dict, list)):
            _named_once(one, made, (*path, step))
    return value


def _names(kind: type) -> dict[str, list[str]]:
    """The names by which a class takes each of its fields from JSON."""
    config: Mapping[str, Any] = getattr(kind, "model_config", getattr(kind, "__pydantic_config__", None)) or {}
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    found = {}
    for name, field in getattr(kind, "__pydantic_fields__", {}).items():
        alias = field.validation_alias or field.alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        found[name] = [one for one in choices if isinstance(one, str)]
        if by_name and name not in found[name]:
            found[name].append(name)
    taken = {one for name, names in found.items() for one in names if one != name}
    return {name: [one for one in names if one != name or one not in taken or len(names) == 1]
            for name, names in found.items()}  # fmt: skip


def _told(complaints: list[_Complaint]) -> str:
    by_path: dict[tuple[str | int, ...], list[_Complaint]] = {}
    for one in complaints:
        by_path.setdefault(one.path, []).append(one)
    lines = [f"{path_text(path)}: {_said(several)}" for path, several in list(by_path.items())[:_MOST_COMPLAINTS]]
    if len(by_path) > _MOST_COMPLAINTS:
        lines.append(f"and {len(by_path) - _MOST_COMPLAINTS} more")
    return "; ".join(lines)


def _said(complaints: list[_Complaint]) -> str:
    first = complaints[0]
    if first.kind == "missing":
        return "is missing"
    if first.kind == "extra_forbidden":
        return "no such field"
    end = not_this(first.path, first.value)
    words = dict.fromkeys(_words(one, secret=not end) for one in complaints[:4])
    return f"{without(' or '.join(words), secrets_in(first.value))[:400]}{end}"


def _words(one: _Complaint, *, secret: bool) -> str:
    if secret and one.kind in ("value_error", "assertion_error"):  # what a validator of the user's says may repeat it
        return "is not accepted"
    if one.kind == "json_invalid":
        return "should be JSON"
    message = one.message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return _SUBJECT.sub("should ", message)
