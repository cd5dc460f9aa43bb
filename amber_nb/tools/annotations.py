"""Type hints as pydantic adapters that never hand over another type; errors name the parameter and its hint."""

from __future__ import annotations

import collections
import types
import typing
from collections import abc
from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import to_jsonable_python

from .schema import SchemaGenerator

__all__ = ["build_adapter", "resolve_annotation", "tighten_hint"]

_CONTAINERS = {
    *(list, set, frozenset, tuple, dict, collections.deque, collections.OrderedDict),
    *(abc.Sequence, abc.MutableSequence, abc.Collection, abc.Set, abc.MutableSet, abc.Mapping, abc.MutableMapping),
}


def resolve_annotation(
    annotation: Any, global_names: Mapping[str, Any], local_names: Mapping[str, Any], where: str
) -> Any:
    """Return the type hint of an annotation, which may be a text.

    Args:
        annotation: as the function has it.
        global_names: of the function's module.
        local_names: further names that the function sees.
        where: the parameter, for errors.

    Raises:
        TypeError: the annotation names something that is not there, or cannot be read.
    """
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, dict(global_names), dict(local_names), include_extras=True)["it"]
    except NameError as error:
        raise TypeError(
            f"{where}: the hint {_format_hint(annotation)} names {error.name!r}, which cannot be found. Define it at "
            "the top level, before the function, and not in a function or under TYPE_CHECKING."
        ) from None
    except Exception as error:  # whatever a text evaluates to
        raise TypeError(f"{where}: the hint {_format_hint(annotation)} cannot be read ({error}).") from error


def build_adapter(hint: Any, where: str) -> TypeAdapter[Any]:
    """Build the adapter of a hint, tightened.

    Args:
        hint: a resolved type hint.
        where: the parameter, for errors.

    Raises:
        TypeError: no JSON value can become such a value.
    """
    no_json = (
        f"{where}: no JSON value can become a {_format_hint(hint)}. Take another hint, or bind the argument beforehand "
        "with functools.partial"
    )
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(tighten_hint(hint))
        adapter.json_schema(schema_generator=SchemaGenerator)
        unsupported = _find_unsupported(adapter.core_schema)
    except PydanticUndefinedAnnotation as error:
        raise TypeError(
            f"{where}: the hint {_format_hint(hint)} names {error.name!r}, which cannot be found."
        ) from None
    except PydanticUserError as error:
        reason = str(error).split("\n")[0].partition(" Set `arbitrary")[0].rstrip(".")
        raise TypeError(f"{no_json} ({reason}).") from error
    except Exception as error:  # of what the hint consists of
        raise TypeError(f"{no_json} ({type(error).__name__}: {error})"[:500]) from error
    if unsupported == "generator":
        raise TypeError(
            f"{where}: the hint {_format_hint(hint)} holds an Iterable or Generator, which would only be checked while "
            "the function runs. Write list or Sequence."
        )
    if unsupported:
        raise TypeError(f"{no_json}.")
    return adapter


def _format_hint(hint: Any) -> str:
    text = hint if isinstance(hint, str) else hint.__qualname__ if type(hint) is type else repr(hint)
    text = text.removeprefix("typing.")
    return text if len(text) <= 100 else text[:99] + "…"


def _find_unsupported(core_schema: Any) -> str | None:
    """Return a type in pydantic's core schema that JSON cannot give, or that would be checked too late."""
    unvisited: list[Any] = [core_schema]
    seen: set[int] = set()
    while unvisited:
        part = unvisited.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if part.get("type") == "generator" or (part.get("type") == "is-subclass" and "cls" in part):
                return str(part["type"])
            unvisited += [inner for key, inner in part.items() if key not in ("metadata", "serialization", "default")]
        elif isinstance(part, (list, tuple)):
            unvisited += part
    return None


def tighten_hint(hint: Any) -> Any:
    """Tighten a hint: keep `1` and `True` apart in enums and literals, turn `Iterable[T]` into `list[T]`."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _match_exactly(hint, list(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(tighten_hint(arguments[0]), *arguments[1:])]
    if origin is Literal:
        return _match_exactly(hint, list(arguments))
    if origin is Union or origin is types.UnionType:
        return Union[tuple(map(tighten_hint, arguments))]  # noqa: UP007 - there is no other way to spell it
    if abc.Iterable in (hint, origin):
        return list[tighten_hint(arguments[0])] if arguments else list  # type: ignore[misc]
    if origin in _CONTAINERS and arguments:
        return origin[tuple(argument if argument is ... else tighten_hint(argument) for argument in arguments)]
    return hint


def _match_exactly(hint: Any, members: list[Any]) -> Any:
    """Have JSON values compared with members as JSON does; members that are texts need no help."""
    is_literal_of_enum = get_origin(hint) is Literal and any(isinstance(member, Enum) for member in members)
    if is_literal_of_enum or not all(isinstance(_unwrap_enum(member), str) for member in members):
        return Annotated[hint, BeforeValidator(partial(_find_member, members))]
    return hint


def _find_member(members: list[Any], value: Any) -> Any:
    json_forms = [_to_json_form(member) for member in members]
    for member, json_form in zip(members, json_forms, strict=True):
        if isinstance(json_form, bool) == isinstance(value, bool) and json_form == value:
            return member
    if isinstance(value, (bool, int, float)) and value in json_forms:
        raise ValueError(f"should be {' or '.join(map(repr, json_forms[:20]))}")
    return value


def _unwrap_enum(member: Any) -> Any:
    return member.value if isinstance(member, Enum) else member


def _to_json_form(member: Any) -> Any:
    """Return a member as the schema offers it."""
    value = _unwrap_enum(member)
    try:
        return to_jsonable_python(value)
    except ValueError:  # of pydantic, for what has no JSON form
        return value
