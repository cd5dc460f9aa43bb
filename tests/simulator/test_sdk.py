"""The SDK in its strict mode accepts every kind of reply, streamed and not, and its own helpers work on them."""

import base64
import io
from typing import Literal

import openai
import pytest
from openai import OpenAI
from PIL import Image
from pydantic import BaseModel


def picture():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 191, 0)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}


class Review(BaseModel):
    rating: int
    mood: Literal["good", "bad"]
    words: list[str]
    reply: str | None


def user(content):
    return [{"role": "user", "content": content}]


REQUESTS = {
    "hello": {"messages": user("Hello!")},
    "report": {"messages": user("What is up?"), "temperature": 0, "n": 2},
    "essay": {"messages": user("write 120 words on bees"), "seed": 3},
    "cut": {"messages": user("write 120 words on bees"), "max_tokens": 7},
    "stopped": {"messages": user("write 120 words on bees"), "stop": ["."]},
    "image": {
        "messages": user([{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": picture()}}])
    },
    "calls": {"messages": user("Weather in Rome and Oslo?"), "tools": [WEATHER]},
    "cut call": {"messages": user("Weather in Rome?"), "tools": [WEATHER], "max_tokens": 2},
    "results": {
        "messages": [
            *user("Weather in Rome?"),
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": '{"sky": "clear"}'},
        ],
        "tools": [WEATHER],
    },
    "json": {"messages": user("some JSON"), "response_format": {"type": "json_object"}},
}


@pytest.fixture(scope="module")
def client(gateway):
    with OpenAI(
        base_url=gateway.base_url, api_key="ambrs-test", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.mark.parametrize("name", REQUESTS)
def test_strict_validation_passes(client, name):
    params = {"model": "azure/gpt-5.4", **REQUESTS[name]}
    whole = client.chat.completions.create(**params)
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(**params, stream=True, stream_options=options))
    assert {chunk.id for chunk in chunks} == {whole.id}
    assert chunks[-1].usage == whole.usage
    content = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == 0)
    assert content == (whole.choices[0].message.content or "")


def test_models(client):
    ids = [model.id for model in client.models.list()]
    assert ids[0] == "azure/gpt-5.4"
    assert [client.models.retrieve(id_).id for id_ in ids] == ids


def test_parse_gives_an_object(client):
    prompt = "Rate this review: A good, lovely place."
    completion = client.chat.completions.parse(model="azure/gpt-5.4", messages=user(prompt), response_format=Review)
    review = completion.choices[0].message.parsed
    assert (type(review.rating), review.mood) == (int, "good")


def test_the_streaming_helper(client):
    with client.chat.completions.stream(
        model="azure/gpt-5.4", messages=user("Weather in Rome and Oslo?"), tools=[WEATHER]
    ) as stream:
        kinds = [event.type for event in stream]
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"city":"Rome"}', '{"city":"Oslo"}']
    assert kinds.count("tool_calls.function.arguments.done") == 2


@pytest.mark.parametrize(
    ("key", "params", "error"),
    [
        ("sk-wrong", {}, openai.AuthenticationError),
        ("ambrs-wrong", {"model": "nobody"}, openai.NotFoundError),
        ("ambrs-test", {"temperature": 9}, openai.BadRequestError),
    ],
)
def test_refusals_are_the_errors_of_the_sdk(client, key, params, error):
    with pytest.raises(error) as caught:
        client.with_options(api_key=key).chat.completions.create(
            **{"model": "azure/gpt-5.4", "messages": user("x"), **params}
        )
    assert caught.value.body["message"]
    assert "sk-wrong" not in str(caught.value)
