"""The model's arguments → a call: never entered with a type other than hinted, and errors that a model can act upon."""

import datetime
import functools
import inspect
import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator
from tool_hints import HINTS, JSON, Colour, Level, Odd, Person, Point, Row, fitting, satisfies

from amber_nb.tools import ArgumentsError, parse_arguments, structured, tool, tools_from

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
}


def tool_with(hint, default=inspect.Parameter.empty):
    """A tool whose function has one parameter, and hands it back."""

    def takes(a):
        return a

    takes.__annotations__["a"] = hint
    takes.__defaults__ = None if default is inspect.Parameter.empty else (default,)
    return tools_from(takes)["takes"]


def receive(hint, value):
    return tool_with(hint).prepare({"a": value})[1]()


def refusal(subject, arguments):
    """What the model is told of wrong arguments."""
    with pytest.raises(ArgumentsError) as error:
        subject.prepare(arguments)
    return str(error.value)


COUNTS = {"ran": 0, "refused": 0}


@st.composite
def calls(draw):
    """A signature, and arguments of which most should fit."""
    hints = draw(st.lists(HINTS, min_size=1, max_size=3))
    names = ["x", "unit", "größe"][: len(hints)]
    optional = draw(st.integers(0, len(hints)))
    kind = draw(
        st.sampled_from(
            [inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY]
        )
    )
    arguments = {}
    for number, (name, hint) in enumerate(zip(names, hints, strict=True)):
        if number < optional or draw(st.booleans()):
            arguments[name] = draw(fitting(hint) if draw(st.integers(0, 3)) else JSON)
    if not draw(st.integers(0, 9)):
        arguments["stranger"] = 1
    return list(zip(names, hints, strict=True)), optional, kind, arguments


MISSING = object()


@settings(suppress_health_check=list(HealthCheck))
@given(calls())
def test_a_function_is_never_entered_with_another_type(call):
    hints, required, kind, arguments = call
    calls_seen = []

    def function(*args, **kwargs):
        calls_seen.append(function.__signature__.bind(*args, **kwargs).arguments)

    function.__signature__ = inspect.Signature(
        [
            inspect.Parameter(
                name, kind, annotation=hint, default=inspect.Parameter.empty if number < required else MISSING
            )
            for number, (name, hint) in enumerate(hints)
        ]
    )
    subject = tools_from(function)["function"]
    before = json.loads(json.dumps(arguments))
    try:
        checked, run = subject.prepare(arguments)
    except ArgumentsError as error:
        COUNTS["refused"] += 1
        assert str(error)  # noqa: PT017
        assert not calls_seen
        return
    assert not calls_seen
    assert arguments == before  # left as they were
    run()
    (values,) = calls_seen
    assert {name for name, value in values.items() if value is not MISSING} == set(checked)
    left_out = arguments.keys() - checked.keys()  # null for what may be left out, where the hint takes none
    optional = {name for name, _ in hints[required:]}
    assert all(name in optional and arguments[name] is None for name in left_out)
    wanted = dict(hints)
    for name, value in values.items():
        assert value is MISSING or satisfies(value, wanted[name]), (name, value, wanted[name])
    assert checked == {name: value for name, value in arguments.items() if name in checked}  # 3.0 == 3
    json.dumps(checked, allow_nan=False)
    COUNTS["ran"] += 1


def test_hypothesis_saw_both_ends():
    if not sum(COUNTS.values()):
        pytest.skip("the test above has not run")
    assert min(COUNTS.values()) >= sum(COUNTS.values()) // 20


@given(st.data())
@settings(suppress_health_check=list(HealthCheck))
def test_what_fits_is_taken(data):
    hint = data.draw(HINTS)
    value = data.draw(fitting(hint))
    try:
        typed = receive(hint, value)
    except ArgumentsError as error:
        words = str(error)
    else:
        assert satisfies(typed, hint)
        return
    # A set of what Python cannot hash is all that fits in JSON and is refused.
    assert "hashable" in words, (hint, value, words)


