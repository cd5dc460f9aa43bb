"""HTTP/1.1 connections that are kept for the next request: h11's parser on asyncio's transports, and nothing else.

For requests whose body is ready and whose reply is read whole: of 0.2 ms of CPU that one costs, h11 takes a quarter.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import selectors
import ssl
import zlib
from collections.abc import Mapping
from typing import cast

import h11

from .. import clock

__all__ = ["BrokenExchange", "ConnectionPool", "NoConnection"]

_MAX_HEAD_BYTES = 100 * 1024
_MAX_BODY_BYTES = 64 * 1024 * 1024  # as it comes, and decompressed
_MAX_INTERIM = 20  # responses of status 1xx before the one that counts
_IDLE_S = 5.0  # after which a connection is not used again: the gateway may be about to close it
_LOOKS = 3  # at an idle connection on which something has come, before the loop has read it
_SECOND_ADDRESS_S = 0.25  # after which the next address of a host is tried as well, as RFC 8305 says

# Of those that every system has, the cheapest for a single look.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)

Reply = tuple[int, Mapping[str, str], bytes]
Headers = list[tuple[bytes, bytes]]


class NoConnection(Exception):
    """There is no connection; the cause says why."""


class BrokenExchange(Exception):
    """The connection broke, or what came is not HTTP; the message says how."""


class ConnectionPool:
    """Connections to one host, each for one request at a time.

    Args:
        host: a name in ASCII, or an address.
        port: of TCP.
        target: the path and the query of each request.
        context: of TLS, None for none.
        connections: how many there may be at once.
    """

    def __init__(
        self, *, host: str, port: int, target: bytes, context: ssl.SSLContext | None, connections: int
    ) -> None:
        self._host = host
        self._port = port
        self._target = target
        self._context = context
        # Of an address there is one: then asyncio's race of addresses, which may lose a socket when it is cancelled in
        # the moment of its end, has nothing to do.
        self._second_address_s = None if _is_address(host) else _SECOND_ADDRESS_S
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []  # the last one is used first, so that the others may go
        self._all: set[_Connection] = set()
        self._is_closed = False

    async def post(self, headers: Headers, body: bytes, *, connect_s: float | None, silence_s: float | None) -> Reply:
        """Send a request, and return status, headers and body of the response.

        Args:
            headers: without the length of the body.
            body: of the request.
            connect_s: how long a connection may take, None for no limit.
            silence_s: how long nothing may come, None for no limit.

        Raises:
            TimeoutError: one of the limits is reached.
            NoConnection: the host cannot be reached, or its certificate is refused.
            BrokenExchange: the response is not whole, or not HTTP.
        """
        try:
            request = h11.Request(
                method=b"POST",
                target=self._target,
                headers=[*headers, (b"Content-Length", b"%d" % len(body))],
            )
        except h11.LocalProtocolError as error:
            raise BrokenExchange("a header cannot be sent") from error
        async with self._slots:
            self._raise_if_closed()
            connection = self._take_idle()
            if connection is not None and await connection.is_usable():
                try:
                    return await self._exchange(connection, request, body, silence_s)
                except BrokenExchange:
                    # What was sent may have been read, and is paid for: whoever asks decides whether to send it again.
                    if connection.has_sent:
                        raise
            connection = await self._connect(connect_s)
            return await self._exchange(connection, request, body, silence_s)

    async def close(self) -> None:
        """Close all connections, and those on which a request waits, too."""
        self._is_closed = True
        for connection in self._all:
            connection.abort()
        if self._all:
            await asyncio.wait([connection.lost for connection in self._all])

    def _take_idle(self) -> _Connection | None:
        oldest = clock.monotonic() - _IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self, connect_s: float | None) -> _Connection:
        self._raise_if_closed()
        loop = asyncio.get_running_loop()
        connection = _Connection(loop)
        try:
            async with clock.timeout(connect_s):
                await loop.create_connection(
                    lambda: connection,
                    self._host,
                    self._port,
                    ssl=self._context,
                    server_hostname=self._host if self._context else None,
                    happy_eyeballs_delay=self._second_address_s,
                )
        except TimeoutError:
            connection.abort()
            raise
        except (OSError, ssl.SSLError) as error:
            raise NoConnection("the gateway cannot be reached") from error
        except BaseException:
            connection.abort()
            raise
        self._all.add(connection)
        connection.lost.add_done_callback(lambda _: self._all.discard(connection))
        if self._is_closed:
            connection.abort()
        self._raise_if_closed()
        return connection

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise NoConnection("the sender was closed")

    async def _exchange(
        self, connection: _Connection, request: h11.Request, body: bytes, silence_s: float | None
    ) -> Reply:
        try:
            async with clock.timeout(silence_s) as timeout:
                reply = await connection.send(request, body, timeout, silence_s)
        except BaseException:
            connection.abort()
            raise
        if connection.prepare_next():
            self._idle.append(connection)
        else:
            connection.abort()
        status, headers, content = reply
        if encoding := headers.get("content-encoding"):
            content = _decompress(content, encoding)
        return status, headers, content


def _is_readable(transport: asyncio.Transport) -> bool:
    """Return whether something has come that was not read, such as the end of the connection."""
    socket = transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return False
    with _Selector() as selector:
        selector.register(socket, selectors.EVENT_READ)
        return bool(selector.select(0))


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


class _Connection(asyncio.Protocol):
    """One connection, and the exchange on it.

    Attributes:
        has_heard: whether anything came since the last request was sent.
        has_sent: whether any of the last request may have left this machine.
        idle_since: when the last exchange ended.
        is_open: whether another request may be sent.
        lost: done when the socket is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.has_heard = False
        self.has_sent = False
        self.idle_since = 0.0
        self.is_open = False
        self.lost: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._reply: asyncio.Future[Reply] | None = None
        self._head: h11.Response | None = None
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._interim = 0
        self._timeout: clock.Timeout | None = None
        self._silence_s = 0.0

    async def send(self, request: h11.Request, body: bytes, timeout: clock.Timeout, silence_s: float | None) -> Reply:
        """Send a request, and return the response, its body not decompressed.

        Args:
            request: with the length of the body.
            body: of the request.
            timeout: moved on with all that comes.
            silence_s: by how much.

        Raises:
            BrokenExchange: the response is not whole, or not HTTP.
        """
        self.has_heard = self.has_sent = False
        self._head, self._pieces, self._bytes, self._interim = None, [], 0, 0
        if silence_s is not None:
            self._timeout, self._silence_s = timeout, silence_s
        if not self.is_open or self._transport is None:
            raise BrokenExchange("the connection was closed")
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._reply = reply
        head: bytes = self._parser.send(request) or b""
        self._parser.send(h11.Data(data=body))  # which tells the parser how much of the body is sent
        self._parser.send(h11.EndOfMessage())
        self._transport.write(head + body)
        # A transport writes at once what it can; where the first try fails, it closes, and nothing has left.
        self.has_sent = not self._transport.is_closing()
        try:
            return await reply
        finally:
            self._reply = self._timeout = None

    async def is_usable(self) -> bool:
        """Return whether this idle connection is still open, also by what the loop has not taken note of yet."""
        for _ in range(_LOOKS):
            if self._transport is None or not _is_readable(self._transport):
                break
            await clock.sleep_async(0)  # the end of the connection, or what TLS says for itself
        if not self.is_open:
            self.abort()
        return self.is_open

    def prepare_next(self) -> bool:
        """Return whether another request may be sent, now that a reply is whole."""
        parser, transport = self._parser, self._transport
        done = parser.our_state is h11.DONE and parser.their_state is h11.DONE and not parser.trailing_data[0]
        # A gateway that replied before it had the whole request may not read the rest.
        if not (done and self.is_open) or transport is None or transport.get_write_buffer_size():
            return False
        parser.start_next_cycle()
        self.idle_since = clock.monotonic()
        return True

    def abort(self) -> None:
        """Close the socket at once."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._reply is None or self._reply.done():
            return self.abort()  # nobody asked
        self.has_heard = True
        if self._head is None:
            self._renew_timeout()
        self._parser.receive_data(data)
        self._read()

    def resume_writing(self) -> None:
        self._renew_timeout()  # a large body was on its way: only now the gateway can think

    def eof_received(self) -> None:
        self.is_open = False
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if error is not None:
            self._fail("the connection broke", error)
        else:
            self._end()
        self._fail("the connection was closed")
        if not self.lost.done():
            self.lost.set_result(None)

    def _renew_timeout(self) -> None:
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.extend(self._silence_s)

    def _end(self) -> None:
        """Read to the end what the gateway ends by closing the connection."""
        if self._reply is None or self._reply.done():
            return
        if self._head is None:
            self._fail("the gateway closed the connection before it replied")
        elif self._parser.their_state is h11.SEND_BODY:
            self._parser.receive_data(b"")
            self._read()

    def _read(self) -> None:
        try:
            while (event := self._parser.next_event()) is not h11.NEED_DATA:
                if type(event) is h11.Data:
                    self._bytes += len(event.data)
                    if self._bytes > _MAX_BODY_BYTES:
                        return self._fail("the reply is too large")
                    self._pieces.append(event.data)
                    if not event.data.isspace():  # by blanks a gateway only keeps the connection open
                        self._renew_timeout()
                elif type(event) is h11.Response:
                    self._head = event
                elif type(event) is h11.EndOfMessage:
                    return self._finish()
                elif type(event) is h11.InformationalResponse and self._interim < _MAX_INTERIM:
                    self._interim += 1
                else:
                    return self._fail("the reply is not one to this request")
        except h11.RemoteProtocolError as error:
            self._fail("the reply was cut, or is not HTTP", error)

    def _finish(self) -> None:
        if self._head is None or self._reply is None or self._reply.done():
            return
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._head.headers:  # whose names are in lower case
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._reply.set_result((self._head.status_code, headers, b"".join(self._pieces)))

    def _fail(self, reason: str, cause: Exception | None = None) -> None:
        if self._reply is not None and not self._reply.done():
            error = BrokenExchange(reason)
            error.__cause__ = cause
            self._reply.set_exception(error)
        self.abort()


def _decompress(content: bytes, encodings: str) -> bytes:
    """Return a body without the compressions that its header names.

    Raises:
        BrokenExchange: one of them is broken, was not asked for, or hides more than a reply may hold.
    """
    for encoding in reversed([each.strip().lower() for each in encodings.split(",")]):
        if encoding in ("", "identity"):
            continue
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise BrokenExchange("the reply is compressed in a way that was not asked for")
        if content:
            content = _inflate(content, is_deflate=encoding == "deflate")
    return content


def _inflate(content: bytes, *, is_deflate: bool) -> bytes:
    # Some send deflate without the header of zlib.
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS) if is_deflate else (zlib.MAX_WBITS | 16,):
        decompressor = zlib.decompressobj(bits)
        try:
            plain = decompressor.decompress(content, _MAX_BODY_BYTES)
        except zlib.error:
            continue
        if decompressor.eof:
            return plain
        raise BrokenExchange("the reply is too large" if decompressor.unconsumed_tail else "the reply was cut")
    raise BrokenExchange("the reply's compression is broken")
