"""Callable → schema: as the vendor's page has it, and against pydantic-ai and chatlas, every difference by name."""

import ast
import functools
import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
import tool_differences
import tool_signatures
from gateway import Said, serve, spoken
from pydantic import BaseModel, ConfigDict, Field
from scripted import KEY
from tool_signatures import SIGNATURES, City, Closed, Node, Point, get_current_weather

from amber_nb import Amber
from amber_nb.cassettes.schemas import adopt_forms
from amber_nb.tools import tool, tools_from
from amber_nb.tools.schema import to_strict_schema

HERE = Path(__file__).parent
STORED = json.loads((HERE / "tool_schemas.json").read_text(encoding="utf-8"))["schemas"]
LIBRARIES = ("pydantic-ai", "chatlas")

# As the vendor's page has them (create-chat-completion-openai-format, Functions).
VENDOR = [
    {
        "type": "function",
        "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {
                        "type": "string",
                        "description": "The city and state, e.g. Aachen, North Rhine-Westphalia",
                    },
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                },
                "required": ["location"],
            },
        },
    }
]


def canonical(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def spec(function, **options):
    (subject,) = tools_from(tool(function, **options) if options else function).values()
    return subject.spec["function"]


def parameters(function, **options):
    return spec(function, **options)["parameters"]


def properties(function):
    return parameters(function)["properties"]


def read_rules():
    """(signature, library) → rules, from the text beside this."""
    table = {}
    library = ""
    for line in (HERE / "tool_differences.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            library = line[2:]
            continue
        name, _, rules = line.partition(":")
        table[name, library] = [rule.strip() for rule in rules.split(",") if rule.strip()]
    return table


EXPLAINED = read_rules()


def test_the_vendors_tool_byte_for_byte():
    assert canonical([item.spec for item in tools_from([get_current_weather]).values()]) == canonical(VENDOR)


def test_the_vendors_request_byte_for_byte():
    """All that `ask` adds is that it streams."""
    bodies: list = []
    question = "What's the weather like in Aachen today?"
    with serve(lambda _: Said(spoken("It rains.", 5)), bodies) as url:
        Amber(base_url=url, api_key=KEY).ask(question, tools=get_current_weather, tool_choice="auto")
    (body,) = bodies
    assert (body.pop("stream"), body.pop("stream_options")) == (True, {"include_usage": True})
    request = {"model": "azure/gpt-5.4", "messages": [{"role": "user", "content": question}]}
    assert canonical(body) == canonical({**request, "tools": VENDOR, "tool_choice": "auto"})


def test_the_vendors_tool_is_the_pages():
    page = HERE.parents[2] / "shared" / "reference" / "create-chat-completion-openai-format.md"
    if not page.exists():
        pytest.skip("the page lies outside the checkout")
    snippet = re.search(r"tools = (\[.*?\n  \])", page.read_text(encoding="utf-8"), re.DOTALL)
    assert ast.literal_eval(snippet[1]) == VENDOR


@pytest.mark.parametrize("name", SIGNATURES)
def test_ours_is_what_is_stored(name):
    subject = spec(SIGNATURES[name])
    ours = {"description": subject.get("description", ""), "parameters": subject["parameters"]}
    stored = STORED[name]["ours"]
    if not pydantic.VERSION.startswith("2.14."):  # another release writes the same otherwise
        ours = adopt_forms(ours, stored)
    assert canonical(ours) == canonical(stored)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", SIGNATURES)
def test_every_difference_is_explained(name, library):
    row, rules = STORED[name], EXPLAINED[name, library]
    known = {*tool_differences.RULES, *tool_differences.TEXT_RULES, *tool_differences.FAILURES}
    assert set(rules) <= known
    theirs, ours = tool_differences.explained(row[library], row["ours"], rules)
    assert theirs == ours
    for rule in rules:  # each is needed
        rest = [item for item in rules if item != rule]
        try:
            theirs, ours = tool_differences.explained(row[library], row["ours"], rest)
        except (AssertionError, KeyError, ValueError, TypeError):
            continue  # a rule that builds upon it
        assert theirs != ours, f"{rule} explains nothing"


def test_the_table_is_whole():
    assert len(SIGNATURES) >= 40
    assert set(STORED) == set(SIGNATURES)
    assert set(EXPLAINED) == {(name, library) for name in SIGNATURES for library in LIBRARIES}


class Title(BaseModel):
    """A model with a field of that name."""

    title: str
    default: int = 3


def named_title(title: Title): ...


def test_names_like_keywords_stay():
    assert properties(named_title)["title"]["properties"] == {
        "title": {"type": "string"},
        "default": {"type": "integer"},
    }


def twice(a: City, b: list[City]): ...


def test_definitions_are_inlined_unless_they_recur():
    assert "$defs" not in parameters(twice)
    recursive = parameters(SIGNATURES["recursive"])
    assert recursive["properties"]["tree"] == {"$ref": "#/$defs/Node"}
    assert list(recursive["$defs"]) == ["Node"]


class L0(BaseModel):
    a: int


def doubled(level, model):
    return type(f"L{level}", (BaseModel,), {"__annotations__": {"a": model, "b": model}, "__module__": __name__})


def test_definitions_that_double_stay_small():
    model = functools.reduce(lambda inner, level: doubled(level, inner), range(1, 25), L0)

    def deep(a): ...

    deep.__annotations__["a"] = model
    assert len(canonical(parameters(deep))) < 10_000


def described(a: Annotated[str, "from Annotated"], b: Annotated[int, Field(description="from Field")], c: City):
    """Do.

    Args:
        a: not this
        b: nor this
        c: from the docstring
    """


def test_where_a_description_comes_from():
    subject = properties(described)
    assert [subject[name]["description"] for name in "abc"] == ["from Annotated", "from Field", "from the docstring"]


def args_kwargs(x: int, *args, **kwargs): ...


def wrapper(*args, **kwargs): ...


def test_variable_parameters_without_a_hint_are_not_offered():
    assert parameters(args_kwargs) == {
        "type": "object",
        "properties": {"x": {"type": "integer"}},
        "required": ["x"],
    }
    with pytest.raises(ValueError, match=r"functools\.wraps"):
        tools_from(wrapper)


class Many(Enum):
    A = "a"


def strict_all(
    a: str,
    b: int = 3,
    c: Literal["x", "y"] = "x",
    d: Point | None = None,
    e: list[City] | None = None,
    f: Annotated[str, Field(min_length=2, pattern="^a")] = "aa",
    g: tuple[int, str] = (1, "x"),
    h: Many = Many.A,
): ...


def objects(schema):
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for item in schema.values():
            yield from objects(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from objects(item)


def words(schema):
    """The keywords used anywhere."""
    if isinstance(schema, list):
        return {word for item in schema for word in words(item)}
    if not isinstance(schema, dict):
        return set()
    keywords = set(schema)
    for key, value in schema.items():
        inner = value.values() if key in ("properties", "$defs") else [value]
        keywords |= {word for item in inner for word in words(item)}
    return keywords


def test_the_strict_form():
    subject = spec(strict_all, strict=True)
    assert subject["strict"] is True
    assert list(subject)[:2] == ["name", "parameters"]
    schema = subject["parameters"]
    every = list(objects(schema))
    assert len(every) == 3
    for item in every:
        assert item["required"] == list(item["properties"])
        assert item["additionalProperties"] is False
    assert words(schema) <= {
        *("type", "description", "enum", "const", "anyOf", "properties", "required", "items", "additionalProperties")
    }
    null = {"type": "null"}
    assert schema["properties"]["a"] == {"type": "string"}
    assert schema["properties"]["b"] == {"type": ["integer", "null"]}
    assert schema["properties"]["c"] == {"anyOf": [{"type": "string", "enum": ["x", "y"]}, null]}
    assert schema["properties"]["d"]["anyOf"][1] == null
    assert schema["properties"]["d"]["anyOf"][0]["properties"]["y"] == {"type": ["number", "null"]}
    assert schema["properties"]["f"] == {"type": ["string", "null"]}
    assert schema["properties"]["g"]["anyOf"][0]["items"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert "strict" not in spec(SIGNATURES["enum"])


def test_the_strict_form_of_what_recurs():
    def grow(tree: Node): ...

    schema = parameters(grow, strict=True)
    assert schema["$defs"]["Node"]["required"] == ["value", "children"]
    assert schema["$defs"]["Node"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (dict[str, Any], r"bad\.a: .*names of all fields"),
        (dict[str, int], "dataclass"),
        (dict, "dataclass"),
        (Any, "needs a type"),
        (list, r"bad\.a\[\]: .*type"),
        (list[dict[str, int]], r"bad\.a\[\]: "),
        (
            create := type("Open", (BaseModel,), {"model_config": ConfigDict(extra="allow"), "__module__": __name__}),
            "names",
        ),
    ],
)
def test_what_the_strict_form_cannot_say(hint, words):
    def bad(a): ...

    bad.__annotations__["a"] = hint
    tools_from(bad)
    with pytest.raises(ValueError, match=words):
        tools_from(tool(bad, strict=True))


@pytest.mark.parametrize(
    ("field", "strict"),
    [
        (
            {"oneOf": [{"type": "string"}, {"const": 3}]},
            {"anyOf": [{"type": "string"}, {"const": 3}, {"type": "null"}]},
        ),
        ({"allOf": [{"type": "integer", "minimum": 3}]}, {"type": ["integer", "null"]}),
        ({"$ref": "#/definitions/x"}, {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]}),
        ({"type": "null"}, {"type": "null"}),
    ],
)
def test_keywords_that_the_strict_form_says_otherwise(field, strict):
    schema = {"type": "object", "properties": {"a": field}, "definitions": {"x": {"type": "string"}}}
    assert to_strict_schema(schema, "f")["properties"]["a"] == strict


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "array"}, "f: the strict form needs parameters that are one object"),
        ({"type": "object", "properties": {"a": True}}, r"f\.a: the strict form needs a type"),
        ({"type": "object", "properties": {"a": {"allOf": [{}, {}]}}}, r"f\.a: the strict form has no allOf"),
    ],
)
def test_schemas_that_have_no_strict_form(schema, message):
    with pytest.raises(ValueError, match=message):
        to_strict_schema(schema, "f")


