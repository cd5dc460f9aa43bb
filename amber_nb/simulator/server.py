"""The HTTP door of the simulator: a real server on 127.0.0.1 that streams chunk by chunk."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from .. import clock
from .door import Door
from .errors import ApiError
from .exchange import BROKEN_OFF
from .pace import delays
from .reply import (
    BASE_PATH,
    MAX_BODY_BYTES,
    Dialect,
    Request,
    Response,
    error_response,
    respond,
    too_large,
)

__all__ = ["Server"]

_PREFIXES = (BASE_PATH, "/v1")
_IDLE_S = 60.0  # a client that neither sends nor reads for so long is let go
_LINGER_S = 1.0
_LOOK_S = 0.1  # how often a long pause looks whether anybody is still there
_POLL_S = 0.02
_ARRIVE_S = 0.05  # before a reset, which may overtake what was sent


class Server:
    """Serves the simulator on 127.0.0.1.

    Args:
        port: 0 picks a free one.
        dialect: see `respond`.
        chunks_per_s: how fast a stream comes; 0 does not wait.
        max_body_bytes: a longer request body is refused with 413, unread.
        drift: see `respond`.
        log: called with one line for each request: method, path, status; never a body or a key.

    Example:
        with Server(port=0) as server:
            print(server.base_url)
    """

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
        self._door = Door(port, _Handler, dialect, chunks_per_s, max_body_bytes, drift, log)
        self._thread: threading.Thread | None = None
        self._ran = False

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._door.server_address[1]}{BASE_PATH}"

    def start(self) -> Self:
        """Serve in a daemon thread."""
        if self._thread is None:
            self._ran = True
            self._thread = threading.Thread(target=self._serve, name="amber-simulator", daemon=True)
            self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve in this thread until `close` is called from another one, or an interrupt."""
        self._ran = True
        self._serve()

    def _serve(self) -> None:
        self._door.serve_forever(poll_interval=_POLL_S)

    def close(self) -> None:
        """Stop at once, streams under way included; no thread and no socket is left."""
        self._door.closing.set()
        if self._ran:  # `shutdown` waits for a loop, and would wait for ever for one that never began
            self._door.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._door.server_close()
        self._door.hang_up()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    server: Door
    protocol_version = "HTTP/1.1"
    server_version = "amber-simulator"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = _IDLE_S

    def _answer(self) -> None:
        try:
            body = self._read_body()
        except ApiError as error:
            self._refuse(error)
            return
        if body is None:
            self.close_connection = True
            return
        self._send(self._respond(body))

    do_GET = do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def _respond(self, body: bytes) -> Response:
        path = urlsplit(self.path).path if "://" in self.path else self.path.partition("?")[0]
        for prefix in _PREFIXES:
            if path.startswith(prefix + "/"):
                path = path.removeprefix(prefix)
                break
        else:
            path = "/unknown" + path  # a route that `respond` does not have
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, headers, body)
        try:
            return respond(
                request,
                dialect=self.server.dialect,
                max_body_bytes=self.server.max_body_bytes,
                drift=self.server.drift,
            )
        except Exception as error:  # a fault of the simulator: the client hears of it as of any server's
            text = f"The simulator failed: {type(error).__name__}."
            return error_response(ApiError(500, text, code="internal_error"), dialect=self.server.dialect)

    def _length(self) -> int:
        """Give the length of the body that is to come.

        Raises:
            ApiError: when it is missing, no number, or over the limit.
        """
        if self.headers.get("transfer-encoding"):
            raise ApiError(411, "Send the body with a Content-Length, not in chunks.", code="length_required")
        lengths = set(self.headers.get_all("content-length", []))
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

    def _read_body(self) -> bytes | None:
        """Read the body; None when the client goes away before it is complete."""
        length = self._length()
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def handle_expect_100(self) -> bool:
        """Let a client send its body only when it will be read."""
        try:
            self._length()
        except ApiError as error:
            self._refuse(error)
            return False
        return super().handle_expect_100()

    def _refuse(self, error: ApiError) -> None:
        """Send a refusal with the body unread, and close: what still comes on this connection is no request."""
        self.close_connection = True
        self._send(error_response(error, dialect=self.server.dialect))
        # Closing with unread bytes resets the connection, and the client may lose the refusal: read on for a moment.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_S)
            for _ in range(1_000):
                if self.server.closing.is_set() or not self.connection.recv(65_536):
                    break

    def _send(self, response: Response) -> None:
        self._note(response.status)
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
            missing = BROKEN_OFF if response.cut else 0
            self.send_header("Content-Length", str(len(response.body) + missing))
        if self.close_connection and not response.cut:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        if response.events is None:
            self.wfile.write(response.body)
        else:
            self._stream(response.events, chunked, ends=not response.cut)
        if response.cut == "reset":
            self._reset()

    def _stream(self, events: Iterable[bytes | float], chunked: bool, *, ends: bool) -> None:
        for wait, event in delays(events, self.server.chunks_per_s):
            if (wait and not self._pause(wait)) or self.server.closing.is_set():
                self.close_connection = True
                return
            if event:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
        if chunked and ends:
            self.wfile.write(b"0\r\n\r\n")

    def _pause(self, seconds: float) -> bool:
        """Wait, unless the server closes or the client goes away; whether there is somebody to go on for."""
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

    def _reset(self) -> None:
        """Break the connection the hard way: no goodbye, a reset."""
        clock.sleep(_ARRIVE_S)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())  # `close` would wait for the files that were made of it

    def handle(self) -> None:
        """Serve one connection; a client that goes away ends it quietly."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no HTTP request that we know, in OpenAI's format like every other refusal."""
        self.close_connection = True
        if not hasattr(self, "headers") or code != HTTPStatus.NOT_IMPLEMENTED:
            self.request_version = "HTTP/1.1"  # the base class takes a bad request line for HTTP/0.9
        if code == HTTPStatus.NOT_IMPLEMENTED:
            error = ApiError(
                405, f"Not allowed to {self.command[:20]}.", code="method_not_supported", allow="GET, POST"
            )
        else:
            error = ApiError(code, message or HTTPStatus(code).phrase, code="bad_request")
        self._refuse(error)

    def _note(self, status: int) -> None:
        if self.server.log is not None:
            path = getattr(self, "path", "").partition("?")[0][:200]
            line = f"{getattr(self, 'command', None) or '?'} {path} {status}"
            self.server.log("".join(c if c.isprintable() else "?" for c in line))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on stderr; see `Server(log=…)`."""
