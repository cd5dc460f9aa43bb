"""The arguments of a tool call: parsed from the model's text, and checked against type hints by pydantic.

A call may also bring arguments that a reader or a policy has edited; they pass the same checks.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import chain
from typing import Any, NamedTuple, NoReturn

from pydantic import AliasChoices, TypeAdapter, ValidationError

from ..redact import collect_secrets, is_secret, redact, scrub
from ..types import replace_surrogates

__all__ = [
    "ArgumentsError",
    "Path",
    "describe_unknown",
    "ensure_json",
    "format_actual",
    "format_path",
    "parse_arguments",
    "preview",
    "validate_value",
]

Path = tuple[str | int, ...]  # names and positions from the outermost inwards

MAX_CHARACTERS = 1_000_000  # of the model's text
MAX_DEPTH = 100
MAX_DIGITS = 308  # of an integer: beyond, it is infinite as a float
_PREVIEW_CHARACTERS = 60  # of a wrong value
_MAX_REPAIRS = 20
_MAX_PROBLEMS = 5
_MAX_EXACT_INTEGER = 2**53  # above, a float no longer tells integers apart
_TOO_DEEP = f"The arguments nest deeper than {MAX_DEPTH} levels."
# Behind a "before" validator, strict mode refuses these although JSON has no other form for them.
_JSON_FORMS: dict[str, type] = {
    **dict.fromkeys(("date_type", "datetime_type", "time_type", "time_delta_type", "bytes_type"), str),
    **dict.fromkeys(("is_instance_of", "uuid_type", "decimal_type", "url_type", "complex_type"), str),
    **dict.fromkeys(("set_type", "frozen_set_type", "tuple_type", "named_tuple_type"), list),
    **dict.fromkeys(("model_type", "dataclass_type", "dataclass_exact_type", "model_class_type"), dict),
}
_SUBJECT = re.compile(r"^[A-Z][\w-]* should ")


class ArgumentsError(Exception):
    """The arguments do not fit; the text is sent to the model, and names each wrong argument."""


# --- from text to JSON values


def parse_arguments(text: str) -> dict[str, Any]:
    """Parse the JSON object that a model wrote as arguments; a blank text and `null` have none.

    Raises:
        ArgumentsError: the text is no JSON object, repeats a name, holds NaN, an infinite number or a lone surrogate,
            nests deeper than 100 levels, or is longer than 1,000,000 characters.
    """
    if len(text) > MAX_CHARACTERS:
        raise ArgumentsError(
            f"The arguments have {len(text):,} characters; at most {MAX_CHARACTERS:,} are read. Send less."
        )
    if text.strip() in ("", "null"):
        return {}
    try:
        value = json.loads(
            text,
            object_pairs_hook=_parse_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
            parse_int=_parse_int,
        )
    except json.JSONDecodeError as error:
        raise ArgumentsError(f"The arguments are no JSON: {error.msg} at character {error.pos + 1}.") from None
    except RecursionError:
        raise ArgumentsError(_TOO_DEEP) from None
    return ensure_json(value)


def _parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ArgumentsError(f"The arguments name {preview(name)} twice.")
        values[name] = value
    return values


def _refuse_constant(text: str) -> NoReturn:
    raise ArgumentsError(f"The arguments hold {text}, which is no JSON.")


def _parse_float(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ArgumentsError(f"The number {text[:_PREVIEW_CHARACTERS]} is too large.")
    return value


def _parse_int(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ArgumentsError(f"A number of {len(text):,} digits is too large.")
    return int(text)


def ensure_json(arguments: Any) -> dict[str, Any]:
    """Return a deep copy of arguments as plain dicts, lists and scalars; tuples count as lists.

    Raises:
        ArgumentsError: they are no mapping, or hold something that is no JSON value.
    """
    if not isinstance(arguments, Mapping):
        raise ArgumentsError(f"The arguments must be a JSON object, not {preview(arguments)}.")
    copy: dict[str, Any] = _copy_json(arguments, ())
    return copy


def _copy_json(value: Any, path: Path) -> Any:
    if len(path) > MAX_DEPTH:
        raise ArgumentsError(_TOO_DEEP)
    kind = type(value)
    if kind is str and replace_surrogates(value) != value:
        mistake = "holds half a character (a lone surrogate)"
    elif kind is int and abs(value) >= 10**MAX_DIGITS:
        mistake = "the number is too large"
    elif kind is float and not math.isfinite(value):
        mistake = f"{value} is no JSON value"
    elif value is None or kind in (bool, int, float, str):
        return value
    elif isinstance(value, Mapping):
        where = format_path(path) if path else "The arguments"
        for name in value:
            if type(name) is not str:
                raise ArgumentsError(f"{where}: the name {preview(name)} is no text.")
            if replace_surrogates(name) != name:
                raise ArgumentsError(f"{where}: a name holds half a character (a lone surrogate).")
        return {name: _copy_json(inner, (*path, name)) for name, inner in value.items()}
    elif isinstance(value, (list, tuple)):
        return [_copy_json(inner, (*path, index)) for index, inner in enumerate(value)]
    else:
        mistake = f"a {kind.__name__} is no JSON value"
    raise ArgumentsError(f"{format_path(path)}: {mistake}.")


# --- from JSON values to typed values


class _Problem(NamedTuple):
    """An error of pydantic's, and where its value lies: `parent[key]`; no parent if that could not be found."""

    type: str
    message: str
    value: Any
    path: Path
    parent: Any
    key: Any


