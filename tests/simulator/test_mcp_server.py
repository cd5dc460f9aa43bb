"""The MCP server of the simulator: the SDK's own client over HTTP and in process, and messages that no client sends."""

import asyncio
import contextlib
import http.client
import json

import httpx2
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import PromptReference

from amber_nb.simulator import BASE_PATH, Request, Server, respond
from amber_nb.simulator.mcp_methods import HANDSHAKE_VERSIONS, TOOLS
from amber_nb.wire.clients import SimulatorTransport

KEY = {"authorization": "Bearer ambrs-exampletoken"}
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
IN_PROCESS = "https://simulator.invalid/mcp/"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
AGREEMENT = "https://wiki.example.com/contracts/acme-agreement"


# --- the SDK's client


@pytest.fixture(params=["http", "in process"])
def address(request, gateway):
    """The URL of the server, with and without its last slash."""
    return gateway.mcp_url if request.param == "http" else IN_PROCESS.rstrip("/")


@contextlib.asynccontextmanager
async def connected(url, mode="auto", headers=KEY):
    options = {} if url.startswith("http:") else {"transport": SimulatorTransport(chunks_per_s=0)}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, **options) as http_client,
        Client(streamable_http_client(url, http_client=http_client), mode=mode) as client,
    ):
        yield client


@pytest.fixture(params=["auto", "legacy"])
def talk(request, address):
    """Run a coroutine function with a client, in one of the protocol's eras; return its result."""

    def run(act):
        async def main():
            async with connected(address, request.param) as client:
                return await act(client)

        return asyncio.run(main())

    run.is_modern = request.param == "auto"
    return run


def code_of(talk, act):
    """The code of the error that a call ends in."""

    async def attempt(client):  # an error that leaves the client comes in groups
        with pytest.raises(MCPError) as caught:
            await act(client)
        return caught.value.code

    return talk(attempt)


def test_the_version_and_the_server(talk):
    async def look(client):
        return client.session.protocol_version, client.session.server_info.name, client.session.instructions

    version, name, instructions = talk(look)
    assert (version, name) == ("2026-07-28" if talk.is_modern else "2025-11-25", "amber-simulator")
    assert "invented" in instructions


def test_the_tools(talk):
    listing = talk(lambda client: client.list_tools())
    assert [tool.name for tool in listing.tools] == ["search", "web_search"]
    assert listing.next_cursor is None
    for tool in listing.tools:
        assert tool.annotations.read_only_hint is True
        assert tool.annotations.open_world_hint is (tool.name == "web_search")
        assert tool.input_schema["required"] == ["query"]
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)


def test_a_search(talk):
    result = talk(lambda client: client.call_tool("search", {"query": "What did we agree with ACME?"}))
    assert not result.is_error
    hits = result.structured_content["hits"]
    assert hits[0] | {"snippet": ""} == {
        "title": "Framework agreement with ACME",
        "url": AGREEMENT,
        "snippet": "",
        "source": "Contracts",
        "date": "2026-03-12",
    }
    assert "89.50 EUR" in hits[0]["snippet"]
    text, *links = result.content
    assert text.text.startswith("1. Framework agreement with ACME (Contracts, 2026-03-12)\n   " + AGREEMENT)
    assert [(link.type, link.uri, link.title) for link in links] == [
        ("resource_link", hit["url"], hit["title"]) for hit in hits
    ]


def test_a_web_search_with_a_limit(talk):
    result = talk(lambda client: client.call_tool("web_search", {"query": "sensor", "limit": 2}))
    assert len(result.structured_content["hits"]) == 2
    assert all(".example." in hit["url"] for hit in result.structured_content["hits"])


def test_a_search_that_finds_nothing(talk):
    result = talk(lambda client: client.call_tool("search", {"query": "quantum"}))
    assert (result.is_error, result.structured_content) == (False, {"hits": []})
    assert [block.text for block in result.content] == ["Nothing found for: quantum"]


@pytest.mark.parametrize(
    "arguments",
    [None, {}, {"query": 3}, {"query": ""}, {"query": "  "}, {"query": "x" * 1_001}, {"query": ["x"]},
     {"query": "x", "limit": 0}, {"query": "x", "limit": 21}, {"query": "x", "limit": "5"},
     {"query": "x", "limit": 1.5}, {"query": "x", "limit": True}, {"query": "x", "limit": None},
     {"query": "x", "colour": "red"}],
)  # fmt: skip
def test_wrong_arguments_are_a_result_from_which_a_model_learns(arguments):
    reply = call("tools/call", {"name": "search", "arguments": arguments})
    assert reply["result"]["isError"] is True
    assert reply["result"]["content"][0]["text"].startswith("Input validation error: '")


