"""A gateway on 127.0.0.1 that says exactly what a test has it say: any bytes, in any pieces, at any pace."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["DONE", "Said", "chunk", "serve", "spoken"]

DONE = b"data: [DONE]\n\n"


@dataclass
class Said:
    """What the gateway says to one request. Each piece travels as one chunk of the HTTP body, as soon as it comes."""

    pieces: Iterable[bytes]
    status: int = 200
    kind: str = "text/event-stream"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **head: Any) -> bytes:
    """One event of a stream. Its JSON is ASCII, so a lone surrogate travels as an escape."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return (
        b"data: " + json.dumps({"id": "c", "created": 1, "model": "m", "choices": [choice], **head}).encode() + b"\n\n"
    )


def spoken(text: str, size: int, **head: Any) -> Iterator[bytes]:
    """The events of a whole reply, `size` characters in each."""
    for at in range(0, len(text), size):
        yield chunk({"content": text[at : at + size]}, **head)
    yield chunk(finish="stop", **head)
    yield DONE


@contextlib.contextmanager
def serve(reply: Callable[[str], Said], bodies: list[dict[str, Any]] | None = None) -> Iterator[str]:
    """Answer `POST /v1/chat/completions` by the last message's content; gives the base URL, keeps the `bodies`."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.reply = reply
    server.bodies = [] if bodies is None else bodies
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # many questions come at once; five would wait a second for their turn
    reply: Callable[[str], Said]
    bodies: list[dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        said = self.server.reply(body["messages"][-1]["content"])
        if self.path.partition("?")[0] != "/v1/chat/completions":
            said = Said([b"{}"], 404, "application/json")
        self.send_response(said.status)
        self.send_header("Content-Type", said.kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        # A reader who stops hangs up.
        with contextlib.suppress(ConnectionError):
            for piece in said.pieces:
                if piece:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass
