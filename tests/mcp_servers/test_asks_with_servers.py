"""An ask with the tools of MCP servers: which calls ask the reader, what comes of them, and what is replayed."""

import asyncio
import gc
import os
import pickle
import signal
import sys
import threading
import warnings
from dataclasses import replace

import pytest
from patience import until
from scripted import calling
from small_tools import LOOK, look, send

from amber_nb import Amber, CassetteMiss, ConfigError, Deny, ToolError, mcp
from amber_nb.cassettes.file import Cassette
from amber_nb.chat.tool_calls import ToolRunner
from amber_nb.types import SourcesFound, ToolProgress


@pytest.fixture
def events(monkeypatch):
    """The events of tools."""
    told = []

    class Recorder(ToolRunner):
        def __init__(self, *arguments):
            super().__init__(*arguments[:-1], told.append)

    monkeypatch.setattr("amber_nb.chat.ask.ToolRunner", Recorder)
    return told


class TestListings:
    def test_a_list_that_changes_between_two_asks_is_said(self, script, serve_here, reader):
        server = serve_here(look)
        amber = script("One.", "Two.")
        amber.ask("?", tools=server)
        server._target.server.add_tool(send)
        with pytest.warns(RuntimeWarning, match=r"amber: the MCP server 'helper' lists other tools.*: new: send"):
            amber.ask("?", tools=server)

    def test_too_many_tools_name_only(self, script, serve_here):
        def make(number):
            def tool() -> str:
                return ""

            tool.__name__ = f"tool_{number}"
            return tool

        server = serve_here(*map(make, range(130)))
        with pytest.raises(ConfigError, match=r"130 tools are offered, and a request takes 128. Choose with only="):
            script("Never.").ask("?", tools=server)
        assert script("Fine.").ask("?", tools=server.select(only="tool_1*")).text == "Fine."

    def test_only_must_name_a_tool(self, script, serve_here):
        with pytest.raises(ConfigError, match=r"only='lock'.*It has: look"):
            script("Never.").ask("?", tools=serve_here(look, only="lock"))

    def test_a_server_that_is_not_there_ends_the_ask_before_anything_is_sent(self, script):
        amber = script("Never.")
        with pytest.raises(ToolError, match="there is no command 'no-such-command'"):
            amber.ask("?", tools=mcp("no-such-command"))
        assert len(amber.usage_log) == 0

    @pytest.mark.parametrize("use", [lambda amber: amber.ask("q", tools=amber.mcp), lambda amber: amber.mcp.tools()])
    def test_without_the_extra_it_is_named(self, monkeypatch, use):
        def fail(*_):
            raise ModuleNotFoundError("No module named 'mcp'")

        monkeypatch.setattr("amber_nb.mcp_servers.Connection", fail)
        with pytest.raises(ConfigError, match=r"pip install 'amber_nb\[mcp\]'"):
            use(Amber(mode="simulate"))
        gc.collect()  # a coroutine that was never awaited would say so now

    def test_repr_connects_to_nothing(self, start):
        server = start()
        assert repr(server) == "McpServer('toolbox')"
        assert server._requests.opened == []
        shown = server._repr_mimebundle_()
        assert "MCP server toolbox: 15 tools" in shown["text/plain"]
        assert "<code>echo</code>" in shown["text/html"]
        assert repr(server) == shown["text/plain"]
        frame = server.tools()
        assert list(frame.columns) == ["name", "description", "read_only", "destructive", "parameters"]
        assert frame.set_index("name")["read_only"].to_dict()["echo"]


