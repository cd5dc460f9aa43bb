"""Servers that send too much, too slowly, or what cannot be read: it costs one request, and no memory without end."""

import asyncio
import gzip
import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from amber_nb import ToolError, mcp
from amber_nb.mcp_servers import http, requests
from amber_nb.mcp_servers.calls import SilenceError
from amber_nb.mcp_servers.requests import ServerRequests
from amber_nb.mcp_servers.target import Target

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

    @pytest.mark.parametrize(
        ("size", "found"), [(1_000, 1), (5_000_000, "The MCP server '127.0.0.1' sent more than 2 MB.")]
    )
    def test_the_limit_counts_what_is_unpacked(self, small_answers, size, found):
        def answer(message):
            tools = [{"name": "t", "description": "a" * size, "inputSchema": {"type": "object"}}]
            return [gzip.compress(reply(message, {"tools": tools}))]

        assert self.list_tools(answer, "gzip")[0] == found

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

                def take_change(self):
                    return False

                async def run(self, work, **_):
                    clock.advance(4)
                    pages.append(1)
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    return {"tools": [{"name": str(len(pages))}], "nextCursor": str(len(pages))}

                def close(self):
                    pass

            sent.opened.append(Open())
            with pytest.raises(SilenceError, match="'slow' has not ended its list of tools within 10 s"):
                await sent.list_tools()
            return len(pages)

        assert asyncio.run(list_tools()) <= 4
