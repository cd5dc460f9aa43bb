"""Servers that send too much, too slowly, or what cannot be read: it costs one request, and no memory without end."""

import asyncio
import gc
import gzip
import json
import sys
import threading
from collections import OrderedDict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from mcp.client.stdio import _parse_line
from mcp.shared.message import SessionMessage
from patience import until_async
from test_wire_filter import receive

from amber_nb import CassetteMiss, ConfigError, ToolError, mcp, tools
from amber_nb.mcp_servers import connection, http, requests, toolset
from amber_nb.mcp_servers.calls import SilenceError
from amber_nb.mcp_servers.listing import read_tools
from amber_nb.mcp_servers.options import ServerOptions
from amber_nb.mcp_servers.requests import ServerRequests
from amber_nb.mcp_servers.server import McpServer
from amber_nb.mcp_servers.target import Target
from amber_nb.mcp_servers.toolset import load_tools

UNRULY = str(Path(__file__).parent / "programs" / "unruly.py")
INFO = {"name": "x", "version": "1"}


def reply(message, result):
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()


@contextmanager
def serve(answer, encoding=None):
    """A server over HTTP whose answers, but the handshake's, are pieces of bytes, as `answer(message)` makes them.

    It yields the address, and the headers of the requests.
    """
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append(self.headers)
            if "id" not in message:
                self.send_response(202)
                self.end_headers()
                return
            hands = message["method"] == "initialize"
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": INFO}
            self.send_response(200 if hands or message["method"].startswith("tools/") else 404)
            self.send_header("content-type", "application/json")
            if encoding and not hands:
                self.send_header("content-encoding", encoding)
            self.end_headers()
            try:
                for piece in [reply(message, result)] if hands else answer(message):
                    self.wfile.write(piece)
            except OSError:
                pass

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/mcp", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def small_answers(monkeypatch):
    monkeypatch.setattr(http, "_MAX_ANSWER", 2_000_000)


class TestAnswersOverHttp:
    def list_tools(self, answer, encoding=None):
        with serve(answer, encoding) as (url, seen), mcp(url) as server:
            try:
                return len(server.tools()), seen
            except ToolError as error:
                return str(error), seen

    def test_an_answer_without_end(self, small_answers):
        sent = []

        def answer(message):
            yield b'{"jsonrpc": "2.0", "x": "'
            for _ in range(300):
                sent.append(1)
                yield b"a" * 1_000_000
            yield b'"}'

        error, _ = self.list_tools(answer)
        assert error.endswith("sent more than 2 MB.")
        assert len(sent) < 100

    @pytest.mark.parametrize(("size", "found"), [(1_000, "1"), (5_000_000, "sent more than 2 MB.")])
    def test_the_limit_counts_what_is_unpacked(self, small_answers, size, found):
        def answer(message):
            tools = [{"name": "t", "description": "a" * size, "inputSchema": {"type": "object"}}]
            return [gzip.compress(reply(message, {"tools": tools}))]

        assert str(self.list_tools(answer, "gzip")[0]).endswith(found)

    def test_nothing_compressed_is_asked_for(self):
        count, seen = self.list_tools(lambda message: [reply(message, {"tools": []})])
        assert count == 0
        assert {each["accept-encoding"] for each in seen} == {"identity"}

    def test_what_is_compressed_twice_is_not_unpacked(self):
        def answer(message):
            return [gzip.compress(gzip.compress(reply(message, {"tools": []})))]

        assert "compresses its answer" in str(self.list_tools(answer, "gzip, gzip")[0])


class TestListingsWithoutEnd:
    """A server that lists page after page."""

    @pytest.fixture
    def unruly(self):
        server = mcp(sys.executable, UNRULY, "endless")
        yield server
        server.close()

    def test_they_are_left_at_a_number_of_tools(self, unruly, monkeypatch):
        monkeypatch.setattr(requests, "MAX_TOOLS", 7)
        assert len(unruly.tools()) == 7

    def test_they_are_left_at_a_length(self, unruly, monkeypatch):
        monkeypatch.setattr(requests, "_MAX_LISTING", 1_000)
        assert 3 < len(unruly.tools()) < 20

    def test_they_have_a_time_as_a_whole(self, clock):
        async def list_tools():
            sent = ServerRequests(Target(name="slow", command=("slow",)), 5.0, None)
            pages = []

            class Open:
                opened = 1

                async def open(self):
                    pass

                tools_version = (1, 0)

                async def run(self, work, **_):
                    clock.advance(4)
                    pages.append(1)
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    return {"tools": [{"name": str(len(pages))}], "nextCursor": str(len(pages))}, 1

                def close(self):
                    pass

            sent.opened.append(Open())
            with pytest.raises(SilenceError, match="'slow' has not ended its list of tools within 10 s"):
                await sent.list_tools()
            return len(pages)

        assert asyncio.run(list_tools()) <= 4


