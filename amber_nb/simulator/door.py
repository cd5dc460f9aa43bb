"""The listening socket of the simulator's server, and a thread for each of its connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .reply import Dialect

__all__ = ["Door"]


class Door(ThreadingHTTPServer):
    """Listens on 127.0.0.1, and knows which connections are open, so that it can end them at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        handler: type[BaseHTTPRequestHandler],
        dialect: Dialect,
        chunks_per_s: float,
        max_body_bytes: int,
        drift: int,
        log: Callable[[str], None] | None,
    ) -> None:
        self.dialect: Dialect = dialect
        self.chunks_per_s = chunks_per_s
        self.max_body_bytes = max_body_bytes
        self.drift = drift
        self.log = log
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), handler)

    def server_bind(self) -> None:
        # HTTPServer looks its own name up in the DNS here, which can take seconds and says nothing we need.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self._talk, args=(request, client_address), name="amber-simulator-connection", daemon=True
        )
        with self._lock:
            self._open[thread] = request
        thread.start()

    def _talk(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be quiet about clients that go away; a fault of ours is answered where it happens."""

    def hang_up(self) -> None:
        """Cut every open connection and wait for its thread."""
        with self._lock:
            still = dict(self._open)
        for connection in still.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in still:
            thread.join()
