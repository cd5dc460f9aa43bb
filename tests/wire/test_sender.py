"""Requests without the SDK's objects: what is sent, what comes back, and how it fails, both ways of sending."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import struct
import zlib

import httpx2
import openai
import pytest
import trustme
from patience import until_async
from test_clients import HOSTILE

from amber_nb.config import load_config
from amber_nb.errors import CassetteMiss, ConfigError, annotate, is_out_of_quota
from amber_nb.wire import connection
from amber_nb.wire.clients import Clients, sdk_settings
from amber_nb.wire.connection import BrokenExchange
from amber_nb.wire.retry import RetryPolicy
from amber_nb.wire.sender import _HttpxSender, _LeanSender, open_sender, status_error
from amber_nb.wire.usage import UsageLog
from amber_nb.wire.whole import read_reply

KEY = "ambrs-exampletoken"
BODY = b'{"model": "m", "messages": []}'
WAYS = ["lean", "httpx2"]
both_ways = pytest.mark.parametrize("way", WAYS)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Passing(httpx2.AsyncBaseTransport):
    """A transport that is not the SDK's own, as a cassette's is none."""

    def __init__(self, inner):
        self.inner = inner

    async def handle_async_request(self, request):
        return await self.inner.handle_async_request(request)

    async def aclose(self):
        await self.inner.aclose()


class PassingTransports:
    offline = False

    def wrap_async(self, inner):
        return Passing(inner)


class Gateway:
    """A server in the test's own loop; `answer` writes what it says to one request."""

    def __init__(self, answer):
        self.answer = answer
        self.connections = self.open = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.alpn: list[str | None] = []

    @contextlib.asynccontextmanager
    async def serve(self, context=None):
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        scheme = "https" if context else "http"
        try:
            yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            server.close()

    async def _connected(self, reader, writer):
        self.connections += 1
        self.open += 1
        if tls := writer.get_extra_info("ssl_object"):
            self.alpn.append(tls.selected_alpn_protocol())
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                    self.bodies.append(await reader.readexactly(int(fields[b"content-length"])))
                    self.heads.append(head)
                    said = self.answer
                    if callable(said):
                        said = await said(self, reader, writer)
                    if said is None:
                        break
                    writer.write(said)
                    await writer.drain()
        finally:
            self.open -= 1
            writer.transport.abort()

    def headers(self, number=-1):
        """The headers of a request, by their names in lower case."""
        lines = self.heads[number].decode("latin-1").split("\r\n")[1:-2]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@contextlib.asynccontextmanager
async def sending(url, way="lean", connections=4, headers=None, settings=None):
    config = load_config(base_url=url, api_key=KEY, mode="live", **(settings or {}))
    clients = Clients(config, UsageLog("live"), PassingTransports() if way == "httpx2" else None)
    sender = open_sender(clients, config, connections=connections, headers=headers)
    assert type(sender) is (_LeanSender if way == "lean" else _HttpxSender)
    sender.clients, sender.config = clients, config
    try:
        yield sender
    finally:
        await sender.close()


def run(test, answer=OK, way="lean", context=None, **options):
    """Run a test with a gateway and a sender to it."""
    gateway = Gateway(answer)

    async def body():
        async with gateway.serve(context) as url, sending(url, way, **options) as sender:
            return await test(sender, gateway)

    return asyncio.run(body())


def post(sender, **options):
    return sender.post(BODY, **{"timeout_s": None, **options})


def response(content=b"{}", *lines, status="200 OK"):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


