"""Tools, policies and models that do what nobody should: nothing hangs, nothing leaks, nothing runs that must not."""

import asyncio
import itertools
import json
import sys
import threading
from dataclasses import dataclass
from typing import Annotated

import pandas as pd
import pytest
from gateway import DONE, Said, chunk, serve
from patience import PATIENCE_S, runs_so_far, until
from pydantic import AfterValidator, BaseModel, model_validator
from scripted import KEY, calling

from amber_nb import Allow, Amber, Deny, ToolError, tool
from amber_nb.errors import ConfigError
from amber_nb.wire import event_loop as loop


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = ("add", {"a": 2, "b": 3})


def ending(reason, *calls):
    """A reply that calls tools and ends for this reason."""
    return [event for event in calling(*calls) if b'"finish_reason": "tool_calls"' not in event and event != DONE] + [
        chunk(finish=reason),
        DONE,
    ]


# --- what ends a program


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("awaited", [False, True])
def test_a_policy_that_exits_ends_its_own_answer_alone(script, error, awaited):
    def policy(call):
        raise error

    async def policy_async(call):
        raise error

    amber = script(calling(ADD), "Done.")
    with pytest.raises(error):
        amber.ask("?", tools=add, require_approval=policy_async if awaited else policy)
    assert script("Still here.").ask("?").text == "Still here."


@pytest.mark.parametrize("made", ["sync", "async", "serial"])
def test_a_tool_that_exits_has_failed(script, made):
    def leave() -> None:
        sys.exit(3)

    async def leave_async() -> None:
        sys.exit(3)

    tools = {"sync": leave, "async": tool(leave_async, name="leave"), "serial": tool(leave, serial=True)}
    answer = script(calling(("leave", {})), "I see.").ask("?", tools=tools[made])
    assert (answer.tool_runs[0].status, answer.tool_runs[0].error) == ("failed", "SystemExit: 3")
    assert script("Still here.").ask("?").text == "Still here."


def test_a_task_that_exits_ends_no_loop(script):
    """Asyncio ends the loop for it; the tool's own task is not the one that raises."""

    async def leave() -> str:
        async def away() -> None:
            sys.exit(3)

        await asyncio.gather(asyncio.ensure_future(away()), return_exceptions=True)
        return "here"

    assert script(calling(("leave", {})), "Done.").ask("?", tools=leave).tool_runs[0].result == "here"

    async def exits() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        loop.wait(loop.submit(exits()))
    assert script("Still here.").ask("?").text == "Still here."


@pytest.mark.parametrize("error", [SystemExit, RuntimeError("no")])
def test_a_validator_that_raises_is_a_wrong_argument(script, error):
    def refuse(value: int) -> int:
        raise error

    def take(n: Annotated[int, AfterValidator(refuse)]) -> int:
        return n

    (run,) = script(calling(("take", {"n": 1})), "I see.").ask("?", tools=take).tool_runs
    assert run.status == "invalid"
    assert "be checked" in run.error
    assert script("Still here.").ask("?").text == "Still here."


class Rude(Exception):
    def __str__(self):
        raise SystemExit


class Unreadable:
    def __repr__(self):
        raise SystemExit


def test_an_error_without_a_message_and_a_result_without_a_repr(script):
    def fail() -> None:
        raise Rude

    def give() -> object:
        return Unreadable()

    answer = script(calling(("fail", {}), ("give", {})), "Done.").ask("?", tools=[fail, give])
    assert [run.status for run in answer.tool_runs] == ["failed", "failed"]
    assert answer.tool_runs[0].error == "Rude: its message failed with SystemExit"
    assert answer.tool_runs[1].error.startswith("SystemExit")


# --- what waits for itself


def test_a_tool_may_ask_again(script):
    inner = script("Inner.")

    def ask() -> str:
        return inner.ask("?").text

    async def ask_async() -> str:
        return (await inner.ask_async("?")).text

    answer = script(calling(("ask", {}), ("ask_async", {})), "Done.").ask("?", tools=[ask, ask_async])
    assert [run.result for run in answer.tool_runs] == ["Inner.", "Inner."]


