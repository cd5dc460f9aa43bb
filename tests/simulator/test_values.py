"""A schema and a prompt → an example value: always valid, and taken from the prompt where possible."""

# ruff: noqa: E501  – tables read better with a case a line

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from amber_nb.simulator.prompt import Prompt
from amber_nb.simulator.values import ExampleBuilder, Unsatisfiable, matches, pattern_examples

PROMPTS = ["", "Rate this review: The food was cold, we waited 45 minutes. Never again!", "Alice, 31, lives in Paris."]
ANY_HEALTH = settings(suppress_health_check=list(HealthCheck))


def assert_valid(schema, value):
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)
    json.dumps(value, ensure_ascii=False).encode()


# Schemas that can be satisfied, by construction: every bound leaves room.
names = st.sampled_from(["name", "age", "city", "rating", "tags", "when", "nested", "a/b", "", "größe"])
small = st.integers(0, 4)
formats = ["date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "json-pointer"]
patterns = [
    r"^[A-Z]{2}-\d{3,5}$",
    r"^\+?\d{6,}$",
    r"^(red|green) \w+$",
    r"[aeiou]$",
    r"^(?:[a-f0-9]{2}:){5}[a-f0-9]{2}$",
]
strings = st.one_of(
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, st.integers(0, 60), small
    ),
    st.sampled_from(formats).map(lambda name: {"type": "string", "format": name}),
    st.sampled_from(patterns).map(lambda pattern: {"type": "string", "pattern": pattern}),
    st.just({"type": "string"}),
)
numbers = st.one_of(
    st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(-99, 99), small),
    st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low}, st.floats(-99, 99)),
    st.builds(lambda low, more: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + more},
              st.integers(-9, 9), st.sampled_from([0.5, 1, 7])),
    st.builds(lambda step, low: {"type": "number", "multipleOf": step, "minimum": low},
              st.sampled_from([0.01, 0.25, 0.1, 3, 7]), st.integers(-50, 50)),
    st.just({"type": "number", "maximum": -3.5}),
)  # fmt: skip
scalars = st.one_of(
    strings,
    numbers,
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {"const": {"a": [1, None]}}]),
    st.lists(st.sampled_from(["red", 1, None, True, "blue", 2.5]), min_size=1, unique_by=repr).map(
        lambda v: {"enum": v}
    ),
)


def arrays(inner):
    return st.one_of(
        st.builds(lambda sub, low, more: {"type": "array", "items": sub, "minItems": low, "maxItems": low + more},
                  inner, small, small),
        st.builds(lambda subs: {"type": "array", "prefixItems": subs, "items": False}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda sub: {"type": "array", "contains": sub, "minContains": 2}, inner),
        st.builds(lambda low: {"type": "array", "items": {"type": "integer", "minimum": 3, "maximum": 9}, "uniqueItems": True,
                               "minItems": low}, st.integers(0, 7)),
    )  # fmt: skip


def objects(inner):
    def build(properties, required, closed, low):
        schema = {"type": "object", "properties": properties, "required": [n for n in properties if n in required]}
        if closed:
            return schema | {"additionalProperties": False}
        return schema | {"minProperties": low}

    return st.one_of(
        st.builds(build, st.dictionaries(names, inner, max_size=4), st.lists(names), st.booleans(), small),
        st.builds(lambda sub, low: {"type": "object", "additionalProperties": sub, "minProperties": low}, inner, small),
    )


