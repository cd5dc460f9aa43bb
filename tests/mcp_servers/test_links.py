"""A connection under way: calls beside each other, errors that end it or do not, and its end."""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import httpx2
import mcp_types
import psutil
import pytest
from mcp import MCPError
from patience import until
from scripted import calling
from small_tools import LOOK, look
from test_odd_servers import serve_json

from amber_nb import Amber, Deny, ToolError, mcp
from amber_nb.cassettes.file import Cassette
from amber_nb.errors import ProtocolError
from amber_nb.mcp_servers.connection import Connection
from amber_nb.mcp_servers.failures import describe_failure, is_answer, is_closed
from amber_nb.mcp_servers.http import REFUSED, UNREACHABLE, UNUSABLE
from amber_nb.mcp_servers.requests import ServerRequests
from amber_nb.mcp_servers.target import Target
from amber_nb.wire import event_loop

UNRULY = str(Path(__file__).parent / "programs" / "unruly.py")
NEVER_READY = ("-c", "import sys; sys.stdin.read()")  # until its input ends
FINE = {"content": [{"type": "text", "text": "fine"}]}
AGAIN = "Call it again: the newest protocol is used from now on."
BY_RESULT = "Tool 'x' returned an InputRequiredResult to request client input, but …"


def wait_for(coroutine):
    return event_loop.wait(event_loop.submit(coroutine))


def link_of(server):
    return server._requests.opened[0]._link


class TestErrorsOfOneCall:
    def test_they_end_no_other_call(self, serve_here):
        began, may_end, results = threading.Event(), threading.Event(), []

        async def slow() -> str:
            began.set()
            while not may_end.is_set():
                await asyncio.sleep(0)
            return "done"

        async def fail() -> str:
            raise MCPError(mcp_types.INTERNAL_ERROR, "Handler returned an invalid result")

        server = serve_here(slow, fail, look)
        thread = threading.Thread(target=lambda: results.append(server.call("slow").text))
        thread.start()
        began.wait(20)
        link = link_of(server)
        with pytest.raises(ToolError, match=AGAIN):
            server.call("fail")
        assert server.call(*LOOK).text == look("a")
        assert server._requests.opened[0].opened == 2
        assert not link.is_over
        may_end.set()
        thread.join(20)
        assert results == ["done"]
        until(lambda: link.is_over)  # once nobody needs it any more

    def test_closing_ends_calls_of_a_connection_that_was_given_up(self, serve_here):
        began, results = threading.Event(), []

        async def hang() -> str:
            began.set()
            await asyncio.Event().wait()
            return ""

        async def fail() -> str:
            raise MCPError(mcp_types.INTERNAL_ERROR, "Handler returned an invalid result")

        def call():
            with pytest.raises(ToolError, match="ended the connection"):
                server.call("hang")
            results.append("ended")

        server = serve_here(hang, fail)
        thread = threading.Thread(target=call)
        thread.start()
        began.wait(20)
        with pytest.raises(ToolError):
            server.call("fail")
        server.close()
        thread.join(20)
        assert results == ["ended"]

    @pytest.mark.parametrize(
        ("code", "words", "is_other_protocol"),
        [
            (-32000, f"booked, but: {BY_RESULT}", False),
            (mcp_types.INVALID_PARAMS, "the InputRequiredResult could not be sent", False),
            (mcp_types.INVALID_PARAMS, BY_RESULT, True),
            (mcp_types.INTERNAL_ERROR, "Handler returned an invalid result", True),
        ],
    )
    def test_no_words_of_an_error_run_a_call_again(self, serve_here, code, words, is_other_protocol):
        ran = []

        async def book() -> str:
            ran.append(1)
            raise MCPError(code, words)

        server = serve_here(book)
        with pytest.raises(ToolError, match="answered with an error") as caught:
            server.call("book")
        assert len(ran) == 1
        assert str(caught.value).endswith(AGAIN) == is_other_protocol
        with pytest.raises(ToolError):
            server.call("book")
        assert server._requests.opened[0].opened == 1 + is_other_protocol