def test_an_unknown_tool(talk):
    assert code_of(talk, lambda client: client.call_tool("nope", {})) == -32602


def test_resources(talk):
    async def read_all(client):
        listing = (await client.list_resources()).resources
        return listing, [(await client.read_resource(resource.uri)).contents for resource in listing]

    listing, contents = talk(read_all)
    assert len(listing) == 14
    for resource, (content,) in zip(listing, contents, strict=True):
        assert (content.uri, content.mime_type, resource.mime_type) == (resource.uri, "text/markdown", "text/markdown")
        assert content.text.startswith(f"# {resource.title}\n")
        assert len(content.text.encode()) == resource.size
    assert "amber://documents/acme-agreement" in [resource.uri for resource in listing]
    assert talk(lambda client: client.list_resource_templates()).resource_templates == []


def test_a_link_of_a_search_can_be_read(talk):
    async def follow(client):
        result = await client.call_tool("web_search", {"query": "Schimmel"})
        return await client.read_resource(result.content[1].uri)

    assert "relative Feuchte" in talk(follow).contents[0].text


@pytest.mark.parametrize("uri", ["amber://documents/nope", "amber://documents/Kühlhalle", "file:///etc/passwd"])
def test_an_unknown_resource(talk, uri):
    assert code_of(talk, lambda client: client.read_resource(uri)) == (-32602 if talk.is_modern else -32002)


def test_a_prompt(talk):
    (prompt,) = talk(lambda client: client.list_prompts()).prompts
    assert (prompt.name, [argument.name for argument in prompt.arguments]) == ("brief", ["topic"])
    (message,) = talk(lambda client: client.get_prompt("brief", {"topic": "ACME"})).messages
    assert message.role == "user"
    assert message.content.text.startswith("What does the company's knowledge say about ACME?")
    assert code_of(talk, lambda client: client.get_prompt("brief", {})) == -32602
    assert code_of(talk, lambda client: client.get_prompt("nope", {"topic": "ACME"})) == -32602


def test_a_method_that_it_does_not_have(talk):
    reference, argument = PromptReference(type="ref/prompt", name="brief"), {"name": "topic", "value": "A"}
    assert code_of(talk, lambda client: client.complete(reference, argument)) == -32601


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_without_a_key(address, mode):
    async def main(headers):
        async with connected(address, mode, headers):
            pass

    for headers in ({}, {"authorization": "Bearer nonsense"}):
        with pytest.raises(BaseExceptionGroup) as caught:
            asyncio.run(main(headers))
        assert caught.group_contains(MCPError, match="error response")


def test_two_clients_and_many_calls_at_once(address):
    queries = ["ACME", "password", "churn", "Reisekosten", "TH-200"] * 4

    async def ask_all(client):
        results = await asyncio.gather(*[client.call_tool("search", {"query": query}) for query in queries])
        return [result.structured_content for result in results]

    async def main():
        async with connected(address) as one, connected(address, "legacy") as two:
            return await asyncio.gather(ask_all(one), ask_all(two))

    one, two = asyncio.run(main())
    assert one == two
    assert one == [call("tools/call", {"name": "search", "arguments": {"query": query}})["result"]["structuredContent"]
                   for query in queries]  # fmt: skip


# --- messages by hand


def send(body, headers=None, *, method="POST", path="/mcp/", **options):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return respond(Request(method, path, KEY | JSON | (headers or {}), data), **options)


def call(method, params=None, headers=None, **extra):
    """Call a method in the older form; return the reply."""
    response = send({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}, **extra}, headers)
    return json.loads(response.body)


def call_modern(method, params=None, **headers):
    """Call a method as 2026-07-28 has it; return the HTTP status and the reply."""
    names = {"mcp_protocol_version": "2026-07-28", "mcp_method": method, **headers}
    sent = {name.replace("_", "-"): value for name, value in names.items() if value is not None}
    body = {"jsonrpc": "2.0", "id": "a", "method": method, "params": {"_meta": META, **(params or {})}}
    response = send(body, sent)
    return response.status, json.loads(response.body)


def test_results_fit_their_schemas():
    for tool in TOOLS:
        result = call("tools/call", {"name": tool["name"], "arguments": {"query": "ACME sensor"}})["result"]
        assert result["structuredContent"]["hits"]
        jsonschema.validate(result["structuredContent"], tool["outputSchema"])
        assert "resultType" not in result