def combined(inner):
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda subs: {"anyOf": subs}),
        inner.map(lambda sub: {"allOf": [sub, {"description": "and more"}]}),
        inner.map(lambda sub: {"$defs": {"x": sub}, "$ref": "#/$defs/x"} if "$defs" not in str(sub) else sub),
        st.just({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
    )


# References resolve against the root, so a schema with one is only ever used as the root.
nested = st.recursive(scalars, lambda inner: st.one_of(arrays(inner), objects(inner), st.lists(inner, min_size=1, max_size=3)
                                                       .map(lambda subs: {"anyOf": subs})), max_leaves=6)  # fmt: skip


@ANY_HEALTH
@given(schema=combined(nested) | nested, prompt=st.sampled_from(PROMPTS), index=small)
def test_a_schema_that_can_be_met_is_met(schema, prompt, index):
    for optional in (True, False):
        assert_valid(schema, ExampleBuilder(schema, Prompt(prompt), optional=optional).build(index))


keywords = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["string", "integer", "number", "object", "array", "boolean", "null", ["array", "null"]]
        ),
        "minimum": st.integers(-5, 5),
        "maximum": st.floats(-5, 5),
        "multipleOf": st.sampled_from([1, 2, 0.3, 1e-7, 1e300]),
        "minLength": st.integers(0, 30),
        "maxLength": st.integers(0, 30),
        "pattern": st.sampled_from([*patterns, "^$", "(a+)+$", "^(?=.*[0-9])[a-z0-9]{4}$"]),
        "format": st.sampled_from(formats),
        "enum": st.lists(st.sampled_from([1, 1.0, "a", None, [], {}]), min_size=1, unique_by=repr),
        "const": st.sampled_from([1, "a", None]),
        "minItems": small,
        "maxItems": small,
        "uniqueItems": st.booleans(),
        "required": st.lists(names, max_size=2, unique=True),
        "minProperties": small,
        "maxProperties": small,
        "propertyNames": st.just({"pattern": "^[a-z]{2,3}$"}),
        "dependentRequired": st.just({"name": ["age"]}),
    },
)
anything = st.recursive(
    keywords | st.booleans(),
    lambda inner: st.builds(
        lambda base, extra: {**base, **extra} if isinstance(base, dict) else extra,
        keywords,
        st.fixed_dictionaries(
            {},
            optional={
                "properties": st.dictionaries(names, inner, max_size=3),
                "additionalProperties": inner,
                "patternProperties": st.dictionaries(st.sampled_from(["^a", "e$"]), inner, max_size=1),
                "items": inner,
                "prefixItems": st.lists(inner, min_size=1, max_size=2),
                "contains": inner,
                "anyOf": st.lists(inner, min_size=1, max_size=3),
                "oneOf": st.lists(inner, min_size=1, max_size=3),
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "not": inner,
                "if": inner,
                "then": inner,
                "else": inner,
            },
        ),
    ),
    max_leaves=6,
)


@ANY_HEALTH
@given(schema=anything, prompt=st.sampled_from(PROMPTS))
def test_any_schema_is_met_or_refused(schema, prompt):
    try:
        value = ExampleBuilder(schema, Prompt(prompt)).build()
    except Unsatisfiable:
        return
    assert_valid(schema, value)


TREE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "required": ["value", "children"],
    "additionalProperties": False,
}
LINKED = {
    "$defs": {
        "link": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/link"}, {"type": "null"}]}},
            "required": ["text", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/link",
}
SHAPES = [
    {**TREE, "$defs": {"node": TREE}},
    LINKED,
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 3},
    {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 2},
    {
        "type": "object",
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": False,
        "minProperties": 3,
    },
    {"oneOf": [{"type": "number", "multipleOf": 5}, {"type": "number", "multipleOf": 3}]},
    {"allOf": [{"type": "string", "minLength": 3}, {"maxLength": 3}, {"pattern": "^x.y$"}]},
    {"if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["kind", "more"]}, "type": "object"},
    {"type": "string", "not": {"maxLength": 5}, "maxLength": 9},
    {"type": "object", "properties": {"a/b~c": {"type": "integer"}}, "required": ["a/b~c", "free"]},
    {"properties": {"x": {"$ref": "#/properties/y~1z/prefixItems/0"}, "y/z": {"prefixItems": [{"type": "null"}]}}},
]


@pytest.mark.parametrize("schema", SHAPES, ids=str)
def test_shapes_that_need_care(schema):
    value = ExampleBuilder(schema, Prompt("Berlin and Paris, 12 items")).build()
    assert_valid(schema, value)


def test_a_recursive_schema_shows_its_recursion_and_ends():
    tree = ExampleBuilder(SHAPES[0], Prompt("")).build()
    assert tree["children"][0]["children"]
    assert len(json.dumps(tree)) < 2_000
    link = ExampleBuilder(LINKED, Prompt("")).build()
    assert link["next"]["text"]


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"$ref": "#"},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "https://example.com/schema.json"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {
            "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
            "$ref": "#/$defs/a",
        },
        {
            "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}] * 4}, "b": {"allOf": [{"$ref": "#/$defs/a"}] * 4}},
            "$ref": "#/$defs/a",
        },
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"type": "string", "minLength": 5, "maxLength": 4},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "array", "minItems": 1999, "items": {"type": "array", "minItems": 1999, "items": {"type": "string"}}},
        {"type": "object", "minProperties": 10**9},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"type": "string", "pattern": "("},
        {"type": "string", "pattern": r"\p{L}"},
        {"type": "string", "pattern": "a{99999}"},
        {"type": "string", "pattern": "((((a+)+)+)+)+$"},
        {"type": "string", "pattern": "^" + "a*" * 200 + "b$"},
        {"type": "string", "enum": [1, 2]},
        {"not": {}},
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_what_cannot_be_met_is_refused(schema):
    with pytest.raises(Unsatisfiable):
        ExampleBuilder(schema, Prompt("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")).build()


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|aa)+$", "^(a*)*b$", r"^(\w+\s?)*$", "(x+x+)+y", "^(.*)(.*)(.*)(.*)z$"]
)
def test_a_hostile_pattern_comes_to_an_end(pattern):
    evil = "a" * 60 + "!"
    value = ExampleBuilder({"type": "string", "pattern": pattern}, Prompt(f'"{evil}" {evil} {"x" * 60}')).build()
    assert_valid({"pattern": pattern}, value)