@pytest.mark.parametrize(
    ("hint", "value", "wanted"),
    [
        (int, 3.0, 3),
        (float, 3, 3.0),
        (float | None, None, None),
        (list[int], [1, 2.0], [1, 2]),
        (dict[str, list[int]], {"a": [4.0]}, {"a": [4]}),
        (int | str, 3.0, 3),
        (int | list[int], [3.0], [3]),
        (Point, {"x": 1, "y": 2.0}, Point(1.0, 2)),
        (datetime.date, "2026-11-24", datetime.date(2026, 11, 24)),
        (datetime.datetime, "2026-11-24T08:30:00", datetime.datetime(2026, 11, 24, 8, 30)),
        (datetime.time, "08:30", datetime.time(8, 30)),
        (datetime.timedelta, "PT90S", datetime.timedelta(seconds=90)),
        (Colour, "red", Colour.RED),
        (Level, 1, Level.LOW),
        (Odd, 0.5, Odd.HALF),
        (Odd, "1", Odd.TEXT),
        (Literal[Colour.RED, "x"], "red", Colour.RED),
        (Literal[1, 2], 2.0, 2),
        (set[str], ["a", "a"], {"a"}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (Sequence[int], [1], [1]),
        (Iterable[int], [1], [1]),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (dict[Colour, int], {"red": 1}, {Colour.RED: 1}),
        (Decimal, "1.50", Decimal("1.50")),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (Path, "/tmp/x", Path("/tmp/x")),
        (Person, {"name": "Ada", "born": "1815-12-10"}, Person(name="Ada", born=datetime.date(1815, 12, 10))),
        (Row, {"key": "a", "count": 1}, {"key": "a", "count": 1}),
        (Any, {"a": [1.0, None]}, {"a": [1.0, None]}),
        (str, "x" * 1_500_000, "x" * 1_500_000),
    ],
)
def test_what_json_can_say(hint, value, wanted):
    typed = receive(hint, value)
    assert typed == wanted
    assert type(typed) is type(wanted)


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (int, "3", 'a: should be a valid integer, not "3"'),
        (int, 3.7, "a: should be a valid integer, not 3.7"),
        (int, True, "a: should be a valid integer, not true"),
        (int, None, "a: should be a valid integer, not null"),
        (bool, 1, "a: should be a valid boolean, not 1"),
        (bool, "true", 'a: should be a valid boolean, not "true"'),
        (float, True, "a: should be a valid number, not true"),
        (float, "1", 'a: should be a valid number, not "1"'),
        (str, 3, "a: should be a valid string, not 3"),
        (Colour, "RED", "a: should be 'red' or 'blue', not \"RED\""),
        (Level, True, "a: should be 1 or 2, not true"),
        (Literal[1, 2], True, "a: should be 1 or 2, not true"),
        (Literal[True], 1, "a: should be True, not 1"),
        (datetime.date, "tomorrow", "a: should be a valid date"),
        (datetime.date, 20000, "a: should be a valid date, not 20000"),
        (list[int], [1, "x"], 'a[1]: should be a valid integer, not "x"'),
        (list[int], "1,2", 'a: should be a valid array, not "1,2"'),
        (dict[str, Point], {"p": {"y": 1}}, "a.p.x: is missing"),
        (Person, {"name": 3, "born": "x"}, "a.name: should be a valid string, not 3; a.born: should be a valid date"),
        (tuple[int, str], [1], "a[1]: is missing"),
        (Annotated[int, Field(ge=1)], 0, "a: should be greater than or equal to 1, not 0"),
        (Annotated[str, Field(max_length=2)], "abc", 'a: should have at most 2 characters, not "abc"'),
        (int | list[int], "x", 'a: should be a valid integer or should be a valid array, not "x"'),
        (float, 10**400, "a: the number is too large"),
        (Any, math.nan, "a: nan is no JSON value"),
        (Any, {"b": {1, 2}}, "a.b: a set is no JSON value"),
        (Any, {1: 2}, "a: the name 1 is no text"),
        (str, "\ud800", "a: holds half a character"),
        (str, {"b": "x" * 100}, "a: should be a valid string, not "),
    ],
)
def test_what_misleads_is_refused(hint, value, message):
    text = refusal(tool_with(hint), {"a": value})
    assert text.startswith(message)
    assert len(text) < 200


