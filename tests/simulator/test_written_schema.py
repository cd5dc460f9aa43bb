"""A JSON schema that stands in the prompt, as clients write it for gateways without `response_format`."""

import json

import pytest

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
}
ORDER = f"Always respond with a JSON object that's compatible with this schema:\n\n{json.dumps(SCHEMA)}\n\nNo Markdown."
EXAMPLE = 'In the JSON schema {"properties": {"foo": {"type": "string"}}} the object {"foo": "bar"} is an instance.\n'
USER = {"role": "user", "content": "How warm is it in Rome, above 20?"}


@pytest.mark.parametrize("role", ["system", "developer", "user"])
@pytest.mark.parametrize("response_format", [None, {"type": "json_object"}])
@pytest.mark.parametrize(
    "text", [ORDER, EXAMPLE + ORDER, f"JSON, please:\n```json\n{json.dumps(SCHEMA, indent=2)}\n```"]
)
def test_the_reply_fits_a_schema_of_the_prompt(say, role, response_format, text):
    params = {} if response_format is None else {"response_format": response_format}
    if role == "user":
        prompt = [{"role": "user", "content": f"{USER['content']}\n\n{text}"}]
    else:
        prompt = [{"role": role, "content": text}, USER]
    assert json.loads(say(prompt, **params)["content"]) == {"city": "Rome", "degrees": 20}


def test_the_last_message_that_has_a_schema_counts(say):
    other = {"type": "object", "properties": {"sum": {"const": 3}}, "required": ["sum"]}
    prompt = [{"role": "system", "content": ORDER}, USER, {"role": "assistant", "content": "{}"}]
    prompt += [{"role": "user", "content": f"Now as JSON by {json.dumps(other)}"}, {"role": "user", "content": "Go on"}]
    assert json.loads(say(prompt)["content"]) == {"sum": 3}


def test_a_schema_of_response_format_goes_before_one_in_the_prompt(say):
    schema = {"type": "object", "properties": {"x": {"const": 1}}, "required": ["x"]}
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert json.loads(say(ORDER, response_format=response_format)["content"]) == {"x": 1}


@pytest.mark.parametrize(
    "text",
    [
        ORDER.replace("JSON object", "text"),  # nobody asks for JSON
        'Explain this GeoJSON: {"type": "Feature", "properties": {"name": {"en": "Rome"}}}',
        'Read this JSON: {"properties": {"name": "Rome"}, "type": "object"}',
        'What is wrong with the JSON {"type": "object", "properties": {"a": {',
        "JSON " + '{"a":' * 5_000,
        'JSON by {"properties": {"a": {"enum": ["\\ud800"]}}}',
        'JSON by {"properties": {"a": {"const": NaN}}}',
        'JSON by {"properties": {"a": {"type": "number", "minimum": 1e999}}}',
        "JSON by " + '{"properties": {"a": ' * 200 + "{}" + "}}" * 200,
        'JSON by {"type": "object", "properties": {"a": {"pattern": "("}}}',
    ],
)
def test_what_is_no_schema_or_not_asked_for_is_text(say, text):
    assert "what arrived" in say(text)["content"].lower() or "received" in say(text)["content"]


def test_a_schema_that_nothing_fits_gets_some_json(say):
    schema = {"type": "object", "properties": {"x": {"type": "string", "enum": [1]}}, "required": ["x"]}
    assert isinstance(json.loads(say(f"JSON by the schema {json.dumps(schema)}")["content"]), dict)


def test_tools_are_called_before_the_json_is_written(say):
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
    prompt = [{"role": "system", "content": ORDER}, {"role": "user", "content": "What is the weather in Rome?"}]
    message = say(prompt, tools=[tool])
    assert message["tool_calls"][0]["function"]["name"] == "get_weather"
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": '{"sky": "clear"}'}
    message = say([*prompt, {key: message[key] for key in ("role", "content", "tool_calls")}, result], tools=[tool])
    assert json.loads(message["content"]).keys() == {"city", "degrees"}


def test_a_forced_tool_whose_parameters_are_all_optional_is_filled(say):
    parameters = {"type": "object", "properties": {"title": {"type": "string"}, "pages": {"type": ["integer", "null"]}}}
    function = {"type": "function", "function": {"name": "Book", "parameters": parameters}}
    forced = {"type": "function", "function": {"name": "Book"}}
    for choice in ("required", forced):
        (call,) = say("Tell me of one", tools=[function], tool_choice=choice)["tool_calls"]
        assert json.loads(call["function"]["arguments"]).keys() == {"title", "pages"}
    empty = {"type": "function", "function": {"name": "Book", "parameters": {"type": "object", "properties": {}}}}
    assert say("Go", tools=[empty], tool_choice=forced)["tool_calls"][0]["function"]["arguments"] == "{}"