_Problems = dict[Path, list[_Problem]]


def validate_value(
    adapter: TypeAdapter[Any], value: Any, path: tuple[str, ...], *, null_is_default: bool
) -> tuple[Any, Any]:
    """Validate one JSON value in pydantic's strict mode; what JSON has no other form for is converted.

    Args:
        adapter: of the type hint.
        value: a JSON value, which may be changed: `3.0` becomes `3` where an integer is wanted.
        path: names the value in errors.
        null_is_default: an inner `null` that does not fit means that the field is left out (OpenAI's strict form).

    Returns:
        The JSON value, and the typed value.

    Raises:
        ArgumentsError: the value does not fit.
    """
    holder = [value]
    for _ in range(_MAX_REPAIRS):
        problems, typed = _validate(adapter, holder, path, strict=True)
        if not _repair(problems, null_is_default):
            break
    wrong = {
        place: same
        for place, same in problems.items()
        if not any(isinstance(problem.value, _JSON_FORMS.get(problem.type, ())) for problem in same)
    }
    if problems and not wrong:
        wrong, typed = _validate(adapter, holder, path, strict=False)
    if wrong:
        lines = [f"{format_path(place)}: {_describe(same)}" for place, same in list(wrong.items())[:_MAX_PROBLEMS]]
        if len(wrong) > _MAX_PROBLEMS:
            lines.append(f"and {len(wrong) - _MAX_PROBLEMS} more")
        raise ArgumentsError("; ".join(lines))
    _refuse_doubled_fields(holder[0], typed, path)
    return holder[0], typed


def _validate(adapter: TypeAdapter[Any], holder: list[Any], path: Path, *, strict: bool) -> tuple[_Problems, Any]:
    problems: _Problems = {}
    try:
        return problems, adapter.validate_json(json.dumps(holder[0]), strict=strict)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False)[:1_000]:
            problem = _locate(detail, holder, path)
            problems.setdefault(problem.path, []).append(problem)
        return problems, None
    except Exception as error:  # of a validator of the user's
        secrets = collect_secrets({path[-1]: holder[0]} if path else holder[0])
        message = f"{type(error).__name__}: {scrub(str(error), secrets)}"
        raise ArgumentsError(f"{format_path(path)}: cannot be checked ({message})"[:300]) from error


def _locate(detail: Any, holder: list[Any], path: Path) -> _Problem:
    """Follow pydantic's `loc` into the data; it also names members of unions and functions, which are no steps."""
    parent: Any = holder
    key: Any = 0
    for step in detail["loc"]:
        here = parent[key]
        if step in here if isinstance(here, dict) else isinstance(here, list) and step in range(len(here)):
            parent, key = here, step
            path = (*path, step)
    value = detail["input"]
    if detail["type"] == "missing":
        return _Problem("missing", "", value, (*path, detail["loc"][-1]), None, None)
    if type(parent[key]) is not type(value) or parent[key] != value:
        parent = None  # a name in the data is also that of a member of a union
    return _Problem(detail["type"], detail["msg"], value, path, parent, key)


def _repair(problems: _Problems, null_is_default: bool) -> bool:
    """Change values in the data to what means the same in JSON and may fit; return whether any has changed."""
    is_changed = False
    for problem in chain.from_iterable(problems.values()):
        if isinstance(problem.value, float) and problem.type in ("int_type", "int_from_float", "literal_error", "enum"):
            if problem.parent is not None and problem.value.is_integer() and abs(problem.value) < _MAX_EXACT_INTEGER:
                problem.parent[problem.key] = int(problem.value)
                is_changed = True
        elif null_is_default and problem.value is None and isinstance(problem.parent, dict):
            is_changed = problem.parent.pop(problem.key, problem) is not problem or is_changed
    return is_changed


