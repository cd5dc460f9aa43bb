"""Which tools are called, with which arguments, and what the reply reports of their results."""

# ruff: noqa: E501  – tables read better with a case a line

import json

import pytest


def tool(name, description="", *, required=None, **properties):
    properties = {key: {"type": value} if isinstance(value, str) else value for key, value in properties.items()}
    parameters = {"type": "object", "properties": properties, "required": required or list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}
TOOLS = [
    tool("get_weather", "Get the weather", required=["city"], city="string", unit=UNIT, days="integer"),
    tool("getTime", "The current time of a place", timezone="string"),
    tool("add", "Add two numbers", a="number", b="number"),
    tool("send_email", "Send an email", to={"type": "string", "format": "email"}, subject="string"),
    tool("lookup_order", "Look up an order by its id", order_id="string"),
    tool("book_room", "", when={"type": "string", "format": "date"}, people={"type": "integer", "minimum": 1}),
    tool("plan_trip", "", cities={"type": "array", "items": {"type": "string"}}, style={"enum": ["cheap", "grand"]}),
]


def calls(message):
    return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message["tool_calls"] or []]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What's the weather in Paris?", [("get_weather", {"city": "Paris"})]),
        ("Weather in Paris and Rome?", [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]),
        ("Is the weather warmer in Oslo, Rome or Lisbon?",
         [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Lisbon"})]),
        ("Weather for Aachen, North Rhine-Westphalia", [("get_weather", {"city": "Aachen, North Rhine-Westphalia"})]),
        ("The weather in New York in Fahrenheit for 5 days", [("get_weather", {"city": "New York", "unit": "fahrenheit", "days": 5})]),
        ("Please add 12 and 30.5", [("add", {"a": 12, "b": 30.5})]),
        ("Send an email to bob@example.com about lunch", [("send_email", {"to": "bob@example.com", "subject": "lunch"})]),
        ("Where is my order A-1234?", [("lookup_order", {"order_id": "A-1234"})]),
        ("Book a room on 2026-05-04 for 3 people", [("book_room", {"when": "2026-05-04", "people": 3})]),
        ("Plan a grand trip to Rome, Oslo and Paris", [("plan_trip", {"cities": ["Rome", "Oslo", "Paris"], "style": "grand"})]),
        ("What's the weather and the time in Rome?", [("get_weather", {"city": "Rome"}), ("getTime", {"timezone": "Europe/Berlin"})]),
        ("Tell me a joke", []),
        ("", []),
    ],
)  # fmt: skip
def test_tools_are_picked_by_the_words_of_the_prompt(say, prompt, expected):
    message = say(prompt, tools=TOOLS)
    assert calls(message) == expected
    assert (message["content"] is None) == bool(expected)


def named(name):
    return {"type": "function", "function": {"name": name}}


def allowed(mode, *names):
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


@pytest.mark.parametrize(
    ("prompt", "choice", "expected"),
    [
        ("Weather in Paris?", "none", []),
        ("Weather in Paris?", "auto", ["get_weather"]),
        ("Tell me a joke", "required", ["get_weather"]),
        ("Please add 1 and 2", "required", ["add"]),
        ("Weather in Paris?", named("add"), ["add"]),
        ("Hello!", named("send_email"), ["send_email"]),
        ("Hello!", "required", ["get_weather"]),
        ("Weather in Paris?", allowed("auto", "add"), []),
        ("Weather in Paris?", allowed("required", "add", "getTime"), ["getTime"]),
    ],
)
def test_the_choice_of_the_caller_is_kept(post, prompt, choice, expected):
    choice = post(prompt, tools=TOOLS, tool_choice=choice)[1]["choices"][0]
    assert [name for name, _ in calls(choice["message"])] == expected
    assert choice["finish_reason"] == ("tool_calls" if expected else "stop")


def test_no_parallel_calls_when_the_caller_says_so(say):
    message = say("Weather in Paris and Rome?", tools=TOOLS, parallel_tool_calls=False)
    assert calls(message) == [("get_weather", {"city": "Paris"})]


