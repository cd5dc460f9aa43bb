"""Routing, keys, models, ordinary replies, limits and the two dialects."""

import json

import pytest

from amber_nb.simulator import Request, respond
from amber_nb.simulator.handler import MODELS

KEY = {"authorization": "Bearer ambrs-test"}


def get(path, method="GET", headers=KEY, dialect="openai", body=b""):
    response = respond(Request(method, path, headers, body), dialect=dialect)
    return response.status, json.loads(response.body), response.headers


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, None),
        ("", None),
        ("Bearer", "invalid_api_key"),
        ("Bearer ambrs-", "invalid_api_key"),
        ("Bearer sk-secret", "invalid_api_key"),
        ("Basic ambrs-test", "invalid_api_key"),
        ("ambrs-test", "invalid_api_key"),
        ("Bearer ambrs-te st", "invalid_api_key"),
        ("Bearer ambrs-töst", "invalid_api_key"),
    ],
)
def test_a_key_that_is_none_is_refused_and_never_repeated(authorization, code):
    headers = {} if authorization is None else {"authorization": authorization}
    for path, method in (("/models", "GET"), ("/chat/completions", "POST")):
        status, reply, _ = get(path, method, headers)
        assert (status, reply["error"]["code"]) == (401, code)
        assert "secret" not in json.dumps(reply)
    assert get("/models", headers=headers, dialect="litellm")[1]["error"]["code"] == "401"


def test_models():
    status, reply, _ = get("/models")
    assert status == 200
    assert [card["id"] for card in reply["data"]] == list(MODELS)
    assert next(iter(MODELS.items())) == ("azure/gpt-5.4", "gpt-5.4-2026-03-05")
    for path in ("/models/azure/gpt-5.4-mini", "/models/azure%2Fgpt-5.4-mini", "/models/azure/gpt-5.4-mini?x=1"):
        assert get(path)[1]["id"] == "azure/gpt-5.4-mini"
    assert get("/models/nobody")[:2] == (404, {"error": {
        "message": "The model `nobody` does not exist or you do not have access to it.",
        "type": "invalid_request_error", "param": None, "code": "model_not_found"}})  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/chat/completions", 405, "POST"),
        ("HEAD", "/models", 405, "GET"),
        ("DELETE", "/models/azure/gpt-5.4", 405, "GET"),
        ("POST", "/embeddings", 404, None),
        ("POST", "/responses", 404, None),
        ("GET", "/", 404, None),
        ("POST", "/chat/completions/", 404, None),
        ("GET", "/modelsandmore", 404, None),
    ],
)
def test_what_is_not_there(method, path, status, allow):
    got, reply, headers = get(path, method)
    assert (got, headers.get("allow")) == (status, allow)
    assert reply["error"]["type"] == "invalid_request_error"


def test_a_body_over_the_limit():
    response = respond(Request("POST", "/chat/completions", KEY, b"x" * 11), max_body_bytes=10)
    assert response.status == 413
    assert json.loads(response.body)["error"]["code"] == "request_too_large"


def test_the_dialects_differ_where_the_proxy_does(post, stream):
    assert post("Hi", body={"model": "no", "messages": []})[0] == 404
    status, reply = post("Hi", body={"model": "no", "messages": []}, dialect="litellm")
    assert (status, reply["error"]["code"]) == (400, "400")
    assert post("Hi", nonsense=1)[1]["error"]["code"] == "unknown_parameter"
    assert post("Hi", nonsense=1, dialect="litellm")[0] == 200
    chunks = stream("Hello!", dialect="litellm", stream_options={"include_usage": True})
    for chunk in chunks[:-2]:
        assert chunk["choices"][0].keys() == {"index", "delta"}
        assert "usage" not in chunk
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert len(chunks[-1]["choices"]) == 1
    assert chunks[-1]["usage"]["completion_tokens"] == 9


