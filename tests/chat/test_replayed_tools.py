"""A replay of tools: it runs nothing, and reads as the recording did."""

import asyncio
import threading

import pandas as pd
import pytest
from openai import omit
from patience import PATIENCE_S
from PIL import Image
from scripted import calling

from amber_nb import Allow, Amber, CassetteMiss, Deny, ToolError


def texts(answer):
    return [message["content"] for message in answer.messages if not isinstance(message["content"], list)]


class TestReplay:
    """What tools told, and what was decided, comes from the recording."""

    def ask(self, amber, entered, result="sunny", policy=lambda call: Allow({"city": "Bonn"})):
        def weather(city: str) -> str:
            entered.append(city)
            return result

        return amber.ask("?", tools=weather, require_approval=policy)

    def test_it_runs_nothing(self, script, tmp_path):
        tape = tmp_path / "tape.jsonl"
        entered = []
        recording = script(calling(("weather", {"city": "Aachen"})), "Sun.", mode="record", cassette=tape)
        then = self.ask(recording, entered)
        assert entered == ["Bonn"]
        now = self.ask(Amber(mode="replay", cassette=tape), entered, result="rain", policy=True)
        assert entered == ["Bonn"]
        assert now.text == then.text == "Sun."
        assert now.messages == then.messages
        one, other = now.tool_runs[0], then.tool_runs[0]
        assert (one.status, one.sent, one.arguments, one.edited, one.proposed, one.decided_by) == (
            other.status, other.sent, other.arguments, other.edited, other.proposed, other.decided_by,
        )  # fmt: skip
        assert one.result == "sunny"

    @pytest.mark.parametrize("policy", [False, lambda call: Deny("no"), lambda call: False])
    def test_decisions_come_back(self, script, tmp_path, policy):
        tape = tmp_path / "tape.jsonl"
        recording = script(calling(("weather", {"city": "Aachen"})), "Sun.", mode="record", cassette=tape)
        then = self.ask(recording, [], policy=policy)
        now = self.ask(Amber(mode="replay", cassette=tape), [], policy=True)
        assert [(run.status, run.sent, run.reason) for run in now.tool_runs] == [
            (run.status, run.sent, run.reason) for run in then.tool_runs
        ]

    def test_tools_may_run_if_wished(self, script, tmp_path, monkeypatch):
        tape = tmp_path / "tape.jsonl"
        entered = []
        self.ask(script(calling(("weather", {"city": "Aachen"})), "Sun.", mode="record", cassette=tape), entered)
        monkeypatch.setenv("AMBER_REPLAY_TOOLS", "run")
        assert self.ask(Amber(mode="replay", cassette=tape), entered).text == "Sun."
        assert entered == ["Bonn", "Bonn"]
        with pytest.raises(Exception, match="rain"):
            self.ask(Amber(mode="replay", cassette=tape), entered, result="rain")

    def test_pictures_come_back_too(self, script, tmp_path):
        def draw(colour: str):
            return Image.new("RGB", (9, 9), colour)

        tape = tmp_path / "tape.jsonl"
        recording = script(calling(("draw", {"colour": "red"})), "Red.", mode="record", cassette=tape)
        then = recording.ask("?", tools=draw)
        assert [message["role"] for message in then.messages] == ["user", "assistant", "tool", "user", "assistant"]
        assert Amber(mode="replay", cassette=tape).ask("?", tools=draw).text == "Red."

    def test_pictures_beside_a_call_of_the_callers_come_back(self, script, tmp_path):
        def draw():
            return Image.new("RGB", (9, 9), "red")

        def talk(amber):
            theirs = {"type": "function", "function": {"name": "theirs", "parameters": {"type": "object"}}}
            first = amber.ask("?", tools=[draw, theirs])
            return first.ask(
                [{"role": "tool", "tool_call_id": "id1", "content": "5"}, {"role": "user", "content": "So?"}]
            )

        tape = tmp_path / "tape.jsonl"
        then = talk(script(calling(("draw", {}), ("theirs", {})), "Red.", mode="record", cassette=tape))
        roles = [message["role"] for message in then.messages]
        assert roles == ["user", "assistant", "tool", "tool", "user", "user", "assistant"]
        now = talk(Amber(mode="replay", cassette=tape))
        assert now.text == "Red."
        assert texts(now) == texts(then)

    def test_questions_that_are_asked_at_once(self, script, tmp_path):
        """What the tools told differs: each goes on with what follows its own."""

        async def both(amber):
            told = iter("ab")
            gate = threading.Barrier(2, timeout=PATIENCE_S)  # the replies are for both first requests, then the others

            def count() -> str:
                gate.wait()
                return next(told)

            answers = await asyncio.gather(*(amber.ask_async("?", tools=count) for _ in "ab"))
            return sorted((answer.tool_runs[0].sent, answer.text) for answer in answers)

        tape = tmp_path / "tape.jsonl"
        replies = [calling(("count", {})), calling(("count", {})), "One.", "Two."]
        then = asyncio.run(both(script(*replies, mode="record", cassette=tape)))
        assert {sent for sent, _ in then} == {"a", "b"}
        replay = Amber(mode="replay", cassette=tape)
        assert asyncio.run(both(replay)) == then
        assert asyncio.run(both(Amber(mode="replay", cassette=tape))) == then

    def test_it_reads_the_same(self, script, tmp_path):
        """Whatever a call was: what the file keeps as plain text is compared, cell by cell, in a regression test."""

        def add(a: int, b: int) -> int:
            return a + b

        def look() -> object:
            return Image.new("RGB", (40, 30), "red")

        def table(key: str) -> object:
            return pd.DataFrame({"n": [1, 2], "key": [key, key]})

        def misleading() -> str:
            return "Error: [The reader changed"

        def late() -> None:
            raise ValueError("not today")

        def policy(call):
            if call.name == "add":
                return Allow({**call.arguments, "a": 10})
            return Deny("[Result]\n") if call.name == "never" else True

        def never() -> None:
            raise AssertionError

        tools = [add, look, table, misleading, late, never]
        calls = [("add", {"a": 1, "b": 2}, ""), ("add", {"a": 10, "b": 2}, ""), ("look", {}), ("misleading", {})]
        calls += [("late", {}), ("never", {}), ("nobody", {}), ("add", {"a": "x"}), ("table", {"key": "s3cret"})]
        tape = tmp_path / "tape.jsonl"
        replies = [calling(*calls), calling(("add", {"a": 7, "b": 7})), "Done.", "More."]
        recording = script(*replies, mode="record", cassette=tape)
        then = recording.ask("?", tools=tools, require_approval=policy)
        now = Amber(mode="replay", cassette=tape).ask("?", tools=tools, require_approval=policy)
        assert now._repr_mimebundle_()["text/plain"] == then._repr_mimebundle_()["text/plain"]
        fields = ("name", "arguments", "proposed", "status", "sent", "error", "reason", "edited", "round", "call_id")
        for name in fields:
            assert [getattr(run, name) for run in now.tool_runs] == [getattr(run, name) for run in then.tool_runs]
        assert texts(now) == texts(then)
        assert then.ask("And?").text == "More."
        assert now.ask("And?").text == "More."  # though of its picture the recording has only what tells it apart
        for answer in (then, now):
            assert not any("s3cret" in shown for shown in answer._repr_mimebundle_().values())

    @pytest.mark.parametrize(
        "more",
        [{"tool_choice": "required"}, {"extra_body": {"foo": 1}}, {"extra_query": {"v": "1"}}, {"temperature": omit}],
    )
    def test_whatever_else_was_asked_for(self, script, tmp_path, more):
        tape = tmp_path / "tape.jsonl"
        recording = script(calling(("weather", {"city": "Aachen"})), "Sun.", mode="record", cassette=tape)

        def weather(city: str) -> str:
            return city

        assert recording.ask("?", tools=weather, **more).text == "Sun."
        assert Amber(mode="replay", cassette=tape).ask("?", tools=weather, **more).text == "Sun."

    def test_a_question_asked_again_has_its_own_answer_after_it_was_gone_on_from(self, script, tmp_path):
        def weather(city: str) -> str:
            return city

        tape = tmp_path / "tape.jsonl"
        recording = script(calling(("weather", {"city": "Aachen"})), "Sun.", "More.", mode="record", cassette=tape)
        recording.ask("?", tools=weather).ask("And?")
        replay = Amber(mode="replay", cassette=tape)
        first = replay.ask("?", tools=weather)
        then = replay._session.recorded_results(
            "/chat/completions", {"model": "azure/gpt-5.4", "messages": first.messages[:2]}
        )
        assert [message["role"] for message in then] == ["tool"]  # though the request of the first answer is used
        assert first.ask("And?").text == "More."
        assert (
            replay._session.recorded_results(
                "/chat/completions", {"model": "azure/gpt-5.4", "messages": first.messages[:2]}
            )
            == then
        )

    def test_what_no_tool_told_is_missing(self, script, tmp_path):
        """The tools were the caller's to run then; or the answer was stopped while they ran."""
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        spec = {"type": "function", "function": {"name": "weather", "parameters": schema}}
        tape = tmp_path / "tape.jsonl"
        recording = script(calling(("weather", {"city": "Aachen"})), mode="record", cassette=tape)
        assert recording.ask("?", tools=[spec]).tool_runs[0].status == "not_run"
        replay = Amber(mode="replay", cassette=tape)
        assert replay.ask("?", tools=[spec]).tool_runs[0].status == "not_run"
        with pytest.raises(CassetteMiss, match=r"What the tools told is not recorded in .*tape\.jsonl") as caught:
            Amber(mode="replay", cassette=tape).ask("?", tools=[spec], handlers={"weather": lambda city: city})
        assert "Aachen" not in str(caught.value)

    def test_a_model_that_repeats_what_is_wrong_does_so_again(self, script, tmp_path):
        def weather(city: str) -> str:
            return city

        tape = tmp_path / "tape.jsonl"
        for amber in (
            script(calling(("weather", {"town": 1})), mode="record", cassette=tape),
            Amber(mode="replay", cassette=tape),
        ):
            with pytest.raises(ToolError, match="was told once"):
                amber.ask("?", tools=weather)
