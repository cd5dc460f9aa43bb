"""How the simulated model uses the tools of the simulated MCP server, and other tools that search."""

import json

import pytest

from amber_nb.simulator.mcp_methods import METHODS, TOOLS
from amber_nb.simulator.search_tools import FoundPage, describe_hits, read_hits


def function(name, description="", **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def offer(prefix=""):
    """The tools of the MCP server as functions of a request."""
    return [
        {"type": "function", "function": {"name": prefix + tool["name"], "description": tool["description"],
                                          "parameters": tool["inputSchema"]}}
        for tool in TOOLS
    ]  # fmt: skip


WEATHER = function("get_weather", "The weather of a place", location={"type": "string"})


@pytest.fixture
def calls(say):
    """Ask with tools, and return the calls as pairs of name and query."""

    def ask(prompt, tools=None):
        message = say(prompt, tools=offer() if tools is None else tools)
        made = [call["function"] for call in message["tool_calls"] or []]
        return [(call["name"], json.loads(call["arguments"]).get("query")) for call in made]

    return ask


@pytest.mark.parametrize(
    "prompt",
    [
        "What did we agree with ACME?",
        "Was haben wir mit ACME vereinbart?",
        "How many days of vacation do I have?",
        "Find the minutes of the last review with ACME",
    ],
)
@pytest.mark.parametrize("prefix", ["", "amber_"])
def test_a_question_is_searched_for_in_the_company(calls, prompt, prefix):
    assert calls(prompt, offer(prefix)) == [(prefix + "search", prompt)]
    assert calls(prompt, offer(prefix)[::-1]) == [(prefix + "search", prompt)]


@pytest.mark.parametrize("prompt", ["What do the news say about ACME?", "Search the web for LoRa",
                                    "Was steht im Internet über Schimmel?"])  # fmt: skip
def test_a_question_about_the_web_is_searched_for_there(calls, prompt):
    assert calls(prompt) == [("web_search", prompt)]


def test_both_are_searched_where_both_are_named(calls):
    names = [name for name, _ in calls("Search our documents and the web for LoRa sensors.")]
    assert names == ["search", "web_search"]


@pytest.mark.parametrize("prompt", ["Hello, how are you?", "Thanks!", "Write 50 words about sensors."])
def test_what_is_no_question_is_not_searched_for(calls, prompt):
    assert calls(prompt) == []


def test_a_function_that_fits_by_its_words_goes_first(calls):
    assert calls("What's the weather in Rome?", [*offer(), WEATHER]) == [("get_weather", None)]
    assert calls("What did we agree with ACME?", [WEATHER, *offer()])[0][0] == "search"


def test_a_function_that_takes_more_than_a_query_is_no_such_search(calls):
    files = function("search_files", "Find files", path={"type": "string"}, pattern={"type": "string"})
    mails = function("search_mails", "Find mails", query={"type": "string"}, folder={"type": "string"})
    assert calls("What did we agree with ACME?", [files, mails, WEATHER]) == []


def test_the_query_is_the_question_alone(calls):
    (call,) = calls("What does ACME pay? Write a brief of at most 100 words, and name its sources.")
    assert call == ("search", "What does ACME pay?")
    (call,) = calls('Search for "mart.customers" in the glossary. What does it say?')
    assert call == ("search", "mart.customers")


@pytest.fixture
def answer(say):
    """Ask, and answer the call with a result; return the text that the model makes of it."""

    def ask(prompt, result, **params):
        asked = say(prompt, tools=offer())
        (call,) = asked["tool_calls"]
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": call["id"], "content": result(call["function"])}]  # fmt: skip
        return say(messages, tools=offer(), **params)["content"]

    return ask


def run(call, form):
    result = METHODS["tools/call"]({"name": call["name"], "arguments": json.loads(call["arguments"])})
    return json.dumps(result["structuredContent"]) if form == "json" else result["content"][0]["text"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_answer_names_titles_and_facts(answer, form):
    text = answer("What did we agree with ACME?", lambda call: run(call, form))
    assert "[Framework agreement with ACME](https://wiki.example.com/contracts/acme-agreement) (2026-03-12)" in text
    assert "89.50 EUR" in text
    assert "24 months" in text
    assert "Minutes: quarterly review with ACME" in text
    assert "`search`" not in text


@pytest.mark.parametrize("form", ["json", "text"])
def test_nothing_found(answer, form):
    text = answer("What do we know of quantum chromodynamics?", lambda call: run(call, form))
    assert text == "I have searched, and found nothing about this."


def test_an_error_is_told_as_that_of_any_tool(answer):
    assert answer("What did we agree with ACME?", lambda _: "Error: no connection").startswith("From `search`")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_typed_answer_is_read_from_what_was_found(answer, form):
    schema = {"type": "object", "properties": {"customer": {"type": "string"}}, "required": ["customer"]}
    spec = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    text = answer("What did we agree with ACME?", lambda call: run(call, form), response_format=spec)
    assert json.loads(text) == {"customer": "Tannhafer Sensorik"}


def test_hits_stand_beside_other_results(say):
    made = [("a", "search", '{"query":"x"}', json.dumps({"hits": [{"title": "T", "snippet": "It is so."}]})),
            ("b", "get_weather", '{"location":"Rome"}', "18 degrees")]  # fmt: skip
    asked = [{"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}
             for key, name, arguments, _ in made]  # fmt: skip
    results = [{"role": "tool", "tool_call_id": key, "content": result} for key, _, _, result in made]
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": asked}, *results]
    assert say(messages)["content"] == "T says: It is so.\n\nFrom `get_weather` (Rome): 18 degrees"


@pytest.mark.parametrize(
    "result",
    ["", "a text", "[]", "{}", '{"hits": 3}', '{"hits": [3]}', '{"hits": [{"title": 3}]}', '{"hits": [{"url": "x"}]}',
     '{"hits": [{"title": "a"}, null]}', "1. one\n2. two\n3. three", "[" * 5_000],
)  # fmt: skip
def test_what_is_no_list_of_hits(result):
    assert read_hits(result) is None


def test_hits_are_quoted_or_named_each_once():
    pages = [FoundPage(f"Title [{n}]", f"https://example.com/{n}", f"Fact {n}." if n != 2 else "") for n in range(6)]
    text = describe_hits([*pages, pages[0], FoundPage("Odd", "javascript:alert(1)", "")])
    assert text.count("Fact") == 2
    assert text.count("https://example.com/0") == 1
    assert r"[Title \[5\]](https://example.com/5)" in text
    assert text.endswith(", Odd.")
    assert "javascript" not in text


def test_a_long_snippet_is_cut():
    assert len(describe_hits([FoundPage("T", "", "word " * 10_000)])) < 500
