"""Tools of a question: run, decided on, told to the model; by a gateway that asks for exactly these calls."""

import asyncio
import gc
import json
import pickle
import threading

import pytest
from gateway import DONE, chunk
from patience import PATIENCE_S, runs_so_far, until
from PIL import Image
from scripted import calling

from amber_nb import Allow, Deny, ToolCall, ToolError, tool
from amber_nb.chat import tool_calls as rounds
from amber_nb.chat.execute import run_tool
from amber_nb.wire import event_loop as loop


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def told(answer):
    return [message["content"] for message in answer.messages if message["role"] == "tool"]


def test_a_call_is_run_and_told(script):
    answer = script(calling(("add", {"a": 2, "b": 3})), "Five.").ask("2 + 3?", tools=add)
    assert answer.text == "Five."
    assert [message["role"] for message in answer.messages] == ["user", "assistant", "tool", "assistant"]
    assert told(answer) == ["5"]
    (run,) = answer.tool_runs
    assert (run.name, run.arguments, run.result, run.sent, run.status) == ("add", {"a": 2, "b": 3}, 5, "5", "ran")
    assert (run.error, run.edited, run.round, run.call_id, run.decided_by) == (None, False, 1, "id0", None)
    assert answer.complete
    frame = answer.tools_frame()
    assert list(frame.columns[:4]) == ["round", "name", "status", "arguments"]
    assert frame.loc[0, "result"] == 5


def test_rounds_follow_each_other(script):
    amber = script(calling(("add", {"a": 1, "b": 1}), text="First."), calling(("add", {"a": 2, "b": 2})), "Four.")
    answer = amber.ask("?", tools=[add])
    assert [(run.round, run.result) for run in answer.tool_runs] == [(1, 2), (2, 4)]
    assert answer.text == "Four."
    assert "First." in answer._repr_mimebundle_()["text/html"]
    assert len(amber.usage_log) == 3


def test_a_reply_of_many_calls_does_not_take_all_threads(script, monkeypatch):
    assert rounds._MAX_PARALLEL == 100
    monkeypatch.setattr(rounds, "_MAX_PARALLEL", 10)
    inside, most, ten, lock = 0, 0, threading.Barrier(10, timeout=PATIENCE_S), threading.Lock()

    def count(number: int) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        ten.wait()
        with lock:
            inside -= 1
        return number

    answer = script(calling(*[("count", {"number": n}) for n in range(30)]), "Done.").ask("?", tools=count)
    assert [run.result for run in answer.tool_runs] == [*range(30)]
    assert most == 10


def test_no_thread_is_a_tool_that_failed(script, monkeypatch):
    def begin(thread):
        if thread.name == "amber-tool" and working:
            raise RuntimeError("can't start new thread")
        started(thread)

    started, working = threading.Thread.start, []
    monkeypatch.setattr(threading.Thread, "start", begin)
    monkeypatch.setattr("amber_nb.chat.tool_calls.run_tool", lambda *given: working.append(1) or run_tool(*given))
    (run,) = script(calling(("add", {"a": 2, "b": 3})), "I see.").ask("?", tools=add).tool_runs
    assert (run.status, run.error) == ("failed", "RuntimeError: can't start new thread")


@pytest.mark.parametrize(
    ("name", "arguments", "sent_name"),
    [
        ("multi_tool_use.parallel", "{}", "multi_tool_use_parallel"),
        ("", "{}", "unnamed"),
        ("a\x00b é", "{}", "a_b__"),
        ("x" * 80, "{}", "x" * 64),
        ("\ud800x", "{}", "_x"),
        ("add", '{"a": "\ud800"}', "add"),
    ],
)
def test_what_goes_back_to_the_gateway_is_what_it_takes(script, name, arguments, sent_name):
    answer = script(calling((name, arguments)), "I see.").ask("?", tools=add)
    (run,) = answer.tool_runs
    assert run.status == "invalid"
    assert answer.text == "I see."
    (call,) = answer.messages[1]["tool_calls"]
    assert call["function"] == {"name": sent_name, "arguments": "{}"}
    json.dumps(answer.messages, ensure_ascii=False).encode()


