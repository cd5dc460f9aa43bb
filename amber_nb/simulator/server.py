"""The simulator's HTTP server on 127.0.0.1; a stream is sent chunk by chunk."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from .. import clock
from .api import (
    BASE_PATH,
    EXCESS_BYTES,
    MAX_BODY_BYTES,
    MCP_PATH,
    ApiError,
    Dialect,
    Request,
    Response,
    delays,
    relative_path,
    too_large,
)
from .handler import respond

__all__ = ["Server"]

_PREFIXES = (BASE_PATH, "/v1")
_IDLE_S = 60.0  # a client that neither sends nor reads for so long is dropped
_LINGER_S = 1.0
_LOOK_S = 0.1  # how often a long pause looks whether the client is still there
_MAX_LINE_BYTES = 4_096  # of a chunk's size, or of a trailer
_MAX_TRAILERS = 100
_BEFORE_RESET_S = 0.05  # a reset may overtake what was sent just before


class Server(ThreadingHTTPServer):
    """Serve the simulator over HTTP on 127.0.0.1.

    Args:
        port: TCP port; 0 picks a free one.
        dialect: see `respond`.
        chunks_per_s: events a second of a stream; 0 does not wait.
        max_body_bytes: a longer request body is refused with 413, unread.
        drift: see `respond`.
        log: called with a line for each request: method, path, status; never a body or a key.

    Example:
        with Server(port=0) as server:
            print(server.base_url)
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        *,
        port: int = 0,
        dialect: Dialect = "openai",
        chunks_per_s: float = 0.0,
        max_body_bytes: int = MAX_BODY_BYTES,
        drift: int = 0,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.dialect = dialect
        self.chunks_per_s = chunks_per_s
        self.max_body_bytes = max_body_bytes
        self.drift = drift
        self.log = log
        self.closing = threading.Event()
        self.connections: dict[threading.Thread, socket.socket] = {}  # open ones, to be ended at once
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._started = False
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def base_url(self) -> str:
        """The base URL for a client, with the port."""
        return f"http://127.0.0.1:{self.server_port}{BASE_PATH}"

    @property
    def mcp_url(self) -> str:
        """The URL of the MCP server, with the port."""
        return f"http://127.0.0.1:{self.server_port}{MCP_PATH}"

    def start(self) -> Self:
        """Serve in a daemon thread, and return the server."""
        if self._thread is None:
            self._started = True
            self._thread = threading.Thread(target=self.serve_forever, name="amber-simulator", daemon=True)
            self._thread.start()
        return self

    def serve_forever(self, poll_interval: float = 0.02) -> None:
        """Serve in this thread until another one calls `close`, or an interrupt comes."""
        self._started = True
        super().serve_forever(poll_interval)

    def close(self) -> None:
        """Stop at once, running streams included, and leave no thread and no socket."""
        self.closing.set()
        if self._started:  # `shutdown` waits for the serving loop, and would wait for ever if it never ran
            self.shutdown()
        if self._thread is not None:
            self._thread.join()
        self.server_close()
        with self._lock:
            connections = dict(self.connections)
        for connection in connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    def server_bind(self) -> None:
        # HTTPServer looks its own name up in the DNS here, which can take seconds and is not needed.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        name = "amber-simulator-connection"
        thread = threading.Thread(target=self._connect, args=(request, client_address), name=name, daemon=True)
        with self._lock:
            self.connections[thread] = request
        thread.start()

    def _connect(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            with self._lock:
                self.connections.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about a client that leaves; the simulator's own faults are answered where they happen."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "amber-simulator"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = _IDLE_S

    def _handle_request(self) -> None:
        try:
            length = self._body_length()
            body = self._read_chunks() if length is None else self.rfile.read(length)
        except ApiError as error:
            self._refuse(error)
            return
        if body is None or (length is not None and len(body) < length):  # the client has left
            self.close_connection = True
        else:
            self._send(self._respond(body))

    do_GET = do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle_request

    def _respond(self, body: bytes) -> Response:
        path = urlsplit(self.path).path if "://" in self.path else self.path.partition("?")[0]
        path = relative_path(path, _PREFIXES)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            return respond(
                Request(self.command, path, headers, body),
                dialect=self.server.dialect,
                max_body_bytes=self.server.max_body_bytes,
                drift=self.server.drift,
            )
        except Exception as error:  # a bug of the simulator: the client gets a 500, as from any server
            text = f"The simulator failed: {type(error).__name__}."
            return ApiError(500, text, code="internal_error").response(self.server.dialect)

    def _body_length(self) -> int | None:
        """Return the length of the body in bytes, None for one that comes in chunks, or refuse it."""
        lengths = set(self.headers.get_all("content-length", []))
        codings = self.headers.get_all("transfer-encoding", [])
        if codings:
            # RFC 9112, 6.1: both at once, or a transfer coding that is not known, may hide a second request.
            if lengths or [coding.strip().lower() for coding in codings] != ["chunked"]:
                text = "Send the body with a Content-Length, or with Transfer-Encoding: chunked alone."
                raise ApiError(400, text, code="invalid_header")
            return None
        if not lengths:
            if self.command in ("POST", "PUT", "PATCH"):
                raise ApiError(411, "The Content-Length header is missing.", code="length_required")
            return 0
        text = lengths.pop()
        if lengths or re.fullmatch(r"[0-9]{1,18}", text) is None:
            raise ApiError(400, "The Content-Length header is not a number.", code="invalid_header")
        if int(text) > self.server.max_body_bytes:
            raise too_large(self.server.max_body_bytes)
        return int(text)

    def _read_chunks(self) -> bytes | None:
        """Return a body that comes in chunks, None where it ends within; refuse one that is malformed or too large."""
        malformed = ApiError(400, "The chunks of the body are malformed.", code="bad_request")
        body = bytearray()
        while True:
            line = self.rfile.readline(_MAX_LINE_BYTES)
            size = line.partition(b";")[0].strip()
            if not line.endswith(b"\n"):
                if len(line) < _MAX_LINE_BYTES:
                    return None
                raise malformed
            if re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size) is None:
                raise malformed
            count = int(size, 16)
            if len(body) + count > self.server.max_body_bytes:
                raise too_large(self.server.max_body_bytes)
            if not count:
                break
            piece = self.rfile.read(count)
            if len(piece) < count:
                return None
            body += piece
            if self.rfile.readline(3).strip(b"\r\n"):
                raise malformed
        for _ in range(_MAX_TRAILERS):
            line = self.rfile.readline(_MAX_LINE_BYTES)
            if not line.strip(b"\r\n"):
                return bytes(body)
        raise malformed

    def handle_expect_100(self) -> bool:
        """Let a client send its body only if it will be read."""
        try:
            self._body_length()
        except ApiError as error:
            self._refuse(error)
            return False
        return super().handle_expect_100()

    def _refuse(self, error: ApiError) -> None:
        """Send a refusal with the body unread, and close: what still comes on this connection is no request."""
        self.close_connection = True
        self._send(error.response(self.server.dialect))
        # Closing with unread bytes resets the connection, and the client may lose the refusal: read on for a moment.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_S)
            for _ in range(1_000):
                if self.server.closing.is_set() or not self.connection.recv(65_536):
                    break

    def _send(self, response: Response) -> None:
        self._log_status(response.status)
        if response.wait_s and not self._pause(response.wait_s):
            self.close_connection = True
            return
        chunked = response.events is not None and self.request_version != "HTTP/1.0"
        if self.server.closing.is_set() or response.cut or (response.events is not None and not chunked):
            self.close_connection = True
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif response.events is None and response.status != HTTPStatus.NO_CONTENT:
            excess = EXCESS_BYTES if response.cut else 0
            self.send_header("Content-Length", str(len(response.body) + excess))
        if self.close_connection and not response.cut:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        if response.events is None:
            self.wfile.write(response.body)
        else:
            self._stream(response.events, chunked, end=not response.cut)
        if response.cut == "reset":
            clock.sleep(_BEFORE_RESET_S)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socket.close(self.connection.detach())  # `close` would wait for the file objects of this socket

    def _stream(self, events: Iterable[bytes | float], chunked: bool, *, end: bool) -> None:
        for wait_s, event in delays(events, self.server.chunks_per_s):
            if (wait_s and not self._pause(wait_s)) or self.server.closing.is_set():
                self.close_connection = True
                return
            if event:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
        if chunked and end:
            self.wfile.write(b"0\r\n\r\n")

    def _pause(self, seconds: float) -> bool:
        """Wait; return False as soon as the server closes or the client leaves."""
        if seconds <= _LOOK_S:
            return not clock.wait(self.server.closing, seconds)
        end = clock.monotonic() + seconds
        while (left := end - clock.monotonic()) > 0:
            if clock.wait(self.server.closing, min(left, _LOOK_S)):
                return False
            if select.select([self.connection], [], [], 0)[0]:
                try:
                    if not self.connection.recv(1, socket.MSG_PEEK):
                        return False
                except OSError:
                    return False
        return True

    def handle(self) -> None:
        """Serve one connection; print nothing if the client leaves."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a malformed HTTP request in OpenAI's error format."""
        self.close_connection = True
        if not hasattr(self, "headers") or code != HTTPStatus.NOT_IMPLEMENTED:
            self.request_version = "HTTP/1.1"  # the base class takes a bad request line for HTTP/0.9
        if code == HTTPStatus.NOT_IMPLEMENTED:
            text = f"Not allowed to {self.command[:20]}."
            error = ApiError(405, text, code="method_not_supported", allow="GET, POST")
        else:
            error = ApiError(code, message or HTTPStatus(code).phrase, code="bad_request")
        self._refuse(error)

    def _log_status(self, status: int) -> None:
        if self.server.log is not None:
            path = getattr(self, "path", "").partition("?")[0][:200]
            line = f"{getattr(self, 'command', None) or '?'} {path} {status}"
            self.server.log("".join(c if c.isprintable() else "?" for c in line))

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing to stderr; see `Server(log=…)`."""