class TestResults:
    def test_a_search_has_sources_a_table_and_records(self, script, start):
        server = start(require_approval=False)
        answer = script(calling(("hits", {"query": "ACME"})), "Found.").ask("?", tools=server)
        (run,) = answer.tool_runs
        assert run.result["hits"][0]["title"] == "About ACME"
        assert run.content.table[0] == ("title", "url", "snippet")
        assert [(source.title, source.url) for source in answer.sources] == [
            ("About ACME", "https://wiki.example.com/a")
        ]
        assert "https://wiki.example.com/a" in answer.to_html()
        assert answer.tools_frame()["server"].tolist() == ["toolbox"]

    @pytest.mark.parametrize(("mode", "is_timed"), [("simulate", False), ("replay", False), ("live", True)])
    def test_a_time_is_shown_only_of_a_gateway(self, script, serve_here, mode, is_timed):
        answer = script(calling(LOOK), "done").ask("q", tools=serve_here(look, require_approval=False))
        runs = [replace(run, duration_s=1.5) for run in answer.tool_runs]
        html = replace(answer, _mode=mode, _tool_runs=runs)._repr_mimebundle_()["text/html"]
        assert ("1.50 s" in html) == is_timed

    def test_a_picture_goes_to_the_model(self, script, start):
        answer = script(calling(("picture", {})), "Red.").ask("?", tools=start(require_approval=False))
        parts = answer.messages[3]["content"]
        assert parts[0]["text"] == "The picture that picture gave:"
        assert parts[1]["type"] == "image_url"

    @pytest.mark.parametrize(
        ("call", "status", "words"),
        [
            (("fail", {}), "failed", "Error executing tool fail"),
            (("echo", {"txt": "a"}), "invalid", "text: is missing"),
            (("die", {}), "failed", "The MCP server 'toolbox' ended."),
        ],
    )
    def test_a_failure_costs_its_call(self, script, start, call, status, words):
        server = start(require_approval=False)
        answer = script(calling(call), calling(("echo", {"text": "still here"})), "Done.").ask("?", tools=server)
        first, second = answer.tool_runs
        assert (first.status, second.status, second.result) == (status, "ran", "still here")
        assert words in (first.error or "")
        if call[0] == "die":
            assert "last words" in first.error
            assert "last words" not in first.sent

    def test_a_server_that_hangs_costs_its_call_and_is_told(self, script, start):
        server = start(require_approval=False, timeout_s=0.3)
        answer = script(calling(("hang", {})), "Done.").ask("?", tools=server)
        assert answer.tool_runs[0].status == "timeout"
        until(lambda: "was cancelled" in server.stderr)

    def test_progress_is_shown_and_is_no_silence(self, script, start, events):
        server = start(require_approval=False)
        answer = script(calling(("count", {"to": 3})), "Done.").ask("?", tools=server)
        assert answer.tool_runs[0].result == "counted to 3"
        notes = [event.note for event in events if isinstance(event, ToolProgress)]
        assert "3 of 3: at 3" in notes or "2 of 3: at 2" in notes or "1 of 3: at 1" in notes

    def test_sources_are_told_while_the_answer_is_under_way(self, script, start, events):
        script(calling(("hits", {"query": "ACME"})), "Found.").ask("?", tools=start(require_approval=False))
        (found,) = [event for event in events if isinstance(event, SourcesFound)]
        assert found.sources[0].title == "About ACME"


class TestQuestions:
    """What a server asks while its tool runs."""

    @pytest.fixture(params=["choose", "choose_in_handshake_era"])
    def tool(self, request):
        return request.param

    def test_the_reader_answers(self, script, start, reader, tool):
        answer = script(calling((tool, {})), "Done.").ask("?", tools=start(require_approval=False))
        ((question, call),) = reader.inputs
        assert (question.server, question.message, call.name) == ("toolbox", "Which colour?", tool)
        assert "colour" in question.schema["properties"]
        assert answer.tool_runs[0].result == "accept red"

    def test_the_reader_refuses(self, script, start, reader, tool):
        reader.answer = Deny("no")
        answer = script(calling((tool, {})), "Done.").ask("?", tools=start(require_approval=False))
        assert answer.tool_runs[0].result == "decline"

    @pytest.mark.parametrize("name", ["choose_by_result", "choose_by_result_as_fastmcp"])
    def test_a_tool_that_asks_by_its_result_runs_with_the_next_call(self, start, script, reader, name):
        """The error may be another fault, after which nothing may run a second time unasked."""
        calls = [calling((name, {})) for _ in range(2)]
        answer = script(*calls, "Done.").ask("?", tools=start(require_approval=False))
        first, second = answer.tool_runs
        assert (first.status, second.status, second.result) == ("failed", "ran", "accept red")
        assert first.error.endswith("Call it again: the newest protocol is used from now on.")
        assert len(reader.inputs) == 1

    def test_a_server_that_asks_without_end_costs_its_call(self, start, script, reader):
        calls = [calling(("choose_by_result", {})), calling(("ask_without_end", {})), calling(("echo", {"text": "a"}))]
        answer = script(*calls, "Done.").ask("?", tools=start(require_approval=False))
        assert [run.status for run in answer.tool_runs] == ["failed", "failed", "ran"]
        assert "asked without end in one call" in answer.tool_runs[1].error

    def test_without_a_reader_it_is_declined(self, script, start, tool):
        answer = script(calling((tool, {})), "Done.").ask("?", tools=start(require_approval=False))
        assert answer.tool_runs[0].result == "decline"


