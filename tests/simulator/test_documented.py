"""The four snippets of the vendor's page, over HTTP, compared with the responses printed there."""

import ast

import pytest
from openai import OpenAI

HELLO = """ChatCompletionMessage(
    content='Hello! How can I help you today?',
    refusal=None,
    role='assistant',
    annotations=None,
    audio=None,
    function_call=None,
    tool_calls=None
)"""
IMAGE = """Choice(
    finish_reason='stop',
    index=0,
    logprobs=None,
    message=ChatCompletionMessage(
        content='This image shows a large group of people posing outdoors on a sloped stone walkway or steps, surrounded by trees. Most of them are wearing matching blue sweatshirts, suggesting they may be part of a team, company, or group event. Many are raising their hands or making cheerful poses, so it looks like a casual group photo.\\n\\nOn the left side, there’s part of a building and a sign that appears to say “SUMIANI HOTEL & BEACH.” The setting looks sunny and wooded, possibly at a hotel or retreat location.',
        refusal=None,
        role='assistant',
        annotations=None,
        audio=None,
        function_call=None,
        tool_calls=None
    )
)"""  # noqa: E501
DELTAS = """ChoiceDelta(content='Hello', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content='!', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content=' How', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content=' can', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content=' I', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content=' help', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content=' you', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content=' today', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content='?', function_call=None, refusal=None, role=None, tool_calls=None)
ChoiceDelta(content=None, function_call=None, refusal=None, role=None, tool_calls=None)"""
FUNCTIONS = """ChatCompletion(
    id='chatcmpl-DufEoQk1y55a5G8XzKBnAe63ceFdA',
    choices=[
        Choice(
            finish_reason='tool_calls',
            index=0,
            logprobs=None,
            message=ChatCompletionMessage(
                content=None,
                refusal=None,
                role='assistant',
                annotations=None,
                audio=None,
                function_call=None,
                tool_calls=[
                    ChatCompletionMessageFunctionToolCall(
                        id='call_Tug3jwD1JpmzTapCFFWmYw7i',
                        function=Function(
                            arguments='{"location":"Aachen, North Rhine-Westphalia","unit":"celsius"}', name='get_current_weather'
                        ),
                        type='function',
                        index=0
                    )
                ]
            )
        )
    ],
    created=1782397258,
    model='gpt-5.4-2026-03-05',
    object='chat.completion',
    service_tier='default',
    system_fingerprint='',
    usage=CompletionUsage(
        completion_tokens=31,
        prompt_tokens=164,
        total_tokens=195,
        completion_tokens_details=CompletionTokensDetails(
            accepted_prediction_tokens=None,
            audio_tokens=None,
            reasoning_tokens=None,
            rejected_prediction_tokens=None
        ),
        prompt_tokens_details=PromptTokensDetails(
            audio_tokens=None,
            cached_tokens=0
        )
    )
)"""  # noqa: E501

PROMPT = [{"role": "developer", "content": "You are a helpful assistant."}, {"role": "user", "content": "Hello!"}]
TOOLS = [
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
WEATHER = [{"role": "user", "content": "What's the weather like in Aachen today?"}]
PHOTO = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What's in this image?"},
            {"type": "image_url", "image_url": {"url": "https://ambersearch.de/uploads/amber_Team_73637a5596.jpg"}},
        ],
    }
]


@pytest.fixture
def client(gateway):
    with OpenAI(
        base_url=gateway.base_url, api_key="ambrs-exampletoken", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def assert_prints(value, text):
    """Compare an object with its print-out: every field that the page prints, nested ones too."""
    _compare(value, ast.parse(text, mode="eval").body, "")


def _compare(value, node, place):
    if isinstance(node, ast.Call):
        assert type(value).__name__ == node.func.id, place
        for keyword in node.keywords:
            assert hasattr(value, keyword.arg), f"{place}.{keyword.arg}"
            _compare(getattr(value, keyword.arg), keyword.value, f"{place}.{keyword.arg}")
    elif isinstance(node, ast.List):
        assert len(value) == len(node.elts), place
        for item, sub in zip(value, node.elts, strict=True):
            _compare(item, sub, place + "[]")
    else:
        expected = ast.literal_eval(node)
        assert (type(value), value) == (type(expected), expected), place


def test_the_comparison_sees_a_difference(client):
    message = client.chat.completions.create(model="azure/gpt-5.4", messages=PROMPT).choices[0].message
    for wrong in (
        HELLO.replace("today", "now"),
        HELLO.replace("audio=None", "audio=0"),
        HELLO.replace("audio", "video"),
    ):
        with pytest.raises(AssertionError):
            assert_prints(message, wrong)


def test_default(client):
    completion = client.chat.completions.create(model="azure/gpt-5.4", messages=PROMPT)
    assert_prints(completion.choices[0].message, HELLO)


def test_image_input(client):
    response = client.chat.completions.create(model="azure/gpt-5.4", messages=PHOTO, max_tokens=300)
    assert_prints(response.choices[0], IMAGE)


def test_streaming(client):
    chunks = list(client.chat.completions.create(model="azure/gpt-5.4", messages=PROMPT, stream=True))
    lines = DELTAS.splitlines()
    assert len(chunks) == len(lines)
    for chunk, line in zip(chunks, lines, strict=True):
        assert_prints(chunk.choices[0].delta, line)
    assert "role" not in chunks[0].choices[0].delta.model_fields_set
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 9 + ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


def test_functions(client):
    completion = client.chat.completions.create(
        model="azure/gpt-5.4", messages=WEATHER, tools=TOOLS, tool_choice="auto"
    )
    assert_prints(completion, FUNCTIONS)


def test_without_the_developer_message_and_streamed(say, stream):
    assert say("Hello!")["content"] == "Hello! How can I help you today?"
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in stream(PHOTO))
    assert text == say(PHOTO)["content"]
    chunks = stream(WEATHER, tools=TOOLS, stream_options={"include_usage": True})
    assert (chunks[0]["id"], chunks[0]["created"]) == ("chatcmpl-DufEoQk1y55a5G8XzKBnAe63ceFdA", 1782397258)
    assert chunks[-1]["usage"]["total_tokens"] == 195


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        ({"tool_choice": "none"}, None),
        ({"tools": None}, None),
        ({"tool_choice": "required"}, '{"location":"Aachen, North Rhine-Westphalia","unit":"celsius"}'),
        ({"tools": [{"type": "function", "function": {"name": "get_current_weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
            "additionalProperties": False}}}]}, '{"city":"Aachen"}'),
    ],
)  # fmt: skip
def test_parameters_that_rule_the_documented_call_out(say, change, calls):
    message = say(WEATHER, **{"tools": TOOLS, **change})
    assert (message["tool_calls"] and message["tool_calls"][0]["function"]["arguments"]) == calls


def test_documented_replies_are_cut_like_any_other(post):
    reply = post("Hello!", max_tokens=3)[1]
    assert (reply["choices"][0]["message"]["content"], reply["choices"][0]["finish_reason"]) == ("Hello! How", "length")
    assert post("Hello!", stop=[" I", "?"])[1]["choices"][0]["message"]["content"] == "Hello! How can"
    cut = post(WEATHER, tools=TOOLS, max_completion_tokens=5)[1]["choices"][0]
    assert cut["finish_reason"] == "length"
    assert '{"location":"Aachen, North'.startswith(cut["message"]["tool_calls"][0]["function"]["arguments"])