def test_an_approval_is_not_taken_back_by_nothing(script):
    answer = script(calling(("add", {"a": 1, "b": 1})), "No.").ask("?", tools=add, require_approval=lambda call: False)
    with pytest.raises(TypeError, match="require_approval"):
        answer.ask("Again", require_approval=None)


def test_pictures_of_ours_come_after_the_results_of_the_callers(script):
    def look() -> object:
        return Image.new("RGB", (20, 20))

    theirs = {"type": "function", "function": {"name": "theirs", "parameters": {"type": "object", "properties": {}}}}
    answer = script(calling(("look", {}), ("theirs", {})), "Fine.").ask("?", tools=[look, theirs])
    result = {"role": "tool", "tool_call_id": "id1", "content": "res"}
    then = answer.ask([result, {"role": "user", "content": "So?"}])
    said = [(one["role"], one.get("tool_call_id")) for one in then.messages]
    assert said == [
        ("user", None), ("assistant", None), ("tool", "id0"), ("tool", "id1"), ("user", None), ("user", None),
        ("assistant", None),
    ]  # fmt: skip


def test_a_timeout_of_an_async_tool_leaves_no_word_behind(script, clock, caplog):
    begun, ended = [], []

    @tool(timeout_s=5)
    async def slow() -> None:
        begun.append(1)
        if len(begun) == 30:
            clock.advance(5)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    answer = script(calling(*[("slow", {})] * 30), "I see.").ask("?", tools=slow)
    assert {run.status for run in answer.tool_runs} == {"timeout"}
    until(lambda: len(ended) == 30)
    for submit in (loop.submit_user_code, loop.submit) * 2:  # what their ends have called for comes before this
        loop.wait(submit(asyncio.sleep(0)))
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_calls_of_one_reply_run_at_once_and_come_in_order(script, askings):
    gate = threading.Barrier(3, timeout=PATIENCE_S)

    def wait(number: int) -> str:
        gate.wait()  # none of them goes on before all have begun
        until(lambda: all(run.status == "ran" for run in runs_so_far(askings[0])[number + 1 :]))
        return f"no. {number}"

    answer = script(calling(*[("wait", {"number": n}) for n in range(3)]), "Done.").ask("?", tools=wait)
    assert told(answer) == ["no. 0", "no. 1", "no. 2"]


def test_async_tools_too_and_on_the_loop_of_the_caller(script):
    loops = []

    async def where(n: int) -> int:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        return n

    amber = script(calling(("where", {"n": 1}), ("where", {"n": 2})), "Done.")
    assert told(amber.ask("?", tools=where)) == ["1", "2"]

    async def awaiting():
        answer = await script(calling(("where", {"n": 3})), "Done.").ask_async("?", tools=where)
        return told(answer), asyncio.get_running_loop()

    said, here = asyncio.run(awaiting())
    assert said == ["3"]
    assert loops[2] is here
    assert loops[0] is not here


