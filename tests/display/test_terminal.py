"""Answers in a terminal: written while they come, once, in their order, and without power over the terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys

import pytest

from amber_nb.display.terminal import TextStage


def settled(stage, text):
    stage.settle({"text/html": "", "text/plain": text})


def test_text_is_written_as_it_comes(capsys):
    stage = TextStage()
    seen = []
    for piece in ("On ", "a quiet", " day"):
        stage.feed(piece)
        stage.tick()
        seen.append(capsys.readouterr().out)
    settled(stage, "On a quiet day\n[stopped by the reader]")
    assert seen == ["On ", "a quiet", " day"]
    assert capsys.readouterr().out == "\n[stopped by the reader]\n"


def test_a_long_wait_is_told_once(capsys):
    stage = TextStage()
    for activity in ("", "waiting 61 s (the gateway is busy)", "waiting 60 s (the gateway is busy)", ""):
        stage.tick(activity)
    stage.feed("Here")
    settled(stage, "Here")
    assert capsys.readouterr() == ("Here\n", "amber: waiting 61 s (the gateway is busy)\n")


def test_what_is_sent_is_told_before_the_answer(capsys):
    first, second = TextStage(), TextStage(head="photo.jpg · 9 × 9\nplot.png · 8 × 8")
    second.feed("2")
    second.tick()
    assert capsys.readouterr().out == ""
    settled(first, "1")
    second.tick()
    settled(second, "2!")
    assert capsys.readouterr().out == "1\nphoto.jpg · 9 × 9\nplot.png · 8 × 8\n2!\n"


def test_a_second_answer_waits_for_the_first(capsys):
    first, second, third = TextStage(), TextStage(), TextStage()
    for stage, text in ((third, "3"), (second, "2"), (first, "1")):
        stage.feed(text)
        stage.tick()
    settled(third, "3!")
    assert capsys.readouterr().out == "1"
    settled(first, "1!")
    assert capsys.readouterr().out == "!\n"
    second.tick()
    assert capsys.readouterr().out == "2"
    settled(second, "2!")
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
def test_what_is_written_cannot_act(capsys, pieces, written):
    stage = TextStage()
    for piece in pieces:
        stage.feed(piece)
        stage.tick()
    whole = "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    settled(stage, whole)
    out = capsys.readouterr().out
    out.encode()
    assert out == written


def test_what_was_not_streamed_is_written_in_the_end(capsys):
    stage = TextStage()
    settled(stage, "get_current_weather({})")
    assert capsys.readouterr().out == "get_current_weather({})\n"
    stage = TextStage()
    stage.feed("one")
    stage.tick()
    settled(stage, "another")
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
