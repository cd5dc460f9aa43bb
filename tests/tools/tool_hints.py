"""Hints, JSON for them, and a checker of Python values against hints that knows nothing of pydantic."""

import datetime
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict, is_typeddict


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Odd(Enum):
    ONE = 1
    HALF = 0.5
    TEXT = "1"


@dataclass
class Point:
    x: float
    y: int = 0


@dataclass
class Line:
    points: list[Point]
    colour: Colour | None = None


class Person(BaseModel):
    name: str
    age: int | None = None
    born: datetime.date | None = None
    place: Point | None = None


class Row(TypedDict):
    key: str
    count: NotRequired[int]


SCALARS = [str, int, float, bool, datetime.date, Colour, Level, Odd, Point, Line, Person, Row]
LITERALS = [Literal["a", "b"], Literal[1, 2], Literal[True], Literal["a", 1, None]]
HASHABLE = [str, int, float, bool, datetime.date, Colour, Literal["a", "b"]]
BARE = [list, dict, tuple, set, Any]


def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda item: list[item]),
        inner.map(lambda item: dict[str, item]),
        inner.map(lambda item: tuple[item, ...]),
        st.tuples(inner, inner).map(lambda two: tuple[two[0], two[1]]),
        inner.map(lambda item: item | None if item is not Any else Any),
        st.tuples(inner, inner).map(lambda two: Union[two[0], two[1]]),  # noqa: UP007 - of whatever they are
        st.sampled_from(HASHABLE).map(lambda item: set[item]),
        st.just(Annotated[int, Field(ge=0, le=5)]),
    )


HINTS = st.recursive(st.sampled_from(SCALARS + LITERALS + BARE), wider, max_leaves=4)
TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(["3", "true", "red", "a", "2026-11-24", "1.5", "null", ""]))
NUMBERS = st.one_of(
    st.integers(-3, 7), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([3.0, 0.5, 1.0, 10**30, 2.5])
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(TEXTS, st.sampled_from(["x", "y", "name", "age", "key", "count"])), inner, max_size=3
        ),
    ),
    max_leaves=6,
)


def fitting(hint: Any) -> st.SearchStrategy[Any]:
    """JSON that should fit a hint."""
    simple: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
        str: lambda: TEXTS,
        int: lambda: st.integers(-9, 9),
        float: lambda: NUMBERS,
        bool: st.booleans,
        datetime.date: lambda: st.dates().map(str),
        Any: lambda: JSON,
        list: lambda: st.lists(JSON, max_size=2),
        tuple: lambda: st.lists(JSON, max_size=2),
        set: lambda: st.lists(TEXTS, max_size=2),
        dict: lambda: st.dictionaries(TEXTS, JSON, max_size=2),
        type(None): st.none,
        Row: lambda: st.fixed_dictionaries({"key": TEXTS}, optional={"count": st.integers(0, 3)}),
        Point: lambda: st.fixed_dictionaries({"x": NUMBERS}, optional={"y": st.integers(0, 3)}),
        Line: lambda: st.fixed_dictionaries({"points": st.lists(fitting(Point), max_size=2)}),
        Person: lambda: st.fixed_dictionaries({"name": TEXTS}, optional={"born": st.dates().map(str)}),
    }
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in simple:
        return simple[hint]()
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from([item.value for item in hint])
    if origin is Annotated:
        return st.integers(0, 5)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([fitting(item) for item in arguments])
    if origin is dict:
        return st.dictionaries(TEXTS, fitting(arguments[1]), max_size=2)
    if origin is tuple and arguments[-1] is not ...:
        return st.tuples(*[fitting(item) for item in arguments]).map(list)
    return st.lists(fitting(arguments[0]), max_size=2)


def satisfies(value: Any, hint: Any) -> bool:
    """Whether a value is what a hint says; by type itself, so that True is no int."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin is Annotated:
        bounds = arguments[1].metadata
        return satisfies(value, arguments[0]) and bounds[0].ge <= value <= bounds[1].le
    if origin is Literal:
        return any(type(value) is type(item) and value == item for item in arguments)
    if origin in (Union, types.UnionType):
        return any(satisfies(value, item) for item in arguments)
    if origin in (list, set):
        return type(value) is origin and all(satisfies(item, arguments[0]) for item in value)
    if origin is dict:
        return type(value) is dict and all(
            satisfies(key, arguments[0]) and satisfies(item, arguments[1]) for key, item in value.items()
        )
    if origin is tuple:
        if arguments[-1] is ...:
            return type(value) is tuple and all(satisfies(item, arguments[0]) for item in value)
        return (
            type(value) is tuple
            and len(value) == len(arguments)
            and all(satisfies(item, wanted) for item, wanted in zip(value, arguments, strict=True))
        )
    if is_typeddict(hint):
        hints = typing.get_type_hints(hint)
        return (
            type(value) is dict
            and hint.__required_keys__ <= set(value) <= set(hints)
            and all(satisfies(item, hints[key]) for key, item in value.items())
        )
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return type(value) is hint and all(
            satisfies(getattr(value, item.name), hints[item.name]) for item in fields(hint)
        )
    if issubclass(hint, BaseModel):
        hints = typing.get_type_hints(hint)
        return type(value) is hint and all(satisfies(getattr(value, name), hints[name]) for name in hint.model_fields)
    return type(value) is hint