def weather(location: str, unit: Literal["celsius", "fahrenheit"] = "celsius", days: int = 1): ...


def test_names_are_checked_and_every_mistake_is_told():
    subject = tools_from(weather)["weather"]
    text = refusal(subject, {"locaton": "Aachen", "unit": "kelvin", "days": "x"})
    assert text == (
        "locaton: no such argument; is it location?; unit: should be 'celsius' or 'fahrenheit', not \"kelvin\"; "
        'days: should be a valid integer, not "x"; location: is missing'
    )
    assert refusal(subject, {"location": "A", "zzz": 1}) == "zzz: no such argument; there are unit, days"


def test_other_arguments_are_not_given_away():
    def login(user: str, password: str, count: int): ...

    subject = tools_from(login)["login"]
    text = refusal(subject, {"user": "ada", "password": "hunter2", "count": "many"})
    assert text == 'count: should be a valid integer, not "many"'
    assert "hunter2" not in refusal(subject, {"password": "hunter2", "count": 1})


def test_what_is_checked_is_what_was_given():
    subject = tools_from(weather)["weather"]
    assert subject.prepare({"location": "A"})[0] == {"location": "A"}
    checked = subject.prepare({"location": "A", "days": 3.0})[0]
    assert checked == {"location": "A", "days": 3}
    assert type(checked["days"]) is int
    before = {"location": "A"}
    assert subject.prepare(before)[0] is not before


def test_null_and_what_is_left_out():
    def both(a: int | None = None, b: int = 5, c: int | None = 7):
        return a, b, c

    subject = tools_from(both)["both"]
    assert subject.prepare({})[1]() == (None, 5, 7)
    assert subject.prepare({"a": None, "c": None})[1]() == (None, 5, None)
    assert subject.prepare({"b": None})[1]() == (None, 5, 7)  # as many models write what they leave out
    assert refusal(subject, {"b": "x"}).startswith("b: should be a valid integer")
    strict = tools_from(tool(both, strict=True))["both"]
    assert strict.prepare({"a": None, "b": None, "c": None})[1]() == (None, 5, 7)
    assert strict.prepare({"a": None, "b": None, "c": 3})[0] == {"c": 3}


def test_null_within_the_strict_form():
    @tool(strict=True)
    def draw(point: Point, rows: list[Row]):
        return point, rows

    subject = tools_from(draw)["draw"]
    arguments = {"point": {"x": 1, "y": None}, "rows": [{"key": "a", "count": None}]}
    assert subject.prepare(arguments)[1]() == (Point(1.0, 0), [{"key": "a"}])
    assert arguments["point"] == {"x": 1, "y": None}
    assert refusal(subject, {"point": {"x": None, "y": 1}, "rows": []}) == "point.x: is missing"


def places(
    a: int, b: int = Field(2, ge=0), /, c: int = 3, *more: int, d: int = Field(default_factory=lambda: 4), **other: int
):
    return a, b, c, more, d, other


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"a": 1}, (1, 2, 3, (), 4, {})),
        ({"a": 1, "c": 5}, (1, 2, 5, (), 4, {})),
        ({"a": 1, "more": [8, 9]}, (1, 2, 3, (8, 9), 4, {})),
        ({"a": 1, "b": 7, "d": 6, "z": 0}, (1, 7, 3, (), 6, {"z": 0})),
        ({"a": 1, "more": []}, (1, 2, 3, (), 4, {})),
    ],
)
def test_every_kind_of_parameter(arguments, wanted):
    subject = tools_from(places)["places"]
    assert subject.prepare(arguments)[1]() == wanted
    assert refusal(subject, {"a": 1, "z": "x"}) == 'z: should be a valid integer, not "x"'