def test_an_ordinary_reply_says_who_speaks_and_what_arrived(say):
    text = say(
        [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "What is up?"}], temperature=0.25
    )["content"]
    assert "simulat" in text.lower()
    for part in ("What is up?", "1 `developer`, 1 `user`", "`temperature` = `0.25`"):
        assert part in text
    assert len(text.splitlines()) <= 12


def test_a_conversation_is_remembered(say):
    turns = [
        {"role": "user", "content": "Tell me of bees"},
        {"role": "assistant", "content": "Bees …"},
        {"role": "user", "content": "and then?"},
    ]
    text = say(turns)["content"]
    assert "turn 2" in text
    assert "Tell me of bees" in text
    assert "“and then?”" in text


def test_the_same_request_gives_the_same_bytes_and_the_seed_another_wording(post):
    assert post("Hi there") == post("Hi there")
    texts = {post("write 80 words on bees", seed=seed)[1]["choices"][0]["message"]["content"] for seed in range(4)}
    assert len(texts) == 4
    replies = [post("Hi", seed=seed)[1] for seed in (1, 2)]
    assert replies[0]["id"] != replies[1]["id"]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("write 500 words on tidal power", 500),
        ("A 1,200-word essay about bees, please", 1200),
        ("Explain rivers in 300 words.", 300),
        ("Schreibe 150 Wörter über Aachen", 150),
        ("write 7 words", 7),
        ("write 20000 words", 20_000),
        ("write 999999 words", 20_000),
    ],
)
def test_as_many_words_as_asked_for(say, prompt, words):
    text = say(prompt)["content"]
    assert abs(len(text.split()) - words) <= max(1, words * 0.1)


def test_a_long_reply_is_varied_markdown_on_the_topic(say):
    text = say("write 900 words on tidal power and rivers")["content"]
    for part in ("# Tidal power and rivers", "\n## ", "\n1. ", "\n| --- |", "\n> ", "```python\n", "$$"):
        assert part in text
    assert text.count("```") % 2 == 0
    paragraphs = [block for block in text.split("\n\n") if block[0].isalpha()]
    assert len(set(paragraphs)) == len(paragraphs)
    assert all(block.endswith((".", "yet")) for block in paragraphs)


def test_limits(post):
    for name in ("max_tokens", "max_completion_tokens"):
        choice = post("write 100 words", **{name: 10})[1]
        assert choice["choices"][0]["finish_reason"] == "length"
        assert choice["usage"]["completion_tokens"] == 10
    assert post("Hello!", max_tokens=9)[1]["choices"][0]["finish_reason"] == "stop"
    assert post("Hello!", max_tokens=8)[1]["choices"][0]["finish_reason"] == "length"
    stopped = post("write 100 words on bees", stop=["bees", "zebra"])[1]["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert "bees" not in stopped["message"]["content"]


def test_several_choices(post, stream):
    reply = post("write 60 words on bees", n=3)[1]
    texts = [choice["message"]["content"] for choice in reply["choices"]]
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert len(set(texts)) == 3
    first = [chunk["choices"][0]["index"] for chunk in stream("write 60 words on bees", n=3)[:6]]
    assert first == [0, 1, 2, 0, 1, 2]  # the choices are streamed side by side, as by OpenAI


def test_json_mode(say):
    plain = json.loads(say("A JSON please", response_format={"type": "json_object"})["content"])
    assert plain["simulated"] is True
    prompt = "Give me JSON with the keys name and age: Bob is 40."
    assert json.loads(say(prompt, response_format={"type": "json_object"})["content"]) == {"name": "Bob", "age": 40}


def test_a_schema_gives_an_instance_and_max_tokens_cuts_it(post):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}}
    choice = post("Where? In Rome!", response_format=wanted)[1]["choices"][0]
    assert json.loads(choice["message"]["content"]) == {"city": "Rome"}
    cut = post("Where? In Rome!", response_format=wanted, max_tokens=3)[1]["choices"][0]
    assert cut["finish_reason"] == "length"
    assert choice["message"]["content"].startswith(cut["message"]["content"])
