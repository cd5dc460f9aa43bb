"""A gateway on 127.0.0.1 that answers chat completions in one piece, as a test has it answer; it notes each request."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Gateway", "Refusal", "completion", "serve_completions"]


def completion(text: str, finish: str = "stop", **head: Any) -> bytes:
    """The body of an ordinary reply; each word is a token."""
    usage = {"prompt_tokens": 10, "completion_tokens": len(text.split()), "total_tokens": 10 + len(text.split())}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps({**reply, **head}).encode()


@dataclass
class Refusal:
    """A response that is no ordinary reply.

    Attributes:
        status: of HTTP.
        body: JSON, or bytes as they are.
        headers: beside the usual.
        cut: whether the connection breaks in the middle of the body.
        wait: an event to wait for before anything is said.
    """

    status: int = 500
    body: Any = field(default_factory=lambda: {"error": {"message": "broken"}})
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    wait: threading.Event | None = None


@dataclass
class Gateway:
    """What a test knows of its gateway.

    Attributes:
        base_url: of the endpoint.
        bodies: of the requests, in their order.
        headers: of the requests.
    """

    base_url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def prompts(self) -> list[str]:
        """The last message of each request."""
        return [body["messages"][-1]["content"] for body in self.bodies]

    @property
    def counts(self) -> Counter[str]:
        """How often each prompt was asked."""
        return Counter(self.prompts)


@contextlib.contextmanager
def serve_completions(reply: Callable[[str, int], str | bytes | Refusal] | None = None) -> Iterator[Gateway]:
    """Answer by a function of the last message and of how often it was asked before; without one, say it again."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.reply = reply or (lambda prompt, _: f"echo {prompt}")
    server.gateway = Gateway(f"http://127.0.0.1:{server.server_port}/v1")
    server.asked = Counter()
    server.lock = threading.Lock()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    reply: Callable[[str, int], str | bytes | Refusal]
    gateway: Gateway
    asked: Counter[str]
    lock: threading.Lock

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is no fault of the gateway's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[0]["text"]
        with self.server.lock:
            number = self.server.asked[prompt]
            self.server.asked[prompt] += 1
            self.server.gateway.bodies.append(body)
            self.server.gateway.headers.append({name.lower(): value for name, value in self.headers.items()})
        said = self.server.reply(prompt, number)
        if isinstance(said, str):
            said = completion(said)
        if isinstance(said, bytes):
            said = Refusal(200, said)
        if said.wait is not None:
            said.wait.wait(30)
        payload = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
        with contextlib.suppress(ConnectionError):
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload[: len(payload) // 2] if said.cut else payload)
            if said.cut:
                self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass
