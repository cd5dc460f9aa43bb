"""Servers that are not what the SDK expects: half characters, common codes, questions while the clock runs."""

import asyncio
import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, ListToolsResult, Tool
from scripted import calling

from amber_nb import Amber, ToolError, mcp
from amber_nb.chat.approval import ApprovalPrompt
from amber_nb.config import load_config
from amber_nb.mcp_servers.calls import limit_silence

PROGRAMS = Path(__file__).parent / "programs"
OLD = """
import json, sys
about = {"protocolVersion": "1999-01-01", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": about}), flush=True)
"""
CORPUS = Path(__file__).parents[1] / "display" / "hostile.json"


@pytest.fixture
def hostile():
    server = mcp(sys.executable, str(PROGRAMS / "hostile.py"), str(CORPUS))
    yield server
    server.close()


def test_half_characters_cost_nothing(hostile):
    """JavaScript leaves them where it cuts a text, and pydantic takes no line with one."""
    assert len(hostile.tools()) > 200
    assert len(hostile.resources()) == 20


def test_an_error_with_a_common_code_ends_no_session(hostile):
    for _ in range(2):
        with pytest.raises(ToolError, match="answered with an error: "):
            hostile.call("say", number=0, way="refusal")
    assert hostile._requests.opened[0].opened == 1


def test_a_server_without_prompts_has_none(hostile):
    assert len(hostile.prompts()) == 0


def test_the_text_of_a_server_reaches_no_traceback_as_a_command(hostile):
    number = next(at for at, text in enumerate(_texts()) if "\x1b" in text or "\u202e" in text)
    with pytest.raises(ToolError) as caught:
        hostile.call("say", number=number, way="refusal")
    assert not {"\x1b", "\u202e"} & set(str(caught.value))


def _texts():
    return [item["text"] for item in json.loads(CORPUS.read_text(encoding="utf-8"))]


def test_a_server_that_knows_no_handshake_is_asked_without():
    with mcp(sys.executable, str(PROGRAMS / "modern.py")) as server:
        assert list(server.tools()["name"]) == ["look"]
        assert server.call("look").text == "a view"
        server.close()
        assert server.call("look").text == "a view"
        assert server._requests.opened[0].opened == 3  # the handshake is tried once


def test_a_result_that_does_not_fit_its_schema_costs_its_call():
    """Of a server in this process; elsewhere the schema of what is returned is not asked for."""

    async def list_tools(context, params):
        schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
        tools = [Tool(name="bad", input_schema={"type": "object"}, output_schema=schema)]
        return ListToolsResult(tools=tools)

    async def call_tool(context, params):
        return CallToolResult(content=[], structured_content={"x": "no"})

    with mcp(Server("low", on_list_tools=list_tools, on_call_tool=call_tool)) as server:
        server.tools()
        for _ in range(2):
            with pytest.raises(ToolError, match="does not fit the output schema of its tool"):
                server.call("bad")
        assert server._requests.opened[0].opened == 1


def test_a_server_with_an_unknown_version_of_the_protocol_is_told(tmp_path):
    program = tmp_path / "old.py"
    program.write_text(OLD, encoding="utf-8")
    with mcp(sys.executable, str(program)) as server, pytest.raises(ToolError, match="speaks no version of the prot"):
        server.tools()


def test_a_wrong_address_says_nothing_of_the_protocol():
    """Once the server is there, it is asked for a handshake as any other."""
    is_there = False

    def answer(message):
        if not is_there:
            return 404, None
        if message.get("method") != "initialize":
            return (202, None) if "id" not in message else (404, None)
        seen.append(message)
        result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
        return 200, {"jsonrpc": "2.0", "id": message["id"], "result": result}

    seen = []
    with serve_json(answer) as url, mcp(url) as server:
        with pytest.raises(ToolError, match="nothing of the protocol answers at this address"):
            server.tools()
        is_there = True
        with pytest.raises(ToolError):
            server.tools()
    assert seen
    assert seen[0]["params"]["protocolVersion"] < "2026"


class Reader:
    """Somebody who takes longer than a server may be silent, while the server tells of its progress."""

    def __init__(self, clock):
        self.clock = clock
        self.notes = []

    def report(self, note):
        self.notes.append(note)

    async def ask_reader(self, message, schema):
        await asyncio.sleep(0)
        self.clock.advance(50)
        await asyncio.sleep(0)
        await self.limit.progress(1, None, "still here")
        for _ in range(3):
            await asyncio.sleep(0)
        self.clock.advance(500)
        for _ in range(3):
            await asyncio.sleep(0)
        return {"a": 1}


def test_progress_does_not_shorten_the_time_of_the_reader(clock):
    async def ask():
        reader = Reader(clock)
        async with limit_silence(60, reader) as limit:
            reader.limit = limit
            return await limit.ask_reader("?", {})

    assert asyncio.run(ask()) == {"a": 1}


class TestReplayThatAsks:
    """AMBER_REPLAY_TOOLS=run asks the domain's server with the user's own key, where there is one."""

    @pytest.fixture
    def tape(self, tmp_path):
        path = tmp_path / "tape.jsonl"
        path.write_text('{"amber_cassette": 1}\n')
        return path

    def test_it_has_the_key(self, tape, elsewhere, monkeypatch):
        monkeypatch.setenv("AMBER_REPLAY_TOOLS", "run")
        config = load_config(mode="replay", cassette=tape, domain="acme", api_key="ambrs-exampletoken")
        assert (config.mcp_url, config.mcp_key.reveal()) == ("https://acme.ambersearch.de/mcp/", "ambrs-exampletoken")
        assert config.api_key.reveal() == "none-needed"
        server = Amber(mode="replay", cassette=tape, domain="acme", api_key="ambrs-exampletoken").mcp
        assert server._target.headers["Authorization"] == "Bearer ambrs-exampletoken"

    @pytest.mark.parametrize("run", [False, True])
    def test_a_replay_needs_none(self, tape, elsewhere, monkeypatch, run):
        if run:
            monkeypatch.setenv("AMBER_REPLAY_TOOLS", "run")
        assert load_config(mode="replay", cassette=tape, domain="acme").mcp_key is None
        monkeypatch.setenv("AMBER_JOURNAL", str(tape.with_suffix(".journal")))
        assert load_config(mode="replay", cassette=tape, domain="acme", api_key="ambrs-exampletoken").mcp_key is None


def test_a_connection_that_is_closed_while_the_reader_is_asked(start, script, monkeypatch):
    """It is an error of the call, and no cancellation of the ask."""
    server = start(require_approval=False)

    async def close_meanwhile(self, question, call, index):
        server.close()
        await asyncio.Event().wait()

    monkeypatch.setattr(ApprovalPrompt, "request_input", close_meanwhile)
    answer = script(calling(("choose", {})), "Done.").ask("?", tools=server)
    assert (answer.tool_runs[0].status, answer.text) == ("failed", "Done.")
    assert "ended" in answer.tool_runs[0].error


@contextmanager
def serve_json(answer):
    """A server over HTTP that answers each message with a status and JSON, in one session."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, body = answer(message)
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.send_header("mcp-session-id", "one")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/mcp"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_forgets_its_session_for_ever_is_asked_twice():
    requests = []

    def answer(message):
        requests.append(message.get("method"))
        if message.get("method") == "initialize":
            result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
            return 200, {"jsonrpc": "2.0", "id": message["id"], "result": result}
        return (202, None) if "id" not in message else (404, None)

    with serve_json(answer) as url:
        server = mcp(url)
        with pytest.raises(ToolError):
            server.tools()
        server.close()
    assert requests.count("tools/list") <= 2