@both_ways
def test_a_reply_is_returned_as_it_is(way):
    said = response(b'{"a": 1}', "X-Request-ID: r1", "Content-Type: application/json; charset=utf-8")

    async def test(sender, gateway):
        reply = await post(sender)
        assert (reply.status, reply.content) == (200, b'{"a": 1}')
        assert {name: reply.headers[name] for name in ("x-request-id", "content-type")} == {
            "x-request-id": "r1",
            "content-type": "application/json; charset=utf-8",
        }
        assert all(name == name.lower() for name in reply.headers)
        assert gateway.bodies == [BODY]
        assert gateway.heads[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")

    run(test, said, way)


@both_ways
def test_the_headers_are_those_of_the_sdk(way, monkeypatch):
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)

    async def test(sender, gateway):
        # What the SDK itself sends, with the same settings.
        async with openai.AsyncOpenAI(**sdk_settings(sender.config)) as client:
            create = client.chat.completions.with_raw_response.create
            more = {"extra_headers": {"X-Run": "7"}, "timeout": 30.0}
            await create(model="m", messages=[], stream=False, **more)
        await post(sender, timeout_s=30.0)
        sdk, own = gateway.headers(0), gateway.headers(1)
        for headers in (sdk, own):
            for name in ("content-length", "x-stainless-raw-response", "accept-encoding"):
                headers.pop(name, None)
        assert own == sdk
        assert (own["authorization"], own["x-team"], own["x-run"]) == (f"Bearer {KEY}", "wind", "7")
        assert own["x-stainless-read-timeout"] == "30.0"
        await post(sender, retries=2)
        assert gateway.headers()["x-stainless-retry-count"] == "2"
        assert gateway.headers()["x-stainless-read-timeout"] == "600"
        text = b"".join(gateway.heads).lower()
        assert not [word for word in (b"wrong", b"evil", b"openai-organization", b"sk-", b"whsec") if word in text]

    run(test, OK, way, headers={"X-Run": "7"}, settings={"headers": {"X-Team": "wind"}})


@both_ways
def test_connections_are_used_again_and_bounded(way):
    most, at_once = 0, 0

    async def answer(gateway, reader, writer):
        nonlocal most, at_once
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return OK

    async def test(sender, gateway):
        for _ in range(5):
            await post(sender)
        assert gateway.connections == 1
        await asyncio.gather(*[post(sender) for _ in range(12)])
        assert len(gateway.bodies) == 17
        assert gateway.connections <= 3
        assert most <= 3

    run(test, answer, way, connections=3)


@both_ways
def test_a_redirect_is_not_followed(way):
    elsewhere = Gateway(OK)

    async def test(sender, gateway):
        async with elsewhere.serve() as other:
            gateway.answer = response(b"", f"Location: {other}", status="307 Temporary Redirect")
            reply = await post(sender)
            assert reply.status == 307
            error = status_error(sender.clients, BODY, reply)
            assert (type(error), error.status_code) == (openai.APIStatusError, 307)
        assert elsewhere.connections == 0

    run(test, OK, way)


REFUSALS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    413: openai.APIStatusError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}


@both_ways
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_the_sdks_own_error(way, status):
    said = gzip.compress(json.dumps({"error": {"message": "No.", "code": "c"}}).encode())
    lines = ("Retry-After: 7", "Content-Type: application/json", "Content-Encoding: gzip")

    async def test(sender, gateway):
        reply = await post(sender)
        error = status_error(sender.clients, BODY, reply)
        assert (type(error), error.code) == (REFUSALS[status], "c")
        assert str(error).startswith(f"Error code: {status} - ")
        assert "No." in str(error)
        assert error.response.headers["retry-after"] == "7"
        assert not is_out_of_quota(error)
        delay = RetryPolicy(max_retries=1).next(error)
        assert (delay.seconds if delay else None) == (7 if status in (409, 429, 500, 503) else None)
        # Neither the key nor the prompt.
        assert "authorization" not in error.request.headers
        assert error.request.content == b""

    run(test, response(said, *lines, status=f"{status} Said"), way)


PLAIN = b'{"text": "' + b"x" * 5_000 + b'"}'
RAW = zlib.compressobj(wbits=-15)
COMPRESSED = {
    "gzip": gzip.compress(PLAIN),
    "deflate": zlib.compress(PLAIN),
    "deflate ": RAW.compress(PLAIN) + RAW.flush(),
    "identity": PLAIN,
}


