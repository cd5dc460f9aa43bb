"""The hint of a parameter → a pydantic adapter that never hands over anything else, or an error that names the hint."""

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

__all__ = ["adapter_of", "closer", "resolved", "text_of"]

_CONTAINERS = {
    *(list, set, frozenset, tuple, dict, collections.deque, collections.OrderedDict),
    *(abc.Sequence, abc.MutableSequence, abc.Collection, abc.Set, abc.MutableSet, abc.Mapping, abc.MutableMapping),
}


def resolved(annotation: Any, names: Mapping[str, Any], local: Mapping[str, Any], what: str) -> Any:
    """The hint behind an annotation, which may be a text.

    Args:
        annotation: as the function has it.
        names: the globals of the function.
        local: further names that can be seen from it.
        what: the parameter, as errors call it.

    Raises:
        TypeError: it names something that is not there.
    """
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, dict(names), dict(local), include_extras=True)["it"]
    except NameError as error:
        raise TypeError(
            f"{what}: the hint {text_of(annotation)} names {error.name!r}, which cannot be found. Define it at the top "
            "level, before the function, and not in a function or under TYPE_CHECKING."
        ) from None
    except Exception as error:  # whatever a text evaluates to
        raise TypeError(f"{what}: the hint {text_of(annotation)} cannot be read ({error}).") from error


def adapter_of(hint: Any, what: str) -> TypeAdapter[Any]:
    """The adapter of a hint.

    Raises:
        TypeError: no JSON can become such a value.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(closer(hint))
        adapter.json_schema(schema_generator=SchemaGenerator)
        refused = _refused(adapter.core_schema)
    except PydanticUndefinedAnnotation as error:
        raise TypeError(f"{what}: the hint {text_of(hint)} names {error.name!r}, which cannot be found.") from None
    except PydanticUserError as error:
        reason = str(error).split("\n")[0].partition(" Set `arbitrary")[0].rstrip(".")
        raise TypeError(f"{what}: {_no_json(hint)} ({reason}).") from error
    except Exception as error:  # of what the hint is made of
        raise TypeError(f"{what}: {_no_json(hint)} ({type(error).__name__}: {error})"[:500]) from error
    if refused == "generator":
        raise TypeError(
            f"{what}: the hint {text_of(hint)} holds an Iterable or Generator, which would only be checked while the "
            "function runs. Write list or Sequence."
        )
    if refused:
        raise TypeError(f"{what}: {_no_json(hint)}.")
    return adapter


def _no_json(hint: Any) -> str:
    return (
        f"no JSON value can become a {text_of(hint)}. Take another hint, or bind the argument beforehand with "
        "functools.partial"
    )


def text_of(hint: Any) -> str:
    """A hint as it is written, at most 100 characters."""
    text = hint if isinstance(hint, str) else hint.__qualname__ if type(hint) is type else repr(hint)
    text = text.removeprefix("typing.")
    return text if len(text) <= 100 else text[:99] + "…"


def closer(hint: Any) -> Any:
    """The hint, said closer: 1 and true are two things to JSON, if not to Python; and an Iterable is read at once."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _told_apart(hint, list(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(closer(arguments[0]), *arguments[1:])]
    if origin is Literal:
        return _told_apart(hint, list(arguments))
    if origin is Union or origin is types.UnionType:
        return Union[tuple(closer(one) for one in arguments)]  # noqa: UP007 - there is no other way to spell it
    if origin is abc.Iterable:
        return list[closer(arguments[0])] if arguments else list  # type: ignore[misc]
    if hint is abc.Iterable:
        return list
    if origin in _CONTAINERS and arguments:
        return origin[tuple(one if one is ... else closer(one) for one in arguments)]
    return hint


def _told_apart(hint: Any, members: list[Any]) -> Any:
    is_enum = any(isinstance(one, Enum) for one in members)
    if (is_enum and get_origin(hint) is Literal) or not all(isinstance(_raw(one), str) for one in members):
        return Annotated[hint, BeforeValidator(partial(_member, members))]
    return hint


def _member(members: list[Any], value: Any) -> Any:
    for one in members:
        if _equal(_value(one), value):
            return one
    if isinstance(value, (bool, int, float)) and any(_value(one) == value for one in members):
        raise ValueError(f"should be {' or '.join(repr(_value(one)) for one in members[:20])}")
    return value


def _raw(member: Any) -> Any:
    return member.value if isinstance(member, Enum) else member


def _value(member: Any) -> Any:
    """What a member is in JSON, as the schema offers it."""
    value = _raw(member)
    try:
        return to_jsonable_python(value)
    except ValueError:  # of pydantic, for what has no form there
        return value


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _refused(schema: Any) -> str | None:
    """A kind of value in pydantic's core schema that JSON cannot give, or that would be checked too late."""
    waiting: list[Any] = [schema]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            if one.get("type") in ("generator", "is-subclass") and ("cls" in one or one["type"] == "generator"):
                return str(one["type"])
            waiting += [inner for key, inner in one.items() if key not in ("metadata", "serialization", "default")]
        elif isinstance(one, (list, tuple)):
            waiting += one
    return None
