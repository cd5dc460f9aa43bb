"""Twenty calls of a tool that takes 100 ms, in one reply: how long they take together, and what each costs us.

    python tests/bench/tools.py [--rounds 5]

The wall time is from the moment the reply is whole to the moment that the results are ready to be sent; the bare
threads beside it do the same work by hand, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from amber_nb.chat.tool_calls import ToolRunner
from amber_nb.telemetry import Telemetry
from amber_nb.tools import tools_from

CALLS = 20
TOOL_S = 0.1


def wait(number: int) -> int:
    """Take a while."""
    time.sleep(TOOL_S)
    return number


async def wait_too(number: int) -> int:
    """Take a while, awaiting."""
    await asyncio.sleep(TOOL_S)
    return number


class Executors:
    async def run_in_cell(self, work: Callable[[], Any], timeout_s: float | None = None) -> Any:
        return work()

    async def await_on_caller_loop(self, make: Callable[[], Any]) -> Any:
        return await make()


def ours(tool: Callable[..., Any]) -> float:
    tools = tools_from(tool, None)
    name = next(iter(tools))
    calls = [
        {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": f'{{"number": {number}}}'}}
        for number in range(CALLS)
    ]
    rounds = ToolRunner(tools, False, Executors(), None, Telemetry())
    start = time.perf_counter()
    runs = asyncio.run(rounds.run(calls, 1))
    took = time.perf_counter() - start
    assert [run.result for run in runs] == list(range(CALLS))
    return took


def by_hand() -> float:
    start = time.perf_counter()
    threads = [threading.Thread(target=wait, args=(number,)) for number in range(CALLS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    ours(wait), by_hand()  # what is loaded once
    for name, work in {"sync": lambda: ours(wait), "async": lambda: ours(wait_too), "bare threads": by_hand}.items():
        times = [work() for _ in range(rounds)]
        told = f"{statistics.median(times):.3f} s (at most {max(times):.3f})"
        print(f"{CALLS} calls of {TOOL_S * 1000:.0f} ms, {name:13} {told}")


if __name__ == "__main__":
    main()