@both_ways
@pytest.mark.parametrize("encoding", COMPRESSED)
def test_bodies_are_decompressed(way, encoding):
    async def test(sender, gateway):
        assert (await post(sender)).content == PLAIN
        if way == "lean":  # which knows no other
            assert gateway.headers()["accept-encoding"] == "gzip, deflate"

    run(test, response(COMPRESSED[encoding], f"Content-Encoding: {encoding.strip()}"), way)


@pytest.mark.parametrize(
    ("content", "encoding", "says"),
    [
        (b"no gzip", "gzip", "compression is broken"),
        (COMPRESSED["gzip"][:-9], "gzip", "was cut"),
        (PLAIN, "br", "not asked for"),
        (gzip.compress(b"x" * 10_000), "gzip", "too large"),
        (zlib.compress(b"x" * 10_000), "deflate", "too large"),
    ],
    ids=["no gzip", "cut", "brotli", "too large", "deflate too large"],
)
def test_a_broken_compression_is_a_broken_connection(content, encoding, says, monkeypatch):
    monkeypatch.setattr(connection, "_MAX_BODY_BYTES", 9_000)

    async def test(sender, gateway):
        with pytest.raises(openai.APIConnectionError, match=says):
            await post(sender)

    run(test, response(content, f"Content-Encoding: {encoding}"))


CUTS = {
    "nothing": b"",
    "half a status line": b"HTTP/1.",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a short body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}",
}
MALFORMED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "another encoding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    "a header without colon": b"HTTP/1.1 200 OK\r\nX x\r\nContent-Length: 2\r\n\r\n{}",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


@both_ways
@pytest.mark.parametrize("name", [*CUTS, *MALFORMED])
def test_what_is_cut_or_malformed_is_never_a_short_reply(way, name):
    async def answer(gateway, reader, writer):
        writer.write({**CUTS, **MALFORMED}[name])
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            writer.write_eof()
            await reader.read()

    async def test(sender, gateway):
        with pytest.raises(openai.APIConnectionError) as info:
            await post(sender)
        assert type(info.value) is openai.APIConnectionError
        assert len(gateway.bodies) == 1  # a first request on its connection is not repeated
        assert "authorization" not in info.value.request.headers

    run(test, answer, way)