def _refuse_doubled_fields(value: Any, typed: Any, path: Path) -> None:
    """Refuse a field given by its name and by its alias: a policy would read one, the function get the other."""
    inner: list[tuple[Any, Any, str | int]] = []
    if isinstance(value, list) and isinstance(typed, (list, tuple, deque)) and len(value) == len(typed):
        inner = list(zip(value, typed, range(len(value)), strict=True))
    elif isinstance(value, dict) and isinstance(typed, Mapping) and len(value) == len(typed):
        inner = list(zip(value.values(), typed.values(), value, strict=True))
    elif isinstance(value, dict) and isinstance(typed, tuple):
        inner = [(value[name], getattr(typed, name), name) for name in getattr(typed, "_fields", ()) if name in value]
    elif isinstance(value, dict):
        for field, names in _input_names(type(typed)).items():
            used = [name for name in names if name in value]
            if len(used) > 1:
                raise ArgumentsError(f"{format_path((*path, used[0]))}: is given twice, as {used[1]} too")
            inner += [(value[name], getattr(typed, field, None), name) for name in used]
    for inner_value, inner_typed, step in inner:
        if isinstance(inner_value, (dict, list)):
            _refuse_doubled_fields(inner_value, inner_typed, (*path, step))


def _input_names(cls: type) -> dict[str, list[str]]:
    """Map each field of a class to the names by which JSON may give it."""
    config: Mapping[str, Any] = getattr(cls, "model_config", getattr(cls, "__pydantic_config__", None)) or {}
    is_by_name = config.get("populate_by_name") or config.get("validate_by_name")
    names: dict[str, list[str]] = {}
    for field, info in getattr(cls, "__pydantic_fields__", {}).items():
        alias = info.validation_alias or info.alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or field]
        names[field] = [choice for choice in choices if isinstance(choice, str)]
        if is_by_name and field not in names[field]:
            names[field].append(field)
    aliases = {name for field, taken in names.items() for name in taken if name != field}
    return {
        field: [name for name in taken if name != field or name not in aliases or len(taken) == 1]
        for field, taken in names.items()
    }


# --- messages


def _describe(problems: list[_Problem]) -> str:
    """Describe what is wrong with one value, to which each member of a union may object."""
    first = problems[0]
    if first.type == "missing":
        return "is missing"
    if first.type == "extra_forbidden":
        return "no such field"
    actual = format_actual(first.path, first.value)
    messages = []
    for problem in problems[:4]:
        message = problem.message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if problem.type in ("value_error", "assertion_error") and not actual:
            message = "is not accepted"  # the message of a user's validator may repeat a secret
        messages.append(_SUBJECT.sub("should ", message))
    text: str = scrub(" or ".join(dict.fromkeys(messages)), collect_secrets(first.value))
    return f"{text[:400]}{actual}"


def format_path(path: Path) -> str:
    """Format a place in the arguments, such as `guests[2].name`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if len(step) <= _PREVIEW_CHARACTERS else step[: _PREVIEW_CHARACTERS - 1] + "…"
            text += f".{name}" if text else name
    return replace_surrogates(text) or "the arguments"


def format_actual(path: Path, value: Any) -> str:
    """Format the end of an error, such as `, not 3`; empty where the path says that the value is a secret."""
    is_hidden = any(isinstance(step, str) and is_secret(step) for step in path)
    return "" if is_hidden else f", not {preview(redact(value))}"


def preview(value: Any) -> str:
    """Return a value as JSON of at most 60 characters."""
    if isinstance(value, str):
        value = value[: _PREVIEW_CHARACTERS + 1]  # a megabyte is not written out only to be cut
    elif isinstance(value, (dict, list, tuple)) and len(value) > _PREVIEW_CHARACTERS:
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return replace_surrogates(text if len(text) <= _PREVIEW_CHARACTERS else text[: _PREVIEW_CHARACTERS - 1] + "…")


def describe_unknown(name: str, known: list[str], part: str = "argument") -> str:
    """Say that a name is unknown, and suggest a similar one or list the known; `part` is what a name stands for."""
    if near := get_close_matches(name[:200], known, 1):
        return f"no such {part}; is it {near[0]}?"
    return f"no such {part}; " + (f"there are {', '.join(known[:20])}" if known else "there are none")
