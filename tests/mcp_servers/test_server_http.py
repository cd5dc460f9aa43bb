"""The HTTP client of a server: what fails costs its request, and a key stays where it was sent."""

import asyncio
import json
import socket

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import sse_within_origin, stream_within_origin

from amber_nb.config import load_config
from amber_nb.errors import ConfigError
from amber_nb.mcp_servers import http as http_module
from amber_nb.mcp_servers.http import open_http

KEY = "ambrs-exampletoken"
URL = "https://acme.example/mcp/"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


class Server(httpx2.AsyncBaseTransport):
    """Answers each request by a function, and keeps them."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []

    async def handle_async_request(self, request):
        await request.aread()
        self.requests.append(request)
        answer = self.answer(request)
        if isinstance(answer, Exception):
            raise answer
        answer.request = request
        return answer


@pytest.fixture
def client(monkeypatch):
    """Makes the client of `open_http` on a transport that answers by a function."""

    def make(answer, redirects=5):
        server = Server(answer)
        monkeypatch.setattr(httpx2.AsyncClient, "_init_transport", lambda self, **options: server)
        http = open_http({"Authorization": f"Bearer {KEY}"}, redirects=redirects)
        return http, server

    return make


async def post(http, url=URL):
    async with http, stream_within_origin(http, "POST", url, json=CALL) as response:
        await response.aread()
        return response


# --- redirects


def redirect(location, status=307):
    return lambda request: (
        httpx2.Response(status, headers={"location": location})
        if str(request.url) == URL
        else httpx2.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": {}})
    )


@pytest.mark.parametrize("location", ["https://acme.example/mcp", "/mcp", "https://ACME.example:443/other"])
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_origin_is_followed(client, location, status):
    http, server = client(redirect(location, status))
    assert asyncio.run(post(http)).status_code == 200
    assert [request.url.host for request in server.requests] == ["acme.example"] * 2
    assert json.loads(server.requests[1].content) == CALL


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/mcp/",
        "https://acme.example.evil.example/mcp/",
        "https://acme.example@evil.example/mcp/",
        "https://acme.example:8443/mcp/",
        "http://acme.example/mcp/",
        "//evil.example/mcp/",
        "https://sub.acme.example/mcp/",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("redirects", [0, 5])
def test_no_key_follows_a_redirect_to_another_origin(client, location, status, redirects):
    http, server = client(redirect(location, status), redirects)
    # Of a redirect that is refused, the SDK gets an error in our own words.
    assert asyncio.run(post(http)).status_code == (status if redirects else 502)
    assert [str(request.url) for request in server.requests] == [URL]


def test_the_domains_own_server_redirects_nobody(client):
    http, server = client(redirect("https://acme.example/mcp"), redirects=0)
    assert asyncio.run(post(http)).status_code == 502
    assert len(server.requests) == 1


def test_the_stream_of_a_server_is_no_way_out(client):
    http, server = client(redirect("https://evil.example/"))

    async def listen():
        async with http, sse_within_origin(http, URL) as source:
            return source.response.status_code

    assert asyncio.run(listen()) == 307
    assert len(server.requests) == 1


def test_redirects_without_end_are_left(client):
    http, server = client(lambda request: httpx2.Response(307, headers={"location": URL}))
    assert asyncio.run(post(http)).status_code == 307
    assert len(server.requests) == 6


# --- refusals


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "HTTP 400 Bad Request"),
        (401, "HTTP 401 Unauthorized: the key or the headers= are not accepted"),
        (403, "HTTP 403 Forbidden: this key may not use it"),
        (429, "HTTP 429 Too Many Requests"),
        (500, "HTTP 500 Internal Server Error"),
        (503, "HTTP 503 Service Unavailable"),
        (599, "HTTP 599"),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<h1>no</h1>", b"{", b"[]", b'{"error": "no"}', b'{"jsonrpc": "2.0", "error": 1}']
)
def test_a_refusal_is_an_error_of_the_protocol(client, status, says, body):
    http, _ = client(lambda request: httpx2.Response(status, content=body))
    response = asyncio.run(post(http))
    assert response.status_code == status
    assert response.json()["error"]["message"] == says


def test_an_error_of_the_protocol_is_kept(client):
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "No such session"}}
    http, _ = client(lambda request: httpx2.Response(400, json=error, headers={"x": "y"}))
    assert asyncio.run(post(http)).json() == error


@pytest.mark.parametrize("status", [200, 202, 404, 405])
def test_what_the_sdk_reads_by_itself_is_left_alone(client, status):
    http, _ = client(lambda request: httpx2.Response(status, content=b"as it is"))
    assert asyncio.run(post(http)).content == b"as it is"


class Endless(httpx2.AsyncByteStream):
    """A body without an end."""

    def __init__(self):
        self.n_bytes = 0
        self.is_closed = False

    async def __aiter__(self):
        while True:
            self.n_bytes += 10_000
            yield b"x" * 10_000

    async def aclose(self):
        self.is_closed = True


def test_a_refusal_without_an_end_is_not_read_to_it(client):
    body = Endless()
    http, _ = client(lambda request: httpx2.Response(500, stream=body))
    assert asyncio.run(post(http)).json()["error"]["message"] == "HTTP 500 Internal Server Error"
    assert body.is_closed
    assert body.n_bytes < 100_000


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (httpx2.ConnectError(f"https://acme.example/?key={KEY}"), "cannot be reached"),
        (httpx2.ConnectTimeout("x"), "cannot be reached"),
        (httpx2.ProxyError("x"), "cannot be reached"),
        (httpx2.ReadTimeout("x"), "did not answer"),
        (httpx2.ReadError("x"), "did not answer"),
        (httpx2.RemoteProtocolError("x"), "did not answer"),
    ],
)
def test_a_network_error_costs_its_request(client, error, says):
    http, _ = client(lambda request: error)
    response = asyncio.run(post(http))
    assert response.json()["error"]["message"] == f"{says} ({type(error).__name__})"
    assert KEY not in response.text


def test_the_end_of_a_session_waits_two_seconds_for_the_server(monkeypatch, clock):
    asked = asyncio.Event()

    class Hangs(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            asked.set()
            await asyncio.Event().wait()

    async def end():
        monkeypatch.setattr(httpx2.AsyncClient, "_init_transport", lambda self, **options: Hangs())
        async with open_http({}, redirects=0) as http:
            task = asyncio.ensure_future(http.delete(URL))
            await asked.wait()
            clock.advance(1.9)
            await asyncio.sleep(0)
            assert not task.done()
            clock.advance(0.2)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(task, 20)

    asyncio.run(end())


@pytest.mark.parametrize("status", [200, 204, 405])
def test_the_end_of_a_session_has_its_status(client, status):
    http, _ = client(lambda request: httpx2.Response(status, stream=Endless()))
    assert asyncio.run(http.delete(URL)).status_code == status


def test_other_errors_are_not_hidden(client):
    http, _ = client(lambda request: ValueError("a fault of ours"))
    with pytest.raises(ValueError, match="of ours"):
        asyncio.run(post(http))


def test_a_stream_that_cannot_be_opened_is_the_sdks_to_try_again(client):
    http, _ = client(lambda request: httpx2.ConnectError("x"))

    async def listen():
        async with http:
            await http.get(URL)

    with pytest.raises(httpx2.ConnectError):
        asyncio.run(listen())


@pytest.mark.parametrize(("status", "says"), [(401, "HTTP 401 Unauthorized"), (500, "HTTP 500 Internal Server Error")])
def test_the_sdk_tells_what_was_refused(client, status, says):
    http, server = client(lambda request: httpx2.Response(status, content=b"<h1>no</h1>"))

    async def connect():
        async with http, Client(streamable_http_client(URL, http_client=http)):
            pass

    with pytest.raises((MCPError, ExceptionGroup)) as caught:
        asyncio.run(connect())
    error = caught.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert error.message.startswith(says)
    assert {request.headers["Authorization"] for request in server.requests} == {f"Bearer {KEY}"}


# --- the client itself


def test_a_port_where_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/mcp"
        response = asyncio.run(post(open_http({}, redirects=0), url))
    assert response.json()["error"]["message"] == "cannot be reached (ConnectError)"


def test_proxies_have_their_errors_answered_too(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    response = asyncio.run(post(open_http({}, redirects=0)))
    assert "cannot be reached" in response.json()["error"]["message"]


def test_a_broken_setting_of_the_network_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setattr(http_module.httpx2, "AsyncClient", _broken)
    with pytest.raises(ConfigError, match="SSL_CERT_FILE names no file"):
        open_http({}, redirects=0)


def _broken(**options):
    raise FileNotFoundError("missing.pem")


def test_the_simulator_answers_in_mode_simulate(monkeypatch):
    """Whatever it answers, nothing is sent: the guard of the tests would refuse it, and this address is none."""
    config = load_config(mode="simulate")
    http = open_http({"Authorization": f"Bearer {KEY}"}, redirects=0, simulated=config)
    assert asyncio.run(post(http, config.mcp_url)).status_code in (200, 400, 404)


def test_no_repr_of_the_client_shows_its_headers(client):
    http, _ = client(lambda request: httpx2.Response(200))
    assert KEY not in repr(http)
    assert KEY not in repr(http.headers)
