"""Which server a result or a prompt in a conversation came from, as a client remembers it."""

import pytest

from amber_nb.chat import server_calls
from amber_nb.chat.server_calls import KnownResults, Origin
from amber_nb.mcp_servers.prompts import PromptMessages

WIKI, FILES = Origin("w", "wiki"), Origin("f", "files")


def result(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def user(content):
    return {"role": "user", "content": content}


def names(known, message):
    return {origin.name for origin in known.find(message)}


def test_a_result_is_known_by_its_call_and_its_text():
    known = KnownResults()
    known.add("1", "text", WIKI)
    known.add("2", "sum", None)
    assert known.find(result("1", "text")) == {WIKI}
    assert known.find(result("2", "sum")) == set()
    assert names(known, result("1", "other")) == names(known, result("3", "text")) == {"an earlier tool"}
    known.add("1", "text", FILES)
    assert known.find(result("1", "text")) == {WIKI, FILES}


def test_of_very_many_results_the_oldest_count_as_unknown(monkeypatch):
    monkeypatch.setattr(server_calls, "_MAX_RESULTS", 3)
    known = KnownResults()
    known.add_prompt(PromptMessages([user("a prompt")], server="wiki", group="w"))
    for n in range(5):
        known.add(str(n), "text", None)
        known.find(result("0", "text"))  # in a conversation that goes on
    assert [bool(known.find(result(str(n), "text"))) for n in range(5)] == [False, True, True, False, False]
    assert known.find(user("a prompt")) == {WIKI}


def test_prompts_of_several_servers_and_the_users_words():
    known = KnownResults()
    one = PromptMessages([user("one")], server="wiki", group="w")
    other = PromptMessages([user("other"), user([{"type": "text", "text": "inner"}])], server="files", group="f")
    known.add_prompt([user("mine"), *one, *other])
    assert known.find(user("one")) == {WIKI}
    assert known.find(user("other")) == known.find(user([{"type": "text", "text": "inner"}])) == {FILES}
    assert known.find(user("mine")) == set()
    known.add_prompt(one + other)
    assert known.find(user("other")) == {FILES}


def test_a_prompt_beside_an_image_is_known():
    known = KnownResults()
    picture, more = ({"type": "image_url", "image_url": {"url": f"data:{n}"}} for n in range(2))
    known.add_prompt(PromptMessages([user("look"), user([picture])], server="wiki", group="w"))
    assert known.find(user([{"type": "text", "text": "look"}, more])) == {WIKI}
    assert known.find(user([picture, more])) == {WIKI}
    assert known.find(user([more])) == set()


@pytest.mark.parametrize("prompt", ["text", None, 5, (), iter([user("x")]), [user("x")], [user(None)], [user([1])]])
def test_any_other_prompt_is_the_users(prompt):
    known = KnownResults()
    known.add_prompt(prompt)
    known.add_prompt(PromptMessages([user("y")], server="wiki", group="w"))
    for content in ("x", None, [1]):
        assert known.find(user(content)) == set()