class Listing(McpServer):
    """A server that lists these tools, or fails."""

    def __init__(self, name, *listed, error=None):
        super().__init__(Target(name=name, command=(name,)), ServerOptions())
        self.listed = read_tools({"tools": list(listed)})
        self.error = error

    async def list_tools(self, session):
        if self.error is not None:
            raise self.error
        return self.listed


def item(name, fields=1):
    properties = {f"p{at}": {"type": "string"} for at in range(fields)}
    return {"name": name, "inputSchema": {"type": "object", "properties": properties}}


def look(query: str) -> str:
    """Look."""


class TestWideSchemas:
    """They take seconds to check."""

    @pytest.fixture
    def threads(self, monkeypatch):
        """The threads in which schemas were checked."""
        threads = []

        def check(spec, remote, **options):
            threads.append(threading.current_thread())
            return tools.tool_of_server(spec, remote, **options)

        monkeypatch.setattr(toolset, "toolbox", SimpleNamespace(tool_of_server=check, Tool=tools.Tool))
        monkeypatch.setattr(toolset, "_checked", OrderedDict())
        return threads

    def test_they_are_checked_beside_the_loop(self, threads):
        offered = asyncio.run(load_tools({}, [Listing("one", item("wide", 300))], None))
        assert list(offered) == ["wide"]
        assert len(threads) == 1
        assert threads[0] is not threading.current_thread()

    def test_they_are_checked_once(self, threads):
        one, other = Listing("one", item("a"), item("b")), Listing("other", item("a"))
        first, second, third = (asyncio.run(load_tools({}, [server], None)) for server in (one, one, other))
        assert len(threads) == 2
        assert first.keys() == second.keys() == {"a", "b"}
        assert third["a"].remote.server is other
        assert first["a"].remote.server is second["a"].remote.server is one
        asyncio.run(load_tools({}, [Listing("one", item("a", 2))], None))
        assert len(threads) == 3

    def test_few_are_kept(self, threads, monkeypatch):
        monkeypatch.setattr(toolset, "_MAX_CHECKED", 3)
        asyncio.run(load_tools({}, [Listing("one", *(item(f"t{at}") for at in range(9)))], None))
        assert len(toolset._checked) == 3


class TestServersThatCannotBeListed:
    """One of several costs its own tools alone."""

    DEAD = ToolError("The MCP server 'dead' ended.\nIts standard error ends in:\n\x1b[31mno", name="dead", arguments={})

    def load(self, *servers, functions=(), session=None):
        return asyncio.run(load_tools(tools.tools_from(list(functions)), servers, session))

    def test_it_is_left_out_beside_another_server(self):
        with pytest.warns(RuntimeWarning, match="^amber: the tools of the MCP server 'dead' are left out: .* ended.*␛"):
            assert set(self.load(Listing("dead", error=self.DEAD), Listing("one", item("a")))) == {"a"}

    def test_it_is_left_out_beside_a_function(self):
        with pytest.warns(RuntimeWarning, match="'dead' are left out"):
            assert set(self.load(Listing("dead", error=self.DEAD), functions=[look])) == {"look"}

    def test_where_nothing_is_left_it_is_an_error(self):
        for beside in ([], [Listing("empty")], [Listing("dead", error=self.DEAD)]):
            with pytest.raises(ToolError, match="'dead' ended"):
                self.load(Listing("dead", error=self.DEAD), *beside)

    @pytest.mark.parametrize("mode", ["record", "cache", "replay"])
    def test_with_a_recording_it_is_an_error(self, mode):
        """A recording without the server's tools could not be replayed where the server is there."""
        with pytest.raises(ToolError, match="'dead' ended"):
            self.load(Listing("dead", error=self.DEAD), functions=[look], session=SimpleNamespace(mode=mode))

    @pytest.mark.parametrize("error", [CassetteMiss("not recorded"), ConfigError("only="), ValueError("bug")])
    def test_other_errors_are_raised_before_it(self, error):
        for functions in ([look], []):
            with pytest.raises(type(error), match=str(error)):
                self.load(Listing("dead", error=self.DEAD), Listing("other", error=error), functions=functions)


