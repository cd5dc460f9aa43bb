"""What readers see of an MCP server: its questions, warnings and errors, and the methods that they use themselves."""

import asyncio
import sys
import warnings
from pathlib import Path

import pytest
from scripted import calling

from amber_nb import mcp
from amber_nb.chat.approval import ApprovalPrompt
from amber_nb.mcp_servers.calls import SilenceLimit, limit_silence

ASKING = str(Path(__file__).parent / "programs" / "asking.py")


def look(what: str) -> str:
    """Look at something."""
    return f"seen: {what}"


def send(text: str) -> str:
    """Send a text."""
    return "sent"


@pytest.fixture
def mcp_process():
    """Makes a server of a program; all are closed at the end."""
    servers = []

    def make(program, **options):
        servers.append(mcp(sys.executable, program, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


class Reader:
    """A listener that notes what it hears, and gives these answers."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked, self.notes = [], []

    def report(self, note):
        self.notes.append(note)

    async def ask_reader(self, message, schema):
        self.asked.append(message)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class TestQuestions:
    def ask(self, reader, n):
        async def ask():
            answers = []
            async with limit_silence(60, reader) as limit:
                for number in range(n):
                    try:
                        answers.append(await limit.ask_reader(str(number), {}))
                    except TimeoutError:
                        answers.append("timeout")
            return answers

        return asyncio.run(ask())

    def test_five_are_asked_in_one_call(self):
        reader = Reader({"a": 1})
        assert self.ask(reader, 7) == [{"a": 1}] * 5 + [None] * 2
        assert reader.asked == ["0", "1", "2", "3", "4"]
        assert reader.notes == ["it asked again, which was declined"] * 2

    @pytest.mark.parametrize(("refusal", "said"), [(None, None), (TimeoutError(), "timeout")])
    def test_none_is_asked_after_a_refusal(self, refusal, said):
        reader = Reader({"a": 1}, refusal, {"a": 2})
        assert self.ask(reader, 4) == [{"a": 1}, said, None, None]
        assert reader.asked == ["0", "1"]

    def test_those_that_are_declined_do_not_put_off_the_limit(self, clock):
        async def ask():
            async with limit_silence(60, Reader(None)) as limit:
                await limit.ask_reader("?", {})
                for _ in range(20):
                    clock.advance(30)
                    await limit.ask_reader("?", {})
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)

        with pytest.raises(TimeoutError):
            asyncio.run(ask())

    def test_one_that_may_be_of_another_call_is_declined(self, script, mcp_process, monkeypatch):
        """The server asks once two calls run, and says not which of them it is about."""
        asked, notes = [], []
        monkeypatch.setattr(SilenceLimit, "report", lambda self, note: notes.append(note))

        async def request_input(self, question, call, index):
            asked.append(call.arguments)
            raise AssertionError("nobody is to be asked")

        monkeypatch.setattr(ApprovalPrompt, "request_input", request_input)
        server = mcp_process(ASKING, require_approval=False)
        amber = script(calling(("wait", {"who": "alice"}, "a"), ("wait", {"who": "bob"}, "b")), "Done.")
        answer = amber.ask("?", tools=server)
        assert [run.status for run in answer.tool_runs] == ["ran", "ran"]
        assert [run.sent for run in answer.tool_runs] == ["decline", "decline"]
        assert asked == []
        assert notes == ["the server asked a question, which was declined: it cannot be told which call it is of"] * 2


class TestWarnings:
    @pytest.mark.parametrize("record", [False, True])
    def test_each_change_of_the_list_is_said(self, script, serve_here, tmp_path, record):
        server = serve_here(look)
        amber = script("Yes.", **({"mode": "record", "cassette": tmp_path / "tape.jsonl"} if record else {}))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")  # which shows an equal warning of an equal line once
            for at in range(4):
                amber.ask("?", tools=server)
                inner = server._target.server
                inner.remove_tool("send") if at % 2 else inner.add_tool(send)
            amber.ask("?", tools=server)
        said = [str(each.message) for each in caught]
        assert [text.partition(" than before: ")[2] for text in said] == ["new: send", "gone: send"] * 2
        assert said[0].startswith("amber: the MCP server 'helper' lists other tools")
        assert {each.filename for each in caught} == {"<amber>"}  # no line of ours is shown with it
