"""Structured output: what a schema asks for, and the value that comes of it."""

import enum
import json
import threading
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Annotated, Any, Literal, NamedTuple

import openai
import pytest
from gateway import DONE, chunk
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, BaseModel, Field
from scripted import calling
from typing_extensions import TypedDict

from amber_nb import Amber, RefusalError, SchemaError
from amber_nb.tools.structured import ResponseMismatch, response_format_of


class Review(BaseModel):
    """A review."""

    stars: Annotated[int, Field(ge=1, le=5, description="one to five")]
    summary: str
    tags: list[str] = Field(default_factory=list)
    bought: date | None = None
    kind: Literal["book", "film"] = "book"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: float
    y: float = 0.0
    notes: list[str] = field(default_factory=list)


class Address(TypedDict):
    street: str
    number: int


class Where(TypedDict):
    city: str


class Pair(NamedTuple):
    a: int
    b: str


class Node(BaseModel):
    name: str
    children: list["Node"] = []


# type, JSON that the model gives, value
FITTING = [
    (Review, {"stars": 4, "summary": "good", "tags": ["a"], "bought": None, "kind": "film"},
     Review(stars=4, summary="good", tags=["a"], kind="film")),
    (Review, {"stars": 4, "summary": "good", "tags": [], "bought": "2026-11-24", "kind": "book"},
     Review(stars=4, summary="good", bought=date(2026, 11, 24))),
    (Point, {"x": 1, "y": 2.5, "notes": []}, Point(1.0, 2.5)),
    (Address, {"street": "Ring", "number": 3}, {"street": "Ring", "number": 3}),
    (Node, {"name": "a", "children": [{"name": "b", "children": []}]}, Node(name="a", children=[Node(name="b")])),
    (bool, {"value": True}, True),
    (int, {"value": 7}, 7),
    (str, {"value": "x"}, "x"),
    (Colour, {"value": "blue"}, Colour.BLUE),
    (Literal["a", "b"], {"value": "b"}, "b"),
    (list[Review], {"value": [{"stars": 1, "summary": "", "tags": [], "bought": None, "kind": "book"}]},
     [Review(stars=1, summary="")]),
    (list[int], {"value": [1, 2]}, [1, 2]),
    (int | None, {"value": None}, None),
    (Review | Point, {"value": {"x": 1, "y": 0, "notes": []}}, Point(1.0)),
    (tuple[int, str], {"value": [1, "a"]}, (1, "a")),
    (Pair, {"value": [1, "a"]}, Pair(1, "a")),
    (set[str], {"value": ["a"]}, {"a"}),
    (date, {"value": "2026-11-24"}, date(2026, 11, 24)),
    (dict[str, int], {"a": 1}, {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "reply", "value"), FITTING)
def test_a_value_that_fits(script, kind, reply, value):
    answer = script(json.dumps(reply)).ask("?", schema=kind)
    assert answer.parsed == value
    assert type(answer.parsed) is type(value)
    assert answer.complete


@pytest.mark.parametrize(("kind", "reply", "value"), FITTING)
def test_its_schema_is_one_that_the_endpoint_takes(kind, reply, value):
    """OpenAI's rules of the strict form: https://platform.openai.com/docs/guides/structured-outputs"""
    sent = response_format_of(kind).payload
    assert sent["type"] == "json_schema"
    wanted = sent["json_schema"]
    assert wanted["strict"] is (kind != dict[str, int])
    assert wanted["schema"]["type"] == "object"

    def check(schema):
        if not isinstance(schema, dict):
            return
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
        assert not schema.keys() & {"default", "title", "oneOf", "allOf", "pattern"}
        for inner in schema.values():
            for item in inner if isinstance(inner, list) else inner.values() if isinstance(inner, dict) else ():
                check(item)

    if wanted["strict"]:
        check(wanted["schema"])


def test_what_the_strict_form_cannot_say_is_said_in_words():
    properties = response_format_of(Review).payload["json_schema"]["schema"]["properties"]
    assert properties["stars"]["description"] == "one to five (minimum: 1, maximum: 5)"
    assert "format: date" in json.dumps(properties["bought"])


def test_the_simulator_fills_what_is_asked_for(simulated):
    for kind, _, _ in FITTING:
        # It reads no descriptions, where the limits stand.
        if kind in (dict[str, int], date, Review, list[Review], Review | Point, tuple[int, str], Pair):
            continue
        simulated.ask("Rate this: great!", schema=kind, show=False).parsed  # noqa: B018


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}


