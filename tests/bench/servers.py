"""What MCP servers cost an ask, beside the SDK's own client; what is left of them; and asks whose server is killed.

    python tests/bench/servers.py [--calls 100] [--connections 10] [--asks 100] [--kills 20]

Calls and the SDK's calls go to servers of the same program and alternate, so that a busy machine disturbs both alike.
Goals: the median of a first call through a warm connection at most 15 ms above the SDK's; one connection; nothing left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

os.environ["AMBER_SIM_CHUNKS_PER_S"] = "0"

from amber_nb import Amber, mcp

PROGRAM = str(Path(__file__).parents[1] / "mcp_servers" / "programs" / "toolbox.py")
LOOK_EVERY_S = 0.002
OPTIONS: dict[str, Any] = {"tool_choice": "required", "max_rounds": 2, "show": False}


@contextlib.contextmanager
def toolbox_over_http() -> Iterator[str]:
    """Run toolbox.py over HTTP; return its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, PROGRAM, "streamable-http", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: can_connect(port))
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


def can_connect(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("not within 20 s")
        time.sleep(LOOK_EVERY_S)


# --- (a) what a call costs


def measure_calls(url: str | None, calls: int, connections: int) -> dict[str, list[float]]:
    """Return seconds of first and later calls: of the SDK's client, of `server.call`, and within an ask."""
    seconds: dict[str, list[float]] = {
        f"{which} {who}": [] for which in ("first", "later") for who in ("sdk", "call", "ask")
    }
    amber = Amber(mode="simulate")
    target = [sys.executable, PROGRAM] if url is None else [url]
    per_connection = max(1, calls // connections)
    for _ in range(connections):
        with mcp(*target, require_approval=False) as direct, mcp(*target, require_approval=False) as asked:
            direct.tools(), asked.tools()  # the connections are warm: listed, and nothing called yet
            tool = asked.select(only="echo")

            def call(direct: Any = direct) -> float:
                return timed(lambda: direct.call("echo", text="a"))

            def ask(tool: Any = tool) -> float:
                (run,) = amber.ask('Echo "a".', tools=tool, **OPTIONS).tool_runs
                assert run.status == "ran", run
                return float(run.duration_s)

            asyncio.run(alternate(url, {"call": call, "ask": ask}, per_connection, seconds))
    return seconds


async def alternate(
    url: str | None, ours: dict[str, Callable[[], float]], calls: int, seconds: dict[str, list[float]]
) -> None:
    """Call by the SDK's client and by ours in turn; keep the seconds."""
    transport: Any = streamable_http_client(url) if url else stdio_client(StdioServerParameters(**python()), null())
    async with Client(transport) as client:
        await client.list_tools()
        for number in range(calls + 1):
            which = "later" if number else "first"
            start = time.perf_counter()
            await client.call_tool("echo", {"text": "a"})
            seconds[f"{which} sdk"].append(time.perf_counter() - start)
            for name, work in ours.items():
                seconds[f"{which} {name}"].append(await asyncio.to_thread(work))


def python() -> dict[str, Any]:
    return {"command": sys.executable, "args": [PROGRAM]}


def null() -> Any:
    return open(os.devnull, "w")


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def print_calls(transport: str, seconds: dict[str, list[float]]) -> None:
    for which in ("first", "later"):
        bare = seconds[f"{which} sdk"]
        for who in ("sdk", "call", "ask"):
            ms = [1000 * each for each in seconds[f"{which} {who}"]]
            above = [1000 * (one - other) for one, other in zip(seconds[f"{which} {who}"], bare, strict=True)]
            line = f"{transport:6} {which} {who:5} median {statistics.median(ms):6.2f} ms, max {max(ms):6.2f} ms"
            if who != "sdk":
                line += f"; above the SDK's: median {statistics.median(above):6.2f}, max {max(above):6.2f} (goal 15)"
            print(f"{line}  n={len(ms)}")


# --- (b) what is left


def measure_leaks(asks: int, cells: int = 20) -> None:
    """Ask in cells, sync and async in turn, each async one in an event loop of its own; print what is left."""
    amber = Amber(mode="simulate")
    server = mcp(sys.executable, PROGRAM, require_approval=False)
    tool = server.select(only="process_id")
    per_cell = asks // cells
    asyncio.run(ask_at_once(amber, tool, per_cell))  # what is loaded and opened once
    opened_before = server._requests.opened[0].opened
    server.close()
    until(lambda: not psutil.Process().children(recursive=True) and server_threads() == 0)
    before = resources()
    pids: list[int] = []
    for cell in range(cells):
        if cell % 2:
            pids += [amber.ask("?", tools=tool, **OPTIONS).tool_runs[0].result for _ in range(per_cell)]
        else:
            pids += asyncio.run(ask_at_once(amber, tool, per_cell))
    during = resources()
    server.close()
    with contextlib.suppress(AssertionError):
        until(lambda: all(now <= then for now, then in zip(resources(), before, strict=True)))
    after = resources()
    opened = server._requests.opened[0].opened - opened_before
    print(f"{len(pids)} asks across {cells} cells: {opened} connections, {len(set(pids))} server processes (goal 1)")
    for name, *counts in zip(("processes", "threads", "files"), before, during, after, strict=True):
        leaked = counts[2] - counts[0]
        print(f"  {name:10} before {counts[0]}, open {counts[1]}, closed {counts[2]}: {leaked} leaked (goal 0)")


async def ask_at_once(amber: Any, tool: Any, number: int) -> list[int]:
    answers = await asyncio.gather(*[amber.ask_async("?", tools=tool, **OPTIONS) for _ in range(number)])
    return [answer.tool_runs[0].result for answer in answers]


def server_threads() -> int:
    return sum(thread.name.startswith("amber-mcp") for thread in threading.enumerate())


def resources() -> tuple[int, int, int]:
    process = psutil.Process()
    return len(process.children(recursive=True)), threading.active_count(), process.num_fds()


# --- (c) kills


def measure_kills(kills: int) -> None:
    """Kill the server between and within calls; print how many of the next asks work."""
    amber = Amber(mode="simulate")
    with mcp(sys.executable, PROGRAM, require_approval=False) as server:
        tool, hang = server.select(only="process_id"), server.select(only="hang")
        worked, seconds = 0, []
        pid = server.call("process_id").value
        for _ in range(kills):
            os.kill(pid, signal.SIGKILL)
            start = time.perf_counter()
            (run,) = amber.ask("?", tools=tool, **OPTIONS).tool_runs
            seconds.append(time.perf_counter() - start)
            worked += run.status == "ran" and run.result != pid
            pid = run.result
        print(f"killed between calls: {worked} of {kills} next asks worked, median {statistics.median(seconds):.2f} s")
        worked, failed, seconds = 0, 0, []
        for _ in range(kills):
            killer = threading.Thread(target=kill_while_it_hangs, args=(server, server.call("process_id").value))
            killer.start()
            (run,) = amber.ask("?", tools=hang, **OPTIONS).tool_runs
            killer.join()
            failed += run.status == "failed"
            start = time.perf_counter()
            (run,) = amber.ask("?", tools=tool, **OPTIONS).tool_runs
            seconds.append(time.perf_counter() - start)
            worked += run.status == "ran"
        told = f"{failed} of {kills} calls failed, {worked} of {kills} next asks worked"
        print(f"killed within calls:  {told}, median {statistics.median(seconds):.2f} s")
    until(lambda: not psutil.Process().children(recursive=True) and server_threads() == 0)
    print("  no process and no thread of a server is left")


def kill_while_it_hangs(server: Any, pid: int) -> None:
    until(lambda: "hangs" in server.stderr)
    os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"calls": 100, "connections": 10, "asks": 100, "kills": 20}.items():
        arguments.add_argument(f"--{name}", type=int, default=default)
    options = arguments.parse_args()
    warnings.simplefilter("ignore")
    print_calls("stdio", measure_calls(None, options.calls, options.connections))
    with toolbox_over_http() as url:
        print_calls("http", measure_calls(url, options.calls, options.connections))
    measure_leaks(options.asks)
    measure_kills(options.kills)


if __name__ == "__main__":
    main()