@pytest.mark.parametrize("asked", [*HANDSHAKE_VERSIONS, "2026-07-28", "1999-01-01"])
def test_the_handshake(asked):
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    reply = call("initialize", params)
    assert reply["result"]["protocolVersion"] == (asked if asked in HANDSHAKE_VERSIONS else "2025-11-25")
    assert call("initialize")["error"]["code"] == -32602
    assert call("ping")["result"] == {}


def test_discovery():
    status, reply = call_modern("server/discover")
    assert status == 200
    assert reply["id"] == "a"
    assert "2026-07-28" in reply["result"]["supportedVersions"]
    assert reply["result"] | {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} == reply["result"]
    assert call("server/discover")["error"]["code"] == -32601
    assert [call_modern(method)[0] for method in ("ping", "initialize", "nope/nope")] == [404, 404, 404]


@pytest.mark.parametrize("note", ["notifications/initialized", "notifications/cancelled", "notifications/nope"])
@pytest.mark.parametrize("version", [None, "2025-11-25", "2026-07-28"])
def test_a_notification_gets_no_reply(note, version):
    response = send({"jsonrpc": "2.0", "method": note}, version and {"mcp-protocol-version": version})
    assert (response.status, response.body) == (202, b"")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp_method": "tools/list"}, -32020),
        ({"mcp_method": None}, -32020),
        ({"mcp_name": "web_search"}, -32020),
        ({"mcp_name": None}, -32020),
        ({"mcp_name": "=?base64?!?="}, -32020),
        ({"mcp_name": "=?base64?/w==?="}, -32020),
        ({"mcp_protocol_version": "2027-01-01"}, -32020),
    ],
)
def test_headers_that_say_something_else(headers, code):
    params = {"name": "search", "arguments": {"query": "ACME"}}
    assert call_modern("tools/call", params, **{"mcp_name": "search", **headers})[1]["error"]["code"] == code
    assert call_modern("tools/call", params, mcp_name="=?base64?c2VhcmNo?=")[0] == 200


def test_a_version_that_it_does_not_have():
    meta = META | {"io.modelcontextprotocol/protocolVersion": "2027-01-01"}
    status, reply = call_modern("server/discover", {"_meta": meta}, mcp_protocol_version="2027-01-01")
    assert (status, reply["error"]["code"], reply["error"]["data"]["requested"]) == (400, -32022, "2027-01-01")
    assert "2026-07-28" in reply["error"]["data"]["supported"]
    note = send({"jsonrpc": "2.0", "method": "notifications/initialized"}, {"mcp-protocol-version": "2027-01-01"})
    assert (note.status, json.loads(note.body)["error"]["code"]) == (400, -32022)


@pytest.mark.parametrize("meta", [None, 3, {}, {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}])
def test_an_envelope_that_lacks_something(meta):
    status, reply = call_modern("tools/list", {"_meta": meta})
    assert (status, reply["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff", -32700),
        (b'{"jsonrpc": "2.0", "id": NaN}', -32700),
        (b'{"jsonrpc": "2.0", "id": "\\ud800"}', -32700),
        (b'{"jsonrpc": "2.0", "id": ' + b"9" * 5_000 + b"}", -32700),
        (b"[" * 100_000 + b"]" * 100_000, -32700),
        (b'{"a":' * 200 + b"1" + b"}" * 200, -32700),
        ([], -32600),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32600),
        ("ping", -32600),
        (None, -32600),
        ({}, -32600),
        ({"id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": 2.0, "id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": {}, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 3}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": ["ping"]}, -32600),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": 3}}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "Ping"}, -32601),
        ({"jsonrpc": "2.0", "id": 1, "method": "x" * 10_000}, -32601),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call"}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": []}}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": "x"}}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": 3}}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": {"name": "brief", "arguments": 3}}, -32602),
    ],
)
def test_hostile_messages(body, code):
    response = send(body)
    reply = json.loads(response.body)
    assert reply["error"]["code"] == code
    assert response.status == (400 if code in (-32700, -32600) else 200)
    valid = isinstance(body, dict) and isinstance(body.get("id"), int) and body["id"] is not True
    assert reply["id"] == (1 if valid else None)


