"""What `ask` adds by itself is left out where it is refused, once and for good, and in a replay from the start."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from gateway import Said, serve, spoken
from pydantic import BaseModel

from amber_nb import Amber
from amber_nb.chat.messages import assistant_message

KEY = "ambrs-exampletoken"


class Found(BaseModel):
    n: int


Rule = Callable[[dict[str, Any]], str | None]


@pytest.fixture
def gateway() -> Iterator[Callable[..., tuple[str, list[dict[str, Any]]]]]:
    """Makes gateways that refuse what a rule gives a reason for, and answer everything else with a text."""
    with ExitStack() as stack:

        def make(rule: Rule, text: str = '{"n": 3}') -> tuple[str, list[dict[str, Any]]]:
            bodies: list[dict[str, Any]] = []

            def reply(_: str) -> Said:
                body = bodies[-1]
                reason = rule(body)
                if reason is not None:
                    return Said([json.dumps({"error": {"message": reason}}).encode()], 400, "application/json")
                if not body.get("stream"):
                    message = {"role": "assistant", "content": text}
                    choice = {"index": 0, "message": message, "finish_reason": "stop"}
                    return Said([json.dumps({"choices": [choice]}).encode()], kind="application/json")
                return Said(spoken(text, 3))

            return stack.enter_context(serve(reply, bodies)), bodies

        yield make


def client(url: str, **settings: Any) -> Amber:
    return Amber(base_url=url, api_key=KEY, **{"mode": "live", "max_retries": 0, **settings})


def refuse_role(body: dict[str, Any]) -> str | None:
    if any(message["role"] == "developer" for message in body["messages"]):
        return "developer is not one of ['system', 'user', 'assistant', 'tool'] - 'messages.0.role'"
    return None


def refuse_stream_options(body: dict[str, Any]) -> str | None:
    return "stream_options: extra inputs are not permitted" if "stream_options" in body else None


def refuse_schema(body: dict[str, Any]) -> str | None:
    return "response_format of type json_schema is not supported" if "response_format" in body else None


def refuse_stream(body: dict[str, Any]) -> str | None:
    return "This model does not support streaming." if body.get("stream") else None


RULES = {
    "role": (refuse_role, "role developer"),
    "stream_options": (refuse_stream_options, "stream_options"),
    "schema": (refuse_schema, "response_format"),
    "stream": (refuse_stream, "cannot stream"),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("is_async", [False, True])
def test_it_is_left_out_and_remembered(gateway: Any, name: str, is_async: bool) -> None:
    rule, words = RULES[name]
    url, bodies = gateway(rule)
    amber = client(url)

    def ask() -> Any:
        if is_async:
            return asyncio.run(amber.ask_async("?", system="Be brief.", schema=Found))
        return amber.ask("?", system="Be brief.", schema=Found)

    with pytest.warns(RuntimeWarning, match=words):
        assert ask().parsed == Found(n=3)
    assert len(bodies) == 2
    with warnings.catch_warnings():  # it is said once
        warnings.simplefilter("error")
        assert ask().parsed == Found(n=3)
    assert len(bodies) == 3
    assert rule(bodies[2]) is None


def test_all_of_them_are_learnt_one_after_the_other(gateway: Any) -> None:
    rules = [rule for rule, _ in RULES.values()]
    url, bodies = gateway(lambda body: next((reason for rule in rules if (reason := rule(body))), None))
    with pytest.warns(RuntimeWarning):
        assert client(url).ask("?", system="Be brief.", schema=Found).parsed == Found(n=3)
    assert len(bodies) == 5
    (system, question) = bodies[-1]["messages"]
    assert system["role"] == "system"
    assert system["content"].startswith("Be brief.\n\nAnswer with one JSON value that fits this JSON schema")
    assert question == {"role": "user", "content": "?"}


def test_it_is_remembered_for_that_model_alone(gateway: Any) -> None:
    url, bodies = gateway(refuse_stream_options)
    amber = client(url)
    with pytest.warns(RuntimeWarning):
        amber.ask("?", model="a")
    with pytest.warns(RuntimeWarning):
        amber.ask("?", model="b")
    assert [body["model"] for body in bodies] == ["a", "a", "b", "b"]


def test_what_was_learnt_stands_in_the_cassette(gateway: Any, tmp_path: Any) -> None:
    path = tmp_path / "talk.jsonl"
    url, bodies = gateway(refuse_role)
    recorder = client(url, mode="record", cassette=path)
    with pytest.warns(RuntimeWarning):
        first = recorder.ask("?", system="Be brief.")
    again = recorder.ask("?", system="Be brief.")  # the cell, run again
    assert len(bodies) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replayed = Amber(mode="replay", cassette=path)
        assert replayed.ask("?", system="Be brief.").text == first.text == again.text
    assert '"adapted": ["system_role"]' in path.read_text()


def test_a_model_that_refuses_its_own_fields_gets_them_no_more(gateway: Any) -> None:
    def refuse(body: dict[str, Any]) -> str | None:
        if any("reasoning_content" in message for message in body["messages"]):
            return "messages.1.reasoning_content: Extra inputs are not permitted"
        return None

    url, bodies = gateway(refuse, "2")
    amber = client(url)
    conversation = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2", "reasoning_content": "Easy."},
        {"role": "user", "content": "And now?"},
    ]
    with pytest.warns(RuntimeWarning, match="fields that the model itself sent"):
        assert amber.ask(conversation).text == "2"
    assert bodies[-1]["messages"][1] == {"role": "assistant", "content": "2"}


def test_what_the_user_wrote_is_not_changed(gateway: Any) -> None:
    url, bodies = gateway(refuse_role)
    with pytest.raises(openai.BadRequestError):
        client(url).ask([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "?"}])
    assert len(bodies) == 1


def test_a_parameter_that_is_refused_is_named(gateway: Any) -> None:
    def refuse(body: dict[str, Any]) -> str | None:
        if "max_tokens" in body:
            return "Unsupported parameter: 'max_tokens' is not supported with this model."
        return "Unsupported value: 'temperature' does not support 0 with this model." if "temperature" in body else None

    url, bodies = gateway(refuse)
    amber = client(url)
    with pytest.raises(openai.BadRequestError) as raised:
        amber.ask("?", temperature=0)
    assert "refuses temperature=, which is sent. Correct it, or leave it out." in "".join(raised.value.__notes__)
    with pytest.raises(openai.BadRequestError) as raised:
        amber.ask("?", max_tokens=5)
    assert "or leave it out, or take max_completion_tokens=" in "".join(raised.value.__notes__)
    assert len(bodies) == 2


@pytest.mark.parametrize("how", [{"stream_options": None}, {"extra_body": {"stream_options": None}}])
def test_stream_options_can_be_left_out(gateway: Any, how: dict[str, Any]) -> None:
    url, bodies = gateway(refuse_stream_options)
    client(url).ask("?", **how)
    assert len(bodies) == 1
    assert "stream_options" not in bodies[0]


def test_the_role_of_instructions_can_be_set(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, bodies = gateway(refuse_role)
    client(url, system_role="system").ask("?", system="Be brief.")
    monkeypatch.setenv("AMBER_SYSTEM_ROLE", "system")
    answer = client(url).ask("?", system="Be brief.")
    answer.ask("And?")
    assert [body["messages"][0]["role"] for body in bodies] == ["system"] * 3
    monkeypatch.setenv("AMBER_SYSTEM_ROLE", "boss")
    with pytest.raises(Exception, match="AMBER_SYSTEM_ROLE"):
        client(url)


def test_a_response_format_beside_a_schema_is_an_error(gateway: Any) -> None:
    url, bodies = gateway(lambda body: None)
    for how in ({"response_format": {"type": "json_object"}}, {"extra_body": {"response_format": {"type": "text"}}}):
        with pytest.raises(TypeError, match="schema= for a typed answer, or response_format= alone"):
            client(url).ask("?", schema=Found, **how)
    assert bodies == []


def test_a_gateway_that_refuses_the_schema_and_then_the_role(gateway: Any) -> None:
    def refuse(body: dict[str, Any]) -> str | None:
        return refuse_schema(body) or refuse_role(body)

    url, bodies = gateway(refuse)
    with pytest.warns(RuntimeWarning):
        assert client(url).ask("?", schema=Found).parsed == Found(n=3)
    assert [message["role"] for message in bodies[-1]["messages"]] == ["system", "user"]
    with pytest.warns(RuntimeWarning):
        assert client(url, system_role="system").ask("?", schema=Found).parsed == Found(n=3)
    assert len(bodies) == 5


@pytest.mark.parametrize(
    ("reason", "how"),
    [
        ("Your developer plan does not include this model", {"system": "Be brief."}),
        ("Streaming is currently not available, please retry", {}),
        ("response_format is not supported", {"response_format": {"type": "json_object"}}),
        ("stream_options is not supported", {"stream_options": {"include_usage": True}}),
    ],
)
def test_a_refusal_of_something_else_teaches_nothing(gateway: Any, reason: str, how: dict[str, Any]) -> None:
    url, bodies = gateway(lambda body: reason)
    amber = client(url)
    with pytest.raises(openai.BadRequestError):
        amber.ask("?", **how)
    assert len(bodies) == 1


def test_what_did_not_help_is_not_remembered(gateway: Any) -> None:
    reasons = iter(["stream_options is unknown", "overloaded"])
    url, bodies = gateway(lambda body: next(reasons, None))
    amber = client(url)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(openai.BadRequestError, match="overloaded"):
            amber.ask("?")
        amber.ask("?")
    assert ["stream_options" in body for body in bodies] == [True, False, True]


def test_cells_from_before_it_was_learnt_replay_too(gateway: Any, tmp_path: Any) -> None:
    def refuse(body: dict[str, Any]) -> str | None:
        return refuse_stream(body) if body["messages"][0]["content"] == "two" else None

    path = tmp_path / "talk.jsonl"
    url, _ = gateway(refuse)
    recorder = client(url, mode="record", cassette=path)
    recorder.ask("one")
    with pytest.warns(RuntimeWarning):
        recorder.ask("two")
    recorder.ask("three")
    replayed = Amber(mode="replay", cassette=path)
    assert [replayed.ask(prompt).text for prompt in ("one", "two", "three")] == ['{"n": 3}'] * 3


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        ("The user has no access", False),
        ("Unknown parameter: 'user'.", True),
        ("user: extra inputs are not permitted", True),
    ],
)
def test_a_parameter_whose_name_is_a_word_counts_where_it_is_quoted(gateway: Any, reason: str, named: bool) -> None:
    url, _ = gateway(lambda body: reason)
    with pytest.raises(openai.BadRequestError) as raised:
        client(url).ask("?", user="ada")
    assert ("refuses user=" in "".join(getattr(raised.value, "__notes__", []))) is named


def test_developer_messages_of_the_users_stay_also_where_a_schema_is_written_out(gateway: Any) -> None:
    url, bodies = gateway(lambda body: refuse_schema(body) or refuse_role(body))
    with pytest.raises(openai.BadRequestError, match="developer"):
        client(url).ask([{"role": "developer", "content": "Hi."}, {"role": "user", "content": "?"}], schema=Found)
    assert [body["messages"][0]["role"] for body in bodies] == ["developer", "developer"]


def test_a_replay_that_had_to_look_twice_counts_one_reply(gateway: Any, tmp_path: Any) -> None:
    path = tmp_path / "talk.jsonl"
    url, _ = gateway(refuse_stream_options)
    prices = {"azure/gpt-5.4": (2, 3)}
    recorder = client(url, mode="record", cassette=path, prices=prices)
    with pytest.warns(RuntimeWarning):
        recorder.ask("?")
    recorded = recorder.ask("!")
    replayed = Amber(mode="replay", cassette=path, prices=prices).ask("!")
    assert len(replayed._charges) == len(recorded._charges) == 1


def test_half_a_character_in_a_models_own_field_can_be_sent() -> None:
    completion = openai.types.chat.ChatCompletion.model_construct(
        None, choices=[{"index": 0, "message": {"content": "a", "reasoning_content": "\ud83d", "x": ["\ud83d"]}}]
    )
    message = assistant_message(completion)
    assert message is not None
    assert (message["reasoning_content"], message["x"]) == ("\ufffd", ["\ufffd"])