def test_a_reset_is_a_broken_connection():
    async def answer(gateway, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{")  # whose end is that of the connection
        await writer.drain()
        await until_async(lambda: gateway.reset)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def test(sender, gateway):
        gateway.reset = False
        asking = asyncio.create_task(post(sender))
        await until_async(lambda: [each for each in sender._pool._all if each.has_heard])
        gateway.reset = True
        with pytest.raises(openai.APIConnectionError):
            await asking

    run(test, answer)


def test_a_body_that_the_end_of_the_connection_ends():
    async def answer(gateway, reader, writer):
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n{}")
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async def test(sender, gateway):
        assert [(await post(sender)).content for _ in range(2)] == [b"{}", b"{}"]
        assert gateway.connections == 2

    run(test, answer)


@pytest.mark.parametrize(
    "said",
    [
        response(b"{}"),
        response(b"", status="204 No Content"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["length", "none", "chunked", "interim", "repeated"],
)
def test_where_the_bytes_are_split_makes_no_difference(said):
    class Transport:
        sent = b""

        def write(self, data):
            self.sent += data

        def get_write_buffer_size(self):
            return 0

        def is_closing(self):
            return False

        def abort(self):
            raise AssertionError("aborted")

    async def exchange(pieces):
        loop = asyncio.get_running_loop()
        line = connection._Connection(loop)
        line.connection_made(Transport())
        request = connection.h11.Request(
            method=b"POST", target=b"/", headers=[(b"Host", b"h"), (b"Content-Length", b"2")]
        )
        for _ in range(2):
            asked = asyncio.ensure_future(line.send(request, b"{}", None, None))
            await asyncio.sleep(0)
            for piece in pieces:
                line.data_received(piece)
            reply = await asked
            assert line.prepare_next()
        return reply

    async def body():
        whole = await exchange([said])
        assert whole[2] == (b"" if b"204" in said else b"{}")
        assert whole[1].get("x-a", "1, 2") == "1, 2"
        assert await exchange([said[at : at + 1] for at in range(len(said))]) == whole
        for at in range(1, len(said)):
            assert await exchange([said[:at], said[at:]]) == whole

    asyncio.run(body())


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (response(b"x" * 200), "too large"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"40\r\n"
            + b"x" * 64
            + b"\r\n"
            + b"40\r\n"
            + b"x" * 64,
            "large",
        ),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50, "not one to this request"),
    ],
    ids=["length", "chunks", "interim"],
)
def test_what_is_without_bounds_is_refused(said, says, monkeypatch):
    monkeypatch.setattr(connection, "_MAX_BODY_BYTES", 100)

    async def test(sender, gateway):
        with pytest.raises(openai.APIConnectionError, match=says):
            await post(sender)

    run(test, said)


@both_ways
def test_a_connection_that_the_gateway_closes_is_opened_anew(way):
    async def test(sender, gateway):
        for _ in range(3):
            assert (await post(sender)).status == 200
        assert gateway.connections == 3

    run(test, response(b"{}", "Connection: close"), way)


def test_what_may_have_been_read_is_not_sent_again_unasked():
    async def answer(gateway, reader, writer):
        return OK if len(gateway.bodies) in gateway.answered else None

    async def test(sender, gateway):
        gateway.answered = {1, 3}
        await post(sender)
        with pytest.raises(openai.APIConnectionError):
            await post(sender)  # read on the connection that was kept, and dropped
        assert (len(gateway.bodies), gateway.connections) == (2, 1)
        assert (await post(sender)).status == 200
        assert (len(gateway.bodies), gateway.connections) == (3, 2)

    run(test, answer)


CLOSED = {
    # The gateway closes it, and the loop has not looked since.
    "by the gateway": (lambda gateway, line: gateway.lines[0].shutdown(socket.SHUT_RDWR), 3),
    # The look comes too early, and then nothing can be written.
    "before the first byte": (
        lambda gateway, line: line._transport.get_extra_info("socket").shutdown(socket.SHUT_WR),
        0,
    ),
}


@pytest.mark.parametrize("how", CLOSED)
def test_a_connection_that_is_closed_unseen_costs_nothing(how, monkeypatch):
    close, looks = CLOSED[how]
    monkeypatch.setattr(connection, "_LOOKS", looks)

    async def answer(gateway, reader, writer):
        gateway.lines.append(writer.get_extra_info("socket"))
        return OK

    async def test(sender, gateway):
        gateway.lines = []
        await post(sender)
        (line,) = sender._pool._idle
        close(gateway, line)
        assert line.is_open
        assert (await post(sender)).status == 200
        assert (len(gateway.bodies), gateway.connections) == (2, 2)

    run(test, answer)


def test_what_was_begun_to_be_answered_is_not_sent_again():
    async def answer(gateway, reader, writer):
        if len(gateway.bodies) == 1:
            return OK
        writer.write(b"H")
        await writer.drain()

    async def test(sender, gateway):
        await post(sender)
        with pytest.raises(openai.APIConnectionError):
            await post(sender)
        assert (len(gateway.bodies), gateway.connections) == (2, 1)

    run(test, answer)


def test_an_idle_connection_that_was_closed_is_not_used():
    async def answer(gateway, reader, writer):
        writer.write(OK)
        await writer.drain()

    async def test(sender, gateway):
        for number in (1, 2, 3):
            await post(sender)
            await until_async(lambda: not [each for each in sender._pool._idle if each.is_open])
            assert (len(gateway.bodies), gateway.connections) == (number, number)

    run(test, answer)


def test_an_old_connection_is_not_used(clock):
    async def test(sender, gateway):
        await post(sender)
        clock.advance(4)
        await post(sender)
        assert gateway.connections == 1
        clock.advance(6)
        await post(sender)
        assert gateway.connections == 2

    run(test)


def test_bytes_that_nobody_asked_for_are_no_reply():
    other = response(b'"other"')

    async def answer(gateway, reader, writer):
        if len(gateway.bodies) == 1:
            return OK + other
        if len(gateway.bodies) == 2:
            writer.write(OK)
            await writer.drain()
            await until_async(lambda: gateway.go_on)
            return other
        return OK

    async def test(sender, gateway):
        gateway.go_on = False
        assert (await post(sender)).content == b"{}"
        assert (await post(sender)).content == b"{}"
        assert gateway.connections == 2
        gateway.go_on = True
        await until_async(lambda: not [each for each in sender._pool._idle if each.is_open])
        assert (await post(sender)).content == b"{}"
        assert gateway.connections == 3

    run(test, answer)


async def _says_nothing(gateway, reader, writer):
    await reader.read()


@pytest.mark.parametrize(("timeout_s", "limit_s"), [(None, 600), (7, 7)])
def test_a_silence_ends(clock, timeout_s, limit_s):
    async def test(sender, gateway):
        asking = asyncio.create_task(post(sender, timeout_s=timeout_s))
        await until_async(lambda: gateway.bodies)
        clock.advance(limit_s - 1)
        await asyncio.sleep(0)
        assert not asking.done()
        clock.advance(1)
        with pytest.raises(openai.APITimeoutError):
            await asking
        await until_async(lambda: not gateway.open)

    run(test, _says_nothing)


def test_what_comes_slowly_is_no_silence(clock):
    async def answer(gateway, reader, writer):
        for at in range(len(OK)):
            await until_async(lambda at=at: gateway.steps > at)
            writer.write(OK[at : at + 1])

    async def test(sender, gateway):
        gateway.steps = 0
        asking = asyncio.create_task(post(sender, timeout_s=7))
        await until_async(lambda: gateway.bodies)
        heard = []
        (line,) = sender._pool._all
        renew = line._renew_timeout
        line._renew_timeout = lambda: (renew(), heard.append(1))
        for step in range(len(OK)):
            clock.advance(5)
            gateway.steps = step + 1
            await until_async(lambda step=step: len(heard) > step)
        assert (await asking).content == b"{}"

    run(test, answer)


@both_ways
def test_blanks_are_no_sign_of_life(clock, way):
    """A gateway that only keeps the connection open is as silent as one that says nothing."""

    async def answer(gateway, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        for step in range(1, 100):
            await until_async(lambda step=step: gateway.steps >= step)
            writer.write(b"2\r\n \n\r\n")
            gateway.blanks = step

    async def test(sender, gateway):
        gateway.steps = gateway.blanks = 0
        asking = asyncio.create_task(post(sender, timeout_s=7))
        await until_async(lambda: gateway.bodies)
        for step in range(1, 100):
            gateway.steps = step
            await until_async(lambda step=step: asking.done() or gateway.blanks >= step)
            for _ in range(20):  # so that what was written is read
                await asyncio.sleep(0)
            if asking.done():
                break
            clock.advance(1)
        with pytest.raises(openai.APITimeoutError):
            await asking

    run(test, answer, way)


def test_a_silence_ends_with_httpx2_too():
    async def test(sender, gateway):
        with pytest.raises(openai.APITimeoutError):
            await post(sender, timeout_s=0.05)

    run(test, _says_nothing, "httpx2")


@pytest.mark.parametrize(("timeout_s", "limit_s"), [(None, 5), (60, 60)])
def test_a_connection_is_not_waited_for_long(clock, monkeypatch, timeout_s, limit_s):
    asked = []

    async def body():
        async def connect(*arguments, **options):
            asked.append(options)
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
        async with sending("http://127.0.0.1:9/v1") as sender:
            asking = asyncio.create_task(post(sender, timeout_s=timeout_s))
            await until_async(lambda: asked)
            clock.advance(limit_s - 1)
            await asyncio.sleep(0)
            assert not asking.done()
            clock.advance(1)
            with pytest.raises(openai.APITimeoutError):
                await asking

    asyncio.run(body())


@pytest.mark.parametrize(
    ("url", "host", "port", "named"),
    [
        ("http://[::1]:8000/v1", "::1", 8000, "[::1]:8000"),
        ("https://[::1]/v1", "::1", 443, "[::1]"),
        ("https://bücher.example/v1", "xn--bcher-kva.example", 443, "xn--bcher-kva.example"),
    ],
)
def test_hosts_are_named_as_each_step_needs_them(monkeypatch, url, host, port, named):
    asked = []

    async def body():
        async def connect(factory, *arguments, server_hostname, **options):
            asked.append((*arguments, server_hostname))
            raise OSError("no")

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
        async with sending(url) as sender:
            with pytest.raises(openai.APIConnectionError):
                await post(sender)
            assert dict(sender._prepared.headers(None, 0))[b"Host"] == named.encode()

    asyncio.run(body())
    assert asked == [(host, port, host if url.startswith("https") else None)]


@both_ways
def test_cancelling_closes_the_connection(way):
    async def test(sender, gateway):
        asking = asyncio.create_task(post(sender))
        await until_async(lambda: gateway.bodies)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until_async(lambda: not gateway.open)
        gateway.answer = OK
        assert (await post(sender)).status == 200
        assert gateway.connections == 2

    run(test, _says_nothing, way, connections=1)


@both_ways
def test_closing_leaves_no_socket(way):
    async def answer(gateway, reader, writer):
        if len(gateway.bodies) <= 2:
            await until_async(lambda: len(gateway.bodies) == 2)
            return OK
        await reader.read()

    async def test(sender, gateway):
        await asyncio.gather(post(sender), post(sender))
        waiting = asyncio.create_task(post(sender))
        await until_async(lambda: len(gateway.bodies) == 3)
        if way == "httpx2":  # whose pool leaves a request under way to its task
            waiting.cancel()
        await sender.close()
        assert way == "httpx2" or not sender._pool._all
        with pytest.raises((openai.APIConnectionError, asyncio.CancelledError)):
            await waiting
        await until_async(lambda: not gateway.open)
        with pytest.raises(openai.APIConnectionError):
            await post(sender)
        assert len(gateway.bodies) == 3

    run(test, answer, way)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def certified(authority, name="127.0.0.1"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(name).configure_cert(context)
    return context


@both_ways
def test_a_company_certificate_is_trusted_where_it_is_named(way, authority, monkeypatch, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async def test(sender, gateway):
        for _ in range(2):
            assert (await post(sender)).content == b"{}"
        assert (gateway.connections, gateway.alpn) == (1, ["http/1.1"])

    run(test, OK, way, certified(authority))


@both_ways
@pytest.mark.parametrize("flaw", ["unknown", "another host's"])
def test_a_certificate_is_checked(way, flaw, authority, monkeypatch, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if flaw != "unknown":
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async def test(sender, gateway):
        with pytest.raises(openai.APIConnectionError) as info:
            await post(sender)
        annotate(info.value, base_url="https://127.0.0.1/v1", key=KEY)
        assert "certificate" in info.value.__notes__[0]
        assert gateway.bodies == []

    context = certified(authority, "127.0.0.1" if flaw == "unknown" else "other.example")
    run(test, OK, way, context)


def test_a_wrong_certificate_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))

    async def test(sender, gateway):
        raise AssertionError("made all the same")

    with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        run(test)


@both_ways
@pytest.mark.parametrize("header", [("X-A", "1\r\nX-B: 2"), ("X-A\r\nX-B", "2"), ("X-A", "1\n"), ("X-A", "1\0")])
def test_no_header_holds_a_line_break(way, header):
    async def test(sender, gateway):
        raise AssertionError("made all the same")

    with pytest.raises(ConfigError, match="line break") as info:
        run(test, OK, way, headers=dict([header]))
    assert "X-" not in str(info.value)


@both_ways
def test_no_header_changes_the_framing(way):
    async def test(sender, gateway):
        await post(sender)
        assert gateway.headers()["content-length"] == str(len(BODY))
        assert not {"transfer-encoding", "expect", "upgrade"} & gateway.headers().keys()
        assert gateway.heads[0].lower().count(b"content-length") == 1

    sly = {"Content-Length": "1", "Transfer-Encoding": "chunked", "Expect": "100-continue", "Upgrade": "h2c"}
    run(test, OK, way, headers=sly)


@both_ways
def test_a_large_body_is_sent_whole(way):
    large = b'"' + b"x" * 3_000_000 + b'"'

    async def test(sender, gateway):
        assert (await sender.post(large, timeout_s=60)).status == 200
        assert gateway.bodies == [large]

    run(test, OK, way)


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, _LeanSender),
        ({"HTTPS_PROXY": "http://127.0.0.1:9"}, _HttpxSender),
        ({"ALL_PROXY": "http://127.0.0.1:9"}, _HttpxSender),
        ({"HTTP_PROXY": "http://127.0.0.1:9"}, _LeanSender),
        ({"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "ambersearch.de"}, _LeanSender),
        ({"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "other.example"}, _HttpxSender),
        ({"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "*"}, _LeanSender),
    ],
)
def test_a_proxy_is_httpx2s_business(monkeypatch, variables, kind, elsewhere):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    async def body():
        config = load_config(domain="acme", api_key=KEY, mode="live")
        sender = open_sender(Clients(config, UsageLog("live")), config, connections=2)
        await sender.close()
        assert type(sender) is kind

    asyncio.run(body())


def test_the_simulator_answers_in_the_process(fast_clock, elsewhere):
    async def body():
        config = load_config(mode="simulate")
        log = UsageLog("simulate")
        sender = open_sender(Clients(config, log), config, connections=2)
        asked = {"model": config.model, "messages": [{"role": "user", "content": "Hello!"}], "stream": False}
        reply = await sender.post(json.dumps(asked).encode(), timeout_s=None)
        await sender.close()
        assert log.rows == []
        return read_reply(reply.content, reply.headers["content-type"]).text

    assert asyncio.run(body()) == "Hello! How can I help you today?"


def test_a_missing_recording_is_told_as_such(elsewhere):
    class Missing(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            raise CassetteMiss("nothing is recorded")

    class Offline:
        offline = True

        def wrap_async(self, inner):
            assert inner is None
            return Missing()

    async def body():
        (elsewhere / "c.jsonl").write_text("")
        config = load_config(mode="replay", cassette="c.jsonl")
        sender = open_sender(Clients(config, UsageLog("replay"), Offline()), config, connections=2)
        with pytest.raises(CassetteMiss):
            await post(sender)
        await sender.close()

    asyncio.run(body())


GZIP = {"content-encoding": "gzip"}


def test_a_response_that_breaks_is_closed(elsewhere):
    class Broken(httpx2.AsyncByteStream):
        closed = False

        async def __aiter__(self):
            yield b"no gzip"
            yield b"and more"

        async def aclose(self):
            Broken.closed = True

    class Offline:
        offline = True

        def wrap_async(self, inner):
            return httpx2.MockTransport(lambda _: httpx2.Response(200, headers=GZIP, stream=Broken()))

    async def body():
        config = load_config(base_url="http://127.0.0.1:9/v1", api_key=KEY, mode="live")
        sender = open_sender(Clients(config, UsageLog("live"), Offline()), config, connections=2)
        with pytest.raises(openai.APIConnectionError):
            await post(sender)
        assert Broken.closed
        await sender.close()

    asyncio.run(body())


def test_a_header_that_http_does_not_know_is_no_request():
    async def test(sender, gateway):
        with pytest.raises(openai.APIConnectionError, match="a header cannot be sent"):
            await post(sender)
        assert gateway.connections == 0

    run(test, headers={"X A": "1"})


def test_a_connection_that_is_lost_says_so_to_a_request_that_comes_too_late():
    async def body():
        line = connection._Connection(asyncio.get_running_loop())
        line.connection_lost(None)
        request = connection.h11.Request(
            method=b"POST", target=b"/", headers=[(b"Host", b"h"), (b"Content-Length", b"0")]
        )
        with pytest.raises(BrokenExchange, match="was closed"):
            await line.send(request, b"", None, None)

    asyncio.run(body())