def test_only_positional_with_defaults():
    def three(a=1, b=2, c=3, /):
        return a, b, c

    assert tools_from(three)["three"].prepare({"b": 5})[1]() == (1, 5, 3)


def test_a_partial_keeps_what_it_binds():
    def search(engine: object, query: str, limit: int = 3):
        return engine, query, limit

    subject = tools_from(functools.partial(search, engine="bound"))["search"]
    assert subject.prepare({"query": "x"})[1]() == ("bound", "x", 3)
    assert refusal(subject, {"query": "x", "engine": "mine"}).startswith("engine: no such argument")


def test_what_a_partial_binds_is_not_the_models_to_say():
    def send(text: str, account: str, **headers: str): ...

    mine = functools.partial(send, account="mine")
    subject = tools_from(mine)["send"]
    assert refusal(subject, {"text": "a", "account": "another"}) == "account: no such argument; there are none"
    assert subject.prepare({"text": "a", "to": "b"})[1]() is None
    first = tools_from(functools.partial(send, "fixed", account="mine"))["send"]
    assert refusal(first, {"text": "b"}).startswith("text: no such argument")

    def read(path, root="/", **more):
        return path, root, more

    open_ones = {"type": "function", "function": {"name": "read", "parameters": {"properties": {"path": {}}}}}
    subject = tools_from(open_ones, {"read": functools.partial(read, root="/safe")})["read"]
    assert refusal(subject, {"path": "x", "root": "/"}).startswith("root: no such argument")
    assert subject.prepare({"path": "x", "more": 1})[1]() == ("x", "/safe", {"more": 1})


def test_an_object_is_not_the_models_to_say():
    class Mail:
        def send(self, text: str, **headers: int):
            return headers

        def __call__(self, text: str, **headers: int):
            return headers

    for item in (Mail().send, tool(Mail(), name="send")):
        subject = tools_from(item)["send"]
        assert refusal(subject, {"text": "a", "self": 3}).startswith("self: no such argument")
        assert subject.prepare({"text": "a", "cc": 3})[1]() == {"cc": 3}