class TestChangedTools:
    """Before each call it is known whether the server defines the tool as it was offered."""

    @pytest.fixture
    def changed(self, serve_here):
        """A server that has changed its tool since it was listed, and says so; and the tool."""
        server = serve_here(look, require_approval=False)
        (tool,) = wait_for(server.list_tools(None))
        self.change(server)
        return server, tool

    def change(self, server):
        inner = server._target.server
        inner.remove_tool("look")
        inner.add_tool(look, description="Look at something else.")
        link_of(server).changes += 1  # as its notification does

    @pytest.fixture
    def fail_once(self, monkeypatch):
        """Has the next listing fail with an error."""

        def fail(error):
            errors, pages = [error], ServerRequests._pages

            async def fail_first(self, field, ask):
                if errors:
                    raise errors.pop()
                return await pages(self, field, ask)

            monkeypatch.setattr(ServerRequests, "_pages", fail_first)

        return fail

    @pytest.mark.filterwarnings("ignore:amber. the MCP server")
    def test_a_listing_that_fails_forgets_no_change(self, changed, fail_once):
        server, tool = changed
        fail_once(ToolError("busy", name="", arguments={}))
        with pytest.raises(ToolError, match="busy"):
            wait_for(server.changed_tool(None, tool))
        assert wait_for(server.changed_tool(None, tool))

    @pytest.mark.filterwarnings("ignore:amber. the MCP server")
    def test_those_that_ask_at_once_are_told_the_same_by_one_list(self, changed, monkeypatch):
        server, tool = changed
        listed, pages = [], ServerRequests._pages
        monkeypatch.setattr(ServerRequests, "_pages", lambda self, *given: listed.append(1) or pages(self, *given))

        async def ask():
            return await asyncio.gather(*[server.changed_tool(None, tool) for _ in range(3)])

        assert wait_for(ask()) == [True] * 3
        assert len(listed) == 1

    def test_it_is_listed_once_for_each_change(self, serve_here, monkeypatch):
        server, listed = serve_here(look), []
        (tool,) = wait_for(server.list_tools(None))
        pages = ServerRequests._pages
        monkeypatch.setattr(ServerRequests, "_pages", lambda self, *given: listed.append(1) or pages(self, *given))
        for n_changes in range(3):
            for _ in range(2):
                assert not wait_for(server.changed_tool(None, tool))
                assert len(listed) == n_changes
            link_of(server).changes += 1

    def test_on_another_connection_it_is_listed_again(self, serve_here):
        server = serve_here(look)
        (tool,) = wait_for(server.list_tools(None))
        server._target.server.remove_tool("look")
        server._target.server.add_tool(look, description="Look at something else.")
        server.close()
        server.call(*LOOK)  # which opens the connection
        with pytest.warns(RuntimeWarning, match="changed: look"):
            assert wait_for(server.changed_tool(None, tool))

    def ask(self, script, server, change, **options):
        """Return the runs of two calls, with a change before the second."""
        amber, rounds = script(calling(LOOK), calling(LOOK), "Done."), []

        def note(call):
            rounds.append(call)
            if len(rounds) == 2:
                change()
            return None

        return amber.ask("?", tools=server, require_approval=note, **options).tool_runs

    def test_a_server_that_refuses_to_list_asks_the_reader(self, script, serve_here, reader, fail_once):
        server = serve_here(look, require_approval=False)

        def change():
            link_of(server).changes += 1
            reader.decision = Deny("no")
            fail_once(ProtocolError("busy", name="", arguments={}))

        first, second = self.ask(script, server, change)
        assert (first.status, second.status) == ("ran", "denied")
        assert "The server has changed this tool" in reader.warnings[-1]

    def test_a_server_that_is_gone_costs_its_call(self, script, serve_here, reader, fail_once):
        server = serve_here(look, require_approval=False)

        def change():
            link_of(server).changes += 1
            fail_once(ToolError("it ended.", name="", arguments={}))

        first, second = self.ask(script, server, change)
        assert (first.status, second.status, second.error) == ("ran", "failed", "it ended.")


