"""`answer.frame()`: typed values as DataFrames with the dtypes that their types promise."""

from __future__ import annotations

import datetime as dt
import enum
import pickle
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, TypedDict

import pandas as pd
import pytest
from pydantic import BaseModel, Field, HttpUrl

from amber_nb.value_frame import value_frame


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Address(BaseModel):
    city: str
    zip: int | None = None


class Person(BaseModel):
    name: str
    age: int | None = None
    mood: Literal["good", "bad"] = "good"
    address: Address | None = None
    tags: list[str] = []


class People(BaseModel):
    people: list[Person]


class Page(BaseModel):
    total: int
    people: list[Person]


@dataclass
class Point:
    x: int
    y: float


class Row(TypedDict):
    word: str
    kind: Literal["noun", "verb"]


class Pair(NamedTuple):
    left: int
    right: str


PEOPLE = [
    Person(name="Ada", age=36, address=Address(city="London", zip=1), tags=["maths"]),
    Person(name="Bob", mood="bad"),
]
WIDE = ["name", "age", "mood", "address.city", "address.zip", "tags"]


@pytest.mark.parametrize(
    ("value", "hint", "shape", "columns"),
    [
        (PEOPLE, list[Person], (2, 6), WIDE),
        (PEOPLE[0], Person, (1, 6), WIDE),
        (People(people=PEOPLE), People, (2, 6), WIDE),
        (People(people=[]), People, (0, 6), WIDE),
        (Page(total=2, people=PEOPLE), Page, (1, 2), ["total", "people"]),
        ({"people": [{"a": 1}, {"a": 2}]}, None, (2, 1), ["a"]),
        ([Point(1, 2.0), Point(3, 4.5)], list[Point], (2, 2), ["x", "y"]),
        ([Row(word="run", kind="verb")], list[Row], (1, 2), ["word", "kind"]),
        ([Pair(1, "a"), Pair(2, "b")], None, (2, 2), ["left", "right"]),
        ({"a": 1, "b": "x"}, None, (1, 2), ["a", "b"]),
        ({"de": {"n": 1}, "fr": {"n": 2}}, dict[str, dict], (2, 1), ["n"]),
        (["a", "b"], list[str], (2, 1), ["value"]),
        (3, int, (1, 1), ["value"]),
        ((1, "x"), tuple[int, str], (2, 1), ["value"]),
        ([], list[Person], (0, 6), WIDE),
        ([], list[str], (0, 1), ["value"]),
        ([{"a": 1}, {"b": 2}], None, (2, 2), ["a", "b"]),
        ([[1, 2], [3]], list[list[int]], (2, 1), ["value"]),
    ],
)
def test_shape_and_columns(value, hint, shape, columns):
    frame = value_frame(value, hint)
    assert frame.shape == shape
    assert [*frame.columns] == columns


def test_a_dict_of_records_has_its_keys_as_index():
    assert [*value_frame({"de": {"n": 1}, "fr": {"n": 2}}).index] == ["de", "fr"]


class Wide(BaseModel):
    flag: bool | None = None
    count: int | None = None
    score: float = 0
    day: dt.date | None = None
    time: dt.datetime | None = None
    wait: dt.timedelta | None = None
    mood: Mood | None = None
    stars: Annotated[Literal[1, 2, 3] | None, Field(description="stars")] = None
    price: Decimal | None = None
    link: HttpUrl | None = None
    id: uuid.UUID | None = None
    text: str | None = None


FULL = Wide(
    flag=True,
    count=3,
    day=dt.date(2026, 1, 2),
    time=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    wait=dt.timedelta(seconds=3),
    mood=Mood.GOOD,
    stars=2,
    price=Decimal("1.50"),
    link="https://a.example/",
    id=uuid.UUID(int=1),
    text="x",
)


@pytest.mark.parametrize(
    ("column", "kind", "first"),
    [
        ("flag", "boolean", True),
        ("count", "Int64", 3),
        ("score", "Float64", 0.0),
        ("day", "datetime64", pd.Timestamp("2026-01-02")),
        ("time", "datetime64", pd.Timestamp("2026-01-02", tz="UTC")),
        ("wait", "timedelta64", pd.Timedelta("3s")),
        ("mood", "category", "good"),
        ("stars", "Int64", 2),
        ("price", "object", Decimal("1.50")),
        ("link", ("str", "object"), "https://a.example/"),
        ("id", ("str", "object"), str(uuid.UUID(int=1))),
        ("text", ("str", "object"), "x"),
    ],
)
def test_dtypes(column, kind, first):
    series = value_frame([FULL, Wide()], list[Wide])[column]
    assert str(series.dtype).startswith(kind)
    assert series.iloc[0] == first
    if column != "score":
        assert pd.isna(series.iloc[1])


def test_categories_are_those_of_the_type():
    assert [*value_frame(PEOPLE, list[Person])["mood"].cat.categories] == ["good", "bad"]
    assert [*value_frame([FULL])["mood"].cat.categories] == ["good", "bad"]
    assert [*value_frame([Row(word="run", kind="verb")], list[Row])["kind"].cat.categories] == ["noun", "verb"]
    assert [*value_frame(["a"], list[Literal["a", "b"]])["value"].cat.categories] == ["a", "b"]


@pytest.mark.parametrize(
    "value",
    [
        [2**70, 1],
        [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)],
        [1, "a"],
        [{"a": [1, 2]}, {"a": None}],
        [b"x"],
    ],
)
def test_what_fits_no_dtype_stays_as_it_is(value):
    frame = value_frame(value)
    assert frame.dtypes.iloc[0].name == "object"
    assert frame.iloc[0, 0] == (value[0]["a"] if isinstance(value[0], dict) else value[0])


def test_an_answer_gives_its_frame(script):
    answer = script('{"value": [{"name": "Ada", "mood": "bad"}]}').ask("?", schema=list[Person])
    assert answer.frame()["mood"].tolist() == ["bad"]
    assert answer.frame()["mood"].dtype == "category"
    again = pickle.loads(pickle.dumps(answer))
    pd.testing.assert_frame_equal(again.frame(), answer.frame())


def test_an_answer_without_a_schema_has_no_frame(simulated):
    with pytest.raises(TypeError, match="schema="):
        simulated.ask("hello").frame()


def test_an_answer_as_markdown_and_html(script):
    answer = script("# Title\n\n<b>x</b>").ask("?")
    assert answer.to_markdown() == "# Title\n\n<b>x</b>"
    assert "&lt;b&gt;" in answer.to_html()
    assert answer.model == answer.completion.model == "m"
    typed = script('{"name": "Zoë"}').ask("?", schema=Person)
    assert typed.to_markdown() == '```json\n{\n  "name": "Zoë"\n}\n```'