def test_an_async_tool_that_would_wait_for_itself_is_told(script):
    inner = script("Inner.")

    async def ask() -> str:
        return inner.ask("?").text

    (run,) = script(calling(("ask", {})), "I see.").ask("?", tools=ask).tool_runs
    assert run.status == "failed"
    assert "await amber.ask_async" in run.error


def test_what_blocks_in_an_async_tool_holds_up_no_other_answer(script):
    begun, over = threading.Event(), threading.Event()

    async def block() -> str:
        begun.set()
        return "over" if over.wait(PATIENCE_S) else "alone"

    def ask_meanwhile() -> str:
        begun.wait(PATIENCE_S)
        text = script("Meanwhile.").ask("?").text
        over.set()
        return text

    answer = script(calling(("block", {}), ("ask_meanwhile", {})), "Done.").ask("?", tools=[block, ask_meanwhile])
    assert [run.result for run in answer.tool_runs] == ["over", "Meanwhile."]


@pytest.mark.parametrize(
    ("decide", "validated"),
    [
        (False, ["a"]),
        (lambda call: True, ["a"]),
        (lambda call: Allow(call.arguments), ["a"]),
        (lambda call: Allow({"name": "b"}), ["a", "b"]),
    ],
    ids=["no approval", "allowed", "allowed as it is", "edited"],
)
def test_arguments_are_validated_once(script, decide, validated):
    """A validator may ask a database."""
    seen = []

    def look_up(name: Annotated[str, AfterValidator(lambda name: seen.append(name) or name)]) -> str:
        return name

    answer = script(calling(("look_up", {"name": "a"})), "Done.").ask("?", tools=look_up, require_approval=decide)
    assert answer.tool_runs[0].result == validated[-1]
    assert seen == validated


@pytest.mark.parametrize("place", ["tool", "schema"])
def test_a_validator_that_takes_its_time_holds_up_no_other_answer(script, place):
    begun, over, waited = threading.Event(), threading.Event(), []

    def slow(value):
        begun.set()
        waited.append(over.wait(PATIENCE_S))
        return value

    def take(n: Annotated[int, AfterValidator(slow)]) -> int:
        return n

    more = {"tools": take} if place == "tool" else {"schema": Annotated[int, AfterValidator(slow)]}
    amber = script(calling(("take", {"n": 1})), "Done.") if place == "tool" else script('{"value": 1}')
    done = []
    asking = threading.Thread(target=lambda: done.append(amber.ask("?", **more)))
    asking.start()
    assert begun.wait(PATIENCE_S)
    assert script("Meanwhile.").ask("?").text == "Meanwhile."
    assert done == []
    over.set()
    asking.join(PATIENCE_S)
    assert len(done) == 1
    assert all(waited)


@pytest.mark.parametrize("awaited", [False, True])
def test_a_tool_that_cancels_itself_has_failed(script, awaited):
    async def give_up() -> None:
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    amber = script(calling(("give_up", {})), "I see.")
    answer = asyncio.run(amber.ask_async("?", tools=give_up)) if awaited else amber.ask("?", tools=give_up)
    assert answer.tool_runs[0].status == "failed"
    assert answer.tool_runs[0].error.startswith("CancelledError")


def test_a_result_is_read_within_the_tools_own_time(script, clock):
    over = threading.Event()

    class Slow(BaseModel):
        def model_dump(self, **_):
            clock.advance(5)
            over.wait(PATIENCE_S)
            return {}

    @tool(timeout_s=5)
    def give() -> object:
        return Slow()

    (run,) = script(calling(("give", {})), "Done.").ask("?", tools=give).tool_runs
    over.set()
    assert run.status == "timeout"


def test_a_serial_tools_time_counts_from_when_it_begins(script, clock, askings):
    begun = []

    @tool(serial=True, timeout_s=3)
    def slow() -> str:
        begun.append(1)
        until(lambda: [run.status for run in runs_so_far(askings[0])].count("ran") == len(begun) - 1)
        clock.advance(2)
        return "done"

    answer = script(calling(("slow", {}), ("slow", {})), "Done.").ask("?", tools=slow)
    assert [run.status for run in answer.tool_runs] == ["ran", "ran"]
    assert [run.duration_s for run in answer.tool_runs] == [2, 2]


# --- what must not run


