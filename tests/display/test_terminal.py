"""Answers in a terminal: written while they come, once, in their order, and without power over the terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from amber_nb.display.terminal import TerminalDisplay
from amber_nb.types import RequestSent, TextDelta, ToolProgress, ToolRun, Waiting


@pytest.fixture
def shown():
    """Makes a display that writes as soon as something has come."""

    def make(head=""):
        return TerminalDisplay(lambda write: write(), head)

    return make


def settle(display, text):
    display.settle({"text/html": "", "text/plain": text})


def test_text_is_written_as_it_comes(shown, capsys):
    display = shown()
    seen = []
    for piece in ("On ", "a quiet", " day"):
        display.handle(TextDelta(piece))
        seen.append(capsys.readouterr().out)
    settle(display, "On a quiet day\n[stopped by the reader]")
    assert seen == ["On ", "a quiet", " day"]
    assert capsys.readouterr().out == "\n[stopped by the reader]\n"


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
    terminal.say("print(); print(amber.last.text)")
    text = terminal.prompt().split("\n\n")[1].strip()
    assert shown.count(text) == 1
    terminal.say("again = await amber.ask_async('Write 25 words about tea.'); again")
    assert terminal.prompt().count(text) == 1


def test_it_streams_and_an_interrupt_keeps_what_was_written(terminal):
    terminal.say("amber.ask('Write 2000 words about tea.')")
    terminal.until(r"\n\w+ \w+ \w+")  # long before the end, so that there is something to interrupt
    os.kill(terminal.process.pid, signal.SIGINT)
    shown = terminal.prompt()
    assert "[stopped by the reader]" in shown
    assert "KeyboardInterrupt" in shown
    terminal.say("amber.last.finish_reason, amber.last.complete")
    assert "('cancelled', False)" in terminal.prompt()
