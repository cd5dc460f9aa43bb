"""Answers in a terminal: written while they come, once, in their order, and without power over the terminal."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from amber_nb.display import terminal as terminal_module
from amber_nb.display.terminal import TerminalDisplay
from amber_nb.types import RequestSent, TextDelta, ToolProgress, ToolRun, Waiting


@pytest.fixture
def shown():
    """Makes a display that writes as soon as something has come."""

    def make(head=""):
        return TerminalDisplay(lambda write: write(), head)

    return make


def settle(display, text, end=""):
    display.settle(text, end=end)


def test_text_is_written_as_it_comes(shown, capsys):
    display = shown()
    seen = []
    for piece in ("On ", "a quiet", " day"):
        display.handle(TextDelta(piece))
        seen.append(capsys.readouterr().out)
    settle(display, "On a quiet day", "[stopped by you]")
    assert seen == ["On ", "a quiet", " day"]
    assert capsys.readouterr().out == "\n[stopped by you]\n"


def test_it_is_written_in_the_thread_that_asks(capsys):
    calls = []
    display = TerminalDisplay(calls.append)
    for piece in ("On ", "a quiet"):
        display.handle(TextDelta(piece))
    assert capsys.readouterr().out == ""
    (write,) = calls  # once for both
    write()
    assert capsys.readouterr().out == "On a quiet"
    display.handle(TextDelta(" day"))
    settle(display, "On a quiet day")
    assert capsys.readouterr().out == " day\n"
    calls[1]()  # when its turn comes, all is written
    assert capsys.readouterr().out == ""


def test_a_long_wait_is_told_once(shown, capsys):
    display = shown()
    for event in (RequestSent(), Waiting(61, "the gateway is busy"), Waiting(60, "the gateway is busy"), RequestSent()):
        display.handle(event)
    display.handle(TextDelta("Here"))
    settle(display, "Here")
    assert capsys.readouterr() == ("Here\n", "amber: waiting 61 s (the gateway is busy)\n")


def test_tool_calls_are_told_in_the_order_of_the_model(shown, capsys):
    display = shown()
    for index in (1, 0):
        run = ToolRun(name=f"f{index}", arguments={}, status="ran", sent="14")
        progress = ToolProgress(index=index, round=1, name=f"f{index}", arguments="{}", state="running")
        display.handle(progress)
        display.handle(replace(progress, state="over", run=run))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("(")[0] for line in lines] == ["amber: f0", "amber: f1"]
    settle(display, "")


def tell(display, index, status="ran"):
    run = ToolRun(name=f"f{index}", arguments={}, status=status, sent="14")
    progress = ToolProgress(index=index, round=1, name=f"f{index}", arguments="{}", state="over")
    display.handle(replace(progress, run=run))
    return run


ROUNDS = "Let me look.\namber: f0() → 14\nIt will rain.\n"


def test_an_interrupt_while_it_ends_holds_up_no_other_answer(shown, monkeypatch, capsys):
    first, second = shown(), shown()
    run = ToolRun(round=1, name="f0", arguments={}, result=1, status="ok", decided_by="auto")

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal_module, "tools_text", interrupt)
    with pytest.raises(KeyboardInterrupt):
        first.settle("", runs=[run])
    second.handle(TextDelta("Rain."))
    assert capsys.readouterr().out == "Rain."
    settle(second, "Rain.")


@pytest.mark.parametrize("at_once", [True, False])
def test_an_answer_with_tools_is_written_once_and_its_calls_on_lines_of_their_own(monkeypatch, at_once):
    seen = io.StringIO()  # a terminal, which shows both
    monkeypatch.setattr(sys, "stdout", seen)
    monkeypatch.setattr(sys, "stderr", seen)
    calls = []
    display = TerminalDisplay((lambda write: write()) if at_once else calls.append)
    display.handle(TextDelta("Let me look."))
    run = tell(display, 0)
    display.handle(TextDelta("\n\n"))
    display.handle(TextDelta("It will rain."))
    display.settle("Let me look.\n\nIt will rain.", runs=[run])
    assert seen.getvalue() == ROUNDS


def test_a_call_that_was_stopped_is_told_in_the_end(shown, capsys):
    display = shown()
    display.handle(TextDelta("Let me look."))
    runs = [tell(display, 0), ToolRun(name="f1", arguments={}, status="not_run", sent="", error="stopped")]
    display.settle("Let me look.", runs=runs, end="[stopped by you]")
    out, err = capsys.readouterr()
    assert out == "Let me look.\n[stopped by you]\n"
    assert [line.partition("(")[0] for line in err.splitlines()] == ["amber: f0", "amber: f1"]


@pytest.mark.parametrize(
    ("pieces", "whole", "end", "written"),
    [
        (["Look.", "\n\n"], "Look.", "[stopped by you]", "Look.\n\n[stopped by you]\n"),
        (["Look.", "\n\n"], "Look.", "", "Look.\n\n"),
        (['{"a": 0}', "\n\n", '{"a": 1}'], '{"a": 1}', "", '{"a": 0}\n\n{"a": 1}\n'),  # corrected, as a schema wants
        (["a"], "a", "[a notice with an a]", "a\n[a notice with an a]\n"),
        ([], "I cannot.", "", "I cannot.\n"),
        (["a\r"], "a\r", "", "a␍\n"),
    ],
)
def test_no_text_is_written_twice(shown, capsys, pieces, whole, end, written):
    display = shown()
    for piece in pieces:
        display.handle(TextDelta(piece))
    settle(display, whole, end)
    assert capsys.readouterr().out == written


def test_what_another_answer_does_is_told_at_once_and_its_text_waits(shown, capsys):
    first, second = shown(), shown()
    first.handle(TextDelta("one"))
    second.handle(TextDelta("two"))
    run = tell(second, 0)
    assert capsys.readouterr() == ("one\n", "amber: f0() → 14\n")
    second.settle("two", runs=[run])
    settle(first, "one")
    assert capsys.readouterr() == ("two\n", "")


def test_what_is_sent_is_told_before_the_answer(shown, capsys):
    first, second = shown(), shown(head="photo.jpg · 9 × 9\nplot.png · 8 × 8")
    second.handle(TextDelta("2"))
    assert capsys.readouterr().out == ""
    settle(first, "1")
    settle(second, "2!")
    assert capsys.readouterr().out == "1\nphoto.jpg · 9 × 9\nplot.png · 8 × 8\n2!\n"


def test_a_second_answer_waits_for_the_first(shown, capsys):
    first, second, third = shown(), shown(), shown()
    for display, text in ((third, "3"), (second, "2"), (first, "1")):
        display.handle(TextDelta(text))
    settle(third, "3!")
    assert capsys.readouterr().out == "1"
    settle(first, "1!")
    assert capsys.readouterr().out == "!\n2"
    settle(second, "2!")
    assert capsys.readouterr().out == "!\n3!\n"


@pytest.mark.parametrize(
    ("pieces", "written"),
    [
        (["a\r", "\nb"], "a\nb\n"),
        (["a\rb"], "a␍b\n"),
        (["\x1b]0;title\x07", "\x1b[2J"], "␛]0;title␇␛[2J\n"),
        (["\x9b31m \u202eabc"], "[U+009B]31m [U+202E]abc\n"),
        (["\ud83d", "\ude00"], "\U0001f600\n"),
        (["a\ud83d", "b"], "a\ufffdb\n"),
        (["line\n"], "line\n"),
        ([], ""),
    ],
)
def test_what_is_written_cannot_act(shown, capsys, pieces, written):
    display = shown()
    for piece in pieces:
        display.handle(TextDelta(piece))
    whole = "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    settle(display, whole)
    out = capsys.readouterr().out
    out.encode()
    assert out == written


def test_what_was_not_streamed_is_written_in_the_end(shown, capsys):
    settle(shown(), "get_current_weather({})")
    assert capsys.readouterr().out == "get_current_weather({})\n"
    display = shown()
    display.handle(TextDelta("one"))
    settle(display, "another")
    assert capsys.readouterr().out == "one\nanother\n"


class Terminal:
    """An IPython on a terminal of its own."""

    def __init__(self, home):
        mine, its = pty.openpty()
        env = os.environ | {
            "AMBER_MODE": "simulate",
            "AMBER_SIM_CHUNKS_PER_S": "100",
            "IPYTHONDIR": str(home),
            "TERM": "dumb",
        }
        command = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor"]
        self.process = subprocess.Popen(
            command, stdin=its, stdout=its, stderr=its, env=env, cwd=home, start_new_session=True
        )
        os.close(its)
        self.fd = mine
        self.out = ""
        self.prompts = 0

    def say(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def until(self, pattern):
        """Read until something new that matches has come; returns what came."""
        start = len(self.out)
        while not (match := re.search(pattern, self.out[start:])):
            if not select.select([self.fd], [], [], 60)[0]:
                raise AssertionError(f"no {pattern!r} in:\n{self.out}")
            self.out += os.read(self.fd, 4096).decode().replace("\r\n", "\n")
        return self.out[start : start + match.end()]

    def prompt(self):
        """Read until IPython asks for the next input; returns what came before."""
        self.prompts += 1
        return self.until(rf"In \[{self.prompts}\]: ")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory):
    one = Terminal(tmp_path_factory.mktemp("terminal"))
    one.prompt()
    one.say("from amber_nb import Amber; amber = Amber()")
    one.prompt()
    yield one
    one.process.kill()
    one.process.wait(10)
    os.close(one.fd)


def test_in_ipython_it_is_shown_once(terminal):
    terminal.say("amber.ask('Write 25 words about tea.')")
    shown = terminal.prompt()
    assert "[simulated]\n" in shown
    assert "Out[" not in shown
    terminal.say("print(); print(amber.last.text)")
    text = terminal.prompt().split("\n\n")[1].strip()
    assert shown.count(text) == 1
    terminal.say("again = await amber.ask_async('Write 25 words about tea.'); again")
    shown = terminal.prompt()
    assert shown.count(text) == 1
    assert "Out[" not in shown


def test_in_ipython_other_values_keep_their_prompt(terminal):
    terminal.say("answer = amber.ask('Hello!'); answer.finish_reason")
    shown = terminal.prompt()
    assert shown.endswith(
        f"Hello! How can I help you today?\nOut[{terminal.prompts - 1}]: 'stop'\n\nIn [{terminal.prompts}]: "
    )
    terminal.say("answer")
    assert f"Out[{terminal.prompts}]: Hello! How can I help you today?\n" in terminal.prompt()
    terminal.say("_.finish_reason")  # and IPython has kept it all the same
    assert f"Out[{terminal.prompts}]: 'stop'\n" in terminal.prompt()


def test_in_ipython_a_tool_is_asked_about_and_told_once(terminal):
    terminal.say("from amber_nb import tool")
    terminal.prompt()
    terminal.say("@tool(read_only=False)\ndef get_current_weather(location: str, unit: str = 'celsius'): return 14\n")
    terminal.prompt()
    terminal.say("amber.ask('What is the weather like in Aachen?', tools=get_current_weather, require_approval=True)")
    asked = terminal.until(r"Allow\? .*JSON: ")
    assert "This tool says that it changes things." in asked
    terminal.say("y")
    shown = terminal.prompt()
    assert shown.count("amber: get_current_weather(") == 1
    assert "Out[" not in shown
    terminal.say("print(); print(amber.last.text)")
    text = terminal.prompt().split("\n\n")[1].strip()
    assert shown.count(text) == 1


def test_it_streams_and_an_interrupt_keeps_what_was_written(terminal):
    terminal.say("amber.ask('Write 2000 words about tea.')")
    terminal.until(r"\n\w+ \w+ \w+")  # long before the end, so that there is something to interrupt
    os.kill(terminal.process.pid, signal.SIGINT)
    shown = terminal.prompt()
    assert "[stopped by you]" in shown
    assert "KeyboardInterrupt" in shown
    terminal.say("amber.last.finish_reason, amber.last.complete")
    assert "('cancelled', False)" in terminal.prompt()