@pytest.mark.parametrize("reason", ["content_filter", "length", "MAX_TOKENS", "SAFETY"])
def test_what_the_model_did_not_finish_does_not_run(script, reason):
    ran = []

    def act() -> None:
        ran.append(1)

    answer = script(ending(reason, ("act", {}))).ask("?", tools=act)
    assert (ran, answer.tool_runs, answer.finish_reason) == ([], [], reason)
    assert "act({})" in answer._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call", "tool_use", "STOP", "eos", "banana"])
def test_what_it_did_does(script, reason):
    assert script(ending(reason, ADD), "Five.").ask("?", tools=add).tool_runs[0].result == 5


def test_a_policy_cannot_change_unseen_what_was_checked(script):
    def policy(call):
        call.arguments["items"].append("rm -rf")
        return True

    def buy(items: list[str]) -> str:
        return ", ".join(items)

    (run,) = (
        script(calling(("buy", {"items": ["tea"]})), "Done.").ask("?", tools=buy, require_approval=policy).tool_runs
    )
    assert (run.result, run.arguments, run.edited) == ("tea", {"items": ["tea"]}, False)


def test_a_policys_own_mistake_is_found_before_anything_runs(script):
    ran = []

    def other() -> None:
        ran.append(1)

    def policy(call):
        return Allow({"a": "x", "b": 1}) if call.name == "add" else True

    with pytest.raises(ToolError, match="gave are wrong, and nothing was run"):
        script(calling(("other", {}), ADD)).ask("?", tools=[add, other], require_approval=policy)
    assert ran == []


def test_an_edit_is_one_by_what_json_says(script):
    def take(value: object) -> str:
        return repr(value)

    amber = script(calling(("take", {"value": 1})), "Done.")
    (run,) = amber.ask("?", tools=take, require_approval=lambda call: Allow({"value": True})).tool_runs
    assert (run.result, run.edited) == ("True", True)


def test_decisions_are_of_their_types():
    with pytest.raises(TypeError, match="a dict, not list"):
        Allow(["x"])
    with pytest.raises(TypeError, match="a text, not int"):
        Deny(3)


@pytest.mark.parametrize("rounds", [0, -1, True, 2.5, "3"])
def test_rounds_are_a_whole_number(script, rounds):
    with pytest.raises(ConfigError, match="max_rounds must be a whole number"):
        script("?").ask("?", tools=add, max_rounds=rounds)


def test_made_up_ids_are_nobody_elses(script):
    calls = [("add", {"a": 1, "b": n}, id) for n, id in enumerate(["", "call_1_1", "call_1_1"])]
    answer = script(calling(*calls), "Done.").ask("?", tools=add)
    ids = [run.call_id for run in answer.tool_runs]
    assert len(set(ids)) == 3
    assert ids[1] == "call_1_1"
    assert [message["tool_call_id"] for message in answer.messages if message["role"] == "tool"] == ids


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ({"id": "x", "type": "custom", "custom": {"name": "add", "input": "2 and 3"}}, "add"),
        ({"id": "x", "type": "function"}, ""),
        ({"id": "x", "type": "function", "function": {"name": "add"}}, "add"),
        ({"type": "function", "function": {"name": None, "arguments": None}}, ""),
    ],
)
@pytest.mark.parametrize("tools", [add, None])
def test_a_call_that_is_none_in_a_reply_that_is_whole(call, name, tools):
    def body(message, reason):
        choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": reason}
        return Said([json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()], kind="application/json")

    said = iter([body({"tool_calls": [call]}, "tool_calls"), body({"content": "I see."}, "stop")])
    with serve(lambda _: next(said)) as url:
        answer = Amber(base_url=url, api_key=KEY, max_retries=0).ask("?", tools=tools)
    assert [(run.name, run.status) for run in answer.tool_runs] == ([(name, "invalid")] if tools else [])
    assert answer._repr_mimebundle_()["text/html"]
    assert all(call["function"]["arguments"] == "{}" for m in answer.messages for call in m.get("tool_calls", ()))


# --- what is asked for once more


def test_the_repair_of_a_typed_answer_may_use_tools(script):
    amber = script("no JSON", calling(ADD), '{"n": 5}')

    class Sum(BaseModel):
        n: int

    answer = amber.ask("?", tools=add, schema=Sum)
    assert (answer.parsed, answer.tool_runs[0].result) == (Sum(n=5), 5)