def test_a_field_has_one_name_at_a_time():
    """A policy would read the one, and the function get the other."""

    class Way(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        start: str = Field(alias="from")

    class Trip(BaseModel):
        ways: dict[str, list[Way]] = {}
        way: Way | None = None

    def travel(trip: Trip, start: str = ""):
        return trip

    both = {"from": "a", "start": "b"}
    assert refusal(tools_from(Way)["Way"], both) == "from: is given twice, as start too"
    subject = tools_from(travel)["travel"]
    assert refusal(subject, {"trip": {"ways": {"x": [{"from": "a"}, both]}}}).startswith(
        "trip.ways.x[1].from: is given"
    )
    assert refusal(subject, {"trip": {"way": both}}) == "trip.way.from: is given twice, as start too"
    for item in ({"from": "a"}, {"start": "a"}):
        assert subject.prepare({"trip": {"way": item}, "start": "b"})[1]().way.start == "a"


def test_names_that_only_look_alike():
    class Chain(BaseModel):
        a: int = Field(alias="b")
        b: int = Field(alias="c")

    class Swapped(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        x: int = Field(alias="y")
        y: int = Field(alias="x")

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        name: str = Field(alias="full_name")

    class Either(BaseModel):
        a: int = Field(validation_alias=AliasChoices("p", "q"))

    assert receive(Chain, {"b": 1, "c": 2}).b == 2
    assert receive(Swapped, {"x": 1, "y": 2}).x == 2
    assert receive(Open, {"full_name": "a", "name": "b"}).name == "a"
    assert receive(Either, {"q": 1}).a == 1
    assert refusal(tool_with(Either), {"a": {"p": 1, "q": 2}}) == "a.p: is given twice, as q too"
    for hint, value in ((dict[int, list[Either]], {"1": [{"p": 1, "q": 2}]}), (deque[Either], [{"p": 1, "q": 2}])):
        assert "is given twice" in refusal(tool_with(hint), {"a": value})


def test_members_whose_values_are_no_texts():
    class Span(Enum):
        DAY = datetime.timedelta(days=1)
        WEEK = datetime.timedelta(days=7)

    class Pair(Enum):
        A = (1, 2)
        B = (3, 4)

    assert receive(Span, "P1D") is Span.DAY
    assert receive(list[Pair], [[3, 4]]) == [Pair.B]
    assert "should be" in refusal(tool_with(Pair), {"a": [1, 3]})


def test_only_what_is_wrong_is_blamed():
    class Event(BaseModel):
        day: datetime.date
        n: int

        @model_validator(mode="before")
        @classmethod
        def as_it_is(cls, data):
            return data

    assert (
        refusal(tool_with(Event), {"a": {"day": "2024-01-01", "n": "3"}}) == 'a.n: should be a valid integer, not "3"'
    )


def test_each_call_gets_values_of_its_own():
    subject = tool_with(list[int])
    run = subject.prepare({"a": [1]})[1]
    subject.prepare({"a": [1]})[1]().append(2)
    assert run() == [1]


class Booking(BaseModel):
    day: datetime.date
    tags: set[str] = set()
    guest: Point | None = None
    nights: int = 1

    @model_validator(mode="before")
    @classmethod
    def renamed(cls, data):
        return {("day" if key == "date" else key): value for key, value in data.items()}


class Price(BaseModel):
    amount: float

    @field_validator("amount", mode="before")
    @classmethod
    def of_text(cls, value):
        return float(value.removesuffix(" €")) if isinstance(value, str) else value

    @field_validator("amount")
    @classmethod
    def above(cls, value):
        if value < 0:
            raise ValueError("prices are above zero")
        if value > 1e6:
            raise TypeError("a mistake of the validator's own")
        return value


def test_validators_of_the_users():
    typed = receive(Booking, {"date": "2026-11-24", "tags": ["a"], "guest": {"x": 1}})
    assert (typed.day, typed.tags, typed.guest) == (datetime.date(2026, 11, 24), {"a"}, Point(1.0))
    assert refusal(tool_with(Booking), {"a": {"date": "x"}}).startswith("a")
    assert "nights" in refusal(tool_with(Booking), {"a": {"date": "2026-11-24", "nights": "3"}})
    assert receive(Price, {"amount": "3 €"}).amount == 3
    assert refusal(tool_with(Price), {"a": {"amount": -1}}) == "a.amount: prices are above zero, not -1"
    assert "TypeError" in refusal(tool_with(Price), {"a": {"amount": 1e7}})


# --- model classes


class Alias(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    kind: str = Field(alias="type")


def test_a_model_is_handed_to_its_handler():
    subject = tools_from([Person, Alias], {"Person": lambda person: person})
    assert subject["Person"].prepare({"name": "Ada"})[1]() == Person(name="Ada")
    assert refusal(subject["Person"], {"nam": "Ada"}) == "nam: no such argument; is it name?"
    assert refusal(subject["Person"], {}) == "name: is missing"
    assert subject["Alias"].prepare({"type": "x"})[0] == subject["Alias"].prepare({"type": "x"})[0]
    assert subject["Alias"].prepare({"kind": "x"}) == ({"kind": "x"}, None)
    with pytest.raises(ValueError, match="instance alone"):
        tools_from(Person, {"Person": lambda: None})


# --- tool dicts


def dict_tool(parameters, handler=None):
    spec = {"type": "function", "function": {"name": "raw", "parameters": parameters}}
    return tools_from(spec, {"raw": handler} if handler else None)["raw"]


def test_a_dict_and_its_handler():
    def current(location: str, unit: str = "celsius"):
        return location, unit

    subject = tools_from(WEATHER, {"get_current_weather": tool(current, serial=True, timeout_s=2)})[
        "get_current_weather"
    ]
    assert (subject.function, subject.serial, subject.timeout_s) == (current, True, 2)
    assert subject.prepare({"location": "Aachen"})[1]() == ("Aachen", "celsius")
    assert refusal(subject, {"location": 3}) == "location: should be of type string, not 3"
    assert refusal(subject, {"unit": "kelvin"}) in (
        'unit: should be "celsius" or "fahrenheit", not "kelvin"; location: is missing',
        'location: is missing; unit: should be "celsius" or "fahrenheit", not "kelvin"',
    )
    assert refusal(subject, {"location": "A", "locale": "de"}).startswith("locale: no such argument")
    shown = tools_from(WEATHER)["get_current_weather"]
    assert shown.prepare({"location": "A"}) == ({"location": "A"}, None)


def test_a_handlers_hints_hold_too():
    subject = dict_tool(
        {"properties": {"day": {"type": "string"}, "n": {"type": "integer"}}}, lambda day, n=0: (day, n)
    )
    assert subject.prepare({"day": "x", "n": 3})[1]() == ("x", 3)

    def typed(day: datetime.date, n: int = 0):
        return day, n

    subject = dict_tool(
        {"properties": {"day": {"type": "string"}, "n": {"type": "integer"}}, "required": ["day"]}, typed
    )
    assert subject.prepare({"day": "2026-11-24", "n": 3.0})[1]() == (datetime.date(2026, 11, 24), 3)
    assert refusal(subject, {"day": "soon"}).startswith("day: should be a valid date")


@pytest.mark.parametrize(
    ("handlers", "error", "message"),
    [
        ({"get_weather": print}, ValueError, "No tool dict or model is called 'get_weather'"),
        ({"get_current_weather": 3}, TypeError, "cannot be called"),
        ({"get_current_weather": lambda location: 1}, ValueError, "has no parameter unit"),
        ({"get_current_weather": lambda location, unit, day: 1}, ValueError, "needs day"),
    ],
)
def test_handlers_that_do_not_fit(handlers, error, message):
    with pytest.raises(error, match=message):
        tools_from(WEATHER, handlers)
    assert tools_from(WEATHER, {"get_current_weather": lambda **all: all})
    with pytest.raises(ValueError, match="is a function already"):
        tools_from(weather, {"weather": weather})


@pytest.mark.parametrize(
    ("parameters", "good", "bad", "message"),
    [
        (
            {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "integer"}}},
            {"a": 1},
            {"a": "1"},
            "a: should",
        ),
        (
            {"additionalProperties": False, "properties": {"abc": {}}},
            {"abc": 1},
            {"abd": 1},
            "abd: no such argument; is it abc?",
        ),
        ({"additionalProperties": {"type": "string"}}, {"x": "a"}, {"x": 1}, "x: should be of type string, not 1"),
        (
            {"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False},
            {"ab": "x"},
            {"b": "x"},
            "b: no",
        ),
        ({"properties": {"a": {"pattern": "^[0-9]{2}$"}}}, {"a": "12"}, {"a": "1"}, "a: should keep to pattern"),
        ({"properties": {"a": {"enum": [1, 2]}}}, {"a": 1}, {"a": True}, "a: should be 1 or 2, not true"),
        (
            {"properties": {"a": {"type": ["integer", "null"]}}},
            {"a": None},
            {"a": 1.5},
            "a: should be of type integer or null",
        ),
        (
            {"properties": {"a": {"uniqueItems": True}}},
            {"a": [1, True, [2]]},
            {"a": [[1.0], [1]]},
            "a: should keep to uniq",
        ),
        (
            {"properties": {"a": {"anyOf": [{"type": "string"}, {"const": 3}]}}},
            {"a": 3},
            {"a": 4},
            "a: should fit what",
        ),
        ({"properties": {"a": {"format": "email"}}}, {"a": "no email"}, None, ""),
        ({"properties": {"a": {"minimum": 3}}}, {"a": 3}, {"a": 2}, "a: should keep to minimum 3, not 2"),
        (
            {"properties": {"a": {"properties": {"b": {"const": 1}}}}},
            {"a": {"b": 1}},
            {"a": {"b": 2}},
            "a.b: should be 1, not 2",
        ),
    ],
)
def test_schemas(parameters, good, bad, message):
    subject = dict_tool(parameters)
    assert subject.prepare(good)[0] == good
    if bad is not None:
        assert refusal(subject, bad).startswith(message)


def bomb(levels):
    steps = {f"x{n}": {"allOf": [{"$ref": f"#/$defs/x{n + 1}"}, {"$ref": f"#/$defs/x{n + 1}"}]} for n in range(levels)}
    return {"allOf": [{"$ref": "#/$defs/x0"}], "$defs": {**steps, f"x{levels}": {"type": "object"}}}


def nested(levels):
    schema = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "allOf": [schema], "unevaluatedProperties": {"type": "string"}}
    return schema


def alike(count):
    return {"a": [{"x": n} for n in range(count)] + [{"x": 1}]}


UNIQUE = {"properties": {"a": {"uniqueItems": True}}}


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({"$ref": "#"}, {"a": 1}, "It could not be checked: the schema refers to itself."),
        ({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 50 + "!"}, "a: should keep to pattern"),
        (
            {"patternProperties": {"^(a+)+$": {"type": "string"}}, "additionalProperties": False},
            {"a" * 50 + "!": 1},
            "a",
        ),
        (UNIQUE, alike(1_000), "a: should keep to uniqueItems"),
        pytest.param(UNIQUE, alike(20_000), "a: should keep to uniqueItems", marks=pytest.mark.slow),
        ({"properties": {"a": {"multipleOf": 7e-300}}}, {"a": 10**300 + 1}, "a: should keep to multipleOf"),
        (nested(40), {"a": 1}, "the arguments: should keep to unevaluatedProperties"),
    ],
)
def test_hostile_schemas_end(parameters, arguments, message):
    assert refusal(dict_tool(parameters), arguments).startswith(message)