def test_ids_and_indices_differ(say):
    tool_calls = say("Weather in Paris and Rome?", tools=TOOLS)["tool_calls"]
    assert [call["index"] for call in tool_calls] == [0, 1]
    assert tool_calls[0]["id"] != tool_calls[1]["id"]
    assert all(call["id"].startswith("call_") for call in tool_calls)


def test_a_tool_without_parameters(say):
    message = say("Ping it", tools=[{"type": "function", "function": {"name": "ping"}}])
    assert calls(message) == [("ping", {})]


def conversation(prompt, *rounds):
    messages = [{"role": "user", "content": prompt}]
    for number, round_calls in enumerate(rounds):
        ids = [f"call_{number}_{place}" for place in range(len(round_calls))]
        messages.append({"role": "assistant", "content": None, "tool_calls": [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id_, (name, arguments, _) in zip(ids, round_calls, strict=True)]})  # fmt: skip
        messages += [
            {"role": "tool", "tool_call_id": id_, "content": result}
            for id_, (_, _, result) in zip(ids, round_calls, strict=True)
        ]
    return messages


PARIS = ("get_weather", {"city": "Paris"}, '{"temperature": 21, "sky": "clear"}')
ROME = ("get_weather", {"city": "Rome"}, '{"temperature": 27, "sky": "hazy"}')


@pytest.mark.parametrize(
    ("results", "parts"),
    [
        ([PARIS], ["`get_weather` (Paris)", "- **temperature**: 21", "- **sky**: clear"]),
        ([PARIS, ROME], ["| call | temperature | sky |", "(Paris) | 21 | clear |", "(Rome) | 27 | hazy |"]),
        ([("add", {"a": 1, "b": 2}, "3")], ["From `add` (1, 2): 3"]),
        ([("find", {}, '[{"a": 1, "b": "x|y"}, {"a": 2}]')], ["| a | b |", r"| 1 | x\|y |"]),
        ([("find", {}, "[1, 2, 3]")], ["- 1\n- 2\n- 3"]),
        ([("find", {}, json.dumps(list(range(50))))], ["… and 40 more"]),
        ([("find", {}, "not JSON at all")], ["From `find`: not JSON at all"]),
        ([("find", {}, "")], ["(an empty result)"]),
        ([PARIS, ("add", {}, "Error: no numbers")], ["- `get_weather` (Paris):", "- `add`: Error: no numbers"]),
    ],
)
def test_the_results_are_reported(say, results, parts):
    content = say(conversation("What about it?", results), tools=TOOLS)["content"]
    for part in parts:
        assert part in content
    assert len(content.splitlines()) <= 16


def test_results_of_several_rounds_count_those_of_an_earlier_question_do_not(say):
    content = say(conversation("Weather?", [PARIS], [ROME]), tools=TOOLS)["content"]
    assert "From 2 tool calls" in content
    later = [*conversation("Weather?", [PARIS]), {"role": "assistant", "content": "Nice."},
             *conversation("And in Rome?", [ROME])]  # fmt: skip
    assert "Paris" not in say(later, tools=TOOLS)["content"]


@pytest.mark.parametrize("choice", ["auto", "required", "none", named("get_weather")])
def test_after_the_results_a_forced_choice_does_not_go_round_for_ever(say, choice):
    message = say(conversation("Weather in Paris?", [PARIS]), tools=TOOLS, tool_choice=choice)
    assert message["tool_calls"] is None
    assert "21" in message["content"]


def test_after_the_results_another_forced_tool_is_called_once(say):
    message = say(conversation("Weather in Paris?", [PARIS]), tools=TOOLS, tool_choice=named("add"))
    assert [name for name, _ in calls(message)] == ["add"]


def test_a_schema_is_filled_from_the_results(say):
    schema = {"type": "object", "properties": {"temperature": {"type": "integer"}}, "required": ["temperature"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    content = say(conversation("Weather in Paris?", [PARIS]), tools=TOOLS, response_format=wanted)["content"]
    assert json.loads(content) == {"temperature": 21}


def test_parameters_that_cannot_be_filled_are_refused(post):
    status, reply = post("weather", tools=[tool("weather", x={"type": "string", "pattern": "("})])
    assert (status, reply["error"]["code"]) == (400, "invalid_function_parameters")