def connection(db: sqlite3.Connection): ...


def callback(f: Callable[[int], int]): ...


def lost(a: "Nowhere"): ...  # noqa: F821


def broken(a: "1 +"): ...  # noqa: F722


def class_of(a: type[int]): ...


@dataclass
class Lazy:
    items: Iterable[int] = field(default_factory=list)


def lazy(a: Lazy): ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (connection, r"connection\(db\): no JSON value can become a Connection.*functools\.partial"),
        (callback, r"callback\(f\): .*Callable"),
        (lost, r"lost\(a\): the hint Nowhere names 'Nowhere'.*top level"),
        (broken, r"broken\(a\): the hint 1 \+ cannot be read"),
        (class_of, r"class_of\(a\): no JSON"),
        (lazy, r"lazy\(a\): .*Iterable.*list or Sequence"),
    ],
)
def test_hints_that_no_json_can_become(function, message):
    with pytest.raises(TypeError, match=message):
        tools_from(function)


def test_a_forward_reference_to_a_local_is_named():
    class Local(BaseModel):
        a: int

    def uses(a: "Local"): ...

    with pytest.raises(TypeError, match=r"uses\(a\): the hint Local .*not in a function"):
        tools_from(uses)

    def knows(a: "Local"):
        return Local

    assert properties(knows)["a"]["required"] == ["a"]  # what the function itself uses can be seen