@pytest.mark.parametrize("most", [1_000, pytest.param(None, marks=pytest.mark.slow)])
def test_references_are_followed_so_far_and_no_further(monkeypatch, most):
    if most is not None:
        monkeypatch.setattr(structured, "_MAX_COST", most)
    spent, spend = [], structured._spend
    monkeypatch.setattr(structured, "_spend", lambda points: spent.append(points) or spend(points))
    assert refusal(dict_tool(bomb(40)), {"a": 1}) == "It could not be checked: it is too involved."
    assert sum(spent) == structured._MAX_COST + 1


DRAFT = "https://json-schema.org/draft/2020-12/schema"


def test_no_part_of_a_schema_chooses_its_own_checks():
    """The library would take its own validator for it, with patterns that think for hours."""
    inner = {"$schema": DRAFT, "type": "string", "pattern": "^(a+)+$"}
    for parameters in ({"properties": {"a": inner}}, {"properties": {"a": {"$ref": "#/x"}}, "x": inner}):
        with pytest.raises(ValueError, match=r"\$schema within a schema"):
            dict_tool(parameters)
    whole = {"$schema": DRAFT, "properties": {"a": {"$ref": "#"}, "b": {"pattern": "^(a+)+$"}},
             "additionalProperties": False}  # fmt: skip
    assert refusal(dict_tool(whole), {"a": {"zzz": 1}}).startswith("a.zzz: no such argument")
    assert refusal(dict_tool(whole), {"a": {"b": "a" * 50 + "!"}}).startswith("a.b: should keep to pattern")


