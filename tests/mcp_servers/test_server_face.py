"""What readers see of an MCP server: its questions, warnings and errors, and the methods that they use themselves."""

import asyncio
import copy
import pickle
import sys
import warnings
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError as FailedTool
from scripted import calling

from amber_nb import Allow, Amber, ConfigError, ToolError, mcp
from amber_nb.cassettes import session
from amber_nb.chat.approval import ApprovalPrompt
from amber_nb.mcp_servers import McpServers, PromptMessages
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

    def test_two_whose_calls_can_be_told_are_both_asked(self, script, start, monkeypatch):
        """As they can in the protocol of 2026, where a question is the answer to its call."""
        asked, both = [], asyncio.Event()

        async def request_input(self, question, call, index):
            asked.append(index)
            if len(asked) == 2:
                both.set()
            await both.wait()
            return Allow({"colour": "red"})

        monkeypatch.setattr(ApprovalPrompt, "request_input", request_input)
        server = start(require_approval=False)
        with pytest.raises(ToolError):
            server.call("choose_by_result")  # after which the server is asked by the newest protocol
        amber = script(calling(("choose", {}, "a"), ("choose", {}, "b")), "Done.")
        answer = amber.ask("?", tools=server)
        assert [run.sent for run in answer.tool_runs] == ["accept red"] * 2
        assert sorted(asked) == [0, 1]


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


class TestErrors:
    def test_a_servers_words_act_on_no_terminal(self, script, serve_here):
        def fail() -> str:
            raise FailedTool("\x1b]0;mine\x07red\u202e" + "x" * 5_000)

        server = serve_here(fail)
        server._target.server.add_tool(look, name="evil\u202e\x1b[31m")
        with pytest.raises(ToolError) as failed:
            server.call("fail")
        with pytest.raises(ConfigError) as chosen:
            script("Never.").ask("?", tools=server.select(only="other"))
        for error in (failed, chosen):
            assert not any(sign in str(error.value) for sign in ("\x1b", "\x07", "\u202e"))
            assert len(str(error.value)) < 2_200
        assert "␛]0;mine" in str(failed.value)
        assert "evil[U+202E]␛[31m" in str(chosen.value)

    def test_a_server_that_cannot_be_reached_is_shown_in_a_sentence(self, serve_here):
        lost = mcp("no-such-<command>")
        bundle = lost._repr_mimebundle_()
        assert bundle["text/plain"].endswith("cannot be started: there is no command 'no-such-<command>'.")
        assert "&lt;command&gt;" in bundle["text/html"]
        assert "<command>" not in bundle["text/html"]
        both = McpServers([lost, serve_here(look)])._repr_mimebundle_()
        for form in ("text/html", "text/plain"):
            assert "cannot be started" in both[form]
            assert "Look at something." in both[form]

    def test_a_replay_without_a_listing_is_shown_in_a_sentence(self, tmp_path, monkeypatch):
        monkeypatch.setattr(session, "_newest", None)  # whose recordings are those of all servers; put back at the end
        tape = tmp_path / "tape.jsonl"
        tape.write_text('{"amber_cassette": 1}\n')
        server = Amber(mode="replay", cassette=tape, domain="acme").mcp
        assert "tape.jsonl" in server._repr_mimebundle_()["text/plain"]

    def test_arguments_by_position(self, serve_here):
        server = serve_here(look)
        with pytest.raises(TypeError, match=r"given by their names, as in call\('look', query=…\).* not as str"):
            server.call("look", "ACME")
        with pytest.raises(TypeError, match="given by their names"):
            asyncio.run(server.call_async("look", ["ACME"]))

    def test_a_name_with_a_slip(self, serve_here):
        server = serve_here(look, send)
        with pytest.raises(ToolError) as unlisted:
            server.call("lok", what="a")
        assert "there is" not in str(unlisted.value)  # nothing is listed for it
        server.tools()
        with pytest.raises(ToolError, match=r"No tool has this name; there is look\."):
            server.call("lok", what="a")
        with pytest.raises(ToolError) as other:
            server.call("look")
        assert "No tool" not in str(other.value)

    @pytest.mark.parametrize("argument", ["only", "exclude"])
    def test_a_pattern_without_a_tool(self, script, serve_here, argument):
        server = serve_here(look)
        with pytest.raises(ConfigError, match=f"{argument}='write_\\*': .* has no such tool. It has: look."):
            script("Never.").ask("?", tools=server.select(**{argument: "write_*"}))

    def test_half_a_character_in_an_argument(self, serve_here, start):
        assert serve_here(look).call("look", what="a\ud83d").text == "seen: a\ufffd"
        assert start().call("hits", {"query": "a\ud83d"})  # over a pipe

    def test_it_names_the_method_that_can_be_awaited(self, serve_here, script):
        server = serve_here(look)

        async def ask_again() -> str:
            """Ask again."""
            with pytest.raises(RuntimeError, match=r"as `await server\.call_async\(…\)`"):
                server.tools()
            return (await server.call_async("look", what="a")).text

        answer = script(calling(("ask_again", {})), "Done.").ask("?", tools=ask_again)
        assert answer.tool_runs[0].result == "seen: a"


class TestSelect:
    @pytest.mark.parametrize(
        "wrong", [{"prefix": 3}, {"require_approval": "no"}, {"only": [1]}, {"only": 3}, {"exclude": [None]}]
    )
    def test_it_checks_what_mcp_checks(self, wrong):
        with pytest.raises(TypeError):
            mcp("npx", **wrong)
        with pytest.raises(TypeError):
            mcp("npx").select(**wrong)

    def test_none_is_the_default_of_require_approval_again(self):
        free = mcp("npx", require_approval=False, only="a", prefix="p_")
        assert free.select(only="b").options.require_approval is False
        assert free.select(require_approval=None).options.require_approval is None
        assert free.select(prefix="", exclude="c").options.prefix == ""
        assert free.select(exclude="c").options.only == ("a",)


def test_completion_shows_what_is_the_readers():
    server = mcp("npx")
    shell = InteractiveShell()
    try:
        shell.user_ns.update(files=server)
        shell.Completer.use_jedi = True  # as in a kernel; without it IPython adds all names of the class
        with provisionalcompleter():
            found = [each.text.removeprefix("files").lstrip(".") for each in shell.Completer.completions("files.", 6)]
    finally:
        shell.restore_sys_module_state()
    asking = ("call", "prompt", "prompts", "read", "resources", "tools")
    readers = sorted(["close", "name", "select", "stderr", *asking, *(f"{name}_async" for name in asking)])
    for names in (found, dir(server)):
        assert sorted(name for name in names if not name.startswith("_")) == readers


class TestPromptMessages:
    def test_a_prompt_knows_whose_it_is(self, script):
        inner = MCPServer("helper")

        @inner.prompt()
        def brief(topic: str) -> str:
            return f"Tell me of {topic}."

        server = mcp(inner)
        messages = server.prompt("brief", topic="ACME")
        assert messages == [{"role": "user", "content": "Tell me of ACME."}]
        more = [{"role": "user", "content": "Briefly."}]
        for each in (messages, more + messages, messages + more, messages[:1], messages.copy(), copy.copy(messages)):
            assert isinstance(each, PromptMessages)
            assert (each.server, each.group) == ("helper", server.key)
        assert more + messages == [*more, *messages]
        assert messages[0]["content"] == "Tell me of ACME."
        kept = pickle.loads(pickle.dumps(messages))
        assert (kept, kept.group) == (messages, server.key)
        assert script("Done.").ask(messages).text == "Done."
        server.close()