class TestReplay:
    """A recording answers without the server."""

    def record(self, script, tape, server):
        amber = script(calling(("hits", {"query": "ACME"})), "Found.", mode="record", cassette=tape)
        with pytest.warns(RuntimeWarning, match="toolbox"):
            return amber.ask("?", tools=server)

    def test_it_needs_no_server(self, script, start, tmp_path):
        tape = tmp_path / "tape.jsonl"
        then = self.record(script, tape, start(require_approval=False))
        server = start()
        now = Amber(mode="replay", cassette=tape).ask("?", tools=server)
        assert server._requests.opened == []
        assert (now.text, now.messages, now.sources) == (then.text, then.messages, then.sources)
        assert now.tool_runs[0].result == then.tool_runs[0].result
        assert now.tool_runs[0].content.table == then.tool_runs[0].content.table
        assert "https://wiki.example.com/a" in now.to_html()

    def test_direct_calls_are_recorded_too(self, start, tmp_path, gateway):
        tape = tmp_path / "tape.jsonl"
        keep = Amber(base_url=gateway.base_url, api_key="ambrs-exampletoken", mode="record", cassette=tape)
        live = start()
        with pytest.warns(RuntimeWarning, match="toolbox"):
            then = [live.call("hits", query="ACME").value, live.read("notes://today"), live.prompt("brief", topic="a")]
        listed = live.tools()
        keep.close()
        again = Amber(mode="replay", cassette=tape)
        dead = start()
        now = [dead.call("hits", query="ACME").value, dead.read("notes://today"), dead.prompt("brief", topic="a")]
        assert now == then
        assert dead.tools().equals(listed)
        assert dead._requests.opened == []
        with pytest.raises(CassetteMiss, match="hits"):
            dead.call("hits", query="another")
        del again

    @pytest.mark.filterwarnings("ignore:amber. what the MCP server")
    def test_an_error_of_the_protocol_is_recorded_as_an_answer_is(self, start, script, tmp_path):
        tape = tmp_path / "tape.jsonl"
        keep = script(calling(("choose_by_result", {})), "Done.", mode="record", cassette=tape)
        live = start(require_approval=False)
        words = []
        for use in (lambda: live.read("notes://none"), lambda: live.prompt("none")):
            with pytest.raises(ToolError) as said:
                use()
            words.append(str(said.value))
        then = keep.ask("?", tools=live)
        with pytest.warns(RuntimeWarning, match="asked something during choose_by_result, which was declined"):
            live.call("choose_by_result")
        keep.close()
        assert then.tool_runs[0].status == "failed"
        again = Amber(mode="replay", cassette=tape)
        dead = start()
        for use, said in zip((lambda: dead.read("notes://none"), lambda: dead.prompt("none")), words, strict=True):
            with pytest.raises(ToolError) as caught:
                use()
            assert str(caught.value) == said
        now = again.ask("?", tools=dead)
        assert now.tool_runs[0].error == then.tool_runs[0].error
        assert dead.call("choose_by_result").text == "decline"
        assert dead._requests.opened == []
        assert again._session.unused == []

    def test_a_result_that_tells_of_a_failure_is_used_by_its_replay(self, start, script, tmp_path):
        tape = tmp_path / "tape.jsonl"
        keep = script(calling(("fail", {})), "Done.", mode="record", cassette=tape)
        with pytest.warns(RuntimeWarning, match="toolbox"):
            keep.ask("?", tools=start(require_approval=False))
        keep.close()
        again = Amber(mode="replay", cassette=tape)
        assert again.ask("?", tools=start()).tool_runs[0].status == "failed"
        assert again._session.unused == []

    def test_the_server_may_be_asked(self, script, start, tmp_path, monkeypatch):
        tape = tmp_path / "tape.jsonl"
        self.record(script, tape, start(require_approval=False))
        monkeypatch.setenv("AMBER_REPLAY_TOOLS", "run")
        server = start(require_approval=False)
        assert Amber(mode="replay", cassette=tape).ask("?", tools=server).text == "Found."
        assert server._requests.opened[0].opened == 1