def test_a_serial_tool_runs_on_the_cells_thread(script):
    threads = []

    @tool(serial=True)
    def here() -> None:
        threads.append(threading.current_thread())

    def elsewhere() -> None:
        threads.append(threading.current_thread())

    script(calling(("here", {})), calling(("elsewhere", {})), "Done.").ask("?", tools=[here, elsewhere])
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
    asyncio.run(script(calling(("here", {})), "Done.").ask_async("?", tools=here))
    assert threads[2] is threading.main_thread()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("ad", {"a": 1, "b": 2}), "There is no tool 'ad'. There are: add."),
        (("add", {"a": "1", "b": 2}), "a"),
        (("add", {"a": 1}), "b"),
        (("add", {"a": 1, "b": 2, "c": 3}), "c: no such argument"),
        (("add", '{"a": 1, "b": '), "no JSON"),
        (("add", "[1, 2]"), "must be a JSON object"),
        (("", {}), "There is no tool ''"),
    ],
)
def test_what_is_wrong_with_a_call_is_told_once(script, call, said):
    answer = script(calling(call), "I see.").ask("?", tools=add)
    (run,) = answer.tool_runs
    assert run.status == "invalid"
    assert said in run.sent
    assert run.error == run.sent
    assert answer.text == "I see."
    json.loads(answer.messages[1]["tool_calls"][0]["function"]["arguments"])  # what goes back can be read
    with pytest.raises(ToolError, match="told once") as caught:
        script(calling(call)).ask("?", tools=add)
    assert caught.value.name == call[0]
    assert [run.status for run in caught.value.answer.tool_runs] == ["invalid", "invalid"]


def test_a_model_that_has_learnt_may_err_again(script):
    wrong, right = list(calling(("add", {"a": 1}))), list(calling(("add", {"a": 1, "b": 2})))
    answer = script(wrong, right, wrong, right, "3.").ask("?", tools=add)
    assert [run.status for run in answer.tool_runs] == ["invalid", "ran", "invalid", "ran"]


def test_ids_are_made_where_they_lack_or_repeat(script):
    two = calling(("add", {"a": 1, "b": 1}, ""), ("add", {"a": 2, "b": 2}, "x"), ("add", {"a": 3, "b": 3}, "x"))
    answer = script(two, "Done.").ask("?", tools=add)
    ids = [message["tool_call_id"] for message in answer.messages if message["role"] == "tool"]
    assert len(set(ids)) == len(ids)
    assert [call["id"] for call in answer.messages[1]["tool_calls"]] == ids
    assert all(ids)


def test_a_tool_that_raises_tells_little_and_keeps_all(script):
    def fail(n: int) -> int:
        raise KeyError("a long story " * 100)

    answer = script(calling(("fail", {"n": 1})), "I see.").ask("?", tools=fail)
    (run,) = answer.tool_runs
    assert run.status == "failed"
    assert run.sent.startswith("Error: KeyError: 'a long story")
    assert len(run.sent) < 340
    assert "in fail" in run.traceback
    assert "Traceback" not in run.sent


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(1), asyncio.CancelledError(), GeneratorExit()])
def test_a_tool_cannot_end_anything_else(script, error):
    def end() -> None:
        raise error

    @tool(serial=True)
    def end_here() -> None:
        raise error

    amber = script(calling(("end", {}), ("end_here", {})), "I see.")
    answer = amber.ask("?", tools=[end, end_here])
    assert [run.status for run in answer.tool_runs] == ["failed", "failed"]


def test_a_slow_tool_is_reported_as_still_running(script, clock):
    begun, over = threading.Event(), threading.Event()

    @tool(timeout_s=5)
    def slow() -> None:
        begun.wait(PATIENCE_S)
        clock.advance(5)
        over.wait(PATIENCE_S)

    @tool(timeout_s=5)
    async def slow_too() -> None:
        begun.set()
        await asyncio.Event().wait()

    answer = script(calling(("slow", {}), ("slow_too", {})), "I see.").ask("?", tools=[slow, slow_too])
    over.set()
    first, second = answer.tool_runs
    assert (first.status, second.status) == ("timeout", "timeout")
    assert (first.duration_s, second.duration_s) == (5, 5)
    assert first.error == "no result within 5 s; its thread cannot be stopped and is still running"
    assert second.error == "no result within 5 s"
    assert told(answer) == ["Error: no result within 5 s."] * 2


def test_a_tools_own_timeout_error_is_its_own(script):
    @tool(timeout_s=5)
    def impatient() -> None:
        raise TimeoutError("mine")

    (run,) = script(calling(("impatient", {})), "I see.").ask("?", tools=impatient).tool_runs
    assert (run.status, run.sent) == ("failed", "Error: TimeoutError: mine")


