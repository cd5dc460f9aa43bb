"""Who speaks in a stream: clients that add its deltas up by themselves need the role in the first one."""

import pytest

from amber_nb import Amber
from amber_nb.simulator.content import HELLO_MESSAGES

USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize("dialect", ["openai", "litellm"])
@pytest.mark.parametrize(
    ("prompt", "params"),
    [
        ("Hi", {}),
        ("Hello!", {"n": 3}),
        ("Weather in Rome?", {"tools": [TOOL], "tool_choice": "required"}),
        ("Hi", {"stop": "*"}),  # cut before its first character
    ],
)
def test_each_choice_says_once_who_speaks_and_at_first(stream, dialect, prompt, params):
    roles = {}
    for chunk in stream(prompt, dialect=dialect, **params):
        for choice in chunk["choices"]:
            roles.setdefault(choice["index"], []).append(choice["delta"].get("role"))
    assert len(roles) == params.get("n", 1)
    for said in roles.values():
        assert said == ["assistant"] + [None] * (len(said) - 1)


def test_only_the_documented_stream_leaves_it_out(stream):
    assert "role" not in stream(HELLO_MESSAGES)[0]["choices"][0]["delta"]
    assert stream(HELLO_MESSAGES[1:])[0]["choices"][0]["delta"] == {"role": "assistant", "content": "Hello"}


def test_the_sdks_own_stream_helper_gives_a_message_that_can_be_sent_back():
    client = Amber(mode="simulate").openai
    with client.chat.completions.stream(model="azure/gpt-5.4", messages=[USER]) as events:
        message = events.get_final_completion().choices[0].message
    assert message.role == "assistant"
    again = {"role": "user", "content": "and then?"}
    reply = client.chat.completions.create(model="azure/gpt-5.4", messages=[USER, message, again])
    assert "turn 2" in reply.choices[0].message.content