keys = st.sampled_from(["name", "arguments", "query", "limit", "uri", "topic", "_meta", "cursor"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**25) | st.floats() | st.text(max_size=9)
    | st.sampled_from(["search", "brief", "amber://documents/acme-agreement", "2.0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
    max_leaves=8,
)  # fmt: skip
methods = st.sampled_from(["initialize", "server/discover", "ping", "tools/list", "tools/call", "resources/list",
                           "resources/read", "resources/templates/list", "prompts/list", "prompts/get"])  # fmt: skip


@given(
    method=methods | anything,
    params=anything,
    message_id=st.just(1) | anything,
    version=st.sampled_from([None, "2026-07-28", "x"]),
)
def test_random_messages_get_a_reply_and_no_server_error(method, params, message_id, version):
    if version and isinstance(params, dict):
        params = {"_meta": META | {"io.modelcontextprotocol/protocolVersion": version}, **params}
    headers = {"mcp-protocol-version": version, "mcp-method": method, "mcp-name": "search"} if version else {}
    headers = {name: value for name, value in headers.items() if isinstance(value, str)}
    response = send({"jsonrpc": "2.0", "id": message_id, "method": method, "params": params}, headers)
    assert response.status in (200, 400, 404)
    reply = json.loads(response.body)
    assert reply.keys() == {"jsonrpc", "id", "result" if "result" in reply else "error"}
    assert reply.get("error", {}).get("code") != -32603


def test_a_reply_that_nobody_asked_for():
    body = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert send(body).status == 202
    assert send(body, {"mcp-protocol-version": "2026-07-28"}).status == 400


# --- HTTP


def exchange(url, method="POST", data=None, headers=KEY | JSON):
    parts = httpx2.URL(url)
    with contextlib.closing(http.client.HTTPConnection(parts.host, parts.port, timeout=10)) as connection:
        connection.request(method, parts.path, data, headers)
        response = connection.getresponse()
        return response, response.read()


PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()


@pytest.mark.parametrize("slash", ["", "/"])
def test_other_methods_and_both_addresses(gateway, slash):
    url = gateway.mcp_url.rstrip("/") + slash
    for method in ("GET", "DELETE", "PUT", "OPTIONS"):
        response, _ = exchange(url, method, b"" if method == "PUT" else None)
        assert (response.status, response.getheader("allow")) == (405, "POST")
    response, data = exchange(url, data=PING)
    assert (response.status, response.getheader("content-type")) == (200, "application/json")
    assert json.loads(data) == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert response.getheader("mcp-session-id") is None


@pytest.mark.parametrize(
    "path", ["/mcp/x", "/mcp//", "/MCP/", "/mcpx", BASE_PATH + "/mcp/", BASE_PATH + "/mcp", "/v1/mcp/"]
)
def test_other_addresses(gateway, path):
    response, _ = exchange(gateway.mcp_url.removesuffix("/mcp/") + path, data=PING)
    assert response.status == 404
    with httpx2.Client(transport=SimulatorTransport(chunks_per_s=0), headers=KEY | JSON) as client:
        assert client.post("https://simulator.invalid" + path, content=PING).status_code == 404


@pytest.mark.parametrize("key", [None, "", "Bearer", "Bearer sk-x", "ambrs-exampletoken"])
def test_the_refusal_names_the_metadata(gateway, key):
    headers = JSON | ({} if key is None else {"authorization": key})
    response, data = exchange(gateway.mcp_url, data=PING, headers=headers)
    place = gateway.mcp_url.removesuffix("/mcp/") + "/.well-known/oauth-protected-resource/mcp/"
    assert (response.status, response.getheader("www-authenticate")) == (401, f'Bearer resource_metadata="{place}"')
    assert json.loads(data)["error"]["type"] == "invalid_request_error"
    assert "exampletoken" not in str(response.headers) + data.decode()


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("simulator.invalid", "https://simulator.invalid/"),
        ("localhost:80", "http://localhost:80/"),
        ("[::1]:80", "http://[::1]:80/"),
        ('x" y="', "https://simulator.invalid/"),
        ("a/b", "https://simulator.invalid/"),
        ("", "https://simulator.invalid/"),
    ],
)
def test_the_metadata_stands_on_the_host_that_was_asked(host, place):
    response = respond(Request("POST", "/mcp/", JSON | {"host": host}, PING))
    assert response.headers["www-authenticate"].startswith(f'Bearer resource_metadata="{place}.well-known/')


def test_types_that_it_does_not_take():
    assert send(PING, {"content-type": "text/plain"}).status == 415
    assert send(PING, {"content-type": "application/json; charset=utf-8"}).status == 200
    assert send(PING, {"accept": "text/html, image/png"}).status == 406
    assert send(PING, {"accept": "*/*;q=0.1"}).status == 200


def test_a_huge_body():
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x" * 2_000}}).encode()
    assert send(body, max_body_bytes=1_000).status == 413
    with Server(max_body_bytes=1_000) as server:
        assert exchange(server.mcp_url, data=body)[0].status == 413
        assert exchange(server.mcp_url, data=PING)[0].status == 200