def test_its_rounds_count_too(script):
    amber = script(calling(ADD), "no JSON", calling(ADD), '{"n": 5}')
    with pytest.raises(ToolError, match="max_rounds=1 is the limit"):
        amber.ask("?", tools=add, schema=dict[str, int], max_rounds=1)


def test_an_answer_that_is_gone_on_from_keeps_its_tools(script):
    raw = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    amber = script(calling(ADD), "Five.", calling(ADD, ("look", {})), "Ten.")
    first = amber.ask("?", tools=(one for one in [add, raw]), handlers={"look": lambda: "seen"})
    second = first.ask("And again?")
    assert [run.result for run in second.tool_runs] == [5, "seen"]
    assert second.ask("Others?", tools=[add]).text == "Ten."  # the handler of the tool that went is no mistake


def test_a_handler_may_come_later(script):
    class Look(BaseModel):
        where: str

    raw = {"type": "function", "function": {"name": "see", "parameters": {"type": "object", "properties": {}}}}
    calls = calling(("Look", {"where": "here"}), ("see", {}))
    shown = script([*calls]).ask("?", tools=[Look, raw])
    assert [run.status for run in shown.tool_runs] == ["not_run", "not_run"]
    amber = script(calling(ADD), "x", calling(("Look", {"where": "here"}), ("see", {})), "Seen.")
    answer = amber.ask("?", tools=[Look, raw, add])
    later = answer.ask("?", handlers={"Look": lambda it: it.where, "see": lambda: "yes"})
    assert [run.result for run in later.tool_runs] == ["here", "yes"]


# --- what has no end


def test_the_items_of_generators_are_told(script):
    def count():
        return (n * n for n in range(3))

    async def count_async():
        for n in range(3):
            yield n

    def lines() -> object:
        return map(str.upper, ["a", "b"])

    def ever() -> object:
        return itertools.count()

    answer = script(calling(*[(name, {}) for name in ("count", "count_async", "lines", "ever")]), "Done.").ask(
        "?", tools=[count, count_async, lines, ever]
    )
    results = [run.result for run in answer.tool_runs]
    assert results[:3] == [[0, 1, 4], [0, 1, 2], ["A", "B"]]
    assert len(results[3]) == 10_000
    assert [run.sent for run in answer.tool_runs][:2] == ["[0,1,4]", "[0,1,2]"]


def test_a_serial_tool_may_give_what_is_awaited(script):
    async def later() -> str:
        return "later"

    @tool(serial=True)
    def give() -> object:
        return later()

    @tool(serial=True)
    async def items():
        yield 1

    answer = script(calling(("give", {}), ("items", {})), "Done.").ask("?", tools=[give, items])
    assert [run.result for run in answer.tool_runs] == ["later", [1]]


def test_an_error_of_the_users_that_is_frozen_is_raised_as_it_is(script):
    @dataclass(frozen=True)
    class Frozen(Exception):
        why: str

    def policy(call):
        raise Frozen("because")

    with pytest.raises(Frozen, match="because"):
        script(calling(ADD)).ask("?", tools=add, require_approval=policy)


# --- what is nobody's to read

SECRET = "tok-0p3nSesame"


def everywhere(answer):
    """All that a notebook's file, a terminal or a log may get of an answer."""
    frame = answer.tools_frame().drop(columns="result")
    shown = answer._repr_mimebundle_()
    return "\n".join([*shown.values(), repr(answer), repr(answer.tool_runs), frame.to_csv(), frame.to_html()])


def test_a_secret_is_shown_nowhere(script):
    def echo(token: str) -> str:
        return f"with {token}"

    def fail(token: str) -> None:
        raise ValueError(f"bad {token}")

    def pick(token: str, other: str) -> dict[str, str]:
        return {"got": other, "token": token}

    def deny(call):
        return Deny(f"no {SECRET}") if call.name == "never" else True

    def never(api_key: str) -> None:
        raise AssertionError

    given = {"token": SECRET}
    calls = [("echo", given), ("fail", given), ("pick", {**given, "other": SECRET}), ("never", {"api_key": SECRET})]
    answer = script(calling(*calls), "Done.").ask("?", tools=[echo, fail, pick, never], require_approval=deny)
    assert [run.status for run in answer.tool_runs] == ["ran", "failed", "ran", "denied"]
    assert SECRET not in everywhere(answer)
    assert "•••" in everywhere(answer)
    # The model is told what the tools said, and the record has it.
    assert answer.tool_runs[0].sent == f"with {SECRET}"
    assert answer.tool_runs[0].arguments == given


