"""Whatever the body is, `respond` gives a response: it never raises and takes bounded time and memory."""

# ruff: noqa: E501  – tables read better with a case a line

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amber_nb.simulator import Request, handler, respond
from amber_nb.simulator import values as example_values

KEY = {"authorization": "Bearer ambrs-test"}
ANY_HEALTH = settings(suppress_health_check=list(HealthCheck))


def answer(body, dialect="openai"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = respond(Request("POST", "/chat/completions", KEY, data), dialect=dialect)
    assert response.status in (200, 400, 404)
    if response.events is None:
        reply = json.loads(response.body)
        assert ("error" in reply) == (response.status != 200)
        if "error" in reply:
            assert reply["error"].keys() == {"message", "type", "param", "code"}
    again = respond(Request("POST", "/chat/completions", KEY, data), dialect=dialect)
    assert (again.body, again.events) == (response.body, response.events)
    return response


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**6), 10**25), st.floats(), st.text(max_size=20),
              st.sampled_from(["user", "tool", "function", "text", "object", "json_schema", "azure/gpt-5.4", "\ud800"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["role", "content", "type", "function", "name", "parameters", "url", "image_url", "text", "properties", "$ref", "id"]
    ) | st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
parameters = st.sampled_from(
    ["n", "stop", "tools", "tool_choice", "response_format", "stream", "stream_options", "max_tokens", "seed", "logprobs",
     "temperature", "parallel_tool_calls", "metadata", "nonsense"])  # fmt: skip
message = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]) | values,
        "content": st.text(max_size=30) | values,
    },
    optional={"tool_calls": values, "tool_call_id": values, "name": values},
)
bodies = st.builds(
    lambda messages, extra: {"model": "azure/gpt-5.4", "messages": messages, **extra},
    st.lists(message, min_size=1, max_size=3) | values,
    st.dictionaries(parameters, values, max_size=3),
)


@ANY_HEALTH
@given(body=bodies | values, dialect=st.sampled_from(["openai", "litellm"]))
def test_random_bodies(body, dialect):
    answer(body, dialect)


text = st.text(max_size=60) | st.sampled_from(
    ["write 90 words in Rome, 5 items", "weather in Paris and Rome? JSON", '"é" 1/2']
)


@ANY_HEALTH
@given(
    prompt=text,
    extra=st.fixed_dictionaries(
        {},
        optional={
            "n": st.integers(1, 3),
            "stop": text.filter(bool) | st.just(["a", "e"]),
            "max_tokens": st.integers(1, 40),
            "seed": st.integers(-(2**63), 2**63 - 1),
            "tool_choice": st.sampled_from(["auto", "required"]),
            "response_format": st.just(
                {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"a": {}}}},
                }
            ),
        },
    ),
)
def test_a_stream_says_what_the_unstreamed_reply_says(prompt, extra):
    tool = {"name": "find_é".encode("ascii", "ignore").decode(), "description": prompt[:40],
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}, "n": {"type": "integer"}}, "required": ["q"]}}  # fmt: skip
    body = {"model": "azure/gpt-5.4", "messages": [{"role": "user", "content": prompt}],
            "tools": [{"type": "function", "function": tool}], **extra}  # fmt: skip
    whole = json.loads(answer(body).body)
    events = answer({**body, "stream": True, "stream_options": {"include_usage": True}}).events
    chunks = [json.loads(event[6:]) for event in events[:-1]]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    usage = whole["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    pieces = 0
    for choice in whole["choices"]:
        mine = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        deltas = [c["delta"] for c in mine]
        content = "".join(delta.get("content") or "" for delta in deltas)
        assert content == (choice["message"]["content"] or "")
        calls = {}
        for part in (part for delta in deltas for part in delta.get("tool_calls", [])):
            if "id" in part:
                calls[part["index"]] = [part["id"], part["function"]["name"], ""]
            calls[part["index"]][2] += part["function"]["arguments"]
        assert list(calls.values()) == [
            [call["id"], call["function"]["name"], call["function"]["arguments"]]
            for call in choice["message"]["tool_calls"] or []
        ]
        assert [c["finish_reason"] for c in mine] == [None] * (len(mine) - 1) + [choice["finish_reason"]]
        pieces += len(mine) - 1 - len(calls)
    assert usage["completion_tokens"] == pieces


HELLO = b'{"model":"azure/gpt-5.4","messages":[{"role":"user","content":%s}]%s}'
HOSTILE = {
    "empty": b"",
    "not utf-8": b"\xff\xfe{}",
    "byte-order mark": b"\xef\xbb\xbf{}",
    "an array": b"[]",
    "deep lists": HELLO % (b"[" * 100_000, b""),
    "deep and closed": HELLO % (b'"x"', b',"metadata":' + b"[" * 5_000 + b"]" * 5_000),
    "deep objects": HELLO % (b'"x"', b',"metadata":' + b'{"a":' * 800 + b"1" + b"}" * 800),
    "NaN": HELLO % (b'"x"', b',"temperature":NaN'),
    "infinite": HELLO % (b'"x"', b',"temperature":1e999'),
    "a huge number": HELLO % (b'"x"', b',"seed":' + b"9" * 100_000),
    "a lone surrogate": HELLO % (b'"\\ud800"', b""),
    "cut": b'{"model":"azure/gpt-5.4","messages":[{"role":"us',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused(name):
    assert answer(HOSTILE[name]).status == 400


PART = pytest.mark.parametrize(  # of the simulator's limits
    "part", [pytest.param(20, id="twentieth"), pytest.param(1, id="whole", marks=pytest.mark.slow)]
)


@PART
def test_a_deep_schema_is_refused_not_walked(monkeypatch, part):
    monkeypatch.setattr(example_values, "MAX_STEPS", example_values.MAX_STEPS // part)
    schema = {"type": "string"}
    for _ in range(50):
        schema = {"type": "array", "items": schema}
    body = {"model": "azure/gpt-5.4", "messages": [{"role": "user", "content": "x"}], "response_format": {
        "type": "json_schema", "json_schema": {"name": "deep", "schema": schema}}}  # fmt: skip
    assert answer(body).status == 400


@PART
@pytest.mark.parametrize("prompt", ["write 999999999 words", "x " * 400_000, "a" * 1_000_000, "In A, B " * 20_000, "1" * 50_000,
                                    "((((" * 9_000, "write 20000 words", "http://" * 9_000, "a@" * 9_000, "A’s " * 20_000], ids=lambda prompt: prompt[:20])  # fmt: skip
def test_long_prompts_and_many_choices_stay_small(monkeypatch, prompt, part):
    for limit in ("MAX_CHARS", "MAX_WORDS"):
        monkeypatch.setattr(handler, limit, getattr(handler, limit) // part)
    tool = {"type": "function", "function": {"name": "find_place", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}  # fmt: skip
    body = {"model": "azure/gpt-5.4", "messages": [{"role": "user", "content": prompt}], "tools": [tool]}
    body["n"] = 40 // part
    assert len(answer(body).body) < 1_500_000 // part
    assert sum(map(len, answer({**body, "stream": True, "tools": None}).events)) < 12_000_000 // part
