"""Which requests carry the gateway's key, and the headers of a server: those to its own address, and no other."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from scripted import calling

from amber_nb import Amber, ConfigError, ToolError, mcp

KEY = "ambrs-exampletoken"
OWN_KEY = "stranger-exampletoken"


class Recorder(ThreadingHTTPServer):
    """An HTTP server that keeps what it was sent, and answers as a test has it: (status, headers), or None for MCP."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests = []  # (method, path, headers, body)
        self.answer = lambda path: None

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def paths(self):
        return {path for _, path, _, _ in self.requests}

    def holds(self, text):
        """Whether any request holds a text, wherever."""
        return text in repr([(path, dict(headers), body) for _, path, headers, body in self.requests])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _respond(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, self.headers, body))
        if (answer := self.server.answer(self.path)) is not None:
            status, headers = answer
            self._send(status, headers, b"")
        elif self.command == "POST":
            self._send(*_answer(json.loads(body)))
        else:
            self._send(405, {}, b"")

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = do_OPTIONS = _respond

    def _send(self, status, headers, body):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def _answer(message):
    """Answer as an MCP server with one tool."""
    if "id" not in message:
        return 202, {}, b""
    results = {
        "initialize": {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "recorder", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "look", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": "seen"}]},
    }
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] in results:
        reply["result"] = results[message["method"]]
    else:
        reply["error"] = {"code": -32601, "message": "Method not found"}
    return 200, {"Content-Type": "application/json"}, json.dumps(reply).encode()


@pytest.fixture
def record():
    """Makes recording servers."""
    servers = []

    def make():
        server = Recorder()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def client(recorder):
    """A client whose gateway's domain is a recorder."""
    return Amber(base_url=f"{recorder.origin}/v1", api_key=KEY, max_retries=0)


def test_the_domain_gets_the_key(record):
    domain = record()
    assert client(domain).mcp.call("look").text == "seen"
    assert domain.paths == {"/mcp/"}
    assert {headers["Authorization"] for _, _, headers, _ in domain.requests} == {f"Bearer {KEY}"}


def test_a_stranger_gets_its_own_headers_and_no_key(record, script):
    stranger = record()
    own = mcp(f"{stranger.origin}/mcp", headers={"Authorization": f"Bearer {OWN_KEY}"}, require_approval=False)
    without = mcp(f"{stranger.origin}/other", require_approval=False)
    for server in (own, without):
        with server:
            answer = script(calling(("look", {})), "Done.").ask("?", tools=server)
            assert answer.tool_runs[0].result == "seen"
    sent = {(path, headers["Authorization"]) for _, path, headers, _ in stranger.requests}
    assert sent == {("/mcp", f"Bearer {OWN_KEY}"), ("/other", None)}
    assert not stranger.holds(KEY)


@pytest.mark.parametrize("variable", ["AMBER_API_KEY", "OPENAI_API_KEY"])
def test_a_stranger_gets_no_key_of_the_environment(record, monkeypatch, variable):
    stranger = record()
    monkeypatch.setenv(variable, KEY)
    with mcp(f"{stranger.origin}/mcp") as server:
        server.call("look")
    assert stranger.requests
    assert not stranger.holds(KEY)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["another origin", "the same origin"])
def test_a_redirect_of_the_domain_is_refused(record, status, where):
    domain, other = record(), record()
    target = f"{other.origin if where == 'another origin' else domain.origin}/elsewhere?secret=1"
    domain.answer = lambda path: (status, {"Location": target}) if path == "/mcp/" else None
    with pytest.raises(ToolError, match=rf"'amber' .*HTTP {status}: .* redirects are refused") as caught:
        client(domain).mcp.tools()
    assert domain.paths == {"/mcp/"}
    assert other.requests == []
    assert KEY not in str(caught.value)
    assert "secret=1" not in str(caught.value)


def test_a_redirect_of_a_call_is_refused(record):
    """It comes once the connection is open."""
    domain, other = record(), record()
    server = client(domain).mcp
    server.tools()
    domain.answer = lambda path: (307, {"Location": f"{other.origin}/mcp/"})
    with pytest.raises(ToolError, match="redirects are refused"):
        server.call("look")
    assert other.requests == []
    assert domain.paths == {"/mcp/"}


def test_the_address_of_the_setting_is_no_way_around(record, monkeypatch):
    """AMBER_MCP_URL names a server that sends the client on."""
    named, other = record(), record()
    named.answer = lambda path: (302, {"Location": f"{other.origin}/mcp/"})
    monkeypatch.setenv("AMBER_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    monkeypatch.setenv("AMBER_MCP_URL", f"{named.origin}/own/")
    with pytest.raises(ToolError, match="redirects are refused"):
        Amber().mcp.tools()
    assert named.paths == {"/own/"}
    assert other.requests == []


def test_a_less_trusted_source_cannot_name_the_address(record, monkeypatch, elsewhere):
    stranger = record()
    (elsewhere / ".env").write_text(f"AMBER_MCP_URL={stranger.origin}/mcp/\n")
    monkeypatch.setenv("AMBER_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    with pytest.raises(ConfigError, match="AMBER_MCP_URL"):
        Amber().mcp.tools()
    assert stranger.requests == []


def test_a_redirect_of_a_stranger_stays_on_its_origin(record):
    stranger, other = record(), record()
    headers = {"Authorization": f"Bearer {OWN_KEY}"}
    stranger.answer = lambda path: (307, {"Location": f"{stranger.origin}/new"}) if path == "/old" else None
    with mcp(f"{stranger.origin}/old", headers=headers) as server:
        assert server.call("look").text == "seen"
    stranger.answer = lambda path: (307, {"Location": f"{other.origin}/new"})
    with (
        pytest.raises(ToolError, match=r"Redirect to .* not followed"),
        mcp(f"{stranger.origin}/old", headers=headers) as server,
    ):
        server.call("look")
    assert other.requests == []


@pytest.mark.parametrize("whose", ["the domain", "a stranger"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_leads_nowhere(record, whose, status):
    """No OAuth discovery: nothing that the refusal names is asked, nor anything that is well known."""
    server, elsewhere = record(), record()
    told = f'Bearer resource_metadata="{elsewhere.origin}/.well-known/oauth-protected-resource", scope="all"'
    server.answer = lambda path: (status, {"WWW-Authenticate": told})
    target = client(server).mcp if whose == "the domain" else mcp(f"{server.origin}/mcp/")
    with pytest.raises(ToolError, match=f"HTTP {status}") as caught:
        target.tools()
    assert elsewhere.requests == []
    assert server.paths == {"/mcp/"}
    assert KEY not in str(caught.value)
