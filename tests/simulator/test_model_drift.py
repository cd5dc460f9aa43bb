"""A later version of the model gives other answers, as valid and as reproducible as before."""

import json

import jsonschema
import pytest

from amber_nb import Amber, ConfigError
from amber_nb.simulator import Request, respond
from amber_nb.simulator.content import FUNCTION_PROMPT, HELLO_PROMPT, IMAGE_PROMPT, IMAGE_URL, later_version

KEY = {"authorization": "Bearer ambrs-test"}
IMAGE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": IMAGE_PROMPT},
            {"type": "image_url", "image_url": {"url": IMAGE_URL}},
        ],
    }
]
PROMPTS = {
    "hello": HELLO_PROMPT,
    "image": IMAGE,
    "plain": "Name three rivers",
    "essay": "Write an essay of 200 words about rivers, with `code`",
}


def ask(prompt, drift, **params):
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    body = json.dumps({"model": "azure/gpt-5.4", "messages": messages, **params}).encode()
    return json.loads(respond(Request("POST", "/chat/completions", KEY, body), drift=drift).body)


def message_of(prompt, drift, **params):
    return ask(prompt, drift, **params)["choices"][0]["message"]


@pytest.mark.parametrize("name", PROMPTS)
def test_each_number_is_another_model_and_the_same_every_time(name):
    texts = [message_of(PROMPTS[name], drift)["content"] for drift in range(4)]
    assert len(set(texts)) == 4
    assert [message_of(PROMPTS[name], drift)["content"] for drift in range(4)] == texts


def test_none_is_the_documented_answer():
    assert message_of(HELLO_PROMPT, 0)["content"] == "Hello! How can I help you today?"


def test_the_model_and_the_counts_follow():
    before, after = ask(HELLO_PROMPT, 0), ask(HELLO_PROMPT, 1)
    assert (before["model"], after["model"]) == ("gpt-5.4-2026-03-05", "gpt-5.4-2026-04-02")
    assert before["id"] != after["id"]
    assert after["usage"]["completion_tokens"] > before["usage"]["completion_tokens"]
    assert ask(HELLO_PROMPT, 1, max_tokens=3)["choices"][0]["finish_reason"] == "length"
    assert later_version("model", 2) == "model-r2"


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


def test_an_argument_changes_and_stays_valid():
    arguments = [
        json.loads(message_of(FUNCTION_PROMPT, drift, tools=[WEATHER])["tool_calls"][0]["function"]["arguments"])
        for drift in range(3)
    ]
    assert [values["unit"] for values in arguments] == ["celsius", "fahrenheit", "celsius"]
    for values in arguments:
        jsonschema.validate(values, WEATHER["function"]["parameters"])
    only = json.loads(json.dumps(WEATHER).replace(', "fahrenheit"', ""))
    call = message_of(FUNCTION_PROMPT, 1, tools=[only])["tool_calls"][0]
    assert json.loads(call["function"]["arguments"])["unit"] == "celsius"


def test_json_stays_what_its_schema_says():
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "stars": {"type": "integer", "minimum": 1, "maximum": 5}},
        "required": ["name", "stars"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "review", "schema": schema}}
    for drift in range(5):
        jsonschema.validate(json.loads(message_of("Review a hotel", drift, response_format=wanted)["content"]), schema)


def test_the_setting(monkeypatch, elsewhere):
    monkeypatch.setenv("AMBER_SIM_CHUNKS_PER_S", "0")
    before = Amber(mode="simulate").ask("Hello!").text
    monkeypatch.setenv("AMBER_SIM_DRIFT", "1")
    assert Amber(mode="simulate").ask("Hello!").text == message_of(HELLO_PROMPT, 1)["content"] != before
    for bad in ("-1", "x", "1.5"):
        monkeypatch.setenv("AMBER_SIM_DRIFT", bad)
        with pytest.raises(ConfigError, match="AMBER_SIM_DRIFT"):
            Amber(mode="simulate")
