"""Rows a second and CPU a row of ways to send many chat completions, side by side in one run: issue 20's table.

    python tests/bench/tables.py [ROWS] [PEER …]

A server in a process of its own answers each request after 50 ms. Each peer runs in a fresh process: its CPU (user +
system) and its time are those of the rows alone, without imports. 64 requests are in flight at once. Peers whose
package is not installed are left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

KEY = "ambrs-exampletoken"
MODEL = "azure/gpt-5.4"
IN_FLIGHT = 64
LATENCY_S = 0.05
ROWS = 2_000
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "positive", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 42,
        "completion_tokens": 3,
        "total_tokens": 45,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}


class Gateway(asyncio.Protocol):
    """Answers each request after the latency, over connections that stay open, for as little CPU as Python permits."""

    body = json.dumps(COMPLETION).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: 1\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reply = head.encode() + body

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0
            if len(self.received) < end + 4 + length:
                return
            self.received = self.received[end + 4 + length :]
            self.loop.call_later(LATENCY_S, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.reply)


async def run_server() -> None:
    server = await asyncio.get_running_loop().create_server(Gateway, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def prompt(row: int) -> str:
    return f"Classify the review: The film number {row} was long, but the ending is worth it."


def messages(row: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt(row)}]


def body(row: int) -> bytes:
    return json.dumps({"model": MODEL, "messages": messages(row), "stream": False}).encode()


async def gather(rows: int, ask: Callable[[int], Awaitable[object]]) -> int:
    """Ask all rows, so many at once; returns how many were answered as they should be."""
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(row: int) -> bool:
        async with slots:
            return await ask(row) == "positive"

    return sum(await asyncio.gather(*map(one, range(rows))))


# Each peer takes the base URL, imports what it needs, and returns a function that runs the rows, which is measured.
Peer = Callable[[str], Callable[[int], int]]


def bare_httpx2(url: str) -> Callable[[int], int]:
    httpx2 = importlib.import_module("httpx2")

    async def run(rows: int) -> int:
        limits = httpx2.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx2.AsyncClient(limits=limits, headers=headers, timeout=60) as client:

            async def ask(row: int) -> object:
                reply = await client.post(f"{url}/chat/completions", json={"model": MODEL, "messages": messages(row)})
                return reply.json()["choices"][0]["message"]["content"]

            return await gather(rows, ask)

    return lambda rows: asyncio.run(run(rows))


def _sdk(url: str, http: str) -> Callable[[int], int]:
    openai = importlib.import_module("openai")
    importlib.import_module("openai.resources.chat.completions")

    async def run(rows: int) -> int:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY, http_client=getattr(openai, http)()) as client:

            async def ask(row: int) -> object:
                reply = await client.chat.completions.create(model=MODEL, messages=messages(row))
                return reply.choices[0].message.content

            return await gather(rows, ask)

    return lambda rows: asyncio.run(run(rows))


def async_openai(url: str) -> Callable[[int], int]:
    return _sdk(url, "DefaultAsyncHttpxClient")


def async_openai_aiohttp(url: str) -> Callable[[int], int]:
    return _sdk(url, "DefaultAioHttpClient")


def raw_sockets(url: str) -> Callable[[int], int]:
    host, _, port = url.removeprefix("http://").removesuffix("/v1").partition(":")

    class Socket(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.received += data
            if len(self.received) == len(Gateway.reply):
                self.reply.set_result(self.received)

        async def ask(self, row: int) -> bytes:
            sent = body(row)
            self.received, self.reply = b"", asyncio.get_running_loop().create_future()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(sent)}\r\n\r\n"
            self.transport.write(head.encode() + sent)
            return await self.reply

    async def run(rows: int) -> int:
        loop, left, found = asyncio.get_running_loop(), iter(range(rows)), 0

        async def work() -> int:
            transport, socket = await loop.create_connection(Socket, host, int(port))
            done = 0
            for row in left:
                reply = json.loads((await socket.ask(row)).partition(b"\r\n\r\n")[2])
                done += reply["choices"][0]["message"]["content"] == "positive"
            transport.close()
            return done

        found = sum(await asyncio.gather(*[work() for _ in range(IN_FLIGHT)]))
        return found

    return lambda rows: asyncio.run(run(rows))


def _sender(url: str, *, lean: bool) -> Callable[[int], int]:
    config = importlib.import_module("amber_nb.config")
    clients = importlib.import_module("amber_nb.wire.clients")
    sender = importlib.import_module("amber_nb.wire.sender")
    usage = importlib.import_module("amber_nb.wire.usage")
    read_reply = importlib.import_module("amber_nb.wire.whole").read_reply
    importlib.import_module("openai._base_client")

    async def run(rows: int) -> int:
        settings = config.load_config(base_url=url, api_key=KEY, mode="live")
        made = clients.Clients(settings, usage.UsageLog("live"))
        sending = sender.open_sender(made, settings, connections=IN_FLIGHT)
        if not lean:
            http = made.open_http(limits=importlib.import_module("httpx2").Limits(max_connections=IN_FLIGHT))
            sending = sender._HttpxSender(sending._prepared, http)

        async def ask(row: int) -> object:
            reply = await sending.post(body(row), timeout_s=None)
            return read_reply(reply.content, reply.headers.get("content-type", "")).text

        try:
            return await gather(rows, ask)
        finally:
            await sending.close()

    return lambda rows: asyncio.run(run(rows))


def sender_httpx2(url: str) -> Callable[[int], int]:
    return _sender(url, lean=False)


def sender_lean(url: str) -> Callable[[int], int]:
    return _sender(url, lean=True)


def ours(url: str) -> Callable[[int], int]:
    """`Amber(...).map(frame, ...)`, its ledger on: a file of its own in the folder for temporary files."""
    pandas, tempfile = importlib.import_module("pandas"), importlib.import_module("tempfile")
    amber = importlib.import_module("amber_nb").Amber(base_url=url, api_key=KEY, model=MODEL)
    frame = pandas.DataFrame({"number": range(ROWS)})
    text = prompt(0).replace(" 0 ", " {number} ")

    def run(rows: int) -> int:
        table = frame if rows == ROWS else pandas.DataFrame({"number": range(rows)})
        with tempfile.TemporaryDirectory() as folder:
            result = amber.map(table, text, concurrency=IN_FLIGHT, ledger=f"{folder}/ledger.sqlite", show=False)
        return int((result["answer"] == "positive").sum())

    return run


def litellm_batch(url: str) -> Callable[[int], int]:
    litellm = importlib.import_module("litellm")

    def run(rows: int) -> int:
        replies = litellm.batch_completion(
            model="openai/gpt-4o-mini",
            messages=[messages(row) for row in range(rows)],
            api_base=url,
            api_key=KEY,
            max_workers=IN_FLIGHT,
        )
        return sum(reply.choices[0].message.content == "positive" for reply in replies)

    return run


def chatlas_parallel(url: str) -> Callable[[int], int]:
    chatlas = importlib.import_module("chatlas")

    def run(rows: int) -> int:
        chat = chatlas.ChatOpenAICompletions(base_url=url, api_key=KEY, model=MODEL)
        asked = chatlas.parallel_chat_text(chat, list(map(prompt, range(rows))), max_active=IN_FLIGHT, rpm=10**9)
        replies = asyncio.run(asked) if asyncio.iscoroutine(asked) else asked
        return sum(reply == "positive" for reply in replies)

    return run


PEERS: dict[str, tuple[str, str, Peer]] = {  # by name: how the table calls it, the package that it needs, itself
    "bare_httpx2": ("bare httpx2 loop", "httpx2", bare_httpx2),
    "async_openai": ("AsyncOpenAI + gather", "openai", async_openai),
    "async_openai_aiohttp": ("AsyncOpenAI + aiohttp", "aiohttp", async_openai_aiohttp),
    "litellm_batch": ("litellm batch", "litellm", litellm_batch),
    "chatlas_parallel": ("chatlas parallel", "chatlas", chatlas_parallel),
    "raw_sockets": ("raw sockets", "asyncio", raw_sockets),
    "sender_httpx2": ("our sender, httpx2", "amber_nb", sender_httpx2),
    "sender_lean": ("our sender, lean", "amber_nb", sender_lean),
    "ours": ("ours, ledger on", "amber_nb", ours),
}


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run_peer(name: str, url: str, rows: int) -> None:
    """Run one peer in this process, and print its figures as JSON."""
    run = PEERS[name][2](url)
    started, cpu = time.perf_counter(), cpu_s()
    answered = run(rows)
    print(json.dumps({"answered": answered, "s": time.perf_counter() - started, "cpu_s": cpu_s() - cpu}))


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    names = sys.argv[2:] or list(PEERS)
    ideal_s = rows * LATENCY_S / IN_FLIGHT
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        print(f"{rows:,} rows, {LATENCY_S * 1000:g} ms latency, {IN_FLIGHT} in flight; ideal {ideal_s:.2f} s")
        print(f"{'':<24} {'rows/s':>8} {'× ideal time':>14} {'CPU s / 1,000 rows':>20}")
        for name in names:
            title, package, _ = PEERS[name]
            if importlib.util.find_spec(package) is None:
                continue
            command = [sys.executable, __file__, "--peer", name, url, str(rows)]
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=dict(os.environ))
            if said.returncode:
                print(f"{title:<24} failed")
            elif said.stdout.strip():
                found = json.loads(said.stdout.splitlines()[-1])
                row = f"{rows / found['s']:>8.0f} {found['s'] / ideal_s:>14.2f} {1000 * found['cpu_s'] / rows:>20.2f}"
                missing = rows - found["answered"]
                print(f"{title:<24} {row}{f'   {missing} not answered' if missing else ''}", flush=True)
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run_server())
    elif "--peer" in sys.argv:
        run_peer(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