def test_a_json_schema_gives_json(script):
    assert script('{"n": 3}').ask("?", schema=SCHEMA).parsed == {"n": 3}
    assert script('{"value": 5}').ask("?", schema={"type": "integer"}).parsed == 5
    with pytest.raises(SchemaError, match="n: should keep to minimum 3, not 2"):
        script('{"n": 2}').ask("?", schema=SCHEMA)
    whole = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    assert script('{"n": 3}').ask("?", schema=whole).parsed == {"n": 3}


@pytest.mark.parametrize("fenced", ["```json\n%s\n```", "```\n%s\n```", "\n %s \n"])
def test_a_fence_around_it_does_no_harm(script, fenced):
    assert script(fenced % '{"value": 5}').ask("?", schema=int).parsed == 5


def test_what_does_not_fit_is_told_once_and_mended(script):
    amber = script('{"stars": 9, "summary": "x"}', json.dumps(FITTING[0][1]))
    answer = amber.ask("?", schema=Review)
    assert answer.parsed == FITTING[0][2]
    first, reply, correction, last = answer.messages
    assert (first["role"], reply["role"], correction["role"], last["role"]) == (
        "user",
        "assistant",
        "user",
        "assistant",
    )
    assert "stars: Input should be less than or equal to 5" in correction["content"]
    assert len(amber.usage_log) == 2


@pytest.mark.parametrize("text", ["Sure! Here it is.", "{", '{"value": "5 stars"}', '{"values": 5}', "[5]", "null"])
def test_what_never_fits_is_a_schema_error(script, text):
    amber = script(text)
    with pytest.raises(SchemaError) as caught:
        amber.ask("?", schema=int)
    assert caught.value.answer is amber.last
    assert amber.last.text == text
    with pytest.raises(RuntimeError, match="nothing was parsed"):
        amber.last.parsed  # noqa: B018
    assert len(amber.usage_log) == 2


def ending(delta, finish):
    return [chunk(delta), chunk(finish=finish), DONE]


def test_a_refusal_is_one(script):
    amber = script(ending({"refusal": "I will not."}, "stop"))
    with pytest.raises(RefusalError, match="I will not") as caught:
        amber.ask("?", schema=int)
    assert caught.value.answer.refusal == "I will not."
    assert len(amber.usage_log) == 1


def test_the_sdks_own_errors_say_why_it_is_not_whole(script):
    with pytest.raises(openai.LengthFinishReasonError) as caught:
        script(ending({"content": '{"val'}, "length")).ask("?", schema=int)
    assert caught.value.answer.text == '{"val'
    with pytest.raises(openai.ContentFilterFinishReasonError) as caught:
        script(ending({"content": '{"val'}, "content_filter")).ask("?", schema=int)
    assert caught.value.answer.text == '{"val'


def test_with_tools_the_schema_is_for_the_last_reply(script):
    def look_up(name: str) -> int:
        return 5

    answer = script(calling(("look_up", {"name": "x"})), '{"value": 5}').ask("?", schema=int, tools=look_up)
    assert answer.parsed == 5
    assert answer.tool_runs[0].result == 5


def test_what_follows_has_no_schema(script):
    answer = script('{"value": 5}', "Fine.").ask("?", schema=int)
    assert answer.ask("And?").parsed is None


def test_without_a_schema_there_is_nothing_parsed(script):
    assert script("5").ask("?").parsed is None


@pytest.mark.parametrize("wrong", ["Review", 5, [Review], {"type": "nonsense"}, object(), lambda: 1])
def test_what_is_no_schema(script, wrong):
    amber = script("5")
    with pytest.raises((TypeError, ValueError), match="schema"):
        amber.ask("?", schema=wrong)
    assert len(amber.usage_log) == 0


