"""Invalid requests: each row is refused with 400, with the parameter and the code of OpenAI's format."""

# ruff: noqa: E501  – tables read better with a case a line

import pytest

USER = {"role": "user", "content": "x"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "1"}


def tool(name="f", **more):
    return {"type": "function", "function": {"name": name, **more}}


def schema(strict=True, name="x", **schema):
    return {"type": "json_schema", "json_schema": {"name": name, "strict": strict, "schema": schema}}


@pytest.mark.parametrize(
    ("messages", "param", "code"),
    [
        ([], "messages", "empty_array"),
        ("hello", "messages", "invalid_type"),
        (None, "messages", "invalid_type"),
        ([1], "messages[0]", "invalid_type"),
        ([{"content": "x"}], "messages[0].role", "missing_required_parameter"),
        ([{"role": "wizard", "content": "x"}], "messages[0].role", "invalid_value"),
        ([{"role": 1, "content": "x"}], "messages[0].role", "invalid_type"),
        ([{"role": "function", "name": "f", "content": "x"}], "messages[0].role", "invalid_value"),
        ([{"role": "user"}], "messages[0].content", "missing_required_parameter"),
        ([{"role": "user", "content": None}], "messages[0].content", "invalid_type"),
        ([{"role": "user", "content": 5}], "messages[0].content", "invalid_type"),
        ([{"role": "user", "content": []}], "messages[0].content", "empty_array"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]", "invalid_type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text", "missing_required_parameter"),
        ([{"role": "user", "content": [{"type": "video"}]}], "messages[0].content[0]", "invalid_value"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "messages[0].content[0].image_url",
         "invalid_type"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "huge"}}]}],
         "messages[0].content[0].image_url.detail", "invalid_value"),
        ([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages[0].content[0]",
         "invalid_value"),
        ([USER, {"role": "assistant", "content": None}], "messages[1].content", "invalid_type"),
        ([USER, {"role": "assistant", "content": None, "tool_calls": []}], "messages[1].tool_calls", "empty_array"),
        ([USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}], "messages[1].tool_calls[0].function", "invalid_type"),
        ([USER, RESULT], "messages.[1].role", None),
        ([USER, ASKED], "messages.[1].role", None),
        ([USER, ASKED, USER], "messages.[1].role", None),
        ([USER, ASKED, RESULT, RESULT], "messages.[3].role", None),
        ([USER, ASKED, {**RESULT, "tool_call_id": "other"}], "messages.[2].role", None),
        ([USER, ASKED, {"role": "tool", "content": "1"}], "messages[2].tool_call_id", "missing_required_parameter"),
    ],
)  # fmt: skip
def test_messages(post, messages, param, code):
    status, reply = post(body={"model": "azure/gpt-5.4", "messages": messages})
    assert (status, reply["error"]["param"], reply["error"]["code"]) == (400, param, code)


@pytest.mark.parametrize(
    ("params", "param", "code"),
    [
        ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
        ({"temperature": -1}, "temperature", "decimal_below_min_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"top_p": 1.1}, "top_p", "decimal_above_max_value"),
        ({"frequency_penalty": 3}, "frequency_penalty", "decimal_above_max_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"n": 1.5}, "n", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", "invalid_parameter_combination"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"stop": [1]}, "stop", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"stream": True, "stream_options": {"sing": True}}, "stream_options.sing", "unknown_parameter"),
        ({"seed": 2**63}, "seed", "integer_above_max_value"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"top_logprobs": 2}, "top_logprobs", "unsupported_parameter"),
        ({"functions": []}, "functions", "unsupported_parameter"),
        ({"modalities": ["audio"]}, "modalities", "invalid_value"),
        ({"reasoning_effort": "heroic"}, "reasoning_effort", "invalid_value"),
        ({"nonsense": 1}, "nonsense", "unknown_parameter"),
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": [tool(f"f{i}") for i in range(129)]}, "tools", "array_above_max_length"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type", "invalid_value"),
        ({"tools": [tool("a b")]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [tool("a"), tool("a")]}, "tools[1].function.name", "invalid_value"),
        ({"tools": [tool(parameters={"type": "integr"})]}, "tools[0].function.parameters", "invalid_function_parameters"),
        ({"tools": [tool(strict=True, parameters={"type": "object", "properties": {}})]}, "tools[0].function.parameters",
         "invalid_function_parameters"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", None),
        ({"tools": [tool()], "tool_choice": "always"}, "tool_choice", "invalid_value"),
        ({"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice", None),
        ({"tools": [tool()], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
         "tool_choice.allowed_tools.tools", "invalid_type"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_object"}}, "messages", None),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        ({"response_format": schema(name="a b", type="object")}, "response_format.json_schema.name", "invalid_value"),
        ({"response_format": schema(type="array", items={})}, "response_format", None),
        ({"response_format": schema(type="object", properties={})}, "response_format", None),
        ({"response_format": schema(type="object", properties={"a": {}}, additionalProperties=False)}, "response_format", None),
        ({"response_format": schema(strict=False, required="a")}, "response_format", None),
        ({"response_format": schema(strict=False, type="string", minLength=9, maxLength=1)}, "response_format", None),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_parameters(post, params, param, code):
    status, reply = post("x", **params)
    assert (status, reply["error"]["param"], reply["error"]["code"]) == (400, param, code)
    assert reply["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0, "top_p": 1, "frequency_penalty": -2, "presence_penalty": 2.0, "seed": -5, "user": "me"},
        {"logprobs": False, "top_logprobs": None, "stop": None, "tools": None, "n": None, "response_format": None},
        {"stop": "", "metadata": {"a": "b"}, "store": False, "service_tier": "auto", "reasoning_effort": "low"},
        {"response_format": {"type": "text"}, "verbosity": "low", "modalities": ["text"], "logit_bias": {"5": 1}},
    ],
)
def test_parameters_in_their_ranges(post, params):
    assert post("x", **params)[0] == 200


def test_a_body_without_model_or_messages(post):
    assert post(body={"messages": [USER]})[1]["error"]["param"] == "model"
    assert post(body={"model": 5, "messages": [USER]})[1]["error"]["code"] == "invalid_type"
    assert post(body={"model": "azure/gpt-5.4"})[1]["error"]["param"] == "messages"


def test_the_words_of_strict_mode(post):
    message = post("x", response_format=schema(type="object", properties={}))[1]["error"]["message"]
    assert message == (
        "Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required to be supplied and "
        "to be false."
    )