class TestEnds:
    def test_closing_while_it_starts_is_an_error_of_the_request(self):
        server, errors = mcp(sys.executable, *NEVER_READY), []

        def list_tools():
            try:
                server.tools()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=list_tools)
        thread.start()
        until(lambda: server._requests.opened and link_of(server))
        server.close()
        thread.join(20)
        (error,) = errors
        assert isinstance(error, ToolError)
        assert str(error).endswith("was closed while it started.")

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
    def test_what_ends_a_thread_stays_in_it(self, serve_here, kind):
        """A tool of a server in this process runs in the thread of its connection."""

        async def leave() -> str:
            raise kind

        server = serve_here(leave, look)
        with pytest.raises(ToolError, match="ended the connection"):
            server.call("leave")
        assert server.call(*LOOK).text == look("a")

    def test_a_link_that_is_stopped_before_it_runs_ends(self, monkeypatch):
        may_run = threading.Event()
        monkeypatch.setattr("amber_nb.mcp_servers.link.event_loop.forbid_blocking", may_run.wait)
        made = Connection(Target(name="x", command=(sys.executable, *NEVER_READY)), lambda: None)
        link = made._take_link()
        made.close()
        may_run.set()
        until(lambda: link.is_over)
        assert not link.is_ready

    def test_a_block_of_several_servers_ends_after_their_processes(self):
        program = str(Path(__file__).parent / "programs" / "toolbox.py")
        entry = {"command": sys.executable, "args": [program]}
        with mcp({"mcpServers": {"a": entry, "b": entry}}) as servers:
            processes = [int(server.call("process_id").text) for server in servers]
            assert all(map(psutil.pid_exists, processes))
        assert not any(map(psutil.pid_exists, processes))

    def test_a_block_ends_after_its_process(self, monkeypatch):
        monkeypatch.setattr("mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT", 0.05)
        monkeypatch.setattr("mcp.client.stdio.FORCE_KILL_TIMEOUT", 0.05)
        with mcp(sys.executable, UNRULY, "stays") as server:
            pid = int(server.call("process_id").text)
        assert not psutil.pid_exists(pid)

    def test_the_standard_error_is_there_after_the_end(self, start):
        server = start()
        with pytest.raises(ToolError):
            server.call("die")
        assert "last words" in server.stderr
        server.close()
        assert "last words" in server.stderr

    def test_a_process_that_was_killed(self, start):
        server = start()
        os.kill(server.call("process_id").value, signal.SIGKILL)
        until(lambda: not link_of(server).is_open)
        assert server.stderr == server._requests.opened[0].stderr


class TestStarts:
    def test_a_folder_that_is_not_there_is_said(self, tmp_path):
        server = mcp({"mcpServers": {"a": {"command": sys.executable, "cwd": str(tmp_path / "secret-plan")}}})
        with pytest.raises(ToolError, match=r"'a' cannot be started: the folder that cwd names is not there\.$"):
            server.tools()

    def test_a_command_that_is_not_there_is_said_in_a_folder_too(self, tmp_path):
        server = mcp({"mcpServers": {"a": {"command": "no-such-command", "cwd": str(tmp_path)}}})
        with pytest.raises(ToolError, match="there is no command 'no-such-command'"):
            server.tools()

    def test_no_frame_of_an_error_holds_the_environment(self):
        server = mcp("no-such-command", env={"KEY": "ambrs-exampletoken"})
        with pytest.raises(ToolError) as caught:
            server.tools()
        held, seen, left = [], set(), [caught.value]
        while left:
            error = left.pop()
            if error is None or id(error) in seen:
                continue
            seen.add(id(error))
            left += [error.__context__, error.__cause__]
            frames, trace = [], error.__traceback__
            while trace is not None:
                frames, trace = [*frames, trace.tb_frame], trace.tb_next
            held += [name for frame in frames for name, value in frame.f_locals.items() if _shows(value)]
        assert len(seen) > 1
        assert held == []

    def test_a_long_limit_on_silence_holds_for_the_start_and_for_streams(self):
        made = Connection(Target(name="x", command=(sys.executable, *NEVER_READY)), lambda: None, 900.0)
        assert made._take_link()._connect_s == 900.0
        made.close(wait=True)
        http = mcp("https://mcp.example.com/mcp")._requests._open_http()
        assert http.timeout.read > 3_600  # a reader may think about a question for so long


def _shows(value):
    try:
        return "ambrs-exampletoken" in repr(value)
    except Exception:
        return False