def good(a: int): ...


@pytest.mark.parametrize(
    ("tools", "error", "message"),
    [
        ("good", TypeError, "An object of type str is no tool"),
        (3, TypeError, "An object of type int is no tool"),
        ([good, 3], TypeError, "An object of type int is no tool"),
        (lambda a: a, ValueError, r"A lambda has no name.*name='…'"),
        (functools.partial(lambda a: a), ValueError, "A lambda"),
        ([good, tool(lambda a: a, name="good")], ValueError, "Two tools are called 'good'"),
        ({"type": "function"}, ValueError, "This dict is no tool"),
        ({"mcpServers": {}}, ValueError, r"Servers of an mcpServers dict are given as tools=mcp\("),
        ({"type": "function", "function": {}}, ValueError, "This dict is no tool"),
        ({"type": "function", "function": {"name": "a b"}}, ValueError, "'a b' is none"),
        ({"type": "function", "function": {"name": "a", "parameters": []}}, ValueError, "must be a JSON schema"),
        (
            {"type": "function", "function": {"name": "a", "parameters": {"type": "x"}}},
            ValueError,
            "no JSON schema: type",
        ),
        ({"type": "function", "function": {"name": "a", "x": {1, 2}}}, ValueError, "no JSON"),
        (max, ValueError, "max tells no signature"),
        (tool_signatures.Shelf.find, ValueError, r"method without its object: give object\.find"),
        (staticmethod(3) if False else classmethod(good), TypeError, "not bound"),
    ],
)
def test_what_is_no_tool(tools, error, message):
    with pytest.raises(error, match=message):
        tools_from(tools)