@pytest.mark.parametrize(
    "pattern",
    [*patterns, r"^\d{4}-\d{2}$", r"(?i)^abc", r"^(?<year>\d{4})$", r"^[^a-z\s]{3}$", r"^(?:x|y)(?!z).$", r"^(a)\1$"],
)
def test_examples_of_a_pattern(pattern):
    assert any(matches(pattern, text) for text in pattern_examples(pattern, "seed"))


def test_a_pattern_too_costly_is_named():
    with pytest.raises(Unsatisfiable, match="too costly"):
        matches("(((a+)+)+)+", "a")


@pytest.mark.parametrize(
    ("prompt", "schema", "expected"),
    [
        ("Classify: my bill is wrong", {"enum": ["billing", "technical", "other"]}, "billing"),
        ("Is this spam or ham? Win a prize", {"enum": ["ham", "eggs"]}, "ham"),
        ("Alice is 31 years old and lives in Paris.", {"type": "object", "properties": {
            "name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}}},
         {"name": "Alice", "age": 31, "city": "Paris"}),
        ("Meet on 2026-05-04 at 14:30", {"type": "string", "format": "date-time"}, "2026-05-04T14:30:00Z"),
        ("Write to bob@example.com", {"type": "string", "format": "email"}, "bob@example.com"),
        ("See https://example.com/x.", {"type": "string", "format": "uri"}, "https://example.com/x"),
        ("Compare Rome, Oslo and Paris", {"type": "object", "properties": {"cities": {"type": "array", "items": {"type": "string"}}}},
         {"cities": ["Rome", "Oslo", "Paris"]}),
        ("anything", {"type": "string", "default": "as usual", "maxLength": 8}, "as usual"),
        ("Write to bob@example.com and eve@example.org", {"type": "object", "properties": {
            "to": {"type": "string"}, "cc": {"type": "array", "items": {"type": "string"}}}},
         {"to": "bob@example.com", "cc": ["bob@example.com", "eve@example.org"]}),
        ('Name these: "Lovely!" "A bad one." "It is red."', {"type": "array", "items": {"type": "object", "properties": {
            "text": {"type": "string"}}}}, [{"text": "Lovely!"}, {"text": "A bad one."}, {"text": "It is red."}]),
        ("Rate this: a bad one, broken", {"type": "object", "properties": {
            "stars": {"type": "integer", "description": "How good (minimum: 2, exclusiveMaximum: 9)"}}}, {"stars": 2}),
        ("I was charged 30 pounds", {"anyOf": [{"type": "number"}, {"type": "null"}]}, 30),
        ("I was charged something", {"anyOf": [{"type": "number"}, {"type": "null"}]}, None),
        ("I was charged something", {"type": ["integer", "null"]}, None),
        ("I waited three days", {"properties": {"days": {"type": ["integer", "null"]}}, "required": ["days"]}, {"days": 3}),
        ("I was charged something", {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 2}, 2),
        ("I was charged something", {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}, 0),
        ("I was charged something", {"anyOf": [{"enum": [1, 2]}, {"type": "null"}]}, 1),
    ],
)  # fmt: skip
def test_values_come_from_the_prompt(prompt, schema, expected):
    assert ExampleBuilder(schema, Prompt(prompt)).build() == expected
