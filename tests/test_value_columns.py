"""The columns of `answer.frame()` are those of the type, whatever the model wrote; nothing is lost or rounded."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl, RootModel, TypeAdapter, computed_field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from test_value_frame import Address, Mood

from amber_nb.value_frame import value_frame


class Person(BaseModel):
    name: str
    addr: Address | None = None


class Company(BaseModel):
    title: str
    boss: Person | None = None
    staff: list[Person] | None = None


class Team(BaseModel):
    people: list[Person] | None = None


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    barks: bool


class Owner(BaseModel):
    name: str
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None


class Loose(BaseModel):
    name: str
    addr: dict[str, str] | None = None
    extra: Any = None


class Entry(TypedDict):
    word: str
    note: NotRequired[str]
    home: NotRequired[Address]


class Draft(TypedDict, total=False):
    word: str
    count: int


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass
class Line:
    start: Point
    end: Point | None = None


class Pair(NamedTuple):
    left: int
    right: Address | None = None


class Node(BaseModel):
    name: str
    parent: Node | None = None
    children: list[Node] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class CareerPath(BaseModel):
    steps: int


class Tag(RootModel[str]):
    pass


class Tags(RootModel[list[Tag]]):
    pass


class ByName(RootModel[dict[str, Person]]):
    pass


class Marked(BaseModel):
    tag: Tag
    tags: Tags = Tags([])


class Box(BaseModel):
    width: int
    height: int = 2

    @computed_field
    @property
    def area(self) -> int:
        return self.width * self.height


@pydantic_dataclass
class Crate:
    width: int

    @computed_field
    @property
    def double(self) -> int:
        return self.width * 2


Name = NewType("Name", str)
T = TypeVar("T")
ADDR = ["name", "addr.city", "addr.zip"]


@pytest.mark.parametrize(
    ("value", "hint", "rows", "columns"),
    [
        ([], list[str], 0, ["value"]),
        ([], list[int], 0, ["value"]),
        ([], list[Name], 0, ["value"]),
        ([], tuple[str, ...], 0, ["value"]),
        ([], list[list[int]], 0, ["value"]),
        ([], list[dict], 0, []),
        ([], list[dict[str, int]], 0, []),
        ([], None, 0, []),
        ([], list[Person], 0, ADDR),
        ([Person(name="a")], list[Person], 1, ADDR),
        ([Person(name="a"), Person(name="b", addr=Address(city="x"))], list[Person], 2, ADDR),
        ([Person(name="a")], None, 1, ADDR),
        (None, Person | None, 1, ADDR),
        (Company(title="x"), Company, 1, ["title", "boss.name", "boss.addr.city", "boss.addr.zip", "staff"]),
        (Team(people=None), Team, 0, ADDR),
        (Team(people=[]), Team, 0, ADDR),
        ([{"word": "a"}], list[Entry], 1, ["word", "note", "home.city", "home.zip"]),
        ([{}], list[Draft], 1, ["word", "count"]),
        ([{"count": 1}, {"word": "b"}], list[Draft], 2, ["word", "count"]),
        ([Line(Point(1))], list[Line], 1, ["start.x", "start.y", "end.x", "end.y"]),
        ([Pair(1)], list[Pair], 1, ["left", "right.city", "right.zip"]),
        ([Owner(name="a")], list[Owner], 1, ["name", "pet.kind", "pet.lives", "pet.barks"]),
        ([Owner(name="a", pet=Dog(barks=True))], list[Owner], 1, ["name", "pet.kind", "pet.lives", "pet.barks"]),
        ([Cat(lives=9), Dog(barks=True)], list[Cat | Dog], 2, ["kind", "lives", "barks"]),
        ([Cat(lives=9), Dog(barks=True)], None, 2, ["kind", "lives", "barks"]),
        ([Loose(name="a"), Loose(name="b", addr={"k": "v"})], list[Loose], 2, ["name", "extra", "addr.k"]),
        ([Loose(name="a", addr={})], list[Loose], 1, ["name", "addr", "extra"]),
        ([{"addr": None}, {"addr": {"k": 1}}], None, 2, ["addr.k"]),
        ([{"addr": {"k": 1}}, {"addr": {}}], None, 2, ["addr.k"]),
        ([{"addr": {"k": 1}}, {"addr": "home"}], None, 2, ["addr.k", "addr"]),
        ([Node(name="a", parent=Node(name="b"))], list[Node], 1, ["name", "parent", "children"]),
        ([Open(a=1, z=2)], list[Open], 1, ["a", "z"]),
        (ByName({"x": Person(name="a")}), ByName, 1, ADDR),
        (ByName({}), ByName, 0, ADDR),
        ({}, dict[str, Person], 0, ADDR),
        ({"x": [Person(name="a")]}, dict[str, list[Person]], 1, ["x"]),
        ({"x": [Person(name="a")], "y": []}, dict[str, list[Person]], 1, ["x", "y"]),
        ({"x": [Person(name="a")]}, dict[str, Any], 1, ADDR),
        ([Tag("a")], list[Tag], 1, ["value"]),
        ([], list[Tag], 0, ["value"]),
        (Tags([Tag("a"), Tag("b")]), Tags, 2, ["value"]),
        (Tag("a"), Tag, 1, ["value"]),
        ([Marked(tag=Tag("a"))], list[Marked], 1, ["tag", "tags"]),
        ([Box(width=2)], list[Box], 1, ["width", "height", "area"]),
        ([], list[Box], 0, ["width", "height", "area"]),
        ([Crate(width=2)], list[Crate], 1, ["width", "double"]),
    ],
)
def test_the_columns_are_those_of_the_type(value, hint, rows, columns):
    frame = value_frame(value, hint)
    assert (len(frame), [*frame.columns]) == (rows, columns)


@pytest.mark.parametrize(
    ("hint", "dtype"),
    [
        (str, "str"),
        (int, "Int64"),
        (float, "Float64"),
        (int | float, "Float64"),
        (bool, "boolean"),
        (int | None, "Int64"),
        (Name, "str"),
        (Tag, "str"),
        (Mood, "category"),
        (Literal["a", "b"], "category"),
        (Literal["a"] | Literal["b"] | None, "category"),
        (Literal[1, 2], "Int64"),
        (dt.date, "datetime64"),
        (dt.datetime, "datetime64"),
        (AwareDatetime, "datetime64[ns, UTC]"),
        (dt.timedelta, "timedelta64"),
        (HttpUrl, "str"),
        (uuid.UUID, "str"),
        (Path, "str"),
        (Decimal, "object"),
        (list[int], "object"),
        (int | str, "object"),
    ],
)
def test_an_empty_column_has_the_dtype_of_its_type(hint, dtype):
    wanted = ("str", "object") if dtype == "str" and pd.__version__ < "3" else dtype.partition("[")[0]
    found = value_frame([], list[hint])["value"].dtype
    assert str(found).startswith(wanted)
    assert ("UTC" in str(found)) == ("UTC" in dtype)


def test_a_root_model_of_a_dict_is_that_dict():
    people = {"x": Person(name="a"), "y": Person(name="b")}
    pd.testing.assert_frame_equal(value_frame(ByName(people), ByName), value_frame(people, dict[str, Person]))
    assert value_frame([Marked(tag=Tag("a"), tags=Tags([Tag("b")]))])["tags"].tolist() == [["b"]]
    assert value_frame(Tags([Tag("a"), Tag("b")]))["value"].tolist() == ["a", "b"]
    assert value_frame([Box(width=3)])["area"].tolist() == [6]


EAST = dt.timezone(dt.timedelta(hours=1))
SOUTH = dt.timezone(dt.timedelta(hours=2))
PYDANTIC_UTC = TypeAdapter(dt.datetime).validate_python("2026-01-02T00:00:00Z").tzinfo


@pytest.mark.parametrize(
    ("zones", "dtype"),
    [
        ([EAST, SOUTH], "UTC]"),
        ([EAST, EAST], "UTC+01:00]"),
        ([dt.UTC, PYDANTIC_UTC], "UTC]"),
        ([PYDANTIC_UTC], "UTC]"),
        ([ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")], "UTC]"),
        ([ZoneInfo("Europe/Berlin")], "Europe/Berlin]"),
        ([EAST, None], "object"),
        ([None, None], "s]"),
    ],
)
def test_offsets(zones, dtype):
    moments = [dt.datetime(2026, 1, day, 12, tzinfo=zone) for day, zone in enumerate(zones, 1)]
    frame = value_frame([*moments, None] if dtype != "object" else moments, list[dt.datetime])
    assert str(frame["value"].dtype).endswith(dtype)
    assert frame["value"].tolist()[: len(moments)] == moments


@pytest.mark.parametrize("year", [1, 1500, 2026, 9999])
def test_any_year_is_kept(year):
    cell = value_frame([dt.date(year, 1, 2)], list[dt.date])["value"].iloc[0]
    assert (cell.year, cell.month, cell.day) == (year, 1, 2)


@pytest.mark.parametrize(
    ("value", "columns", "cells"),
    [
        ({"a.b": 3, "a": {"b": 4}}, ["a.b", "a.b_2"], [3, 4]),
        ({"a": {"b": 4}, "a.b": 3}, ["a.b", "a.b_2"], [4, 3]),
        ({5: 6, "5": 7}, ["5", "5_2"], [6, 7]),
        ({"5": 7, 5: 6, "5_2": 8}, ["5", "5_3", "5_2"], [7, 6, 8]),
        ({1: "a", "1": "b", 1.5: "c", "1.5": "d"}, ["1", "1_2", "1.5", "1.5_2"], ["a", "b", "c", "d"]),
        ({"": 1}, [""], [1]),
        ({"": 1, "value": 2}, ["", "value"], [1, 2]),
        ({"a": {"": 1}, "b": 2}, ["a.", "b"], [1, 2]),
        ({None: 1, "None": 2}, ["None", "None_2"], [1, 2]),
        ({"a": {"b.c": 1, "b": {"c": 2}}, "x": 0}, ["a.b.c", "a.b.c_2", "x"], [1, 2, 0]),
        ({True: 1, "True": 2}, ["True", "True_2"], [1, 2]),
        ({"b": None, "b.c": 1}, ["b", "b.c"], [None, 1]),
    ],
)
def test_no_column_is_lost(value, columns, cells):
    frame = value_frame(value)
    assert [*frame.columns] == columns
    assert [None if pd.isna(cell) else cell for cell in frame.iloc[0]] == cells


@pytest.mark.parametrize(
    ("values", "dtype", "cells"),
    [
        ([10**400, 0.5], "object", [10**400, 0.5]),
        ([2**53 + 1, 0.5], "object", [2**53 + 1, 0.5]),
        ([2**53, 0.5], "Float64", [2.0**53, 0.5]),
        ([2**62, 0.5], "Float64", [2.0**62, 0.5]),
        ([2**63 - 1, 1], "Int64", [2**63 - 1, 1]),
        ([2**63, 1], "object", [2**63, 1]),
        ([1, None, 0.5], "Float64", [1.0, None, 0.5]),
        ([float("nan"), 0.5], "Float64", [None, 0.5]),
        ([float("nan"), 1], "Int64", [None, 1]),
        ([float("inf"), 0.5], "Float64", [float("inf"), 0.5]),
        ([True, 1], "object", [True, 1]),
        ([np.int64(3), np.int8(4)], "Int64", [3, 4]),
        ([np.float32(0.5), None], "Float64", [0.5, None]),
        ([np.float64("nan"), np.float64(0.5)], "Float64", [None, 0.5]),
        ([np.bool_(True), False], "boolean", [True, False]),
        ([np.str_("a"), "b"], "str", ["a", "b"]),
        ([np.array(7), 8], "Int64", [7, 8]),
        ([np.datetime64("2026-01-02"), None], "datetime64", [pd.Timestamp("2026-01-02"), None]),
        ([np.timedelta64(3, "s")], "timedelta64", [pd.Timedelta("3s")]),
        ([pd.NA, 1], "Int64", [None, 1]),
        ([pd.NaT, dt.date(2026, 1, 2)], "datetime64", [None, pd.Timestamp("2026-01-02")]),
    ],
)
def test_numbers_are_not_rounded(values, dtype, cells):
    series = value_frame([{"a": value} for value in values])["a"]
    assert str(series.dtype).startswith(("str", "object") if dtype == "str" else dtype)
    assert [None if pd.isna(cell) else cell for cell in series] == cells


def test_a_missing_number_is_missing_for_pandas():
    series = value_frame([{"a": float("nan")}, {"a": 0.5}])["a"]
    assert series.isna().tolist() == [True, False]
    assert series.mean() == 0.5


@pytest.mark.parametrize(
    ("cell", "plain"),
    [
        ([Address(city="x")], [{"city": "x", "zip": None}]),
        ([Point(1, 2.0)], [{"x": 1, "y": 2.0}]),
        ([Pair(1)], [{"left": 1, "right": None}]),
        ((Mood.GOOD, Mood.BAD), ["good", "bad"]),
        ([[Tag("a")], []], [["a"], []]),
        ([{"home": Address(city="x")}], [{"home": {"city": "x", "zip": None}}]),
        ([{Mood.GOOD: 1}], [{"good": 1}]),
        ({"b", "a"}, ["a", "b"]),
        ([Box(width=2)], [{"width": 2, "height": 2, "area": 4}]),
        ([uuid.UUID(int=1)], [str(uuid.UUID(int=1))]),
        ([HttpUrl("https://a.example/")], ["https://a.example/"]),
        ([Open(a=1, z=2)], [{"a": 1, "z": 2}]),
        ([CareerPath(steps=2)], [{"steps": 2}]),
        ([Node(name="a", parent=Node(name="b"))],
         [{"name": "a", "parent": {"name": "b", "parent": None, "children": []}, "children": []}]),
    ],
)  # fmt: skip
def test_cells_hold_plain_values(cell, plain):
    frame = value_frame([{"id": 1, "items": cell}])
    assert frame["items"].tolist() == [plain]
    assert json.loads(frame.to_json(orient="records")) == [{"id": 1, "items": plain}]
    if isinstance(plain[0], dict):
        assert len(pd.json_normalize(frame.to_dict("records"), "items")) == len(plain)


def test_the_index_holds_plain_values():
    frame = value_frame({Mood.GOOD: Address(city="x"), Mood.BAD: Address(city="y")}, dict[Mood, Address])
    assert [*frame.index] == ["good", "bad"]
    assert [*value_frame({3: {"a": 1}, 4: {"a": 2}}).index] == [3, 4]


PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
COUPLE = {"type": "object", "properties": {"one": PERSON, "two": PERSON}}
TWO = {"one": {"name": "a", "age": 1}, "two": {"name": "b", "age": 2}}


class Couple(TypedDict):
    one: dict
    two: dict


@pytest.mark.parametrize(
    ("value", "hint", "shape", "columns"),
    [
        (TWO, None, (2, 2), ["name", "age"]),
        (TWO, COUPLE, (1, 4), ["one.name", "one.age", "two.name", "two.age"]),
        (TWO, Couple, (1, 4), ["one.name", "one.age", "two.name", "two.age"]),
        (TWO, {"type": "object", "additionalProperties": PERSON}, (2, 2), ["name", "age"]),
        (TWO, {"type": "object"}, (2, 2), ["name", "age"]),
        (TWO, dict, (2, 2), ["name", "age"]),
        (TWO, dict[str, Any], (2, 2), ["name", "age"]),
        ({"user": {"name": "a"}, "order": {"id": 1}}, None, (1, 2), ["user.name", "order.id"]),
        ({"user": {"name": "a"}, "order": {"id": 1}}, dict[str, Any], (1, 2), ["user.name", "order.id"]),
        ({"a": {"x": 1}, "b": {"y": 1}}, dict[str, dict], (2, 2), ["x", "y"]),
        ({"a": {}, "b": {}}, None, (1, 2), ["a", "b"]),
        ([], {"type": "array", "items": PERSON}, (0, 2), ["name", "age"]),
        ([], {"type": "array", "items": {"type": "string"}}, (0, 1), ["value"]),
        ([{"name": "a"}], {"type": "array", "items": PERSON}, (1, 2), ["name", "age"]),
        ({"people": []}, {"type": "object", "properties": {"people": {"type": "array", "items": PERSON}}}, (0, 2),
         ["name", "age"]),
        ([], {"type": "array", "items": {"$ref": "#/$defs/P"}, "$defs": {"P": PERSON}}, (0, 2), ["name", "age"]),
        ([{"p": None}], {"type": "array", "items": {"properties": {"p": {"anyOf": [PERSON, {"type": "null"}]}}}},
         (1, 2), ["p.name", "p.age"]),
        ([], {"type": "json_schema", "json_schema": {"schema": {"type": "array", "items": PERSON}}}, (0, 2),
         ["name", "age"]),
        ([], {"type": "array", "items": {"allOf": [PERSON, {"properties": {"x": {}}}]}}, (0, 3), ["name", "age", "x"]),
        ([], {"type": "array", "items": {"$ref": "#/nowhere"}}, (0, 1), ["value"]),
        ({"name": "a", "next": {"name": "b"}}, {"properties": {"name": {}, "next": {"$ref": "#"}}}, (1, 2),
         ["name", "next"]),
    ],
)  # fmt: skip
def test_a_record_or_a_dict_of_records(value, hint, shape, columns):
    frame = value_frame(value, hint)
    assert frame.shape == shape
    assert [*frame.columns] == columns
    assert [*frame.index] == ([*value] if len(frame) > 1 else [*range(len(frame))])


@pytest.mark.parametrize(
    ("schema", "values", "dtype", "first"),
    [
        ({"enum": ["a", "b"]}, ["a"], "category", "a"),
        ({"type": ["string", "null"], "enum": ["a", "b", None]}, ["a", None], "category", "a"),
        ({"enum": [1, 2]}, [1], "Int64", 1),
        ({"const": "a"}, ["a"], "category", "a"),
        ({"type": "string", "format": "date"}, ["2026-01-02"], "datetime64", pd.Timestamp("2026-01-02")),
        ({"type": "string", "format": "date-time"}, ["2026-01-02T03:04:05Z", None], "datetime64",
         pd.Timestamp("2026-01-02T03:04:05Z")),
        ({"type": "string", "format": "date-time"}, ["2026-01-02T03:04:05+01:00", "2026-01-02T03:04:05Z"],
         "datetime64", pd.Timestamp("2026-01-02T02:04:05Z")),
        ({"type": "string", "format": "date"}, ["soon"], ("str", "object"), "soon"),
        ({"type": "string", "format": "time"}, ["09:30:00Z"], ("str", "object"), "09:30:00Z"),
        ({"type": ["string", "null"], "format": "date"}, ["2026-01-02", None], "datetime64",
         pd.Timestamp("2026-01-02")),
        ({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}, ["2026-01-02"], "datetime64",
         pd.Timestamp("2026-01-02")),
        ({"type": "number"}, [1, 2], "Float64", 1.0),
        ({"type": "number"}, [2**53 + 1], "Int64", 2**53 + 1),
        ({"type": "integer"}, [1], "Int64", 1),
        ({"type": "boolean"}, [None, True], "boolean", None),
        ({"type": "array", "items": {"type": "string"}}, [["a"]], "object", ["a"]),
    ],
)  # fmt: skip
def test_dtypes_of_a_json_schema(schema, values, dtype, first):
    hint = {"type": "array", "items": {"type": "object", "properties": {"x": schema}}}
    series = value_frame([{"x": value} for value in values], hint)["x"]
    assert str(series.dtype).startswith(dtype)
    assert (None if first is None and pd.isna(series.iloc[0]) else series.iloc[0]) == first