class TestRecordings:
    """What of a server is recorded, and what is not asked again."""

    @pytest.mark.filterwarnings("ignore:amber. what the MCP server")
    def test_a_list_in_the_middle_of_an_ask_is_not_recorded(self, script, serve_here, reader, tmp_path):
        where = tmp_path / "talk.jsonl"
        for mode in ("record", "replay"):
            server = serve_here(look)
            inner = server._target.server

            def change_it(call, server=server, inner=inner):
                inner.remove_tool("look")
                inner.add_tool(look, description="Look at something else.")
                server._requests.opened[0]._link.changes += 1  # as its notification does
                return True

            amber = script(calling(LOOK), calling(LOOK), "One.", "Two.", mode=mode, cassette=where)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                answers = [amber.ask(prompt, tools=server, require_approval=change_it).text for prompt in "ab"]
            assert answers == ["One.", "Two."]
            assert any("lists other tools" in str(each.message) for each in caught)
        assert [old.request.path for old in Cassette(where).interactions].count("/tools/list") == 2

    @pytest.mark.filterwarnings("ignore:amber. what the MCP server")
    def test_a_cache_that_holds_all_opens_no_connection(self, script, serve_here, reader, tmp_path):
        for _ in range(2):
            server = serve_here(look)
            amber = script(calling(LOOK), "One.", mode="cache", cassette=tmp_path / "talk.jsonl")
            assert amber.ask("?", tools=server).text == "One."
        assert server._requests.opened[0].opened == 0


class TestLife:
    """One connection, whoever asks; it is opened anew where it broke, and nothing is left of it."""

    def test_sync_and_async_share_one_connection(self, script, start):
        server = start(require_approval=False)
        amber = script(*[reply for _ in range(6) for reply in (calling(("process_id", {})), "Done.")])
        pids = [amber.ask("?", tools=server).tool_runs[0].result]

        async def ask():
            return (await amber.ask_async("?", tools=server)).tool_runs[0].result

        pids += [asyncio.run(ask()), asyncio.run(ask())]  # each in an event loop of its own
        assert len(set(pids)) == 1
        assert server._requests.opened[0].opened == 1

    def test_the_next_ask_works_after_a_kill(self, script, start):
        server = start(require_approval=False)
        first = server.call("process_id").value
        os.kill(first, signal.SIGKILL)
        amber = script(calling(("process_id", {})), "Done.")
        assert amber.ask("?", tools=server).tool_runs[0].result not in (None, first)

    def test_a_stop_ends_the_call_and_tells_the_server(self, script, start):
        server = start(require_approval=False)
        amber = script(calling(("hang", {})), "Done.")

        async def stop():
            task = asyncio.ensure_future(amber.ask_async("?", tools=server))
            while "hangs" not in server.stderr:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(asyncio.wait_for(stop(), 30))
        until(lambda: "was cancelled" in server.stderr)
        assert server.call("echo", text="on").text == "on"

    def test_nothing_is_left(self, start):
        before = {thread.name for thread in threading.enumerate()}
        server = start()
        pid = server.call("process_id").value
        server.close()
        until(lambda: not _exists(pid))
        until(lambda: {thread.name for thread in threading.enumerate()} - before <= {"amber-loop", "asyncio_0"})

    def test_a_server_that_nothing_refers_to_is_closed(self, start):
        server = mcp(sys.executable, start()._target.command[1])
        pid = server.call("process_id").value
        del server
        gc.collect()
        until(lambda: not _exists(pid))

    def test_a_selection_shares_the_connection(self, start):
        server = start()
        assert server.call("process_id").value == server.select(only="echo").call("process_id").value

    def test_the_process_gets_no_setting_of_ours(self, start, monkeypatch):
        monkeypatch.setenv("AMBER_API_KEY", "ambrs-exampletoken")
        monkeypatch.setenv("AWS_SECRET", "x")
        environment = start(env={"MINE": "yes"}).call("environment").value
        assert environment["MINE"] == "yes"
        assert not [name for name in environment if name.startswith(("AMBER", "AWS"))]

    def test_an_answer_pickles(self, script, start):
        answer = script(calling(("hits", {"query": "ACME"})), "Found.").ask("?", tools=start(require_approval=False))
        again = pickle.loads(pickle.dumps(answer))
        assert (again.sources, again.tool_runs[0].server) == (answer.sources, "toolbox")


def _exists(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split(")")[1].split()[0] != "Z"
    except OSError:
        return False