def deep(levels):
    return '{"a":' * levels + "1" + "}" * levels


class TestUnreadableAnswers:
    """They are an error of their request, which would wait for them in vain."""

    def receive(self, line):
        item, *_ = receive(_parse_line(line))[0]
        return item

    @pytest.mark.parametrize(
        "result", [deep(210), deep(90_000), '{"a":%s}' % ("9" * 5_000), '"text"', "[1]"], ids=lambda text: text[:8]
    )
    @pytest.mark.parametrize(
        ("line", "request_id"),
        [
            ('{"jsonrpc":"2.0","id":0,"result":%s}', 0),
            ('{"jsonrpc":"2.0","result":%s,"id":7}', 7),
            ('{ "id" : "a" , "jsonrpc" : "2.0" , "result" : %s }', "a"),
            ('{"result":%s,"id":7,"jsonrpc":"2.0"} ', 7),
        ],
    )
    def test_they_are_errors(self, line, request_id, result):
        item = self.receive(line % result)
        assert isinstance(item, SessionMessage)
        assert (item.message.id, item.message.error.message) == (request_id, "sent an answer that cannot be read")

    @pytest.mark.parametrize(
        "line",
        [
            '{"jsonrpc":"2.0","id":1,"method":"x","params":' + deep(210) + "}",
            '{"jsonrpc":"2.0","id":1,"method":"x","params":' + deep(90_000) + "}",
            '{"jsonrpc":"2.0","method":"x","params":' + deep(90_000) + ',"id":1}',
            '{"jsonrpc":"2.0","id":1,"method":"x","result":' + deep(210) + "}",
            '{"jsonrpc":"2.0","result":' + deep(210) + "}",
            '{"jsonrpc":"2.0","result":' + deep(90_000) + "}",
            '{"jsonrpc":"2.0","id":true,"result":' + deep(210) + "}",
            '{"jsonrpc":"2.0","id":1,"resu',
            '[{"id":1,"result":{}}]',
            "Listening",
        ],
        ids=lambda text: text[:40],
    )
    def test_what_is_no_answer_is_rubbish(self, line):
        assert isinstance(self.receive(line), Exception)

    @pytest.fixture
    def unruly(self):
        server = mcp(sys.executable, UNRULY)
        yield server
        server.close()

    @pytest.mark.parametrize("name", ["return_deep", "return_no_result"])
    def test_they_cost_their_call(self, unruly, name):
        with pytest.raises(ToolError, match="sent an answer that cannot be read"):
            unruly.call(name)
        assert unruly.call("process_id").text.isdigit()
        assert unruly._requests.opened[0].opened == 1

    def test_rubbish_is_not_the_cause_of_a_later_failure(self, unruly):
        unruly.call("write_rubbish")
        with pytest.raises(ToolError, match="'unruly' ended"):
            unruly.call("die_with_child_on_stderr")


class Hangs:
    """An HTTP client whose connection fails when it may."""

    def __init__(self):
        self.may_fail = threading.Event()

    async def __aenter__(self):
        await asyncio.to_thread(self.may_fail.wait)
        raise OSError("no")

    async def __aexit__(self, *error):
        pass


def test_a_connection_that_fails_after_its_wait_prints_nothing():
    http_client, printed = Hangs(), []

    async def run():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context["message"]))
        made = connection.Connection(Target(name="x", url="http://127.0.0.1:9/mcp"), lambda: http_client)
        task = asyncio.create_task(made.open())
        await until_async(lambda: made._link is not None)
        link = made._link
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        http_client.may_fail.set()
        await until_async(link.ready.done)
        link.join(5)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(run())
    gc.collect()
    assert printed == []