RESULTS = {
    "frame": lambda: pd.DataFrame({"n": [1, 2], "password": [SECRET, SECRET]}),
    "two lines": lambda: pd.DataFrame({"Name\n(full)": ["a"], "password": [SECRET]}),
    "return": lambda: pd.DataFrame({"a": ["x\ry"], "password": [SECRET]}),
    "row": lambda: pd.DataFrame({"n": [1], "password": [SECRET]}).iloc[0],
    "nested": lambda: {"users": pd.DataFrame({"n": [1], "password": [SECRET]})},
    "tuple": lambda: ({"password": SECRET},),
    "in words": lambda: "Found: " + json.dumps({"password": SECRET}),
    "json": lambda: {"api_key": SECRET},
}


@pytest.mark.parametrize("name", RESULTS)
def test_nor_in_a_result_that_names_it(script, tmp_path, name):
    def give() -> object:
        return RESULTS[name]()

    tape = tmp_path / "tape.jsonl"
    answer = script(calling(("give", {})), "Done.", mode="record", cassette=tape).ask("?", tools=give)
    again = Amber(mode="replay", cassette=tape).ask("?", tools=give)
    assert SECRET in answer.tool_runs[0].sent
    for one in (answer, again):
        assert SECRET not in everywhere(one)


def test_what_only_sounds_like_one_is_shown(script):
    def count(max_tokens: int, n_tokens: int) -> str:
        return f"{max_tokens} rows"

    answer = script(calling(("count", {"max_tokens": 1000, "n_tokens": 5})), "Done.").ask("?", tools=count)
    assert answer._repr_mimebundle_()["text/plain"].startswith("count(max_tokens=1000, n_tokens=5) → 1000 rows")


@pytest.mark.parametrize(
    "text",
    [
        "Password policy\nUsers must choose a long one.",
        "See [1].\nThe secret, she said, is tea.\nNobody knew.",
        "[1, 2]\n3",
    ],
)
def test_sentences_are_shown_whatever_they_are_about(script, text):
    def read() -> str:
        return text

    answer = script(calling(("read", {})), "Done.").ask("?", tools=read)
    assert " ".join(text.split()) in answer._repr_mimebundle_()["text/plain"]


def refused(value):
    raise ValueError(f"{value} is refused")


def broken(value):
    raise RuntimeError(f"{value} breaks it")


class Login(BaseModel):
    user: str
    password: str

    @model_validator(mode="after")
    def never(self):
        raise ValueError(f"{self.password} is not theirs")


@pytest.mark.parametrize("name", ["of_value", "of_rule", "of_break", "of_model", "of_schema"])
def test_nor_where_it_is_wrong(script, name):
    def of_value(token: int) -> None: ...
    def of_rule(token: Annotated[str, AfterValidator(refused)]) -> None: ...
    def of_break(token: Annotated[str, AfterValidator(broken)]) -> None: ...
    def of_model(login: Login) -> None: ...

    schema = {"type": "object", "properties": {"token": {"type": "string", "maxLength": 3}}}
    raw = {"type": "function", "function": {"name": "of_schema", "parameters": schema}}
    given = {"login": {"user": "ann", "password": SECRET}} if name == "of_model" else {"token": SECRET}
    amber = script(calling((name, given)))
    with pytest.raises(ToolError) as caught:  # it goes on to give the same
        amber.ask("?", tools=[of_value, of_rule, of_break, of_model, raw], handlers={"of_schema": lambda token: None})
    assert SECRET not in str(caught.value)
    assert SECRET not in everywhere(caught.value.answer)


def test_nor_in_calls_that_are_the_callers_to_run(script):
    raw = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    text = json.dumps({"password": SECRET})
    for answer in (script(calling(("look", text))).ask("?", tools=raw), script(calling(("look", text))).ask("?")):
        assert SECRET not in everywhere(answer)
        assert "look" in answer._repr_mimebundle_()["text/html"]
    assert SECRET not in everywhere(script(calling(("look", text[:-2]))).ask("?"))
