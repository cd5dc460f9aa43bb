"""The simulator keeps to what the descriptions of a strict schema say, and never fails because of one."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Literal, NamedTuple

import pytest
from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    FutureDate,
    FutureDatetime,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    TypeAdapter,
)

from amber_nb.simulator.described import add_described
from amber_nb.tools.structured import response_format_of


def options_of(schema):
    return schema.get("anyOf", [schema])


@pytest.mark.parametrize(
    ("description", "stated"),
    [
        ("minimum: 1e5", {"minimum": 1e5}),
        ("minimum: 1e+16, maximum: 1.5e+17", {"minimum": 1e16, "maximum": 1.5e17}),
        ("exclusiveMinimum: -1E-05", {"exclusiveMinimum": -1e-5}),
        ("minimum: 3. Then more", {"minimum": 3}),
        ("minimum: 3", {"minimum": 3}),
        ("minimum: -0.5", {"minimum": -0.5}),
        ("minimum: 100000000000000000000", {"minimum": 10**20}),
        ("minimum: 1e999", {}),
        ("minimum: 1e5x or minimum: 007", {}),
        ("minimum: 1.2.3", {}),
        ("multipleOf: 0.25", {"multipleOf": 0.25}),
        ("multipleOf: 0", {}),
        ("minItems: 3", {"minItems": 3}),
        ("minItems: 999999", {"minItems": 500}),
        ("minLength: 999999999", {"minLength": 500}),
        ("when (format: date)", {"format": "date"}),
        ("format: date-time, without an offset", {"format": "local-date-time"}),
        ("when (format: date, in the future)", {"format": "date", "x-time": "in the future"}),
        ("something in the future of ours", {}),
        ("in this order: string, integer", {"prefixItems": ["string", "integer"]}),
        ("in this order: string (format: date), any", {"prefixItems": ["string date", True]}),
        ("in this order: integer (minimum: 1, maximum: 5) or null", {"prefixItems": ["integer 1 5|null"]}),
        ("minItems: 2, in this order: string (format: date), string (format: time)",
         {"minItems": 2, "prefixItems": ["string date", "string time"]}),
    ],
)  # fmt: skip
def test_what_a_description_states(description, stated):
    found = add_described({"description": description})
    del found["description"]
    if "prefixItems" in found:
        found["prefixItems"] = [
            part is True or "|".join(" ".join(map(str, option.values())) for option in options_of(part["allOf"][1]))
            for part in found["prefixItems"]
        ]
    assert found == stated


class Booking(BaseModel):
    title: str
    starts: NaiveDatetime
    ends: NaiveDatetime | None = None
    due: FutureDate = Field(description="when it is due")
    born: PastDate
    since: PastDatetime
    until: FutureDatetime
    seen: AwareDatetime


class Code(BaseModel):
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}\d+$", max_length=6)] = Field(description="of the part")


class Slot(NamedTuple):
    day: dt.date
    at: dt.time
    length: dt.timedelta


@pytest.mark.parametrize(
    "schema",
    [
        tuple[dt.date, dt.time],
        tuple[dt.time, dt.date],
        tuple[dt.date, str],
        tuple[str, dt.date, dt.datetime],
        tuple[dt.date, dt.date],
        tuple[dt.date | None, dt.time],
        list[tuple[dt.date, dt.time]],
        tuple[dt.timedelta, dt.date],
        tuple[NaiveDatetime, dt.date],
        tuple[Annotated[int, Field(ge=10)], Annotated[int, Field(le=5)]],
        tuple[Annotated[float, Field(ge=1e5)], Annotated[float, Field(ge=1e16)]],
        tuple[Literal["a"], Literal["b", "c"], Literal[1]],
        tuple[tuple[dt.date, int], str],
        Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$")],
        Annotated[str, Field(pattern=r"^(ab|cd)", min_length=4, description="a (short) code")],
        Code,
        Slot,
        list[Slot],
        Booking,
        list[Booking],
        NaiveDatetime,
        FutureDate,
        PastDate,
        list[FutureDatetime],
        FutureDate | None,
        Annotated[float, Field(ge=1e16)],
        Annotated[float, Field(gt=0, lt=1e-5)],
        Annotated[int, Field(multiple_of=7, gt=1)],
        Annotated[list[int], Field(min_length=50)],
    ],
)
@pytest.mark.parametrize(
    "prompt", ["Anything.", "On 5 March 2024 at 14:30 for 2 hours", "2099-01-02T10:00:00+02:00, 3 and 12"]
)
def test_types_are_satisfied(simulated, schema, prompt):
    answer = simulated.ask(prompt, schema=schema)
    TypeAdapter(schema).validate_json(json.dumps(answer._parsed[1]))


def test_a_naive_and_a_future_date_come_from_the_prompt(simulated):
    assert simulated.ask("On 5 March 2024 at 14:30", schema=NaiveDatetime).parsed == dt.datetime(2024, 3, 5, 14, 30)
    prompt = "Signed on 5 March 2024, it ends on 2098-03-05."
    assert simulated.ask(prompt, schema=FutureDate).parsed == dt.date(2098, 3, 5)
    assert simulated.ask(prompt, schema=PastDate).parsed == dt.date(2024, 3, 5)
    assert simulated.ask("On 5 March 2024 at 14:30", schema=tuple[dt.date, dt.time]).parsed == (
        dt.date(2024, 3, 5),
        dt.time(14, 30, tzinfo=dt.UTC),
    )


@pytest.mark.parametrize(
    "stated",
    [
        "minItems: 999999",
        "minLength: 999999",
        "minimum: 5, maximum: 3",
        "minItems: 9, maxItems: 2",
        "format: nonsense",
        "in this order: object, object",
        "minimum: 1e308",
        "exclusiveMinimum: 0, exclusiveMaximum: 0",
        "minItems: 999999999, in this order: any",
        "multipleOf: 1e-30",
        "pattern: ^(a+)+$",
        "pattern: ((((",
        'one of: ["a"',
    ],
)
@pytest.mark.parametrize("kind", ["string", "integer", "number", "array", "nested"])
def test_no_description_ends_in_an_error(post, stated, kind):
    schema = {"type": kind, "description": stated}
    if kind in ("array", "nested"):
        schema = {"type": "array", "items": {"type": "string"}, "description": stated}
    if kind == "nested":
        schema = {"type": "array", "items": schema, "description": stated}
    whole = {"type": "object", "properties": {"x": schema}, "required": ["x"], "additionalProperties": False}
    status, reply = post(
        "Hi", response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": whole, "strict": True}}
    )
    assert status == 200, reply
    assert len(reply["choices"][0]["message"]["content"]) < 100_000


def test_comments_of_the_users_own_schema_stay_comments():
    payload = response_format_of({"type": "object", "properties": {"a": {"type": "string", "$comment": "private"}}})
    assert "private" not in json.dumps(payload.payload["json_schema"]["schema"]).replace("$comment", "")