@pytest.mark.parametrize("word", ["$defs", "definitions"])
def test_what_a_schema_refers_to_goes_along(word):
    point = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
    response_format = response_format_of(
        {"type": "array", "items": {"$ref": f"#/{word}/Point"}, word: {"Point": point}}
    )
    sent = response_format.payload["json_schema"]["schema"]
    assert sent["properties"]["value"]["items"] == {"$ref": "#/$defs/Point"}
    assert sent["$defs"]["Point"]["required"] == ["x"]
    assert response_format.parse('{"value": [{"x": 1}]}') == ([{"x": 1}], [{"x": 1}])


def test_a_schema_that_contains_itself():
    tree = {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#"}]}}
    response_format = response_format_of(tree)
    sent = response_format.payload["json_schema"]["schema"]
    assert sent["properties"]["value"] == {"$ref": "#/$defs/whole"}
    assert sent["$defs"]["whole"]["items"]["anyOf"][1] == {"$ref": "#/$defs/whole"}
    assert response_format.parse('{"value": [1, [2, [3]]]}')[0] == [1, [2, [3]]]
    Draft202012Validator(sent).validate({"value": [1, [2, [3]]]})
    for wrong in ('{"value": [1, ["x"]]}', '{"value": [{"value": [1]}]}'):
        with pytest.raises(ResponseMismatch, match=r"\[\d\]: should fit"):
            response_format.parse(wrong)


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (
            {"type": "object", "properties": {"city": {}}, "additionalProperties": False},
            {"ciyt": 1},
            "ciyt: no such",
        ),
        ({"type": "array", "minItems": 2}, {"value": [1]}, "the value: should keep to minItems 2"),
        ({"type": "string", "pattern": "^(a+)+$"}, {"value": "a" * 50_000 + "b"}, "the value: should keep to pattern"),
    ],
)
def test_what_does_not_fit_a_json_schema(schema, value, text):
    with pytest.raises(ResponseMismatch, match=f"^{text}"):
        response_format_of(schema).parse(json.dumps(value))


def test_a_schema_that_refers_elsewhere_fetches_nothing():
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        elsewhere = {"$ref": f"http://127.0.0.1:{server.server_port}/s.json"}
        with pytest.raises(ValueError, match="nothing is fetched"):
            response_format_of({"type": "object", "properties": {"a": elsewhere}})
        server.shutdown()
    assert asked == []


def test_what_a_json_schema_lets_out_is_asked_for_as_it_must_be():
    fields = {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": ["string", "null"]}}
    response_format = response_format_of({"type": "object", "properties": fields, "required": ["a"]})
    sent = response_format.payload["json_schema"]
    assert sent["strict"]
    assert sent["schema"]["properties"]["b"] == {"type": "string"}  # null would not fit
    value = {"a": "x", "b": "", "c": None}  # as a model gives it that keeps to what was sent
    assert response_format.parse(json.dumps(value)) == (value, value)


def test_a_validator_that_breaks_is_a_misfit():
    def broken(value):
        raise KeyError("x")

    with pytest.raises(ResponseMismatch, match="cannot be checked \\(KeyError"):
        response_format_of(Annotated[int, AfterValidator(broken)]).parse('{"value": 1}')


def test_hostile_json_is_a_misfit():
    response_format = response_format_of(Any)
    for text in ("[" * 100_000, '{"value": ' + "9" * 5_000 + "}", "NaN" * 3, "\ud800"):
        with pytest.raises((ResponseMismatch, ValueError)):
            response_format.parse(text)


def test_it_is_shown_as_a_table(script):
    rows = [FITTING[0][1], {**FITTING[0][1], "summary": "<script>x</script>"}]
    html = script(json.dumps({"value": rows})).ask("?", schema=list[Review])._repr_mimebundle_()["text/html"]
    assert html.count("<tr>") == 3
    assert "<th" in html
    assert "&lt;script&gt;" in html


def test_the_simulator_corrects_the_answer_to_the_question():
    from_question = [{"role": "user", "content": "Where is it? In Aachen."}, {"role": "assistant", "content": "{"}]
    correction = {"role": "user", "content": "This does not fit the schema. This is no JSON. Give the corrected JSON."}
    answer = Amber(mode="simulate").ask([*from_question, correction], schema=Where, show=False)
    assert answer.parsed == {"city": "Aachen"}
