"""The HTTP server over real sockets: streaming, keep-alive, clients that misbehave, and a clean end."""

import contextlib
import http.client
import json
import socket
import threading

import pytest

from amber_nb.simulator import BASE_PATH, Server, api

HEADERS = {"Authorization": "Bearer ambrs-test", "Content-Type": "application/json"}
CHAT = BASE_PATH + "/chat/completions"


def body(prompt="Hello!", **params):
    return json.dumps({"model": "azure/gpt-5.4", "messages": [{"role": "user", "content": prompt}], **params}).encode()


@pytest.fixture
def server():
    with Server(max_body_bytes=100_000) as server:
        yield server


@contextlib.contextmanager
def connected(server):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port(server), timeout=10)) as connection:
        yield connection


@pytest.fixture
def connection(server):
    with connected(server) as connection:
        yield connection


def port(server):
    return int(server.base_url.rpartition(":")[2].partition("/")[0])


def ask(connection, method="POST", path=CHAT, data=None, headers=HEADERS):
    connection.request(method, path, data, headers)
    response = connection.getresponse()
    return response, response.read()


def talk(server, data):
    """Send raw bytes and return all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as client:
        client.sendall(data)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def request(*headers, method="POST", path=CHAT, data=b"", version="HTTP/1.1"):
    lines = [f"{method} {path} {version}", "Host: x", "Authorization: Bearer ambrs-test", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def test_it_is_served_on_this_machine_only_below_both_paths(server, connection):
    assert server.base_url.startswith("http://127.0.0.1:")
    assert server.base_url.endswith(BASE_PATH)
    for path in (BASE_PATH + "/models", "/v1/models", "/v1/models/azure%2Fgpt-5.4"):
        assert ask(connection, "GET", path)[0].status == 200
    for path in ("/models", "/", BASE_PATH, "/v1", "/v2/models", "/unknown/models"):
        response, data = ask(connection, "GET", path)
        assert (response.status, json.loads(data)["error"]["code"]) == (404, "unknown_url")


def test_one_connection_serves_many_requests_streamed_ones_too(server, connection):
    ask(connection, data=body())
    first = connection.sock
    _, data = ask(connection, data=body(stream=True))
    assert data.endswith(b"data: [DONE]\n\n")
    response, _ = ask(connection, data=b"{}")
    assert response.status == 400
    assert connection.sock is first


def test_each_event_is_a_chunk_of_its_own(server):
    reply = talk(
        server, request("Connection: close", f"Content-Length: {len(body(stream=True))}", data=body(stream=True))
    )
    head, _, rest = reply.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"text/event-stream" in head
    chunks = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        assert rest[int(size, 16) :].startswith(b"\r\n")
        rest = rest[int(size, 16) + 2 :]
    assert len(chunks) == 12  # 9 words, the end, [DONE], and the empty chunk that ends the body
    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in chunks[:-1])


def test_a_stream_arrives_piece_by_piece(monkeypatch):
    """The second event is only written once the first one has been read: nothing is collected on the way."""
    heard = threading.Semaphore(0)

    def paced(events, chunks_per_s):
        for number, event in enumerate(events):
            if number:
                assert heard.acquire(timeout=10)
            yield 0.0, event

    monkeypatch.setattr("amber_nb.simulator.server.delays", paced)
    with (
        Server() as server,
        connected(server) as link,
    ):
        link.request("POST", CHAT, body(stream=True), HEADERS)
        response = link.getresponse()
        events = []
        while line := response.readline():
            if line.startswith(b"data: "):
                events.append(line)
                heard.release()
        assert len(events) == 11


def test_the_pace_is_kept(fast_clock):
    with Server(chunks_per_s=1_000) as server, connected(server) as link:
        ask(link, data=body(stream=True))
    waits = fast_clock.sleeps
    assert waits[1:] == [pytest.approx(0.001)] * 10
    assert waits[0] > waits[1]


def test_a_reader_who_was_away_finds_what_has_come_meanwhile(clock):
    waits = []
    for number, (wait, _) in enumerate(api.delays([b"x"] * 6, 10)):
        waits.append(round(wait, 3))
        clock.advance(wait + (0.25 if number == 2 else 0))
    assert waits == [1.5, 0.1, 0.1, 0, 0, 0.05]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (request(), 411, "length_required"),
        (request("Transfer-Encoding: chunked", "Content-Length: 5", data=b"0\r\n\r\n"), 400, "invalid_header"),
        (request("Transfer-Encoding: gzip, chunked", data=b"0\r\n\r\n"), 400, "invalid_header"),
        (request("Transfer-Encoding: chunked", data=b"many\r\n"), 400, "bad_request"),
        (request("Transfer-Encoding: chunked", data=b"1\r\nxyz\r\n"), 400, "bad_request"),
        (request("Transfer-Encoding: chunked", data=b"1" * 5_000), 400, "bad_request"),
        (request("Transfer-Encoding: chunked", data=b"0\r\n" + b"x: y\r\n" * 101), 400, "bad_request"),
        (request("Transfer-Encoding: chunked", data=b"fffff\r\n"), 413, "request_too_large"),
        (request("Content-Length: many"), 400, "invalid_header"),
        (request("Content-Length: -5"), 400, "invalid_header"),
        (request("Content-Length: +5"), 400, "invalid_header"),
        (request("Content-Length: 5", "Content-Length: 6"), 400, "invalid_header"),
        (request("Content-Length: 99999999999"), 413, "request_too_large"),
        (request("Content-Length: 200000", data=b"x" * 200_000), 413, "request_too_large"),
        (request("Content-Length: 200000", "Expect: 100-continue"), 413, "request_too_large"),
        (request(method="BREW"), 405, "method_not_supported"),
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/9.9\r\n\r\n", 505, "bad_request"),
        (request("X: " + "y" * 70_000), 431, "bad_request"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414, "bad_request"),
    ],
    ids=range(20),
)
def test_a_request_that_cannot_be_read_is_refused_and_the_connection_closed(server, data, status, code):
    with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as client:
        client.sendall(data)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == status
        assert response.getheader("Connection") == "close"
        assert json.loads(response.read())["error"]["code"] == code
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            assert client.recv(10) == b""


def test_head_and_other_methods(connection):
    response, data = ask(connection, "HEAD", BASE_PATH + "/models")
    assert (response.status, data, response.getheader("Allow")) == (405, b"", "GET")
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        response, data = ask(connection, method, CHAT, b"{}")
        assert (response.status, json.loads(data)["error"]["code"]) == (405, "method_not_supported")


def test_a_client_may_ask_before_it_sends(server):
    data = body()
    with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as client:
        client.sendall(request(f"Content-Length: {len(data)}", "Expect: 100-continue"))
        assert client.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(data)
        assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_body_may_come_in_chunks(server, connection):
    pieces = [body()[:10], body()[10:]]
    for _ in range(2):  # on one connection: nothing of the first body is left behind
        connection.request("POST", CHAT, iter(pieces), HEADERS, encode_chunked=True)
        reply = json.loads(connection.getresponse().read())
        assert reply["choices"][0]["message"]["content"] == "Hello! How can I help you today?"
    data = b"".join(b"%x;name=value\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    chunked = request("Transfer-Encoding: Chunked", "Connection: close", data=data + b"0\r\nX-Trailer: 1\r\n\r\n")
    assert talk(server, chunked).startswith(b"HTTP/1.1 200")


def test_an_old_client_gets_a_stream_without_chunks(server):
    data = body(stream=True)
    reply = talk(server, request(f"Content-Length: {len(data)}", version="HTTP/1.0", data=data))
    assert b"Transfer-Encoding" not in reply
    assert reply.partition(b"\r\n\r\n")[2].startswith(b'data: {"id"')
    assert reply.endswith(b"data: [DONE]\n\n")


def test_clients_that_go_away_are_let_go_quietly(server, capfd):
    for data in (
        b"",
        b"POST",
        request("Transfer-Encoding: chunked", data=b"5\r\nab"),
        request("Transfer-Encoding: chunked", data=b"5"),
        request("Content-Length: 500", data=b"{"),
        request(f"Content-Length: {len(body())}", data=body()),
    ):
        with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as client:
            client.sendall(data)
    long = body("write 20000 words", stream=True)
    client = socket.create_connection(("127.0.0.1", port(server)), timeout=10)
    client.sendall(request(f"Content-Length: {len(long)}", data=long))
    assert client.recv(100).startswith(b"HTTP/1.1 200")
    client.close()
    with connected(server) as connection:
        assert ask(connection, "GET", "/v1/models")[0].status == 200
    server.close()
    assert capfd.readouterr() == ("", "")


def test_the_log_has_a_line_a_request_and_neither_body_nor_key():
    lines = []
    with Server(log=lines.append) as server:
        with connected(server) as connection:
            ask(connection, data=body("my secret"))
            ask(connection, "GET", "/v1/models?key=ambrs-test")
        talk(server, b"GE\x1b[31mT /x HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert lines[:2] == [f"POST {CHAT} 200", "GET /v1/models 200"]
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


def test_a_fault_of_the_simulator_is_a_500(monkeypatch, connection):
    def fail(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("amber_nb.simulator.server.respond", fail)
    response, data = ask(connection, data=body())
    assert (response.status, json.loads(data)["error"]["code"]) == (500, "internal_error")


def test_the_dialect_is_passed_on():
    with Server(dialect="litellm") as server, connected(server) as connection:
        response, data = ask(connection, data=json.dumps({"model": "no"}).encode())
    assert (response.status, json.loads(data)["error"]["code"]) == (400, "400")


def test_closing_leaves_no_thread_and_no_socket():
    before = set(threading.enumerate())
    server = Server(chunks_per_s=2).start()
    where = ("127.0.0.1", port(server))
    idle = socket.create_connection(where, timeout=10)
    streaming = socket.create_connection(where, timeout=10)
    data = body(stream=True)
    streaming.sendall(request(f"Content-Length: {len(data)}", data=data))
    assert streaming.recv(10) == b"HTTP/1.1 2"
    server.close()
    server.close()
    assert set(threading.enumerate()) == before
    rest = b"".join(iter(lambda: streaming.recv(65_536), b""))
    assert not rest.endswith(b"0\r\n\r\n")  # a stream that was cut does not look complete
    assert idle.recv(10) == b""
    idle.close()
    streaming.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, timeout=10)


def test_serving_in_this_thread_ends_with_close():
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with connected(server) as connection:
        assert ask(connection, "GET", "/v1/models")[0].status == 200
    server.close()
    thread.join(timeout=10)
    assert not thread.is_alive()
    Server().close()  # never served: nothing to wait for


def test_many_clients_at_once(server):
    replies = []

    def ask_once(number):
        with connected(server) as connection:
            replies.append(json.loads(ask(connection, data=body(f"number {number}"))[1]))

    threads = [threading.Thread(target=ask_once, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = " ".join(reply["choices"][0]["message"]["content"] for reply in replies)
    assert all(f"number {number}”" in texts for number in range(20))