def test_the_number_of_rounds_is_limited(script):
    amber = script(calling(("add", {"a": 1, "b": 1})))
    with pytest.raises(ToolError, match="max_rounds=3") as caught:
        amber.ask("?", tools=add, max_rounds=3)
    assert len(caught.value.answer.tool_runs) == 3
    assert amber.last is caught.value.answer


def test_a_tool_without_a_function_is_returned(script):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    spec = {"type": "function", "function": {"name": "look_up", "parameters": schema}}
    amber = script(calling(("look_up", {"a": 1}), ("add", {"a": 1, "b": 2})), "Done.")
    answer = amber.ask("?", tools=[spec, add])
    assert [run.status for run in answer.tool_runs] == ["not_run", "ran"]
    assert answer.finish_reason == "tool_calls"
    assert [message["role"] for message in answer.messages] == ["user", "assistant", "tool"]
    with pytest.raises(ValueError, match="waits for the result of look_up"):
        answer.ask("And?")
    after = answer.ask([{"role": "tool", "tool_call_id": "id0", "content": "here"}])
    assert after.text == "Done."
    run = (
        script(calling(("look_up", {"a": 1})), "Done.")
        .ask("?", tools=spec, handlers={"look_up": lambda a: a})
        .tool_runs
    )
    assert run[0].result == 1


def test_handlers_without_tools_are_a_mistake(script):
    with pytest.raises(TypeError, match="handlers= belongs to tools="):
        script("Hello.").ask("?", handlers={"add": add})


def test_a_forced_choice_is_forced_once(script):
    answer = script(calling(("add", {"a": 1, "b": 1})), "Done.").ask("?", tools=add, tool_choice="required")
    assert answer.text == "Done."


def test_a_reply_cut_at_the_limit_runs_nothing(script):
    def cut():
        yield from list(calling(("add", '{"a": 1, ')))[:-2]
        yield chunk(finish="length")
        yield DONE

    answer = script(cut()).ask("?", tools=add)
    assert answer.tool_runs == []
    assert answer.finish_reason == "length"