def test_a_name_that_openai_does_not_take():
    def größe(): ...

    with pytest.raises(ValueError, match=r"'größe' is none that the model could call.*@tool\(name='…'\)"):
        tools_from(größe)
    assert list(tools_from(tool(größe, name="size"))) == ["size"]
    with pytest.raises(ValueError, match="64"):
        tool(name="x" * 65)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"$ref": "https://example.com/schema.json"}, "nothing is fetched"),
        ({"properties": {"a": {"$ref": "other.json#/x"}}}, "nothing is fetched"),
        ({"properties": {"a": {"items": {"$ref": "#/$defs/gone"}}}}, "leads nowhere"),
        ({"$ref": "#/else/where", "else": {"where": {"$ref": "https://example.com/x"}}}, "nothing is fetched"),
        ({"$ref": "#/else/where", "else": {"where": {"pattern": "(?=x)"}}}, "looks ahead"),
        ({"properties": {"a": {"$id": "https://example.com/x", "type": "string"}}}, r"\$id"),
        ({"properties": {"a": {"$dynamicRef": "#x"}}}, r"\$dynamicRef"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "looks ahead"),
        ({"patternProperties": {"(a)\\1": {}}}, "refers back"),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "not supported"),
    ],
)
def test_schemas_that_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        tools_from({"type": "function", "function": {"name": "a", "parameters": parameters}})


def test_schemas_that_nest_without_end():
    schema = {}
    for _ in range(3_000):
        schema = {"items": schema}
    with pytest.raises(ValueError, match=r"no JSON|nests too deeply"):
        tools_from({"type": "function", "function": {"name": "a", "parameters": schema}})


def test_a_dict_is_sent_as_it_is_and_kept_apart():
    given = json.loads(json.dumps(VENDOR[0]))
    subject = tools_from(given)["get_current_weather"]
    given["function"]["parameters"]["properties"].clear()
    assert subject.spec == VENDOR[0]
    assert subject.function is None


def test_model_classes():
    subject = tools_from(City)["City"]
    assert subject.spec["function"] == {
        "name": "City",
        "description": "A city.",
        "parameters": {
            "properties": {"name": {"description": "as on the map", "type": "string"}, "people": {"type": "integer"}},
            "required": ["name"],
            "type": "object",
        },
    }
    assert subject.function is None
    assert tools_from(Closed)["Closed"].spec["function"]["parameters"]["additionalProperties"] is False


def test_order_and_nothing():
    assert tools_from(None) == {}
    assert tools_from([]) == {}
    assert list(tools_from(iter([City, good, VENDOR[0]]))) == ["City", "good", "get_current_weather"]
    subject = tools_from(good)
    assert tools_from(subject.values()) == subject


def test_the_decorator_leaves_the_function_as_it_is():
    def plain(a: int):
        return a

    assert tool(plain) is plain
    assert tool(serial=True, require_approval=True, timeout_s=3)(plain) is plain
    assert plain(3) == 3
    subject = tools_from(plain)["plain"]
    assert (subject.serial, subject.require_approval, subject.timeout_s) == (True, True, 3)
    other = tools_from(good)["good"]
    assert (other.serial, other.require_approval, other.timeout_s) == (False, None, None)
    with pytest.raises(TypeError, match="not for int"):
        tool(3)
    with pytest.raises(TypeError, match="cannot mark"):
        tool(len)
    with pytest.raises(ValueError, match="above 0"):
        tool(timeout_s=0)


class Service:
    @tool(serial=True)
    def method(self, a: int):
        return self, a

    @tool(name="static")
    @staticmethod
    def of_nobody(a: int):
        return a

    @staticmethod
    @tool(name="inner")
    async def waits(a: int):
        return a

    @classmethod
    @tool(name="of_class")
    def build(cls, a: int):
        return cls, a

    async def __call__(self, a: int):
        return a


def test_options_on_methods():
    service = Service()
    subject = tools_from(
        [service.method, Service.of_nobody, Service.waits, Service.build, functools.partial(tool(good, serial=True), 3)]
    )
    assert list(subject) == ["method", "static", "inner", "of_class", "good"]
    assert [item.serial for item in subject.values()] == [True, False, False, False, True]
    assert [item.is_async for item in subject.values()] == [False, False, True, False, False]
    assert subject["method"].prepare({"a": 1})[1]() == (service, 1)
    assert subject["of_class"].prepare({"a": 1})[1]() == (Service, 1)
    assert subject["good"].spec["function"]["parameters"] == {"type": "object", "properties": {}}


async def waits(a: int): ...


@pytest.mark.parametrize("function", [waits, functools.partial(waits, 3), tool(Service(), name="desk"), Service.waits])
def test_async(function):
    (subject,) = tools_from(function).values()
    assert subject.is_async
    assert not tools_from(good)["good"].is_async