def test_references_are_pointers():
    with pytest.raises(ValueError, match=r"\$anchor is not supported: \"#here\" must be #/\$defs/…"):
        dict_tool({"properties": {"a": {"$ref": "#here"}}, "$defs": {"x": {"$anchor": "here"}}})


@pytest.mark.parametrize(("factor", "fits"), [(0.01, [19.99, 4.35, 0, 7]), (0.1, [0.3, 1.1]), (3, [9.0, 10**300 * 3])])
def test_multiples_are_exact(factor, fits):
    subject = dict_tool({"properties": {"a": {"multipleOf": factor}}})
    for value in fits:
        subject.prepare({"a": value})
    assert "should keep to multipleOf" in refusal(subject, {"a": 19.995})


def test_nothing_is_fetched(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr("socket.socket", fail)
    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(ValueError, match="nothing is fetched"):
        dict_tool({"$ref": "http://127.0.0.1:9/x"})
    dict_tool({"$schema": "https://example.com/my-dialect", "properties": {"a": {}}}).prepare({"a": 1})


# --- the model's text


def test_arguments_are_read():
    assert parse_arguments("") == parse_arguments(" \n") == parse_arguments("{}") == {}
    assert parse_arguments('{"a": [1, 2.5, null, true, "ü\\n"]}') == {"a": [1, 2.5, None, True, "ü\n"]}
    assert parse_arguments(json.dumps({"a": "x" * 999_000}))["a"] == "x" * 999_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ', "The arguments are no JSON: Expecting value at character 7."),
        ("{'a': 1}", "The arguments are no JSON"),
        ('{"a": 1} x', "The arguments are no JSON: Extra data"),
        ("[1]", "The arguments must be a JSON object, not [1]."),
        ("[null]", "The arguments must be a JSON object, not [null]."),
        ('"{}"', "The arguments must be a JSON object"),
        ('{"a": 1, "a": 2}', 'The arguments name "a" twice.'),
        ('{"b": {"a": 1, "a": 2}}', 'The arguments name "a" twice.'),
        ('{"a": NaN}', "The arguments hold NaN"),
        ('{"a": -Infinity}', "The arguments hold -Infinity"),
        ('{"a": 1e999}', "The number 1e999 is too large."),
        ('{"a": ' + "9" * 5_000 + "}", "A number of 5,000 digits is too large."),
        ('{"a": ' + "[" * 200_000, "The arguments nest deeper than 100 levels."),
        ('{"a": ' + "[" * 150 + "]" * 150 + "}", "The arguments nest deeper than 100 levels."),
        ('{"a": "\\ud800"}', "a: holds half a character"),
        ('{"\\ud800": 1}', "The arguments: a name holds half a character"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "The arguments have 1,000,009 characters"),
    ],
)
def test_what_is_no_arguments(text, message):
    with pytest.raises(ArgumentsError) as error:
        parse_arguments(text)
    assert str(error.value).startswith(message)
    assert len(str(error.value)) < 200
    str(error.value).encode()


