"""Requests whose schemas another release of pydantic has written find their recording; other schemas do not."""

import re
from typing import Any

import pytest

from amber_nb import Amber, CassetteMiss
from amber_nb.simulator import Server

DECIMAL = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"
POINT = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
SAME = {  # as pydantic 2.14 has it, and as another release
    "2.9: const": ({"const": "a", "type": "string"}, {"const": "a", "enum": ["a"], "type": "string"}),
    "2.9: enum alone": ({"const": "a", "type": "string"}, {"enum": ["a"], "type": "string"}),
    "2.10: dict": ({"type": "object", "additionalProperties": True}, {"type": "object"}),
    "2.10: enum's keys": (
        {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": "number"}},
        {"type": "object", "additionalProperties": {"type": "number"}},
    ),
    "2.10: number": ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "exclusiveMinimum": 0.0}),
    "2.12: dataclass": ({**POINT, "description": "A point."}, POINT),
    "2.13: decimal": (
        {"anyOf": [{"type": "number"}, {"type": "string"}]},
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": DECIMAL}]},
    ),
}
OTHER = {
    "constant": ({"const": "a"}, {"const": "b", "enum": ["b"]}),
    "enum": ({"enum": ["a", "b"], "type": "string"}, {"type": "string"}),
    "closed": ({"type": "object", "additionalProperties": False}, {"type": "object"}),
    "bound": ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "exclusiveMinimum": 0.5}),
    "bound and truth": ({"default": 0}, {"default": False}),
    "description of a text": ({"type": "string", "description": "A city."}, {"type": "string"}),
    "another description": ({**POINT, "description": "A point."}, {**POINT, "description": "A place."}),
    "pattern": ({"type": "string", "pattern": "^a$"}, {"type": "string"}),
    "a property by such a name": (
        {"type": "object", "properties": {"description": {"type": "string"}, "properties": POINT}},
        {"type": "object", "properties": {"properties": POINT}},
    ),
}
PAIRS = [pytest.param(*pair, id=f"{name}{way}") for name, both in SAME.items() for way, pair in (
    (" →", both), (" ←", both[::-1]),
)]  # fmt: skip
OTHERS = [pytest.param(*pair, id=f"{name}{way}") for name, both in OTHER.items() for way, pair in (
    (" →", both), (" ←", both[::-1]),
)]  # fmt: skip


def in_a_tool(part):
    parameters = {"type": "object", "properties": {"a": {"type": "array", "items": part}}}
    return {"tools": [{"type": "function", "function": {"name": "get", "parameters": parameters}}]}


def in_a_format(part):
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": part}}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}


def ask(amber, place, part):
    messages = [{"role": "user", "content": "Hi"}]
    return amber.openai.chat.completions.create(model=amber.model, messages=messages, **place(part)).id


@pytest.fixture(scope="module")
def url():
    with Server() as server:
        yield server.base_url


@pytest.fixture
def record(tmp_path, url):
    def record(place, part):
        tape = tmp_path / "talk.jsonl"
        said = ask(Amber(mode="record", cassette=tape, base_url=url, api_key="ambrs-x"), place, part)
        return said, Amber(mode="replay", cassette=tape)

    return record


@pytest.mark.parametrize("place", [in_a_tool, in_a_format])
@pytest.mark.parametrize(("recorded", "now"), PAIRS)
def test_another_form_of_the_same_schema_is_replayed(record, place, recorded, now):
    said, replay = record(place, recorded)
    assert ask(replay, place, now) == said


@pytest.mark.parametrize("place", [in_a_tool, in_a_format])
@pytest.mark.parametrize(("recorded", "now"), OTHERS)
def test_another_schema_is_missing(record, place, recorded, now):
    _, replay = record(place, recorded)
    with pytest.raises(CassetteMiss):
        ask(replay, place, now)


def test_a_conversation_with_tools_is_replayed_to_its_end(tmp_path, url):
    """Its later requests hold the results that the tools gave then; those that they give now do not count."""
    tape, now = tmp_path / "talk.jsonl", ["sunny"]

    def get_weather(city: str, options: dict[str, Any] | None = None) -> str:
        return now[0]

    def question(amber):
        return amber.ask("What is the weather in Rome?", tools=get_weather).text

    said = question(Amber(mode="record", cassette=tape, base_url=url, api_key="ambrs-x"))
    content = tape.read_text(encoding="utf-8")
    older = re.sub(r'("options": \{)"additionalProperties": true, |, "additionalProperties": true', r"\1", content)
    if older == content:  # this pydantic is the older one
        older = content.replace('"options": {', '"options": {"additionalProperties": true, ')
    # In the question, and in the request with the result.
    assert {content.count("additionalProperties"), older.count("additionalProperties")} == {0, 2}
    tape.write_text(older, encoding="utf-8")
    now[0] = "cloudy"
    assert question(Amber(mode="replay", cassette=tape)) == said
