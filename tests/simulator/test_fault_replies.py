"""The faults as the simulator sends them, without a client of ours that would repair them."""

import contextlib
import http.client
import itertools
import json
import socket
import threading

import pytest
from patience import until

from amber_nb import cli
from amber_nb.simulator import BASE_PATH, FAULTS, Request, Server, respond

KEY = {"authorization": "Bearer ambrs-test"}


def body(name, **params):
    request = {"model": f"fault/{name}", "messages": [{"role": "user", "content": "Hello!"}], **params}
    return json.dumps(request).encode()


def ask(name, dialect="openai", attempt="0", **params):
    headers = {**KEY, "x-stainless-retry-count": attempt}
    return respond(Request("POST", "/chat/completions", headers, body(name, **params)), dialect=dialect)


def beginning(response):
    """Return the body, or the first thousand pieces of a stream: some never end."""
    return list(itertools.islice(response.events, 1_000)) if response.events is not None else response.body


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_is_the_same_every_time(name, stream):
    first, second = ask(name, stream=stream), ask(name, stream=stream)
    assert (first.status, first.cut, first.wait_s) == (second.status, second.cut, second.wait_s)
    assert beginning(first) == beginning(second)
    assert FAULTS[name].description == FAULTS[name].description.strip()


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("dialect", ["openai", "litellm"])
def test_a_fault_needs_a_request_that_is_in_order(name, dialect):
    assert ask(name, dialect, messages=[]).status == 400
    refused = respond(Request("POST", "/chat/completions", {}, body(name)), dialect=dialect)
    assert refused.status == 401


def test_some_pass_at_the_next_try():
    for name in ("retry-after-1", "no-retry-after", "overloaded"):
        assert ask(name).status in (429, 503)
        assert json.loads(ask(name, attempt="1").body)["choices"]
    for odd in ("", "x", "-1", "²", "9" * 5_000):
        assert ask("overloaded", attempt=odd).status == 503


@pytest.mark.parametrize(("dialect", "status"), [("openai", 404), ("litellm", 400)])
def test_a_misspelt_fault_gets_the_near_names(dialect, status):
    response = ask("cut-ends", dialect)
    assert response.status == status
    assert "`fault/cut-end`" in json.loads(response.body)["error"]["message"]
    assert "Did you mean" not in json.loads(ask("", dialect).body)["error"]["message"]


def test_the_command_lists_them(capsys):
    assert cli.main(["simulate", "--list-faults"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [f"fault/{name}" for name in FAULTS]


# --- over HTTP


@pytest.fixture
def server():
    with Server() as server:
        yield server


def talk(server, name, **params):
    """Return all bytes until the connection ends, and how it ends."""
    data = body(name, **params)
    head = f"POST {BASE_PATH}/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ambrs-test\r\n"
    port = int(server.base_url.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        received = b""
        while True:
            try:
                piece = client.recv(65_536)
            except ConnectionResetError:
                return received, "reset"
            if not piece:
                return received, "closed"
            received += piece
            if received.endswith(b"0\r\n\r\n"):
                return received, "ended"


@pytest.mark.parametrize(
    ("name", "end"), [("cut-end", "ended"), ("cut-fin", "closed"), ("cut-reset", "reset"), ("cut-mid-line", "ended")]
)
def test_the_connection_breaks_as_it_says(server, name, end):
    received, ended = talk(server, name, stream=True)
    assert ended == end
    assert received.count(b'"content":') == 4
    assert b"Content-Length" not in received


@pytest.mark.parametrize(("name", "end"), [("cut-end", "closed"), ("cut-reset", "reset")])
def test_a_body_breaks_off_half_way(server, name, end):
    received, ended = talk(server, name)
    head, _, half = received.partition(b"\r\n\r\n")
    assert ended == end
    announced = int(head.lower().partition(b"content-length: ")[2].split()[0])
    assert len(half) < announced
    assert half.startswith(b'{"id"')


@pytest.mark.parametrize("name", ["only-pings", "endless-pings", "endless-event-pings", "stalled", "silence"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_server_closes_at_once_whatever_is_under_way(name, stream, clock):
    if "pings" in name and not stream:
        return
    before = set(threading.enumerate())
    server = Server().start()
    port = int(server.base_url.split(":")[2].partition("/")[0])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("POST", f"{BASE_PATH}/chat/completions", body(name, stream=stream), KEY)
        clock.sleeper()  # it pauses, on a clock that stands still
        server.close()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("name", ["endless-pings", "stalled", "silence"])
def test_a_client_that_leaves_is_not_waited_for(server, name, clock):
    port = int(server.base_url.split(":")[2].partition("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"{BASE_PATH}/chat/completions", body(name, stream=True), KEY)
    clock.sleeper()
    connection.close()
    # It looks, between two pieces and within a long pause, whether anybody is there.
    until(lambda: clock.advance(0.2) or not server.connections)