class TestThreadsThatMayNotWait:
    def test_a_tool_that_would_wait_for_its_own_connection_is_told(self, serve_here):
        async def outer() -> str:
            with pytest.raises(RuntimeError, match=r"await server\.call_async"):
                server.call(*LOOK)
            return "told"

        server = serve_here(look, outer, timeout_s=5)
        assert server.call("outer").text == "told"

    def test_it_may_await_one(self, serve_here):
        async def outer() -> str:
            return (await server.call_async(*LOOK)).text

        server = serve_here(look, outer)
        assert server.call("outer").text == look("a")

    def test_a_thread_of_the_users_may_have_any_name(self):
        found = []
        for name in ("amber-loop", "amber-tools", "amber-mcp-x"):
            thread = threading.Thread(target=lambda: found.append(event_loop.can_block()), name=name)
            thread.start()
            thread.join()
        assert found == [True] * 3
        assert not wait_for(_can_block())
        assert not event_loop.submit_user_code(_can_block()).result(20)


async def _can_block():
    return event_loop.can_block()


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "message", "expected"),
        [
            (mcp_types.CONNECTION_CLOSED, "Connection closed", False),
            (mcp_types.CONNECTION_CLOSED, "SSE stream ended without a response", False),
            (mcp_types.CONNECTION_CLOSED, "SSE stream ended and reconnection attempts were exhausted", False),
            (mcp_types.CONNECTION_CLOSED, "SSE stream failed: too long", False),
            (mcp_types.CONNECTION_CLOSED, "the book is closed", True),
            (mcp_types.PARSE_ERROR, "Failed to parse SSE message: x", False),
            (mcp_types.PARSE_ERROR, "Failed to parse JSON response: x", False),
            (mcp_types.PARSE_ERROR, "line 3", True),
            (mcp_types.INVALID_REQUEST, "Session terminated", False),
            (mcp_types.INTERNAL_ERROR, "no", True),
            (REFUSED, "HTTP 503 Service Unavailable", False),
            (UNREACHABLE, "cannot be reached", False),
            (UNUSABLE, "no", False),
        ],
    )
    def test_what_a_server_answered(self, code, message, expected):
        assert is_answer(MCPError(code, message)) == expected

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (RuntimeError("closed"), True),
            (httpx2.ReadError("x"), True),
            (ExceptionGroup("x", [httpx2.ReadError("x")]), True),
            (RecursionError("deep"), False),
            (ValueError("x"), False),
        ],
    )
    def test_what_ends_a_connection(self, error, expected):
        assert is_closed(error) == expected

    @pytest.mark.parametrize(
        ("error", "ending", "words"),
        [
            (MCPError(mcp_types.CONNECTION_CLOSED, "Connection closed"), None, "ended the connection."),
            (
                MCPError(mcp_types.CONNECTION_CLOSED, "Connection closed"),
                httpx2.ReadError("of https://h.example/?key=1"),
                "ended the connection (ReadError).",
            ),
            (MCPError(mcp_types.CONNECTION_CLOSED, "SSE stream failed: x"), None, "broke its answer off."),
            (MCPError(mcp_types.PARSE_ERROR, "Failed to parse SSE message: x"), None, "sent an answer that cannot"),
            (RecursionError("deep"), None, "sent an answer that nests too deeply."),
        ],
    )
    def test_their_words(self, error, ending, words):
        said = describe_failure(
            error,
            command=None,
            is_folder_missing=False,
            is_ready=True,
            sends_rubbish=False,
            connect_s=30.0,
            ending=ending,
        )
        assert said.startswith(words)

    @pytest.mark.filterwarnings("ignore:amber. what the MCP server")
    def test_a_refusal_of_a_proxy_is_not_recorded(self, tmp_path):
        """The server may never have been asked."""
        is_up = False

        def answer(message):
            if "id" not in message:
                return 202, None
            if message["method"] == "initialize":
                info = {"name": "x", "version": "1"}
                result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
            elif not is_up:
                return 503, None
            else:
                result = {"tools": []} if message["method"] == "tools/list" else FINE
            return 200, {"jsonrpc": "2.0", "id": message["id"], "result": result}

        tape = tmp_path / "tape.jsonl"
        amber = Amber(base_url="http://127.0.0.1:9/v1", api_key="ambrs-exampletoken", mode="cache", cassette=tape)
        with serve_json(answer) as url, mcp(url) as server:
            with pytest.raises(ToolError, match="HTTP 503 Service Unavailable"):
                server.call("t")
            is_up = True
            assert server.call("t").text == "fine"
        amber.close()
        assert [old.request.path for old in Cassette(tape).interactions] == ["/tools/call"]
