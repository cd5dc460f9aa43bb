"""The server of streaming.py: any number of chunks of a text, at any pace, in a process of its own."""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from amber_nb import Amber

os.environ["AMBER_SIM_CHUNKS_PER_S"] = "0"
TEXTS = {
    "essay": Amber(mode="simulate").ask("Write 2000 words about wind and weather.", show=False).text,
    "tutorial": (Path(__file__).parents[1] / "browser" / "answer.md").read_text(encoding="utf-8"),
}
SIZE = 4  # characters a chunk


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the number of chunks, at the pace, that its last message asks for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][-1]["content"]
        asked = json.loads(content if isinstance(content, str) else content[0]["text"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        start = time.perf_counter()
        out = []
        for number, data in enumerate(events(asked["text"], asked["chunks"])):
            out.append(data)
            if asked["per_s"] or len(out) == 50:
                self.wfile.write(b"".join(out))
                out.clear()
            if asked["per_s"]:
                time.sleep(max(0, start + number / asked["per_s"] - time.perf_counter()))
        self.wfile.write(b"".join(out))
        self.close_connection = True

    def log_message(self, *_):
        pass


def answer(name, chunks):
    """So many chunks of a text, over and over."""
    text = TEXTS[name]
    return (text * (chunks * SIZE // len(text) + 1))[: chunks * SIZE]


def events(name, chunks):
    """The stream's events, as bytes."""
    text = answer(name, chunks)
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "azure/gpt-5.4"}
    for at in range(0, len(text), SIZE):
        delta = {"content": text[at : at + SIZE]} | ({"role": "assistant"} if at == 0 else {})
        yield event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 9, "completion_tokens": chunks, "total_tokens": chunks + 9}
    yield event(head | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def event(data):
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