class TestDecisions:
    """Who may decide on a call, and what becomes of it."""

    def run(self, script, policy, **options):
        entered = []

        def buy(item: str, n: int = 1) -> str:
            """Buy something."""
            entered.append((item, n))
            return f"{n} {item}"

        amber = script(calling(("buy", {"item": "tea"})), "Done.")
        answer = amber.ask("?", tools=tool(buy, **options) if options else buy, require_approval=policy)
        return answer, entered

    @pytest.mark.parametrize("yes", [True, Allow(), Allow({"item": "tea"})])
    def test_allowed(self, script, yes):
        answer, entered = self.run(script, lambda call: yes)
        assert entered == [("tea", 1)]
        (run,) = answer.tool_runs
        assert (run.status, run.edited, run.decided_by) == ("ran", False, "policy")

    @pytest.mark.parametrize(("no", "said"), [(False, ""), (Deny(), ""), (Deny("too dear"), " Reason: too dear")])
    def test_denied(self, script, no, said):
        answer, entered = self.run(script, lambda call: no)
        assert entered == []
        (run,) = answer.tool_runs
        assert (run.status, run.sent) == ("denied", f"Denied: this call was not allowed to run.{said}")

    def test_edited(self, script):
        answer, entered = self.run(script, lambda call: Allow({"item": "coffee", "n": 2}))
        assert entered == [("coffee", 2)]
        (run,) = answer.tool_runs
        assert (run.edited, run.arguments, run.proposed) == (True, {"item": "coffee", "n": 2}, {"item": "tea"})
        assert run.sent == '[The policy changed the arguments to {"item": "coffee", "n": 2}]\n2 coffee'

    def test_edited_wrongly(self, script):
        with pytest.raises(ToolError, match="the arguments that require_approval gave are wrong"):
            self.run(script, lambda call: Allow({"item": 5}))

    def test_what_a_policy_is_given(self, script):
        seen = []
        self.run(script, lambda call: seen.append(call) or True)
        assert seen == [ToolCall(id="id0", name="buy", arguments={"item": "tea"})]

    def test_a_policy_may_be_async_and_runs_on_the_cells_thread(self, script):
        threads = []

        async def policy(call):
            threads.append(threading.current_thread())
            return False

        answer, _ = self.run(script, policy)
        assert answer.tool_runs[0].status == "denied"
        self.run(script, lambda call: threads.append(threading.current_thread()) or True)
        assert threads[1] is threading.main_thread()

    @pytest.mark.parametrize("wrong", ["yes", 1, 0, (), {}])
    def test_anything_else_is_a_type_error_and_nothing_runs(self, script, wrong):
        with pytest.raises(TypeError, match="must give Allow, Deny, True, False or None"):
            self.run(script, lambda call: wrong)

    def test_a_policy_that_raises_is_raised(self, script):
        with pytest.raises(ZeroDivisionError):
            self.run(script, lambda call: 1 / 0)

    @pytest.mark.parametrize(
        ("policy", "options"), [(True, {}), (lambda call: None, {}), (False, {"require_approval": True})]
    )
    def test_with_nobody_there_it_is_an_error_before_the_call(self, script, policy, options, monkeypatch):
        monkeypatch.setattr("amber_nb.display.kernel.can_prompt", lambda: False)  # also with pytest -s
        with pytest.raises(ToolError, match="needs approval, and nobody is here") as caught:
            self.run(script, policy, **options)
        assert caught.value.answer.tool_runs[0].status == "not_run"

    def test_a_policy_decides_for_marked_tools_too(self, script):
        answer, _ = self.run(script, lambda call: True, require_approval=True)
        assert answer.tool_runs[0].status == "ran"

    @pytest.mark.parametrize("wrong", ["yes", 1, None])
    def test_require_approval_is_checked(self, script, wrong):
        with pytest.raises(TypeError, match="require_approval must be"):
            self.run(script, wrong)


def test_what_follows_inherits_the_tools(script):
    amber = script(calling(("add", {"a": 1, "b": 1})), "Two.", calling(("add", {"a": 2, "b": 2})), "Four.")
    answer = amber.ask("1 + 1?", tools=add, require_approval=lambda call: True)
    after = answer.ask("2 + 2?")
    assert after.text == "Four."
    assert [run.result for run in after.tool_runs] == [4]
    assert after.tool_runs[0].decided_by == "policy"


def test_an_interrupt_while_a_tool_runs_keeps_what_was_done(script, askings):
    over = threading.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt

    def slow() -> str:
        askings[0].inbox.put(interrupt)
        over.wait(PATIENCE_S)
        return "late"

    amber = script(calling(("slow", {})), "Done.")
    with pytest.raises(KeyboardInterrupt):
        amber.ask("?", tools=slow)
    over.set()
    (run,) = amber.last.tool_runs
    assert (run.status, run.error) == ("not_run", "stopped; its thread cannot be stopped and is still running")
    assert amber.last.complete is False


def test_an_answer_with_tools_pickles(script):
    def lock() -> object:
        return threading.Lock()

    answer = script(calling(("lock", {}), ("add", {"a": 1, "b": 2})), "Done.").ask("?", tools=[lock, add])
    back = pickle.loads(pickle.dumps(answer))
    assert [run.result for run in back.tool_runs] == [None, 3]
    assert back._repr_mimebundle_()["text/plain"] == answer._repr_mimebundle_()["text/plain"]


def test_text_of_all_rounds_is_shown_and_a_line_for_each_call(script):
    answer = script(calling(("add", {"a": 1, "b": 2}), text="Let me see."), "Three.").ask("?", tools=add)
    assert answer.text == "Three."
    assert answer._repr_mimebundle_()["text/plain"] == "add(a=1, b=2) → 3\nLet me see.\n\nThree."