@given(st.text(max_size=40) | st.text(alphabet='{}[]":,0123456789.eE+-truefalsnl \\ud', max_size=60))
def test_any_text_is_arguments_or_told(text):
    try:
        value = parse_arguments(text)
    except ArgumentsError as error:
        str(error).encode()
        return
    assert isinstance(value, dict)


def test_arguments_of_a_policy():
    subject = tools_from(weather)["weather"]
    assert subject.prepare({"location": "A", "days": 2})[0] == {"location": "A", "days": 2}
    assert refusal(subject, {"location": datetime.date(2026, 1, 1)}) == "location: a date is no JSON value."
    assert refusal(subject, [("location", "A")]).startswith("The arguments must be a JSON object")
    assert refusal(subject, {3: 4}) == "The arguments: the name 3 is no text."


class Slow(Enum):
    A = "a"


@dataclass
class Deep:
    inner: "Deep | None" = None


def test_recursive_values():
    value = {}
    for _ in range(60):
        value = {"inner": value}
    typed = receive(Deep, value)
    depth = 0
    while typed.inner is not None:
        typed, depth = typed.inner, depth + 1
    assert depth == 60
    for _ in range(60):
        value = {"inner": value}
    assert refusal(tool_with(Deep), {"a": value}) == "The arguments nest deeper than 100 levels."
